//! Descriptors that are none of a process: a thread's, a zombie's, a path, a folder, another kind, none at all.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use zbus::{Fd, Message};

use super::attacker::{HELPER, Line, attack, pidfd};
use super::{all_for, process_of, well};
use crate::rig::{Result, Rig};

pub fn descriptors(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let _rule = all_for(rig, "eve")?;
        let victim = process_of(rig, "watson", "exec sleeper")?;
        let identity = rig.identity(victim).ok_or("no victim")?;
        let said = attack(&rig.as_user("eve"), "descriptors", &[&victim.to_string()])?;
        print!("{said}");
        for line in said.lines() {
            let (case, rest) = line.split_once('\t').ok_or("no case")?;
            let (expected, got) = rest.split_once('\t').ok_or("no answer")?;
            expect!(got.starts_with(expected), "{case}: {got}, not {expected}");
        }
        expect!(said.lines().count() >= 40, "{said}");
        expect!(rig.lives(identity), "the victim was hit");
        rig.signal(identity, rustix::process::Signal::KILL)?;
        well(rig)
    })
}

/// Runs in the rig: every method with every descriptor.
pub async fn role(args: &[String]) -> Result<String> {
    let victim: u32 = args.first().ok_or("no victim")?.parse()?;
    let mut said = Vec::new();
    let mut line = Line::new().await?;
    for (case, expected, fd) in cases(victim)? {
        let fd = || Fd::from(&fd);
        let explain = (zbus::Variant::from(fd()), "kill", 15i32);
        let answers = [
            line.call("SignalProcess", true, &(fd(), 15i32)).await?,
            line.call("StopProcessTree", false, &(fd(), "TERM:1s,KILL")).await?,
            line.call("ProcessDetails", false, &(fd(),)).await?,
            line.call("Explain", false, &explain).await?,
        ];
        said.extend(answers.iter().map(|answer| format!("{case}\t{expected}\t{answer}")));
    }
    for (case, fd) in [("no descriptor at all", 0u32), ("a descriptor beyond those sent", 7)] {
        let call = Message::method_call("/org/provost/Provost1", "SignalProcess");
        let call = call.destination("org.provost.Provost1").interface(HELPER).build(&(fd, 15i32))?;
        let mut bytes = call.data().to_vec();
        let at = bytes.windows(4).position(|part| part == b"\x02ui\0").ok_or("no signature")?;
        bytes[at + 1] = b'h';
        said.push(format!("{case}\tInvalidArgs\t{}", raw(&bytes)?));
    }
    let call = Message::method_call("/org/provost/Provost1", "UserUnit");
    let call = call.destination("org.provost.Provost1").interface(HELPER);
    let call = call.build(&(1000u32, "a.service|dbus.service", "stop", 0i32))?;
    let bytes: Vec<u8> = call.data().iter().map(|byte| if *byte == b'|' { 0 } else { *byte }).collect();
    said.push(format!("a name with a NUL\tInvalidArgs\t{}", raw(&bytes)?));
    Ok(said.join("\n"))
}

fn cases(victim: u32) -> Result<Vec<(&'static str, &'static str, OwnedFd)>> {
    let open = |flags: OFlags, path: &str| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    let held = pidfd(victim)?;
    let wrong = "InvalidArgs";
    let mut cases = vec![
        ("a folder of /proc", wrong, open(OFlags::DIRECTORY, &format!("/proc/{victim}"))?),
        ("a pidfd as a path", wrong, open(OFlags::PATH, &format!("/proc/self/fd/{}", held.as_raw_fd()))?),
        ("a file", wrong, open(OFlags::empty(), "/etc/passwd")?),
        ("fdinfo of a pidfd", wrong, open(OFlags::empty(), &format!("/proc/self/fdinfo/{}", held.as_raw_fd()))?),
        ("a pipe", wrong, rustix::pipe::pipe()?.0),
        ("a socket", wrong, UnixStream::pair()?.0.into()),
        ("a file in memory", wrong, rustix::fs::memfd_create("pidfd:[1]", rustix::fs::MemfdFlags::empty())?),
        ("an event", wrong, rustix::event::eventfd(0, rustix::event::EventfdFlags::empty())?),
    ];
    // What its own user could do all the same: but it is not a process.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send(rustix::thread::gettid().as_raw_pid());
        loop {
            std::thread::park();
        }
    });
    let thread = told.recv()?;
    for (case, id) in [("a pidfd of a thread", thread), ("a pidfd of a first thread", std::process::id() as i32)] {
        // PIDFD_THREAD is O_EXCL; kernels before 6.9 have none.
        let flags = rustix::process::PidfdFlags::from_bits_retain(OFlags::EXCL.bits());
        if let Some(Ok(fd)) = rustix::process::Pid::from_raw(id).map(|id| rustix::process::pidfd_open(id, flags)) {
            cases.push((case, wrong, fd));
        }
    }
    let ended = || -> Result<_> {
        let child = Command::new("/usr/bin/sleep").arg("60").stdin(Stdio::null()).spawn()?;
        Ok((pidfd(child.id())?, child))
    };
    let (fd, mut zombie) = ended()?;
    zombie.kill()?;
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None)?;
    cases.push(("a zombie", "NoSuchProcess", fd.try_clone()?));
    std::mem::forget(zombie);
    let (fd, mut gone) = ended()?;
    gone.kill()?;
    gone.wait()?;
    cases.push(("a process that was waited for", "NoSuchProcess", fd));
    Ok(cases)
}

/// A call by its bytes: what no library would send.
fn raw(bytes: &[u8]) -> Result<String> {
    let greet = Message::method_call("/org/freedesktop/DBus", "Hello");
    let bus = "org.freedesktop.DBus";
    let greet = greet.destination(bus).interface(bus).build(&())?;
    let mut stream = UnixStream::connect("/run/dbus/system_bus_socket")?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")?;
    stream.write_all(greet.data())?;
    stream.write_all(bytes)?;
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer)?;
        heard.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&heard);
        // The bus itself may see through it, and drops whoever sends such a thing.
        if n == 0 {
            return Ok("InvalidArgs: by the bus, which has dropped us".to_owned());
        }
        if let Some((_, rest)) = text.split_once("Provost1.Error.") {
            return Ok(rest.chars().take_while(char::is_ascii_alphabetic).collect());
        }
    }
}
