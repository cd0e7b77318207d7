//! Worked examples of the standards, from `vectors.json`. Numbers that belong to metrics which are not here yet
//! (late time, byte offset, n-reordering, delay variation and others) are left aside.

use probe_metrics::{
    Arrival, Counts, Distribution, Extent, Observation, Reception, Reordering, StreamAccumulator, StreamConfiguration,
    StreamResult, Unwrapper,
};
use serde_json::Value;
use std::collections::BTreeMap;

const MILLISECOND: i64 = 1_000_000;

struct Vector(Value);

fn vector(id: &str) -> Vector {
    let file: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let all = file["vectors"].as_array().unwrap();
    let found = all.iter().find(|v| v["id"] == id);
    Vector(found.unwrap_or_else(|| panic!("vectors.json has no {id}")).clone())
}

impl Vector {
    fn input(&self, name: &str) -> &Value {
        let value = &self.0["input"][name];
        assert!(!value.is_null(), "no input {name}");
        value
    }

    fn expected(&self, name: &str) -> &Value {
        let value = &self.0["expected"][name];
        assert!(!value.is_null(), "no expected {name}");
        value
    }

    fn numbers(&self, name: &str) -> Vec<i64> {
        numbers(self.input(name))
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_i64().unwrap()).collect()
}

fn assert_close(measured: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let tolerance = 1e-6_f64.max(expected.abs() * 1e-9);
    assert!((measured - expected).abs() <= tolerance, "{measured}, not {expected}");
}

/// What reordering says of a list of arrivals, by the definition's names.
struct Reordered {
    packets: Vec<i64>,
    extents: BTreeMap<String, i64>,
    metric: Reordering,
    duplicates: u64,
}

/// Numbers of the examples count from 1, so number 0 is a packet that was never sent.
fn reordered(arrivals: &[i64]) -> Reordered {
    let mut books = Reception::new(1 << 17);
    books.on_sent(1 << 17);
    let mut found = Reordered { packets: vec![], extents: BTreeMap::new(), metric: Reordering::new(16), duplicates: 0 };
    for &number in arrivals {
        let sequence = number as u64;
        if books.arrive(sequence, 0, 1) != Arrival::First {
            continue;
        }
        if let Some(extent) = found.metric.observe(sequence) {
            let Extent::Exact(extent) = extent else { panic!("{number} has {extent:?}") };
            found.packets.push(number);
            found.extents.insert(number.to_string(), extent as i64);
        }
    }
    found.duplicates = books.duplicates();
    found
}

fn assert_reordering(id: &str) {
    let vector = vector(id);
    let found = reordered(&vector.numbers("arrival"));
    let expected = &vector.0["expected"];
    for name in ["reordered", "rfc4737_reordered"] {
        if let Some(packets) = expected.get(name) {
            assert_eq!(found.packets, numbers(packets), "{id} {name}");
        }
    }
    for name in ["singleton_reordered", "x"] {
        if let Some(count) = expected.get(name) {
            assert_eq!(found.packets.len() as u64, count.as_u64().unwrap(), "{id} {name}");
        }
    }
    if let Some(extents) = expected.get("extent") {
        let expected: BTreeMap<String, i64> = serde_json::from_value(extents.clone()).unwrap();
        assert_eq!(found.extents, expected, "{id} extent");
        let longest = expected.values().max().map(|&e| Extent::Exact(e as u64));
        assert_eq!(found.metric.summary().max_extent, longest, "{id} extent");
    }
    if let Some(bins) = expected.get("extent_histogram_bins_1_7") {
        let counted = (1..=7).map(|extent| found.metric.packets_with_extent(extent) as i64);
        assert_eq!(counted.collect::<Vec<_>>(), numbers(bins), "{id} bins");
    }
    for name in ["ratio", "rfc4737_ratio"] {
        match expected.get(name) {
            Some(ratio) if ratio == "undefined" => {
                assert_eq!(found.metric.summary().ratio, None, "{id}");
            }
            Some(ratio) => assert_close(found.metric.summary().ratio.unwrap(), ratio),
            None => {}
        }
    }
    if let Some(sizes) = expected.get("discontinuity_size") {
        let sizes = sizes.as_object().unwrap();
        let summary = found.metric.summary();
        let total: u64 = sizes.values().map(|size| size.as_u64().unwrap()).sum();
        assert_eq!(summary.skipped, total, "{id} discontinuity_size");
        assert_eq!(summary.discontinuities, sizes.len() as u64, "{id}");
    }
    if let Some(duplicates) = expected.get("duplicates") {
        assert_eq!(found.duplicates, duplicates.as_u64().unwrap(), "{id}");
    }
    if let Some(received) = expected.get("L") {
        assert_eq!(found.metric.received(), received.as_u64().unwrap(), "{id}");
    }
}

