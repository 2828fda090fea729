use serde_json::json;

use super::convert::Kind;
use super::table::{ENTRIES, OURS};
use super::*;

fn signature(name: &str, value: Value) -> String {
    let made = convert(name, &value).unwrap_or_else(|error| panic!("{name}: {error}"));
    made.iter().map(|(name, value)| format!("{name}:{}", value.value_signature())).collect::<Vec<_>>().join(" ")
}

#[test]
fn values_get_the_types_of_dbus() {
    for (name, value, expected) in [
        ("PrivateTmp", json!(true), "PrivateTmp:b"),
        ("PrivateTmp", json!("yes"), "PrivateTmp:b"),
        ("ProtectSystem", json!("strict"), "ProtectSystem:s"),
        ("ProtectSystem", json!(true), "ProtectSystem:s"),
        ("ReadWritePaths", json!(["/srv", "-/x y"]), "ReadWritePaths:as"),
        ("ReadWritePaths", json!([]), "ReadWritePaths:as"),
        ("RuntimeMaxSec", json!("1h"), "RuntimeMaxUSec:t"),
        ("MemoryHigh", json!("infinity"), "MemoryHigh:t"),
        ("CPUWeight", json!(50), "CPUWeight:t"),
        ("UMask", json!("0027"), "UMask:u"),
        ("CPUSchedulingPolicy", json!("batch"), "CPUSchedulingPolicy:i"),
        ("LimitMEMLOCK", json!("64K:infinity"), "LimitMEMLOCK:t LimitMEMLOCKSoft:t"),
        ("AllowedCPUs", json!("0-3 8"), "AllowedCPUs:ay"),
        ("CapabilityBoundingSet", json!("~CAP_SYS_ADMIN"), "CapabilityBoundingSet:t"),
        ("RestrictNamespaces", json!(true), "RestrictNamespaces:t"),
        ("SystemCallFilter", json!(["@system-service"]), "SystemCallFilter:(bas)"),
        ("BindPaths", json!("/a:/b:norbind -/c"), "BindPaths:a(ssbt)"),
        ("BindPaths", json!([]), "BindPaths:a(ssbt)"),
        ("TemporaryFileSystem", json!("/var:ro"), "TemporaryFileSystem:a(ss)"),
        ("DeviceAllow", json!("/dev/nvidia0 rw char-pts"), "DeviceAllow:a(ss)"),
        ("IOReadBandwidthMax", json!("/dev/sda 10M"), "IOReadBandwidthMax:a(st)"),
        ("IODeviceLatencyTargetSec", json!("/dev/sda 25ms"), "IODeviceLatencyTargetUSec:a(st)"),
        ("IPAddressDeny", json!("any"), "IPAddressDeny:a(iayu)"),
        ("Wants", json!("a.service b.target"), "Wants:as"),
    ] {
        assert_eq!(signature(name, value), expected);
    }
    let cpus = convert("AllowedCPUs", &json!("0-3,8")).unwrap();
    assert_eq!(cpus[0].1, Variant::from(vec![0b1111_u8, 1]));
    let filter = convert("SystemCallFilter", &json!("~ptrace mount")).unwrap();
    assert_eq!(filter[0].1, Variant::new((false, vec!["ptrace".to_owned(), "mount".to_owned()])));
    let limit = convert("LimitCORE", &json!("0:1M")).unwrap();
    assert_eq!((&limit[0].1, &limit[1].1), (&Variant::from(1_u64 << 20), &Variant::from(0_u64)));
}

#[test]
fn errors_say_what_was_meant() {
    let error = |name: &str, value: Value| check(name, &value).unwrap_err().to_string();
    assert!(error("PrivatTmp", json!(true)).contains("near it: PrivateTmp"));
    assert!(error("Restart", json!("always")).contains("restart = {"));
    assert!(!error("Zzz", json!(1)).contains("near"));
    assert!(known("Zzz").is_err() && known("PrivateTmp").is_ok());
    for (name, value) in [
        ("PrivateTmp", json!("maybe")),
        ("PrivateTmp", json!(1)),
        ("ProtectSystem", json!("all")),
        ("MemoryHigh", json!("-1")),
        ("MemoryHigh", json!(null)),
        ("RuntimeMaxSec", json!("soon")),
        ("CPUWeight", json!(0)),
        ("UMask", json!("0999")),
        ("AllowedCPUs", json!("3-1")),
        ("AllowedCPUs", json!("0-99999999999")),
        ("CapabilityBoundingSet", json!("CAP_NOTHING")),
        ("BindPaths", json!("relative")),
        ("LimitCORE", json!("2M:1M")),
        ("IPAddressAllow", json!("10.0.0.0/33")),
        ("Wants", json!("no unit")),
        ("Group", json!("a\nb")),
        ("ReadWritePaths", json!({ "a": 1 })),
        ("SystemCallFilter", json!([["nested"]])),
    ] {
        assert!(error(name, value.clone()).contains(name), "{name} = {value}");
    }
}

