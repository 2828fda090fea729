//! The processes that a target names, by what /proc says of each: the forms that need no bus.
//!
//! Most processes are told apart by one small read of their comm; more is read only of those that
//! it leaves in doubt.

use std::path::Path;
use std::thread;

use super::interpreter;
use super::proc::{Entry, ProcFs};
use super::stat::nul_separated;
use crate::model::Target;

/// What the kernel keeps of a name (`TASK_COMM_LEN` without the final NUL).
const COMM: usize = 15;

/// Holds any comm, and almost any command line.
const SMALL: usize = 4096;

/// Below this number of processes a second thread costs more than it brings.
const ALONE: usize = 150;

/// The processes that the target names, in ascending order, without provost itself. Empty for
/// the forms that name no processes (units, services, ports).
pub(crate) fn find(proc: &ProcFs, target: &Target) -> Vec<u32> {
    let own = std::process::id();
    match target {
        Target::Pid(pid) => proc.stat(*pid).map(|_| vec![*pid]).unwrap_or_default(),
        Target::Name(name) => sift(proc, &[own], |pid, buffer| by_name(proc, pid, name, buffer)),
        Target::Exe(path) => {
            let real = path.canonicalize().ok();
            let same = |exe: &str| path == Path::new(exe) || real.as_deref() == Some(Path::new(exe));
            sift(proc, &[own], |pid, _| proc.entry(pid).is_ok_and(|entry| runs(&entry, same)))
        }
        // The shell that runs provost has the text in its own command line.
        Target::Cmd(text) => {
            let text = text.as_bytes();
            sift(proc, &proc.lineage(), |pid, _| proc.entry(pid).is_ok_and(|entry| says(&entry, text)))
        }
        Target::Word(word) => words(proc, std::slice::from_ref(word)),
        Target::Service(_) | Target::Unit(_) | Target::UserUnit(_) | Target::Port(_) => Vec::new(),
    }
}

