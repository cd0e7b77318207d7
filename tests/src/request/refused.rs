//! The frames that are not answered: each must go on to the kernel as it came, and be counted for its reason.

use std::net::IpAddr;

use etherparse::{IpFragOffset, IpHeaders, IpNumber, Ipv4Options, Ipv6FragmentHeader, Ipv6RawExtHeader, PacketBuilder};

use super::answered::with_last_octet;
use super::{ALLOWED_ELSEWHERE, Checksum, FAMILIES, IDLE_PORT, Manner, Request, Tags};
use crate::network::Family;

/// A frame that the reflector leaves to the kernel.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What is wrong with it.
    pub name: String,
    /// The frame, from its Ethernet header.
    pub frame: Vec<u8>,
    /// Whose counter grows.
    pub counted_by: CountedBy,
    /// The counter that grows by one.
    pub counter: &'static str,
}

/// Whose counters tell of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// The interface's: it was not clear that it is for a port of ours.
    Interface,
    /// The reflector's whose port it went to.
    Port,
}

/// Every row.
pub fn rows() -> Vec<Refused> {
    let mut rows = Vec::new();
    for family in FAMILIES {
        rows.extend(strangers(family));
        rows.extend(groups(family));
        rows.extend(other_protocols(family));
        rows.extend(lengths(family));
        for tags in Tags::ALL {
            rows.extend(truncated(family, tags));
        }
    }
    rows.extend(ipv4_headers());
    rows.extend(ipv6_headers());
    rows
}

/// Whole requests that the reflector has reason not to answer.
fn strangers(family: Family) -> Vec<Refused> {
    let mut rows = Vec::new();
    let mut add = |name: &str, counter, request: Request| rows.push(by_port(family, name, counter, request.write()));

    let request = Request::new(family, 44);
    let other_mac = [0x02, 0, 0, 0x51, 0, 0x09];
    add("another link address", "other_mac", Request { destination_mac: other_mac, ..request.clone() });
    let elsewhere = with_last_octet(family.reflector(), 77);
    add("transit", "other_address", Request { destination: elsewhere, ..request.clone() });
    for port in Manner::ALL.map(Manner::port) {
        add(&format!("from port {port}"), "loop_port", request.clone().from_port(port));
    }
    let listed = request.clone().to(Manner::AllowList);
    for last in [0x10, 0xff] {
        let source = with_last_octet(family.sender(), last);
        add(&format!("host {last}, off the allow-list"), "not_allowed", Request { source, ..listed.clone() });
    }
    if let (Family::V4, IpAddr::V4(network)) = (family, ALLOWED_ELSEWHERE.0) {
        let source = with_last_octet(network.into(), 5);
        add("on the allow-list of another port", "not_allowed", Request { source, ..listed });
    }
    for octets in 0..14 {
        add("too short", "too_short", Request::new(family, octets));
    }
    if family == Family::V6 {
        for octets in [14, 44, 100] {
            let request = Request::new(family, octets);
            add("no UDP checksum", "no_udp_checksum", Request { checksum: Checksum::Absent, ..request });
        }
    }
    rows
}

/// Packets to or from a group or nobody, at the link and in IP.
fn groups(family: Family) -> Vec<Refused> {
    let request = Request::new(family, 44);
    let mut rows = Vec::new();
    let mut add = |name: String, request: Request| {
        rows.push(by_port(family, &name, "group_address", request.write()));
    };
    let (multicast_mac, addresses): ([u8; 6], &[&str]) = match family {
        Family::V4 => ([0x01, 0, 0x5e, 0, 0, 0x01], &["224.0.0.1", "239.255.1.2", "255.255.255.255", "0.0.0.0"]),
        Family::V6 => ([0x33, 0x33, 0, 0, 0, 0x01], &["ff02::1", "ff0e::5", "::"]),
    };
    for mac in [multicast_mac, [0xff; 6]] {
        add(format!("to {mac:02x?}"), Request { destination_mac: mac, ..request.clone() });
        add(format!("from {mac:02x?}"), Request { source_mac: mac, ..request.clone() });
    }
    for address in addresses {
        let address: IpAddr = address.parse().expect("an address");
        add(format!("to {address}"), Request { destination: address, ..request.clone() });
        add(format!("from {address}"), Request { source: address, ..request.clone() });
    }
    rows
}

/// Frames in which there is no UDP for a port of ours.
fn other_protocols(family: Family) -> Vec<Refused> {
    let request = Request::new(family, 44);
    let mut rows = Vec::new();
    let mut add = |name: &str, frame: Vec<u8>| rows.push(by_interface(family, name, "passed", frame));

    add("a port without a role", Request { destination_port: IDLE_PORT, ..request.clone() }.write());
    let ethernet = || PacketBuilder::ethernet2(request.source_mac, request.destination_mac);
    let mut frame = Vec::new();
    let tcp = ethernet().ip(request.ip_headers()).tcp(request.source_port, request.destination_port, 1, 1_000);
    tcp.write(&mut frame, &request.payload).expect("fields in range");
    add("TCP", frame);
    let frame = Request { tags: Tags::Two, ..request.clone() }.write();
    add("three tags", [&frame[..12], &[0x88, 0xa8, 0, 1], &frame[12..]].concat());
    let untagged = request.write();
    for ether_type in [0x0806_u16, 0x9100, 0x8864, 0x0060] {
        let frame = [&untagged[..12], &ether_type.to_be_bytes(), &untagged[14..]].concat();
        add(&format!("EtherType {ether_type:#06x}"), frame);
    }
    rows
}

