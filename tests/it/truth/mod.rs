//! The truth table: owners × callers × actions. Whatever `inspect` says beforehand must be what then happens.
//!
//! For each cell an object is made ([`owners`]), a caller asks provost what it may do ([`ask`]) and then does it, and what
//! really happened is looked up without provost ([`look`]). [`judge`] compares; where provost says that something would not
//! work, the same is tried by other means, too ([`oracle`]).

mod ask;
mod callers;
mod cells;
mod judge;
mod look;
mod oracle;
mod owners;
mod processes;
mod table;
mod units;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::rig::{Result, Rig, words};
use crate::trial::Trials;
use cells::Cell;

/// What came of one cell.
struct Outcome {
    cell: Cell,
    /// `means verdict`, and how it ended.
    words: String,
    /// Nobody could say beforehand.
    unknown: bool,
    /// Everything that is needed to understand a false prediction.
    mismatch: Option<String>,
}

/// Cells that run at the same time: they mostly wait for each other's systemd and polkit.
const THREADS: usize = 6;

/// The longest of all trials.
pub fn register_first(trials: &mut Trials) {
    trials.exclusive("truth::with_helper", |rig| {
        prepare(rig)?;
        let (new, again) = (cells::all("helped", cells::HELPED), cells::all("help", cells::PAIRS));
        let _rules = callers::helper_rules(rig)?;
        rig.with_helper(|| {
            run(rig, "with the helper, what is new", new)?;
            run(rig, "with the helper, the first table", again)?;
            let none = cells::all("helpnopk", cells::NO_POLKIT);
            rig.without_polkit(|| run(rig, "with the helper, without polkit", none))
        })
    });
}

pub fn register(trials: &mut Trials) {
    trials.rig("truth::table", |rig| {
        prepare(rig)?;
        run(rig, "the truth table", cells::all("truth", cells::PAIRS))
    });
    trials.exclusive("truth::without_polkit", |rig| {
        prepare(rig)?;
        let (absent, masked) = (cells::all("nopk", cells::NO_POLKIT), cells::all("mask", cells::NO_POLKIT));
        rig.without_polkit(|| run(rig, "without polkit", absent))?;
        rig.with_polkit_masked(|| run(rig, "with polkit masked", masked))
    });
}

/// What all cells need: the users' own managers.
fn prepare(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    rig.linger("eve")
}

fn run(rig: &Rig, name: &str, cells: Vec<Cell>) -> Result<()> {
    let started = Instant::now();
    let _rules = callers::authorise(rig, &cells)?;
    let outcomes = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(cells.len()) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = judge::cell(rig, cell);
                    outcomes.lock().unwrap_or_else(|e| e.into_inner()).push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|e| e.into_inner());
    outcomes.sort_by_key(|o| o.cell.number);
    if let Err(e) = owners::remove_all(rig, &cells) {
        println!("left over: {}", words(&e));
    }
    table::print(name, &outcomes, started.elapsed())
}
