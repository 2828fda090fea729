//! The text of /proc/PID/stat and /proc/PID/status, and /proc/stat, as values; pure.
//!
//! A process chooses its comm, so nothing here trusts it: the fields of `stat` begin after the
//! *last* `)`, and in `status` a comm cannot begin a line, because the kernel escapes newlines.

use crate::model::{ProcState, Uids};

/// `PF_KTHREAD` of linux/sched.h in the flags, field 9.
const PF_KTHREAD: u32 = 0x0020_0000;

/// What is used of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Field 1.
    pub(crate) pid: u32,
    /// Field 2 without its parentheses.
    pub(crate) comm: String,
    /// Field 3, as far as it matters.
    pub(crate) state: ProcState,
    /// Field 4.
    pub(crate) ppid: u32,
    /// Field 5; 0 where the kernel says -1.
    pub(crate) pgid: u32,
    /// Field 6; 0 where the kernel says -1.
    pub(crate) sid: u32,
    /// From the flags in field 9.
    pub(crate) kernel_thread: bool,
    /// Field 22: clock ticks after boot.
    pub(crate) start_ticks: u64,
}

/// Field 52, the last: how a process ended that was not waited for yet, as in waitpid(2). 0 of one
/// that runs.
pub(crate) fn wait_status(line: &[u8]) -> Option<i32> {
    let close = line.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(49)?.parse().ok()
}

impl Stat {
    /// Reads the one line of the file; `None` if it is not one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|b| *b == b'(')?;
        let close = line.iter().rposition(|b| *b == b')')?;
        let pid = std::str::from_utf8(line.get(..open)?).ok()?.trim().parse().ok()?;
        let comm = unescape(line.get(open + 1..close)?);
        let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
        // Index 0 is field 3 of the manual page.
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
        let id = |i: usize| fields.get(i)?.parse::<i64>().ok().map(|n| u32::try_from(n).unwrap_or(0));
        let threads: i64 = fields.get(17)?.parse().ok()?;
        let state = match *fields.first()? {
            // The first thread has ended, others run on: the process has not ended.
            "Z" if threads > 1 => ProcState::Alive,
            "Z" | "X" | "x" => ProcState::Zombie,
            "D" => ProcState::Uninterruptible,
            _ => ProcState::Alive,
        };
        Some(Self {
            pid,
            comm,
            state,
            ppid: id(1)?,
            pgid: id(2)?,
            sid: id(3)?,
            kernel_thread: fields.get(6)?.parse::<u32>().ok()? & PF_KTHREAD != 0,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The kernel writes a newline in a comm as `\n` and a backslash as `\\`, and nothing else.
fn unescape(comm: &[u8]) -> String {
    let mut out = Vec::with_capacity(comm.len());
    let mut bytes = comm.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        let real = match (b, bytes.peek()) {
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b'\\')) => Some(b'\\'),
            _ => None,
        };
        out.push(real.unwrap_or(b));
        if real.is_some() {
            bytes.next();
        }
    }
    lossy(&out)
}

/// Text of a process, leniently: what is not UTF-8 becomes U+FFFD.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is used of /proc/PID/status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// The user ids.
    pub(crate) uids: Uids,
    /// The process that a thread belongs to: another number than the one that was asked for
    /// means that it is a thread's.
    pub(crate) tgid: u32,
}

impl Status {
    /// Reads the file; `None` if it lacks one of the lines.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let numbers = |key: &[u8]| {
            let line = content.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(key))?;
            let text = std::str::from_utf8(line).ok()?;
            text.split_ascii_whitespace().map(|n| n.parse::<u32>().ok()).collect::<Option<Vec<_>>>()
        };
        let uids = match numbers(b"Uid:")?[..] {
            [real, effective, saved, ..] => Uids { real, effective, saved },
            _ => return None,
        };
        Some(Self { uids, tgid: *numbers(b"Tgid:")?.first()? })
    }
}

/// Splits a NUL-separated file (cmdline, environ). Titles that a process writes over its own
/// arguments are padded with NULs, so empty strings at the end are dropped.
pub(crate) fn nul_separated(content: &[u8]) -> Vec<String> {
    words(unpadded(content))
}

/// The most that is kept of a command line, in bytes and in words: each word costs an allocation
/// of its own, and a process may have a hundred thousand.
const KEPT_BYTES: usize = 4096;
const KEPT_WORDS: usize = 256;

/// A command line as it is kept: its beginning, whose last word ends with `…` where more follows.
pub(crate) fn command_line(content: &[u8]) -> Vec<String> {
    let whole = unpadded(content);
    let nuls = whole.iter().enumerate().filter(|(_, b)| **b == 0);
    let mut end = nuls.map(|(at, _)| at).nth(KEPT_WORDS - 1).unwrap_or(whole.len()).min(KEPT_BYTES);
    // Not within a character of UTF-8, which has three such bytes at most.
    for _ in 0..3 {
        end -= usize::from(end > 0 && whole.get(end).is_some_and(|b| b & 0xc0 == 0x80));
    }
    let mut kept = words(whole.get(..end).unwrap_or(whole));
    if end < whole.len()
        && let Some(last) = kept.last_mut()
    {
        last.push('…');
    }
    kept
}

