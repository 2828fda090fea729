//! What the host has: init, buses, polkit, the group of administrators.

use std::fs;

use super::Bus;
use crate::model::{Host, Polkit, Reach};

/// The groups whose members distributions make administrators, in the order of looking.
const ADMIN_GROUPS: [&str; 3] = ["sudo", "wheel", "admin"];

/// What can be read without asking anybody.
pub(crate) fn host() -> Host {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Host {
        boot_id: boot_id(),
        init: init(line("/proc/1/comm")),
        systemd: None,
        system_bus: Reach::NotAsked,
        user_manager: Reach::NotAsked,
        polkit: Polkit::NotAsked,
        admin_group: admin_group(),
        pkttyagent: crate::sys::find_program("pkttyagent").is_some(),
        helper: Reach::NotAsked,
    }
}

/// The boot in which pids and units mean something: that of PID 1. systemd-nspawn gives a container an id of its own
/// by a mount in its /proc, which a unit with a /proc of its own (`ProtectProc=`) does not see. Who may not look
/// through PID 1 is in no such unit.
pub(crate) fn boot_id() -> String {
    boot_id_of("/proc/1/root/proc").unwrap_or_else(boot_id_here)
}

/// The same as this process' own /proc has it: older versions wrote that down.
pub(crate) fn boot_id_here() -> String {
    boot_id_of("/proc").unwrap_or_default()
}

fn boot_id_of(proc: &str) -> Option<String> {
    let id = fs::read_to_string(format!("{proc}/sys/kernel/random/boot_id")).ok()?;
    Some(id.trim().to_owned())
}

/// Whether PID 1 is systemd, as sd_booted(3) tells it.
pub(crate) fn is_booted_by_systemd() -> bool {
    fs::symlink_metadata("/run/systemd/system").is_ok_and(|meta| meta.is_dir())
}

/// The comm of PID 1; where /proc hides it (`hidepid`), it is systemd or unknown.
fn init(comm: String) -> String {
    if comm.is_empty() && is_booted_by_systemd() { "systemd".to_owned() } else { comm }
}

fn admin_group() -> Option<String> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let has =
        |name: &&&str| groups.lines().any(|line| line.strip_prefix(**name).is_some_and(|rest| rest.starts_with(':')));
    ADMIN_GROUPS.iter().find(has).map(|name| (*name).to_owned())
}

/// polkit's version, as it says it itself.
pub(crate) async fn polkit(bus: &Bus) -> Polkit {
    let Ok(manager) = bus.system().await else { return Polkit::Absent };
    let reply = manager
        .connection()
        .call_method(
            Some("org.freedesktop.PolicyKit1"),
            "/org/freedesktop/PolicyKit1/Authority",
            Some("org.freedesktop.DBus.Properties"),
            "Get",
            &("org.freedesktop.PolicyKit1.Authority", "BackendVersion"),
        )
        .await;
    let version = reply.ok().and_then(|reply| reply.body().deserialize::<zbus::OwnedVariant>().ok());
    match version.as_ref().and_then(|v| <&str>::try_from(v).ok()) {
        Some(version) => Polkit::Version(version.to_owned()),
        None => Polkit::Absent,
    }
}

/// Whether polkit may be older than 0.106: those versions keep their authorisations here.
pub(super) fn may_be_old() -> bool {
    ["/etc/polkit-1/localauthority", "/var/lib/polkit-1/localauthority"]
        .iter()
        .any(|dir| std::path::Path::new(dir).exists())
}
