//! How what is sent and answered is told in JSON Schema. Only the test that writes the OpenAPI document
//! asks: the program has none of it.

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// How a type is told.
#[derive(Clone, Copy)]
pub(super) struct Describe {
    #[cfg(test)]
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

/// By reference to the type.
#[cfg(test)]
pub(super) const fn of<T: JsonSchema>() -> Describe {
    Describe { schema: |generator| generator.subschema_for::<T>() }
}

#[cfg(not(test))]
#[expect(clippy::extra_unused_type_parameters, reason = "named as in the test")]
pub(super) const fn of<T>() -> Describe {
    Describe {}
}
