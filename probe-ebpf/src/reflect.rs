//! The role of a STAMP session-reflector (RFC 8762 section 4.3, open mode): a request goes back where it came from,
//! with the times of its arrival and departure.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;
use probe_wire::address::Address;
use probe_wire::checksum::{Sum, without};
use probe_wire::classify::{Datagram, IpHeader, Version};
use probe_wire::cursor::Cursor as _;
use probe_wire::frame::{ETHERNET, IPV4, TAG, UDP};
use probe_wire::shared::{Control, Counter, PortEntry, Role, SessionKey};
use probe_wire::stamp::{BASE, PORT, Reply, SHORTEST_REQUEST, Stamp};
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use crate::maps::{ADDRESSES, ALLOWED, CONTROL, PORTS};
use crate::packet::{LinkAddress, Packet};
use crate::session::next_number;
use crate::stack::{Aligned, allowed_key};
use crate::tai_ns;

/// Replies leave with the highest TTL, so that the sender can count the hops (RFC 8762 section 4.3).
const REPLY_TTL: u8 = 255;

/// Answers a request, or says why not.
#[inline(always)]
pub(crate) fn reflect(
    context: &XdpContext,
    packet: Packet,
    datagram: &Datagram,
    entry: &PortEntry,
    received_ns: u64,
) -> Result<(u32, Counter), Counter> {
    let control = CONTROL.get(0).ok_or(Counter::MALFORMED)?;
    let Some(header) = IpHeader::read(packet, datagram) else { return Err(Counter::MALFORMED) };
    refuse_strangers(packet, datagram, &header, entry, control)?;

    let request = read_request(packet, datagram).ok_or(Counter::NO_ROOM)?;
    let (sequence, counter) = if entry.has(PortEntry::STATELESS) {
        (request.sequence, Counter::STATELESS)
    } else {
        let key = SessionKey {
            source: header.source,
            destination: header.destination,
            source_port: datagram.source_port,
            destination_port: datagram.destination_port,
            ssid: request.ssid,
            reserved: 0,
        };
        let number = next_number(&key, request.sequence, u32::from(entry.slot));
        (number.ok_or(Counter::NO_SESSION)?, Counter::REFLECTED)
    };
    let format = format_of(entry, &request);
    let reply = Reply {
        reflector: Stamp {
            sequence,
            timestamp: [0; 8],
            error_estimate: ErrorEstimate(entry.error_estimate).with_format(format),
            ssid: request.ssid,
        },
        receive_timestamp: format.write(received_ns, control.tai_utc_offset),
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: header.ttl,
    };
    let answered = if datagram.payload_length() < BASE {
        answer_grown(context, datagram, &reply, format, control)
    } else {
        answer_in_place(packet, datagram, &reply, format, control)
    };
    answered.ok_or(Counter::NO_ROOM)?;
    Ok((XDP_TX, counter))
}

/// Everything that must not be answered, with its reason.
#[inline(always)]
fn refuse_strangers(
    packet: Packet,
    datagram: &Datagram,
    header: &IpHeader,
    entry: &PortEntry,
    control: &Control,
) -> Result<(), Counter> {
    let link_destination = LinkAddress::read(packet, 0).ok_or(Counter::MALFORMED)?;
    let link_source = LinkAddress::read(packet, 6).ok_or(Counter::MALFORMED)?;
    let to_or_from_group = link_destination.is_group() || link_source.is_group();
    let is_nobody = |address: Address| address.is_group_or_nobody(datagram.version);
    if to_or_from_group || is_nobody(header.destination) || is_nobody(header.source) {
        return Err(Counter::GROUP_ADDRESS);
    }
    if link_destination != LinkAddress::new(control.mac) {
        return Err(Counter::OTHER_MAC);
    }
    if !header.is_whole {
        return Err(Counter::BAD_HEADER_CHECKSUM);
    }
    if !is_own_address(&header.destination, control) {
        return Err(Counter::OTHER_ADDRESS);
    }
    // A reply to a reflector would be taken for a request, and so on without end.
    if datagram.source_port == PORT || has_reflector(datagram.source_port) {
        return Err(Counter::LOOP_PORT);
    }
    if entry.has(PortEntry::ALLOW_LIST) && !is_allowed(datagram.destination_port, header.source) {
        return Err(Counter::NOT_ALLOWED);
    }
    if datagram.payload_length() < SHORTEST_REQUEST {
        return Err(Counter::TOO_SHORT);
    }
    if datagram.version == Version::V6 && datagram.udp_checksum == [0; 2] {
        return Err(Counter::NO_CHECKSUM);
    }
    Ok(())
}

