//! Waiting for a line, for `ready = { log = … }` of services whose output is in the journal.

use regex_lite::Regex;

use super::{Journal, Query, Source};
use crate::logs::Stream;
use crate::model::{Manager, UnitName};
use crate::registry::Record;

/// Waits for a line of the service's present invocation that matches.
///
/// # Errors
/// The pattern is none, or the journal cannot be read.
pub(crate) async fn matching(record: &Record, pattern: &str) -> Result<(), String> {
    let pattern = Regex::new(pattern).map_err(|error| format!("not a regular expression: {error}"))?;
    let name = record.unit.clone().unwrap_or_else(|| format!("provost-{}.service", record.id));
    let unit: UnitName = name.parse().map_err(|error| format!("{error}"))?;
    let manager = if record.uid == 0 { Manager::System } else { Manager::User(record.uid) };
    let source = Source { manager, unit, service: Some(record.id.clone()) };
    let query = Query { follow: true, invocation: record.invocation.clone(), ..Query::default() };
    let mut journal = Journal::open(source, &query).await.map_err(|error| error.to_string())?;
    while let Some(line) = journal.next().await.map_err(|error| error.to_string())? {
        if line.stream != Stream::Note && pattern.is_match(&String::from_utf8_lossy(&line.text)) {
            return Ok(());
        }
    }
    Err("the journal has ended".to_owned())
}