/// Lengths that contradict each other.
fn lengths(family: Family) -> Vec<Refused> {
    let request = Request::new(family, 44);
    let whole = request.write();
    let udp_length = request.udp_offset() + 4;
    let mut rows = Vec::new();
    for stated in [0_u16, 7, 53, 1_000, u16::MAX] {
        let mut frame = whole.clone();
        frame[udp_length..udp_length + 2].copy_from_slice(&stated.to_be_bytes());
        rows.push(by_interface(family, &format!("UDP length {stated} instead of 52"), "malformed", frame));
    }
    // The datagram is all there, but not the packet that the IP header promises around it.
    let longer = Request { payload: [request.payload.as_slice(), &[0; 8]].concat(), ..request.clone() }.write();
    let mut frame = longer[..longer.len() - 8].to_vec();
    frame[udp_length..udp_length + 2].copy_from_slice(&52_u16.to_be_bytes());
    rows.push(by_interface(family, "an IP packet longer than the frame", "malformed", frame));
    rows
}

/// A request cut off, at every length that a frame can have.
fn truncated(family: Family, tags: Tags) -> Vec<Refused> {
    let whole = Request { tags, ..Request::new(family, 44) }.write();
    let cut = |octets: usize| {
        by_interface(family, &format!("{tags:?}, cut at {octets}"), "malformed", whole[..octets].to_vec())
    };
    (14..whole.len()).map(cut).collect()
}

fn ipv4_headers() -> Vec<Refused> {
    let request = Request::new(Family::V4, 44);
    let IpHeaders::Ipv4(header, extensions) = request.ip_headers() else { unreachable!("IPv4 was asked for") };
    let mut rows = Vec::new();

    let offset = |units: u16| IpFragOffset::try_new(units).expect("13 bits");
    for (more_fragments, fragment_offset) in [(true, 0), (true, 5), (false, 5), (false, 0x1fff)] {
        let mut header = header.clone();
        (header.more_fragments, header.fragment_offset) = (more_fragments, offset(fragment_offset));
        let name = format!("more fragments {more_fragments}, offset {fragment_offset}");
        let frame = request.write_with(IpHeaders::Ipv4(header, extensions.clone()));
        rows.push(by_interface(Family::V4, &name, "fragments", frame));
    }
    for words in [1, 10] {
        let mut header = header.clone();
        // No operation, over and over (RFC 791, section 3.1).
        header.options = Ipv4Options::try_from(vec![1_u8; 4 * words].as_slice()).expect("whole words");
        let frame = request.write_with(IpHeaders::Ipv4(header, extensions.clone()));
        rows.push(by_interface(Family::V4, &format!("{words} words of options"), "ipv4_options", frame));
    }
    let whole = request.write();
    for octet in [1, 4, 8, 10, 11] {
        let mut frame = whole.clone();
        frame[request.ip_offset() + octet] ^= 0x04;
        let name = format!("a header checksum that octet {octet} contradicts");
        rows.push(by_port(Family::V4, &name, "bad_header_checksum", frame));
    }
    for (first, name) in [(0x44, "a header of 16 octets"), (0x65, "version 6 behind IPv4's EtherType")] {
        let mut frame = whole.clone();
        frame[request.ip_offset()] = first;
        rows.push(by_interface(Family::V4, name, "malformed", frame));
    }
    rows
}

fn ipv6_headers() -> Vec<Refused> {
    let request = Request::new(Family::V6, 44);
    let IpHeaders::Ipv6(header, none) = request.ip_headers() else { unreachable!("IPv6 was asked for") };
    let mut rows = Vec::new();

    for (more_fragments, offset) in [(true, 0), (false, 3), (false, 0)] {
        let mut extensions = none.clone();
        let offset = IpFragOffset::try_new(offset).expect("13 bits");
        extensions.fragment = Some(Ipv6FragmentHeader::new(IpNumber::UDP, offset, more_fragments, 0x1234_5678));
        let frame = request.write_with(IpHeaders::Ipv6(header.clone(), extensions));
        rows.push(by_interface(Family::V6, "a fragment header", "fragments", frame));
    }
    let padding = || Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[1, 4, 0, 0, 0, 0]).expect("8 octets");
    let mut hop_by_hop = none.clone();
    hop_by_hop.hop_by_hop_options = Some(padding());
    let mut destination = none;
    destination.destination_options = Some(padding());
    for (extensions, name) in [(hop_by_hop, "hop-by-hop options"), (destination, "destination options")] {
        let frame = request.write_with(IpHeaders::Ipv6(header.clone(), extensions));
        rows.push(by_interface(Family::V6, name, "passed", frame));
    }
    let mut frame = request.write();
    frame[request.ip_offset()] = 0x45;
    rows.push(by_interface(Family::V6, "version 4 behind IPv6's EtherType", "malformed", frame));

    // An IPv4 address in IPv6's clothes has no business on a wire, and must not pass for the one that is on a list.
    let listed = Request::new(Family::V6, 44).to(Manner::AllowList);
    let clothed = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    let source = clothed(Family::V4.sender());
    let destination = clothed(Family::V4.reflector());
    for (name, request) in [
        ("from a mapped IPv4 address", Request { source, ..listed.clone() }),
        ("to a mapped IPv4 address", Request { destination, ..listed }),
    ] {
        rows.push(by_port(Family::V6, name, "group_address", request.write()));
    }
    rows
}

fn by_port(family: Family, name: &str, counter: &'static str, frame: Vec<u8>) -> Refused {
    Refused { name: format!("{family:?}, {name}"), frame, counted_by: CountedBy::Port, counter }
}

fn by_interface(family: Family, name: &str, counter: &'static str, frame: Vec<u8>) -> Refused {
    Refused { name: format!("{family:?}, {name}"), frame, counted_by: CountedBy::Interface, counter }
}
