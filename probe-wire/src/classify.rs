//! What a frame is: the one parser of Ethernet, VLAN tags, IPv4, IPv6 and UDP.
//!
//! It goes only as far as the UDP header, and says where everything begins. A frame that it cannot vouch for (a
//! fragment has no UDP header of its own; options and extension headers change treatment on the way, RFC 8468 section
//! 4) is refused with the reason.

use crate::address::Address;
use crate::checksum::Sum;
use crate::cursor::Cursor;
use crate::frame::{ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4, IPV6, PROTOCOL_UDP, TAG, UDP, is_tag};

/// The most VLAN tags that are read: a service tag and a customer tag (IEEE 802.1Q).
pub const MOST_TAGS: usize = 2;

const NEXT_HEADER_FRAGMENT: u8 = 44;

/// The version of the Internet Protocol of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4 (RFC 791).
    V4,
    /// IPv6 (RFC 8200).
    V6,
}

impl Version {
    /// Octets of the IP header, without options or extension headers.
    #[inline(always)]
    #[must_use]
    pub const fn header_length(self) -> usize {
        match self {
            Self::V4 => IPV4,
            Self::V6 => IPV6,
        }
    }
}

/// A frame that carries one whole UDP datagram over IP without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The version of IP.
    pub version: Version,
    /// Where the IP header begins: 14, 18 or 22 octets into the frame.
    pub ip_offset: usize,
    /// The UDP source port.
    pub source_port: u16,
    /// The UDP destination port.
    pub destination_port: u16,
    /// The length that the UDP header states: its 8 octets and the payload.
    pub udp_length: usize,
    /// The UDP checksum field as it stands.
    pub udp_checksum: [u8; 2],
}

impl Datagram {
    /// Where the UDP header begins.
    #[inline(always)]
    #[must_use]
    pub const fn udp_offset(&self) -> usize {
        self.ip_offset + self.version.header_length()
    }

    /// Where the UDP payload begins.
    #[inline(always)]
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.udp_offset() + UDP
    }

    /// Octets of UDP payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload_length(&self) -> usize {
        self.udp_length - UDP
    }

    /// Octets of the whole IP packet.
    #[inline(always)]
    #[must_use]
    pub const fn ip_length(&self) -> usize {
        self.version.header_length() + self.udp_length
    }
}

/// Why a frame is not a [`Datagram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Neither IPv4 nor IPv6, or another protocol than UDP above it: none of our business.
    OtherProtocol,
    /// A fragment, the first one included.
    Fragment,
    /// An IPv4 header with options.
    Options,
    /// The headers contradict each other or the frame's length.
    Malformed,
}

/// Reads a frame from its Ethernet header to its UDP header.
///
/// # Errors
/// The reason why the frame is not a whole UDP datagram.
#[inline(always)]
pub fn classify<C: Cursor>(frame: C) -> Result<Datagram, Foreign> {
    let [.., a, b] = frame.read::<ETHERNET>(0).ok_or(Foreign::Malformed)?;
    let mut ether_type = u16::from_be_bytes([a, b]);
    let mut ip_offset = ETHERNET;
    if is_tag(ether_type) {
        let [_, _, a, b] = frame.read::<TAG>(ip_offset).ok_or(Foreign::Malformed)?;
        ether_type = u16::from_be_bytes([a, b]);
        ip_offset += TAG;
        if is_tag(ether_type) {
            let [_, _, a, b] = frame.read::<TAG>(ip_offset).ok_or(Foreign::Malformed)?;
            ether_type = u16::from_be_bytes([a, b]);
            ip_offset += TAG;
        }
    }
    let (version, room) = match ether_type {
        ETHERTYPE_IPV4 => (Version::V4, ipv4_payload_length(frame, ip_offset)?),
        ETHERTYPE_IPV6 => (Version::V6, ipv6_payload_length(frame, ip_offset)?),
        _ => return Err(Foreign::OtherProtocol),
    };
    let udp_offset = ip_offset + version.header_length();
    let udp = frame.read::<UDP>(udp_offset).ok_or(Foreign::Malformed)?;
    let udp_length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    if udp_length < UDP || udp_length > room || udp_offset + room > frame.length() {
        return Err(Foreign::Malformed);
    }
    Ok(Datagram {
        version,
        ip_offset,
        source_port: u16::from_be_bytes([udp[0], udp[1]]),
        destination_port: u16::from_be_bytes([udp[2], udp[3]]),
        udp_length,
        udp_checksum: [udp[6], udp[7]],
    })
}

