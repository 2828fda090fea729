//! What the caller may do without asking: control groups, capabilities.

use std::fs;
use std::path::Path;

use super::Check;
use crate::model::Instance;
use crate::observe::Observer;

/// Has the manager of every user get them.
const DELEGATE: &str = "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' | \
    sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload";

/// What limits of services need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

pub(super) fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let caller = observer.caller();
    let all = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").ok();
    let group = format!("/sys/fs/cgroup/user.slice/user-{0}.slice/user@{0}.service", caller.uid);
    let delegated = match instance {
        Instance::System => all.clone(),
        Instance::User => fs::read_to_string(Path::new(&group).join("cgroup.controllers")).ok(),
    };
    let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists();
    vec![cgroup(all.as_deref(), delegated.as_deref(), hybrid), capabilities(&caller.user, &caller.capabilities)]
}

fn cgroup(all: Option<&str>, delegated: Option<&str>, hybrid: bool) -> Check {
    const NAME: &str = "control groups";
    let boot = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
    if all.is_none() {
        return match hybrid {
            true => Check::warning(NAME, "version 1 and 2 side by side: limits may not be enforced", boot),
            false => Check::warning(NAME, "no version 2: what a service leaves behind may not be found", boot),
        };
    }
    let Some(delegated) = delegated else {
        return Check::without_cure(NAME, "version 2; none is delegated to you, because no manager of yours runs");
    };
    let has: Vec<&str> = delegated.split_whitespace().collect();
    let lacks: Vec<&str> = CONTROLLERS.into_iter().filter(|one| !has.contains(one)).collect();
    if lacks.is_empty() {
        return Check::ok(NAME, format!("version 2; limits by {}", has.join(", ")));
    }
    let found =
        format!("version 2; limits that are not enforced, because the controller is not here: {}", lacks.join(", "));
    let there = lacks.iter().any(|one| all.unwrap_or_default().split_whitespace().any(|has| has == *one));
    match there {
        true => Check::warning(NAME, format!("{found} (mended, it is so from the next login on)"), DELEGATE),
        false => Check::without_cure(NAME, found),
    }
}

fn capabilities(user: &str, all: &[String]) -> Check {
    let found = match all.len() {
        0 => format!("{user} has none: what is not yours is asked of systemd, polkit or the helper"),
        n if n > 30 => format!("{user} has all"),
        _ => format!("{user} has {}", all.join(", ")),
    };
    Check::ok("capabilities", found)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn hosts_of_every_kind() {
        let all = Some("cpuset cpu io memory pids\n");
        assert_eq!(cgroup(all, Some("cpu memory pids\n"), false).state, State::Ok);
        let lacks = cgroup(all, Some("memory pids\n"), false);
        assert!(lacks.state == State::Warning && lacks.found.contains(": cpu (") && lacks.mend.is_some(), "{lacks:?}");
        assert_eq!(cgroup(Some(""), Some(""), false).mend, None);
        assert!(cgroup(None, None, true).found.contains("side by side"));
        assert!(cgroup(all, None, false).found.contains("no manager"));
    }
}
