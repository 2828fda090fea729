//! What users may do with services of the system, and what is asked of polkit.

use std::time::Duration;

use super::{CONFIG, MANAGER, NAME, PATH, allow, pid_of, up, with_config};
use crate::rig::{PASSWORD, Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::users", users);
    trials.exclusive("system::every_method", every_method);
    trials.exclusive("system::logs", logs);
}

const TWO: &str = "[service.llm]\ncommand = ['sleep', '1000']\nenv = { A = 'b' }\n\
                   [service.db]\ncommand = ['sleep', '1001']\n";

/// Everybody sees them; a rule, or a password, lets somebody restart one of them.
fn users(rig: &Rig) -> Result<()> {
    with_config(rig, TWO, || {
        let (watson, eve) = (rig.as_user("watson"), rig.as_user("eve"));
        // The bus starts the daemon, and that what is enabled.
        let listed = eve.run(["provost", "--system", "list", "--json"])?.ok()?;
        expect!(listed.contains("\"llm\"") && listed.contains("\"db\""), "{listed}");
        let before = up(rig, "llm")?;
        // Without a right, and nobody to ask for a password.
        for verb in ["restart", "stop", "kill"] {
            let said = watson.run(["provost", verb, "llm"])?;
            expect!(said.code() == 4, "{verb}: {said:?}");
            expect!(said.stderr.contains("org.provost.manage-services"), "{verb}: {said:?}");
        }
        expect!(pid_of(rig, "llm")? == before, "it was touched");
        // A rule for one verb of one service, for one user.
        let rule = allow(rig, "watson", "llm", &["restart"])?;
        let plan = watson.run(["provost", "restart", "llm", "--dry-run", "--json"])?.ok()?;
        expect!(plan.contains("\"verdict\": \"allowed\""), "{plan}");
        let done = watson.run(["provost", "restart", "llm"])?.ok()?;
        expect!(done.contains("llm: restarted"), "{done}");
        let after = up(rig, "llm")?;
        expect!(after != before, "{after} is the same process");
        for (who, argv) in [
            (&watson, ["provost", "stop", "llm"]),
            (&watson, ["provost", "restart", "db"]),
            (&eve, ["provost", "restart", "llm"]),
            (&watson, ["provost", "restart", "llm db"]),
        ] {
            let words: Vec<&str> = argv.iter().flat_map(|word| word.split(' ')).collect();
            let said = who.run(&words)?;
            expect!(said.code() == 4, "{words:?}: {said:?}");
        }
        let plan = watson.run(["provost", "stop", "llm", "--dry-run", "--json"])?;
        expect!(plan.stdout.contains("\"verdict\": \"needs-password\""), "{plan:?}");
        // Ids, globs and all are each of them.
        let call = ["busctl", "--system", "call", NAME, PATH, MANAGER, "Restart", "ass"];
        let with = |rest: &[&str]| watson.run(call.iter().chain(rest));
        expect!(with(&["1", "llm", ""])?.code() == 0, "the rule allows it");
        for rest in [&["1", "*", ""][..], &["0", ""], &["2", "llm", "db", ""], &["0", CONFIG]] {
            let said = with(rest)?;
            expect!(said.code() != 0 && said.stderr.contains("db"), "{rest:?}: {said:?}");
        }
        // What somebody else has set does not reach what runs for the system.
        let start = ["busctl", "--system", "call", NAME, PATH, MANAGER, "Start", "assa{ss}", "1", "llm", "", "1"];
        let both = allow(rig, "watson", "llm", &["restart", "start", "stop"])?;
        watson.run(["provost", "stop", "llm"])?.ok()?;
        watson.run(start.iter().chain(&["LD_PRELOAD", "/tmp/evil.so"]))?.ok()?;
        watson.run(start.iter().chain(&["PATH", "/tmp/evil"]))?.ok()?;
        watson.run(["provost", "restart", "llm"])?.ok()?;
        let environment = rig.read(&format!("/proc/{}/environ", up(rig, "llm")?))?;
        expect!(environment.contains("A=b") && !environment.contains("evil"), "{environment}");
        drop((both, rule));

        // With a password, on a terminal, also where it takes longer than systemd would wait.
        let mut terminal = watson.pty(["provost", "--system", "restart", "llm"])?;
        terminal.expect("Password:", Duration::from_secs(15))?;
        terminal.type_password(PASSWORD)?;
        let (status, text) = terminal.wait()?;
        expect!(status.success() && text.contains("restarted"), "{text}");
        let mut terminal = watson.pty(["provost", "--system", "down", "db"])?;
        terminal.expect("Password:", Duration::from_secs(15))?;
        terminal.type_password("wrong")?;
        let (status, text) = terminal.wait()?;
        expect!(status.code() == Some(4), "{text}");
        let refused = watson.pty(["provost", "--system", "--no-ask-password", "down", "db"])?.wait()?;
        expect!(refused.0.code() == Some(4) && !refused.1.contains("Password"), "{}", refused.1);
        expect!(pid_of(rig, "db")? != 0, "it was stopped");
        Ok(())
    })
}