/// The octets that an IPv4 header leaves for UDP (RFC 791 section 3.1).
#[inline(always)]
fn ipv4_payload_length<C: Cursor>(frame: C, offset: usize) -> Result<usize, Foreign> {
    let header = frame.read::<10>(offset).ok_or(Foreign::Malformed)?;
    if header[9] != PROTOCOL_UDP {
        return Err(Foreign::OtherProtocol);
    }
    match header[0] {
        0x45 => {}
        0x46..=0x4f => return Err(Foreign::Options),
        _ => return Err(Foreign::Malformed),
    }
    // More-fragments or a fragment offset; Don't-Fragment may stand.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(Foreign::Fragment);
    }
    usize::from(u16::from_be_bytes([header[2], header[3]])).checked_sub(IPV4).ok_or(Foreign::Malformed)
}

/// The octets that an IPv6 header leaves for UDP (RFC 8200 section 3).
#[inline(always)]
fn ipv6_payload_length<C: Cursor>(frame: C, offset: usize) -> Result<usize, Foreign> {
    let header = frame.read::<8>(offset).ok_or(Foreign::Malformed)?;
    match header[6] {
        PROTOCOL_UDP => {}
        NEXT_HEADER_FRAGMENT => return Err(Foreign::Fragment),
        _ => return Err(Foreign::OtherProtocol),
    }
    if header[0] >> 4 != 6 {
        return Err(Foreign::Malformed);
    }
    Ok(usize::from(u16::from_be_bytes([header[4], header[5]])))
}

/// The IP header's fields that a reflector or a receiver looks at, both versions in one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// The source address.
    pub source: Address,
    /// The destination address.
    pub destination: Address,
    /// Type of Service or Traffic Class: DSCP and ECN.
    pub traffic_class: u8,
    /// Time to Live or Hop Limit.
    pub ttl: u8,
    /// False for an IPv4 header whose checksum is wrong.
    pub is_whole: bool,
    /// The sum of the two addresses as they stand, for pseudo-headers.
    pub address_sum: Sum,
}

impl IpHeader {
    /// Reads the IP header of a classified frame.
    #[inline(always)]
    pub fn read<C: Cursor>(frame: C, datagram: &Datagram) -> Option<Self> {
        match datagram.version {
            Version::V4 => {
                let header = frame.read::<IPV4>(datagram.ip_offset)?;
                let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
                Some(Self {
                    source: Address::v4([s0, s1, s2, s3]),
                    destination: Address::v4([d0, d1, d2, d3]),
                    traffic_class: header[1],
                    ttl: header[8],
                    is_whole: Sum::new().array(&header).is_whole(),
                    address_sum: Sum::new().array(&[s0, s1, s2, s3, d0, d1, d2, d3]),
                })
            }
            Version::V6 => {
                let [a, b, _, _, _, _, _, ttl] = frame.read::<8>(datagram.ip_offset)?;
                let source = frame.read::<16>(datagram.ip_offset + 8)?;
                let destination = frame.read::<16>(datagram.ip_offset + 24)?;
                Some(Self {
                    source: Address::v6(source),
                    destination: Address::v6(destination),
                    traffic_class: a << 4 | b >> 4,
                    ttl,
                    is_whole: true,
                    address_sum: Sum::new().array(&source).array(&destination),
                })
            }
        }
    }
}

