//! What `--interval` tells while a measurement runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DelayStatistics;

/// An intermediate result of one stream, `leadline.interval/1`: what was counted between two instants. A packet counts
/// where it was sent under `sent` and where its reply arrived under `received`, so the two need not match, and what is
/// still on its way is not yet lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntervalResult {
    /// Always `leadline.interval/1`.
    pub schema: IntervalSchema,
    /// The stream's index in its run, from 0.
    pub stream: u32,
    /// The interval's beginning; RFC 3339, UTC.
    pub start: Timestamp,
    /// The interval's end; RFC 3339, UTC.
    pub end: Timestamp,
    /// Packets sent in it.
    pub sent: u64,
    /// Replies received in it, duplicates not counted.
    pub received: u64,
    /// Duplicates received in it.
    pub duplicates: u64,
    /// Reordered replies received in it.
    pub reordered: u64,
    /// The network's share of the round trip of the replies received in it: (T4 - T1) - (T3 - T2).
    pub round_trip: DelayStatistics,
}

/// The name and version of the interval's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntervalSchema {
    /// The first version.
    #[default]
    #[serde(rename = "leadline.interval/1")]
    Interval1,
}
