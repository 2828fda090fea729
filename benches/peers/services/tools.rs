//! provost and its peers: how each is configured, started and stopped.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::rig::Result;

/// A supervisor.
pub enum Tool {
    /// This one, with the backend.
    Provost(PathBuf, &'static str),
    Supervisord,
    Circus,
    Pm2,
    Runit,
    S6,
    Horust,
}

/// All that are found here.
pub fn installed(provost: &Path, backend: &'static str) -> Vec<Tool> {
    let found = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    let peers = [
        ("horust", Tool::Horust),
        ("s6-svscan", Tool::S6),
        ("runsvdir", Tool::Runit),
        ("pm2", Tool::Pm2),
        ("circusd", Tool::Circus),
        ("supervisord", Tool::Supervisord),
    ];
    let ours = Tool::Provost(provost.to_owned(), backend);
    let peers = peers.into_iter().filter(|(program, _)| found(program)).map(|(_, tool)| tool);
    std::iter::once(ours).chain(peers).collect()
}

impl Tool {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Provost(_, "direct") => "provost (direct)",
            Self::Provost(..) => "provost (systemd)",
            Self::Supervisord => "supervisord",
            Self::Circus => "circus",
            Self::Pm2 => "pm2",
            Self::Runit => "runit",
            Self::S6 => "s6",
            Self::Horust => "horust",
        }
    }

    /// Whether a thousand children are no matter of minutes.
    pub fn is_fast(&self) -> bool {
        matches!(self, Self::Provost(..) | Self::Runit | Self::S6 | Self::Horust)
    }

    /// Writes its configuration: `n` times the child, restarted whenever it ends.
    pub fn configure(&self, folder: &Path, child: &Path, births: &Path, n: usize) -> Result<()> {
        let (child, births) = (child.display(), births.display());
        let mut text = String::new();
        match self {
            Self::Provost(..) => {
                // Units outlive their daemon, unless it is told to stop them.
                text += "[daemon]\non_stop = \"stop\"\n";
                text += "[defaults]\nrestart = { base = \"0s\", max = \"0s\", tries = -1 }\n";
                for i in 0..n {
                    writeln!(text, "[service.c{i}]\ncommand = [\"{child}\", \"{births}\"]")?;
                }
                fs::write(folder.join("provost.toml"), text)?;
            }
            Self::Supervisord => {
                let dir = folder.display();
                writeln!(text, "[supervisord]\nnodaemon=true\nlogfile={dir}/log\npidfile={dir}/pid")?;
                writeln!(text, "[program:c]\ncommand={child} {births}\nnumprocs={n}\nautorestart=true")?;
                writeln!(text, "process_name=%(program_name)s_%(process_num)s\nstartsecs=0")?;
                fs::write(folder.join("conf"), text)?;
            }
            Self::Circus => {
                let dir = folder.display();
                writeln!(text, "[circus]\nendpoint = ipc://{dir}/e\npubsub_endpoint = ipc://{dir}/p")?;
                writeln!(text, "[watcher:c]\ncmd = {child}\nargs = {births}\nnumprocesses = {n}")?;
                fs::write(folder.join("conf"), text)?;
            }
            Self::Pm2 => {
                let app = format!(
                    "{{\"name\":\"c\",\"script\":\"{child}\",\"args\":[\"{births}\"],\"instances\":{n},\"exec_mode\":\"fork\",\"interpreter\":\"none\"}}"
                );
                fs::write(folder.join("conf.json"), format!("{{\"apps\":[{app}]}}"))?;
            }
            Self::Runit | Self::S6 => {
                for i in 0..n {
                    let dir = folder.join("sv").join(format!("c{i}"));
                    fs::create_dir_all(&dir)?;
                    let run = dir.join("run");
                    fs::write(&run, format!("#!/bin/sh\nexec {child} {births}\n"))?;
                    fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
                }
            }
            Self::Horust => {
                let dir = folder.join("sv");
                fs::create_dir_all(&dir)?;
                for i in 0..n {
                    let service =
                        format!("command = \"{child} {births}\"\n[restart]\nstrategy = \"always\"\nbackoff = \"0s\"\n");
                    fs::write(dir.join(format!("c{i}.toml")), service)?;
                }
            }
        }
        Ok(())
    }

    /// Starts it; what it starts begins with it.
    pub fn spawn(&self, folder: &Path) -> Result<Child> {
        let arguments = |program: &str, words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words);
            command
        };
        let at = |name: &str| folder.join(name).display().to_string();
        let mut command = match self {
            Self::Provost(path, backend) => {
                let mut command = Command::new(path);
                // On the manager of whoever runs this: root's is PID 1.
                let of_system = *backend == "systemd" && rustix::process::geteuid().is_root();
                let instance = if of_system { "--system" } else { "--user" };
                command.args(["daemon", instance, "--backend", backend, "-c", &at("provost.toml")]);
                for (name, dir) in
                    [("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config")]
                {
                    fs::create_dir_all(folder.join(dir))?;
                    if !(name == "XDG_RUNTIME_DIR" && *backend == "systemd") {
                        command.env(name, folder.join(dir));
                    }
                }
                fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o700))?;
                command
            }
            Self::Supervisord => arguments("supervisord", &["-c", &at("conf")]),
            Self::Circus => arguments("circusd", &[&at("conf")]),
            Self::Pm2 => {
                let mut command = arguments("pm2", &["start", &at("conf.json"), "--no-daemon"]);
                command.env("PM2_HOME", folder.join("home"));
                command
            }
            Self::Runit => arguments("runsvdir", &[&at("sv")]),
            Self::S6 => arguments("s6-svscan", &["-c", "4000", &at("sv")]),
            Self::Horust => arguments("horust", &["--services-path", &at("sv")]),
        };
        let log = fs::File::create(folder.join("output"))?;
        Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    /// Ends it, with what it supervises where it does that itself.
    pub fn stop(&self, folder: &Path, supervisor: &mut Child) {
        match self {
            Self::S6 => {
                let _ = Command::new("s6-svscanctl").arg("-t").arg(folder.join("sv")).status();
            }
            Self::Runit => signal(supervisor, rustix::process::Signal::HUP),
            _ => signal(supervisor, rustix::process::Signal::TERM),
        }
        Self::wait(supervisor);
        if let Self::Provost(_, "systemd") = self
            && rustix::process::geteuid().is_root()
        {
            // In the rig: the next run is to find nothing.
            for dir in ["/var/lib/provost", "/var/log/provost", "/run/provost"] {
                let _ = fs::remove_dir_all(dir);
            }
        }
    }

    fn wait(supervisor: &mut Child) {
        let begin = std::time::Instant::now();
        while begin.elapsed() < std::time::Duration::from_secs(60) {
            if matches!(supervisor.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = supervisor.kill();
        let _ = supervisor.wait();
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
