//! Stands in for the product's programs: passes every frame, and numbers them.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(
    internal_features,
    reason = "the BPF target has no AtomicU32::fetch_add"
)]
#![allow(unsafe_code, reason = "map values are reached through pointers")]

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;

#[map]
static NEXT_SEQUENCE: Array<u32> = Array::with_max_entries(1, 0);

#[map]
static LAST_SEQUENCE: Array<u32> = Array::with_max_entries(1, 0);

#[xdp]
fn pass(_context: XdpContext) -> u32 {
    if let (Some(next), Some(last)) = (NEXT_SEQUENCE.get_ptr_mut(0), LAST_SEQUENCE.get_ptr_mut(0)) {
        // SAFETY: both point to aligned map values, which live as long as the program.
        unsafe { *last = atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(next, 1) };
    }
    xdp_action::XDP_PASS
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
