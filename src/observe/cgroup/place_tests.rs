//! Tests of what a path means: a table of paths as real hosts have them, and any text at all.

use proptest::prelude::*;

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn at(path: &str, root: &str) -> Place {
    place(&CgroupPath(path.replace("HEX", HEX)), &ManagerRoot(root.to_owned()))
}

fn name(text: &str) -> UnitName {
    text.replace("HEX", HEX).parse().unwrap()
}

fn subgroup(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[test]
fn system_units() {
    for (path, unit, below) in [
        ("/system.slice/ollama.service", "ollama.service", ""),
        ("/init.scope", "init.scope", ""),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", ""),
        ("/a.slice/a-b.slice/a-b-c.slice/x.service/worker/1", "x.service", "worker/1"),
        ("/system.slice/_cpu.service", "cpu.service", ""),
        ("/system.slice/__x.service", "_x.service", ""),
        ("/_memory.slice/x.service", "x.service", ""),
        (r"/system.slice/dev-disk\x2dby.swap", r"dev-disk\x2dby.swap", ""),
        ("/system.slice/run-r0ab.scope", "run-r0ab.scope", ""),
        ("/x.service/system.slice/y.service", "x.service", "system.slice/y.service"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service", "init.scope"),
        ("/user.slice/user-1000.slice/user@1000.service", "user@1000.service", ""),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice", "user@1000.service", "app.slice"),
        ("/user.slice/user-1000.slice/user-runtime-dir@1000.service", "user-runtime-dir@1000.service", ""),
        ("/system.slice/user@me.service/app.slice/x.service", "user@me.service", "app.slice/x.service"),
        ("/system.slice/quadlet.service/libpod-payload-HEX", "quadlet.service", "libpod-payload-HEX"),
        ("/system.slice/docker.service", "docker.service", ""),
        ("/system.slice/slurmstepd.scope/job_1/step_0", "slurmstepd.scope", "job_1/step_0"),
        ("/system.slice/session-c1.service", "session-c1.service", ""),
        ("/system.slice/docker-0123.scope", "docker-0123.scope", ""),
    ] {
        let expected = Place::SystemUnit { unit: name(unit), subgroup: subgroup(&below.replace("HEX", HEX)) };
        assert_eq!(at(path, ""), expected, "{path}");
    }
}

#[test]
fn user_units_and_sessions() {
    let home = "/user.slice/user-1000.slice";
    for (path, unit, below) in [
        ("user@1000.service/app.slice/llm.service", "llm.service", ""),
        ("user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope", "vte-spawn-1.scope", ""),
        ("user@1000.service/session.slice/x.service/a", "x.service", "a"),
        ("user@1000.service/app.slice/app-code@9.service/init.scope", "app-code@9.service", "init.scope"),
        ("user@1000.service/user.slice/podman-1.scope", "podman-1.scope", ""),
        ("user@1000.service/session-3.scope", "session-3.scope", ""),
    ] {
        let expected = Place::UserUnit { uid: 1000, unit: name(unit), subgroup: subgroup(below) };
        assert_eq!(at(&format!("{home}/{path}"), ""), expected, "{path}");
    }
    let session = |id: &str, uid| Place::Session { id: id.into(), uid, scope: name(&format!("session-{id}.scope")) };
    assert_eq!(at("/user.slice/user-1000.slice/session-12.scope", ""), session("12", Some(1000)));
    assert_eq!(at("/user.slice/user-0.slice/session-c1.scope/x", ""), session("c1", Some(0)));
    assert_eq!(at("/system.slice/session-5.scope", ""), session("5", None));
}

#[test]
fn containers() {
    let user = "/user.slice/user-1000.slice/user@1000.service";
    let hex = HEX;
    for (path, runtime, id, manager, unit) in [
        ("/system.slice/docker-HEX.scope", Runtime::Docker, hex, Manager::System, Some("docker-HEX.scope")),
        ("/docker/HEX/init.scope", Runtime::Docker, hex, Manager::System, None),
        ("/system.slice/docker.service/docker/HEX", Runtime::Docker, hex, Manager::System, Some("docker.service")),
        ("/docker/HEX/docker/0000", Runtime::Docker, hex, Manager::System, None),
        ("/machine.slice/libpod-HEX.scope/container", Runtime::Podman, hex, Manager::System, Some("libpod-HEX.scope")),
        (
            "/machine.slice/libpod-conmon-HEX.scope",
            Runtime::Podman,
            hex,
            Manager::System,
            Some("libpod-conmon-HEX.scope"),
        ),
        ("/libpod_parent/libpod-HEX/ctr", Runtime::Podman, hex, Manager::System, None),
        (
            "USER/user.slice/libpod-HEX.scope/container",
            Runtime::Podman,
            hex,
            Manager::User(1000),
            Some("libpod-HEX.scope"),
        ),
        (
            "USER/user.slice/user-libpod_pod_ab.slice/libpod-HEX.scope",
            Runtime::Podman,
            hex,
            Manager::User(1000),
            Some("libpod-HEX.scope"),
        ),
        ("/lxc.payload.web/system.slice/x.service", Runtime::Lxc, "web", Manager::System, None),
        ("/lxc.monitor.web", Runtime::Lxc, "web", Manager::System, None),
        ("/lxc/web/x", Runtime::Lxc, "web", Manager::System, None),
        (
            "/user.slice/user-1000.slice/session-2.scope/lxc.payload.c",
            Runtime::Lxc,
            "c",
            Manager::User(1000),
            Some("session-2.scope"),
        ),
        (
            "USER/app.slice/run-1.scope/libpod_parent/libpod-HEX",
            Runtime::Podman,
            hex,
            Manager::User(1000),
            Some("run-1.scope"),
        ),
        ("USER/docker/HEX", Runtime::Docker, hex, Manager::User(1000), None),
        ("USER/app.slice/docker.service/docker/HEX", Runtime::Docker, hex, Manager::User(1000), Some("docker.service")),
        (
            r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator",
            Runtime::Machine,
            "qemu-1-vm",
            Manager::System,
            Some(r"machine-qemu\x2d1\x2dvm.scope"),
        ),
        (
            "/machine.slice/machine-deb.scope/payload/init.scope",
            Runtime::Nspawn,
            "deb",
            Manager::System,
            Some("machine-deb.scope"),
        ),
        (
            r"/machine.slice/systemd-nspawn@my\x2dbox.service/payload/system.slice/ssh.service",
            Runtime::Nspawn,
            "my-box",
            Manager::System,
            Some(r"systemd-nspawn@my\x2dbox.service"),
        ),
        ("/system.slice/nerdctl-HEX.scope", Runtime::Containerd, hex, Manager::System, Some("nerdctl-HEX.scope")),
    ] {
        let expected = Place::Container {
            container: Container { runtime, id: id.to_owned(), pod: None },
            manager,
            unit: unit.map(name),
        };
        assert_eq!(at(&path.replace("USER", user), ""), expected, "{path}");
    }
}

#[test]
fn a_users_folders_claim_no_machine_and_no_container_of_root() {
    let user = "/user.slice/user-1001.slice/user@1001.service";
    for below in [
        "machine/victim",
        "machine-victim.scope",
        "machine-victim.scope/payload",
        "systemd-nspawn@victim.service/payload",
        "lxc/victim",
        "lxc.payload.victim",
        "app.slice/lxc.payload/victim",
        "run-1.scope/lxc.payload.victim",
        "run-1.scope/machine-victim.scope/payload",
        "docker/HEX",
        "app.slice/docker-HEX.scope",
        "libpod_parent/libpod-HEX",
        "kubepods/pod1/HEX",
        "app.slice/run-1.scope/docker/HEX",
        "user-0.slice/libpod-HEX.scope",
    ] {
        match at(&format!("{user}/{below}"), "") {
            Place::Container { container, manager, .. } => {
                assert_eq!(manager, Manager::User(1001), "{below}");
                assert!(is_rootless(&container), "{below}");
            }
            Place::UserUnit { uid, .. } => assert_eq!(uid, 1001, "{below}"),
            Place::SystemUnit { unit, .. } => assert_eq!(unit.as_str(), "user@1001.service", "{below}"),
            other => panic!("{below}: {other:?}"),
        }
    }
    for path in
        ["/system.slice/run-1.scope/machine-v.scope/payload", "/system.slice/run-1.scope/systemd-nspawn@v.service"]
    {
        assert!(matches!(at(path, ""), Place::SystemUnit { .. }), "a delegated scope: {path}");
    }
}

#[test]
fn pods() {
    let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a_2b.slice";
    for (path, runtime, unit) in [
        (format!("{slice}/cri-containerd-HEX.scope/x"), Runtime::Containerd, Some("cri-containerd-HEX.scope")),
        (format!("{slice}/crio-HEX.scope"), Runtime::Crio, Some("crio-HEX.scope")),
        (format!("{slice}/crio-conmon-HEX.scope"), Runtime::Crio, Some("crio-conmon-HEX.scope")),
        (format!("{slice}/docker-HEX.scope"), Runtime::Docker, Some("docker-HEX.scope")),
        (
            "/kubepods.slice/kubepods-pod1a_2b.slice/cri-containerd-HEX.scope".into(),
            Runtime::Containerd,
            Some("cri-containerd-HEX.scope"),
        ),
        ("/kubepods/burstable/pod1a-2b/HEX".into(), Runtime::Containerd, None),
        ("/kubepods/pod1a-2b/crio-HEX".into(), Runtime::Crio, None),
        (
            "/system.slice/containerd.service/kubepods-besteffort-pod1a_2b.slice:cri-containerd:HEX".into(),
            Runtime::Containerd,
            Some("containerd.service"),
        ),
    ] {
        let container = Container { runtime, id: HEX.to_owned(), pod: Some("1a-2b".to_owned()) };
        let expected = Place::Container { container, manager: Manager::System, unit: unit.map(name) };
        assert_eq!(at(&path, ""), expected, "{path}");
    }
}

#[test]
fn nobodys_and_foreign() {
    for path in [
        "/",
        "/system.slice",
        "/user.slice/user-1000.slice",
        "/openrc.x",
        "/job_1/step",
        "/docker/buildkit/x",
        "/@x.service",
        "/kubepods/x",
    ] {
        assert_eq!(at(path, ""), Place::Root, "{path}");
    }
    for path in ["/..", "/../x.service", "/../../system.slice/x.service", "/a/../b.service"] {
        assert_eq!(at(path, ""), Place::Foreign, "{path}");
    }
}

#[test]
fn below_the_managers_root() {
    let root = "/machine.slice/box.service/payload";
    let unit = |path: &str| at(path, root);
    assert_eq!(
        unit(&format!("{root}/system.slice/a.service")),
        Place::SystemUnit { unit: name("a.service"), subgroup: None }
    );
    assert_eq!(unit(root), Place::Root);
    assert_eq!(unit("/machine.slice/box.service/payload2/a.service"), Place::Foreign);
    assert_eq!(unit("/system.slice/a.service"), Place::Foreign);
}

proptest! {
    #[test]
    fn any_path_is_placed_and_units_are_valid(
        parts in proptest::collection::vec(
            prop_oneof![
                "[ -~]{0,12}",
                "\\PC{0,6}",
                "[a-z@_\\\\-]{0,8}\\.(slice|scope|service)",
                Just(format!("docker-{HEX}.scope")),
                Just(HEX.to_owned()),
                prop::sample::select(vec!["..", "docker", "kubepods", "pod1", "user@1000.service", "user@99999999999.service",
                    "session-1.scope", "init.scope", "lxc.payload.", "machine-\\x.scope", "machine-\\xzz.scope", "lxc", "_", "a-pod.slice"])
                    .prop_map(str::to_owned),
            ], 0..7),
        root in prop::sample::select(vec!["", "/a.slice", "/docker"]),
    ) {
        let path = format!("/{}", parts.join("/"));
        let reads = |unit: &UnitName| unit.as_str().parse::<UnitName>().is_ok();
        match at(&path, root) {
            Place::SystemUnit { unit, .. } | Place::UserUnit { unit, .. } | Place::Session { scope: unit, .. } => {
                prop_assert!(reads(&unit));
                prop_assert_ne!(unit.kind(), UnitKind::Slice);
            }
            Place::Container { container, unit, .. } => {
                prop_assert!(!container.id.is_empty());
                prop_assert!(unit.is_none_or(|unit| reads(&unit) && unit.kind() != UnitKind::Slice));
            }
            Place::Root => prop_assert!(!path.split('/').any(|c| c == "..")),
            Place::Foreign => {}
        }
    }
}
