//! A request as an Ethernet frame, written by etherparse.

use std::net::IpAddr;

use etherparse::{
    DoubleVlanHeader, EtherType, IpDscp, IpEcn, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FlowLabel, Ipv6Header, PacketBuilder, SingleVlanHeader, VlanHeader, VlanId, VlanPcp,
};

use super::{DEFAULT_PORT, Manner, REFLECTOR_MAC, SENDER_MAC};
use crate::network::Family;

/// VLAN tags between the link addresses and IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// None.
    None,
    /// A customer tag, 0x8100.
    One,
    /// A service tag, 0x88a8, and a customer tag in it.
    Two,
}

impl Tags {
    /// Every number of tags.
    pub const ALL: [Self; 3] = [Self::None, Self::One, Self::Two];

    /// Octets of the tags together.
    pub const fn length(self) -> usize {
        4 * self as usize
    }
}

/// The UDP checksum of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// As it should be.
    Right,
    /// Zero: none.
    Absent,
    /// Wrong by so much, added as one's complement numbers are.
    Off(u16),
}

/// A STAMP test packet with everything around it. The same form serves for the reply.
#[derive(Debug, Clone)]
pub struct Request {
    /// The link address it comes from.
    pub source_mac: [u8; 6],
    /// The link address it goes to.
    pub destination_mac: [u8; 6],
    /// Its VLAN tags.
    pub tags: Tags,
    /// The IP address it comes from.
    pub source: IpAddr,
    /// The IP address it goes to, of the same version.
    pub destination: IpAddr,
    /// The UDP port it comes from.
    pub source_port: u16,
    /// The UDP port it goes to.
    pub destination_port: u16,
    /// Differentiated services code point, 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification, 0 to 3.
    pub ecn: u8,
    /// Time to Live or Hop Limit.
    pub ttl: u8,
    /// The UDP payload.
    pub payload: Vec<u8>,
    /// Its UDP checksum.
    pub checksum: Checksum,
    /// Octets after the IP packet, as Ethernet pads short frames.
    pub padding: Vec<u8>,
}

impl Request {
    /// A request of so many octets of payload from the sender to the reflector's first port. No octet of the payload is
    /// zero by chance, the timestamp is in NTP format, and the sequence number is 0.
    pub fn new(family: Family, octets: usize) -> Self {
        let request = Self {
            source_mac: SENDER_MAC,
            destination_mac: REFLECTOR_MAC,
            tags: Tags::None,
            source: family.sender(),
            destination: family.reflector(),
            source_port: DEFAULT_PORT,
            destination_port: Manner::Stateful.port(),
            dscp: 0,
            ecn: 0,
            ttl: 64,
            payload: (0..octets).map(|index| (index % 199) as u8 + 0x21).collect(),
            checksum: Checksum::Right,
            padding: Vec::new(),
        };
        request.numbered(0).ptp(false)
    }

