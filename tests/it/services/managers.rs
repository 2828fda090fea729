//! What becomes of services, and of the daemon, when a manager or a bus is not what it was.

use std::time::Duration;

use serde_json::Value;

use crate::rig::{As, Result, Rig, User, eventually, until};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("managers::user_anew", user_anew);
    trials.rig("managers::user_bus", user_bus);
    trials.rig("managers::shutdown_order", shutdown_order);
    trials.rig("managers::comes_later", comes_later);
    // These take away what others need, for good: a user's manager does not find a new system bus, and makes no scopes
    // any more.
    trials.destructive("managers::system_anew", system_anew);
    trials.destructive("managers::system_bus", system_bus);
}

/// Restarted at once, and one of them ends all the time.
const CONFIG: &str = r#"
[defaults]
restart = { base = "20ms", max = "20ms", tries = -1 }
[service.one]
command = ["sleep", "1000"]
[service.two]
command = ["sleep", "1000"]
after = ["one"]
[service.three]
command = ["sleep", "1000"]
[service.crasher]
command = ["sh", "-c", "sleep 0.2; exit 1"]
"#;
const STEADY: [&str; 3] = ["one", "two", "three"];

/// A manager needs as long as this if its bus ends while it has something to say to it: it waits for an
/// answer of the bus that it is itself to start (systemd 252 and 257, without provost as well).
const HELD_UP: Duration = Duration::from_secs(150);

/// An instance of provost, and how its manager is spoken to.
struct Instance<'r> {
    who: As<'r>,
    systemctl: Vec<&'static str>,
    /// The control group of its services.
    slice: String,
}

impl<'r> Instance<'r> {
    /// That of a user of its own, with all services up.
    fn of_user(rig: &'r Rig, name: &'static str, uid: u32) -> Result<Self> {
        rig.add_user(&User::person(name, uid, &[]))?;
        rig.linger(name)?;
        let home = format!("/home/{name}");
        rig.write_as(name, &format!("{home}/provost.toml"), CONFIG, 0o600)?;
        let slice = format!("/user.slice/user-{uid}.slice/user@{uid}.service/app.slice/app-provost.slice");
        Self { who: rig.as_user(name).folder(&home), systemctl: vec!["systemctl", "--user"], slice }.up()
    }

    /// That of the system, with all services up.
    fn of_system(rig: &'r Rig) -> Result<Self> {
        rig.as_root().run(["mkdir", "-p", "/srv/managers"])?.ok()?;
        rig.write("/srv/managers/provost.toml", CONFIG, 0o644)?;
        let who = rig.as_root().folder("/srv/managers");
        Self { who, systemctl: vec!["systemctl"], slice: "/provost.slice".to_owned() }.up()
    }

    fn up(self) -> Result<Self> {
        let manager = || self.systemctl(&["show-environment"]).is_ok();
        eventually("the manager answers", manager)?;
        self.ok(&["up", "-d", "-c", "provost.toml", "one", "two", "three"])?;
        // It lives too short a time to count as started.
        expect!(self.ok(&["start", "crasher"]).is_err(), "it is up");
        Ok(self)
    }

    fn ok(&self, args: &[&str]) -> Result<String> {
        let who = self.who.clone().timeout(HELD_UP);
        let done = who.run(["provost"].iter().chain(args))?.ok();
        done.map_err(|e| format!("{args:?}: {}; {}", crate::rig::words(&e), self.log()).into())
    }

    fn systemctl(&self, args: &[&str]) -> Result<String> {
        self.who.clone().timeout(HELD_UP).run(self.systemctl.iter().chain(args))?.ok()
    }

    /// What the daemon said last.
    fn log(&self) -> String {
        let user: &[&str] = if self.systemctl.len() > 1 { &["--user"] } else { &[] };
        let show = [&["journalctl"], user, &["-u", "provost.service", "-n", "40", "--no-pager", "-o", "cat"]].concat();
        let said = self.who.run(show).map(|output| output.stdout);
        said.unwrap_or_default()
    }

    fn service(&self, id: &str) -> Result<Value> {
        let listed = self.who.clone().run(["provost", "list", "-o", "json", id])?;
        let listed: Value = serde_json::from_str(&listed.stdout).map_err(|e| format!("{e}: {listed:?}"))?;
        Ok(listed["services"][0].clone())
    }

