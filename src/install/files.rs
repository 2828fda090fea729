//! The files of the repository that are part of the program.

/// Where distributions put the program, and what the files here name it.
const PROGRAM: &str = "/usr/bin/provost";

pub(super) const SYSTEM_UNIT: &str = include_str!("../../units/system/provost.service");
pub(super) const SYSTEM_SLICE: &str = include_str!("../../units/system/provost.slice");
pub(super) const USER_UNIT: &str = include_str!("../../units/user/provost.service");
pub(super) const USER_SLICE: &str = include_str!("../../units/user/app-provost.slice");
pub(super) const BUS_POLICY: &str = include_str!("../../units/dbus/org.provost.Provost1.conf");
pub(super) const SYSTEM_ACTIVATION: &str = include_str!("../../units/dbus/system.service");
pub(super) const SESSION_ACTIVATION: &str = include_str!("../../units/dbus/session.service");
pub(super) const SYSUSERS: &str = include_str!("../../units/sysusers.conf");
pub(super) const TMPFILES: &str = include_str!("../../units/tmpfiles.conf");
pub(super) const POLICY: &str = include_str!("../../polkit/org.provost.policy");

/// The ids of the actions that polkit is asked about.
pub(crate) fn actions() -> Vec<&'static str> {
    POLICY.split("<action id=\"").skip(1).filter_map(|action| action.split('"').next()).collect()
}

/// The text with the program where it is: in a unit, or in a file of D-Bus.
pub(super) fn with_program(text: &str, program: &str) -> String {
    let unit = text.lines().any(|line| line == "[Service]");
    let quoted = if unit { in_unit(program) } else { in_activation(program) };
    text.replace(&format!("{PROGRAM} "), &format!("{quoted} "))
}

/// The unit with the variables that say where things are, so that the daemon keeps them where its caller looks: the
/// manager may have been started without.
pub(super) fn with_places(unit: &str, places: &[(&str, Option<String>)]) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let usable = |value: &&String| value.starts_with('/') && !value.contains(char::is_control);
    let named = places.iter().filter_map(|(name, value)| Some((name, value.as_ref().filter(usable)?)));
    let lines: String = named.map(|(name, value)| format!("Environment=\"{name}={}\"\n", quoted(value))).collect();
    unit.replacen("[Service]\n", &format!("[Service]\n{lines}"), 1)
}

/// As a unit file takes a path: systemd.service(5), "Command lines".
fn in_unit(path: &str) -> String {
    let escaped = path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if escaped.contains([' ', '\'', '"', '\\', ';']) { format!("\"{escaped}\"") } else { escaped }
}

/// As D-Bus takes it: split as by a shell, and the file's own escapes before that.
fn in_activation(path: &str) -> String {
    crate::text::shell_quote(path).replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_named_where_it_is() {
        let unit = with_program(SYSTEM_UNIT, "/usr/local/bin/provost");
        assert!(unit.contains("ExecStart=/usr/local/bin/provost daemon --system") && !unit.contains(PROGRAM));
        let odd = with_program(USER_UNIT, "/home/a b/100%/$x/provost");
        assert!(odd.contains("ExecStart=\"/home/a b/100%%/$$x/provost\" daemon --user"), "{odd}");
        let bus = with_program(SESSION_ACTIVATION, "/home/a b/provost");
        assert!(bus.contains("Exec='/home/a b/provost' daemon --user"), "{bus}");
    }

    #[test]
    fn the_places_of_the_caller_are_those_of_the_daemon() {
        assert_eq!(with_places(USER_UNIT, &[("XDG_STATE_HOME", None), ("X", Some("not/absolute".into()))]), USER_UNIT);
        assert_eq!(with_places(USER_UNIT, &[("X", Some("/a\nExecStart=/b".into()))]), USER_UNIT);
        let unit = with_places(USER_UNIT, &[("XDG_STATE_HOME", Some("/a b/100%".into()))]);
        assert!(unit.contains("\n[Service]\nEnvironment=\"XDG_STATE_HOME=/a b/100%%\"\nType="), "{unit}");
    }

    #[test]
    fn who_may_speak_to_whom_is_said_with_a_destination() {
        let allows = BUS_POLICY.matches("<allow ").count();
        let named = BUS_POLICY.matches("<allow own=\"org.provost.Provost1\"").count()
            + BUS_POLICY.matches("<allow send_destination=\"org.provost.Provost1\"").count();
        assert_eq!(allows, named, "no rule without a destination");
    }

    #[test]
    fn what_is_as_much_as_root_or_hits_one_target_is_never_kept() {
        for action in POLICY.split("<action id=\"").skip(1) {
            let (id, rest) = action.split_once('"').unwrap();
            let kept = rest.contains("_keep");
            assert_eq!(kept, matches!(id, "org.provost.manage-services" | "org.provost.read-logs"), "{id}");
            assert!(!rest.contains(">yes<") && !rest.contains("auth_self"), "{id}");
            for language in ["de", "zh_CN"] {
                assert_eq!(rest.matches(&format!("xml:lang=\"{language}\"")).count(), 2, "{id} in {language}");
            }
            // A translation speaks of the same details.
            let message = |of: &str| {
                let text = rest.split(of).nth(1).unwrap().split("</message>").next().unwrap();
                let mut names: Vec<&str> = text.split("$(").skip(1).map(|t| t.split(')').next().unwrap()).collect();
                names.sort_unstable();
                names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>()
            };
            let english = message("<message>");
            assert_eq!(english, message("<message xml:lang=\"de\">"), "{id}");
            assert_eq!(english, message("<message xml:lang=\"zh_CN\">"), "{id}");
        }
    }

    #[test]
    fn what_the_kernel_spares_has_bounds() {
        let has = |key: &str| SYSTEM_UNIT.lines().any(|line| line.starts_with(key));
        assert!(has("OOMScoreAdjust=-"));
        assert!(["MemoryMax=", "TasksMax=", "LimitNOFILE="].into_iter().all(has));
    }
}
