//! Several who want the same done to the same unit of a user's manager get one of it: what began
//! after a call had come is what that call asked for, however long polkit took to allow it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Action, UnitName};

/// What was done last to a unit while somebody was there who wants something of it.
#[derive(Debug, Default)]
struct Last {
    /// Counted in calls for it.
    begun: u64,
    done: Option<(Action, String)>,
}

#[derive(Debug, Default)]
struct Unit {
    calls: Mutex<u64>,
    last: tokio::sync::Mutex<Last>,
}

type Units = HashMap<(u32, UnitName), Arc<Unit>>;

static UNITS: Mutex<Option<Units>> = Mutex::new(None);

/// A call for a unit, from its arrival on.
#[derive(Debug)]
pub(super) struct Turn {
    of: (u32, UnitName),
    unit: Arc<Unit>,
    arrived: u64,
}

impl Turn {
    /// A call has come.
    pub(super) fn new(uid: u32, name: &UnitName) -> Self {
        let of = (uid, name.clone());
        let unit = {
            let mut units = UNITS.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(units.get_or_insert_default().entry(of.clone()).or_default())
        };
        let arrived = unit.next();
        Self { of, unit, arrived }
    }

    /// Does it when the others have done theirs, unless one of them has done the same since this call
    /// came. The error is not shared: whoever comes next tries it.
    pub(super) async fn once<E>(
        &self,
        action: Action,
        work: impl Future<Output = Result<String, E>>,
    ) -> Result<String, E> {
        let mut last = self.unit.last.lock().await;
        if let Some((done, word)) = &last.done
            && *done == action
            && last.begun > self.arrived
        {
            return Ok(word.clone());
        }
        *last = Last { begun: self.unit.next(), done: None };
        let word = work.await?;
        last.done = Some((action, word.clone()));
        Ok(word)
    }
}

impl Unit {
    fn next(&self) -> u64 {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        *calls
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut units = UNITS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(units) = units.as_mut() else { return };
        // This one's, and that of the map.
        if Arc::strong_count(&self.unit) <= 2 {
            units.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn one_is_enough_for_all_who_had_asked() {
        let name: UnitName = "turns-of-a-test.service".parse().unwrap();
        let done = Cell::new(0);
        let work = || async {
            done.set(done.get() + 1);
            Ok::<_, ()>("done".to_owned())
        };
        let (first, second) = (Turn::new(1, &name), Turn::new(1, &name));
        second.once(Action::Restart, work()).await.unwrap();
        assert_eq!(first.once(Action::Restart, work()).await.unwrap(), "done");
        assert_eq!(done.get(), 1);
        // Another action, and one that is wanted later, are not what was done.
        first.once(Action::Stop, work()).await.unwrap();
        Turn::new(1, &name).once(Action::Stop, work()).await.unwrap();
        assert_eq!(done.get(), 3);
        // An error is nobody else's.
        let third = Turn::new(1, &name);
        let fourth = Turn::new(1, &name);
        third.once(Action::Stop, async { Err::<String, ()>(()) }).await.unwrap_err();
        fourth.once(Action::Stop, work()).await.unwrap();
        assert_eq!(done.get(), 4);
        drop((first, second, third, fourth));
        assert!(!UNITS.lock().unwrap().as_ref().unwrap().contains_key(&(1, name)));
    }
}