    fn pid(&self, id: &str) -> Result<u32> {
        let service = self.service(id)?;
        let pid = service["pid"].as_u64().ok_or_else(|| format!("{id} does not run: {service}"))?;
        Ok(u32::try_from(pid)?)
    }

    fn kill(&self, pid: u32) -> Result<()> {
        self.who.run(["kill", "-KILL", &pid.to_string()])?.ok().map(drop)
    }

    /// Every steady service runs, exactly once, as the daemon says.
    fn all_run_once(&self, rig: &Rig) -> bool {
        STEADY.iter().all(|id| {
            let of_unit = rig.cgroup_pids(&format!("{}/provost-{id}.service", self.slice)).unwrap_or_default();
            self.service(id).is_ok_and(|s| s["state"] == "running" && s["health"] == "ok")
                && self.pid(id).is_ok_and(|pid| of_unit == [pid])
        })
    }

    /// Crashes and restarts while `trouble` is made; and after it.
    fn lives_through(&self, rig: &Rig, patience: Duration, trouble: impl Fn() -> Result<()> + Sync) -> Result<()> {
        let log = |what: &str| format!("{what}: {}", self.log());
        let (one, two) = (self.pid("one")?, self.pid("two")?);
        std::thread::scope(|scope| {
            let made = scope.spawn(&trouble);
            self.kill(one)?;
            // Whoever asks while the manager is away may be told so; what is asked of it later is done.
            let _told = self.who.clone().timeout(patience).run(["provost", "restart", "two"])?;
            made.join().map_err(|_| "the thread that makes trouble panicked")?
        })?;
        until("all run again", patience, || self.all_run_once(rig)).map_err(|e| log(crate::rig::words(&e)))?;
        expect!(self.pid("one")? != one, "{}", log("one was killed"));
        let restarted = self.pid("two")? != two;
        if !restarted {
            self.ok(&["restart", "two"])?;
        }
        // A crash afterwards is noticed, and of the one that ends all the time every one.
        let three = self.pid("three")?;
        let crashes = || self.service("crasher").map(|s| s["restarts"].as_u64().unwrap_or_default());
        let before = crashes()?;
        self.kill(three)?;
        let noticed = || self.pid("three").is_ok_and(|pid| pid != three) && self.all_run_once(rig);
        until("a crash is noticed", Duration::from_secs(20), noticed).map_err(|e| log(crate::rig::words(&e)))?;
        let goes_on = || crashes().is_ok_and(|now| now > before + 2);
        until("crash after crash", Duration::from_secs(20), goes_on).map_err(|e| log(crate::rig::words(&e)))?;
        self.ok(&["status", "one", "two", "three"]).map(drop)
    }

    /// Everything ends, and nothing of it is left.
    fn down(self, rig: &Rig) -> Result<()> {
        self.ok(&["down", "--all"])?;
        let listed = || self.systemctl(&["list-units", "--all", "--plain", "--no-legend", "provost*", "app-provost-*"]);
        let none = || listed().is_ok_and(|units| units.lines().all(|unit| unit.starts_with("provost.slice")));
        eventually("nothing is left", none).map_err(|e| format!("{}: {:?}", crate::rig::words(&e), listed()))?;
        for id in STEADY {
            let left = rig.cgroup_pids(&format!("{}/provost-{id}.service", self.slice)).unwrap_or_default();
            expect!(left.is_empty(), "{id}: {left:?}");
        }
        Ok(())
    }
}

fn user_anew(rig: &Rig) -> Result<()> {
    let instance = Instance::of_user(rig, "anew", 1050)?;
    let daemon = instance.systemctl(&["show", "-P", "MainPID", "provost.service"])?;
    for what in ["daemon-reload", "daemon-reexec", "daemon-reexec", "daemon-reload"] {
        instance.lives_through(rig, Duration::from_secs(20), || instance.systemctl(&[what]).map(drop))?;
    }
    expect!(instance.systemctl(&["show", "-P", "MainPID", "provost.service"])? == daemon, "{}", instance.log());
    instance.down(rig)
}

