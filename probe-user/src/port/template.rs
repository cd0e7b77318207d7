//! A stream's frame, made once; each packet then costs 16 octets and a checksum.

use probe_wire::checksum::{Sum, without};
use probe_wire::frame::{ETHERNET, UDP, write_headers};
use probe_wire::stamp::Stamp;

use super::StreamWire;

/// A frame of a stream, whole but for its stamp.
#[derive(Clone, Debug)]
pub struct Template {
    octets: Vec<u8>,
    payload_offset: usize,
    /// What the UDP checksum covers beside the stamp.
    rest: Sum,
}

impl Template {
    /// The frame of a stream: headers, and a payload of zeros (RFC 8762 section 4.2.1, "must be zero").
    ///
    /// Returns `None` when the length is below that of the headers.
    #[must_use]
    pub fn new(wire: &StreamWire) -> Option<Self> {
        let mut octets = vec![0; ETHERNET + usize::from(wire.ip_length)];
        let payload_offset = write_headers(&mut octets, &wire.endpoints, wire.type_p)?;
        octets.get(payload_offset..payload_offset + Stamp::LENGTH)?;
        let checksum = [octets[payload_offset - 2], octets[payload_offset - 1]];
        Some(Self { octets, payload_offset, rest: without(checksum, Sum::new()) })
    }

    /// The frame, with a stamp of zeros.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Where the UDP payload begins.
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.payload_offset
    }

    /// Puts a stamp and its checksum into a frame that was copied from this one.
    #[inline]
    pub fn stamp(&self, frame: &mut [u8], stamp: &Stamp) {
        let octets = stamp.write();
        let at = self.payload_offset;
        if let Some(payload) = frame.get_mut(at - 2..at + Stamp::LENGTH) {
            let checksum = self.rest.array(&octets).udp_checksum();
            payload[..2].copy_from_slice(&checksum);
            payload[2..].copy_from_slice(&octets);
        }
    }
}

const _: () = assert!(UDP == 8, "the checksum is the last field of the UDP header, right before the payload");
