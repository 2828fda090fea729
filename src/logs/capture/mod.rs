//! The output of services, from named pipes into files.
//!
//! Each stream is a named pipe, `STATE/fifo/ID.out` and `ID.err`. The service holds it open for
//! reading and writing as its standard output, so that nothing breaks while no daemon runs: it
//! goes on until the pipe is full (64 KiB), and then waits. The daemon moves what is in it into
//! the files of the service (see `logs::layout`); a byte is always in one of the two, whenever the
//! daemon dies. What is in a pipe is gone once nobody holds it open, so a small process besides the
//! daemon does ([`super::keeper`]): who ends while no daemon runs leaves its last words there.
//!
//! How a backend uses it, with one [`Capture`] for all:
//!
//! * at a start: [`Capture::open`], and the two descriptors become the child's 1 and 2. The same
//!   at every further start; what an earlier run left in the pipes goes into the files before.
//! * when it takes over a service that an earlier daemon started: [`Capture::resume`].
//! * before the rest of its tree is killed: [`Capture::drain`].
//! * when the service and all of its tree have ended and no new start follows:
//!   [`Capture::close`], which moves what is left and removes the pipes. (`Backend::release`.)
//! * readiness asks [`Capture::lines`] for what the present run writes.
//!
//! One task moves everything, one turn for each pipe that has something. A service that is silent
//! costs two descriptors, and the files of those that spoke last are kept open.

mod fifo;
mod full;
mod kept;
mod lines;
mod refine;
mod service;
mod sink;
#[cfg(test)]
mod tests;
mod turnover;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fs::OFlags;

pub(super) use fifo::peek;
use kept::Kept;
pub(crate) use lines::{Lines, matching};

use super::keeper;
use super::layout::{Side, named};
use super::tidy::Tidier;
use crate::model::ServiceId;
use crate::paths::Places;
use crate::sys::watched::Watched;
use service::Service;
pub(super) use turnover::may_use;

/// The services whose files are kept open.
const OPEN: usize = 64;
/// How often all files are looked through.
const TIDY: Duration = Duration::from_secs(3600);
/// After what a stream is tried again whose file cannot be written for another reason than a full
/// disk. Nothing is lost meanwhile; the service may have to wait.
const AGAIN: Duration = Duration::from_secs(5);

/// What a child gets as its standard output and standard error.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Becomes 1.
    pub(crate) out: OwnedFd,
    /// Becomes 2.
    pub(crate) err: OwnedFd,
}

/// Captures the output of services, as long as it lives. Dropping it loses nothing: what is in the
/// pipes stays there for the next one.
#[derive(Debug)]
pub(crate) struct Capture {
    shared: Rc<Shared>,
    task: tokio::task::JoinHandle<()>,
    tidies: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    places: Places,
    /// All pipes.
    epoll: Watched,
    services: RefCell<Services>,
    kept: Kept,
    tidier: Tidier,
}

#[derive(Debug, Default)]
struct Services {
    /// By a number that is never used again.
    running: HashMap<u64, Service>,
    numbers: HashMap<ServiceId, u64>,
    next: u64,
    /// Those whose files are open, the longest first.
    open: VecDeque<u64>,
}

impl Capture {
    /// Must be called within a `LocalSet`.
    pub(crate) fn new(places: &Places) -> io::Result<Self> {
        Self::with_keeper(places, keeper::make())
    }

    fn with_keeper(places: &Places, make: Option<keeper::Make>) -> io::Result<Self> {
        let epoll = Watched::new(epoll::create(epoll::CreateFlags::CLOEXEC)?)?;
        let kept = Kept::new(make);
        let (services, tidier) = (RefCell::default(), Tidier::new(places));
        let shared = Rc::new(Shared { places: places.clone(), epoll, services, kept, tidier });
        shared.find_keeper();
        let task = crate::tasks::spawn_local(move_all(Rc::clone(&shared)));
        let tidies = crate::tasks::spawn_local(tidy_all(Rc::clone(&shared)));
        Ok(Self { shared, task, tidies })
    }

    /// Where all of it is kept.
    pub(crate) fn place(&self) -> &std::path::Path {
        &self.shared.places.logs
    }

