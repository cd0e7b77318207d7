//! Leadline's XDP program: one program for each interface, which plays the role that the maps give to a UDP port.
//!
//! Each frame is timed first of all, then classified by the parser of `probe-wire`. A packet to a session-reflector's
//! port is answered by [`reflect`]; one to a session-sender's port is handed to user space by [`capture`]; everything
//! else goes on to the kernel untouched.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "a fetch-and-add with its result has no stable form on this target")]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the entry points that the attribute makes are public and nobody's to read"
)]
#![allow(unsafe_code, reason = "packet pointers, map values and helpers are the kernel's; the verifier checks them")]

mod capture;
mod count;
mod maps;
mod packet;
mod reflect;
mod session;
mod stack;

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::helpers::generated::bpf_ktime_get_tai_ns;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use probe_wire::classify::{Datagram, Foreign, classify};
use probe_wire::shared::{Counter, Role};

use crate::count::count;
use crate::maps::{CONTROL, PORTS};
use crate::packet::Packet;

/// The slot that counts for the interface as a whole.
const INTERFACE: u32 = 0;

/// The program. Its name is [`probe_wire::shared::PROGRAM`].
#[xdp(frags)]
pub fn leadline(context: XdpContext) -> u32 {
    let received_ns = tai_ns();
    let packet = Packet::new(&context);
    let datagram = match classify(packet) {
        Ok(datagram) => datagram,
        Err(reason) => {
            count(INTERFACE, counter_of(reason));
            return XDP_PASS;
        }
    };
    let Some(entry) = PORTS.get(u32::from(datagram.destination_port)) else { return XDP_PASS };
    let outcome = match Role(entry.role) {
        Role::REFLECT => reflect::reflect(&context, packet, &datagram, entry, received_ns),
        Role::CAPTURE => capture::capture(&context, packet, &datagram, entry, received_ns),
        _ => {
            count(INTERFACE, Counter::PASSED);
            return XDP_PASS;
        }
    };
    let (action, counter) = match outcome {
        Ok((action, counter)) => (action, counter),
        Err(reason) => (XDP_PASS, reason),
    };
    count(u32::from(entry.slot), counter);
    log_sample(&context, &datagram, counter, received_ns);
    action
}

/// International Atomic Time, nanoseconds.
#[inline(always)]
fn tai_ns() -> u64 {
    // SAFETY: the helper takes nothing and only reads the clock.
    unsafe { bpf_ktime_get_tai_ns() }
}

#[inline(always)]
fn counter_of(reason: Foreign) -> Counter {
    match reason {
        Foreign::OtherProtocol => Counter::PASSED,
        Foreign::Fragment => Counter::FRAGMENT,
        Foreign::Options => Counter::OPTIONS,
        Foreign::Malformed => Counter::MALFORMED,
    }
}

/// Tells of one packet out of as many as the operator asked for; by its time of arrival, which nobody can steer.
#[inline(always)]
fn log_sample(context: &XdpContext, datagram: &Datagram, counter: Counter, received_ns: u64) {
    let Some(control) = CONTROL.get(0) else { return };
    if control.log_one_of != 0 && received_ns.is_multiple_of(u64::from(control.log_one_of)) {
        debug!(
            context,
            "port {} from port {}, {} octets of UDP: outcome {}",
            datagram.destination_port,
            datagram.source_port,
            datagram.udp_length,
            counter.0
        );
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a loop without an end, so a program that could panic does not load.
    loop {}
}

/// The helpers that read time are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// The version of the contract with user space, which the loader reads from the object before it loads it.
#[unsafe(link_section = "abi")]
#[unsafe(no_mangle)]
static ABI: u32 = probe_wire::shared::ABI_VERSION;