/// Nobody without a right does anything by any method, and learns nothing from a refusal.
fn every_method(rig: &Rig) -> Result<()> {
    with_config(rig, TWO, || {
        let (eve, root) = (rig.as_user("eve"), rig.as_root());
        eve.run(["provost", "--system", "list"])?.ok()?;
        let before = up(rig, "llm")?;
        rig.write("/root/secret.toml", "password = 'swordfish'\n", 0o600)?;
        let orphan = rig.as_root().spawn(["/usr/local/bin/sleeper", "3000"])?;
        let call = ["busctl", "--system", "call", NAME, PATH, MANAGER];
        let service = format!("{PATH}/service/llm");
        let object = ["busctl", "--system", "call", NAME, &service, "org.provost.Provost1.Service"];
        let denied: &[(&[&str], &[&str])] = &[
            (&call, &["Load", "sa{ss}", "/root/secret.toml", "0"]),
            (&call, &["Load", "sa{ss}", "/root/none.toml", "0"]),
            (
                &call,
                &["Define", "aa{sv}a{ss}", "1", "3", "id", "s", "x", "command", "as", "1", "id", "cwd", "s", "/", "0"],
            ),
            (&call, &["Start", "assa{ss}", "0", "", "0"]),
            (&call, &["Stop", "assb", "1", "llm", "", "true"]),
            (&call, &["Restart", "ass", "1", "l*", ""]),
            (&call, &["Reload", "as", "1", "llm"]),
            (&call, &["Kill", "assi", "1", "llm", "all", "9"]),
            (&call, &["Enable", "asb", "1", "llm", "false"]),
            (&call, &["Remove", "as", "1", "llm"]),
            (&call, &["Logs", "asa{sv}", "1", "llm", "0"]),
            (&call, &["CleanOrphans", "asb", "1", "sleeper", "true"]),
            (&call, &["ReloadConfig"]),
            (&call, &["Reexecute"]),
            (&call, &["Exit", "s", "force"]),
            (&object, &["Start"]),
            (&object, &["Stop", "b", "true"]),
            (&object, &["Restart"]),
            (&object, &["Reload"]),
            (&object, &["Kill", "si", "all", "9"]),
        ];
        for (call, rest) in denied {
            let said = eve.run(call.iter().chain(*rest))?;
            let why = said.stderr.contains("password is needed") || said.stderr.contains("denies it");
            expect!(said.code() != 0 && why, "{rest:?}: {said:?}");
            expect!(!said.stderr.contains("swordfish") && !said.stderr.contains("No such file"), "{rest:?}: {said:?}");
        }
        let said = eve.run(["provost", "--system", "remove", "llm"])?;
        expect!(said.code() == 4 && said.stderr.contains("do it on a terminal, where it can be asked for"), "{said:?}");
        expect!(said.stderr.matches("on a terminal").count() == 1, "the same advice twice: {said:?}");
        expect!(pid_of(rig, "llm")? == before, "it was touched");
        expect!(rig.is_running(orphan.pid), "it was ended");
        // No service at all is not every service.
        for (method, rest) in [
            ("Start", &["assa{ss}", "0", "/nonexistent", "0"][..]),
            ("Stop", &["assb", "0", "/nonexistent", "true"]),
            ("Restart", &["ass", "0", "/nonexistent"]),
        ] {
            let said = eve.run(call.iter().chain(&[method]).chain(rest))?;
            expect!(said.code() != 0 && said.stderr.contains("no such service"), "{method}: {said:?}");
        }
        expect!(pid_of(rig, "llm")? == before, "it was touched");
        // What is open to all.
        let listed = eve.run(call.iter().chain(&["List", "assb", "0", "", "true"]))?.ok()?;
        expect!(listed.contains("llm") && !listed.contains("swordfish"), "{listed}");
        let explained = eve.run(call.iter().chain(&["Explain", "asas", "1", "llm", "2", "start", "kill"]))?.ok()?;
        expect!(explained.matches("needs-password").count() == 2, "{explained}");
        for rest in [&["RecentEvents"][..], &["Subscribe"], &["Orphans", "as", "0"]] {
            eve.run(call.iter().chain(rest))?.ok()?;
        }
        // Root needs no polkit.
        let explained = root.run(call.iter().chain(&["Explain", "asas", "1", "llm", "1", "kill"]))?.ok()?;
        expect!(explained.contains("allowed"), "{explained}");
        let introspected = eve.run(["busctl", "--system", "introspect", NAME, PATH])?.ok()?;
        expect!(introspected.contains(".Logs") && introspected.contains(".SignalProcess"), "{introspected}");
        // Without polkit there is nobody who would allow anything.
        rig.without_polkit(|| {
            let said = eve.run(call.iter().chain(&["Stop", "assb", "1", "llm", "", "true"]))?;
            expect!(said.code() != 0 && pid_of(rig, "llm")? == before, "{said:?}");
            root.run(call.iter().chain(&["Restart", "ass", "1", "llm", ""]))?.ok().map(drop)
        })
    })
}

