//! `after`: ids of services that there are, and no cycle.

use std::collections::HashSet;

use super::{Group, Notes, by_id};
use crate::model::ServiceId;

/// As many "starts after" a file may come to: a thousand services after a thousand others.
const MOST: usize = 1_000_000;

/// Sets what each service starts after; an id with instances stands for all of them.
pub(super) fn set(groups: &mut [Group], notes: &mut Notes<'_>) {
    let known = by_id(groups);
    let mut left = MOST;
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(groups.len());
    for (at, group) in groups.iter_mut().enumerate() {
        let mut after: Vec<ServiceId> = Vec::new();
        let mut seen = HashSet::new();
        let mut to = Vec::new();
        for (i, word) in group.after.iter().enumerate() {
            let key = format!("after[{i}]");
            let found = word.parse::<ServiceId>().ok().and_then(|id| known.get(&id));
            match found {
                Some((other, _)) if *other == at => notes.wrong(&group.id, &key, "a service cannot start after itself"),
                Some((other, ids)) => {
                    to.push(*other);
                    after.extend(ids.iter().filter(|id| seen.insert(*id)).cloned());
                }
                None => {
                    // To compare names takes time: with so many faults none is helped by it.
                    let names =
                        known.keys().map(ServiceId::as_str).take(if notes.faults.len() < 20 { usize::MAX } else { 0 });
                    notes.wrong(&group.id, &key, unknown(word, names));
                }
            }
        }
        edges.push(to);
        let count = after.len() * group.specs.len();
        match left.checked_sub(count) {
            Some(rest) => left = rest,
            None => {
                notes.wrong(&group.id, "after", format!("with all instances there are more than {MOST} of these"));
                return;
            }
        }
        group.specs.iter_mut().for_each(|spec| spec.after.clone_from(&after));
    }
    for cycle in cycles(&edges) {
        let mut names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|at| groups[*at].id.as_str()).collect();
        if names.len() > 30 {
            names.splice(28..names.len() - 1, ["…"]);
        }
        let message = format!("services that wait for each other never start: {}", names.join(" → "));
        notes.wrong(&groups[cycle[0]].id, "after", message);
    }
}

/// "no service is called …", with the one that is spelled alike.
pub(super) fn unknown<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    let likeness = |name: &'a str| (strsim::jaro_winkler(word, name), name);
    let best = names.map(likeness).filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = best.map_or(String::new(), |(_, name)| format!("; did you mean \"{name}\"?"));
    format!("no service is called \"{}\"{hint}", crate::text::clip(word))
}

/// One cycle for each edge that closes one, in a walk through the graph; without recursion,
/// because a chain may be as long as the file.
fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    let mut done = vec![false; edges.len()];
    let mut place: Vec<Option<usize>> = vec![None; edges.len()];
    for start in 0..edges.len() {
        if done[start] {
            continue;
        }
        // Who is on the way, and which of its edges comes next.
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        place[start] = Some(0);
        while let Some((node, next)) = way.last_mut() {
            let Some(to) = edges[*node].get(*next).copied() else {
                done[*node] = true;
                place[*node] = None;
                way.pop();
                continue;
            };
            *next += 1;
            match place[to] {
                // They share most of their ways: a few say it.
                Some(_) if found.len() >= 20 => return found,
                Some(from) => found.push(way[from..].iter().map(|(node, _)| *node).collect()),
                None if !done[to] => {
                    place[to] = Some(way.len());
                    way.push((to, 0));
                }
                None => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_found_and_long_chains_are_none() {
        assert_eq!(cycles(&[vec![1], vec![2], vec![0], vec![0]]), [vec![0, 1, 2]]);
        assert_eq!(cycles(&[vec![1, 2], vec![3], vec![3], vec![]]), Vec::<Vec<usize>>::new());
        assert_eq!(cycles(&[vec![1], vec![0, 2], vec![1]]), [vec![0, 1], vec![1, 2]]);
        let chain: Vec<Vec<usize>> = (1..=100_000).map(|n| if n < 100_000 { vec![n] } else { vec![] }).collect();
        assert!(cycles(&chain).is_empty());
    }
}
