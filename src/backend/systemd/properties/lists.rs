//! The properties that are lists on D-Bus, or sets written as numbers.

use std::net::IpAddr;

use serde_json::Value;
use zbus::Variant;

use super::convert::{size, time};
use crate::model::Malformed;
use crate::text::clip;

type Made = Result<Variant<'static>, Malformed>;

fn wrong(word: &str, expected: &str) -> Malformed {
    Malformed::new(format!("'{}' is not {expected}", clip(word)))
}

/// A `~` before the first word turns the meaning of all around.
fn inverted(words: &[String]) -> (bool, Vec<&str>) {
    let inverted = words.first().is_some_and(|word| word.starts_with('~'));
    let bare = words.iter().enumerate().map(|(at, word)| if at == 0 && inverted { &word[1..] } else { word.as_str() });
    (inverted, bare.filter(|word| !word.is_empty()).collect())
}

/// `0-3,5`: a bit for each number, the lowest first.
pub(super) fn cpus(words: &[String]) -> Made {
    let mut bits: Vec<u8> = Vec::new();
    for part in words.iter().flat_map(|word| word.split(',')).filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let bounds = from.parse::<usize>().ok().zip(to.parse::<usize>().ok());
        let Some((from, to)) = bounds.filter(|(from, to)| from <= to && *to < 8192) else {
            return Err(wrong(part, "a number or a range such as 0-3"));
        };
        for number in from..=to {
            let byte = number / 8;
            if bits.len() <= byte {
                bits.resize(byte + 1, 0);
            }
            bits[byte] |= 1 << (number % 8);
        }
    }
    Ok(bits.into())
}

/// `CAP_NET_ADMIN CAP_SYS_NICE`, or all but those after `~`.
pub(super) fn capabilities(words: &[String]) -> Made {
    let (inverted, names) = inverted(words);
    let mut mask = 0_u64;
    for name in names {
        let upper = name.to_ascii_uppercase();
        let capability =
            upper.parse::<caps::Capability>().map_err(|_| wrong(name, "a capability such as CAP_NET_ADMIN"))?;
        mask |= capability.bitmask();
    }
    // The kernel knows 64 at most; systemd cuts off what it does not know.
    Ok(if inverted { !mask & ((1 << 63) - 1) } else { mask }.into())
}

/// The CLONE_NEW… flags of clone(2).
const NAMESPACES: [(&str, u64); 8] = [
    ("cgroup", 0x0200_0000),
    ("ipc", 0x0800_0000),
    ("net", 0x4000_0000),
    ("mnt", 0x0002_0000),
    ("pid", 0x2000_0000),
    ("user", 0x1000_0000),
    ("uts", 0x0400_0000),
    ("time", 0x0000_0080),
];

pub(super) fn all_namespaces(allowed: bool) -> Variant<'static> {
    // Those of `time` came late: managers that do not know the flag refuse it.
    let all = NAMESPACES.iter().filter(|(name, _)| *name != "time").fold(0, |all, (_, flag)| all | flag);
    if allowed { all } else { 0 }.into()
}

/// The kinds that stay allowed, or all but those after `~`.
pub(super) fn namespaces(words: &[String]) -> Made {
    let (inverted, names) = inverted(words);
    let mut mask = 0;
    for name in names {
        let found = NAMESPACES.iter().find(|(known, _)| *known == name);
        mask |= found.ok_or_else(|| wrong(name, "true, false or one of cgroup, ipc, net, mnt, pid, user, uts"))?.1;
    }
    let all = NAMESPACES.iter().filter(|(name, _)| *name != "time").fold(0, |all, (_, flag)| all | flag);
    Ok(if inverted { all & !mask } else { mask }.into())
}

/// `@system-service ptrace`, or all but those after `~`.
pub(super) fn filter(words: &[String]) -> Made {
    let (inverted, names) = inverted(words);
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    Ok(Variant::new((!inverted, names)))
}

/// MS_REC of mount(2): what is mounted below comes along.
const RECURSIVE: u64 = 16384;

