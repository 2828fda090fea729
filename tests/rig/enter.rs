//! The way of a command into the rig: `nsenter` brings it into the container, `setpriv` or `su` makes it the user's.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::exec::{Start, before_exec};
use super::{As, Result, host, sweep};

impl As<'_> {
    /// The command, ready to start. `terminal`: its standard input is to become its controlling terminal.
    pub(super) fn command<S: AsRef<OsStr>>(
        &self,
        argv: impl IntoIterator<Item = S>,
        terminal: bool,
    ) -> Result<Command> {
        let argv: Vec<OsString> = argv.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let mut command = Command::new(host::which("nsenter").ok_or("nsenter is not installed")?);
        command.arg(format!("--target={}", self.rig.leader)).args(["-m", "-u", "-i", "-n", "-p", "-C", "--"]);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LANG", "C.UTF-8").env("USER", &self.user).env("LOGNAME", &self.user);
        if self.desktop {
            // What pam_systemd tells logind.
            command.env("XDG_SESSION_TYPE", "wayland").env("XDG_SESSION_CLASS", "user");
        }
        self.separate(&mut command);
        if terminal {
            command.env("TERM", "xterm").args(["setsid", "--ctty", "--"]);
        }
        if let Some(folder) = &self.folder {
            command.args(["env", "-C", folder]);
        }
        if self.session {
            let words = self.env.iter().map(|(name, value)| quoted(&[name, OsStr::new("="), value].join_all()));
            let line: Vec<String> = words.chain(argv.iter().map(|word| quoted(word))).collect();
            // With -c, su would leave the terminal.
            command.args(["su", "-l", &self.user, "--session-command"]).arg(format!("exec env {}", line.join(" ")));
        } else {
            self.become_user(&mut command)?;
            command.envs(self.env.iter().map(|(n, v)| (n, v))).args(argv);
        }
        let cgroup = self.rig.cgroup.join(self.cgroup()?.trim_start_matches('/'));
        before_exec(&mut command, Start { cgroup: Some(sweep::procs(&cgroup)?), ..Start::default() });
        Ok(command)
    }

    /// A mount namespace of its own for what this command is not to see.
    fn separate(&self, command: &mut Command) {
        let mut script: Vec<String> =
            self.hidden.iter().map(|path| format!("mount -t tmpfs -o mode=0755 rig {path}")).collect();
        if self.hidepid {
            script.push("mount -t proc -o hidepid=2 proc /proc".into());
        }
        if !script.is_empty() {
            script.push("exec \"$@\"".into());
            command.args(["unshare", "--mount", "--propagation=private", "sh", "-c", &script.join(" && "), "sh"]);
        }
    }

    fn become_user(&self, command: &mut Command) -> Result<()> {
        if self.user == "root" {
            command.env("HOME", "/root");
            return Ok(());
        }
        let uid = self.uid()?;
        command.env("HOME", format!("/home/{}", self.user));
        if self.user_manager && self.rig.exists(&format!("/run/user/{uid}/bus")) {
            command.env("XDG_RUNTIME_DIR", format!("/run/user/{uid}"));
            command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path=/run/user/{uid}/bus"));
        }
        command.args(["setpriv", &format!("--reuid={uid}"), &format!("--regid={uid}"), "--init-groups"]);
        if self.cap_kill {
            command.args(["--inh-caps=-all,+kill", "--ambient-caps=-all,+kill"]);
        }
        command.arg("--");
        Ok(())
    }

    pub(super) fn uid(&self) -> Result<u32> {
        if self.user == "root" { Ok(0) } else { self.rig.uid(&self.user) }
    }

    fn cgroup(&self) -> Result<String> {
        match &self.unit {
            None => Ok("/init.scope".into()),
            Some(path) if path.starts_with('/') => Ok(path.clone()),
            Some(unit) => self.rig.systemctl(["show", "-P", "ControlGroup", unit]),
        }
    }
}

trait JoinAll {
    fn join_all(&self) -> OsString;
}

impl JoinAll for [&OsStr] {
    fn join_all(&self) -> OsString {
        self.iter().copied().collect()
    }
}

/// One word for a shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}
