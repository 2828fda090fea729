//! What transient units need of a manager: made, held, forgotten.

use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use super::{CallError, Manager};
use crate::model::{Action, UnitName};

/// A property that a unit is made with: its name on D-Bus and its value.
pub(crate) type Property<'a> = (&'a str, Variant<'a>);

/// Other units that come with a transient one: none ever do.
type Auxiliary<'a> = &'a [(&'a str, Vec<Property<'a>>)];

impl Manager {
    /// `StartTransientUnit`, and the number of its job. The name must not be in use.
    pub(crate) async fn start_transient(&self, unit: &UnitName, of: &[Property<'_>]) -> Result<u32, CallError> {
        tracing::debug!(%unit, "asking systemd for a transient unit");
        let none: Auxiliary<'_> = &[];
        let path: OwnedObjectPath = self.call("StartTransientUnit", &(unit.as_str(), "replace", of, none)).await?;
        job_number(path.as_str()).ok_or_else(|| CallError::Lost(format!("'{path}' is no job")))
    }

    /// `RefUnit`: it stays loaded, and its changes are told, until it is unref'd or we are gone.
    pub(crate) async fn reference(&self, unit: &UnitName) -> Result<(), CallError> {
        self.call("RefUnit", &(unit.as_str(),)).await
    }

    /// `UnrefUnit`. That there was no reference is no error.
    pub(crate) async fn unreference(&self, unit: &UnitName) -> Result<(), CallError> {
        self.had_reference(unit).await.map(drop)
    }

    /// The same, and whether there was one to take away.
    pub(crate) async fn had_reference(&self, unit: &UnitName) -> Result<bool, CallError> {
        match self.call("UnrefUnit", &(unit.as_str(),)).await {
            Ok(()) => Ok(true),
            Err(error) if ["NotReferenced", "NoSuchUnit"].contains(&error.short_name()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `ResetFailedUnit`. That there is no such unit is no error.
    pub(crate) async fn reset_failed(&self, unit: &UnitName) -> Result<(), CallError> {
        unless(self.call("ResetFailedUnit", &(unit.as_str(),)).await, &["NoSuchUnit"])
    }

    /// `ThawUnit`: a frozen unit takes no signals. That it is not frozen is no error.
    pub(crate) async fn thaw(&self, unit: &UnitName) -> Result<(), CallError> {
        unless(self.call("ThawUnit", &(unit.as_str(),)).await, &["NoSuchUnit", "UnitInactive", "NotSupported"])
    }

    /// `StopUnit`, and the number of its job; `None` where there is no such unit.
    pub(crate) async fn stop_job(&self, unit: &UnitName) -> Result<Option<u32>, CallError> {
        match self.queue(unit, Action::Stop, false).await {
            Ok(path) => Ok(job_number(path.as_str())),
            Err(error) if error.short_name() == "NoSuchUnit" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One property of a unit, of the interface of services.
    pub(crate) async fn service_property(&self, unit: &UnitName, name: &str) -> Result<OwnedVariant, CallError> {
        let path = unit.object_path();
        self.get(&path, "org.freedesktop.DBus.Properties", super::SERVICE, name).await
    }
}

/// The number at the end of /org/freedesktop/systemd1/job/NUMBER.
pub(crate) fn job_number(path: &str) -> Option<u32> {
    path.rsplit('/').next()?.parse().ok()
}

fn unless(result: Result<(), CallError>, harmless: &[&str]) -> Result<(), CallError> {
    result.or_else(|error| if harmless.contains(&error.short_name()) { Ok(()) } else { Err(error) })
}
