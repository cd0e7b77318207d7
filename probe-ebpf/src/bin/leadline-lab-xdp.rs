//! Programs for the lab's tests and benches, which leave the packet's meaning alone.
#![no_std]
#![no_main]
#![allow(
    unsafe_code,
    reason = "packet bytes are reached through the pointers that the kernel gives"
)]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Octets of the two MAC addresses at the head of an Ethernet frame.
const ADDRESSES: usize = 12;

/// Lets every frame go on to the kernel. A veth end must have an XDP program for its peer's `XDP_TX` to arrive.
#[xdp]
fn pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Sends every frame back with its MAC addresses swapped: the least that a reflector can do.
#[xdp]
fn swap(context: XdpContext) -> u32 {
    if context.data() + ADDRESSES > context.data_end() {
        return xdp_action::XDP_DROP;
    }
    let addresses = context.data() as *mut [[u8; 6]; 2];
    // SAFETY: both addresses lie before `data_end`, as checked above, and octets need no alignment.
    unsafe { (*addresses).swap(0, 1) };
    xdp_action::XDP_TX
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