fn unpadded(content: &[u8]) -> &[u8] {
    let end = content.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    content.get(..end).unwrap_or_default()
}

fn words(content: &[u8]) -> Vec<String> {
    if content.is_empty() { Vec::new() } else { content.split(|b| *b == 0).map(lossy).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str = "4 5 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 9";

    #[test]
    fn fields_begin_after_the_last_parenthesis() {
        for (comm, reads) in [("sleep", "sleep"), ("a) R 1 (", "a) R 1 ("), (")", ")"), ("", ""), (r"x\n\\y", "x\n\\y")]
        {
            let stat = Stat::parse(format!("77 ({comm}) S {REST}\n").as_bytes()).unwrap();
            assert_eq!((stat.pid, stat.comm.as_str()), (77, reads));
            assert_eq!((stat.ppid, stat.pgid, stat.sid, stat.start_ticks), (4, 5, 6, 12345));
            assert!(!stat.kernel_thread);
        }
        let stat = Stat::parse(&[b"1 (\xff\xfe) D ", REST.as_bytes()].concat()).unwrap();
        assert_eq!((stat.comm.as_str(), stat.state), ("\u{fffd}\u{fffd}", ProcState::Uninterruptible));
    }

    #[test]
    fn states_and_kernel_threads() {
        let parse = |text: &str| Stat::parse(text.as_bytes()).unwrap();
        assert_eq!(parse(&format!("1 (x) Z {REST}")).state, ProcState::Zombie);
        let running = REST.replace(" 0 1 0 ", " 0 3 0 ").replace(" 20 0 1 ", " 20 0 3 ");
        assert_eq!(parse(&format!("1 (x) Z {running}")).state, ProcState::Alive, "other threads run");
        let kernel = parse("2 (kthreadd) S 0 -1 -1 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 8 0 0");
        assert!(kernel.kernel_thread);
        assert_eq!((kernel.pgid, kernel.sid), (0, 0));
    }

    #[test]
    fn status() {
        let status = Status::parse(b"Name:\tx\nTgid:\t9\nUid:\t1000\t0\t33\t0\nGid:\t1\t1\t1\t1\n").unwrap();
        assert_eq!(status, Status { uids: Uids { real: 1000, effective: 0, saved: 33 }, tgid: 9 });
        assert_eq!(Status::parse(b"Name:\tx\nUid:\t1\n"), None);
    }

    #[test]
    fn command_lines() {
        assert_eq!(nul_separated(b"a\0b c\0\0d\0"), ["a", "b c", "", "d"]);
        assert_eq!(nul_separated(b"nginx: worker\0\0\0\0"), ["nginx: worker"]);
        assert!(nul_separated(b"").is_empty() && nul_separated(b"\0\0").is_empty());
    }

    #[test]
    fn of_a_long_command_line_the_beginning_is_kept() {
        let short = b"a\0b c\0\0d\0\0";
        assert_eq!(command_line(short), nul_separated(short));
        let many = command_line(&b"a\0".repeat(130_000));
        assert_eq!((many.len(), many[0].as_str(), many[255].as_str()), (256, "a", "a…"));
        let all = command_line(&b"a\0".repeat(256));
        assert_eq!((all.len(), all[255].as_str()), (256, "a"), "nothing is left out");
        let long = command_line(&[b"x\0", "ä".repeat(200_000).as_bytes()].concat());
        assert_eq!(long, ["x".to_owned(), format!("{}…", "ä".repeat(2047))]);
        assert_eq!(command_line(&[b'x'; 4096])[0].len(), 4096);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Stat::parse(&bytes), Status::parse(&bytes), nul_separated(&bytes));
            prop_assert_eq!(command_line(&bytes).len(), nul_separated(&bytes).len().min(KEPT_WORDS));
        }

        #[test]
        fn a_command_line_is_kept_small(bytes in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 3900..4400)) {
            let kept = command_line(&bytes);
            prop_assert!(kept.len() <= KEPT_WORDS);
            // A byte that is no UTF-8 takes three in its place.
            prop_assert!(kept.iter().map(String::len).sum::<usize>() <= 3 * KEPT_BYTES + '…'.len_utf8());
        }

        #[test]
        fn no_comm_moves_a_field(comm in proptest::collection::vec(any::<u8>(), 0..16), tail in "[ -~]{0,80}") {
            let line = [b"77 (", &comm[..], b") S ", REST.as_bytes()].concat();
            prop_assert_eq!(Stat::parse(&line).map(|s| (s.pid, s.ppid, s.start_ticks)), Some((77, 4, 12345)));
            let _ = Stat::parse(format!("1 (x) {tail}").as_bytes());
            let _ = Status::parse(format!("Uid:{tail}\nTgid:{tail}").as_bytes());
        }
    }
}