/// The processes that have one of these names, in ascending order, without provost itself. All of
/// /proc is looked at once, however many names there are.
pub(crate) fn words(proc: &ProcFs, words: &[String]) -> Vec<u32> {
    if words.is_empty() {
        return Vec::new();
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sift(proc, &[std::process::id()], |pid, buffer| by_word(proc, pid, &words, buffer))
}

/// The names of all processes but those of the kernel, for suggestions.
pub(crate) fn comms(proc: &ProcFs) -> Vec<String> {
    let pids = proc.pids().unwrap_or_default();
    pids.into_iter()
        .filter_map(|pid| proc.stat(pid).ok())
        .filter(|stat| !stat.kernel_thread)
        .map(|stat| stat.comm)
        .collect()
}

/// The processes for which `is` holds.
fn sift(proc: &ProcFs, without: &[u32], is: impl Fn(u32, &mut [u8]) -> bool + Sync) -> Vec<u32> {
    in_parts(&proc.pids().unwrap_or_default(), |part| {
        let mut buffer = [0; SMALL];
        part.iter().copied().filter(|pid| !without.contains(pid) && is(*pid, &mut buffer)).collect()
    })
}

/// The work on all pids, in order; by two threads where there are many.
pub(super) fn in_parts<T: Send>(pids: &[u32], work: impl Fn(&[u32]) -> Vec<T> + Sync) -> Vec<T> {
    if pids.len() < ALONE {
        return work(pids);
    }
    let (near, far) = pids.split_at(pids.len() / 2);
    thread::scope(|scope| {
        let far = scope.spawn(|| work(far));
        let mut all = work(near);
        all.extend(far.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        all
    })
}

/// The comm of a process into the buffer, without its newline.
fn comm<'b>(proc: &ProcFs, pid: u32, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let content = proc.read_small(&format!("{pid}/comm"), buffer).ok()?;
    Some(content.strip_suffix(b"\n").unwrap_or(content))
}

/// The comm is this name. Of a name that is longer than what the kernel keeps, the rest is
/// confirmed on the command line or the executable.
fn by_name(proc: &ProcFs, pid: u32, name: &str, buffer: &mut [u8]) -> bool {
    let Some(comm) = comm(proc, pid, buffer) else { return false };
    if comm == name.as_bytes() {
        return true;
    }
    let long = name.len() > COMM && comm.len() == COMM && name.as_bytes().starts_with(comm);
    long && named(proc, pid, &[name], buffer)
}

fn by_word(proc: &ProcFs, pid: u32, words: &[&str], buffer: &mut [u8]) -> bool {
    let Some(comm) = comm(proc, pid, buffer) else { return false };
    words.iter().any(|word| comm == word.as_bytes()) || named(proc, pid, words, buffer)
}

/// One of the names of the process, its comm aside, is one of these.
fn named(proc: &ProcFs, pid: u32, names: &[&str], buffer: &mut [u8]) -> bool {
    let full = buffer.len();
    let Ok(line) = proc.read_small(&format!("{pid}/cmdline"), buffer) else { return false };
    // A kernel thread or a zombie has no executable either.
    if line.is_empty() {
        return false;
    }
    let whole = (line.len() == full).then(|| proc.entry(pid).and_then(|entry| entry.read("cmdline")).ok()).flatten();
    let line = whole.as_deref().unwrap_or(line);
    let exe = proc.exe_at(&format!("{pid}/exe"));
    // Every name is a part of the command line or of the executable's path.
    let base = exe.as_deref().and_then(|exe| Path::new(exe).file_name());
    if names.iter().any(|name| base.is_some_and(|base| base == *name)) {
        return true;
    }
    let mut said = names.iter().filter(|name| contains(line, name.as_bytes())).peekable();
    if said.peek().is_none() {
        return false;
    }
    let words = nul_separated(line);
    let own = interpreter::names_of(exe.as_deref(), &words);
    said.any(|name| own.contains(name))
}

/// The executable is the one that is looked for. Where it may not be read, an absolute path in
/// argv\[0\] is taken at its word: who may not read it may not signal it either.
fn runs(entry: &Entry<'_>, same: impl Fn(&str) -> bool) -> bool {
    match entry.exe() {
        Some(exe) => same(&exe),
        None => entry.read("cmdline").is_ok_and(|line| nul_separated(&line).first().is_some_and(|first| same(first))),
    }
}

/// The command line, its words joined by spaces, contains the text.
fn says(entry: &Entry<'_>, text: &[u8]) -> bool {
    let Ok(mut line) = entry.read("cmdline") else { return false };
    line.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    contains(&line, text)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some((first, tail)) = part.split_first() else { return true };
    text.iter().enumerate().any(|(at, b)| b == first && text.get(at + 1..).is_some_and(|rest| rest.starts_with(tail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A process of the test's own, that ends when the test does.
    struct Own(Child, tempfile::TempDir);

    impl Own {
        /// Runs a copy of `cat` under this name.
        fn named(name: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            crate::sys::program::copy("/bin/cat".as_ref(), &path).unwrap();
            let mut child = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // The kernel wakes the parent a little before it has set the comm; an answer comes after.
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"x").unwrap();
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
            Self(child, dir)
        }

        /// Runs a shell script with this name that waits.
        fn script(name: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, "echo; read x\n").unwrap();
            let mut child = Command::new("sh").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // Its line says that it runs the script by now.
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
            Self(child, dir)
        }

        fn is_found(&self, target: &str) {
            let target: Target = target.parse().unwrap();
            assert_eq!(find(&ProcFs::host().unwrap(), &target), [self.0.id()], "{target}");
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn none(target: &str) {
        assert_eq!(find(&ProcFs::host().unwrap(), &target.parse().unwrap()), [0_u32; 0], "{target}");
    }

    #[test]
    fn several_names_are_found_in_one_pass() {
        let (one, two) = (Own::named("pvt-one-of-two"), Own::named("pvt-the-other"));
        let proc = ProcFs::host().unwrap();
        let names = ["pvt-the-other", "pvt-one-of-two", "pvt-nobody"].map(str::to_owned);
        let mut both = [one.0.id(), two.0.id()];
        both.sort_unstable();
        assert_eq!(words(&proc, &names), both);
        assert_eq!(words(&proc, &names[2..]), Vec::<u32>::new());
    }

    #[test]
    fn by_comm_path_and_word() {
        let own = Own::named("pvt-short");
        own.is_found("name:pvt-short");
        own.is_found("pvt-short");
        own.is_found(&format!("pid:{}", own.0.id()));
        own.is_found(&format!("exe:{}", own.1.path().join("pvt-short").display()));
        none("name:pvt-shor");
        none("name:pvt-short-but-much-longer");
        none("exe:/nowhere/pvt-short");
    }

    #[test]
    fn names_longer_than_the_kernel_keeps() {
        let own = Own::named("pvt-a-name-that-is-long");
        own.is_found("name:pvt-a-name-that-is-long");
        own.is_found("pvt-a-name-that-is-long");
        own.is_found("name:pvt-a-name-that");
        none("name:pvt-a-name-that-is-other");
    }

    #[test]
    fn scripts_by_their_names() {
        let own = Own::script("pvt-agent.sh");
        own.is_found("pvt-agent.sh");
        own.is_found("pvt-agent");
        own.is_found("cmd:/pvt-agent.sh");
        none("name:pvt-agent.sh");
        none("pvt-agen");
    }

    #[test]
    fn never_itself_nor_for_a_command_its_ancestors() {
        let own = std::process::id();
        let proc = ProcFs::host().unwrap();
        assert!(find(&proc, &Target::Cmd(String::new())).iter().all(|pid| !proc.lineage().contains(pid)));
        let comm = proc.comm(own).unwrap();
        assert!(!find(&proc, &Target::Name(comm)).contains(&own));
    }

    #[test]
    fn bytes_in_bytes() {
        assert!(contains(b"abcab", b"cab") && contains(b"x", b"") && !contains(b"ab", b"abc"));
    }
}