/// `SOURCE[:DESTINATION[:rbind|norbind]]`, `-` before it where it may be missing.
pub(super) fn binds(words: &[String]) -> Made {
    let mut all: Vec<(String, String, bool, u64)> = Vec::new();
    for word in words {
        let (optional, rest) = word.strip_prefix('-').map_or((false, word.as_str()), |rest| (true, rest));
        let mut parts = rest.split(':');
        let source = parts.next().unwrap_or_default();
        let destination = parts.next().filter(|part| !part.is_empty()).unwrap_or(source);
        let flags = match parts.next() {
            None | Some("" | "rbind") => RECURSIVE,
            Some("norbind") => 0,
            Some(_) => return Err(wrong(word, "SOURCE[:DESTINATION[:rbind|norbind]]")),
        };
        if !source.starts_with('/') || !destination.starts_with('/') || parts.next().is_some() {
            return Err(wrong(word, "SOURCE[:DESTINATION[:rbind|norbind]] of absolute paths"));
        }
        all.push((source.to_owned(), destination.to_owned(), optional, flags));
    }
    Ok(Variant::new(all))
}

/// `LEFT[:RIGHT]`.
pub(super) fn pairs(words: &[String]) -> Made {
    let pair = |word: &String| {
        let (left, right) = word.split_once(':').unwrap_or((word, ""));
        (left.to_owned(), right.to_owned())
    };
    Ok(Variant::new(words.iter().map(pair).collect::<Vec<(String, String)>>()))
}

/// `DEVICE [rwm]`; in a text the two words belong together.
pub(super) fn devices(words: &[String]) -> Made {
    let mut all: Vec<(String, String)> = Vec::new();
    for word in words.iter().flat_map(|word| word.split_whitespace()) {
        let access = !word.is_empty() && word.bytes().all(|b| b"rwm".contains(&b));
        match all.last_mut() {
            Some((_, of)) if access => word.clone_into(of),
            _ if word.starts_with('/') || word.starts_with("char-") || word.starts_with("block-") => {
                all.push((word.to_owned(), "rwm".to_owned()));
            }
            _ => return Err(wrong(word, "a device such as /dev/nvidia0 or char-pts, with rwm after it")),
        }
    }
    Ok(Variant::new(all))
}

/// `DEVICE SIZE`.
pub(super) fn device_sizes(words: &[String]) -> Made {
    of_devices(words, size, "a device and a size: \"/dev/sda 10M\"")
}

/// `DEVICE TIME`.
pub(super) fn device_times(words: &[String]) -> Made {
    of_devices(words, time, "a device and a time: \"/dev/sda 25ms\"")
}

fn of_devices(words: &[String], read: fn(&Value) -> Option<u64>, expected: &str) -> Made {
    let flat: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    let (pairs, rest) = flat.as_chunks::<2>();
    if let Some(word) = rest.first() {
        return Err(wrong(word, expected));
    }
    let mut all: Vec<(String, u64)> = Vec::new();
    for [device, amount] in pairs {
        let amount = read(&Value::from(*amount)).filter(|_| device.starts_with('/'));
        all.push(((*device).to_owned(), amount.ok_or_else(|| wrong(device, expected))?));
    }
    Ok(Variant::new(all))
}

/// An address of a family (AF_INET, AF_INET6), its bytes, and how many of its bits count.
type Network = (i32, Vec<u8>, u32);

/// `10.0.0.0/8`, `::1`, or any, localhost, link-local, multicast.
pub(super) fn addresses(words: &[String]) -> Made {
    let mut all: Vec<Network> = Vec::new();
    for word in words {
        let known: &[&str] = match word.as_str() {
            "any" => &["0.0.0.0/0", "::/0"],
            "localhost" => &["127.0.0.0/8", "::1/128"],
            "link-local" => &["169.254.0.0/16", "fe80::/64"],
            "multicast" => &["224.0.0.0/4", "ff00::/8"],
            other => &[other],
        };
        for network in known {
            all.push(network_of(network).ok_or_else(|| wrong(word, "an address such as 10.0.0.0/8"))?);
        }
    }
    Ok(Variant::new(all))
}

fn network_of(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let (family, bytes) = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(v4) => (2, v4.octets().to_vec()),
        IpAddr::V6(v6) => (10, v6.octets().to_vec()),
    };
    let all = u32::try_from(bytes.len() * 8).ok()?;
    let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
    (bits <= all).then_some((family, bytes, bits))
}
