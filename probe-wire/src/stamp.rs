//! STAMP test packets in open mode (RFC 8762 sections 4.2.1 and 4.3.1, SSID of RFC 8972 section 3).
//!
//! The first 14 octets are those of OWAMP and TWAMP too (RFC 4656 section 4.1.2, RFC 5357 section 4.1.2), so that one
//! reflector answers all of them.

use crate::cursor::Cursor;
use crate::timestamp::ErrorEstimate;

/// Octets of a STAMP packet in open mode without TLVs, in both directions.
pub const BASE: usize = 44;
/// Octets of the shortest test packet that is answered: TWAMP's without padding (RFC 5357 section 4.1.2).
pub const SHORTEST_REQUEST: usize = 14;
/// The UDP port of STAMP reflectors (RFC 8762 section 4.1).
pub const PORT: u16 = 862;

/// The first octets of a test packet, of either direction: offsets 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of this packet, from 0, modulo 2^32.
    pub sequence: u32,
    /// When this packet left, in the format that the error estimate states.
    pub timestamp: [u8; 8],
    /// How good the timestamp is, and its format.
    pub error_estimate: ErrorEstimate,
    /// STAMP Session Identifier; zero where there is none.
    pub ssid: u16,
}

impl Stamp {
    /// Octets of the fields together.
    pub const LENGTH: usize = 16;

    /// Writes the fields in order.
    #[inline(always)]
    #[must_use]
    pub const fn write(&self) -> [u8; Self::LENGTH] {
        let [a, b, c, d] = self.sequence.to_be_bytes();
        let [e, f, g, h, i, j, k, l] = self.timestamp;
        let [m, n] = self.error_estimate.0.to_be_bytes();
        let [o, p] = self.ssid.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Reads the fields back.
    #[inline(always)]
    #[must_use]
    pub const fn parse(octets: &[u8; Self::LENGTH]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *octets;
        Self {
            sequence: u32::from_be_bytes([a, b, c, d]),
            timestamp: [e, f, g, h, i, j, k, l],
            error_estimate: ErrorEstimate(u16::from_be_bytes([m, n])),
            ssid: u16::from_be_bytes([o, p]),
        }
    }
}

/// A reflector's answer: its own stamp, when the request came, and the request's stamp as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reflector's number, departure time, error estimate, and the session's identifier.
    pub reflector: Stamp,
    /// When the request arrived, in the reflector's format.
    pub receive_timestamp: [u8; 8],
    /// The request's number.
    pub sender_sequence: u32,
    /// The request's timestamp, in the sender's format.
    pub sender_timestamp: [u8; 8],
    /// The request's error estimate.
    pub sender_error_estimate: ErrorEstimate,
    /// The TTL or Hop Limit with which the request arrived.
    pub sender_ttl: u8,
}

impl Reply {
    /// Writes the 44 octets of the answer.
    #[inline(always)]
    #[must_use]
    pub fn write(&self) -> [u8; BASE] {
        let mut octets = [0; BASE];
        octets[..16].copy_from_slice(&self.reflector.write());
        octets[16..24].copy_from_slice(&self.receive_timestamp);
        octets[24..28].copy_from_slice(&self.sender_sequence.to_be_bytes());
        octets[28..36].copy_from_slice(&self.sender_timestamp);
        octets[36..38].copy_from_slice(&self.sender_error_estimate.0.to_be_bytes());
        octets[40] = self.sender_ttl;
        octets
    }

    /// Reads an answer that begins at `offset`. A TWAMP reflector's has 41 octets, of which the last two, where a
    /// STAMP reflector has the SSID, must be zero (RFC 5357 section 4.2.1): so both are read alike.
    #[inline(always)]
    pub fn read<C: Cursor>(frame: C, offset: usize) -> Option<Self> {
        let octets = frame.read::<41>(offset)?;
        let (stamp, rest) = octets.split_first_chunk::<{ Stamp::LENGTH }>()?;
        let (receive_timestamp, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let (sender_timestamp, rest) = rest.split_first_chunk::<8>()?;
        let (estimate, rest) = rest.split_first_chunk::<2>()?;
        let [_, _, sender_ttl] = *rest.first_chunk::<3>()?;
        Some(Self {
            reflector: Stamp::parse(stamp),
            receive_timestamp: *receive_timestamp,
            sender_sequence: u32::from_be_bytes(*sequence),
            sender_timestamp: *sender_timestamp,
            sender_error_estimate: ErrorEstimate(u16::from_be_bytes(*estimate)),
            sender_ttl,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Offsets from the figures of RFC 8762 sections 4.2.1 and 4.3.1, each field filled with its own octet.
    #[test]
    fn every_field_stands_where_the_figure_has_it() {
        let reply = Reply {
            reflector: Stamp {
                sequence: 0x01010101,
                timestamp: [2; 8],
                error_estimate: ErrorEstimate(0x0303),
                ssid: 0x0404,
            },
            receive_timestamp: [5; 8],
            sender_sequence: 0x06060606,
            sender_timestamp: [7; 8],
            sender_error_estimate: ErrorEstimate(0x0808),
            sender_ttl: 9,
        };
        let octets = reply.write();
        let figure = [
            (0, 4, 1),
            (4, 8, 2),
            (12, 2, 3),
            (14, 2, 4),
            (16, 8, 5),
            (24, 4, 6),
            (28, 8, 7),
            (36, 2, 8),
            (38, 2, 0),
            (40, 1, 9),
            (41, 3, 0),
        ];
        for (offset, length, value) in figure {
            assert!(octets[offset..offset + length].iter().all(|octet| *octet == value), "offset {offset}");
        }
        assert_eq!(Reply::read(octets.as_slice(), 0), Some(reply));
        assert_eq!(Reply::read(&octets[..41], 0), Some(reply), "a TWAMP reply of 41 octets");
        assert_eq!(Reply::read(&octets[..40], 0), None);
    }

    proptest! {
        #[test]
        fn a_stamp_reads_back(octets in any::<[u8; 16]>()) {
            prop_assert_eq!(Stamp::parse(&octets).write(), octets);
        }
    }
}
