//! The headers of a frame: their lengths and numbers, and how the session-sender writes them.

use crate::checksum::Sum;
use crate::classify::Version;

/// Octets of an Ethernet header without tags.
pub const ETHERNET: usize = 14;
/// Octets of one VLAN tag.
pub const TAG: usize = 4;
/// Octets of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Octets of an IPv6 header.
pub const IPV6: usize = 40;
/// Octets of a UDP header.
pub const UDP: usize = 8;
/// The longest headers that are handled: two tags, IPv6 and UDP.
pub const LONGEST_HEADERS: usize = ETHERNET + 2 * TAG + IPV6 + UDP;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// The protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// True for the EtherTypes of a customer tag and a service tag (IEEE 802.1Q, 802.1ad).
#[inline(always)]
#[must_use]
pub const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8)
}

/// The addresses of one direction of a path, from the link to UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The sender's link address.
    pub source_mac: [u8; 6],
    /// The next hop's link address.
    pub destination_mac: [u8; 6],
    /// The IP addresses, source first.
    pub addresses: Addresses,
    /// The UDP source port.
    pub source_port: u16,
    /// The UDP destination port.
    pub destination_port: u16,
}

/// The two IP addresses of a packet, which are of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4, source first.
    V4([u8; 4], [u8; 4]),
    /// IPv6, source first.
    V6([u8; 16], [u8; 16]),
}

impl Addresses {
    /// The version of IP.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self {
            Self::V4(..) => Version::V4,
            Self::V6(..) => Version::V6,
        }
    }
}

/// What the session-sender decides about the IP header (Type-P, RFC 2330 section 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeP {
    /// Differentiated services code point, 0 to 63; ECN is sent as zero.
    pub dscp: u8,
    /// Time to Live or Hop Limit.
    pub ttl: u8,
}

/// Writes Ethernet, IP and UDP headers around the payload that stands behind them in `frame`, the UDP checksum
/// included, and returns where the payload begins.
///
/// Returns `None` when `frame` is shorter than its headers or longer than an IP packet can be.
#[must_use]
pub fn write_headers(frame: &mut [u8], endpoints: &Endpoints, type_p: TypeP) -> Option<usize> {
    let version = endpoints.addresses.version();
    let udp_offset = ETHERNET + version.header_length();
    let udp_length = u16::try_from(frame.len().checked_sub(udp_offset)?).ok()?;
    let payload_offset = udp_offset + UDP;
    frame.get(..payload_offset)?;

    frame[..6].copy_from_slice(&endpoints.destination_mac);
    frame[6..12].copy_from_slice(&endpoints.source_mac);
    let address_sum = match endpoints.addresses {
        Addresses::V4(source, destination) => {
            let header = ipv4_header(source, destination, udp_length.checked_add(IPV4 as u16)?, type_p);
            frame[12..14].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
            frame[ETHERNET..udp_offset].copy_from_slice(&header);
            Sum::new().array(&source).array(&destination)
        }
        Addresses::V6(source, destination) => {
            frame[12..14].copy_from_slice(&ETHERTYPE_IPV6.to_be_bytes());
            let [a, b] = udp_length.to_be_bytes();
            let class = type_p.dscp << 2;
            let start = [0x60 | class >> 4, class << 4, 0, 0, a, b, PROTOCOL_UDP, type_p.ttl];
            frame[ETHERNET..ETHERNET + 8].copy_from_slice(&start);
            frame[ETHERNET + 8..ETHERNET + 24].copy_from_slice(&source);
            frame[ETHERNET + 24..udp_offset].copy_from_slice(&destination);
            Sum::new().array(&source).array(&destination)
        }
    };
    let udp = &mut frame[udp_offset..];
    udp[..2].copy_from_slice(&endpoints.source_port.to_be_bytes());
    udp[2..4].copy_from_slice(&endpoints.destination_port.to_be_bytes());
    udp[4..6].copy_from_slice(&udp_length.to_be_bytes());
    udp[6..8].fill(0);
    let checksum = address_sum.value(u16::from(PROTOCOL_UDP)).value(udp_length).slice(udp).udp_checksum();
    udp[6..8].copy_from_slice(&checksum);
    Some(payload_offset)
}

/// An IPv4 header: no options, Don't Fragment, identification zero (RFC 6864 section 4.1 for atomic datagrams).
fn ipv4_header(source: [u8; 4], destination: [u8; 4], length: u16, type_p: TypeP) -> [u8; IPV4] {
    let [a, b] = length.to_be_bytes();
    let mut header = [0; IPV4];
    header[..10].copy_from_slice(&[0x45, type_p.dscp << 2, a, b, 0, 0, 0x40, 0, type_p.ttl, PROTOCOL_UDP]);
    header[12..16].copy_from_slice(&source);
    header[16..].copy_from_slice(&destination);
    let checksum = Sum::new().array(&header).checksum();
    header[10..12].copy_from_slice(&checksum);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{InternetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;
    use std::vec;

    proptest! {
        #[test]
        fn another_codec_reads_what_was_written(six in any::<bool>(), payload in 0usize..1400, dscp in 0u8..64, ttl in 1u8.., ports in any::<(u16, u16)>()) {
            let addresses = if six { Addresses::V6([0xfd; 16], [0x20; 16]) } else { Addresses::V4([198, 18, 0, 1], [198, 18, 0, 2]) };
            let endpoints = Endpoints { source_mac: [2; 6], destination_mac: [4; 6], addresses, source_port: ports.0, destination_port: ports.1 };
            let headers = ETHERNET + addresses.version().header_length() + UDP;
            let mut frame = vec![0x5a; headers + payload];
            prop_assert_eq!(write_headers(&mut frame, &endpoints, TypeP { dscp, ttl }), Some(headers));
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
            prop_assert_eq!((udp.source_port(), udp.destination_port()), ports);
            let udp_header = udp.to_header();
            let expected = match packet.net.unwrap() {
                InternetSlice::Ipv4(ip) => {
                    let header = ip.header().to_header();
                    prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
                    prop_assert_eq!((header.dscp.value(), header.time_to_live), (dscp, ttl));
                    udp_header.calc_checksum_ipv4(&header, udp.payload()).unwrap()
                }
                InternetSlice::Ipv6(ip) => {
                    let header = ip.header().to_header();
                    prop_assert_eq!((header.traffic_class >> 2, header.hop_limit), (dscp, ttl));
                    udp_header.calc_checksum_ipv6(&header, udp.payload()).unwrap()
                }
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(udp_header.checksum, expected);
        }
    }
}