#[test]
fn reordering_examples() {
    for id in [
        "rfc4737-table1",
        "rfc4737-table2",
        "rfc4737-table3",
        "rfc4737-table4",
        "rfc4737-nreord-block",
        "rfc4737-appA-ex2",
        "rfc6673-reorder-not-loss",
        "rfc4737-loss-and-reorder",
        "reorder-loss-only",
        "reorder-duplicate",
        "reorder-empty",
        "reorder-first-undefined",
        "ietf53-13245",
    ] {
        assert_reordering(id);
    }
}

#[test]
fn rollover_of_16_bits() {
    let vector = vector("reorder-rollover-16");
    let mut unwrapper = Unwrapper::<16>::with_bits();
    let wire = vector.numbers("arrival");
    let unwrapped: Vec<i64> = wire.iter().map(|&number| unwrapper.extend(number as u32).unwrap() as i64).collect();
    assert_eq!(unwrapped, numbers(vector.expected("unwrapped")));
    let found = reordered(&unwrapped);
    assert_eq!(found.packets, numbers(vector.expected("reordered_unwrapped")));
    let extents: BTreeMap<String, i64> = serde_json::from_value(vector.expected("extent").clone()).unwrap();
    assert_eq!(found.extents, extents);
}

#[test]
fn duplication_fractions() {
    for id in [
        "rfc5560-case1",
        "rfc5560-case2",
        "rfc5560-case3",
        "rfc5560-case4",
        "rfc5560-case2b",
        "rfc5560-case2c",
        "rfc5560-with-loss",
    ] {
        let vector = vector(id);
        let mut books = Reception::new(100);
        // Numbers count from 1: number 0 goes nowhere.
        books.on_sent(1 + vector.numbers("sent").len() as u64);
        for number in vector.numbers("arrival") {
            books.arrive(number as u64, 0, 1);
        }
        let fraction = books.duplication_fraction().unwrap();
        assert_close(fraction, vector.expected("duplication_fraction"));
    }
}

/// The sample of RFC 2330 has negative values, which no delay has: everything is shifted by 10.
const SHIFT: i64 = 10;

fn shifted(values: &[i64]) -> Distribution {
    let mut distribution = Distribution::new();
    for value in values {
        distribution.record(value + SHIFT);
    }
    distribution
}

#[test]
fn percentiles_of_rfc_2330() {
    for id in ["rfc2330-percentile", "rfc2330-percentile-15"] {
        let vector = vector(id);
        let sample = shifted(&vector.numbers("sample"));
        let values = vector.expected("value").as_array().unwrap();
        for (percent, value) in vector.numbers("percent").iter().zip(values) {
            let expected = value.as_i64().map(|v| v + SHIFT);
            assert!(expected.is_some() || value == "-infinity");
            assert_eq!(sample.percentile(*percent as f64), expected, "{percent} %");
        }
    }
}

#[test]
fn median_of_an_even_count() {
    let vector = vector("rfc2330-median-even");
    let sample = shifted(&vector.numbers("sample"));
    assert_close(sample.median().unwrap() - SHIFT as f64, vector.expected("median"));
    let p50 = sample.percentile(50.0).unwrap() - SHIFT;
    assert_eq!(p50, vector.expected("percentile50").as_i64().unwrap());
}

