//! The result of a run in the form of the report's model.

use std::collections::BTreeMap;
use std::net::IpAddr;

use probe_metrics::{Distribution, Extent};

use super::ledger::OwnDrop;
use super::prepare::Prepared;
use super::verdict::{Causes, Evidence, judge};
use crate::clock::ClockState;
use crate::configuration::{self, MeasurementConfiguration, Via};
use crate::engine::{Preflight, ReflectorKind, StreamOutcome};
use crate::report::model::{
    self, CounterReadings, DelayStatistics, Delays, Measurement, Packets, Path, Reflector, Reordering, Run, Schema,
    Sending, Stream, TesterDrops, Timestamps,
};

/// Decimal digits that the histograms resolve.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What a measurement is made of, of one stream.
pub(super) struct Parts<'a> {
    pub(super) index: usize,
    pub(super) configuration: &'a MeasurementConfiguration,
    pub(super) prepared: &'a Prepared,
    pub(super) source_port: u16,
    pub(super) preflight: &'a Preflight,
    pub(super) outcome: &'a StreamOutcome,
    pub(super) causes: Causes,
    pub(super) drops: &'a [OwnDrop],
    pub(super) run: Run,
    pub(super) path: Path,
    pub(super) clock: Option<ClockState>,
    pub(super) counters: Option<CounterReadings>,
}

/// The measurement of one stream.
pub(super) fn measurement(parts: &Parts<'_>) -> Measurement {
    let result = &parts.outcome.result;
    let counts = result.counts;
    let packets = Packets {
        sent: counts.sent,
        received: counts.received,
        lost: result.lost,
        lost_forward: parts.causes.forward,
        lost_backward: parts.causes.backward,
        late: counts.late,
        duplicates: counts.duplicates,
        reordered: counts.reordered,
        corrupted: counts.corrupted,
        foreign: counts.foreign,
        unattributable: parts.causes.unattributable,
        dropped_by_tester: parts.causes.tester,
    };
    let timed_by_program = parts.configuration.via == Via::Xdp;
    let [_, _, by_user] = parts.outcome.arrivals;
    let validity = judge(&Evidence {
        result,
        causes: parts.causes,
        drops: parts.drops,
        ending: parts.outcome.ending,
        kind: parts.preflight.kind,
        planned: planned(parts.prepared),
        untimed: if timed_by_program { by_user } else { 0 },
        sentinels: parts.outcome.sentinels,
        stop_after: parts.configuration.stop_after,
        has_reflector_counters: parts.counters.is_some(),
    });
    Measurement {
        schema: Schema::default(),
        run: parts.run.clone(),
        stream: stream(parts),
        packets,
        loss_ratio: result.loss_ratio,
        loss_ratio_y1540: result.loss_ratio_y1540,
        delay: delays(parts),
        reordering: reordering(parts),
        sending: sending(parts),
        timestamps: timestamps(parts),
        path: parts.path.clone(),
        reflector: Reflector { kind: kind(parts.preflight), counters: parts.counters.clone() },
        tester_drops: TesterDrops::at(parts.drops.iter().map(|drop| drop.place.clone())),
        undefined: undefined(parts),
        validity,
    }
}

/// How long a stream is meant to send.
pub(super) fn planned(prepared: &Prepared) -> Option<std::time::Duration> {
    match prepared.configuration.extent {
        configuration::Extent::Duration(duration) => Some(duration),
        configuration::Extent::Count(count) => {
            let interval = prepared.configuration.interval(prepared.ip_length);
            Some(std::time::Duration::from_nanos(interval.departure(count)))
        }
    }
}

fn stream(parts: &Parts<'_>) -> Stream {
    let prepared = parts.prepared;
    let asked = &prepared.configuration;
    let (count, duration_ns) = match asked.extent {
        configuration::Extent::Count(count) => (Some(count), None),
        configuration::Extent::Duration(duration) => (None, i64::try_from(duration.as_nanos()).ok()),
    };
    Stream {
        index: parts.index as u32,
        target: asked.target.to_string(),
        schedule: asked.schedule,
        rate_pps: asked.rate.in_packets_per_second(prepared.ip_length),
        size: prepared.ip_length,
        count,
        duration_ns,
        seed: prepared.seed,
        dscp: asked.dscp,
        ttl: asked.ttl,
        source_address: prepared.path.source,
        source_port: parts.source_port,
        destination_address: prepared.address,
        destination_port: asked.port,
        ssid: prepared.ssid,
    }
}

fn delays(parts: &Parts<'_>) -> Delays {
    let result = &parts.outcome.result;
    Delays {
        round_trip: statistics(&result.round_trip),
        round_trip_total: statistics(&result.round_trip_total),
        forward: statistics(&result.forward),
        backward: statistics(&result.backward),
        residence: statistics(&result.residence),
        significant_digits: SIGNIFICANT_DIGITS,
    }
}

