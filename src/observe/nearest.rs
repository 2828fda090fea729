//! Names that are near a word which means nothing here.

use super::find;
use super::observer::Observer;
use crate::gather::Arrange as _;
use crate::model::{Target, UnitPattern};

/// At most this many are named.
const MOST: usize = 3;

/// The nearest names of services, units and processes; none if nothing is near.
pub(super) async fn names(observer: &Observer, target: &Target) -> Vec<String> {
    let (word, prefix) = match target {
        Target::Word(word) | Target::Name(word) => (word.as_str(), ""),
        Target::Unit(UnitPattern::Name(name)) => (name.as_str(), "unit:"),
        Target::UserUnit(UnitPattern::Name(name)) => (name.as_str(), "user-unit:"),
        _ => return Vec::new(),
    };
    let mut known: Vec<String> = Vec::new();
    if matches!(target, Target::Word(_)) {
        known.extend(super::supervised::ids(observer).await);
    }
    if !matches!(target, Target::Name(_)) {
        let user = matches!(target, Target::UserUnit(_)) || observer.units() == super::Units::User;
        let manager =
            if user { observer.bus().user(observer.caller().uid).await } else { observer.bus().system().await };
        if let Ok(manager) = manager {
            let (units, files) = tokio::join!(manager.list(&[], &["*.service"]), manager.list_files(&["*.service"]));
            let there = units.unwrap_or_default().into_iter().filter(|u| u.load_state != "not-found");
            known.extend(there.map(|u| u.name.to_string()));
            let names =
                files.unwrap_or_default().into_iter().filter_map(|(p, _)| Some(p.file_name()?.to_str()?.to_owned()));
            known.extend(names);
        }
    }
    if prefix.is_empty() {
        known.extend(find::comms(observer.proc()));
    }
    nearest(word, known).into_iter().map(|name| format!("{prefix}{}", crate::text::clip(&name))).collect()
}

fn nearest(word: &str, mut known: Vec<String>) -> Vec<String> {
    known.sort_unstable();
    known.dedup();
    known.retain(|name| name != word);
    // Longer words compare slowly and mean nothing.
    let word: String = word.chars().take(64).collect::<String>().to_lowercase();
    let bare = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_lowercase();
    let wanted = bare(&word);
    let mut scored: Vec<(f64, String)> = known
        .into_iter()
        .map(|name| {
            let have = bare(&name);
            let contains = wanted.len() >= 3 && have.contains(&wanted);
            (if contains { 1.0 } else { strsim::jaro_winkler(&wanted, &have) }, name)
        })
        .filter(|(score, _)| *score > 0.82)
        .collect();
    scored.arrange_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.into_iter().take(MOST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_near() {
        let known = ["ollama.service", "ssh.service", "cron", "python3"].map(String::from).to_vec();
        assert_eq!(nearest("olama", known.clone()), ["ollama.service"]);
        assert!(nearest("zzzz", known).is_empty());
    }
}
