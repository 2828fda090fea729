//! A table for people: columns as wide as what is in them, the last one cut at the terminal's edge.

use anstyle::Style;

use super::columns;
use crate::text::clip_to;

/// What is left for the last column, however wide the others are; and for any of these.
const LAST: usize = 12;
const LEAST: usize = 8;

/// The first row is the heads.
pub(in crate::cli) fn rows<const N: usize>(rows: &[[String; N]], heads: Style) -> String {
    within(rows, heads, columns().unwrap_or(usize::MAX))
}

fn within<const N: usize>(rows: &[[String; N]], heads: Style, whole: usize) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    fit(&mut widths[..N - 1], whole.saturating_sub(LAST));
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        let style = if at == 0 { heads } else { Style::new() };
        let mut line = String::new();
        let mut room = whole;
        for (n, (cell, width)) in row.iter().zip(widths).enumerate() {
            if n + 1 == N {
                line.push_str(&clip_to(cell, room.max(LAST)));
            } else {
                line.push_str(&format!("{:width$}  ", clip_to(cell, width)));
                room = room.saturating_sub(width + 2);
            }
        }
        out.push_str(&format!("{style}{}{style:#}\n", line.trim_end()));
    }
    out
}

/// Makes columns narrower that do not fit: first the one of names, then the widest.
fn fit(widths: &mut [usize], room: usize) {
    let over = |widths: &[usize]| widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(room);
    if let [first, ..] = widths {
        let name = *first;
        widths[0] = name.saturating_sub(over(widths)).max(name.min(LEAST));
    }
    while over(widths) > 0 {
        match widths.iter_mut().max() {
            Some(widest) if *widest > LEAST => *widest -= 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_on_a_terminal() {
        let table = |id: &str, whole| {
            let row = [id, "running", "4194304", "50000", "2026-11-22T04:00:00.000Z", "llama-server --port 1"];
            let heads = ["ID", "STATUS", "PID", "PORT", "STARTED", "COMMAND"];
            within(&[heads.map(str::to_owned), row.map(str::to_owned)], Style::new(), whole)
        };
        let text = table(&"embedding".repeat(7), 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("…  running  4194304  50000  2026-11-22T04:00:00.000Z  llama-serve…"), "{text}");
        assert!(
            table("llm", 80).contains("llm  running  4194304  50000  2026-11-22T04:00:00.000Z  llama-server --port 1")
        );
        assert!(table(&"embedding".repeat(7), 40).chars().count() > 40, "so narrow is nothing");
        assert!(table(&"embedding".repeat(7), usize::MAX).contains(&"embedding".repeat(7)));
    }
}
