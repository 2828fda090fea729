//! The memory of this process: what was needed for a moment goes back to the kernel.

use std::ops::Range;

use nix::libc;

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

/// Unmaps the program's code until it is needed again. For each page that is touched the kernel
/// maps fifteen more around it, so that after its start nearly all of a program is mapped and
/// counts as its memory. The pages stay in the page cache; what runs next finds them there.
pub(crate) fn unmap_code() {
    let Some(code) = std::fs::read_to_string("/proc/self/maps").ok().and_then(|maps| code_in(&maps)) else { return };
    // SAFETY: the range is the mapping of a file that holds this very function, and is executable
    // and not writable: no page of it differs from the file, and the kernel reads each one from
    // there at its next use.
    unsafe {
        libc::madvise(std::ptr::with_exposed_provenance_mut(code.start), code.len(), libc::MADV_DONTNEED);
    }
}

/// Where this function is mapped, if from a file, to be executed and never written.
fn code_in(maps: &str) -> Option<Range<usize>> {
    let here = unmap_code as *const () as usize;
    maps.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let from_file = words.next()? == "r-xp" && words.nth(3)?.starts_with('/');
        (from_file && range.contains(&here)).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_and_can_be_unmapped() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(code_in(&maps).unwrap().len() > 4096);
        assert_eq!(code_in(&maps.replace(" r-xp ", " rwxp ")), None, "what was written is not thrown away");
        unmap_code();
        give_back();
        assert_eq!(code_in("nonsense\n\n0-1 r-xp"), None);
    }
}
