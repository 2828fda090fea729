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
    /// With it, when each process of the table started.
    index: OnceCell<(tree::Index, HashMap<u32, u64>)>,
    marked: OnceCell<HashMap<ServiceId, Vec<Seen>>>,
}

/// A process as it was seen: by its number alone it may be another one when something is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: u32,
    /// Where that was read.
    pub(super) start_ticks: Option<u64>,
}

impl Seen {
    /// Whether a process of this number that started then is the one that was seen.
    pub(super) fn is(self, start_ticks: u64) -> bool {
        self.start_ticks.is_none_or(|seen| seen == start_ticks)
    }
}

/// A child of this process that is nobody's main process: its parent has ended.
struct Left {
    seen: Seen,
    sid: u32,
    service: Option<ServiceId>,
}

impl Look {
    fn new() -> Rc<Self> {
        let (left, index, marked) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Rc::new(Self { at: Instant::now(), left, index, marked })
    }

    /// What a service has left behind: whatever loses its parent becomes a child of this process.
    pub(super) fn left_by(&self, inner: &Inner, id: &ServiceId, session: Option<u32>) -> Vec<Seen> {
        let left = self.left.get_or_init(|| {
            let mains = inner.mains.borrow();
            let others = strays::children(&inner.proc).into_iter().filter(|pid| !mains.contains_key(pid));
            let one = |pid| {
                // Before its mark is read, which may be that of a later one: this is none of its number then.
                let stat = inner.proc.stat(pid).ok()?;
                let seen = Seen { pid, start_ticks: Some(stat.start_ticks) };
                Some(Left { seen, sid: stat.sid, service: service_of(inner, pid) })
            };
            others.filter_map(one).collect()
        });
        let is_of = |left: &&Left| left.service.as_ref() == Some(id) || Some(left.sid) == session;
        left.iter().filter(is_of).map(|left| left.seen).collect()
    }

    /// Every process of the host that carries the mark of a service.
    pub(super) fn marked(&self, inner: &Rc<Inner>, id: &ServiceId) -> Vec<Seen> {
        let marked = self.marked.get_or_init(|| {
            inner.forget_soon();
            let mut all: HashMap<ServiceId, Vec<Seen>> = HashMap::new();
            let own = std::process::id();
            for pid in inner.proc.pids().unwrap_or_default().into_iter().filter(|pid| *pid != own) {
                if let Some((id, seen)) = marked(inner, pid) {
                    all.entry(id).or_default().push(seen);
                }
            }
            all
        });
        marked.get(id).cloned().unwrap_or_default()
    }

    /// These, and all that comes from them.
    pub(super) fn tree(&self, inner: &Rc<Inner>, roots: &[Seen]) -> Vec<Seen> {
        let (index, started) = self.index.get_or_init(|| {
            inner.forget_soon();
            let table = tree::table(&inner.proc);
            (tree::Index::new(&table), table.iter().map(|row| (row.pid, row.start_ticks)).collect())
        });
        let roots = roots.iter().filter(|root| started.get(&root.pid).is_none_or(|ticks| root.is(*ticks)));
        let known: HashMap<u32, Seen> = roots.map(|root| (root.pid, *root)).collect();
        let pids: Vec<u32> = known.keys().copied().collect();
        let seen = |pid| known.get(&pid).copied().unwrap_or(Seen { pid, start_ticks: started.get(&pid).copied() });
        index.tree(&pids).into_iter().map(seen).collect()
    }
}

/// Of which service of this instance a process carries the mark.
pub(super) fn service_of(inner: &Inner, pid: u32) -> Option<ServiceId> {
    let [service, instance] = inner.proc.variables(pid, MARK)?;
    (instance? == inner.instance).then_some(())?;
    service?.parse().ok()
}

/// The same of who carries one, with when it started: it has the mark before and after that is read.
fn marked(inner: &Inner, pid: u32) -> Option<(ServiceId, Seen)> {
    let id = service_of(inner, pid)?;
    let start_ticks = Some(inner.proc.stat(pid).ok()?.start_ticks);
    (service_of(inner, pid)? == id).then_some((id, Seen { pid, start_ticks }))
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

#[cfg(test)]
impl Look {
    /// A look that is not old for long, in which one process is what a service has left behind.
    pub(super) fn of_one_left(seen: Seen, id: &ServiceId) -> Rc<Self> {
        let left = OnceCell::from(vec![Left { seen, sid: 0, service: Some(id.clone()) }]);
        let at = Instant::now() + Duration::from_secs(3600);
        Rc::new(Self { at, left, index: OnceCell::new(), marked: OnceCell::new() })
    }
}
