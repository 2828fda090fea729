//! The memory of this process: what was needed for a moment goes back to the kernel.

use std::ops::Range;

use nix::libc;
#[cfg(target_pointer_width = "32")]
use nix::libc::Elf32_Phdr as Phdr;
#[cfg(target_pointer_width = "64")]
use nix::libc::Elf64_Phdr as Phdr;

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
    // SAFETY: the function keeps to what dl_iterate_phdr(3) gives it, which holds the lock meanwhile that who
    // takes a library away needs.
    unsafe {
        libc::dl_iterate_phdr(Some(unmap_object), std::ptr::null_mut());
    }
    if let Some(stack) = std::fs::read_to_string("/proc/self/maps").ok().and_then(|maps| stack_in(&maps)) {
        unmap_unused(&stack);
    }
}

unsafe extern "C" fn unmap_object(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    _nothing: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: it is one that was loaded, and as long as this runs it stays so.
    let Some(object) = (unsafe { object.as_ref() }) else { return 0 };
    if object.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: these are its program headers, and so many are there.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    for segment in headers.iter().filter_map(|header| read_only(header, object.dlpi_addr as usize)) {
        // SAFETY: it was mapped from the object's file and never written, so that no page of it differs from the
        // file, and the kernel reads each one from there at its next use.
        unsafe { discard(segment) }
    }
    0
}

/// Where a segment is, if it is loaded and never written: what is relocated belongs to one that is.
fn read_only(header: &Phdr, base: usize) -> Option<Range<usize>> {
    let page = rustix::param::page_size();
    let start = base.checked_add(header.p_vaddr as usize)?;
    let end = start.checked_add(header.p_filesz as usize)?.checked_next_multiple_of(page)?;
    let start = start - start % page;
    (header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0).then_some(start..end)
}

/// Where the stack of the first thread is.
fn stack_in(maps: &str) -> Option<Range<usize>> {
    let line = maps.lines().find(|line| line.ends_with(" [stack]"))?;
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[inline(never)]
fn unmap_unused(stack: &Range<usize>) {
    let here = 0_u8;
    if let Some(unused) = unused(stack, (&raw const here).expose_provenance()) {
        // SAFETY: no frame has come so far down: this one is further up, and what it calls is small. What others
        // have left there nobody reads.
        unsafe { discard(unused) }
    }
}

/// What of a stack is not in use, where it has come down to `here`; `None`: it is another thread's.
fn unused(stack: &Range<usize>, here: usize) -> Option<Range<usize>> {
    let deep = here.checked_sub(stack.start).filter(|_| stack.contains(&here))?.checked_sub(FRAMES)?;
    Some(stack.start..stack.start + (deep - deep % rustix::param::page_size()))
}

/// # Safety
/// Whole pages, and nobody needs what is in them now.
unsafe fn discard(range: Range<usize>) {
    // SAFETY: as the caller says.
    unsafe {
        libc::madvise(std::ptr::with_exposed_provenance_mut(range.start), range.len(), libc::MADV_DONTNEED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_are_never_written_can_go() {
        let page = rustix::param::page_size();
        // SAFETY: numbers.
        let mut header: Phdr = unsafe { std::mem::zeroed() };
        (header.p_type, header.p_flags) = (libc::PT_LOAD, libc::PF_R | libc::PF_X);
        (header.p_vaddr, header.p_filesz) = (page as _, (page + 1) as _);
        assert_eq!(read_only(&header, 16 * page), Some(17 * page..19 * page));
        header.p_vaddr = (page + 8) as _;
        assert_eq!(read_only(&header, 16 * page), Some(17 * page..19 * page));
        header.p_flags = libc::PF_R | libc::PF_W;
        assert_eq!(read_only(&header, 16 * page), None, "it may have been");
        (header.p_flags, header.p_type) = (libc::PF_R, libc::PT_NOTE);
        assert_eq!(read_only(&header, 16 * page), None, "it is part of another");
    }

    #[test]
    fn of_the_stack_only_what_no_frame_has_reached() {
        let stack = stack_in("1000-2000 r-xp 0 8:1 7 /a\n80000-200000 rw-p 0 00:00 0      [stack]\n").unwrap();
        assert_eq!(stack, 0x80000..0x200000);
        let page = rustix::param::page_size();
        let range = unused(&stack, 0x1f1234).unwrap();
        assert_eq!((range.start, range.end % page), (stack.start, 0));
        assert!((0x1f1234 - FRAMES - page..=0x1f1234 - FRAMES).contains(&range.end));
        assert_eq!(unused(&stack, 0x81000), None);
        assert_eq!(unused(&stack, 0x300000), None, "another thread's");
    }

    #[test]
    fn this_process_goes_on_without_its_code() {
        unmap_files();
        give_back();
        assert!(stack_in(&std::fs::read_to_string("/proc/self/maps").unwrap()).is_some());
    }
}
