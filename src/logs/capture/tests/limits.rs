//! A full disk, many services, much output.

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::*;
use crate::model::service::{Ansi, Compression, LogSpec, Size};

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
        drop(dir);
        // The same with new files all the time.
        let dir = tempfile::tempdir().unwrap();
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), c"size=256k").unwrap();
        let places = Places::below(dir.path());
        let often = LogSpec { max_size: Size(8000), keep: 1000, compress: Compression::None, ..LogSpec::default() };
        crate::logs::settle(&places, &id(), &often, None).unwrap();
        fill(&places);
        assert!(crate::logs::layout::numbers(&places.logs.join("llm")).unwrap().len() > 2);
        drop(dir);
        // And of what is put in form.
        for settings in [LogSpec::default(), often] {
            let dir = tempfile::tempdir().unwrap();
            mount("none", dir.path(), "tmpfs", MountFlags::empty(), c"size=256k").unwrap();
            let places = Places::below(dir.path());
            let settings = LogSpec { ansi: Ansi::Strip, ..settings };
            crate::logs::settle(&places, &id(), &settings, None).unwrap();
            fill(&places);
        }
    });
    test.join().unwrap();
}

fn fill(places: &Places) {
    let ballast = places.state.join("ballast");
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
    let kept = kept(places)[0];
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
