//! The keeper of the pipes, as the capture uses it: made with the first pipe, made again if it is
//! killed. Without one everything goes on, but what is in a pipe does not outlive both ends.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::super::keeper::{Link, Make};
use super::Shared;

/// After what it is made again; each time twice as long, up to an hour.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// What is known of the keeper.
#[derive(Debug)]
pub(super) struct Kept {
    /// `None` where none can be made.
    make: Option<Make>,
    state: RefCell<State>,
    /// Hears of its end.
    hears: RefCell<Option<JoinHandle<()>>>,
    pause: Cell<Duration>,
}

#[derive(Debug)]
enum State {
    /// There was no need of one yet.
    Unneeded,
    There(Rc<Link>),
    /// It could not be made, or was killed, and is made again later.
    Lost,
}

impl Kept {
    pub(super) fn new(make: Option<Make>) -> Self {
        Self { make, state: RefCell::new(State::Unneeded), hears: RefCell::default(), pause: Cell::new(AGAIN) }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(hears) = self.hears.get_mut() {
            hears.abort();
        }
    }
}

impl Shared {
    /// Goes on with the keeper of an earlier daemon.
    pub(super) fn find_keeper(self: &Rc<Self>) {
        if self.kept.make.is_none() {
            return;
        }
        match Link::find(&self.places) {
            Ok(Some(link)) => drop(self.attend(link)),
            Ok(None) => {}
            Err(error) => self.lost(&error),
        }
    }

    /// Has pipes kept, from now on.
    pub(super) fn keep(self: &Rc<Self>, pipes: &[OwnedFd; 2]) {
        let done = self.keeper().and_then(|link| link.map_or(Ok(()), |link| link.hold(pipes)));
        if let Err(error) = done {
            self.lost(&error);
        }
    }

    /// Has them kept no more.
    pub(super) fn let_go(&self, pipes: &[OwnedFd; 2]) {
        // If it is gone it has let go; that is heard elsewhere.
        if let State::There(link) = &*self.kept.state.borrow()
            && let Err(error) = link.let_go(pipes)
        {
            tracing::debug!("the keeper of output: {error}");
        }
    }

    fn keeper(self: &Rc<Self>) -> io::Result<Option<Rc<Link>>> {
        let make = match (&*self.kept.state.borrow(), self.kept.make) {
            (State::There(link), _) => return Ok(Some(Rc::clone(link))),
            (State::Unneeded, Some(make)) => make,
            (State::Lost, _) | (State::Unneeded, None) => return Ok(None),
        };
        let link = match Link::find(&self.places)? {
            Some(link) => link,
            None => Link::make(&self.places, make)?,
        };
        Ok(Some(self.attend(link)))
    }

    /// Uses this one until it ends.
    fn attend(self: &Rc<Self>, link: Link) -> Rc<Link> {
        let link = Rc::new(link);
        *self.kept.state.borrow_mut() = State::There(Rc::clone(&link));
        let (shared, heard) = (Rc::downgrade(self), Rc::clone(&link));
        let hears = crate::tasks::spawn_local(async move {
            heard.ended().await;
            if let Some(shared) = shared.upgrade() {
                shared.lost(&io::Error::other("it has ended"));
            }
        });
        *self.kept.hears.borrow_mut() = Some(hears);
        link
    }

    /// Goes on without one for a while.
    fn lost(self: &Rc<Self>, error: &io::Error) {
        let pause = self.kept.pause.get();
        if pause == AGAIN {
            tracing::warn!(
                "the keeper of output: {error}; until there is one again, what a service writes while no daemon runs is lost \
                 if it ends meanwhile"
            );
        }
        *self.kept.state.borrow_mut() = State::Lost;
        if let Some(hears) = self.kept.hears.borrow_mut().take() {
            hears.abort();
        }
        self.kept.pause.set((pause * 2).min(LONGEST));
        let shared = Rc::downgrade(self);
        crate::tasks::spawn_local(async move {
            tokio::time::sleep(pause).await;
            let Some(shared) = shared.upgrade() else { return };
            *shared.kept.state.borrow_mut() = State::Unneeded;
            for service in shared.services.borrow().running.values() {
                shared.keep(&service.pipes);
            }
        });
    }
}
