//! Real containers in the rig: podman runs a fake server in a root folder of its own, no image is needed.

use super::{Result, Rig};

/// A folder with `sleeper`, the libraries it needs, and the mount points of a container.
const MAKE_ROOT: &str = r#"
set -e
test -e "$1/usr/local/bin/sleeper" && exit 0
mkdir -p "$1/proc" "$1/sys" "$1/dev" "$1/etc" "$1/tmp" "$1/run" "$1/usr/local/bin" "$1/usr/lib" "$1/usr/lib64"
for d in lib lib64; do ln -sfn usr/$d "$1/$d"; done
for f in $(ldd /usr/local/bin/sleeper | grep -o '/[^ ]*'); do
  to=$1/usr${f#/usr}
  mkdir -p "${to%/*}"
  cp -L "$f" "$to"
done
cp -L /usr/local/bin/sleeper "$1/usr/local/bin/"
ln "$1/usr/local/bin/sleeper" "$1/usr/local/bin/llama-server"
"#;

/// A running container; it is removed when this is dropped.
pub struct Container<'r> {
    rig: &'r Rig,
    user: String,
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its first process, as the rig sees it.
    pub pid: u32,
    /// What happened to that process.
    pub log: String,
}

impl Rig {
    /// Starts a container of `user`'s (root's, or a rootless one) that runs `sleeper`, or says why none can run here.
    ///
    /// What happens to it is written to [`Container::log`].
    pub fn container(&self, user: &str, name: &str) -> Result<std::result::Result<Container<'_>, &'static str>> {
        self.container_of(user, name, "none", &["/usr/local/bin/sleeper", "--log", &format!("/tmp/{name}.log")])
    }

    /// The same with another program, in this network (`none`, `host`).
    pub fn container_of(
        &self,
        user: &str,
        name: &str,
        network: &str,
        argv: &[&str],
    ) -> Result<std::result::Result<Container<'_>, &'static str>> {
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        if !self.exists("/usr/bin/podman") {
            return Ok(Err("podman is not installed"));
        }
        let root = format!("/srv/{user}-container");
        self.as_root().run(["sh", "-c", MAKE_ROOT, "sh", &root])?.ok()?;
        if user != "root" {
            self.linger(user)?;
            let ids =
                self.as_root().run(["usermod", "--add-subuids=200000-265535", "--add-subgids=200000-265535", user])?;
            ids.ok()?;
            self.as_root().run(["chown", "-R", user, &root])?.ok()?;
        }
        let mut words = vec!["podman", "run", "--detach", "--name", name, "--log-driver=none"];
        let network = format!("--network={network}");
        words.push(&network);
        // There are no controllers, and where root lacks CAP_SYS_RESOURCE no limit can be raised.
        words.extend(["--pids-limit=0", "--ulimit=memlock=65536:65536"]);
        words.extend(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--rootfs", &root]);
        let podman = self.as_user(user);
        let started = podman.run(words.into_iter().chain(argv.iter().copied()))?;
        if started.stderr.contains("setrlimit (RLIM_MEMLOCK)") {
            return Ok(Err("this crun wants CAP_SYS_RESOURCE, and root lacks it on this machine"));
        }
        let id = started.ok()?;
        let pid = podman.run(["podman", "inspect", "--format", "{{.State.Pid}}", name])?.ok()?.parse()?;
        Ok(Ok(Container {
            rig: self,
            user: user.into(),
            name: name.into(),
            id,
            pid,
            log: format!("{root}/tmp/{name}.log"),
        }))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.rig.as_user(&self.user).run(["podman", "rm", "--force", "--time=0", &self.name]);
    }
}
