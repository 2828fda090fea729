//! A daemon that the bus started leaves when nobody needs it, and nobody notices.

use std::time::Duration;

use super::{MANAGER, NAME, PATH};
use crate::rig::{Result, Rig, until};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::idle", idle);
    trials.exclusive("system::late_bus", late_bus);
}

/// A bus that is not there is said once, however often it is looked for, and once that it has come.
fn late_bus(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let (bus, log) = ("/run/late-bus", "/root/late.log");
        let root = rig.as_root().without("/run/systemd").env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={bus}"));
        let line = format!("exec provost -vv daemon --system 2> {log}");
        let _daemon = root.spawn_as("provost", ["sh", "-c", &line])?;
        let said = |words: &[&str]| {
            let text = rig.read(log).unwrap_or_default();
            text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
        };
        let patience = Duration::from_secs(30);
        until("it is looked for again and again", patience, || said(&["the system bus is not there yet"]) == 2)?;
        expect!(said(&[" INFO ", "the system bus"]) == 1, "{}", rig.read(log)?);
        rig.as_root().run(["ln", "-s", "/run/dbus/system_bus_socket", bus])?.ok()?;
        until("it is served", patience, || said(&[" INFO ", "serving", "on the system bus"]) == 1)?;
        expect!(said(&[" INFO ", "the system bus"]) == 2, "{}", rig.read(log)?);
        rig.as_root().run(["rm", bus, log])?.ok().map(drop)
    })
}

fn idle(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let drop_in = "[Service]\nExecStart=\nExecStart=/usr/local/bin/provost daemon --system --exit-when-idle --unused 100ms\n";
        rig.unit("provost.service.d/idle.conf", drop_in)?;
        let eve = rig.as_user("eve");
        eve.run(["provost", "--system", "list"])?.ok()?;
        let state = || rig.active_state("provost.service").unwrap_or_default();
        until("it leaves", Duration::from_secs(30), || state() == "inactive")?;
        // Calls that come at any moment of its going are answered, by it or by the next one.
        let script = format!(
            "for n in $(seq 150); do busctl --system call {NAME} {PATH} {MANAGER} List assb 0 '' false >/dev/null || echo lost; \
             sleep 0.$((RANDOM % 3))$((RANDOM % 10)); done"
        );
        let limit = Duration::from_secs(240);
        let calls = std::thread::scope(|scope| {
            let script = &script;
            let call = |who: &'static str| scope.spawn(move || rig.as_user(who).timeout(limit).run(["bash", "-c", script]));
            [call("watson"), call("eve")].map(|call| call.join())
        });
        for said in calls {
            let said = said.map_err(|_| "a thread ended")??;
            expect!(said.code() == 0 && said.stdout.is_empty(), "{said:?}");
        }
        let starts = rig.as_root().run(["journalctl", "-u", "provost.service", "-o", "cat", "--no-pager"])?.ok()?;
        let starts = starts.matches("nothing runs and nothing is asked for").count();
        expect!(starts > 5, "it left {starts} times only");
        rig.remove("/etc/systemd/system/provost.service.d/idle.conf")?;
        rig.systemctl(["daemon-reload"]).map(drop)
    })
}
