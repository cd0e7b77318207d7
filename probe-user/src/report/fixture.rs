//! Plausible results for the tests of the renderers and of the schema.

use super::model::*;

/// A run of a periodic stream at 100 kpps, twelve packets lost by the network.
pub(super) fn periodic() -> Measurement {
    Measurement {
        schema: Schema::default(),
        run: run(),
        stream: stream(0, Schedule::Periodic, 100_000.0),
        packets: Packets {
            sent: 1_000_000,
            received: 999_988,
            lost: 12,
            lost_forward: Some(9),
            lost_backward: Some(3),
            duplicates: 1,
            reordered: 3,
            ..Packets::default()
        },
        loss_ratio: Some(0.000_012),
        loss_ratio_y1540: Some(0.000_012),
        delay: Delays {
            round_trip: statistics(999_988, [8_210, 9_551, 12_300, 15_010, 51_700, 1_230_000], 9_874.2, 2_104.0),
            round_trip_total: statistics(999_988, [8_290, 9_640, 12_420, 15_100, 51_900, 1_231_000], 9_961.0, 2_106.0),
            forward: statistics(999_988, [4_010, 4_721, 6_100, 7_480, 25_300, 640_000], 4_880.0, 1_050.0),
            backward: statistics(999_988, [4_180, 4_830, 6_220, 7_530, 26_400, 590_000], 4_994.0, 1_061.0),
            residence: statistics(999_988, [71, 87, 112, 140, 980, 2_210], 87.4, 12.0),
            significant_digits: 3,
        },
        reordering: Reordering {
            ratio: Some(3e-6),
            reordered: 3,
            max_extent: Some(4),
            max_extent_at_least: false,
            discontinuities: 15,
        },
        sending: Sending {
            achieved_pps: Some(99_999.8),
            departure_error: statistics(1_000_000, [12, 210, 640, 1_120, 3_400, 18_200], 262.0, 180.0),
            late_departures: 2,
            late_threshold_ns: Some(10_000),
        },
        timestamps: Timestamps {
            t1: Some("user, before submission to the driver".into()),
            t2: Some("reflector, eBPF at the driver hook".into()),
            t3: Some("reflector, eBPF at the driver hook".into()),
            t4: Some("eBPF at the driver hook".into()),
            format: TimestampFormat::Ntp,
            clocks_comparable: true,
            error_ns: Some(1_000),
        },
        path: path(),
        reflector: Reflector { kind: ReflectorKind::Stateful, counters: None },
        tester_drops: TesterDrops::default(),
        undefined: [].into(),
        validity: Validity { verdict: Verdict::Valid, reasons: Vec::new() },
    }
}

/// A run of a Poisson stream that met a stateless reflector whose clock runs free, and a tester that lost packets.
pub(super) fn poisson() -> Measurement {
    let text = str::to_owned;
    Measurement {
        stream: Stream {
            ssid: 4712,
            source_port: 49_153,
            seed: 43,
            dscp: 46,
            ..stream(1, Schedule::Poisson, 10_000.0)
        },
        packets: Packets {
            sent: 99_871,
            received: 99_829,
            lost: 42,
            dropped_by_tester: 40,
            unattributable: 2,
            foreign: 1,
            ..Packets::default()
        },
        loss_ratio: Some(42.0 / 99_871.0),
        loss_ratio_y1540: Some(42.0 / 99_871.0),
        delay: Delays {
            round_trip: statistics(
                99_829,
                [21_030_000, 21_120_000, 21_890_000, 23_400_000, 31_700_000, 48_020_000],
                21_260_000.0,
                811_000.0,
            ),
            round_trip_total: statistics(
                99_829,
                [21_090_000, 21_190_000, 21_960_000, 23_480_000, 31_800_000, 48_100_000],
                21_330_000.0,
                812_000.0,
            ),
            forward: DelayStatistics::default(),
            backward: DelayStatistics::default(),
            residence: statistics(99_829, [52_000, 66_900, 80_100, 96_000, 210_000, 1_020_000], 68_120.0, 9_200.0),
            significant_digits: 3,
        },
        reordering: Reordering { ratio: Some(0.0), discontinuities: 38, ..Reordering::default() },
        sending: Sending { achieved_pps: Some(9_987.1), ..periodic().sending },
        timestamps: Timestamps { clocks_comparable: false, error_ns: None, ..periodic().timestamps },
        reflector: Reflector { kind: ReflectorKind::Stateless, counters: None },
        tester_drops: TesterDrops::at([DropPlace {
            place: text("the receive ring, full"),
            counter: text("XDP_STATISTICS rx_ring_full"),
            count: 40,
        }]),
        undefined: [
            ("delay.forward", "the reflector's clock is not synchronised"),
            ("delay.backward", "the reflector's clock is not synchronised"),
            ("packets.lost_forward", "the reflector copies sequence numbers"),
            ("packets.lost_backward", "the reflector copies sequence numbers"),
        ]
        .map(|(path, reason)| (text(path), text(reason)))
        .into(),
        validity: Validity {
            verdict: Verdict::Invalid,
            reasons: vec![text(
                "The tester lost 40 frames at the receive ring, full: lower the rate or use more queues.",
            )],
        },
        ..periodic()
    }
}

