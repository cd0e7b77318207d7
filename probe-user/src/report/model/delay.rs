//! How long packets took.

use serde::{Deserialize, Serialize};

/// The delays of packets that arrived in time. A lost packet's delay is undefined and enters none of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delays {
    /// The network's share of the round trip: (T4 - T1) - (T3 - T2). Needs no common clock.
    pub round_trip: DelayStatistics,
    /// The whole round trip, the reflector's residence included: T4 - T1 (RFC 2681).
    pub round_trip_total: DelayStatistics,
    /// There: T2 - T1 (RFC 7679). Needs comparable clocks.
    pub forward: DelayStatistics,
    /// And back: T4 - T3. Needs comparable clocks.
    pub backward: DelayStatistics,
    /// Inside the reflector: T3 - T2.
    pub residence: DelayStatistics,
    /// Significant decimal digits of every value: the histograms keep no more.
    pub significant_digits: u8,
}

/// Statistics over `count` singletons, all in nanoseconds. Those of an empty sample are `null`, and so is the standard
/// deviation of a single value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayStatistics {
    /// N: the singletons; a percentile's resolution is 1/N.
    pub count: u64,
    /// Of these, how many were negative: errors to look into, not delays (RFC 7679).
    pub negative: u64,
    /// The smallest.
    pub min_ns: Option<i64>,
    /// The arithmetic mean.
    pub mean_ns: Option<f64>,
    /// The 50th percentile.
    pub median_ns: Option<i64>,
    /// The 95th percentile (RFC 2330 section 11.3: the smallest value with 95 % of the sample at or below it).
    pub p95_ns: Option<i64>,
    /// The 99th percentile.
    pub p99_ns: Option<i64>,
    /// The 99.9th percentile.
    pub p99_9_ns: Option<i64>,
    /// The largest.
    pub max_ns: Option<i64>,
    /// The sample's standard deviation.
    pub stddev_ns: Option<f64>,
}
