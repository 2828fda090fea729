//! Clients of the control socket that send rubbish, say nothing or read nothing, against the program itself: it goes on,
//! in little memory, and nothing in it panics.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::hosted::Hosted;
use crate::rig::Result;
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("rubbish::bytes", bytes);
    trials.plain("rubbish::silence", silence);
    trials.plain("rubbish::nothing_read", nothing_read);
}

pub const GREETING: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/// The daemon answers in time, has not panicked, and is no larger than it was by more than this.
fn well(daemon: &mut Hosted, before: u64) -> Result<()> {
    let since = Instant::now();
    daemon.ok(&["daemon", "status"])?;
    expect!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    expect!(daemon.is_running() && !daemon.log().contains("panicked"), "{}", daemon.log());
    let now = daemon.status("VmRSS")?;
    expect!(now < before + 48 * 1024, "{now} KiB, {before} before");
    Ok(())
}

/// Noise, noise after a greeting, and messages cut at every byte or with one byte changed.
fn bytes() -> Result<()> {
    let mut daemon = Hosted::start(&["--sim"])?;
    let before = daemon.status("VmRSS")?;
    let message = list();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let send = |bytes: &[u8]| -> Result<()> {
        let mut stream = daemon.connect()?;
        // It may be dropped before all of it is taken.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err("it is not dropped".into()),
            _ => Ok(()),
        }
    };
    for lines in [&b"\n"[..], b"\0\n", b"\r\n", b"\0\r\n\r\n", b"\0AUTH\r\n", b"\0BEGIN\r\n", b"GET / HTTP/1.1\r\n\r\n"]
    {
        send(lines)?;
    }
    send(&[b'x'; 100_000])?;
    for n in 0..3000 {
        let noise: Vec<u8> = (0..next() % 300).map(|_| next() as u8).collect();
        match n % 3 {
            0 => send(&noise)?,
            1 => send(&[GREETING, &noise].concat())?,
            _ => {
                let mut changed = message.clone();
                let at = next() as usize % changed.len();
                changed[at] = next() as u8;
                send(&[GREETING, &message, &changed, &message].concat())?;
            }
        }
    }
    for cut in 0..message.len() {
        send(&[GREETING, &message[..cut]].concat())?;
    }
    well(&mut daemon, before)
}

/// More silent clients than there may be are turned away, and dropped when their time is over.
fn silence() -> Result<()> {
    let mut daemon = Hosted::start(&["--sim"])?;
    let before = daemon.status("VmRSS")?;
    let mut silent: Vec<UnixStream> = (0..300).map(|_| daemon.connect()).collect::<Result<_>>()?;
    for stream in &mut silent {
        let read = stream.read(&mut [0; 16]);
        expect!(read.as_ref().is_ok_and(|n| *n == 0), "{read:?}");
    }
    well(&mut daemon, before)
}

/// Whoever asks and does not read the answers is not read from, holds nobody up, and is dropped.
fn nothing_read() -> Result<()> {
    let mut daemon = Hosted::start(&["--sim"])?;
    let before = daemon.status("VmRSS")?;
    let mut greedy: Vec<UnixStream> = (0..20).map(|_| daemon.connect()).collect::<Result<_>>()?;
    let message = [list(), list(), list(), list()].concat();
    for stream in &mut greedy {
        stream.write_all(GREETING)?;
        stream.set_nonblocking(true)?;
    }
    let mut sent = 0;
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        for stream in &mut greedy {
            sent += stream.write(&message).unwrap_or_default();
        }
    }
    expect!(sent < 64 << 20, "{sent} bytes were taken");
    well(&mut daemon, before)?;
    let dropped = |stream: &mut UnixStream| matches!(stream.write(b"l"), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock);
    crate::rig::until("they are dropped", Duration::from_secs(30), || greedy.iter_mut().all(dropped))?;
    well(&mut daemon, before)
}

/// A call of List, as a client sends it: no ids, no project, no resources.
fn list() -> Vec<u8> {
    call("/org/provost/Provost1", "org.provost.Provost1.Manager", "List", "assb", &[0; 16])
}

/// A call, as a client sends it.
pub fn call(path: &str, interface: &str, member: &str, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    let words: [(u8, &[u8], &str); 3] = [(1, b"\x01o\0", path), (2, b"\x01s\0", interface), (3, b"\x01s\0", member)];
    for (code, kind, text) in words {
        fields.resize(usize::next_multiple_of(fields.len(), 8), 0);
        fields.push(code);
        fields.extend_from_slice(kind);
        fields.extend_from_slice(&(text.len() as u32).to_le_bytes());
        fields.extend_from_slice(text.as_bytes());
        fields.push(0);
    }
    if !signature.is_empty() {
        fields.resize(usize::next_multiple_of(fields.len(), 8), 0);
        fields.extend_from_slice(b"\x08\x01g\0");
        fields.push(signature.len() as u8);
        fields.extend_from_slice(signature.as_bytes());
        fields.push(0);
    }
    let mut message = vec![b'l', 1, 0, 1];
    message.extend_from_slice(&(body.len() as u32).to_le_bytes());
    message.extend_from_slice(&1u32.to_le_bytes());
    message.extend_from_slice(&(fields.len() as u32).to_le_bytes());
    message.extend_from_slice(&fields);
    message.resize(usize::next_multiple_of(message.len(), 8), 0);
    message.extend_from_slice(body);
    message
}