/// True for one of the interface's addresses, or one that is configured.
#[inline(always)]
pub(crate) fn is_own_address(address: &Address, control: &Control) -> bool {
    let [first, second] = &control.first_addresses;
    address == first || address == second || ADDRESSES.get_ptr(address).is_some()
}

#[inline(always)]
fn has_reflector(port: u16) -> bool {
    PORTS.get(u32::from(port)).is_some_and(|entry| Role(entry.role) == Role::REFLECT)
}

#[inline(always)]
fn is_allowed(port: u16, source: Address) -> bool {
    ALLOWED.get(allowed_key(port, source).key()).is_some()
}

/// The request's stamp; one of TWAMP's shortest has no room for an SSID.
///
/// `None` when the octets that the reply takes the place of go on in a second buffer of the driver's. To learn so while
/// writing would be too late: the kernel would get half a reply.
#[inline(always)]
fn read_request(packet: Packet, datagram: &Datagram) -> Option<Stamp> {
    let at = datagram.payload_offset();
    let last = datagram.payload_length().min(BASE).checked_sub(1)?;
    packet.read::<1>(at + last)?;
    if datagram.payload_length() >= Stamp::LENGTH {
        return Some(Stamp::parse(&packet.read::<{ Stamp::LENGTH }>(at)?));
    }
    let mut octets = [0; Stamp::LENGTH];
    octets[..SHORTEST_REQUEST].copy_from_slice(&packet.read::<SHORTEST_REQUEST>(at)?);
    Some(Stamp::parse(&octets))
}

#[inline(always)]
fn format_of(entry: &PortEntry, request: &Stamp) -> TimestampFormat {
    if entry.has(PortEntry::NTP_ALWAYS) {
        TimestampFormat::Ntp
    } else if entry.has(PortEntry::PTP_ALWAYS) {
        TimestampFormat::Ptp
    } else {
        request.error_estimate.format()
    }
}

/// Answers a request of 44 octets or more within its own octets; those after the 44th stay.
#[inline(always)]
fn answer_in_place(
    packet: Packet,
    datagram: &Datagram,
    reply: &Reply,
    format: TimestampFormat,
    control: &Control,
) -> Option<()> {
    let (destination, source) = (LinkAddress::read(packet, 0)?, LinkAddress::read(packet, 6)?);
    source.write(packet, 0)?;
    destination.write(packet, 6)?;
    turn_ip_header(packet, packet, datagram, datagram.ip_offset, 0)?;
    let before = Sum::new().array(&packet.read::<BASE>(datagram.payload_offset())?);
    let rest = if datagram.udp_checksum == [0; 2] { None } else { Some(without(datagram.udp_checksum, before)) };
    depart(packet, datagram, reply, rest, format, control)
}

/// Answers a request of 14 to 43 octets with 44. The frame grows at its head, since its tail has no room for sure,
/// and the headers move down.
#[inline(always)]
fn answer_grown(
    context: &XdpContext,
    datagram: &Datagram,
    reply: &Reply,
    format: TimestampFormat,
    control: &Control,
) -> Option<()> {
    let length = datagram.payload_length();
    let growth = BASE.checked_sub(length)?;
    let before = sum_of_short_payload(context, datagram, length)?;
    let udp_length = datagram.udp_length as u16;
    let grown_length = (UDP + BASE) as u16;
    let rest = if datagram.udp_checksum == [0; 2] {
        None
    } else {
        // The length stands twice in the sum: in the header and in the pseudo-header.
        let lengths = before.value(udp_length).value(udp_length);
        Some(without(datagram.udp_checksum, lengths).value(grown_length).value(grown_length))
    };

    // SAFETY: the context is the one that the kernel passed in; the packet is made anew below.
    if unsafe { bpf_xdp_adjust_head(context.as_ptr().cast(), -(growth as i32)) } != 0 {
        return None;
    }
    let (old, new) = (Packet::new(context), Packet::new(context));
    let growth = growth & 0x1f;
    let (destination, source) = (LinkAddress::read(old, growth)?, LinkAddress::read(old, growth + 6)?);
    let [a, b, tags @ ..] = old.read::<{ 2 + 2 * TAG }>(growth + 12)?;
    turn_ip_header(old, new, datagram, datagram.ip_offset + growth, growth as u16)?;
    new.write(datagram.udp_offset() + 4, &grown_length.to_be_bytes())?;
    source.write(new, 0)?;
    destination.write(new, 6)?;
    new.write(12, &[a, b])?;
    let [c, d, e, f, g, h, i, j] = tags;
    if datagram.ip_offset >= ETHERNET + TAG {
        new.write(ETHERNET, &[c, d, e, f])?;
    }
    if datagram.ip_offset >= ETHERNET + 2 * TAG {
        new.write(ETHERNET + TAG, &[g, h, i, j])?;
    }
    depart(new, datagram, reply, rest, format, control)
}

