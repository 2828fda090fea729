//! The examples of polkit/ in force, and what polkit shows to whoever types a password.

use std::time::Duration;

use super::installed;
use crate::rig::{PASSWORD, Result, Rig, User, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("install::example_rules", example_rules);
    trials.exclusive("install::messages", messages);
}

const CONFIG: &str =
    "[service.llama]\ncommand = [\"sleep\", \"1000\"]\n[service.other]\ncommand = [\"sleep\", \"1000\"]\n";

fn example_rules(rig: &Rig) -> Result<()> {
    rig.write("/etc/provost/provost.toml", CONFIG, 0o644)?;
    rig.add_user(&User::person("operator", 1130, &[]))?;
    rig.unit("ollama.service", "[Service]\nExecStart=sleep 1000\n")?;
    installed(rig, || {
        rig.add_user(&User::person("pia", 1131, &["provost"]))?;
        rig.write(
            "/etc/polkit-1/rules.d/50-provost-group.rules",
            include_str!("../../../polkit/provost-group.rules"),
            0o644,
        )?;
        rig.write(
            "/etc/polkit-1/rules.d/50-ollama-operator.rules",
            include_str!("../../../polkit/ollama-operator.rules"),
            0o644,
        )?;
        rig.systemctl(["start", "ollama.service"])?;
        let done = |who: &str, argv: &[&str]| {
            let output = rig.as_user(who).run(argv.iter().chain(&["--no-ask-password"]));
            output.map(|output| (output.code() == 0, format!("{who} {argv:?}: {output:?}")))
        };
        let pia = |verb: &str, id: &str| done("pia", &["provost", verb, "--system", id]);
        eventually("polkit has read the rules", || pia("restart", "service:llama").is_ok_and(|done| done.0))?;
        for (verb, id, may) in [
            ("restart", "service:llama", true),
            ("stop", "service:llama", false),
            ("restart", "service:other", false),
            ("rm", "llama", false),
        ] {
            let (did, shown) = pia(verb, id)?;
            expect!(did == may, "{verb} {id}: {shown}");
        }
        for (who, verb, unit, may) in [
            ("operator", "restart", "ollama.service", true),
            ("operator", "stop", "ollama.service", false),
            ("operator", "restart", "provost-other.service", false),
            ("eve", "restart", "ollama.service", false),
            ("pia", "restart", "ollama.service", false),
        ] {
            let (did, shown) = done(who, &["systemctl", verb, unit])?;
            expect!(did == may, "{verb} {unit}: {shown}");
        }
        for name in ["50-provost-group", "50-ollama-operator"] {
            rig.remove(&format!("/etc/polkit-1/rules.d/{name}.rules"))?;
        }
        rig.systemctl(["stop", "ollama.service"]).map(drop)
    })
}

/// Each in the language of who is asked, with what it is about.
fn messages(rig: &Rig) -> Result<()> {
    rig.write("/etc/provost/provost.toml", CONFIG, 0o644)?;
    installed(rig, || {
        for (language, words) in [
            ("C.UTF-8", "Authentication is required to restart the service 'llama'."),
            ("de_DE.UTF-8", "Für die Aktion „restart“ am Dienst „llama“ ist eine Anmeldung erforderlich."),
            ("zh_CN.UTF-8", "需要认证才能对服务“llama”执行 restart 操作。"),
        ] {
            let watson = rig.as_user("watson").env("LANG", language);
            let mut terminal = watson.pty(["provost", "restart", "--system", "service:llama"])?;
            terminal.expect(words, Duration::from_secs(20))?;
            terminal.type_password(PASSWORD)?;
            let (status, text) = terminal.wait()?;
            expect!(status.success() && !text.contains("$("), "{text}");
        }
        Ok(())
    })
}
