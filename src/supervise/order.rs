//! Which services come after which: the order of starts, and its reverse for stops; pure.
//!
//! Nothing is sorted ahead of time. Who starts asks whom to wait for, who stops asks who stops
//! first; both cost what that one service has around it, however many services there are.

use std::collections::{BTreeSet, HashMap};

use crate::model::ServiceId;

/// `after` of all services, kept in both directions.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// As written: a service, or the common name of `instances`; it may not exist (yet).
    after: HashMap<ServiceId, Vec<ServiceId>>,
    before: HashMap<ServiceId, BTreeSet<ServiceId>>,
    /// The members of `instances`, by their common name.
    groups: HashMap<ServiceId, BTreeSet<ServiceId>>,
    group_of: HashMap<ServiceId, ServiceId>,
}

impl Order {
    /// Adds a service, or replaces what was said of it.
    pub(crate) fn set(&mut self, id: &ServiceId, after: &[ServiceId], group: Option<&ServiceId>) {
        self.remove(id);
        for name in after {
            self.before.entry(name.clone()).or_default().insert(id.clone());
        }
        if !after.is_empty() {
            self.after.insert(id.clone(), after.to_vec());
        }
        if let Some(group) = group {
            self.groups.entry(group.clone()).or_default().insert(id.clone());
            self.group_of.insert(id.clone(), group.clone());
        }
    }

    /// Forgets a service; others may go on naming it.
    pub(crate) fn remove(&mut self, id: &ServiceId) {
        for name in self.after.remove(id).unwrap_or_default() {
            take(&mut self.before, &name, id);
        }
        if let Some(group) = self.group_of.remove(id) {
            take(&mut self.groups, &group, id);
        }
    }

    /// The members of this name: those of `instances`, else the service itself.
    pub(crate) fn members<'a>(&'a self, name: &'a ServiceId) -> impl Iterator<Item = &'a ServiceId> {
        let group = self.groups.get(name);
        group.into_iter().flatten().chain(group.is_none().then_some(name))
    }

    /// What a service comes after, directly.
    pub(crate) fn after<'a>(&'a self, id: &ServiceId) -> impl Iterator<Item = &'a ServiceId> {
        self.after.get(id).into_iter().flatten().flat_map(|name| self.members(name))
    }

    /// What comes after a service, directly: it stops first.
    pub(crate) fn dependents<'a>(&'a self, id: &'a ServiceId) -> impl Iterator<Item = &'a ServiceId> {
        let names = [Some(id), self.group_of.get(id)];
        names.into_iter().flatten().filter_map(|name| self.before.get(name)).flatten()
    }

    /// These, and all that they come after.
    pub(crate) fn with_earlier(&self, ids: impl IntoIterator<Item = ServiceId>) -> BTreeSet<ServiceId> {
        closure(ids, |id, next| next.extend(self.after(id).cloned()))
    }

    /// These, and all that comes after them.
    pub(crate) fn with_later(&self, ids: impl IntoIterator<Item = ServiceId>) -> BTreeSet<ServiceId> {
        closure(ids, |id, next| next.extend(self.dependents(id).cloned()))
    }

    /// A circle through this service, if there is one: it, what it comes after, …, it again.
    pub(crate) fn cycle(&self, id: &ServiceId) -> Option<Vec<ServiceId>> {
        let mut came: HashMap<&ServiceId, &ServiceId> = HashMap::new();
        let mut open: Vec<&ServiceId> = self.after.get_key_value(id).map(|(id, _)| id).into_iter().collect();
        while let Some(at) = open.pop() {
            for next in self.after(at) {
                if next == id {
                    let back = std::iter::successors(Some(at), |one| came.get(one).copied());
                    let mut circle: Vec<ServiceId> = std::iter::once(id).chain(back).cloned().collect();
                    circle.reverse();
                    return Some(circle);
                }
                if !came.contains_key(next) {
                    came.insert(next, at);
                    open.push(next);
                }
            }
        }
        None
    }
}

fn take(sets: &mut HashMap<ServiceId, BTreeSet<ServiceId>>, name: &ServiceId, id: &ServiceId) {
    if let Some(set) = sets.get_mut(name) {
        set.remove(id);
        if set.is_empty() {
            sets.remove(name);
        }
    }
}

fn closure(
    ids: impl IntoIterator<Item = ServiceId>,
    around: impl Fn(&ServiceId, &mut Vec<ServiceId>),
) -> BTreeSet<ServiceId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<ServiceId> = ids.into_iter().collect();
    while let Some(id) = open.pop() {
        if !found.contains(&id) {
            around(&id, &mut open);
            found.insert(id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(word: &str) -> ServiceId {
        word.parse().unwrap()
    }

    fn order(pairs: &[(&str, &[&str])]) -> Order {
        let mut order = Order::default();
        for (one, after) in pairs {
            order.set(&id(one), &after.iter().map(|a| id(a)).collect::<Vec<_>>(), None);
        }
        order
    }

    fn words(ids: impl IntoIterator<Item = ServiceId>) -> String {
        ids.into_iter().map(String::from).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn closures_go_both_ways() {
        let order = order(&[("db", &[]), ("api", &["db"]), ("web", &["api"]), ("job", &["db"]), ("other", &[])]);
        assert_eq!(words(order.with_earlier([id("web")])), "api db web");
        assert_eq!(words(order.with_later([id("db")])), "api db job web");
        assert_eq!(words(order.dependents(&id("api")).cloned()), "web");
        assert_eq!(order.cycle(&id("web")), None);
    }

    #[test]
    fn instances_are_meant_by_their_common_name() {
        let mut order = order(&[("gateway", &["agent"])]);
        for n in 1..=2 {
            order.set(&id(&format!("agent-{n}")), &[], Some(&id("agent")));
        }
        assert_eq!(words(order.after(&id("gateway")).cloned()), "agent-1 agent-2");
        assert_eq!(words(order.dependents(&id("agent-2")).cloned()), "gateway");
        order.remove(&id("agent-1"));
        assert_eq!(words(order.members(&id("agent")).cloned()), "agent-2");
        order.remove(&id("gateway"));
        assert_eq!(order.dependents(&id("agent-2")).count(), 0);
    }

    #[test]
    fn circles_are_found_and_do_no_harm() {
        let order = order(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"]), ("e", &["e"])]);
        assert_eq!(words(order.cycle(&id("a")).unwrap()), "a b c a");
        assert_eq!(words(order.cycle(&id("e")).unwrap()), "e e");
        assert_eq!(order.cycle(&id("d")), None, "it is in none, it comes after one");
        assert_eq!(words(order.with_earlier([id("d")])), "a b c d");
    }
}
