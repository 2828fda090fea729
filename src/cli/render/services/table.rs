//! The table of `list`: a line for each service, within 80 columns.

use std::time::SystemTime;

use super::super::{ACCENT, DIM, columns};
use super::words;
use crate::model::service::ServiceReport;
use crate::text::{clip_to, escape};

const HEADS: [&str; 9] = ["ID", "STATE", "HEALTH", "PID", "PORT", "UP", "RESTARTS", "CPU", "MEMORY"];
/// These are numbers, and end where their column does.
const RIGHT: [bool; 9] = [false, false, false, true, true, true, true, true, true];
/// A longer id is cut only where the terminal ends.
const LEAST_ID: usize = 8;

/// All services; below it, why some are not as they should be.
pub(in crate::cli) fn table(reports: &[ServiceReport], now: SystemTime) -> String {
    wide(reports, now, columns())
}

fn wide(reports: &[ServiceReport], now: SystemTime, room: Option<usize>) -> String {
    let cells: Vec<[String; 9]> = reports.iter().map(|report| cells(report, now)).collect();
    let mut widths = HEADS.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    let room = room.unwrap_or(usize::MAX);
    widths[0] = widths[0].min(room.saturating_sub(others).max(LEAST_ID));
    let mut out = format!("{DIM}{}{DIM:#}\n", line(&HEADS.map(str::to_owned), &widths));
    for (report, mut row) in reports.iter().zip(cells) {
        row[0] = clip_to(&row[0], widths[0]);
        let style = words::style(report);
        let [id, state, rest @ ..] = row;
        let (id_width, state_width) = (widths[0], widths[1]);
        let rest = tail(&rest, &widths[2..], &RIGHT[2..]);
        out.push_str(&format!(
            "{ACCENT}{id:id_width$}{ACCENT:#}  {style}{state:state_width$}{style:#}  {}\n",
            rest.trim_end()
        ));
    }
    for report in reports {
        if let Some(reason) = &report.reason {
            let style = words::style(report);
            let text = format!("{}: {}", report.id, escape(reason));
            out.push_str(&format!("  {style}{}{style:#}\n", clip_to(&text, room.saturating_sub(2).max(40))));
        }
    }
    out
}

fn line(cells: &[String; 9], widths: &[usize; 9]) -> String {
    tail(cells, widths, &RIGHT).trim_end().to_owned()
}

fn tail(cells: &[String], widths: &[usize], right: &[bool]) -> String {
    let pad = |((cell, width), right): ((&String, &usize), &bool)| match right {
        true => format!("{cell:>width$}"),
        false => format!("{cell:width$}"),
    };
    cells.iter().zip(widths).zip(right).map(pad).collect::<Vec<_>>().join("  ")
}

fn cells(report: &ServiceReport, now: SystemTime) -> [String; 9] {
    let alive = report.state.is_alive();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let up = words::since(report.started_at.as_deref(), now).filter(|_| report.state.is_up());
    [
        report.id.to_string(),
        report.state.to_string(),
        words::health(report.health).to_owned(),
        or_dash(report.pid.filter(|_| alive).map(|pid| pid.to_string())),
        or_dash(report.port.map(|port| port.to_string())),
        or_dash(up.map(words::short)),
        report.restarts.to_string(),
        or_dash(report.cpu_percent.filter(|_| alive).map(words::percent)),
        or_dash(report.memory_bytes.filter(|_| alive).map(words::bytes)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::services::status::tests::report;

    #[test]
    fn it_fits_into_eighty_columns() {
        let now = humantime::parse_rfc3339("2026-01-01T03:12:00Z").unwrap();
        let mut big = report("embedding-with-a-very-long-name-that-somebody-chose", "running", "ok");
        big.pid = Some(4_194_304);
        big.port = Some(50000);
        big.started_at = Some("2026-01-01T00:00:00Z".to_owned());
        big.cpu_percent = Some(1599.6);
        big.memory_bytes = Some(3 << 30);
        big.restarts = 12_345;
        let mut bad = report("gateway", "restarting", "bad");
        bad.reason = Some("exit code 1; starts again in 8 s\u{1b}[2J".to_owned());
        let text = anstream::adapter::strip_str(&wide(&[big.clone(), bad], now, Some(80))).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("3h12m") && text.contains("1600%") && text.contains("3.0G"), "{text}");
        assert!(text.contains("gateway: exit code 1; starts again in 8 s\\u{1b}[2J"), "{text}");
        assert!(text.contains("  -  "), "{text}");
        let whole = anstream::adapter::strip_str(&wide(&[big], now, None)).to_string();
        assert!(whole.contains("embedding-with-a-very-long-name-that-somebody-chose"), "{whole}");
    }
}