    /// Begins to capture a run of a service; the descriptors are for its program.
    ///
    /// # Errors
    /// A pipe or file cannot be made, or something else is in its place.
    pub(crate) fn open(&self, id: &ServiceId) -> io::Result<Streams> {
        self.shared.follow(id)?;
        let places = &self.shared.places;
        let open = |side| fifo::open(places, &fifo::path(places, id, side), OFlags::empty());
        let streams = Streams { out: open(Side::Out)?, err: open(Side::Err)? };
        self.shared.with(id, |service| {
            service.empty();
            service.settle(places);
            service.sink.start_run().map_err(|error| named(format_args!("the output of {id}"), &error))
        })?;
        Ok(streams)
    }

    /// Goes on with a service that an earlier daemon started, and with what it wrote meanwhile.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub(crate) fn resume(&self, id: &ServiceId) -> io::Result<()> {
        self.shared.follow(id)?;
        self.shared.with(id, |service| {
            // At once: whoever holds the pipe may be ended before the task has its turn, and then it
            // is gone with this process. What cannot be done now is done with what comes next.
            service.sink.ready().and_then(|()| service.drain()).unwrap_or_else(|error| {
                tracing::warn!("the output of {id} cannot be written: {error}");
            });
            service.tell();
            Ok(())
        })
    }

    /// Moves what is in the pipes now. Before the last who hold them are killed: from then on only
    /// this process keeps what is in them. One that is not captured is no error.
    ///
    /// # Errors
    /// It cannot be written; it stays where it is.
    pub(crate) fn drain(&self, id: &ServiceId) -> io::Result<()> {
        if !self.shared.services.borrow().numbers.contains_key(id) {
            return Ok(());
        }
        self.shared.with(id, |service| {
            service.drain()?;
            service.tell();
            Ok(())
        })
    }

    /// Moves what is left of a service that has ended, and removes its pipes. One that is not
    /// captured is no error.
    ///
    /// # Errors
    /// What is left cannot be written; the pipes stay until this is called again.
    pub(crate) fn close(&self, id: &ServiceId) -> io::Result<()> {
        if !self.shared.services.borrow().numbers.contains_key(id) {
            // What an earlier daemon left.
            if !self.has_pipes(id) {
                return Ok(());
            }
            self.shared.follow(id)?;
        }
        self.shared.with(id, |service| {
            service.drain()?;
            service.sink.end_run()?;
            service.tell();
            Ok(())
        })?;
        self.shared.forget(id);
        Ok(())
    }

    /// Whether there are pipes of a service, of this daemon or an earlier one.
    pub(crate) fn has_pipes(&self, id: &ServiceId) -> bool {
        let places = &self.shared.places;
        Side::BOTH.iter().any(|side| fifo::path(places, id, *side).symlink_metadata().is_ok())
    }

    /// The lines of the present run of a service, from its first one on. Those who ask for none
    /// cost nothing.
    ///
    /// # Errors
    /// It is not captured, or its files cannot be read.
    pub(crate) fn lines(&self, id: &ServiceId) -> io::Result<Lines> {
        self.shared.with(id, |service| {
            let news = service.news.upgrade().unwrap_or_default();
            service.news = Rc::downgrade(&news);
            let began = service.sink.run_began()?;
            Lines::new(&super::folder(&self.shared.places, id), began, news)
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.task.abort();
        self.tidies.abort();
    }
}

/// What is too old is removed also of services that write nothing, and what an earlier daemon has
/// left is finished.
async fn tidy_all(shared: Rc<Shared>) {
    loop {
        shared.tidier.ask_all();
        tokio::time::sleep(TIDY).await;
    }
}

/// What moves is told here; a pipe that is full again at once does not keep the others waiting,
/// nor the rest of the daemon.
async fn move_all(shared: Rc<Shared>) {
    loop {
        // Every turn ends with an error: `WouldBlock` when all pipes are empty.
        let turn = shared.epoll.drain(|epoll| Err(shared.turn(epoll))).await;
        match turn {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => tokio::task::yield_now().await,
            Err(error) => {
                tracing::error!("output cannot be captured: {error}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

impl Shared {
    fn turn(self: &Rc<Self>, epoll: &OwnedFd) -> io::Error {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 64];
        let ready = match epoll::wait(epoll, &mut events[..], Some(&Timespec::default())) {
            Ok((ready, _)) => ready,
            Err(error) => return error.into(),
        };
        if ready.is_empty() {
            return io::ErrorKind::WouldBlock.into();
        }
        for event in ready {
            let (number, side) = of_token(event.data.u64());
            self.move_one(number, side);
        }
        io::ErrorKind::ResourceBusy.into()
    }

    fn move_one(self: &Rc<Self>, number: u64, side: Side) {
        let services = &mut *self.services.borrow_mut();
        let Some(service) = services.running.get_mut(&number) else { return };
        let was_open = service.sink.is_open();
        match service.sink.take(side, &service.pipes[side as usize]) {
            Ok(_) => service.tell(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::error!("{} cannot be captured, and waits: {error}", services.name(number, side));
                self.later(number, side, services);
            }
        }
        if let Some(service) = services.running.get_mut(&number) {
            service.look_at_settings(&self.places);
            if service.sink.turnover.news() {
                self.tidier.ask(&service.id);
            }
        }
        if !was_open {
            services.opened(number);
        }
    }

    /// Leaves a pipe alone for a while.
    fn later(self: &Rc<Self>, number: u64, side: Side, services: &Services) {
        let Some(service) = services.running.get(&number) else { return };
        let _gone = epoll::delete(self.epoll.get(), &service.pipes[side as usize]);
        let shared = Rc::downgrade(self);
        crate::tasks::spawn_local(async move {
            tokio::time::sleep(AGAIN).await;
            let Some(shared) = shared.upgrade() else { return };
            if let Some(service) = shared.services.borrow().running.get(&number) {
                let _there = watch(shared.epoll.get(), &service.pipes[side as usize], number, side);
            }
        });
    }

    /// Makes the pipes of a service, and moves what comes, from now on.
    fn follow(self: &Rc<Self>, id: &ServiceId) -> io::Result<()> {
        let services = &mut *self.services.borrow_mut();
        if services.numbers.contains_key(id) {
            return Ok(());
        }
        let places = &self.places;
        let pipes = [fifo::make(places, id, Side::Out)?, fifo::make(places, id, Side::Err)?];
        let number = services.next;
        services.next += 1;
        for side in Side::BOTH {
            watch(self.epoll.get(), &pipes[side as usize], number, side)?;
        }
        self.keep(&pipes);
        services.running.insert(number, Service::new(places, id, pipes));
        services.numbers.insert(id.clone(), number);
        Ok(())
    }

    fn forget(&self, id: &ServiceId) {
        let services = &mut *self.services.borrow_mut();
        let Some(number) = services.numbers.remove(id) else { return };
        // With the last copy of their descriptors they leave the set by themselves.
        let service = services.running.remove(&number);
        services.open.retain(|open| *open != number);
        for side in Side::BOTH {
            let path = fifo::path(&self.places, id, side);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!("{} stays: {error}", path.display());
            }
        }
        if let Some(service) = service {
            self.let_go(&service.pipes);
        }
    }

    fn with<T>(&self, id: &ServiceId, what: impl FnOnce(&mut Service) -> io::Result<T>) -> io::Result<T> {
        let services = &mut *self.services.borrow_mut();
        let number = services.numbers.get(id).copied();
        let service = number.and_then(|number| services.running.get_mut(&number));
        let (Some(number), Some(service)) = (number, service) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("the output of {id} is not captured")));
        };
        let was_open = service.sink.is_open();
        let done = what(service);
        if !was_open {
            services.opened(number);
        }
        done
    }
}

impl Services {
    /// Closes the files of the one whose files are open the longest, if they are too many.
    fn opened(&mut self, number: u64) {
        let open = self.running.get(&number).is_some_and(|service| service.sink.is_open());
        if !open || self.open.contains(&number) {
            return;
        }
        self.open.push_back(number);
        if self.open.len() > OPEN {
            let longest = self.open.pop_front().and_then(|number| self.running.get_mut(&number));
            if let Some(service) = longest {
                service.sink.rest();
            }
        }
    }

    fn name(&self, number: u64, side: Side) -> String {
        let id = self.numbers.iter().find(|(_, found)| **found == number);
        format!("{} of {}", side.words(), id.map_or("a service", |(id, _)| id.as_str()))
    }
}

fn watch(epoll: &OwnedFd, pipe: &OwnedFd, number: u64, side: Side) -> io::Result<()> {
    let token = epoll::EventData::new_u64(number << 1 | side as u64);
    Ok(epoll::add(epoll, pipe, token, epoll::EventFlags::IN)?)
}

fn of_token(token: u64) -> (u64, Side) {
    (token >> 1, if token & 1 == 0 { Side::Out } else { Side::Err })
}
