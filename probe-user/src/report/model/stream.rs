//! What was sent to whom, how well the schedule was kept, where the stamps were taken, and who answered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::DelayStatistics;
use crate::configuration::{Schedule, TimestampFormat};

/// The stream's parameters. `count` and `duration_ns` are what was asked for: one of them, the other is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The stream's place among those of its run, from 0.
    pub index: u32,
    /// The reflector as it was named.
    pub target: String,
    /// How departures were spaced.
    pub schedule: Schedule,
    /// The rate asked for, in packets per second.
    pub rate_pps: f64,
    /// The length of the IP packets in octets, header included.
    pub size: u16,
    /// Packets asked for.
    pub count: Option<u64>,
    /// Duration asked for.
    pub duration_ns: Option<i64>,
    /// The seed of the schedule's randomness: the same seed gives the same departures.
    pub seed: u64,
    /// Differentiated services code point, 0 to 63.
    pub dscp: u8,
    /// TTL or Hop Limit on departure.
    pub ttl: u8,
    /// Our address.
    pub source_address: IpAddr,
    /// Our UDP port.
    pub source_port: u16,
    /// The reflector's address.
    pub destination_address: IpAddr,
    /// The reflector's UDP port.
    pub destination_port: u16,
    /// The STAMP Session Identifier, 1 to 65535 (RFC 8972 section 3).
    pub ssid: u16,
}

/// How well the sender kept to its schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    /// Gaps between departures over the time from the first to the last; `null` below two packets.
    pub achieved_pps: Option<f64>,
    /// T1 less the time the packet was due.
    pub departure_error: DelayStatistics,
    /// Packets that left later than `late_threshold_ns` after they were due.
    pub late_departures: u64,
    /// What counts as a late departure.
    pub late_threshold_ns: Option<i64>,
}

/// Where each timestamp was taken, in words (`eBPF at the driver hook`), and what the clocks are worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timestamps {
    /// The sender's, on departure.
    pub t1: Option<String>,
    /// The reflector's, on arrival.
    pub t2: Option<String>,
    /// The reflector's, on departure.
    pub t3: Option<String>,
    /// The sender's, on arrival.
    pub t4: Option<String>,
    /// The timestamps' form on the wire.
    pub format: TimestampFormat,
    /// Whether the two ends' clocks are close enough for one-way delays to mean anything.
    pub clocks_comparable: bool,
    /// A bound on the two clocks' difference, the sum of what both ends claim for theirs. `null` when either claims
    /// nothing.
    pub error_ns: Option<i64>,
}

/// The far end, as far as it showed itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reflector {
    /// How it numbers its replies.
    pub kind: ReflectorKind,
    /// Its own counters, where its operator offers them.
    pub counters: Option<CounterReadings>,
}

/// How a reflector numbers its replies (RFC 8762 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReflectorKind {
    /// By its own count: loss on the way there and on the way back can be told apart.
    Stateful,
    /// By copying ours: they cannot.
    Stateless,
    /// Too few replies came to know.
    Unknown,
}

/// A reflector's counters on both sides of the run, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterReadings {
    /// Before the first packet.
    pub before: BTreeMap<String, u64>,
    /// After the last.
    pub after: BTreeMap<String, u64>,
}
