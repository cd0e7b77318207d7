//! Reading a frame that `capture` handed over: whose reply it is, and whether it is whole.

use probe_wire::address::Address;
use probe_wire::classify::{IpHeader, classify, udp_checksum_is_right};
use probe_wire::stamp::Reply;

use super::{ArrivalClock, Arrived, Delivery, StreamWire};

/// The streams by their source ports.
#[derive(Clone, Debug)]
pub struct Directory {
    streams: Vec<Known>,
    /// Index of the stream for each UDP port, plus one; zero for none.
    by_port: Box<[u16]>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    reflector: Address,
    reflector_port: u16,
}

impl Directory {
    /// The directory of a set of streams.
    #[must_use]
    pub fn new(streams: &[StreamWire]) -> Self {
        let mut by_port = vec![0; 1 << 16].into_boxed_slice();
        for (index, stream) in streams.iter().enumerate() {
            by_port[usize::from(stream.endpoints.source_port)] = index as u16 + 1;
        }
        let streams = streams
            .iter()
            .map(|stream| Known { reflector: stream.reflector(), reflector_port: stream.endpoints.destination_port })
            .collect();
        Self { streams, by_port }
    }

    /// The stream that sends from a port.
    #[inline]
    #[must_use]
    pub fn stream_of(&self, port: u16) -> Option<usize> {
        usize::from(self.by_port[usize::from(port)]).checked_sub(1)
    }

    /// True when a packet to a stream's port came from its reflector.
    #[inline]
    #[must_use]
    pub fn is_reflector(&self, stream: usize, address: Address, port: u16) -> bool {
        self.streams.get(stream).is_some_and(|known| known.reflector == address && known.reflector_port == port)
    }

    /// Reads a frame that arrived at a time.
    #[inline]
    #[must_use]
    pub fn read(&self, frame: &[u8], received_ns: i64, clock: ArrivalClock) -> Delivery {
        let Ok(datagram) = classify(frame) else { return Delivery::Foreign { stream: None } };
        let Some(stream) = self.stream_of(datagram.destination_port) else {
            return Delivery::Foreign { stream: None };
        };
        let foreign = Delivery::Foreign { stream: Some(stream) };
        let Some(header) = IpHeader::read(frame, &datagram) else { return foreign };
        if !self.is_reflector(stream, header.source, datagram.source_port) {
            return foreign;
        }
        if !header.is_whole || !udp_checksum_is_right(frame, &datagram, &header) {
            return Delivery::Corrupted { stream };
        }
        match Reply::read(&frame[..datagram.payload_offset() + datagram.payload_length()], datagram.payload_offset()) {
            Some(reply) => Delivery::Reply(Arrived {
                stream,
                reply,
                received_ns,
                clock,
                ttl: header.ttl,
                traffic_class: header.traffic_class,
                ip_length: datagram.ip_length() as u16,
            }),
            None => foreign,
        }
    }
}
