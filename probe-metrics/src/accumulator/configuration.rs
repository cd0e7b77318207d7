//! What an accumulator must know before the first packet: above all how much memory to take.

use crate::direction::DirectionalLoss;
use thiserror::Error;

/// The configuration of a [`super::StreamAccumulator`]. Begin with [`StreamConfiguration::new`] and change what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfiguration {
    /// Tmax in nanoseconds, above 0: a packet that takes as long or longer is lost.
    pub tmax_ns: i64,
    /// How many consecutive packets can be outstanding at once, 1 to 2^33: the stream's rate times the time that is
    /// waited for stragglers, rounded up. One bit of memory each.
    pub outstanding_capacity: u64,
    /// Whether the reflector numbers its replies itself (RFC 8762, section 4.3). Only then is directional loss defined.
    pub stateful: bool,
    /// The reflector's first number of this stream: 0 unless the session had packets before the stream.
    pub reflector_sequence_start: u64,
    /// How many of the reflector's numbers are held for putting its replies into order, 1 to 2^26; 8 octets each.
    pub direction_window: usize,
    /// How many sequence discontinuities are held for reordering extents, 1 to 2^26; 24 octets each.
    pub remembered_discontinuities: usize,
    /// A departure is late when it is more than this after its intended time, in nanoseconds; 0 or more.
    pub late_departure_ns: i64,
}

/// A value of the configuration out of its range.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{field} is {value}: it must lie between {least} and {greatest}")]
pub struct ConfigurationError {
    /// The field's name.
    pub field: &'static str,
    /// The value that was given.
    pub value: i128,
    /// The least value that would do.
    pub least: i128,
    /// The greatest value that would do.
    pub greatest: i128,
}

impl StreamConfiguration {
    /// A configuration for a stateful reflector, with the usual windows: 65,536 replies, 16,384 discontinuities, and
    /// departures late beyond 10 us.
    pub const fn new(tmax_ns: i64, outstanding_capacity: u64) -> Self {
        Self {
            tmax_ns,
            outstanding_capacity,
            stateful: true,
            reflector_sequence_start: 0,
            direction_window: DirectionalLoss::DEFAULT_WINDOW,
            remembered_discontinuities: 1 << 14,
            late_departure_ns: 10_000,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigurationError> {
        let checks = [
            ("tmax_ns", i128::from(self.tmax_ns), 1, i64::MAX.into()),
            ("outstanding_capacity", i128::from(self.outstanding_capacity), 1, 1 << 33),
            ("direction_window", self.direction_window as i128, 1, 1 << 26),
            ("remembered_discontinuities", self.remembered_discontinuities as i128, 1, 1 << 26),
            ("late_departure_ns", i128::from(self.late_departure_ns), 0, i64::MAX.into()),
        ];
        for (field, value, least, greatest) in checks {
            if !(least..=greatest).contains(&value) {
                return Err(ConfigurationError { field, value, least, greatest });
            }
        }
        Ok(())
    }
}
