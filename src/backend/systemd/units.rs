//! The units that are watched.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Shared;
use super::ends::Main;
use super::life::Life;
use super::unit::name_of;
use crate::backend::{Placed, Room};
use crate::model::service::Containment;
use crate::model::{ServiceId, UnitName};
use crate::tasks::AbortOnDrop;

/// One unit, shared by whoever starts, stops or watches it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) id: ServiceId,
    pub(super) name: UnitName,
    pub(super) life: RefCell<Life>,
    pub(super) main: RefCell<Option<Main>>,
    /// Reads what the manager tells of it; while it is referenced.
    pub(super) follower: RefCell<Option<AbortOnDrop>>,
    /// Its job is not done: it has to say READY=1.
    pub(super) unready: RefCell<Room>,
    /// The hash of the variables that were last written for it.
    pub(super) env: Cell<Option<u64>>,
    /// Something about it is new.
    pub(super) news: Notify,
}

impl Unit {
    fn new(id: &ServiceId, name: UnitName) -> Self {
        Self {
            id: id.clone(),
            name,
            life: RefCell::default(),
            main: RefCell::default(),
            follower: RefCell::default(),
            unready: RefCell::default(),
            env: Cell::default(),
            news: Notify::new(),
        }
    }

    /// Waits until this is so of the unit; `None` if that takes longer.
    pub(super) async fn until<T>(&self, limit: Duration, mut found: impl FnMut(&mut Life) -> Option<T>) -> Option<T> {
        let wait = async {
            loop {
                let news = self.news.notified();
                if let Some(found) = found(&mut self.life.borrow_mut()) {
                    return found;
                }
                news.await;
            }
        };
        tokio::time::timeout(limit, wait).await.ok()
    }
}

/// All units that are watched, by their object paths.
#[derive(Debug, Default)]
pub(super) struct Units(RefCell<HashMap<String, Rc<Unit>>>);

impl Units {
    /// The unit of a service, known from now on.
    pub(super) fn of(&self, id: &ServiceId) -> io::Result<Rc<Unit>> {
        let name = name_of(id)?;
        Ok(self.insert(id, name))
    }

    /// The unit of this name, which is something of this service, known from now on.
    pub(super) fn insert(&self, id: &ServiceId, name: UnitName) -> Rc<Unit> {
        let mut all = self.0.borrow_mut();
        let unit = all.entry(name.object_path()).or_insert_with(|| Rc::new(Unit::new(id, name)));
        Rc::clone(unit)
    }

    /// The unit of a service, if it is known.
    pub(super) fn get(&self, id: &ServiceId) -> Option<Rc<Unit>> {
        self.by_path(&name_of(id).ok()?.object_path())
    }

    pub(super) fn by_path(&self, path: &str) -> Option<Rc<Unit>> {
        self.0.borrow().get(path).cloned()
    }

    /// Whether this one is still watched.
    pub(super) fn has(&self, unit: &Rc<Unit>) -> bool {
        self.by_path(&unit.name.object_path()).is_some_and(|known| Rc::ptr_eq(&known, unit))
    }

    pub(super) fn forget(&self, unit: &Unit) {
        unit.main.take();
        unit.follower.take();
        unit.unready.take();
        self.0.borrow_mut().remove(&unit.name.object_path());
    }

    pub(super) fn all(&self) -> Vec<Rc<Unit>> {
        self.0.borrow().values().cloned().collect()
    }
}

impl Shared {
    /// The control group of a service.
    pub(super) fn cgroup(&self, unit: &UnitName) -> String {
        format!("{}{}/{unit}", self.root, self.options.scope.slice_path())
    }

    pub(super) fn processes(&self, id: &ServiceId) -> Vec<u32> {
        name_of(id).map(|name| self.cgroups.pids_in(&self.cgroup(&name))).unwrap_or_default()
    }

    /// Where a unit has its run now.
    pub(super) fn placed(unit: &Unit) -> Placed {
        let life = unit.life.borrow();
        Placed {
            // One that ended meanwhile has no identity any more.
            identity: unit.identity(),
            unit: Some(unit.name.to_string()),
            invocation: Some(life.status.invocation.clone()).filter(|id| !id.is_empty()),
            containment: Some(Containment::Cgroup),
            warnings: Vec::new(),
        }
    }
}