/// The sum of a payload below 44 octets, which the helper copies since its length is not a constant.
#[inline(always)]
fn sum_of_short_payload(context: &XdpContext, datagram: &Datagram, length: usize) -> Option<Sum> {
    let mut octets = Aligned([0; BASE]);
    if length == 0 || length >= BASE {
        return None;
    }
    // SAFETY: the context is the one that the kernel passed in, and the buffer is longer than the copy.
    let result = unsafe {
        bpf_xdp_load_bytes(
            context.as_ptr().cast(),
            datagram.payload_offset() as u32,
            octets.0.as_mut_ptr().cast(),
            length as u32,
        )
    };
    (result == 0).then(|| Sum::new().array(&octets.0))
}

/// Writes the IP header for the way back, read from `from` (where it came) to its place, and swaps the ports.
/// ECN is cleared: what the network marked on the way here says nothing of the way back.
#[inline(always)]
fn turn_ip_header(source: Packet, target: Packet, datagram: &Datagram, from: usize, growth: u16) -> Option<()> {
    let udp_from = from + datagram.version.header_length();
    let [a, b, c, d, rest @ ..] = source.read::<UDP>(udp_from)?;
    match datagram.version {
        Version::V4 => {
            let mut header = source.read::<IPV4>(from)?;
            let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
            header[1] &= 0xfc;
            let length = u16::from_be_bytes([header[2], header[3]]).wrapping_add(growth);
            [header[2], header[3]] = length.to_be_bytes();
            header[8] = REPLY_TTL;
            [header[10], header[11]] = [0; 2];
            [header[12], header[13], header[14], header[15]] = [d0, d1, d2, d3];
            [header[16], header[17], header[18], header[19]] = [s0, s1, s2, s3];
            [header[10], header[11]] = Sum::new().array(&header).checksum();
            target.write(datagram.ip_offset, &header)?;
        }
        Version::V6 => {
            let mut start = source.read::<8>(from)?;
            let from_address = Address::v6(source.read::<16>(from + 8)?);
            let to_address = Address::v6(source.read::<16>(from + 24)?);
            start[1] &= 0xcf;
            let length = u16::from_be_bytes([start[4], start[5]]).wrapping_add(growth);
            [start[4], start[5]] = length.to_be_bytes();
            start[7] = REPLY_TTL;
            target.write(datagram.ip_offset, &start)?;
            for (place, word) in (1..).zip([to_address.words(), from_address.words()].as_flattened()) {
                target.write(datagram.ip_offset + 8 * place, &word.to_ne_bytes())?;
            }
        }
    }
    let [e, f, g, h] = rest;
    target.write(datagram.udp_offset(), &[c, d, a, b, e, f, g, h])
}

/// Writes the payload and the UDP checksum. The time of departure is read as late as can be: only its own octets and
/// the checksum over them come after.
///
/// `rest` is the sum that the checksum covers beside the 44 octets; a request without a checksum gets none.
#[inline(always)]
fn depart(
    packet: Packet,
    datagram: &Datagram,
    reply: &Reply,
    rest: Option<Sum>,
    format: TimestampFormat,
    control: &Control,
) -> Option<()> {
    let payload = reply.write();
    packet.write(datagram.payload_offset(), &payload)?;
    let rest = rest.map(|rest| rest.array(&payload));
    let timestamp = format.write(tai_ns(), control.tai_utc_offset);
    packet.write(datagram.payload_offset() + 4, &timestamp)?;
    let checksum = rest.map_or([0; 2], |rest| rest.array(&timestamp).udp_checksum());
    packet.write(datagram.udp_offset() + 6, &checksum)
}