#[test]
fn a_percentile_with_a_fraction() {
    let vector = vector("pdv-99.9-pseudo-range");
    let mut delays = Distribution::new();
    (1..=1000).for_each(|delay| delays.record(delay));
    let p99_9 = vector.expected("percentile_99_9_us").as_i64();
    assert_eq!(delays.percentile(99.9), p99_9);
    assert_eq!(delays.minimum(), vector.expected("min_us").as_i64());
}

/// A stream with these delays in `unit` nanoseconds, null for lost.
fn stream(delays: &Value, unit: i64, tmax: i64) -> StreamResult {
    let delays = delays.as_array().unwrap();
    let configuration = StreamConfiguration::new(tmax * unit, 100);
    let mut stream = StreamAccumulator::new(&configuration).unwrap();
    stream.on_sent(delays.len() as u64);
    for (sequence, delay) in (0..).zip(delays) {
        if let Some(delay) = delay.as_i64() {
            stream.observe(&Observation {
                sequence,
                reflector_sequence: sequence,
                received_ns: delay * unit,
                ..Observation::default()
            });
        }
    }
    stream.finish()
}

#[test]
fn statistics_conditional_on_arrival() {
    let vector = vector("stream1-conditional");
    let result = stream(vector.input("delay_ms"), 1, 10_000);
    let delay = result.round_trip_total.summary();
    let whole = |name: &str| vector.expected(name).as_i64();
    assert_eq!(Some(result.counts.sent as i64), whole("n_sent"));
    assert_eq!(Some(delay.count as i64), whole("n_received"));
    assert_eq!(delay.min_ns, whole("min_ms"));
    assert_eq!(delay.max_ns, whole("max_ms"));
    assert_eq!(delay.p95_ns, whole("percentile95_ms"));
    let p50 = result.round_trip_total.percentile(50.0);
    assert_eq!(p50, whole("percentile50_ms"));
    assert_close(result.loss_ratio.unwrap(), vector.expected("loss_ratio"));
    assert_close(delay.mean_ns.unwrap(), vector.expected("mean_ms"));
    assert_close(delay.median_ns.unwrap(), vector.expected("median_ms"));
    assert_close(delay.stddev_ns.unwrap(), vector.expected("std_dev_population_ms"));
}

#[test]
fn loss_ratio() {
    let vector = vector("rfc7680-ratio");
    let mut books = Reception::new(10);
    let losses = vector.numbers("loss");
    books.on_sent(losses.len() as u64);
    for (sequence, _) in (0..).zip(&losses).filter(|(_, lost)| **lost == 0) {
        books.arrive(sequence, 0, 1);
    }
    assert_close(books.loss_ratio().unwrap(), vector.expected("loss_ratio"));
}

#[test]
fn an_empty_sample_defines_nothing() {
    let vector = vector("empty-sample");
    let result = stream(vector.input("sample"), 1, 1000);
    let delay = result.round_trip_total.summary();
    for (name, undefined) in [
        ("percentile", result.round_trip_total.percentile(95.0).is_none()),
        ("median", delay.median_ns.is_none()),
        ("minimum", delay.min_ns.is_none()),
        ("loss_ratio", result.loss_ratio.is_none()),
    ] {
        assert_eq!(vector.expected(name), "undefined");
        assert!(undefined, "{name}");
    }
    assert_eq!(result.counts, Counts::default());
}

#[test]
fn tmax_is_enforced() {
    let vector = vector("rethreshold");
    for (place, tmax) in vector.numbers("tmax_ms").into_iter().enumerate() {
        let result = stream(vector.input("delay_ms"), MILLISECOND, tmax);
        let lost = result.counts.late + result.lost;
        assert_eq!(Some(lost), vector.expected("lost_count")[place].as_u64());
        assert_close(result.loss_ratio.unwrap(), &vector.expected("loss_ratio")[place]);
        let mean = result.round_trip_total.mean().unwrap() / MILLISECOND as f64;
        assert_close(mean, &vector.expected("mean_ms")[place]);
    }
}
