//! Objects that are units.

use crate::rig::{Result, Rig, eventually};

use super::cells::Cell;
use super::look::{Object, Watched};
use super::owners::{Keep, Subject};
use super::processes::{living, of_process, wait_for_start};

/// A unit by its name, whatever it is.
pub fn subject<'r>(rig: &'r Rig, cell: &Cell, unit: &str) -> Subject<'r> {
    let object = Object::Unit(None, unit.to_owned());
    let watched = Watched { rig, object, others: Vec::new(), log: Some(cell.log()) };
    Subject { target: format!("unit:{unit}"), watched, keep: Keep::Nothing }
}

fn text(cell: &Cell, unit: &str, service: &str) -> String {
    format!(
        "[Unit]\n{unit}\n[Service]\nExecStart=/usr/local/bin/sleeper --log {}\nExecReload=/bin/kill -HUP $MAINPID\n{service}",
        cell.log()
    )
}

/// Writes the unit, starts it and waits until it is ready.
pub fn running_with<'r>(rig: &'r Rig, cell: &Cell, unit: &str, service: &str) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    rig.started(name, &text(cell, unit, service))?;
    wait_for_start(rig, &cell.log())?;
    Ok(subject(rig, cell, name))
}

pub fn running<'r>(rig: &'r Rig, cell: &Cell, service: &str) -> Result<Subject<'r>> {
    running_with(rig, cell, "", service)
}

impl<'r> Subject<'r> {
    /// The same, named by its main process.
    pub fn by_pid(self) -> Result<Self> {
        let log = self.watched.log.as_deref().unwrap_or_default();
        let pid = wait_for_start(self.watched.rig, log)?;
        Ok(Self { target: format!("pid:{pid}"), ..self })
    }

    /// The same for an action that is about the process only, whatever its unit does then.
    pub fn only_process(mut self) -> Result<Self> {
        let log = self.watched.log.as_deref().unwrap_or_default();
        let pid = wait_for_start(self.watched.rig, log)?;
        self.watched.object = Object::Process(living(self.watched.rig, pid)?);
        Ok(self)
    }

    /// Of an editor, its child.
    pub fn the_child(self, rig: &'r Rig, cell: &Cell) -> Result<Self> {
        let child = wait_for_start(rig, &child_log(cell))?;
        let others = vec![self.watched.object];
        let of_child = of_process(rig, child, Some(child_log(cell)), self.keep)?;
        Ok(Self { watched: Watched { others, ..of_child.watched }, ..of_child })
    }
}

/// A unit of watson's manager; others than watson know it by its process only.
pub fn of_user<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let (user, name) = (cell.owner.user, &cell.units()[0]);
    rig.user_unit(user, name, &text(cell, "", "Restart=always\n"))?;
    rig.user_systemctl(user, ["start", name])?;
    let pid = wait_for_start(rig, &cell.log())?;
    let mine = cell.caller.user(user) == user;
    let target = if mine { format!("user-unit:{name}") } else { format!("pid:{pid}") };
    let subject = subject(rig, cell, name);
    let object = Object::Unit(Some(user), name.clone());
    Ok(Subject { target, watched: Watched { object, ..subject.watched }, ..subject })
}

fn child_log(cell: &Cell) -> String {
    format!("/tmp/{}.child.log", cell.name())
}

/// An editor in a scope of its own with a child that a terminal in it started. Named by the editor's pid, which with what
/// it started is all of the scope.
pub fn editor<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let (log, child, user) = (cell.log(), child_log(cell), cell.owner.user);
    let scope = format!("{}.scope", cell.name());
    let command = ["systemd-run", "--quiet", "--user", "--scope", "--unit", &scope, "--"];
    let editor = ["sleeper", "--log", &log, "--child", "--", "--log", &child];
    // systemd-run becomes the command itself, sooner or later than anybody looks.
    let process = rig.as_user(user).spawn_as("sleeper", command.into_iter().chain(editor))?;
    let pid = wait_for_start(rig, &log)?;
    wait_for_start(rig, &child)?;
    let object = Object::Unit(Some(user), scope);
    let watched = Watched { rig, object, others: Vec::new(), log: Some(log) };
    Ok(Subject { target: format!("pid:{pid}"), watched, keep: Keep::Process { _process: process } })
}

/// A unit whose main process runs one program and has a child that runs another, which is the target.
pub fn with_parts<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    let script = format!("/usr/local/bin/sleeper --log {} & exec tail -f /dev/null", cell.log());
    rig.started(name, &format!("[Service]\nUser={}\nExecStart=/bin/sh -c '{script}'\n", cell.owner.user))?;
    let pid = wait_for_start(rig, &cell.log())?;
    let of_child = of_process(rig, pid, Some(cell.log()), Keep::Nothing)?;
    let others = vec![Object::Unit(None, name.clone())];
    Ok(Subject { watched: Watched { others, ..of_child.watched }, ..of_child })
}

/// A port that a socket unit holds; behind it nothing runs yet, or its service does.
pub fn socket<'r>(rig: &'r Rig, cell: &Cell, busy: bool) -> Result<Subject<'r>> {
    let (name, port) = (cell.name(), 20_000 + cell.number);
    rig.unit(&format!("{name}.service"), &text(cell, "", ""))?;
    rig.started(&format!("{name}.socket"), &format!("[Socket]\nListenStream=127.0.0.1:{port}\n"))?;
    let mut subject = subject(rig, cell, &format!("{name}.socket"));
    if busy {
        rig.systemctl(["start", &format!("{name}.service")])?;
        wait_for_start(rig, &cell.log())?;
        let service = Object::Unit(None, format!("{name}.service"));
        subject.watched.others.push(Object::Active(format!("{name}.socket")));
        subject.watched.object = service;
    }
    Ok(Subject { target: format!(":{port}"), ..subject })
}

