//! What is known of one reply on its arrival. The hot path passes this value from the parser to the metrics, so it is
//! `Copy` and smaller than a cache line.

/// One arrival of a reply at the session-sender, duplicates and late ones included.
///
/// The four times are those of RFC 8762, section 4: T1 and T4 are read from the sender's clock, T2 and T3 from the
/// reflector's. Each is `CLOCK_TAI` in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The sender's sequence number, unwrapped, counted from 0 within the stream.
    pub sequence: u64,
    /// T1: when the session-sender sent the packet.
    pub sent_ns: i64,
    /// T2: when the session-reflector received it. Meaningless unless `has_reflector_times`.
    pub reflector_received_ns: i64,
    /// T3: when the session-reflector sent its reply. Meaningless unless `has_reflector_times`.
    pub reflector_sent_ns: i64,
    /// T4: when the reply came back.
    pub received_ns: i64,
    /// The number that the reflector gave to its reply, unwrapped. Meaningful for a stateful reflector only
    /// (RFC 8762, section 4.3); a stateless one copies the sender's number.
    pub reflector_sequence: u64,
    /// Which of the sender's streams the packet belongs to.
    pub stream: u16,
    /// Length of the received IP packet in octets, header included.
    pub length: u16,
    /// TTL or Hop Limit of the reply as received here.
    pub ttl: u8,
    /// TTL or Hop Limit of the test packet as the reflector received it (RFC 8762, section 4.3).
    pub forward_ttl: u8,
    /// Traffic class (DSCP and ECN) of the reply as received here.
    pub traffic_class: u8,
    /// Whether T2 and T3 were given; without them only the total round trip is defined.
    pub has_reflector_times: bool,
}

/// An observation is copied on the hot path: it must fit a cache line.
const _: () = assert!(size_of::<Observation>() <= 64);

impl Observation {
    /// T4 - T1: round-trip delay with the reflector's residence in it (RFC 2681, section 2.4), in nanoseconds.
    pub const fn round_trip_total_ns(&self) -> i64 {
        self.received_ns.saturating_sub(self.sent_ns)
    }

    /// T3 - T2: how long the reflector kept the packet, in nanoseconds; `None` without its times.
    pub const fn residence_ns(&self) -> Option<i64> {
        if !self.has_reflector_times {
            return None;
        }
        Some(self.reflector_sent_ns.saturating_sub(self.reflector_received_ns))
    }

    /// (T4 - T1) - (T3 - T2): round-trip delay of the network alone, in nanoseconds; `None` without the reflector's
    /// times. It needs no common clock, for each difference is taken on one clock.
    pub const fn round_trip_ns(&self) -> Option<i64> {
        match self.residence_ns() {
            Some(residence) => Some(self.round_trip_total_ns().saturating_sub(residence)),
            None => None,
        }
    }

    /// T2 - T1: one-way delay forward (RFC 7679, section 3.4), in nanoseconds, as good as the clocks agree; `None`
    /// without the reflector's times.
    pub const fn forward_ns(&self) -> Option<i64> {
        if !self.has_reflector_times {
            return None;
        }
        Some(self.reflector_received_ns.saturating_sub(self.sent_ns))
    }

    /// T4 - T3: one-way delay backward (RFC 7679, section 3.4), in nanoseconds, as good as the clocks agree; `None`
    /// without the reflector's times.
    pub const fn backward_ns(&self) -> Option<i64> {
        if !self.has_reflector_times {
            return None;
        }
        Some(self.received_ns.saturating_sub(self.reflector_sent_ns))
    }
}
