//! System calls without the C library, where this code speaks the processor's language: a child
//! that shares the memory of its parent must not touch `errno`, which would be the parent's.

use nix::libc;

/// What the kernel answers, or its errno.
pub(super) type Answer = Result<usize, i32>;

/// Whether a child may share the memory of its parent.
pub(super) const SHARES: bool = cfg!(target_arch = "x86_64");

/// One system call.
///
/// # Safety
/// As of the call itself; pointers must be valid for what the kernel does with them.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn call(number: libc::c_long, [a, b, c, d]: [usize; 4]) -> Answer {
    let result: isize;
    // SAFETY: the caller's; the registers are those of the kernel's convention, and it destroys
    // rcx and r11.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    usize::try_from(result).map_err(|_| -result as i32)
}

/// One system call.
///
/// # Safety
/// As of the call itself; pointers must be valid for what the kernel does with them.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn call(number: libc::c_long, [a, b, c, d]: [usize; 4]) -> Answer {
    // SAFETY: the caller's; the location of errno is that of this thread, and always valid.
    unsafe {
        match libc::syscall(number, a, b, c, d) {
            -1 => Err(*libc::__errno_location()),
            result => Ok(result as usize),
        }
    }
}

/// clone3(2) of a process that shares this one's memory and runs `entry` on the stack that the
/// arguments name. Returns in the parent only, with the pid.
///
/// # Safety
/// The stack, whose top must be aligned to 16 bytes, and what `data` leads to must stay until the
/// child has executed another program or ended. `entry` must not use what belongs to the thread
/// that calls this: `errno`, the allocator, locks.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn clone_onto<T>(
    args: *const T,
    size: usize,
    entry: extern "C" fn(*const u8) -> !,
    data: *const u8,
) -> Answer {
    let result: isize;
    // SAFETY: the caller's. In the child only the stack pointer differs, and it never gets to the
    // label.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") args, in("rsi") size, in("r12") entry, in("r13") data,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    usize::try_from(result).map_err(|_| -result as i32)
}

/// Never called: see [`SHARES`].
///
/// # Safety
/// None is needed.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn clone_onto<T>(_: *const T, _: usize, _: extern "C" fn(*const u8) -> !, _: *const u8) -> Answer {
    Err(libc::ENOSYS)
}
