//! SIGKILL at random moments to who captures, while a service writes: no line is lost, none is
//! doubled, none is torn.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use crate::model::service::{Ansi, LogSpec, Size};

/// In the environment: the folders of the one that is killed.
const PLACES: &str = "PROVOST_TEST_CAPTURE";
/// In the environment: how often, instead of `FEW`.
const KILLS: &str = "PROVOST_TEST_KILLS";
const FEW: u32 = 30;

/// Small, and the same on every machine; good enough to be irregular.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % (most + 1)
    }
}

/// The one that is killed: not a test, but a program that is in this binary.
#[test]
fn captures_until_it_is_killed() {
    let Ok(places) = std::env::var(PLACES) else { return };
    let places = Places::below(Path::new(&places));
    local(async || {
        let capture = Capture::new(&places).unwrap();
        capture.resume(&id()).unwrap();
        std::future::pending::<()>().await;
    });
}

/// Numbered lines of all lengths, some longer than what a pipe takes as one, in writes that begin
/// and end within lines.
fn write_lines(mut to: File, seed: u64, done: &AtomicBool) -> (u64, u64) {
    let mut dice = Dice(seed);
    let (mut written, mut bytes, mut text) = (0, 0, Vec::new());
    while !done.load(Ordering::Relaxed) {
        for _ in 0..=dice.up_to(20) {
            let most = if dice.up_to(50) == 0 { 9000 } else { 150 };
            let filling = usize::try_from(dice.up_to(most)).unwrap();
            let colour = if dice.up_to(3) == 0 { "\x1b[31m" } else { "" };
            writeln!(text, "{colour}{written} {colour}{filling} {}", "x".repeat(filling)).unwrap();
            written += 1;
        }
        let now = usize::try_from(dice.up_to(text.len() as u64)).unwrap();
        to.write_all(&text[..now]).unwrap();
        text.drain(..now);
        bytes += now as u64;
        if dice.up_to(3) == 0 {
            std::thread::sleep(Duration::from_micros(dice.up_to(2000)));
        }
    }
    to.write_all(&text).unwrap();
    (written, bytes + text.len() as u64)
}

#[test]
fn no_line_is_lost_doubled_or_torn_by_sigkill() {
    sigkill(&LogSpec::default());
}

#[test]
fn nor_in_the_middle_of_a_rotation_or_a_compression() {
    let often = LogSpec { max_size: Size(30_000), keep: 100_000, keep_size: Size(1 << 40), ..LogSpec::default() };
    sigkill(&often);
}

#[test]
fn nor_on_its_way_into_a_form() {
    let form =
        LogSpec { max_line: Size(200), ansi: Ansi::Strip, max_size: Size(100_000), keep: 10_000, ..LogSpec::default() };
    sigkill(&form);
}

fn sigkill(settings: &LogSpec) {
    let kills = std::env::var(KILLS).map_or(FEW, |kills| kills.parse().expect("a number"));
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    crate::logs::settle(&places, &id(), settings, None).unwrap();
    let service = local(async || Service::from(Capture::new(&places).unwrap().open(&id()).unwrap()));
    // Alive until the last one has begun: what nobody holds open is gone.
    let alive = [&service.out, &service.err].map(|end| end.try_clone().unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let writers = [(service.out, 1), (service.err, 2)].map(|(to, seed)| {
        let done = Arc::clone(&done);
        std::thread::spawn(move || write_lines(to, seed, &done))
    });
    let mut dice = Dice(u64::from(std::process::id()));
    let folder = places.logs.join("llm");
    let length = || {
        let newest = crate::logs::layout::numbers(&folder).unwrap().last().copied().unwrap_or(0);
        (newest, std::fs::metadata(folder.join(format!("{newest}.index"))).map_or(0, |found| found.len()))
    };
    let mut moved = 0;
    for _ in 0..kills {
        let before = length();
        let mut killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logs::capture::tests::kills::captures_until_it_is_killed", "--nocapture"])
            .env(PLACES, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It has begun, or is about to: what it leaves the next one may be at any point.
        let begun = Instant::now();
        while length() == before && begun.elapsed() < Duration::from_millis(5 + dice.up_to(100)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(dice.up_to(20_000)));
        killed.kill().unwrap();
        killed.wait().unwrap();
        moved += u32::from(length() != before);
    }
    done.store(true, Ordering::Relaxed);
    let written = local(async || {
        let capture = Capture::new(&places).unwrap();
        capture.resume(&id()).unwrap();
        drop(alive);
        while !writers.iter().all(std::thread::JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        capture.close(&id()).unwrap();
        writers.map(|writer| writer.join().unwrap())
    });
    let strip = settings.ansi == Ansi::Strip;
    assert!(strip || kept(&places) == written.map(|(_, bytes)| bytes), "{:?} bytes of {written:?}", kept(&places));
    let written = written.map(|(lines, _)| lines);
    let mut next = [0, 0];
    // Of parts, those that follow belong to the last one of their stream.
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut last = [0, 0];
    for line in all(&places) {
        let of = usize::from(line.stream == Stream::Err);
        let text = String::from_utf8(line.text).unwrap();
        assert!(!strip || text.len() <= 200 && !text.contains('\x1b'), "{text}");
        match text.strip_prefix('…').filter(|_| strip) {
            Some(rest) => lines[last[of]].1.push_str(rest),
            None => {
                last[of] = lines.len();
                lines.push((of, text.replace("\x1b[31m", "")));
            }
        }
    }
    for (of, text) in lines {
        let [number, filling, rest] = text.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("a torn line");
        assert_eq!(number.parse(), Ok(next[of]), "{of}: {number} comes after {}", next[of]);
        assert_eq!(filling.parse(), Ok(rest.len()), "line {number} is torn");
        next[of] += 1;
    }
    assert_eq!(next, written);
    let segments = crate::logs::layout::numbers(&folder).unwrap();
    assert!(segments.len() as u64 == segments[segments.len() - 1], "{segments:?}");
    assert!(segments.len() > 5 || settings.max_size.0 > 1 << 20, "{segments:?}");
    eprintln!(
        "{kills} kills ({moved} of those had moved something), {written:?} lines, none lost, doubled or torn in {} files",
        segments.len()
    );
    assert!(moved * 2 > kills, "most were killed before they had begun");
}