/// Who may not read the journal reads through the daemon, if polkit allows it.
fn logs(rig: &Rig) -> Result<()> {
    let config = "[service.talk]\ncommand = ['sh', '-c', 'echo one; echo two >&2; exec sleep 1000']\n\
                  [service.file]\ncommand = ['sh', '-c', 'seq 5000; echo kept; exec sleep 1000']\nlog = { file = true }\n";
    with_config(rig, config, || {
        let eve = rig.as_user("eve");
        eve.run(["provost", "--system", "list"])?.ok()?;
        up(rig, "talk")?;
        up(rig, "file")?;
        let said = eve.run(["provost", "logs", "talk"])?;
        expect!(said.code() == 4 && said.stdout.is_empty(), "{said:?}");
        let js = "if (action.id == \"org.provost.read-logs\" && subject.user == \"eve\") return polkit.Result.YES;";
        let _rule = rig.polkit_rule("provost-logs", js)?;
        let mut last = None;
        let read = eventually("the lines are there", || {
            let said = eve.run(["provost", "-vv", "logs", "talk"]).ok();
            let mut lines: Vec<&str> = said.iter().flat_map(|said| said.stdout.lines()).collect();
            lines.sort_unstable();
            let both = lines == ["one", "two"];
            last = said;
            both
        });
        expect!(read.is_ok(), "{last:?}");
        let of_file = |args: &[&str]| eve.run(["provost", "--system", "logs", "file"].iter().chain(args))?.ok();
        let kept = of_file(&["-n", "1"])?;
        expect!(kept == "kept", "{kept}");
        // However far back it is.
        let found = of_file(&["--grep", "^1?23$"])?;
        expect!(found == "23\n123", "{found}");
        let found = of_file(&["--grep", "^.?23$", "-n", "1"])?;
        expect!(found == "923", "{found}");
        let all = of_file(&["-n", "all"])?;
        expect!(all.lines().count() == 5001, "{} lines", all.lines().count());
        let mut follow = eve.pty(["provost", "--system", "logs", "-f", "file", "--grep", "^12?3$"])?;
        follow.expect("123", Duration::from_secs(20))?;
        follow.type_bytes(b"\x03")?;
        follow.wait()?;
        let errors = eve.run(["provost", "--system", "logs", "--stderr", "talk"])?.ok()?;
        expect!(errors == "two", "{errors}");
        let mut follow = eve.pty(["provost", "--system", "logs", "-f", "talk", "file"])?;
        follow.expect("kept", Duration::from_secs(20))?;
        follow.type_bytes(b"\x03")?;
        follow.wait()?;
        // Each of them holds something of the daemon: a few are enough for anybody.
        let script = "for n in 1 2 3 4 5 6; do provost --system logs -f talk >/dev/null 2>/tmp/eve-logs-$n & done; \
                      until test $(grep -l 'too many' /tmp/eve-logs-* | wc -l) = 2; do sleep 0.05; done; \
                      jobs -r | wc -l; kill $(jobs -p)";
        let count = eve.run(["bash", "-c", script])?;
        expect!(count.stdout.trim() == "4", "{count:?}");
        Ok(())
    })
}
