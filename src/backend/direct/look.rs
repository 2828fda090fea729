//! Looks at the processes of the host that several services share: to stop a thousand at once,
//! /proc is not read a thousand times.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::tree::MARK;
use super::{Inner, Run, strays};
use crate::model::ServiceId;
use crate::observe::tree;

/// How old a look may be for what is made sure of later: whom a signal reaches, whether a tree is
/// gone, what it uses.
const AGE: Duration = Duration::from_millis(50);

/// What was seen. Each part is read when it is first asked for, and so not before `at`.
pub(super) struct Look {
    at: Instant,
    left: OnceCell<Vec<Left>>,
    index: OnceCell<tree::Index>,
    marked: OnceCell<HashMap<ServiceId, Vec<u32>>>,
}

/// A child of this process that is nobody's main process: its parent has ended.
struct Left {
    pid: u32,
    sid: u32,
    service: Option<ServiceId>,
}

impl Look {
    fn new() -> Rc<Self> {
        let (left, index, marked) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Rc::new(Self { at: Instant::now(), left, index, marked })
    }

    /// What a service has left behind: whatever loses its parent becomes a child of this process.
    pub(super) fn left_by(&self, inner: &Inner, id: &ServiceId, main: Option<u32>) -> Vec<u32> {
        let left = self.left.get_or_init(|| {
            let mains = inner.mains.borrow();
            let others = strays::children(&inner.proc).into_iter().filter(|pid| !mains.contains_key(pid));
            let one = |pid| {
                let sid = inner.proc.stat(pid).map_or(0, |stat| stat.sid);
                Left { pid, sid, service: service_of(inner, pid) }
            };
            others.map(one).collect()
        });
        let is_of = |left: &&Left| left.service.as_ref() == Some(id) || Some(left.sid) == main;
        left.iter().filter(is_of).map(|left| left.pid).collect()
    }

    /// Every process of the host that carries the mark of a service.
    pub(super) fn marked(&self, inner: &Rc<Inner>, id: &ServiceId) -> Vec<u32> {
        let marked = self.marked.get_or_init(|| {
            inner.forget_soon();
            let mut all: HashMap<ServiceId, Vec<u32>> = HashMap::new();
            let own = std::process::id();
            for pid in inner.proc.pids().unwrap_or_default().into_iter().filter(|pid| *pid != own) {
                if let Some(id) = service_of(inner, pid) {
                    all.entry(id).or_default().push(pid);
                }
            }
            all
        });
        marked.get(id).cloned().unwrap_or_default()
    }

    /// These, and all that comes from them.
    pub(super) fn tree(&self, inner: &Rc<Inner>, roots: &[u32]) -> Vec<u32> {
        let index = self.index.get_or_init(|| {
            inner.forget_soon();
            tree::Index::new(&tree::table(&inner.proc))
        });
        index.tree(roots)
    }
}

/// Of which service of this instance a process carries the mark.
pub(super) fn service_of(inner: &Inner, pid: u32) -> Option<ServiceId> {
    let [service, instance] = inner.proc.variables(pid, MARK)?;
    (instance? == inner.instance).then_some(())?;
    service?.parse().ok()
}

impl Inner {
    /// A look that is not old, and was not made before the main process of this run had ended:
    /// what that left behind is to be seen.
    pub(super) fn look(&self, run: Option<&Run>) -> Rc<Look> {
        let young = Instant::now().checked_sub(AGE);
        let after = young.max(run.and_then(|run| run.ended.get()));
        self.look_after(after)
    }

    /// A look that is made from now on, together with all who want one now.
    pub(super) async fn look_anew(&self) -> Rc<Look> {
        let asked = Instant::now();
        tokio::task::yield_now().await;
        self.look_after(Some(asked))
    }

    fn look_after(&self, after: Option<Instant>) -> Rc<Look> {
        let last = self.last_look.borrow().clone();
        if let Some(last) = last.filter(|last| after.is_none_or(|after| last.at >= after)) {
            return last;
        }
        let look = Look::new();
        *self.last_look.borrow_mut() = Some(Rc::clone(&look));
        look
    }

    /// The table of a host is not kept when nobody looks at it any more.
    fn forget_soon(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        crate::tasks::spawn_local(async move {
            tokio::time::sleep(2 * AGE).await;
            if let Some(inner) = weak.upgrade() {
                inner.last_look.take();
            }
        });
    }
}
