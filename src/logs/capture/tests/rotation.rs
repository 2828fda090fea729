//! New files, older ones compressed and removed, and what is read of all of them.

use std::fs;
use std::io::Read as _;

use super::*;
use crate::logs::Pattern;
use crate::logs::layout::numbers;
use crate::logs::read::Follow;
use crate::model::service::{Compression, LogSpec, Size, Span};

fn often() -> LogSpec {
    LogSpec { max_size: Size(4000), keep: 10_000, ..LogSpec::default() }
}

fn folder(places: &Places) -> std::path::PathBuf {
    places.logs.join("llm")
}

/// Whether all files but the newest are compressed, or empty.
fn is_tidy(places: &Places) -> bool {
    let newest = numbers(&folder(places)).unwrap().last().copied().unwrap_or(0);
    fs::read_dir(folder(places)).unwrap().all(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let number: Option<u64> = name.split('.').next().and_then(|number| number.parse().ok());
        let settled = name.ends_with(".gz") || entry.metadata().is_ok_and(|found| found.len() == 0);
        number.is_none_or(|number| number == newest || settled)
    })
}

/// Writes numbered lines, a few at a time; each fifth to standard error where `both`.
async fn write(service: &mut Service, count: std::ops::Range<u32>, both: bool) {
    for n in count {
        match both && n % 5 == 0 {
            true => service.err(&format!("{n} bad\n")),
            false => service.out(&format!("{n} {}\n", "words ".repeat(n as usize % 9))),
        }
        if n % 7 == 0 {
            while rustix::io::ioctl_fionread(&service.out).unwrap() + rustix::io::ioctl_fionread(&service.err).unwrap()
                > 0
            {
                tokio::task::yield_now().await;
            }
        }
    }
}

fn number_of(line: &Line) -> u32 {
    String::from_utf8_lossy(&line.text).split(' ').next().unwrap().parse().unwrap()
}

/// Some thousand lines in many files, all compressed but the last.
fn written(places: &Places, settings: &LogSpec, both: bool) {
    crate::logs::settle(places, &id(), settings, None).unwrap();
    local(async || {
        let capture = Capture::new(places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        write(&mut service, 0..3000, both).await;
        drop(service);
        capture.close(&id()).unwrap();
        until("all is compressed", || is_tidy(places)).await;
    });
}

#[test]
fn every_line_is_there_in_its_order_and_each_file_can_be_read_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    written(&places, &often(), false);
    let all = all(&places);
    assert!(all.iter().map(number_of).eq(0..3000));
    assert!(numbers(&folder(&places)).unwrap().len() > 10);
    for entry in fs::read_dir(folder(&places)).unwrap() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.unwrap().metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    every_tail(&places);
    let mut text = Vec::new();
    for number in numbers(&folder(&places)).unwrap() {
        let before = text.len();
        match fs::File::open(folder(&places).join(format!("{number}.out.gz"))) {
            Ok(file) => drop(flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap()),
            Err(_) => text.extend(fs::read(folder(&places).join(format!("{number}.out"))).unwrap()),
        }
        assert!(text.ends_with(b"\n"), "{number} ends within a line");
        assert!(text.len() - before < 8000, "{number} is too long");
    }
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 3000);
}

#[test]
fn queries_go_over_old_and_new_files() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    written(&places, &often(), true);
    let all = all(&places);
    let mut numbers: Vec<u32> = all.iter().map(number_of).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..3000));
    every_tail(&places);
    let grep = |text: &str| Some(Pattern::new(text, false).unwrap());
    let queries = [
        Query { grep: grep("^1..7 "), ..Query::default() },
        Query { grep: grep("^1.*5 bad$"), lines: Some(3), ..Query::default() },
        Query { since: Some(all[1000].at), until: Some(all[2000].at), ..Query::default() },
        Query { since: Some(all[1000].at), until: Some(all[2000].at), lines: Some(7), ..Query::default() },
        Query { until: Some(all[500].at), lines: Some(5), stderr: true, ..Query::default() },
        Query { until: Some(all[0].at - Duration::from_secs(1)), lines: Some(5), ..Query::default() },
        Query { since: Some(all[2999].at + Duration::from_secs(1)), ..Query::default() },
        Query { grep: grep("nobody wrote this"), lines: Some(1), ..Query::default() },
    ];
    for query in queries {
        let mut meant: Vec<&Line> = all.iter().filter(|line| query.means(line)).collect();
        meant.retain(|line| !query.stderr || line.stream == Stream::Err);
        let last = meant.len().saturating_sub(query.lines.unwrap_or(usize::MAX));
        let found = given(&places, &query);
        assert!(found.iter().eq(meant[last..].iter().copied()), "{query:?}: {:?}", words(&found));
    }
}