fn user_bus(rig: &Rig) -> Result<()> {
    let instance = Instance::of_user(rig, "busy", 1051)?;
    let daemon = instance.systemctl(&["show", "-P", "MainPID", "provost.service"])?;
    let served =
        || instance.who.run(["busctl", "--user", "status", "org.provost.Provost1"]).is_ok_and(|o| o.code() == 0);
    eventually("it is on the bus", served)?;
    instance.lives_through(rig, HELD_UP, || instance.systemctl(&["restart", "dbus.service"]).map(drop))?;
    until("it is on the new bus", HELD_UP, served)
        .map_err(|e| format!("{}: {}", crate::rig::words(&e), instance.log()))?;
    expect!(instance.systemctl(&["show", "-P", "MainPID", "provost.service"])? == daemon, "{}", instance.log());
    instance.down(rig)
}

/// A user's manager that ends stops what comes after others before them.
fn shutdown_order(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("ordered", 1052, &[]))?;
    rig.linger("ordered")?;
    let said = "/home/ordered/ended";
    let service = |id: &str, more: &str| {
        let script = format!("trap 'sleep 0.3; echo {id} >> {said}; exit 0' TERM; while :; do sleep 0.05; done");
        format!("[service.{id}]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{more}\n")
    };
    let config = service("em-bedding", "")
        + &service("agent", "after = [\"em-bedding\"]")
        + &service("gateway", "after = [\"agent\"]");
    rig.write_as("ordered", "/home/ordered/provost.toml", config, 0o600)?;
    let who = rig.as_user("ordered").folder("/home/ordered");
    let manager = || who.run(["systemctl", "--user", "show-environment"]).is_ok_and(|done| done.code() == 0);
    eventually("the manager answers", manager)?;
    who.run(["provost", "up", "-d"])?.ok()?;
    // Each of them was made anew since the others were.
    for id in ["em-bedding", "agent"] {
        who.run(["provost", "restart", id])?.ok()?;
    }
    who.run(["provost", "status"])?.ok()?;
    rig.remove(said)?;
    rig.systemctl(["stop", "user@1052.service"])?;
    let ended = rig.read(said)?;
    expect!(ended.split_whitespace().eq(["gateway", "agent", "em-bedding"]), "{ended}");
    Ok(())
}

fn system_anew(rig: &Rig) -> Result<()> {
    let instance = Instance::of_system(rig)?;
    for what in ["daemon-reload", "daemon-reexec", "daemon-reexec"] {
        instance.lives_through(rig, Duration::from_secs(20), || instance.systemctl(&[what]).map(drop))?;
    }
    instance.down(rig)
}

fn system_bus(rig: &Rig) -> Result<()> {
    let instance = Instance::of_system(rig)?;
    let lived = instance.lives_through(rig, HELD_UP, || instance.systemctl(&["restart", "dbus.service"]).map(drop));
    // Who does not live through that, and others need.
    for unit in ["systemd-logind.service", "polkit.service"] {
        rig.systemctl(["restart", unit])?;
    }
    lived?;
    instance.down(rig)
}

/// A manager that comes later moves the runtime folder: the daemon of before is reached all the same, and named
/// where it cannot be.
fn comes_later(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("ulla", 1097, &[]))?;
    let ulla = rig.as_user("ulla").folder("/home/ulla");
    ulla.run(["provost", "run", "--name", "early", "--", "sleep", "1000"])?.ok()?;
    expect!(rig.exists("/tmp/provost-1097/control.sock"), "there is a manager already");
    rig.linger("ulla")?;
    eventually("the user's manager is up", || rig.exists("/run/user/1097/bus"))?;
    let list = ulla.run(["provost", "list"])?;
    expect!(list.stdout.contains("early") && !list.stderr.contains("no daemon runs"), "{list:?}");
    ulla.run(["provost", "run", "--name", "late", "--", "sleep", "1000"])?.ok()?;
    ulla.run(["provost", "remove", "late"])?.ok()?;
    // As the folder of a session that ends.
    ulla.run(["rm", "-r", "/tmp/provost-1097"])?.ok()?;
    let lost = ulla.run(["provost", "list"])?;
    let said = lost.stderr.split_once("a daemon runs as pid ").and_then(|(_, rest)| rest.split_once(','));
    let (pid, _) = said.ok_or_else(|| format!("it is not named: {lost:?}"))?;
    expect!(lost.code() == 8, "{lost:?}");
    ulla.run(["kill", pid])?.ok()?;
    let runs =
        || ulla.run(["provost", "run", "--name", "next", "--", "sleep", "1000"]).is_ok_and(|ran| ran.code() == 0);
    eventually("the next one takes over", runs)?;
    ulla.run(["provost", "down", "--all"])?.ok().map(drop)
}