#[test]
fn the_table_is_sorted_and_says_nothing_twice() {
    assert!(ENTRIES.is_sorted_by(|a, b| a.name < b.name));
    assert!(OURS.is_sorted_by(|a, b| a.0 < b.0));
    assert!(OURS.iter().all(|(ours, _)| names().all(|name| name != *ours)));
    assert!(ENTRIES.len() >= 60);
}

#[test]
fn the_schema_has_them_all() {
    let schema = schema();
    assert_eq!(schema["properties"].as_object().unwrap().len(), ENTRIES.len());
    let fits = |of: &Value, value: &Value| match (&of["enum"], value) {
        (Value::Array(words), value) => words.contains(value),
        (_, Value::Array(_)) => of["type"].as_array().unwrap().contains(&json!("array")),
        (_, Value::Bool(_)) => of["type"].as_array().unwrap().contains(&json!("boolean")),
        _ => of["type"].as_array().unwrap().contains(&json!("string")),
    };
    for (name, value) in samples() {
        assert!(fits(&schema["properties"][name], &value), "{name} = {value}");
    }
}

/// A value for every property, one that harms nothing where that can be.
pub(crate) fn samples() -> Vec<(&'static str, Value)> {
    let of = |kind: &Kind| match kind {
        Kind::Bool | Kind::BoolOr(_) | Kind::Namespaces => json!(false),
        Kind::Text => json!("/proc/self/ns/net"),
        Kind::Word(of) => json!(of[0]),
        Kind::Words => json!("/tmp"),
        Kind::Units => json!("basic.target"),
        Kind::Time | Kind::Nanoseconds => json!("1h"),
        Kind::Bytes => json!("1G"),
        Kind::Weight | Kind::Unsigned => json!(100),
        Kind::Mode => json!("0755"),
        Kind::Int(from, _) => json!(from),
        Kind::Numbered(of) => json!(of[0].0),
        Kind::LogLevel => json!("info"),
        Kind::LogFacility => json!("user"),
        Kind::LimitSize(_) => json!("1M:infinity"),
        Kind::LimitCount(_) => json!("10:100"),
        Kind::Cpus => json!("0"),
        Kind::Capabilities => json!("CAP_NET_BIND_SERVICE"),
        Kind::Filter => json!(["AF_UNIX"]),
        Kind::Binds => json!("/tmp"),
        Kind::Pairs => json!("/mnt:ro"),
        Kind::Devices => json!("/dev/null rw"),
        Kind::DeviceSizes => json!("/dev/null 10M"),
        Kind::DeviceTimes => json!("/dev/null 10ms"),
        Kind::Addresses => json!("10.0.0.0/8 ::1"),
    };
    let special = |name: &str| match name {
        "SystemCallArchitectures" => Some(json!("native")),
        "Conflicts" => Some(json!("shutdown.target")),
        "SystemCallFilter" => Some(json!("@system-service")),
        "RestrictFileSystems" => Some(json!("ext4")),
        "Group" | "PAMName" | "LogNamespace" | "UtmpIdentifier" => Some(json!("root")),
        "SupplementaryGroups" => Some(json!("root")),
        "LoadCredential" | "LoadCredentialEncrypted" => Some(json!("x:/etc/hostname")),
        "PassEnvironment" | "UnsetEnvironment" => Some(json!("A B")),
        name if name.ends_with("Directory") => Some(json!("provost-test")),
        _ => None,
    };
    ENTRIES.iter().map(|entry| (entry.name, special(entry.name).unwrap_or_else(|| of(&entry.kind)))).collect()
}
