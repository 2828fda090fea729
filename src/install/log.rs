//! What is told of each thing that is done.

use serde::Serialize;

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It was not there.
    Created,
    /// It was there, and other.
    Updated,
    /// It was as it is to be.
    Unchanged,
    /// It is gone.
    Removed,
    /// It is again as it was before the install.
    Restored,
    /// It was left as it is, because somebody has changed it since, or something is in it.
    Kept,
    /// Starts by itself from now on.
    Enabled,
    /// No longer does.
    Disabled,
    /// Was read again.
    Reloaded,
    /// Runs now.
    Started,
    /// Runs the new program.
    Restarted,
    /// Runs no longer.
    Stopped,
    /// Was asked, and is there.
    Answers,
    /// Cannot be done here, or need not be.
    Skipped,
}

impl Outcome {
    /// As a person reads it, before the name of the thing.
    pub(crate) fn word(self, dry: bool) -> &'static str {
        match (self, dry) {
            (Self::Created, false) => "created",
            (Self::Created, true) => "would create",
            (Self::Updated, false) => "updated",
            (Self::Updated, true) => "would update",
            (Self::Unchanged, _) => "unchanged",
            (Self::Removed, false) => "removed",
            (Self::Removed, true) => "would remove",
            (Self::Restored, false) => "restored",
            (Self::Restored, true) => "would restore",
            (Self::Kept, _) => "kept",
            (Self::Enabled, false) => "enabled",
            (Self::Enabled, true) => "would enable",
            (Self::Disabled, false) => "disabled",
            (Self::Disabled, true) => "would disable",
            (Self::Reloaded, false) => "reloaded",
            (Self::Reloaded, true) => "would reload",
            (Self::Started, false) => "started",
            (Self::Started, true) => "would start",
            (Self::Restarted, false) => "restarted",
            (Self::Restarted, true) => "would restart",
            (Self::Stopped, false) => "stopped",
            (Self::Stopped, true) => "would stop",
            (Self::Answers, _) => "answers",
            (Self::Skipped, _) => "skipped",
        }
    }
}

/// One thing that was done, or would be.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    /// file, folder, unit, manager, bus, group, lingering, daemon, services.
    pub(crate) what: &'static str,
    /// Its path or name.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// What else there is to know; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// Everything that was done, told while it is done.
pub(crate) struct Log<'a> {
    /// Nothing is done: it is only said what would be.
    pub(crate) dry: bool,
    /// All of it so far.
    pub(crate) steps: Vec<Step>,
    tell: &'a mut dyn FnMut(&Step),
}

impl<'a> Log<'a> {
    /// An empty one.
    pub(crate) fn new(dry: bool, tell: &'a mut dyn FnMut(&Step)) -> Self {
        Self { dry, steps: Vec::new(), tell }
    }

    /// Says it.
    pub(crate) fn step(&mut self, what: &'static str, name: &str, outcome: Outcome, detail: &str) {
        let step = Step { what, name: name.to_owned(), outcome, detail: detail.to_owned() };
        (self.tell)(&step);
        self.steps.push(step);
    }
}