pub fn masked<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    rig.link("/dev/null", &format!("/etc/systemd/system/{name}"))?;
    Ok(subject(rig, cell, name))
}

pub fn masked_while_running<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    rig.write(&format!("/run/systemd/system/{name}"), text(cell, "", ""), 0o644)?;
    rig.systemctl(["start", name])?;
    wait_for_start(rig, &cell.log())?;
    rig.systemctl(["mask", name])?;
    Ok(subject(rig, cell, name))
}

pub fn inactive<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    rig.unit(&cell.units()[0], &text(cell, "", ""))?;
    Ok(subject(rig, cell, &cell.units()[0]))
}

pub fn refuses_start<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    rig.unit(&cell.units()[0], &text(cell, "RefuseManualStart=yes", ""))?;
    Ok(subject(rig, cell, &cell.units()[0]))
}

/// One that failed and would now work.
pub fn failed<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let (name, ready) = (&cell.units()[0], format!("/tmp/{}.ready", cell.name()));
    rig.unit(name, &text(cell, "", &format!("Type=exec\nExecStartPre=/usr/bin/test -e {ready}\n")))?;
    if rig.systemctl(["start", name]).is_ok() {
        return Err("it did not fail".into());
    }
    rig.write(&ready, "", 0o644)?;
    Ok(subject(rig, cell, name))
}

/// One that failed, would now work, and is to be started again much later.
pub fn waiting<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let (name, ready) = (&cell.units()[0], format!("/tmp/{}.ready", cell.name()));
    let later = format!("ExecStartPre=/usr/bin/test -e {ready}\nRestart=on-failure\nRestartSec=1h\n");
    rig.unit(name, &text(cell, "", &later))?;
    rig.systemctl(["start", "--no-block", name])?;
    rig.wait_for_state(name, "activating")?;
    eventually("it waits", || rig.systemctl(["show", "-P", "SubState", name]).is_ok_and(|s| s == "auto-restart"))?;
    rig.write(&ready, "", 0o644)?;
    Ok(subject(rig, cell, name))
}

/// One whose start lasts: it never says that it is ready.
pub fn activating<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    rig.unit(name, &text(cell, "", "Type=notify\nTimeoutStartSec=infinity\n"))?;
    rig.systemctl(["start", "--no-block", name])?;
    wait_for_start(rig, &cell.log())?;
    Ok(subject(rig, cell, name))
}

/// One whose process moved to a cgroup below its unit's.
pub fn delegated<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    let group = format!("/sys/fs/cgroup/system.slice/{name}/inner");
    let script = format!(
        "mkdir {group} && exec setpriv --reuid=ollama --clear-groups /usr/local/bin/sleeper --log {}",
        cell.log()
    );
    let reload = "ExecReload=/bin/kill -HUP $MAINPID\n";
    rig.started(name, &format!("[Service]\nDelegate=yes\n{reload}ExecStart=/bin/sh -c '{script}'\n"))?;
    let pid = wait_for_start(rig, &cell.log())?;
    // From here, and not by itself: systemd may put it into its cgroup only after it has begun.
    rig.as_root().run(["sh", "-c", &format!("echo {pid} >{group}/cgroup.procs")])?.ok()?;
    let group = rig.read(&format!("/proc/{pid}/cgroup"))?;
    if !group.trim_end().ends_with("/inner") {
        return Err(format!("it is in {group}").into());
    }
    subject(rig, cell, name).by_pid()
}

/// Something that is no service.
pub fn other<'r>(rig: &'r Rig, cell: &Cell, text: &str) -> Result<Subject<'r>> {
    let name = &cell.units()[0];
    rig.started(name, text)?;
    let subject = subject(rig, cell, name);
    Ok(Subject { watched: Watched { log: None, ..subject.watched }, ..subject })
}

pub fn broken<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    rig.unit(&cell.units()[0], "[Service]\nType=simple\n")?;
    Ok(subject(rig, cell, &cell.units()[0]))
}

pub fn instance<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    rig.unit(&format!("{}@.service", cell.name()), &text(cell, "", ""))?;
    rig.systemctl(["start", &cell.units()[0]])?;
    wait_for_start(rig, &cell.log())?;
    Ok(subject(rig, cell, &cell.units()[0]))
}

pub fn transient<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let (name, log) = (&cell.units()[0], cell.log());
    let command = ["systemd-run", "--quiet", "--unit", name, "/usr/local/bin/sleeper", "--log", &log];
    rig.as_root().run(command)?.ok()?;
    living(rig, wait_for_start(rig, &log)?)?;
    Ok(subject(rig, cell, name))
}

pub fn oneshot<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let say = |word: &str| format!("/bin/sh -c 'echo {word} >>{}'", cell.log());
    let (start, reload) = (say("START 0"), say("HUP"));
    let text = format!("[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={start}\nExecReload={reload}\n");
    rig.started(&cell.units()[0], &text)?;
    Ok(subject(rig, cell, &cell.units()[0]))
}