    /// From this source port.
    #[must_use]
    pub fn from_port(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    /// To the reflector's port of this manner.
    #[must_use]
    pub fn to(mut self, manner: Manner) -> Self {
        self.destination_port = manner.port();
        self
    }

    /// With this sequence number: octets 0 to 3.
    #[must_use]
    pub fn numbered(mut self, sequence: u32) -> Self {
        put(&mut self.payload, 0, &sequence.to_be_bytes());
        self
    }

    /// With the Z bit set, for a PTP timestamp, or cleared, for NTP: the second bit of octet 12.
    #[must_use]
    pub fn ptp(mut self, ptp: bool) -> Self {
        if let Some(octet) = self.payload.get_mut(12) {
            *octet = *octet & !0x40 | if ptp { 0x40 } else { 0 };
        }
        self
    }

    /// With this session identifier: octets 14 and 15.
    #[must_use]
    pub fn ssid(mut self, ssid: u16) -> Self {
        put(&mut self.payload, 14, &ssid.to_be_bytes());
        self
    }

    /// Whether the Z bit is set.
    pub fn is_ptp(&self) -> bool {
        self.payload[12] & 0x40 != 0
    }

    /// The sequence number.
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.payload[0], self.payload[1], self.payload[2], self.payload[3]])
    }

    /// Where the IP header begins in the frame.
    pub fn ip_offset(&self) -> usize {
        14 + self.tags.length()
    }

    /// Where the UDP header begins in the frame.
    pub fn udp_offset(&self) -> usize {
        self.ip_offset() + if self.source.is_ipv4() { 20 } else { 40 }
    }

    /// The frame's octets.
    ///
    /// # Panics
    /// When the addresses are of two versions, or a field has more than it can hold.
    pub fn write(&self) -> Vec<u8> {
        let mut frame = self.write_with(self.ip_headers());
        frame.extend(&self.padding);
        frame
    }

    /// The frame's octets with other IP headers than its own, and without padding.
    ///
    /// # Panics
    /// When a field has more than it can hold.
    pub fn write_with(&self, headers: IpHeaders) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2(self.source_mac, self.destination_mac);
        let ip = match self.tags {
            Tags::None => ethernet.ip(headers),
            Tags::One => ethernet.vlan(VlanHeader::Single(tag(7, 5))).ip(headers),
            Tags::Two => {
                ethernet.vlan(VlanHeader::Double(DoubleVlanHeader { outer: tag(9, 3), inner: tag(7, 5) })).ip(headers)
            }
        };
        let mut frame = Vec::new();
        ip.udp(self.source_port, self.destination_port).write(&mut frame, &self.payload).expect("fields in range");
        if self.tags == Tags::Two {
            // Etherparse writes a service tag here already; the rows must not depend on it.
            frame[12..14].copy_from_slice(&[0x88, 0xa8]);
        }
        let at = frame.len() - self.payload.len() - 2;
        let right = u16::from_be_bytes([frame[at], frame[at + 1]]);
        let checksum = match self.checksum {
            Checksum::Right => right,
            Checksum::Absent => 0,
            Checksum::Off(difference) => ones_complement_sum(right, difference),
        };
        frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    /// The IP headers: Don't Fragment and an identification in IPv4, a flow label in IPv6.
    ///
    /// # Panics
    /// When the addresses are of two versions, or a field has more than it can hold.
    pub fn ip_headers(&self) -> IpHeaders {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header =
                    Ipv4Header::new(0, self.ttl, IpNumber::UDP, source.octets(), destination.octets()).expect("short");
                header.dscp = IpDscp::try_new(self.dscp).expect("6 bits");
                header.ecn = IpEcn::try_new(self.ecn).expect("2 bits");
                header.identification = 0x1234;
                header.dont_fragment = true;
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: self.dscp << 2 | self.ecn,
                    flow_label: Ipv6FlowLabel::try_new(0xa_bcde).expect("20 bits"),
                    payload_length: 0,
                    next_header: IpNumber::UDP,
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                IpHeaders::Ipv6(header, Ipv6Extensions::default())
            }
            both => panic!("addresses of two versions: {both:?}"),
        }
    }
}

/// Adds as RFC 1071, section 1 does, and never gives a UDP checksum the form that means "none" (RFC 768).
fn ones_complement_sum(one: u16, other: u16) -> u16 {
    let (sum, carry) = one.overflowing_add(other);
    match sum + u16::from(carry) {
        0 => 0xffff,
        sum => sum,
    }
}

fn tag(identifier: u16, priority: u8) -> SingleVlanHeader {
    SingleVlanHeader {
        pcp: VlanPcp::try_new(priority).expect("3 bits"),
        drop_eligible_indicator: false,
        vlan_id: VlanId::try_new(identifier).expect("12 bits"),
        ether_type: EtherType::IPV4,
    }
}

/// Writes octets as far as the payload reaches.
fn put(payload: &mut [u8], offset: usize, octets: &[u8]) {
    if let Some(place) = payload.get_mut(offset..offset + octets.len()) {
        place.copy_from_slice(octets);
    }
}
