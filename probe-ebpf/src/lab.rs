//! Programs that do nothing of Leadline's work, for comparison: what they cost, any program at this hook costs.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the entry points that the attribute makes are public and nobody's to read"
)]
#![allow(unsafe_code, reason = "packet pointers are the kernel's; the verifier checks them")]

use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_TX};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::XskMap;
use aya_ebpf::programs::XdpContext;

/// AF_XDP sockets by receive queue.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(256, 0);

/// Passes every frame to the kernel.
#[xdp(frags)]
pub fn pass(_context: XdpContext) -> u32 {
    XDP_PASS
}

/// Sends every frame back with its link addresses swapped.
#[xdp(frags)]
pub fn swap(context: XdpContext) -> u32 {
    let start = context.data();
    if start + 14 > context.data_end() {
        return XDP_PASS;
    }
    let addresses = start as *mut [[u8; 6]; 2];
    // SAFETY: the comparison above keeps the addresses within the frame, and bytes have no alignment. Broadcasts,
    // such as ARP's, are left to the kernel.
    unsafe {
        if (*addresses)[0][0] & 1 != 0 {
            return XDP_PASS;
        }
        let [destination, source] = *addresses;
        *addresses = [source, destination];
    }
    XDP_TX
}

/// Hands every frame to the AF_XDP socket of its queue.
#[xdp(frags)]
pub fn redirect(context: XdpContext) -> u32 {
    SOCKETS.redirect(context.rx_queue_index(), u64::from(XDP_PASS)).unwrap_or(XDP_PASS)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
