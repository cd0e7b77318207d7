//! The role at the session-sender: a reply goes to the AF_XDP socket of its queue, with its time of arrival in front.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_REDIRECT};
use aya_ebpf::helpers::generated::bpf_xdp_adjust_meta;
use aya_ebpf::programs::XdpContext;
use probe_wire::address::Address;
use probe_wire::classify::{Datagram, Version};
use probe_wire::cursor::Cursor as _;
use probe_wire::shared::{Arrival, ArrivalSource, Counter, PortEntry};

use crate::count::count;
use crate::maps::{CONTROL, SOCKETS};
use crate::packet::{LinkAddress, Packet};
use crate::reflect::is_own_address;

/// Hands a packet to user space, if it is for this host; a router's transit traffic is not.
#[inline(always)]
pub(crate) fn capture(
    context: &XdpContext,
    packet: Packet,
    datagram: &Datagram,
    entry: &PortEntry,
    received_ns: u64,
) -> Result<(u32, Counter), Counter> {
    let control = CONTROL.get(0).ok_or(Counter::MALFORMED)?;
    if LinkAddress::read(packet, 0).ok_or(Counter::MALFORMED)? != LinkAddress::new(control.mac) {
        return Err(Counter::OTHER_MAC);
    }
    let destination = destination(packet, datagram).ok_or(Counter::MALFORMED)?;
    if !is_own_address(&destination, control) {
        return Err(Counter::OTHER_ADDRESS);
    }
    let is_timed = put_in_front(context, &Arrival::at(received_ns, ArrivalSource::DRIVER_HOOK)).is_some();
    match SOCKETS.redirect(context.rx_queue_index(), u64::from(XDP_PASS)) {
        Ok(XDP_REDIRECT) => {
            if !is_timed {
                // User space sees that the time is missing, takes its own and says so.
                count(u32::from(entry.slot), Counter::NO_METADATA);
            }
            Ok((XDP_REDIRECT, Counter::CAPTURED))
        }
        _ => {
            if is_timed {
                take_from_front(context);
            }
            Err(Counter::NO_SOCKET)
        }
    }
}

/// The packet's destination: all that matters here of its IP header.
#[inline(always)]
fn destination(packet: Packet, datagram: &Datagram) -> Option<Address> {
    match datagram.version {
        Version::V4 => packet.read::<4>(datagram.ip_offset + 16).map(Address::v4),
        Version::V6 => packet.read::<16>(datagram.ip_offset + 24).map(Address::v6),
    }
}

#[inline(always)]
fn put_in_front(context: &XdpContext, arrival: &Arrival) -> Option<()> {
    // SAFETY: the context is the one that the kernel passed in; packet pointers are not used after this call.
    let result = unsafe { bpf_xdp_adjust_meta(context.as_ptr().cast(), -(Arrival::LENGTH as i32)) };
    if result != 0 {
        return None;
    }
    let at = context.metadata();
    if at + Arrival::LENGTH > context.metadata_end() {
        return None;
    }
    // SAFETY: the comparison above keeps the value before the frame; the kernel aligns metadata to 4 octets only.
    unsafe { (at as *mut Arrival).write_unaligned(*arrival) };
    Some(())
}

/// The kernel gets a frame as it came, without metadata that would part it from others of its flow.
#[inline(always)]
fn take_from_front(context: &XdpContext) {
    // SAFETY: the context is the one that the kernel passed in; packet pointers are not used after this call. It cannot
    // fail: what is taken away was put there.
    let _ = unsafe { bpf_xdp_adjust_meta(context.as_ptr().cast(), Arrival::LENGTH as i32) };
}
