//! Tests of the way from a proxy to its container.

use super::*;
use crate::model::{Container, Identity, ProcState, Runtime, Uids};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn process(pid: u32, uid: u32, line: &str) -> Process {
    Process {
        identity: Identity { pid, start_ticks: 1, pidfd_inode: None },
        ppid: 1,
        pgid: pid,
        sid: pid,
        uids: Some(Uids { real: uid, effective: uid, saved: uid }),
        comm: "x".to_owned(),
        exe: None,
        cmdline: line.split(' ').map(str::to_owned).collect(),
        cgroup: None,
        started_at: None,
        state: ProcState::Alive,
        kernel_thread: false,
    }
}

fn inside(pid: u32, id: &str, manager: Manager, helper: bool) -> Inside {
    let container = Container { runtime: Runtime::Podman, id: id.to_owned(), pod: None };
    Inside { pid, container, manager, helper }
}

fn found(process: &Process, all: &[Inside]) -> Serves {
    let proc = ProcFs::host().unwrap();
    among(&proc, process, proxy(process).unwrap(), "127.0.0.1:8080".parse().unwrap(), all)
}

#[test]
fn what_is_no_proxy_serves_nothing() {
    let proc = ProcFs::host().unwrap();
    let addr = "127.0.0.1:80".parse().unwrap();
    assert_eq!(serves(&proc, &process(7, 0, "/usr/sbin/nginx -c x"), addr), Serves::Nothing);
    assert!(proxy(&process(7, 0, "/usr/bin/docker-proxy -proto tcp")).is_some());
}

#[test]
fn by_the_id_on_the_command_line() {
    let system = Manager::System;
    let all = [inside(5, ID, system, true), inside(6, ID, system, false), inside(9, "other", system, false)];
    let line = format!("/usr/bin/conmon --api-version 1 -c {ID} -u {ID} -r /usr/bin/crun");
    assert_eq!(found(&process(5, 0, &line), &all), Serves::Container(6));
    assert_eq!(found(&process(5, 0, &format!("conmon --cid={ID}")), &all), Serves::Container(6));
    assert_eq!(
        found(&process(5, 0, &format!("conmon -c {ID}")), &all[..1]),
        Serves::Container(5),
        "only the helper is left"
    );
    let Serves::Unknown(reason) = found(&process(5, 1000, &line), &all) else { panic!("not a container of that user") };
    assert!(reason.starts_with("conmon passes port 8080 on") && reason.ends_with("ask podman ps"), "{reason}");
    assert!(matches!(found(&process(5, 0, "conmon -c"), &all), Serves::Unknown(_)));
}

#[test]
fn only_containers_of_the_same_user() {
    let all = [inside(6, ID, Manager::User(1000), false)];
    let line = format!("conmon -c {ID}");
    assert_eq!(found(&process(5, 1000, &line), &all), Serves::Container(6));
    assert!(matches!(found(&process(5, 1001, &line), &all), Serves::Unknown(_)));
    assert!(matches!(found(&process(5, 0, &line), &all), Serves::Unknown(_)));
}

#[test]
fn by_the_address_in_the_containers_network() {
    let own = std::process::id();
    let line = "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 127.0.0.1 -container-port 80";
    let one = inside(own, "one", Manager::System, false);
    assert_eq!(found(&process(5, 0, line), std::slice::from_ref(&one)), Serves::Container(own));
    let both = [one, inside(own, "two", Manager::System, false)];
    let Serves::Unknown(reason) = found(&process(5, 0, line), &both) else { panic!("two have the address") };
    assert!(reason.contains("several") && reason.contains("publish=8080"), "{reason}");
    assert!(matches!(found(&process(5, 0, &line.replace("127.0.0.1", "203.0.113.9")), &both), Serves::Unknown(_)));
}

#[test]
fn a_publisher_must_say_so_and_be_the_listeners_user() {
    let proc = ProcFs::host().unwrap();
    let own = std::process::id();
    let listener = Listener { addr: "0.0.0.0:8080".parse().unwrap(), uid: 0, inode: 1, cgroup_id: None };
    assert_eq!(publisher(&proc, &[own, 1], &listener), None);
}

#[test]
fn local_addresses() {
    let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 172.17.0.9\n        /32 host LOCAL\n     |-- 172.17.0.255\n        /32 link BROADCAST\n";
    assert!(inside::has_local(trie, "172.17.0.9"));
    assert!(
        !inside::has_local(trie, "172.17.0.255")
            && !inside::has_local(trie, "172.17.0.90")
            && !inside::has_local("", "")
    );
    let six = "fd000000000000000000000000000002 02 40 00 80 eth0\n";
    assert!(inside::has_six(six, "fd00::2".parse().unwrap()) && !inside::has_six(six, "fd00::3".parse().unwrap()));
}

/// Two processes in a network namespace of their own: the first stands for a proxy, its child
/// for a container. Skipped where the caller may make none.
#[test]
fn by_the_network_namespace() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    // The colon after the last command keeps the shell before it from becoming that command.
    let script = r#"unshare --net sh -c 'echo $$; read x; :'; :"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = spawned else { return };
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if let Ok(pid) = line.trim().parse::<u32>() {
        let uid = rustix::process::getuid().as_raw();
        let manager = if uid == 0 { Manager::System } else { Manager::User(uid) };
        let all = [inside(std::process::id(), "host", manager, false), inside(pid, ID, manager, false)];
        let proxy = process(child.id(), uid, "rootlessport");
        assert_eq!(found(&proxy, &all), Serves::Container(pid));
        assert!(matches!(found(&process(std::process::id(), uid, "pasta"), &all[..1]), Serves::Unknown(_)));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}