/// A run that nobody answered.
pub(super) fn silence() -> Measurement {
    let nothing = DelayStatistics::default;
    let reason = "no reply came back".to_owned();
    let undefined = ["packets.lost_forward", "packets.lost_backward", "delay.round_trip", "delay.round_trip_total"]
        .into_iter()
        .chain(["delay.forward", "delay.backward", "delay.residence", "reordering.ratio"]);
    Measurement {
        stream: Stream { count: Some(10), duration_ns: None, target: "reflector.example".into(), ..periodic().stream },
        packets: Packets { sent: 10, lost: 10, unattributable: 10, ..Packets::default() },
        loss_ratio: Some(1.0),
        loss_ratio_y1540: Some(1.0),
        delay: Delays {
            round_trip: nothing(),
            round_trip_total: nothing(),
            forward: nothing(),
            backward: nothing(),
            residence: nothing(),
            significant_digits: 3,
        },
        reordering: Reordering::default(),
        timestamps: Timestamps {
            t2: None,
            t3: None,
            t4: None,
            clocks_comparable: false,
            error_ns: None,
            ..periodic().timestamps
        },
        path: Path { driver: None, mtu: None, next_hop: None, via: Via::Socket, xdp_mode: XdpMode::None, ..path() },
        reflector: Reflector { kind: ReflectorKind::Unknown, counters: None },
        undefined: undefined.map(|path| (path.to_owned(), reason.clone())).collect(),
        validity: Validity {
            verdict: Verdict::Unattributable,
            reasons: vec!["Nobody answered, so nobody knows which way the packets died.".into()],
        },
        ..periodic()
    }
}

/// An intermediate result.
pub(super) fn interval() -> IntervalResult {
    IntervalResult {
        schema: IntervalSchema::default(),
        stream: 0,
        start: "2026-11-02T03:55:42Z".parse().unwrap(),
        end: "2026-11-02T03:55:43Z".parse().unwrap(),
        sent: 100_000,
        received: 99_998,
        duplicates: 0,
        reordered: 1,
        round_trip: periodic().delay.round_trip,
    }
}

pub(super) fn run() -> Run {
    Run {
        start: "2026-11-02T03:55:42.000120337Z".parse().unwrap(),
        end: "2026-11-02T03:55:55.004Z".parse().unwrap(),
        tmax_ns: 3_000_000_000,
        ended_early: false,
        program: Program { name: "leadline".into(), version: "0.1.0".into() },
        host: Host { kernel: "6.18.0".into(), cpus: 2, clock_source: Some("tsc".into()), tai_utc_offset_s: Some(0) },
    }
}

fn stream(index: u32, schedule: Schedule, rate_pps: f64) -> Stream {
    Stream {
        index,
        target: "198.18.0.2".into(),
        schedule,
        rate_pps,
        size: 72,
        count: None,
        duration_ns: Some(10_000_000_000),
        seed: 42,
        dscp: 0,
        ttl: 255,
        source_address: "198.18.0.1".parse().unwrap(),
        source_port: 49_152,
        destination_address: "198.18.0.2".parse().unwrap(),
        destination_port: 862,
        ssid: 4711,
    }
}

fn path() -> Path {
    Path {
        interface: "probe0".into(),
        driver: Some("veth".into()),
        xdp_mode: XdpMode::Native,
        zero_copy: false,
        queues: 2,
        via: Via::Xdp,
        mtu: Some(1500),
        next_hop: Some(NextHop { address: "198.18.0.2".parse().unwrap(), mac: Some("02:00:00:00:00:02".into()) }),
    }
}

/// Statistics from [min, median, p95, p99, p99.9, max], mean and standard deviation.
fn statistics(count: u64, [min, median, p95, p99, p99_9, max]: [i64; 6], mean: f64, stddev: f64) -> DelayStatistics {
    DelayStatistics {
        count,
        negative: 0,
        min_ns: Some(min),
        mean_ns: Some(mean),
        median_ns: Some(median),
        p95_ns: Some(p95),
        p99_ns: Some(p99),
        p99_9_ns: Some(p99_9),
        max_ns: Some(max),
        stddev_ns: Some(stddev),
    }
}
