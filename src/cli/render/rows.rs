//! A table for people: columns as wide as what is in them, the last one cut at the terminal's edge.

use anstyle::Style;

use super::columns;
use crate::text::clip_to;

/// The first row is the heads.
pub(in crate::cli) fn rows<const N: usize>(rows: &[[String; N]], heads: Style) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        let style = if at == 0 { heads } else { Style::new() };
        let mut line = String::new();
        let mut room = columns().unwrap_or(usize::MAX);
        for (n, (cell, width)) in row.iter().zip(widths).enumerate() {
            if n + 1 == N {
                line.push_str(&clip_to(cell, room.max(12)));
            } else {
                line.push_str(&format!("{cell:width$}  "));
                room = room.saturating_sub(width + 2);
            }
        }
        out.push_str(&format!("{style}{}{style:#}\n", line.trim_end()));
    }
    out
}
