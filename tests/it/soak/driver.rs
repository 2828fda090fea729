//! Kills the daemon at random moments, starts it again, and compares what is with what must be.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::check;
use crate::rig::{Result, program};

/// Services that are meant to run all the time; the second half crashes.
pub const STEADY: usize = 14;
/// Services that are started and stopped meanwhile.
pub const TOGGLED: usize = 6;
/// Within this time after a recovery everything runs, on a machine that is busy with other tests, too.
const RECOVERY: Duration = Duration::from_secs(60);

/// The number at the end of a service's id.
pub fn number(id: &str) -> u32 {
    id.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default()
}

/// One soak.
pub struct Soak {
    backend: String,
    pub dir: PathBuf,
    provost: String,
    random: u64,
}

/// `driver BACKEND ROUNDS DIR PROVOST`.
pub fn main() -> Result<String> {
    let words: Vec<String> = std::env::args().collect();
    let [_, backend, rounds, dir, provost] = words.as_slice() else {
        return Err("driver BACKEND ROUNDS DIR PROVOST".into());
    };
    let seed = std::process::id();
    let mut soak =
        Soak { backend: backend.clone(), dir: dir.into(), provost: provost.clone(), random: u64::from(seed) | 1 };
    soak.prepare()?;
    let rounds: u32 = rounds.parse()?;
    let mut daemon = soak.daemon()?;
    let done = soak.all_rounds(rounds, &mut daemon);
    let ended = soak.end(&mut daemon);
    let mut said = done?;
    said += &ended?;
    Ok(said)
}

impl Soak {
    fn prepare(&mut self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        for folder in ["state", "config", "truth", "run"] {
            fs::create_dir_all(self.dir.join(folder))?;
        }
        fs::set_permissions(self.dir.join("run"), fs::Permissions::from_mode(0o700))?;
        // A copy, which is exchanged now and then.
        let program = self.dir.join("provost");
        program::copy(self.provost.as_ref(), &program)?;
        self.provost = program.display().to_string();
        let exe = std::env::current_exe()?;
        let truth = self.dir.join("truth");
        let mut text = String::from(
            "[defaults]\nrestart = { base = \"20ms\", max = \"200ms\", tries = -1 }\nstop = { signals = [\"TERM:5s\", \"KILL\"] }\n\
             log = { max_size = \"8K\", keep = 100000, keep_size = \"1T\" }\n",
        );
        text += &format!("env = {{ {} = \"worker\" }}\n", super::ROLE);
        for id in self.ids() {
            let crashes = if number(&id) % 2 == 1 { "yes" } else { "no" };
            let (exe, truth) = (exe.display(), truth.display());
            text += &format!("[service.{id}]\ncommand = [\"{exe}\", \"{truth}\", \"{crashes}\"]\n");
            // The others write into the journal there.
            if self.backend == "systemd" && !number(&id).is_multiple_of(3) {
                text += "log = { file = true }\n";
            }
        }
        Ok(fs::write(self.dir.join("provost.toml"), text)?)
    }

