//! A full disk, many services, much output.

use std::time::Instant;

use crate::logs::layout::Side;
use crate::logs::read::Follow;
use rustix::fs::OFlags;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::*;

#[test]
fn a_full_disk_drops_and_says_how_much() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root, and nobody else can mount a disk to fill: skipped");
        return;
    }
    // Mounted for this thread alone; gone with it.
    let test = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let dir = tempfile::tempdir().unwrap();
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), c"size=256k").unwrap();
        fill(&Places::below(dir.path()));
    });
    test.join().unwrap();
}

fn fill(places: &Places) {
    let ballast = places.state.join("ballast");
    let data = places.logs.join("llm/1.out");
    let mut sent = Vec::new();
    local(async || {
        let capture = Capture::new(places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut run = capture.lines(&id()).unwrap();
        let mut write = async |text: String| {
            sent.extend_from_slice(text.as_bytes());
            service.out(&text);
            // Until the pipe is empty.
            while rustix::io::ioctl_fionread(&service.out).unwrap() > 0 {
                tokio::task::yield_now().await;
            }
        };
        for n in 0..100 {
            write(format!("before {n}\n")).await;
        }
        std::fs::write(&ballast, vec![0; 190 << 10]).unwrap();
        // The service is not kept waiting, however much it writes.
        for n in 0..2000 {
            write(format!("during {n} {}\n", "x".repeat(400))).await;
        }
        write("torn ".to_owned()).await;
        std::fs::remove_file(&ballast).unwrap();
        write("line\nafter 0\nafter".to_owned()).await;
        write(" 1\n".to_owned()).await;
        loop {
            if run.next().await.unwrap().text == b"after 1" {
                break;
            }
        }
        capture.close(&id()).unwrap();
    });
    let found = all(places);
    let lost: u64 = found.iter().filter(|line| line.stream == Stream::Note).map(|line| number(&line.text)).sum();
    let kept = std::fs::metadata(&data).unwrap().len();
    assert_eq!(lost + kept, sent.len() as u64, "{kept} kept, {lost} said to be lost");
    assert!(lost > 500_000 && kept > 2000);
    every_tail(places);
    let words = words(&found);
    assert_eq!(words[..100], (0..100).map(|n| format!("out: before {n}")).collect::<Vec<_>>()[..]);
    assert_eq!(words[words.len() - 2..], ["out: after 0", "out: after 1"]);
    // The rest of a line whose beginning is lost is no line.
    assert!(!words.contains(&"out: line".to_owned()));
    // One line was cut by the end of the disk, and stands right before the note.
    let whole = |word: &str| word.starts_with("note: ") || word.len() > 400 || !word.starts_with("out: during");
    let cut: Vec<usize> = (0..words.len()).filter(|at| !whole(&words[*at])).collect();
    assert!(cut.len() <= 1 && cut.iter().all(|at| words[at + 1].starts_with("note: ")), "{cut:?}");
    let mut numbers = words.iter().filter_map(|word| word.strip_prefix("out: during "));
    assert!(numbers.by_ref().enumerate().all(|(at, word)| word.split(' ').next() == Some(&at.to_string())));
}

fn number(note: &[u8]) -> u64 {
    let note = String::from_utf8_lossy(note);
    note.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{note}"))
}

/// `cargo test --release --lib much_output -- --ignored --nocapture`, and TMPDIR for where.
#[test]
#[ignore = "measures"]
fn much_output() {
    const MUCH: usize = 512 << 20;
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let line = format!("{}\n", "x".repeat(99)).repeat(327);
        let begun = Instant::now();
        let writer = std::thread::spawn(move || {
            for _ in 0..MUCH / line.len() {
                service.out(&line);
            }
            line.len() * (MUCH / line.len())
        });
        while !writer.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let sent = writer.join().unwrap();
        capture.close(&id()).unwrap();
        let (taken, cpu) = (begun.elapsed().as_secs_f64(), thread_seconds());
        let kept = std::fs::metadata(places.logs.join("llm/1.out")).unwrap().len();
        assert_eq!(kept, sent as u64);
        let mib = sent as f64 / f64::from(1 << 20);
        eprintln!("{mib:.0} MiB in {taken:.2} s: {:.0} MiB/s, {:.0} a CPU second", mib / taken, mib / cpu);
        let begun = Instant::now();
        let mut reader = read(&crate::logs::folder(&places, &id()), &Query::default()).unwrap().unwrap();
        let mut count = 0;
        while reader.next().unwrap().is_some() {
            count += 1;
        }
        eprintln!("{count} lines read in {:.2} s", begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let query = Query { lines: Some(20), ..Query::default() };
        assert_eq!(lines(&crate::logs::folder(&places, &id()), &query).len(), 20);
        eprintln!("the last 20 in {:?}", begun.elapsed());
    });
}

/// The CPU time of this thread.
fn thread_seconds() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// `cargo test --release --lib many_services -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn many_services() {
    const MANY: usize = 5000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let ids: Vec<ServiceId> = (0..MANY).map(|n| format!("s{n}").parse().unwrap()).collect();
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut before = resident();
        for quarter in ids.chunks(MANY / 4) {
            let begun = Instant::now();
            // The other ends are with the services, and not in this process.
            quarter.iter().for_each(|id| drop(capture.open(id).unwrap()));
            let (now, taken) = (resident(), begun.elapsed());
            let each = taken / u32::try_from(quarter.len()).unwrap();
            eprintln!("opened in {each:?} each, {} bytes each", (now - before) * 1024 / quarter.len() as u64);
            before = now;
        }
        let open = |id: &ServiceId, side| {
            let path = crate::logs::capture::fifo::path(&places, id, side);
            File::from(crate::logs::capture::fifo::open(&places, &path, OFlags::empty()).unwrap())
        };
        let open = |id: &ServiceId| Service { out: open(id, Side::Out), err: open(id, Side::Err) };
        let mut service = open(&ids[MANY / 2]);
        let mut follow = Follow::new().unwrap();
        follow.add(&places, &ids[MANY / 2], &Query::default()).unwrap();
        let cpu = thread_seconds();
        for n in 0..1000 {
            service.out(&format!("{n}\n"));
            assert_eq!(follow.next().await.unwrap().1.text, n.to_string().into_bytes());
        }
        eprintln!("{:.1} us of CPU for a line, from the pipe to its follower", (thread_seconds() - cpu) * 1e3);
        for id in &ids {
            let mut service = open(id);
            service.out("x\n");
            service.err("y\n");
            capture.close(id).unwrap();
        }
    });
    for id in &ids {
        let mut found = words(&lines(&crate::logs::folder(&places, id), &Query { lines: Some(2), ..Query::default() }));
        found.sort();
        assert_eq!(found, ["err: y", "out: x"]);
    }
}

/// KiB of memory of its own.
fn resident() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