/// The statistics of a distribution as the report has them.
pub(super) fn statistics(distribution: &Distribution) -> DelayStatistics {
    let summary = distribution.summary();
    DelayStatistics {
        count: summary.count,
        negative: distribution.negative(),
        min_ns: summary.min_ns,
        mean_ns: summary.mean_ns,
        median_ns: distribution.percentile(50.0),
        p95_ns: summary.p95_ns,
        p99_ns: summary.p99_ns,
        p99_9_ns: summary.p99_9_ns,
        max_ns: summary.max_ns,
        stddev_ns: summary.stddev_ns,
    }
}

fn reordering(parts: &Parts<'_>) -> Reordering {
    let summary = &parts.outcome.result.reordering;
    let (max_extent, max_extent_at_least) = match summary.max_extent {
        None => (None, false),
        Some(Extent::Exact(extent)) => (Some(extent), false),
        Some(Extent::MoreThan(extent)) => (Some(extent), true),
    };
    Reordering {
        ratio: summary.ratio,
        reordered: summary.reordered,
        max_extent,
        max_extent_at_least,
        discontinuities: summary.discontinuities,
    }
}

fn sending(parts: &Parts<'_>) -> Sending {
    let outcome = parts.outcome;
    let gaps = outcome.result.counts.sent.saturating_sub(1);
    let time = outcome.first_departure_ns.zip(outcome.last_departure_ns).map(|(first, last)| last - first);
    Sending {
        achieved_pps: time.filter(|time| *time > 0 && gaps > 0).map(|time| gaps as f64 * 1e9 / time as f64),
        departure_error: statistics(&outcome.result.departure_error),
        late_departures: outcome.result.late_departures,
        late_threshold_ns: Some(super::measure::LATE_DEPARTURE_NS),
    }
}

fn timestamps(parts: &Parts<'_>) -> Timestamps {
    let outcome = parts.outcome;
    let [by_driver, by_kernel, by_user] = outcome.arrivals;
    let t4 = match (by_driver, by_kernel, by_user) {
        (0, 0, 0) => None,
        (_, 0, 0) => Some("eBPF at the driver hook".to_owned()),
        (0, _, 0) => Some("kernel, at the socket's interface".to_owned()),
        (0, 0, _) => Some("user space, when the packet was seen".to_owned()),
        (driver, kernel, user) => Some(format!("{driver} by eBPF, {kernel} by the kernel, {user} in user space")),
    };
    let answered = outcome.reflector_error_estimate.is_some();
    let far = if parts.counters.is_some() { "eBPF at the reflector's driver hook" } else { "the reflector" };
    let t1 = match parts.configuration.via {
        Via::Xdp => "user space, before submission to the driver",
        Via::Socket => "user space, before the system call",
    };
    let ours = parts.clock.filter(|clock| clock.synchronised);
    let theirs = outcome.reflector_error_estimate.filter(|estimate| estimate.is_synchronised());
    let error_ns = ours
        .zip(theirs.and_then(probe_wire::timestamp::ErrorEstimate::error_ns))
        .and_then(|(ours, theirs)| i64::try_from(ours.maximum_error_ns.saturating_add(theirs)).ok());
    Timestamps {
        t1: Some(t1.to_owned()),
        t2: answered.then(|| far.to_owned()),
        t3: answered.then(|| far.to_owned()),
        t4,
        format: parts.configuration.timestamp_format,
        clocks_comparable: ours.is_some() && theirs.is_some(),
        error_ns,
    }
}

const fn kind(preflight: &Preflight) -> model::ReflectorKind {
    match preflight.kind {
        Some(ReflectorKind::Stateful) => model::ReflectorKind::Stateful,
        Some(ReflectorKind::Stateless) => model::ReflectorKind::Stateless,
        None => model::ReflectorKind::Unknown,
    }
}

/// Why a value is `null`.
fn undefined(parts: &Parts<'_>) -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    let mut note = |path: &str, reason: &str| {
        reasons.insert(path.to_owned(), reason.to_owned());
    };
    let result = &parts.outcome.result;
    if parts.causes.forward.is_none() {
        let reason = match parts.preflight.kind {
            Some(ReflectorKind::Stateless) => "the reflector copies sequence numbers",
            _ => "too little came back to know how the reflector numbers its replies",
        };
        note("packets.lost_forward", reason);
        note("packets.lost_backward", reason);
    }
    if result.counts.sent == 0 {
        note("loss_ratio", "no packet was sent");
    }
    if result.counts.received == 0 {
        note("delay", "no packet came back in time");
        note("reordering.ratio", "no packet came back in time");
    } else if result.round_trip.count() == 0 {
        note("delay.round_trip", "the reflector gave no times of its own");
    }
    if parts.clock.is_none_or(|clock| !clock.synchronised) {
        note("timestamps.error_ns", "this host's clock is not synchronised");
    } else if parts.outcome.reflector_error_estimate.is_none_or(|estimate| !estimate.is_synchronised()) {
        note("timestamps.error_ns", "the reflector does not claim a synchronised clock");
    }
    reasons
}

/// The MAC address as people write it.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// A next hop in the report.
pub(super) fn next_hop(address: IpAddr, mac: [u8; 6]) -> model::NextHop {
    model::NextHop { address, mac: Some(mac_text(mac)) }
}
