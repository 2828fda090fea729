//! The signals that the helper sends, as data.

use super::HelperError;
use crate::model::{Ladder, Signal};

/// Those by which programs are controlled. Left out is what the kernel says of faults (SEGV, BUS,
/// ILL, FPE, TRAP, SYS), of timers, limits, terminals and children (ALRM, XCPU, PIPE, CHLD, URG, IO,
/// TTIN, PWR …), because programs believe it; and the realtime ones, whose meaning is each
/// program's own (of PID 1 and init-like programs: halt, reboot).
const ALLOWED: [i32; 11] = [
    1,  // HUP: read the configuration again
    2,  // INT: end, as by Ctrl-C
    3,  // QUIT: end and leave a core
    6,  // ABRT: the same, what watchdogs send
    9,  // KILL
    10, // USR1: the program's own
    12, // USR2: the program's own
    15, // TERM
    18, // CONT
    19, // STOP
    28, // WINCH: by custom, a graceful end (nginx, httpd)
];

/// The most rungs of a ladder, and the longest that it may take.
const RUNGS: usize = 8;
const LONGEST: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// A signal by its number, if it is one of ours.
pub(crate) fn allowed(number: i32) -> Result<Signal, HelperError> {
    let signal =
        Signal::from_number(number).ok_or_else(|| HelperError::InvalidArgs(format!("there is no signal {number}")))?;
    permitted(signal).map(|()| signal)
}

fn permitted(signal: Signal) -> Result<(), HelperError> {
    if ALLOWED.contains(&signal.number()) {
        return Ok(());
    }
    let list: Vec<String> = ALLOWED.iter().filter_map(|n| Signal::from_number(*n)).map(|s| s.to_string()).collect();
    Err(HelperError::NotPermitted(format!("the helper sends no {signal}, only {}", list.join(", "))))
}

/// A ladder as it is written in a config, if each of its signals is one of ours.
pub(super) fn ladder(text: &str) -> Result<Ladder, HelperError> {
    // Before it is read: it comes from anybody.
    if text.len() > 256 {
        return Err(HelperError::InvalidArgs("a ladder of more than 256 bytes".to_owned()));
    }
    let ladder: Ladder = text.parse().map_err(|e: crate::model::Malformed| HelperError::InvalidArgs(e.to_string()))?;
    let waits = ladder.0.iter().try_fold(std::time::Duration::ZERO, |sum, rung| sum.checked_add(rung.wait));
    if ladder.0.len() > RUNGS || waits.is_none_or(|sum| sum > LONGEST) {
        return Err(HelperError::InvalidArgs("a ladder has at most 8 signals, and takes at most an hour".to_owned()));
    }
    ladder.0.iter().try_for_each(|rung| permitted(rung.signal))?;
    Ok(ladder)
}

/// The signals of a ladder by their names, each once, in their order: polkit is asked about each.
pub(super) fn names(ladder: &Ladder) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for rung in &ladder.0 {
        let name = rung.signal.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_list_is_not_sent() {
        for number in [1, 9, 15, 18, 28] {
            assert_eq!(allowed(number).unwrap().number(), number);
        }
        for number in [4, 7, 8, 11, 13, 14, 17, 30, 34, 64] {
            assert!(matches!(allowed(number), Err(HelperError::NotPermitted(_))), "{number}");
        }
        for number in [0, -1, -15, 32, 65, i32::MAX, i32::MIN] {
            assert!(matches!(allowed(number), Err(HelperError::InvalidArgs(_))), "{number}");
        }
    }

    #[test]
    fn ladders_are_bounded() {
        let names = names(&ladder("TERM:3s,INT:3s,TERM:1s,KILL").unwrap());
        assert_eq!(names, ["SIGTERM", "SIGINT", "SIGKILL"]);
        for wrong in ["", "SEGV", "TERM:2h,KILL", "TERM,SEGV", "TERM:9999999999999years"] {
            assert!(ladder(wrong).is_err(), "{wrong}");
        }
        assert!(ladder(&["TERM"; 9].join(",")).is_err());
        assert!(ladder(&"TERM,".repeat(1000)).is_err());
        // Displayed and read again it is the same.
        assert_eq!(ladder("SIGTERM:5s,SIGKILL").unwrap(), Ladder::default());
    }
}