    pub fn ids(&self) -> Vec<String> {
        let steady = (0..STEADY).map(|n| format!("steady{n}"));
        steady.chain((0..TOGGLED).map(|n| format!("toggled{n}"))).collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.provost);
        command.env("XDG_STATE_HOME", self.dir.join("state")).env("XDG_CONFIG_HOME", self.dir.join("config"));
        // The systemd backend needs the user's own runtime folder: the bus is there.
        if self.backend == "direct" {
            command.env("XDG_RUNTIME_DIR", self.dir.join("run"));
        }
        command.env_remove(super::ROLE).stdin(Stdio::null());
        command
    }

    /// The runtime folder of its daemons.
    pub fn runtime(&self) -> PathBuf {
        let dir = match self.backend.as_str() {
            "direct" => self.dir.join("run"),
            _ => std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default(),
        };
        dir.join("provost")
    }

    /// Runs a verb; the daemon may die meanwhile.
    pub fn provost(&self, words: &[&str]) -> Result<Output> {
        Ok(self.command().args(words).args(["--user"]).output()?)
    }

    fn daemon(&self) -> Result<Child> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("daemon.log"))?;
        writeln!(&log, "---- a daemon")?;
        let config = self.dir.join("provost.toml");
        let mut command = self.command();
        command.args(["daemon", "--user", "--backend", &self.backend, "-c"]).arg(config);
        Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    /// A number below `n` (xorshift: the moments need not be unpredictable).
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn all_rounds(&mut self, rounds: u32, daemon: &mut Child) -> Result<String> {
        let (mut toggles, mut ended, mut restarts, mut slowest) = (0, 0, 0, Duration::ZERO);
        check::running(self, RECOVERY)?;
        for round in 1..=rounds {
            // Somewhere in its start, in a start or stop of a service, or in peace.
            let until = Instant::now() + Duration::from_millis(self.below(900));
            while Instant::now() < until {
                if self.below(3) == 0 {
                    let id = format!("toggled{}", self.below(TOGGLED as u64));
                    let verb = if self.below(2) == 0 { "start" } else { "stop" };
                    let mut command = self.command();
                    command.args([verb, &format!("service:{id}"), "--no-block", "--user"]);
                    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
                    std::thread::sleep(Duration::from_millis(self.below(60)));
                    toggles += 1;
                    if self.below(2) == 0 {
                        child.wait()?;
                    } else {
                        // It ends by itself when its daemon is gone.
                        std::thread::spawn(move || child.wait());
                    }
                } else {
                    std::thread::sleep(Duration::from_millis(self.below(50)));
                }
            }
            // Before it dies it sometimes executes its program anew, or is in the middle of that.
            if self.below(4) == 0 {
                restarts += self.restart(restarts).map_err(|e| format!("round {round}: {}", crate::rig::words(&e)))?;
            }
            daemon.kill()?;
            daemon.wait()?;
            // A verb that finds no daemon starts one itself, and ours then leaves it the place.
            check::kill_other_daemons(self)?;
            check::once(self).map_err(|e| format!("round {round}: {}", crate::rig::words(&e)))?;
            // In every third round some services end, and are gone, before there is a daemon again.
            if self.below(3) == 0 {
                ended += self.end_some()?;
            }
            *daemon = self.daemon()?;
            let begin = Instant::now();
            // Half of them are killed again while they recover.
            if self.below(2) == 0 {
                check::running(self, RECOVERY).map_err(|e| format!("round {round}: {}", crate::rig::words(&e)))?;
                slowest = slowest.max(begin.elapsed());
            }
        }
        check::running(self, RECOVERY)?;
        Ok(format!(
            "{}: {rounds} daemons killed, {toggles} starts and stops meanwhile, {ended} services ended while no daemon ran, \
             {restarts} restarts (each eighth an upgrade) without the end of a service, slowest recovery {slowest:.1?}; ",
            self.backend
        ))
    }

    /// Has the daemon execute its program anew, which no service may notice. How many times it did.
    fn restart(&mut self, earlier: u32) -> Result<u32> {
        if self.below(3) == 0 {
            let mut command = self.command();
            let mut child =
                command.args(["daemon", "restart", "--user"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
            std::thread::sleep(Duration::from_millis(self.below(30)));
            std::thread::spawn(move || child.wait());
            return Ok(0);
        }
        if earlier % 8 == 7 {
            self.upgrade()?;
        }
        // Those that nobody stops and that do not crash.
        let mut before = check::workers(self);
        before.retain(|id, pids| id.starts_with("steady") && number(id).is_multiple_of(2) && pids.len() == 1);
        let done = self.provost(&["daemon", "restart"])?;
        match done.status.code() {
            Some(0) => {}
            // It is not that far yet.
            Some(3) => return Ok(0),
            _ => return Err(format!("daemon restart: {done:?}; {}", check::said(self)).into()),
        }
        let after = check::workers(self);
        match before.iter().find(|(id, pids)| after.get(*id) != Some(pids)) {
            Some((id, pids)) => {
                Err(format!("{id}: {pids:?} before a restart of the daemon, {:?} after it", after.get(id)).into())
            }
            None => Ok(1),
        }
    }

    /// Puts another file in the place of the program.
    fn upgrade(&self) -> Result<()> {
        let new = self.dir.join("provost.new");
        program::copy(self.provost.as_ref(), &new)?;
        Ok(fs::rename(new, &self.provost)?)
    }

    /// Ends some services in the absence of a daemon, after they have gone on writing for a moment; how many.
    fn end_some(&mut self) -> Result<u32> {
        std::thread::sleep(Duration::from_millis(self.below(100)));
        let mut ending = Vec::new();
        for (_, pids) in check::workers(self) {
            if self.below(2) == 0 {
                ending.extend(pids);
            }
        }
        for pid in ending.iter().filter_map(|pid| rustix::process::Pid::from_raw(i32::try_from(*pid).ok()?)) {
            // It ends with its last line, and so that nothing is in the truth that it has not said.
            let _crashed_meanwhile = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begin = Instant::now();
        while check::workers(self).values().flatten().any(|pid| ending.contains(pid)) {
            if begin.elapsed() > RECOVERY {
                return Err(format!("workers that do not end: {ending:?}").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(u32::try_from(ending.len())?)
    }

    /// Stops everything and looks at what is left.
    fn end(&self, daemon: &mut Child) -> Result<String> {
        let down = self.provost(&["down", "--all"])?;
        let lines = if down.status.success() { check::after(self) } else { Err(format!("down: {down:?}").into()) };
        let stopped = self.provost(&["daemon", "stop"])?;
        if !stopped.status.success() {
            daemon.kill()?;
        }
        daemon.wait()?;
        let keeper = check::no_keeper(self);
        check::end_what_is_left(self);
        lines.and_then(|lines| keeper.map(|()| lines))
    }

    /// The folder of records, wherever below the state folder it is.
    pub fn registry(&self) -> Result<PathBuf> {
        fn find(dir: &Path) -> Option<PathBuf> {
            let entries: Vec<PathBuf> = fs::read_dir(dir).ok()?.flatten().map(|e| e.path()).collect();
            entries.iter().find(|p| p.ends_with("registry")).cloned().or_else(|| entries.iter().find_map(|p| find(p)))
        }
        find(&self.dir.join("state")).ok_or_else(|| "there is no registry".into())
    }
}
