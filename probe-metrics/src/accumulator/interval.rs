//! Intermediate results: the same stream, cut into intervals while it runs.

use super::Counts;
use crate::distribution::Distribution;

/// What happened in one interval. Counts belong to the interval in which they were made: a packet sent in one and
/// received in the next is sent in the first and received in the second, so an interval's books need not balance, and
/// those of all intervals together do.
#[derive(Clone, Debug, Default)]
pub struct IntervalAccumulator {
    /// Packets of every kind, counted within the interval.
    pub counts: Counts,
    /// (T4 - T1) - (T3 - T2) of the packets received in time within the interval, in nanoseconds.
    pub round_trip: Distribution,
}

impl IntervalAccumulator {
    /// An empty interval.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an adjoining interval.
    pub fn merge(&mut self, other: &Self) {
        self.counts = self.counts.plus(&other.counts);
        self.round_trip.merge(&other.round_trip);
    }

    /// Empties the interval and keeps its memory.
    pub fn clear(&mut self) {
        self.counts = Counts::default();
        self.round_trip.clear();
    }
}
