//! A thread that makes the children of a process with many open files. A child begins with a copy
//! of the table of descriptors of the thread that makes it, and closes what it does not need: of
//! 15,000 that takes longer than all else of a start. The table of this thread is its own, and
//! holds what one child is given.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::libc;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::fork::{Blocked, Fds, Made, Shared, fork};

/// From this number of a new descriptor on, a child is made by the thread.
const MANY: RawFd = 512;
/// It makes system calls and little else. A child with memory of its own runs on its stack.
const STACK: usize = 64 << 10;
/// Of a message to the thread, and of its answer: pid, errno, and errno of the control group.
const NUMBERS: usize = 3;

/// This process's end. The descriptors go by the socket, for the thread has no others.
pub(super) struct Maker {
    socket: OwnedFd,
    next: Arc<Mutex<Option<Box<Shared>>>>,
}

/// The thread, if a process that has opened this descriptor should not make children itself.
/// `None` also where the thread cannot have a table of its own: before Linux 5.9, in some
/// containers.
pub(super) fn for_many(newest: BorrowedFd<'_>) -> Option<&'static Mutex<Maker>> {
    static MAKER: OnceLock<Option<Mutex<Maker>>> = OnceLock::new();
    let made = || Maker::new().inspect_err(|error| tracing::debug!("no thread for children: {error}")).ok();
    (newest.as_raw_fd() >= MANY).then(|| MAKER.get_or_init(|| made().map(Mutex::new)).as_ref()).flatten()
}

impl Maker {
    fn new() -> io::Result<Self> {
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let next = Arc::new(Mutex::new(None));
        let thread = std::thread::Builder::new().name("provost-maker".to_owned()).stack_size(STACK);
        {
            // A handler of signals would write to a number that is another descriptor there.
            let _signals = Blocked::all();
            let next = Arc::clone(&next);
            thread.spawn(move || work(theirs, &next))?;
        }
        let maker = Self { socket, next };
        maker.answer()?;
        Ok(maker)
    }

    /// As [`fork`] does it. What the child uses comes back but where the thread has failed.
    pub(super) fn make(&self, shared: Box<Shared>, fds: &Fds<'_>) -> (Option<Box<Shared>>, io::Result<Made>) {
        let next = || self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next() = Some(shared);
        let made = send(&self.socket, [0; NUMBERS], fds.all()).and_then(|()| self.answer());
        let made = made.and_then(|made| made.ok_or_else(|| Errno::PROTO.into()));
        (next().take(), made)
    }

    fn answer(&self) -> io::Result<Option<Made>> {
        let ([pid, errno, outside], fds) = receive(&self.socket)?;
        let error = |errno: i32| (errno != 0).then(|| io::Error::from_raw_os_error(errno));
        match error(errno) {
            Some(error) => Err(error),
            None => Ok(fds.into_iter().flatten().next().map(|pidfd| Made {
                pid: pid.cast_unsigned(),
                pidfd: pidfd.into(),
                outside: error(outside),
            })),
        }
    }
}

/// The thread: says whether it has a table of its own, and makes a child for each message. What is
/// received here is closed here. Nothing is logged: the log's descriptor is not in this table.
fn work(socket: OwnedFd, next: &Mutex<Option<Box<Shared>>>) {
    let begun = own_table(socket.as_fd());
    let errno = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let mut said = send(&socket, [0, begun.as_ref().err().map_or(0, errno), 0], []);
    while begun.is_ok() && said.is_ok() {
        let Ok((_, [Some(stdout), Some(stderr), Some(gate), Some(report), cgroup])) = receive(&socket) else { return };
        let [stdout, stderr, gate, report] = [&stdout, &stderr, &gate, &report].map(|fd| fd.as_fd());
        let fds = Fds { stdout, stderr, gate, report, cgroup: cgroup.as_ref().map(|fd| fd.as_fd()) };
        let made = match next.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(shared) => fork(shared, &fds),
            None => Err(Errno::PROTO.into()),
        };
        said = match &made {
            Ok(made) => {
                let numbers = [made.pid.cast_signed(), 0, made.outside.as_ref().map_or(0, errno)];
                send(&socket, numbers, [made.pidfd.as_fd()])
            }
            Err(error) => send(&socket, [0, errno(error), 0], []),
        };
    }
}

/// Of all descriptors this thread keeps the standard ones and its socket.
fn own_table(socket: BorrowedFd<'_>) -> io::Result<()> {
    let kept = socket.as_raw_fd().cast_unsigned();
    for (from, to) in [(kept + 1, u32::MAX), (3, kept - 1)] {
        // SAFETY: it takes numbers. The first call gives this thread a table of its own, in which
        // nobody has a descriptor but this function's caller.
        if from <= to && unsafe { libc::syscall(libc::SYS_close_range, from, to, libc::CLOSE_RANGE_UNSHARE) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn send<'a>(
    socket: &OwnedFd,
    numbers: [i32; NUMBERS],
    fds: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> io::Result<()> {
    let fds: Vec<_> = fds.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Fds::MOST))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        rights.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let bytes = numbers.map(i32::to_ne_bytes);
    let sent =
        retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes.as_flattened())], &mut rights, SendFlags::NOSIGNAL));
    Ok(sent.map(drop)?)
}

fn receive(socket: &OwnedFd) -> io::Result<([i32; NUMBERS], [Option<OwnedFd>; Fds::MOST])> {
    let mut bytes = [[0; 4]; NUMBERS];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Fds::MOST))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let whole = size_of_val(&bytes);
    let message = retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(bytes.as_flattened_mut())], &mut rights, RecvFlags::CMSG_CLOEXEC)
    })?;
    if message.bytes != whole {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let mut fds = [const { None }; Fds::MOST];
    let sent = rights.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    for (place, fd) in fds.iter_mut().zip(sent.flatten()) {
        *place = Some(fd);
    }
    Ok((bytes.map(i32::from_ne_bytes), fds))
}
