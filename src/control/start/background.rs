//! The daemon in the background, where no manager runs: a session of its own, its own log file.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use super::{How, command, failed};
use crate::error::Error;
use crate::model::Instance;
use crate::paths::Places;
use crate::sys::pidfd::PidFd;

/// Starts it, and returns when it has said that it is ready, or has ended.
pub(super) async fn start(instance: Instance, exe: &str, uid: u32) -> Result<How, Error> {
    let io = |what: String| move |source| Error::Io { what, source };
    let Some(places) = Places::of(instance, uid) else {
        return Err(crate::model::Malformed::new("there is no home folder for the daemon's state").into());
    };
    let runtime = places.make_runtime().map_err(io("the runtime folder cannot be used".to_owned()))?;
    let (log, file) = open_log(&places, runtime)?;

    let notify = Named::bind(&runtime.join(format!("ready-{}", std::process::id())))
        .map_err(io("a socket in the runtime folder cannot be made".to_owned()))?;
    let mut argv = command(exe, instance);
    argv.extend(["--notify".to_owned(), notify.path.display().to_string()]);
    let held =
        crate::sys::spawn::detached(Path::new(exe), &argv, &file).map_err(io(format!("{exe} cannot be started")))?;
    let how = How::Background(held.pid(), log.clone());
    let process = PidFd::open(held.pid()).map_err(io("the daemon's process".to_owned()))?;
    let _child = held.run().map_err(io(format!("{exe} cannot be executed")))?;

    let ready = async {
        let mut buffer = [0; 4096];
        loop {
            let said = notify.socket.recv(&mut buffer).await.map_err(io("waiting for the daemon".to_owned()))?;
            if buffer[..said].split(|b| *b == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
    };
    tokio::select! {
        result = ready => result.map(|()| how),
        _ = process.ended() => Err(failed(&last_line(&log), instance, &how)),
    }
}

/// Its log is kept with the state. Where nothing can be written there (a full disk, a read-only
/// one), it is kept in the runtime folder: what runs must be stopped all the same.
fn open_log(places: &Places, runtime: &Path) -> Result<(PathBuf, fs::File), Error> {
    let open = |dir: &Path| {
        let log = dir.join("daemon.log");
        let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&log)?;
        // A file that is made where there is no room for a word in it would tell nobody anything.
        let now = humantime::format_rfc3339_millis(crate::clock::now());
        writeln!(file, "{now}  INFO provost {} is started in the background", env!("CARGO_PKG_VERSION"))?;
        Ok((log, file))
    };
    let made = crate::paths::make_own(&places.state, places.uid).and_then(|()| open(&places.state));
    made.or_else(|_| open(runtime)).map_err(|source| {
        let what = format!("the daemon's log in {} cannot be written", runtime.display());
        Error::Io { what, source: crate::disk::explained(source, runtime) }
    })
}

/// What it said last.
fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let last = tail.lines().rev().find(|line| !line.is_empty()).unwrap_or("it said nothing");
    last.strip_prefix("provost: ").unwrap_or(last).to_owned()
}

/// A socket whose file goes with it.
struct Named {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Named {
    fn bind(path: &Path) -> std::io::Result<Self> {
        Ok(Self { socket: UnixDatagram::bind(path)?, path: path.to_owned() })
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
