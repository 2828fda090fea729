//! The process that holds the container: it boots it, waits for the end of the test process, and removes it.
//!
//! It is the test program itself, started again with [`ROLE`] in its environment, in a session and a mount namespace of its
//! own: what it mounts nobody else sees, and is gone when it is. Its standard input is a pipe that closes when the test
//! process ends, on its standard output it tells [`Told`].

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::exec::{Start, before_exec};
use super::sweep::Place;
use super::{Result, host, image, sweep, words};

/// The variable that makes this program a keeper.
pub const ROLE: &str = "PROVOST_RIG_KEEPER";

/// How long a boot may take.
const BOOT: Duration = Duration::from_secs(60);

/// What a keeper has told so far: lines `leader PID`, then `ready` or `error TEXT`.
#[derive(Default)]
pub struct Told {
    leader: Option<u32>,
    error: Option<String>,
    ready: bool,
}

impl Told {
    /// Takes one line; true when there is nothing more to wait for.
    pub fn take(&mut self, line: &str) -> bool {
        match line.split_once(' ') {
            Some(("leader", pid)) => self.leader = pid.parse().ok(),
            Some(("error", text)) => self.error = Some(text.to_owned()),
            _ => self.ready = line == "ready",
        }
        self.ready || self.error.is_some()
    }

    /// The leader's process id, once it is booted.
    pub fn ready(self) -> Result<u32> {
        match (self.leader, self.error) {
            (Some(leader), None) if self.ready => Ok(leader),
            (_, error) => Err(format!("the rig did not boot: {}", error.unwrap_or("its keeper died".into())).into()),
        }
    }
}

/// The keeper's whole life.
pub fn main() -> ExitCode {
    let _ = rustix::process::setsid();
    sweep::left_overs();
    let outcome = Place::new().and_then(|place| {
        let outcome = keep(&place);
        let _ = rustix::mount::unmount(place.dir.join("root"), UnmountFlags::DETACH);
        let _ = rustix::mount::unmount(place.dir.join("layers"), UnmountFlags::DETACH);
        outcome.and(place.remove())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("error {}", words(&e).replace('\n', " | "));
            ExitCode::FAILURE
        }
    }
}

fn keep(place: &Place) -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    // nspawn leaves locks and sockets in /run when it is killed.
    rustix::mount::mount("rig", "/run", "tmpfs", MountFlags::empty(), Some(c"mode=0755"))?;
    let root = mount_root(&place.dir)?;
    let exe = std::env::current_exe()?;
    image::prepare(&root, &exe, Path::new(env!("CARGO_BIN_EXE_provost")))?;
    let notify = UnixDatagram::bind(place.dir.join("notify"))?;
    let (terminal, mut nspawn) = start(place, &root)?;
    let outcome = watch(&notify, &terminal, &mut nspawn, &place.dir.join("console"));
    sweep::kill(&place.cgroups)?;
    nspawn.wait()?;
    outcome
}

/// Mounts the overlay; its layers lie on disk where the file system can hold them, in memory otherwise.
fn mount_root(dir: &Path) -> Result<PathBuf> {
    let lower = std::env::var("PROVOST_RIG_ROOT").ok().filter(|r| !r.is_empty()).unwrap_or("/".into());
    let lower = fs::canonicalize(&lower).map_err(|e| format!("PROVOST_RIG_ROOT={lower}: {e}"))?;
    let layers = dir.join("layers");
    let root = dir.join("root");
    let mount = || -> Result<()> {
        for folder in [&layers.join("up"), &layers.join("work"), &root] {
            fs::create_dir_all(folder)?;
        }
        let (lower, layers) = (lower.display(), layers.display());
        let options = format!("lowerdir={lower},upperdir={layers}/up,workdir={layers}/work");
        let options = std::ffi::CString::new(options)?;
        Ok(rustix::mount::mount("rig", &root, "overlay", MountFlags::empty(), Some(options.as_c_str()))?)
    };
    if mount().is_err() {
        rustix::mount::mount("rig", &layers, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))?;
        mount().map_err(|e| format!("cannot mount an overlay over {}: {}", lower.display(), words(&e)))?;
    }
    Ok(root)
}

/// Starts nspawn on a terminal of its own (it will not do without), in its own cgroup.
fn start(place: &Place, root: &Path) -> Result<(OwnedFd, Child)> {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let console = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    let mut command = Command::new(host::which("systemd-nspawn").ok_or("systemd-nspawn is not installed")?);
    command
        .args(["--boot", "--quiet", "--register=no", "--keep-unit", "--private-network", "--link-journal=no"])
        .args(["--resolv-conf=off", "--timezone=off", "--notify-ready=yes", "--hostname=rig"])
        .arg(format!("--machine={}", place.name))
        .arg(format!("--directory={}", root.display()))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .env("NOTIFY_SOCKET", place.dir.join("notify"))
        .stdin(Stdio::from(console.try_clone()?))
        .stdout(Stdio::from(console.try_clone()?))
        .stderr(Stdio::from(console));
    let first = place.cgroups.first().ok_or("cgroup v2 is not mounted")?;
    before_exec(&mut command, Start { cgroup: Some(sweep::procs(first)?), take_terminal: true, die_with_parent: true });
    Ok((terminal, command.spawn()?))
}

/// Waits for the boot, tells it, then waits for the end of the test process. Errors if the container ends by itself.
fn watch(notify: &UnixDatagram, terminal: &OwnedFd, nspawn: &mut Child, console: &Path) -> Result<()> {
    let stdin = std::io::stdin();
    let ended =
        rustix::process::pidfd_open(rustix::process::Pid::from_child(nspawn), rustix::process::PidfdFlags::empty())?;
    let mut console_log = File::create(console)?;
    let started = Instant::now();
    let mut ready = false;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(notify.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
        ];
        poll(&mut fds, Some(&(Duration::from_secs(1).try_into()?)))?;
        let [pipe, note, output, end] = [0, 1, 2, 3].map(|i: usize| !fds[i].revents().is_empty());
        let mut buffer = [0; 4096];
        if output && let Ok(n) = rustix::io::read(terminal, &mut buffer) {
            console_log.write_all(&buffer[..n])?;
        }
        if pipe && stdin.lock().read(&mut buffer)? == 0 {
            return Ok(());
        }
        if note {
            let n = notify.recv(&mut buffer)?;
            for line in String::from_utf8_lossy(&buffer[..n]).lines() {
                if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                    println!("leader {pid}");
                } else if line == "READY=1" && !ready {
                    ready = true;
                    println!("ready");
                }
            }
        }
        if end || (!ready && started.elapsed() > BOOT) {
            let log = fs::read_to_string(console).unwrap_or_default();
            let tail = log.chars().rev().take(1500).collect::<Vec<_>>().into_iter().rev().collect::<String>();
            let what = if end { "the container ended by itself" } else { "it took more than a minute" };
            return Err(format!("{what}; its console said: {tail}").into());
        }
    }
}
