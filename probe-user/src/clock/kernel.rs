//! The one system call that nix does not wrap: `adjtimex`.
#![allow(unsafe_code)]

use std::{io, mem::MaybeUninit};

/// The kernel's view of its clock (adjtimex(2)), and what the call returned: `TIME_OK` to `TIME_ERROR`.
pub(super) fn adjtimex() -> io::Result<(libc::timex, libc::c_int)> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: `timex` is valid for writes for the length of the call. All zero is a valid value of it, and `modes` 0
    // asks the kernel to change nothing.
    let state = unsafe { libc::adjtimex(timex.as_mut_ptr()) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field is an integer, for which all zero is valid; the kernel has written over them since.
    Ok((unsafe { timex.assume_init() }, state))
}

#[cfg(test)]
mod tests {
    use std::env;

    use crate::clock::{Clock, TaiClock, clock_source};

    #[test]
    fn a_reading_makes_no_system_call() {
        let source = clock_source().expect("the kernel names its clock source");
        if !["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"].contains(&source.as_str()) {
            assert!(env::var_os("CI").is_none(), "clock source {source} cannot be read through the vDSO");
            eprintln!("SKIPPED: clock source {source} cannot be read through the vDSO");
            return;
        }
        assert_eq!(where_system_calls_kill(|| (0..1000).all(|_| TaiClock.now() > 0)), Ok(true));
        // The proof that the trap is armed.
        let trapped = where_system_calls_kill(|| std::process::id() > 0);
        assert_eq!(trapped, Err(libc::SIGSYS));
    }

    /// Runs `work` in a child that the kernel kills at any system call but `exit`. Returns its answer, or the signal
    /// that ended it. (Strict seccomp mode would be shorter, but it takes away the time stamp counter too.)
    fn where_system_calls_kill(work: fn() -> bool) -> Result<bool, i32> {
        const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const SKIP_UNLESS_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        let step = |code, k, jf| libc::sock_filter { code, jt: 0, jf, k };
        let mut filter = [
            step(LOAD_NUMBER, 0, 0),
            step(SKIP_UNLESS_EQUAL, libc::SYS_exit as u32, 1),
            step(RETURN, libc::SECCOMP_RET_ALLOW, 0),
            step(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: after the fork the child makes plain system calls only and neither allocates nor takes a lock.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork failed");
        if child == 0 {
            // SAFETY: `program` and the instructions that it points to live on this stack frame, which the child has
            // a copy of; the other arguments are plain numbers. `exit` never returns.
            unsafe {
                let armed = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                    && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0;
                let status = if armed { i64::from(work()) } else { 2 };
                libc::syscall(libc::SYS_exit, status);
            }
            unreachable!("the child has ended");
        }
        let mut status = 0;
        // SAFETY: `status` is valid for writes, and `child` is a child of this process.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        if libc::WIFSIGNALED(status) {
            return Err(libc::WTERMSIG(status));
        }
        assert!(libc::WEXITSTATUS(status) < 2, "the filter could not be set");
        Ok(libc::WEXITSTATUS(status) == 1)
    }
}
