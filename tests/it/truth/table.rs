//! Prints the table and the count.

use std::time::Duration;

use crate::rig::Result;

use super::Outcome;

/// One line for each owner and caller, then the counts; an error if a prediction was false.
pub fn print(name: &str, outcomes: &[Outcome], took: Duration) -> Result<()> {
    let mut text = format!("\n{name}: owner × caller × action: means verdict → exit code\n");
    let mut last = "";
    let mut rows: Vec<(&Outcome, Vec<String>)> = Vec::new();
    for outcome in outcomes {
        let process = if outcome.cell.only_process { " --only-process" } else { "" };
        let words = format!("{}{process}: {}", outcome.cell.action, outcome.words);
        match rows.last_mut() {
            Some((row, all))
                if row.cell.owner.name == outcome.cell.owner.name
                    && row.cell.caller.name == outcome.cell.caller.name =>
            {
                all.push(words);
            }
            _ => rows.push((outcome, vec![words])),
        }
    }
    for (row, words) in rows {
        if row.cell.owner.name != last {
            last = row.cell.owner.name;
            text.push_str(&format!("  {last} ({})\n", row.cell.owner.kind));
        }
        text.push_str(&format!("    {:12} {}\n", row.cell.caller.name, words.join("; ")));
    }
    let wrong: Vec<&str> = outcomes.iter().filter_map(|o| o.mismatch.as_deref()).collect();
    let unknown = outcomes.iter().filter(|o| o.unknown).count();
    let count = outcomes.len();
    println!(
        "{text}{name}: {count} cells, {} true, {unknown} unknown until asked, {} false, in {:.1} s",
        count - wrong.len() - unknown,
        wrong.len(),
        took.as_secs_f64()
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n----\n").into()) }
}