/// True when the UDP checksum of a classified frame is right, or absent over IPv4 (RFC 768). Over IPv6 an absent one
/// is wrong (RFC 8200 section 8.1).
#[must_use]
pub fn udp_checksum_is_right(frame: &[u8], datagram: &Datagram, header: &IpHeader) -> bool {
    if datagram.udp_checksum == [0, 0] {
        return datagram.version == Version::V4;
    }
    let start = datagram.udp_offset();
    frame.get(start..start + datagram.udp_length).is_some_and(|udp| {
        header.address_sum.value(u16::from(PROTOCOL_UDP)).value(datagram.udp_length as u16).slice(udp).is_whole()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A frame made by another codec.
    fn frame(version: Version, tags: usize, payload: &[u8]) -> Vec<u8> {
        use etherparse::VlanId;
        let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let mut octets = Vec::new();
        let id = |n| VlanId::try_new(n).unwrap();
        macro_rules! finish {
            ($builder:expr) => {
                match version {
                    Version::V4 => $builder
                        .ipv4([198, 18, 0, 1], [198, 18, 0, 2], 255)
                        .udp(4000, 862)
                        .write(&mut octets, payload)
                        .unwrap(),
                    Version::V6 => {
                        $builder.ipv6([1; 16], [2; 16], 255).udp(4000, 862).write(&mut octets, payload).unwrap()
                    }
                }
            };
        }
        match tags {
            0 => finish!(ethernet),
            1 => finish!(ethernet.single_vlan(id(7))),
            _ => finish!(ethernet.double_vlan(id(7), id(8))),
        }
        octets
    }

    #[test]
    fn frames_of_another_codec_are_read_with_any_number_of_tags() {
        for version in [Version::V4, Version::V6] {
            for tags in 0..=MOST_TAGS {
                let octets = frame(version, tags, &[9; 44]);
                let datagram = classify(octets.as_slice()).unwrap();
                assert_eq!(datagram.version, version);
                assert_eq!(datagram.ip_offset, ETHERNET + tags * TAG);
                assert_eq!((datagram.source_port, datagram.destination_port), (4000, 862));
                assert_eq!(datagram.payload_length(), 44);
                let header = IpHeader::read(octets.as_slice(), &datagram).unwrap();
                assert!(header.is_whole);
                assert_eq!(header.ttl, 255);
                assert!(udp_checksum_is_right(&octets, &datagram, &header));
            }
        }
    }

    #[test]
    fn what_is_no_whole_datagram_is_refused_with_its_reason() {
        let good = frame(Version::V4, 0, &[9; 44]);
        let changed = |at: usize, to: u8| {
            let mut octets = good.clone();
            octets[at] = to;
            classify(octets.as_slice())
        };
        assert_eq!(changed(12, 0x86), Err(Foreign::OtherProtocol), "another EtherType");
        assert_eq!(changed(23, 6), Err(Foreign::OtherProtocol), "TCP");
        assert_eq!(changed(14, 0x46), Err(Foreign::Options), "six words of header");
        assert_eq!(changed(14, 0x44), Err(Foreign::Malformed), "four words of header");
        assert_eq!(changed(20, 0x20), Err(Foreign::Fragment), "more fragments");
        assert_eq!(changed(21, 0x01), Err(Foreign::Fragment), "an offset of eight octets");
        assert!(changed(20, 0x40).is_ok(), "Don't Fragment is no fragment");
        assert_eq!(changed(39, 7), Err(Foreign::Malformed), "a UDP length below its header");
        assert_eq!(changed(39, 60), Err(Foreign::Malformed), "a UDP length beyond the packet");
        assert_eq!(changed(17, 73), Err(Foreign::Malformed), "an IP length beyond the frame");
        assert_eq!(classify(&good[..60]), Err(Foreign::Malformed), "a frame cut short");
        let mut six = frame(Version::V6, 0, &[9; 44]);
        six[20] = NEXT_HEADER_FRAGMENT;
        assert_eq!(classify(six.as_slice()), Err(Foreign::Fragment));
        let three_tags: Vec<u8> = [&good[..12], &[0x81, 0, 0, 1, 0x81, 0, 0, 1, 0x81, 0, 0, 1], &good[12..]].concat();
        assert_eq!(classify(three_tags.as_slice()), Err(Foreign::OtherProtocol));
    }

    proptest! {
        #[test]
        fn no_octets_make_the_parser_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let frame = octets.as_slice();
            if let Ok(datagram) = classify(frame)
                && let Some(header) = IpHeader::read(frame, &datagram)
            {
                let _ = udp_checksum_is_right(frame, &datagram, &header);
            }
        }

        #[test]
        fn no_change_of_a_good_frame_makes_the_parser_panic(tags in 0usize..=2, at in 0usize..60, to in any::<u8>(), cut in 0usize..110) {
            let mut octets = frame(Version::V6, tags, &[1; 44]);
            octets[at] = to;
            octets.truncate(cut);
            let frame = octets.as_slice();
            if let Ok(datagram) = classify(frame) {
                prop_assert!(datagram.payload_offset() + datagram.payload_length() <= frame.len());
            }
        }
    }
}
