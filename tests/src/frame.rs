//! What the wire must know of a frame: whether it is a test packet, which one, and whether its checksum holds.
//!
//! Written from the RFCs on its own, octet by octet, so that a mistake in the product's parser is not repeated in the truth.

use std::ops::Range;

/// The UDP port of STAMP (RFC 8762, section 4.1) that tests use throughout.
pub const STAMP_PORT: u16 = 862;

/// Which way a frame goes on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the sender to the reflector: destination port 862.
    Forward,
    /// From the reflector back to the sender: source port 862.
    Backward,
}

/// Where the parts of an Ethernet frame with a whole UDP datagram lie, in octets from the frame's start.
#[derive(Debug, Clone)]
pub struct Datagram {
    network: usize,
    version: u8,
    transport: usize,
    /// The UDP payload.
    pub payload: Range<usize>,
}

impl Datagram {
    /// Finds UDP in an untagged frame: IPv4 without fragmentation, or IPv6 without extension headers. `None` for all else.
    pub fn find(frame: &[u8]) -> Option<Self> {
        let network = 14;
        let (version, transport) = match (be16(frame, 12)?, *frame.get(network)? >> 4) {
            (0x0800, 4) if frame.get(network + 9) == Some(&17) && be16(frame, network + 6)? & 0x3fff == 0 => {
                (4, network + usize::from(frame[network] & 0x0f) * 4)
            }
            (0x86dd, 6) if frame.get(network + 6) == Some(&17) => (6, network + 40),
            _ => return None,
        };
        let end = transport + usize::from(be16(frame, transport + 4)?);
        let payload = transport + 8..end;
        (payload.start <= end && end <= frame.len()).then_some(Self { network, version, transport, payload })
    }

    /// The UDP source port.
    pub fn source_port(&self, frame: &[u8]) -> u16 {
        be16(frame, self.transport).expect("found in this frame")
    }

    /// The UDP destination port.
    pub fn destination_port(&self, frame: &[u8]) -> u16 {
        be16(frame, self.transport + 2).expect("found in this frame")
    }

    /// The IPv4 Time to Live or the IPv6 Hop Limit.
    pub fn ttl(&self, frame: &[u8]) -> u8 {
        frame[self.ttl_offset()]
    }

    /// Writes another Time to Live or Hop Limit and mends the IPv4 header checksum.
    pub fn set_ttl(&self, frame: &mut [u8], ttl: u8) {
        frame[self.ttl_offset()] = ttl;
        if self.version == 4 {
            frame[self.network + 10..self.network + 12].fill(0);
            let checksum = !ones_sum(&frame[self.network..self.transport]);
            frame[self.network + 10..self.network + 12].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    fn ttl_offset(&self) -> usize {
        self.network + if self.version == 4 { 8 } else { 7 }
    }

    /// Whether the UDP checksum and, in IPv4, the header's are right. A UDP checksum of zero says "none" in IPv4 (RFC 768)
    /// and is wrong in IPv6 (RFC 8200, section 8.1).
    pub fn is_sound(&self, frame: &[u8]) -> bool {
        let header_sound = self.version == 6 || ones_sum(&frame[self.network..self.transport]) == 0xffff;
        let unchecked = be16(frame, self.transport + 6) == Some(0);
        header_sound && if unchecked { self.version == 4 } else { self.udp_sum(frame) == 0xffff }
    }

    fn udp_sum(&self, frame: &[u8]) -> u16 {
        let addresses =
            if self.version == 4 { self.network + 12..self.network + 20 } else { self.network + 8..self.network + 40 };
        let mut checked = frame[addresses].to_vec();
        checked.extend([0, 17]);
        checked.extend(&frame[self.transport + 4..self.transport + 6]);
        checked.extend(&frame[self.transport..self.payload.end]);
        ones_sum(&checked)
    }
}

/// What the wire reads of a STAMP test packet (RFC 8762, sections 4.2.1 and 4.3.1; SSID of RFC 8972, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPacket {
    /// STAMP Session Identifier, octets 14 and 15.
    pub ssid: u16,
    /// The sender's sequence number: octets 0 to 3 forward, 24 to 27 backward.
    pub sequence: u32,
    /// The reflector's own sequence number, octets 0 to 3 backward.
    pub reflector_sequence: Option<u32>,
    /// The Session-Sender TTL that the reflector reports, octet 40 backward.
    pub session_sender_ttl: Option<u8>,
    /// Time to Live or Hop Limit of the frame itself.
    pub ttl: u8,
    /// Whether the checksums hold.
    pub sound: bool,
}

impl TestPacket {
    /// Reads a frame that goes this way; `None` when it is no test packet.
    pub fn read(frame: &[u8], direction: Direction) -> Option<Self> {
        let datagram = Datagram::find(frame)?;
        let (port, shortest) = match direction {
            Direction::Forward => (datagram.destination_port(frame), 16),
            Direction::Backward => (datagram.source_port(frame), 44),
        };
        if port != STAMP_PORT || datagram.payload.len() < shortest {
            return None;
        }
        let payload = &frame[datagram.payload.clone()];
        let backward = direction == Direction::Backward;
        Some(Self {
            ssid: be16(payload, 14)?,
            sequence: be32(payload, if backward { 24 } else { 0 })?,
            reflector_sequence: if backward { be32(payload, 0) } else { None },
            session_sender_ttl: backward.then(|| payload[40]),
            ttl: datagram.ttl(frame),
            sound: datagram.is_sound(frame),
        })
    }

    /// Whether the packet belongs to a measured stream: preflight probes carry SSIDs with the top bit set.
    pub fn in_stream(&self) -> bool {
        self.ssid & 0x8000 == 0
    }
}

/// The one's complement sum of RFC 1071 over 16-bit words, an odd last octet padded with zero.
fn ones_sum(octets: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u64 = octets.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn be32(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::ones_sum;

    /// The worked example of RFC 1071, section 3.
    #[test]
    fn sum_of_rfc_1071() {
        assert_eq!(ones_sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }
}
