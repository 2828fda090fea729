//! What belongs to a service without being named: what it comes after and what comes after it, of which polkit is asked too;
//! and what only says that it does.

use super::{MANAGER, NAME, PATH, allow, pid_of, up, with_config};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::dependencies", dependencies);
    trials.exclusive("system::false_marks", false_marks);
}

const AFTER: &str = "[service.db]\ncommand = ['sleep', '1000']\n\
                     [service.web]\ncommand = ['sleep', '1001']\nafter = ['db']\n";

/// A rule for one service is no rule for those that would be started or stopped with it.
fn dependencies(rig: &Rig) -> Result<()> {
    with_config(rig, AFTER, || {
        let (watson, root) = (rig.as_user("watson"), rig.as_root());
        watson.run(["provost", "--system", "list"])?.ok()?;
        let (db, web) = (up(rig, "db")?, up(rig, "web")?);
        let rule = allow(rig, "watson", "web", &["start", "stop", "restart"])?;
        // What runs already is not touched, and not asked about.
        watson.run(["provost", "restart", "web"])?.ok()?;
        expect!(up(rig, "web")? != web && pid_of(rig, "db")? == db, "the wrong one was restarted");
        root.run(["provost", "--system", "stop", "web", "db"])?.ok()?;
        let object = format!("{PATH}/service/web");
        let call = |verb: &'static str| {
            watson.run(["busctl", "--system", "call", NAME, &object, "org.provost.Provost1.Service", verb])
        };
        for verb in ["start", "restart"] {
            let said = watson.run(["provost", verb, "web"])?;
            expect!(said.code() == 4, "{said:?}");
        }
        for said in [call("Start")?, call("Restart")?] {
            let why = said.stderr.contains("start db, after which web comes");
            expect!(said.code() != 0 && why, "{said:?}");
        }
        let manager = ["busctl", "--system", "call", NAME, PATH, MANAGER, "Start", "assa{ss}", "1", "web", "", "0"];
        let said = watson.run(manager)?;
        expect!(said.code() != 0 && said.stderr.contains("start db"), "{said:?}");
        expect!(pid_of(rig, "db")? == 0 && pid_of(rig, "web")? == 0, "it was started all the same");
        let plan = watson.run(["provost", "start", "web", "--dry-run", "--json"])?;
        expect!(plan.stdout.contains("\"verdict\": \"needs-password\""), "{plan:?}");
        let both = allow(rig, "watson", "db", &["start", "stop"])?;
        watson.run(["provost", "start", "web"])?.ok()?;
        let (db, web) = (up(rig, "db")?, up(rig, "web")?);
        drop((rule, both));
        // Whoever may stop the one may not stop what comes after it.
        let _rule = allow(rig, "watson", "db", &["stop"])?;
        let stop = ["busctl", "--system", "call", NAME, PATH, MANAGER, "Stop", "assb", "1", "db", ""];
        for force in ["false", "true"] {
            let said = watson.run(stop.iter().chain(&[force]))?;
            let why = said.stderr.contains("stop web, which comes after db and would stop with it");
            expect!(said.code() != 0 && why, "{said:?}");
        }
        expect!(pid_of(rig, "db")? == db && pid_of(rig, "web")? == web, "it was stopped all the same");
        root.run(["provost", "--system", "stop", "web"])?.ok()?;
        watson.run(stop.iter().chain(&["false"]))?.ok()?;
        eventually("it has stopped", || pid_of(rig, "db").is_ok_and(|pid| pid == 0))
    })
}

/// Everybody may set the variables by which what services leave behind is known, and gets nothing ended by it.
fn false_marks(rig: &Rig) -> Result<()> {
    with_config(rig, "[service.llm]\ncommand = ['sleep', '1000']\nuser = 'ollama'\n", || {
        let (eve, root) = (rig.as_user("eve"), rig.as_root());
        eve.run(["provost", "--system", "list"])?.ok()?;
        up(rig, "llm")?;
        let id = eve.run(["busctl", "--system", "get-property", NAME, PATH, MANAGER, "InstanceId"])?.ok()?;
        let id = id.trim().trim_start_matches("s ").trim_matches('"').to_owned();
        let marked = |user: &str| -> Result<u32> {
            let who = rig.as_user(user).env("PROVOST_INSTANCE_ID", &id).env("PROVOST_SERVICE", "gone");
            let said = who.run(["sh", "-c", "setsid sleeper </dev/null >/dev/null 2>&1 & echo $!"])?.ok()?;
            Ok(said.trim().parse()?)
        };
        let (of_eve, of_root) = (marked("eve")?, marked("root")?);
        let orphans = || root.run(["provost", "--system", "orphans", "--json"])?.ok();
        let has = |text: &str, pid: u32| text.contains(&format!("\"pid\": {pid},"));
        eventually("what is ours is seen", || orphans().is_ok_and(|found| has(&found, of_root)))?;
        let found = orphans()?;
        expect!(!has(&found, of_eve), "{found}");
        let told = eve.run(["busctl", "--system", "call", NAME, PATH, MANAGER, "Orphans", "as", "0"])?.ok()?;
        expect!(!told.contains(&format!("\"pid\" t {of_eve} ")), "{told}");
        root.run(["provost", "--system", "orphans", "--clean", "--yes"])?.ok()?;
        expect!(rig.is_running(of_eve), "a variable had it ended");
        eventually("what is ours has ended, and its parent knows", || !rig.is_running(of_root))?;
        // Nor where root itself looks, who may read every environment.
        rig.systemctl(["stop", "provost.service"])?;
        let (daemonless, last) = (rig.as_root().no_bus(), marked("root")?);
        let looked = || daemonless.run(["provost", "--system", "orphans", "--json"])?.ok();
        eventually("what is ours is seen", || looked().is_ok_and(|found| has(&found, last)))?;
        let found = looked()?;
        expect!(!has(&found, of_eve), "{found}");
        root.run(["kill", &of_eve.to_string(), &last.to_string()])?.ok().map(drop)
    })
}
