//! The memory of this process: what was needed for a moment goes back to the kernel.

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
