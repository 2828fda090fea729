//! The overview for people: one line for each server or service.

use super::{ACCENT, DIM, availability, columns};
use crate::model::AvailabilityState;
use crate::text::clip_to;

/// One line of the overview.
#[derive(Debug, Clone, serde::Serialize)]
pub(in crate::cli) struct OverviewRow {
    /// What it is called.
    pub(in crate::cli) name: String,
    /// The exact target.
    pub(in crate::cli) target: String,
    /// Who owns it, in a few words.
    pub(in crate::cli) owner: String,
    /// The kind of the owner, as in `inspect`.
    pub(in crate::cli) kind: &'static str,
    /// available, starting, unavailable, unknown.
    pub(in crate::cli) state: AvailabilityState,
    /// Where it serves.
    pub(in crate::cli) address: Option<String>,
    /// The verbs that would work now.
    pub(in crate::cli) allowed: Vec<&'static str>,
    /// The verbs that would work with a password.
    pub(in crate::cli) with_password: Vec<&'static str>,
}

/// The table.
pub(in crate::cli) fn overview(rows: &[OverviewRow]) -> String {
    let heads = ["NAME", "OWNER", "STATE", "ADDRESS", "YOU MAY"];
    let you = |row: &OverviewRow| match (row.allowed.as_slice(), row.with_password.as_slice()) {
        ([], []) => "probe only".to_owned(),
        ([], with) => format!("password: {}", with.join(", ")),
        (allowed, _) => allowed.join(", "),
    };
    let cells: Vec<[String; 5]> = rows
        .iter()
        .map(|row| {
            let address = row.address.clone().unwrap_or_else(|| "-".to_owned());
            [clip_to(&row.name, 20), clip_to(&row.owner, 34), row.state.to_string(), clip_to(&address, 32), you(row)]
        })
        .collect();
    let mut widths = heads.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let room = columns().unwrap_or(usize::MAX);
    let before: usize = widths[..4].iter().map(|w| w + 2).sum();
    let last = room.saturating_sub(before).max(12);
    let mut out = format!("{DIM}");
    for (head, width) in heads.iter().zip(widths).take(4) {
        out.push_str(&format!("{head:width$}  "));
    }
    out.push_str(&format!("{}{DIM:#}\n", heads[4]));
    for (row, cell) in rows.iter().zip(&cells) {
        let state = availability(row.state);
        let [name, owner, word, address, you] = cell;
        let [w0, w1, w2, w3, _] = widths;
        out.push_str(&format!(
            "{ACCENT}{name:w0$}{ACCENT:#}  {owner:w1$}  {state}{word:w2$}{state:#}  {address:w3$}  {}\n",
            clip_to(you, last)
        ));
    }
    out
}