#[test]
fn who_follows_goes_on_in_the_next_file() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    // Older files go at once.
    crate::logs::settle(&places, &id(), &LogSpec { keep: 1, ..often() }, None).unwrap();
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut follow = Follow::new().unwrap();
        follow.add(&places, &id(), &Query::default()).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut run = capture.lines(&id()).unwrap();
        for begin in (0..3000).step_by(100) {
            write(&mut service, begin..begin + 100, false).await;
            for n in begin..begin + 100 {
                assert_eq!(number_of(&follow.next().await.unwrap().1), n);
                assert_eq!(number_of(&run.next().await.unwrap()), n);
            }
        }
        // One that is too slow gets what is there still, in order.
        let mut slow = Follow::new().unwrap();
        slow.add(&places, &id(), &Query { lines: Some(1), ..Query::default() }).unwrap();
        assert_eq!(number_of(&slow.next().await.unwrap().1), 2999);
        write(&mut service, 3000..6000, false).await;
        until("older files are removed", || numbers(&folder(&places)).unwrap()[0] > 10).await;
        let mut last = 2999;
        while last < 5999 {
            let next = number_of(&slow.next().await.unwrap().1);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    });
}

#[test]
fn files_are_followed_by_new_ones_after_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let settings = LogSpec { max_age: Span::millis(5), keep: 2, compress: Compression::None, ..LogSpec::default() };
    crate::logs::settle(&places, &id(), &settings, None).unwrap();
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut n = 0;
        while numbers(&folder(&places)).unwrap().last() != Some(&6) {
            write(&mut service, n..n + 1, false).await;
            n += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        until("two older ones are kept", || numbers(&folder(&places)).unwrap() == [4, 5, 6]).await;
        let all = all(&places);
        assert!(all.iter().map(number_of).eq(n - all.len() as u32..n), "{:?}", words(&all));
        assert!(!folder(&places).join("5.out.gz").exists());
    });
}

#[test]
fn what_an_interrupted_daemon_leaves_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    written(&places, &often(), false);
    let all_before = words(&all(&places));
    let path = |name: &str| folder(&places).join(name);
    // A file that was compressed, but is there still; one that was compressed in part; a next one that
    // had not begun.
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(path("2.out.gz")).unwrap()).read_to_end(&mut plain).unwrap();
    fs::write(path("2.out"), plain).unwrap();
    fs::copy(path("3.out.gz"), path("3.out.gz.new")).unwrap();
    let next = numbers(&folder(&places)).unwrap().last().unwrap() + 1;
    fs::write(path(&format!("{next}.out")), "").unwrap();
    fs::write(path(&format!("{next}.err")), "").unwrap();
    fs::write(path(&format!("{next}.index.new")), "cut").unwrap();
    assert_eq!(words(&all(&places)), all_before);
    every_tail(&places);
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        assert_eq!(words(&all(&places)), all_before);
        write(&mut service, 3000..6000, false).await;
        drop(service);
        capture.close(&id()).unwrap();
        let left = ["2.out", "3.out.gz.new"];
        until("it is finished", || left.iter().all(|name| !path(name).exists()) && is_tidy(&places)).await;
    });
    assert!(all(&places).iter().map(number_of).eq(0..6000));
}

#[test]
fn damaged_files_cost_what_is_damaged_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    written(&places, &often(), false);
    let whole = words(&all(&places));
    let damage = |name: &str, how: &dyn Fn(&mut Vec<u8>)| {
        let path = folder(&places).join(name);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        how(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let found = all(&places);
        for count in [1, 300, found.len() - 1] {
            let last = lines(&folder(&places), &Query { lines: Some(count), ..Query::default() });
            assert!(last == found[found.len() - count..], "the last {count}");
        }
        fs::write(&path, before).unwrap();
        (words(&found), found.iter().filter(|line| line.stream == Stream::Note).count())
    };
    let middle = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
    };
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    for how in [&middle as &dyn Fn(&mut Vec<u8>), &cut, &|bytes: &mut Vec<u8>| bytes.clear()] {
        let (found, notes) = damage("5.out.gz", how);
        let note = found.iter().position(|line| line.starts_with("note: ")).expect("it is said");
        assert!(notes == 1 && found[note].contains("5.out.gz is damaged"), "{}", found[note]);
        // What was before and behind it is there.
        assert_eq!(found[..note], whole[..note]);
        let behind = found.len() - note - 1;
        assert_eq!(found[note + 1..], whole[whole.len() - behind..]);
        assert!(found.len() + 300 > whole.len() && note > 100, "{} of {}", found.len(), whole.len());
        // The times of what an index says are lost with it, and nothing else.
        let (found, notes) = damage("5.index.gz", how);
        assert!(found == whole && notes == 0);
    }
}
