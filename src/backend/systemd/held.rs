//! A unit that has ended and cannot be forgotten, because a loaded unit of somebody else names it
//! (`After=provost-llm.service`): it is started as it is.

use zbus::Variant;

use super::Shared;
use super::units::Unit;
use crate::join::join_all;
use crate::model::{Action, UnitKind, UnitName};
use crate::systemd::{CallError, Property};

/// The properties by which a unit shows who names it. A stop at shutdown is of all units.
const HOLDERS: [&str; 8] =
    ["Before", "RequiredBy", "RequisiteOf", "WantedBy", "BoundBy", "ConsistsOf", "UpheldBy", "TriggeredBy"];
/// What a service is made of; a difference in it would be another service.
const DEFINITION: [&str; 4] = ["ExecStart", "Environment", "WorkingDirectory", "User"];

impl Shared {
    /// Starts the unit that is there, if it is what would be made. The number of its job, and what
    /// is to be said of it.
    pub(super) async fn start_held(
        &self,
        unit: &Unit,
        of: &[Property<'_>],
        own_output: bool,
    ) -> Result<(u32, Option<String>), CallError> {
        let name = &unit.name;
        let holders = self.holders(name).await;
        if !self.is_made_of(name, of).await? {
            return Err(CallError::Remote {
                name: "org.freedesktop.systemd1.UnitExists".to_owned(),
                message: format!(
                    "the old unit of this name has another definition, and is kept as long as {holders} names it \
                     (After= or the like) and is loaded: stop that first"
                ),
            });
        }
        let path = self.link.ask(async |manager| manager.queue(name, Action::Start, false).await).await?;
        let job = crate::systemd::job_number(path.as_str());
        let job = job.ok_or_else(|| CallError::Lost(format!("'{path}' is no job")))?;
        let said = own_output.then(|| {
            format!(
                "all its output goes to the journal as it is, because {holders} names {name} and keeps the old unit"
            )
        });
        Ok((job, said))
    }

    /// The units that name it, in words.
    async fn holders(&self, name: &UnitName) -> String {
        let read = HOLDERS.map(|property| async move {
            self.link.ask(async |manager| manager.unit_property(name, property).await).await
        });
        let mut names: Vec<String> = Vec::new();
        for value in join_all(read).await.into_iter().flatten() {
            let Variant::Array(units) = &*value else { continue };
            let units = units.iter().filter_map(|unit| <&str>::try_from(unit).ok());
            let of_others = |unit: &&str| {
                !unit.parse::<UnitName>().is_ok_and(|unit| matches!(unit.kind(), UnitKind::Target | UnitKind::Slice))
            };
            names.extend(units.filter(of_others).map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { "another unit".to_owned() } else { names.join(", ") }
    }

    /// Whether the loaded unit runs the same. After a `daemon-reload` systemd 252 has a backslash before
    /// each `$` and `;` of a command, and would run that: it is another one then.
    async fn is_made_of(&self, name: &UnitName, of: &[Property<'_>]) -> Result<bool, CallError> {
        let read = DEFINITION.map(|property| async move {
            self.link.ask(async |manager| manager.service_property(name, property).await).await
        });
        for (property, is) in DEFINITION.iter().zip(join_all(read).await) {
            let is = is?;
            let wanted = of.iter().find(|(name, _)| name == property).map(|(_, value)| value);
            let same = match wanted {
                Some(wanted) if *property == "ExecStart" => commands(wanted) == commands(&is),
                Some(wanted) if *property == "WorkingDirectory" => folder(wanted) == folder(&is),
                Some(wanted) => *wanted == *is,
                None => <&str>::try_from(&*is).is_ok_and(str::is_empty) || empty(&is),
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A folder without the mark that it may be missing: written it is `-`, and read `!`.
fn folder<'v>(value: &'v Variant<'_>) -> Option<&'v str> {
    <&str>::try_from(value).ok().map(|path| path.strip_prefix(['-', '!']).unwrap_or(path))
}

fn empty(value: &Variant<'_>) -> bool {
    matches!(value, Variant::Array(all) if all.is_empty())
}

/// Program and words of each command: read, a command has more fields than written.
fn commands(value: &Variant<'_>) -> Vec<Vec<String>> {
    let Variant::Array(all) = value else { return Vec::new() };
    let text = |value: &Variant<'_>| <&str>::try_from(value).ok().map(str::to_owned);
    let command = |one: &Variant<'_>| {
        let Variant::Structure(fields) = one else { return None };
        let [program, Variant::Array(words), ..] = fields.fields() else { return None };
        Some(std::iter::once(text(program)).chain(words.iter().map(text)).flatten().collect())
    };
    all.iter().filter_map(command).collect()
}
