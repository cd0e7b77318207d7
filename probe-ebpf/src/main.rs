#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, unsafe_code, missing_docs)]

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::xdp_action,
    macros::{map, xdp},
    maps::Array,
    programs::XdpContext,
};

#[repr(C)]
pub struct Session {
    pub next_sequence: u32,
    pub other: u32,
}

#[map]
static SESSIONS: Array<Session> = Array::with_max_entries(1, 0);
#[map]
static SEEN: Array<u32> = Array::with_max_entries(16, 0);

#[inline(always)]
fn fetch_add(counter: *mut u32, addend: u32) -> u32 {
    // SAFETY: the pointer comes from a map lookup and is 4-byte aligned.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(counter, addend) }
}

#[xdp]
pub fn pass(_context: XdpContext) -> u32 {
    if let Some(session) = SESSIONS.get_ptr_mut(0) {
        let sequence = fetch_add(unsafe { &raw mut (*session).next_sequence }, 1);
        if let Some(slot) = SEEN.get_ptr_mut(0) {
            unsafe { *slot = sequence };
        }
    }
    xdp_action::XDP_PASS
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
