//! Clients that send rubbish, say nothing, or read nothing.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::message::Message;

use super::super::PATH;
use super::stand_in::{StandIn, event};
use super::{control, run};

const LONG: Duration = Duration::from_secs(60);

async fn greeted(daemon: &StandIn) -> UnixStream {
    let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
    stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").await.unwrap();
    let mut lines = Vec::new();
    while lines.iter().filter(|b| **b == b'\n').count() < 2 {
        assert_ne!(stream.read_buf(&mut lines).await.unwrap(), 0);
    }
    assert!(lines.starts_with(b"DATA\r\nOK "));
    stream
}

/// Whatever was sent, the daemon answers others, and as fast as ever.
async fn answers(daemon: &StandIn) {
    let listed = timeout(LONG, async { control(daemon).await.list(&[], None, false).await });
    assert_eq!(listed.await.expect("an answer in time").unwrap().len(), 1);
}

/// Reads until the daemon has ended the connection.
async fn ended(stream: &mut UnixStream) {
    let mut buffer = vec![0; 64 << 10];
    let end = async { while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
    timeout(LONG, end).await.expect("the daemon ends the connection");
}

/// Waits until the daemon has ended the connection, and reads nothing of what it was sent.
async fn hung_up(stream: &UnixStream) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stream = std::os::fd::AsFd::as_fd(stream).try_clone_to_owned().unwrap();
    let wait = move || {
        let mut fds = [PollFd::new(&stream, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap()
    };
    assert_eq!(tokio::task::spawn_blocking(wait).await.unwrap(), 1, "the daemon ends the connection");
}

fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn list() -> Message {
    let body = (Vec::<&str>::new(), "", false);
    Message::method_call(PATH, "List").interface("org.provost.Provost1.Manager").build(&body).unwrap()
}

#[test]
fn ten_thousand_calls_of_rubbish_are_answered_with_errors() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let stream = greeted(&daemon).await;
        let (mut read, mut write) = stream.into_split();
        let reading = async {
            let (mut answers, mut buffer) = (0, Vec::new());
            while answers < 10_000 {
                assert_ne!(read.read_buf(&mut buffer).await.unwrap(), 0);
                while let Some(length) = super::super::peer::message_length(&buffer).filter(|n| *n <= buffer.len()) {
                    assert_eq!(buffer[1], 3, "an error");
                    buffer.drain(..length);
                    answers += 1;
                }
            }
        };
        let writing = async {
            let paths = ["/", "/x/y", PATH, "/org/provost/Provost1/service/zz", "/org/provost/Provost1/service/_"];
            let interfaces = ["a.b", "org.provost.Provost1.Manager", "org.freedesktop.DBus.Properties"];
            for n in 0..10_000usize {
                let call = Message::method_call(paths[n % 5], format!("Rubbish{n}"));
                let call = call.interface(interfaces[n % 3]);
                let call =
                    if n % 2 == 0 { call.build(&"x".repeat(n % 3000)) } else { call.build(&(n as u64, vec![1u8])) };
                write.write_all(call.unwrap().data()).await.unwrap();
            }
        };
        timeout(LONG, async { tokio::join!(reading, writing) }).await.unwrap();
        answers(&daemon).await;
    });
}

#[test]
fn a_client_that_says_nothing_is_dropped() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let mut silent = UnixStream::connect(&daemon.socket).await.unwrap();
        answers(&daemon).await;
        ended(&mut silent).await;
        answers(&daemon).await;
    });
}

#[test]
fn a_flood_of_connections_is_turned_away() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let mut held = Vec::new();
        for _ in 0..256 {
            held.push(greeted(&daemon).await);
        }
        let mut one_more = UnixStream::connect(&daemon.socket).await.unwrap();
        ended(&mut one_more).await;
        held.clear();
        // Those that have ended make room, as soon as the daemon has seen it.
        let room = async {
            loop {
                match crate::control::Control::connect_to(&daemon.socket).await {
                    Ok(Some(_)) => return,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        timeout(LONG, room).await.unwrap();
        answers(&daemon).await;
    });
}

#[test]
fn a_client_that_reads_no_answers_is_dropped_and_holds_nobody_up() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let mut stream = greeted(&daemon).await;
        let before = memory();
        let call = list();
        // Until the daemon reads no more: nothing it holds grows.
        let mut sent = 0;
        while timeout(Duration::from_millis(300), stream.write_all(call.data())).await.is_ok_and(|w| w.is_ok()) {
            sent += 1;
        }
        assert!(sent < 20_000, "{sent} calls were taken");
        answers(&daemon).await;
        assert!(memory().saturating_sub(before) < 32 << 20, "{} bytes more", memory() - before);
        hung_up(&stream).await;
        answers(&daemon).await;
    });
}

#[test]
fn a_client_that_reads_no_signals_is_dropped_and_others_get_them_all() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let mut stream = greeted(&daemon).await;
        let subscribe = Message::method_call(PATH, "Subscribe").interface("org.provost.Provost1.Manager").build(&());
        stream.write_all(subscribe.unwrap().data()).await.unwrap();
        let control = control(&daemon).await;
        let mut events = control.events().await.unwrap();
        let before = memory();
        let text = "x".repeat(1000);
        for seq in 0..20_000 {
            daemon.events.send(event(seq, "a", &text)).unwrap();
            let got = timeout(LONG, events.next()).await.unwrap().expect("the one that reads gets all").event();
            assert_eq!(got.seq, seq);
        }
        assert!(memory().saturating_sub(before) < 32 << 20, "{} bytes more", memory() - before);
        hung_up(&stream).await;
        answers(&daemon).await;
    });
}

#[test]
fn messages_that_are_too_long_end_their_connection_and_take_no_memory() {
    run(async {
        let daemon = StandIn::start(&["a"]);
        let before = memory();
        for body in [u32::MAX, 128 << 20, 17 << 20] {
            let mut header = list().data()[..16].to_vec();
            header[4..8].copy_from_slice(&body.to_le_bytes());
            let mut stream = greeted(&daemon).await;
            stream.write_all(&header).await.unwrap();
            ended(&mut stream).await;
        }
        // Announced and never sent, by many: one budget for all.
        let mut held = Vec::new();
        for _ in 0..50 {
            let mut header = list().data()[..16].to_vec();
            header[4..8].copy_from_slice(&(15u32 << 20).to_le_bytes());
            let mut stream = greeted(&daemon).await;
            stream.write_all(&header).await.unwrap();
            held.push(stream);
        }
        answers(&daemon).await;
        assert!(memory().saturating_sub(before) < 64 << 20, "{} bytes more", memory() - before);
    });
}

/// Bytes of a real greeting and a real call, with some changed: deeper in than noise gets.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let mut bytes = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".to_vec();
    let greeting = bytes.len();
    bytes.extend_from_slice(list().data());
    let change = (0..bytes.len(), any::<u8>());
    let changes = prop::collection::vec(change, 0..6);
    (changes, any::<bool>()).prop_map(move |(changes, keep)| {
        let mut bytes = bytes.clone();
        for (at, byte) in changes {
            if !keep || at >= greeting {
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn no_bytes_end_the_daemon(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 16),
        near in prop::collection::vec(nearly(), 64),
    ) {
        run(async {
            let daemon = StandIn::start(&["a"]);
            for bytes in noise.iter().chain(&near).chain([&b"\n".to_vec(), &b"\0\n".to_vec(), &b"\r\n".to_vec()]) {
                let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
                stream.write_all(bytes).await.unwrap();
                stream.shutdown().await.unwrap();
                ended(&mut stream).await;
            }
            answers(&daemon).await;
        });
    }
}
