//! Which services are meant.

use std::collections::BTreeSet;

use super::Supervisor;
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::supervise::{Refusal, Selection};

impl Supervisor {
    /// The services of a selection, in the order of their ids; none named: all.
    pub(super) fn select(&self, which: &Selection) -> Result<BTreeSet<ServiceId>, Refusal> {
        let of_project = |id: &&ServiceId| match &which.project {
            None => true,
            Some(project) => {
                self.services.get(*id).is_some_and(|service| service.record().spec.project.as_ref() == Some(project))
            }
        };
        if which.ids.is_empty() {
            return Ok(self.services.keys().filter(of_project).cloned().gather());
        }
        let mut found = BTreeSet::new();
        for word in &which.ids {
            let before = found.len();
            let mut any = false;
            let mut add = |id: &ServiceId| {
                any = true;
                found.insert(id.clone());
            };
            if word.is_glob() {
                let known = self.services.keys().filter(|id| glob(word.as_str(), id.as_str()));
                known.filter(of_project).for_each(&mut add);
            } else {
                let members = self.order.members(word).filter(|id| self.services.contains_key(*id));
                members.filter(of_project).for_each(&mut add);
            }
            if !any && found.len() == before {
                return Err(self.no_such(word));
            }
        }
        Ok(found)
    }

    pub(super) fn no_such(&self, word: &ServiceId) -> Refusal {
        let distance = |id: &ServiceId| strsim::damerau_levenshtein(word.as_str(), id.as_str());
        let mut near: Vec<(usize, &ServiceId)> = self
            .services
            .keys()
            .map(|id| (distance(id), id))
            .filter(|(distance, id)| *distance <= 2 || id.as_str().starts_with(word.as_str()))
            .collect();
        near.sort_unstable();
        let nearest = near.into_iter().take(3).map(|(_, id)| id.to_string()).collect();
        Refusal::NoSuchService { id: word.to_string(), nearest }
    }
}

/// Shell patterns over ids: `*`, `?`, `[a-z]`, `[!a]`. Goes back to the last star only, so that no
/// pattern takes long.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.as_bytes(), text.as_bytes());
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let next = match (p.first(), t.split_first()) {
            (Some(b'*'), _) => {
                (p, star) = (&p[1..], Some((&p[1..], t)));
                continue;
            }
            (None, None) => return true,
            (Some(_), Some((c, rest))) => one(p, *c).map(|p| (p, rest)),
            _ => None,
        };
        match (next, star) {
            (Some(next), _) => (p, t) = next,
            // The star takes one more.
            (None, Some((after, [_, rest @ ..]))) => {
                (p, t) = (after, rest);
                star = Some((after, rest));
            }
            (None, _) => return false,
        }
    }
}

/// What follows the first element of the pattern, if that takes this byte.
fn one(pattern: &[u8], c: u8) -> Option<&[u8]> {
    let (first, rest) = pattern.split_first()?;
    match first {
        b'?' => Some(rest),
        b'[' => {
            let (not, set) = rest.strip_prefix(b"!").map_or((false, rest), |set| (true, set));
            // A bracket that comes first stands for itself.
            let end = set.iter().skip(1).position(|b| *b == b']')? + 1;
            let (mut inside, mut left) = (false, &set[..end]);
            while let [first, more @ ..] = left {
                (inside, left) = match more {
                    [b'-', last, more @ ..] => (inside || (*first..=*last).contains(&c), more),
                    _ => (inside || *first == c, more),
                };
            }
            (inside != not).then_some(&set[end + 1..])
        }
        _ => (*first == c).then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns() {
        for (pattern, text) in
            [("llm-*", "llm-1"), ("?", "a"), ("*", "a"), ("[ab]*", "b1"), ("a[0-9]", "a7"), ("[!x]", "y")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a?", "a"), ("b*", "a"), ("[ab]", "c"), ("[!x]", "x"), ("[a", "a"), ("a[0-9]", "ab")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
        assert!(!glob(&format!("{}b", "*a".repeat(31)), &"a".repeat(63)), "and in no time");
    }
}
