//! The memory of this process: what was needed for a moment goes back to the kernel.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use nix::libc;

/// What is kept of the stack below who asks: more than the frames of a system call.
const FRAMES: usize = 16 << 10;

/// One pool for all threads: a pool of its own for each short-lived thread would be kept for ever.
/// Before the first thread.
pub(crate) fn keep_one_pool() {
    // SAFETY: it takes two numbers and changes what the allocator does from now on, no more.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back what is free. Takes as long as it takes to go through the heap.
pub(crate) fn give_back() {
    // SAFETY: it takes a number, and touches only what nobody has.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unmaps what is only read from files, the code of the program and of its libraries, until it is
/// needed again, and the stack below its caller. For each page that is touched the kernel maps
/// fifteen more around it, so that after its start nearly all of a program is mapped and counts as
/// its memory. The pages stay in the page cache; what runs next finds them there.
pub(crate) fn unmap_files() {
    if let Ok(smaps) = File::open("/proc/self/smaps") {
        each_unused(BufReader::new(smaps), discard);
    }
}

/// The mappings that can go, as proc_pid_smaps(5) tells of them: a file's that cannot be written,
/// and no page of which differs from the file (a relocation's would, or a debugger's); and the
/// stack of the first thread.
fn each_unused(mut smaps: impl BufRead, mut act: impl FnMut(Mapping)) {
    let (mut line, mut last) = (String::new(), None);
    while smaps.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(mapping) = Mapping::of(&line) {
            last = Some(mapping);
        } else if let Some(changed) = line.strip_prefix("Anonymous:")
            && let Some(mapping) = last.take()
            && (mapping.stack || (mapping.read_only && changed.trim() == "0 kB"))
        {
            act(mapping);
        }
        line.clear();
    }
}

#[derive(Debug, PartialEq)]
struct Mapping {
    range: Range<usize>,
    read_only: bool,
    stack: bool,
}

impl Mapping {
    /// What the first line of one says.
    fn of(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let may = words.next()?;
        let of = words.nth(3)?;
        Some(Self { range, read_only: matches!(may, "r-xp" | "r--p") && of.starts_with('/'), stack: of == "[stack]" })
    }

    /// Without what this thread has in use of it, where it has come down to `here` on its stack.
    fn unused(self, here: usize) -> Option<Range<usize>> {
        if !self.stack {
            return Some(self.range);
        }
        let depth = here.checked_sub(self.range.start).filter(|_| self.range.contains(&here))?;
        let unused = depth.checked_sub(FRAMES)?;
        Some(self.range.start..self.range.start + (unused - unused % rustix::param::page_size()))
    }
}

#[inline(never)]
fn discard(mapping: Mapping) {
    let here = 0_u8;
    let Some(range) = mapping.unused((&raw const here).expose_provenance()) else { return };
    // SAFETY: nothing that is in use is lost. No page of a file's mapping differs from the file, and the
    // kernel reads each one from there at its next use. Of the stack this takes only what is further
    // down than this function and the call in it reach; it holds nothing that anybody will read.
    unsafe {
        libc::madvise(std::ptr::with_exposed_provenance_mut(range.start), range.len(), libc::MADV_DONTNEED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_read_from_files_is_found_and_can_be_unmapped() {
        let mapping = |range: Range<usize>, stack: bool| Mapping { range, read_only: !stack, stack };
        let found = |smaps: &str| {
            let mut found = Vec::new();
            each_unused(smaps.as_bytes(), |mapping| found.push(mapping));
            found
        };
        let code = "1000-3000 r-xp 00000000 08:01 7  /usr/bin/a b\nRss: 8 kB\nAnonymous:  0 kB\nVmFlags: rd ex\n";
        assert_eq!(found(code), [mapping(0x1000..0x3000, false)]);
        assert_eq!(found(&code.replace("  0 kB", "  4 kB")), [], "a debugger's page is in it");
        for other in [" r-xs ", " rwxp ", " rw-p "] {
            assert_eq!(found(&code.replace(" r-xp ", other)), []);
        }
        assert_eq!(found(&code.replace("/usr/bin/a b", "[vdso]")), []);
        let stack = "8000-100000 rw-p 00000000 00:00 0  [stack]\nAnonymous:  24 kB\n";
        assert_eq!(found(&[code, "f-g nonsense\n", stack].concat()).len(), 2);
        let unused = mapping(0x80000..0x200000, true).unused(0x1f1234).unwrap();
        assert_eq!((unused.start, unused.end % rustix::param::page_size()), (0x80000, 0));
        assert!((0x1f1234 - 2 * FRAMES.max(rustix::param::page_size())..=0x1f1234 - FRAMES).contains(&unused.end));
        assert_eq!(mapping(0x80000..0x200000, true).unused(0x81000), None);
        assert_eq!(mapping(0x80000..0x200000, true).unused(0x300000), None, "the stack of another thread");
    }

    #[test]
    fn this_process_goes_on_without_its_code() {
        let mut files = 0;
        each_unused(BufReader::new(File::open("/proc/self/smaps").unwrap()), |mapping| {
            files += usize::from(mapping.read_only)
        });
        assert!(files > 1, "the program and its libraries");
        unmap_files();
        give_back();
    }
}
