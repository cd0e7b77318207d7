//! A report for people: what was measured, what became of the packets, how long they took, and whether it may be
//! believed. It fits in 96 columns. It colours the verdict, which is about the measurement, and nothing else: what
//! loss or delay is good enough is the reader's to say.

mod delays;

use std::fmt::Write;
use std::time::Duration;

use super::Style;
use super::model::{Measurement, Path, ReflectorKind, Report, Run, TimestampFormat, Verdict, Via, XdpMode};
use super::text::{counted, grouped, percent, significant, time, wrapped};
use crate::configuration::DurationText;

const WIDTH: usize = 96;
/// Where the text of a labelled line begins.
const INDENT: usize = 15;

/// The whole report, with a line feed at its end.
pub fn render(report: &Report, style: Style) -> String {
    let measurements = report.measurements();
    let mut text = String::new();
    if let Some(first) = measurements.first() {
        text += &style.bold(&run_line(report.run(), &first.path));
        text.push('\n');
        text += &labelled("Time", &time_line(report.run()));
        text += &labelled("Path", &path_line(&first.path));
    }
    for measurement in measurements {
        text.push('\n');
        text += &stream(measurement, style);
    }
    if measurements.len() != 1 {
        text.push('\n');
        text += &verdict("All streams", report.validity().verdict, style);
    }
    text
}

fn run_line(run: &Run, path: &Path) -> String {
    let program = &run.program;
    format!("{} {}: measured through {}", program.name, program.version, path.interface)
}

fn time_line(run: &Run) -> String {
    let day = run.start.strftime("%F");
    let (start, end) = (run.start.strftime("%T%.3f"), run.end.strftime("%T%.3f"));
    let wait = DurationText(Duration::from_nanos(run.tmax_ns.unsigned_abs()));
    let early = if run.ended_early { "; ended early" } else { "" };
    format!("{day} {start} to {end} UTC; a packet not back after {wait} is lost{early}")
}

fn path_line(path: &Path) -> String {
    let mut parts = vec![match &path.driver {
        Some(driver) => format!("{} ({driver})", path.interface),
        None => path.interface.clone(),
    }];
    parts.push(match (path.via, path.xdp_mode) {
        (Via::Socket, _) => "UDP socket".to_owned(),
        (Via::Xdp, mode) => {
            let copy = if path.zero_copy { "zero-copy" } else { "copy mode" };
            let mode = match mode {
                XdpMode::Native => "native XDP",
                XdpMode::Generic => "generic XDP",
                XdpMode::None => "no XDP",
            };
            format!("{mode}, {copy}")
        }
    });
    parts.push(counted(path.queues.into(), "queue"));
    parts.extend(path.mtu.map(|mtu| format!("MTU {mtu}")));
    parts.join(", ")
}

fn stream(measurement: &Measurement, style: Style) -> String {
    let mut text = format!("{}\n", style.bold(&title(measurement)));
    text += &labelled("Stream", &stream_line(measurement));
    text.push('\n');
    text += &packets(measurement, style);
    text += &labelled("Loss", &loss_line(measurement));
    text.push('\n');
    text += &delays::render(measurement, style);
    text.push('\n');
    text += &labelled("Reordering", &reordering_line(measurement));
    text += &labelled("Sending", &sending_line(measurement));
    text += &labelled("Timestamps", &timestamps_line(measurement));
    text += &labelled("Clocks", &clocks_line(measurement));
    text += &labelled("Reflector", &reflector_line(measurement));
    text += &tester(measurement);
    text += &undefined(measurement);
    text += &verdict("Verdict", measurement.validity.verdict, style);
    for reason in &measurement.validity.reasons {
        text += &labelled("", reason);
    }
    text
}

fn title(measurement: &Measurement) -> String {
    let stream = &measurement.stream;
    let source = std::net::SocketAddr::new(stream.source_address, stream.source_port);
    let destination = std::net::SocketAddr::new(stream.destination_address, stream.destination_port);
    let name = match stream.target == stream.destination_address.to_string() {
        true => String::new(),
        false => format!(" ({})", stream.target),
    };
    format!("Stream {}: {source} to {destination}{name}", stream.index)
}

fn stream_line(measurement: &Measurement) -> String {
    let stream = &measurement.stream;
    let extent = match (stream.count, stream.duration_ns) {
        (Some(count), _) => counted(count, "packet"),
        (None, Some(duration)) => DurationText(Duration::from_nanos(duration.unsigned_abs())).to_string(),
        (None, None) => "unlimited".to_owned(),
    };
    let mut line = format!(
        "{} at {}, {extent}; {} octets of IPv{}, DSCP {}, TTL {}, SSID {}, seed {}",
        stream.schedule,
        packet_rate(stream.rate_pps, 6),
        stream.size,
        if stream.destination_address.is_ipv6() { 6 } else { 4 },
        stream.dscp,
        stream.ttl,
        stream.ssid,
        stream.seed,
    );
    if let Some(next_hop) = &measurement.path.next_hop {
        let mac = next_hop.mac.as_ref().map(|mac| format!(" ({mac})")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(line, "; next hop {}{mac}", next_hop.address);
    }
    line
}

fn packet_rate(packets_per_second: f64, digits: u8) -> String {
    let (value, unit) = match packets_per_second {
        rate if rate >= 1e6 => (rate / 1e6, "Mpps"),
        rate if rate >= 1e3 => (rate / 1e3, "kpps"),
        rate => (rate, "pps"),
    };
    let number = significant(value, digits, 9);
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number} {unit}")
}

fn packets(measurement: &Measurement, style: Style) -> String {
    let packets = &measurement.packets;
    let columns = [
        ("sent", packets.sent),
        ("received", packets.received),
        ("lost", packets.lost),
        ("late", packets.late),
        ("corrupted", packets.corrupted),
        ("duplicate", packets.duplicates),
        ("reordered", packets.reordered),
        ("foreign", packets.foreign),
    ];
    let (mut head, mut row) = (format!("{:<8}", "Packets"), " ".repeat(8));
    for (name, count) in columns {
        let width = if matches!(name, "sent" | "received") { 13 } else { 10 };
        head += &format!("{name:>width$}");
        row += &format!("{:>width$}", grouped(count));
    }
    format!("{}\n{row}\n", style.bold(&head))
}

fn loss_line(measurement: &Measurement) -> String {
    let packets = &measurement.packets;
    let ratio = measurement.loss_ratio.map_or_else(|| "undefined".to_owned(), percent);
    let direction = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), grouped);
    format!(
        "{ratio}; of {} lost: forward {}, backward {}, by the tester {}, unattributable {}",
        grouped(packets.lost),
        direction(packets.lost_forward),
        direction(packets.lost_backward),
        grouped(packets.dropped_by_tester),
        grouped(packets.unattributable),
    )
}

fn reordering_line(measurement: &Measurement) -> String {
    let reordering = &measurement.reordering;
    let Some(ratio) = reordering.ratio.map(percent) else {
        return undefined_because(measurement, "reordering.ratio");
    };
    let extent = match (reordering.max_extent, reordering.max_extent_at_least) {
        (Some(extent), false) => format!("; largest extent {}", counted(extent, "packet")),
        (Some(extent), true) => format!("; largest extent at least {}", counted(extent, "packet")),
        (None, _) => String::new(),
    };
    let discontinuities = match reordering.discontinuities {
        1 => "1 discontinuity".to_owned(),
        many => format!("{} discontinuities", grouped(many)),
    };
    format!("{ratio} of the packets received{extent}; {discontinuities} in the sequence")
}

fn sending_line(measurement: &Measurement) -> String {
    let sending = &measurement.sending;
    let achieved = sending.achieved_pps.map_or_else(|| "undefined".to_owned(), |rate| packet_rate(rate, 6));
    let asked = packet_rate(measurement.stream.rate_pps, 6);
    let error = &sending.departure_error;
    let digits = measurement.delay.significant_digits;
    let errors = match (error.median_ns, error.p99_9_ns, error.max_ns) {
        (Some(median), Some(p99_9), Some(max)) => {
            let [median, p99_9, max] = [median, p99_9, max].map(|value| time(value, digits));
            format!("; departures late by {median} (median), {p99_9} (p99.9), {max} (max)")
        }
        _ => String::new(),
    };
    let threshold = sending.late_threshold_ns.map(|threshold| format!(" by more than {}", time(threshold, digits)));
    format!(
        "{achieved} of {asked} asked for{errors}; {} late{}",
        grouped(sending.late_departures),
        threshold.unwrap_or_default(),
    )
}

fn timestamps_line(measurement: &Measurement) -> String {
    let stamps = &measurement.timestamps;
    let mut places: Vec<(String, &str)> = Vec::new();
    for (name, place) in [("T1", &stamps.t1), ("T2", &stamps.t2), ("T3", &stamps.t3), ("T4", &stamps.t4)] {
        let place = place.as_deref().unwrap_or("unknown");
        match places.last_mut() {
            Some((names, last)) if *last == place => *names += &format!(", {name}"),
            _ => places.push((name.to_owned(), place)),
        }
    }
    let places: Vec<_> = places.iter().map(|(names, place)| format!("{names} {place}")).collect();
    let format = match stamps.format {
        TimestampFormat::Ntp => "NTP",
        TimestampFormat::Ptp => "PTP",
    };
    format!("{}; {format} format", places.join("; "))
}

fn clocks_line(measurement: &Measurement) -> String {
    let stamps = &measurement.timestamps;
    let digits = measurement.delay.significant_digits;
    match (stamps.clocks_comparable, stamps.error_ns) {
        (true, Some(error)) => format!("comparable within {}", time(error, digits)),
        (true, None) => "comparable, with an error that nobody states".to_owned(),
        (false, _) => "not comparable; round trip and residence need no common clock".to_owned(),
    }
}

fn reflector_line(measurement: &Measurement) -> String {
    let kind = match measurement.reflector.kind {
        ReflectorKind::Stateful => "stateful: it numbers its replies",
        ReflectorKind::Stateless => "stateless: it copies our numbers, so the direction of loss is unknown",
        ReflectorKind::Unknown => "of unknown kind",
    };
    let counters = match measurement.reflector.counters {
        Some(_) => "its counters were read before and after",
        None => "its counters were not read",
    };
    format!("{kind}; {counters}")
}

fn tester(measurement: &Measurement) -> String {
    let drops = &measurement.tester_drops;
    if drops.total == 0 {
        return labelled("Tester", "lost nothing");
    }
    let places = drops
        .places
        .iter()
        .map(|place| format!("{} at {} ({})", grouped(place.count), place.place, place.counter))
        .collect::<Vec<_>>();
    labelled("Tester", &format!("lost {}: {}", counted(drops.total, "frame"), places.join("; ")))
}

fn undefined(measurement: &Measurement) -> String {
    let elsewhere = |path: &str| path.starts_with("delay.") || path == "reordering.ratio";
    let reasons = measurement.undefined.iter().filter(|(path, _)| !elsewhere(path));
    let mut label = "Undefined";
    let mut text = String::new();
    for (path, reason) in reasons {
        text += &labelled(label, &format!("{path}: {reason}"));
        label = "";
    }
    text
}

fn verdict(label: &str, verdict: Verdict, style: Style) -> String {
    let word = match verdict {
        Verdict::Valid => style.green("valid"),
        Verdict::Unattributable => style.yellow("unattributable"),
        Verdict::Invalid => style.red("invalid"),
    };
    format!("{}{word}\n", style.bold(&format!("{label:<INDENT$}")))
}

fn undefined_because(measurement: &Measurement, path: &str) -> String {
    match measurement.undefined.get(path) {
        Some(reason) => format!("undefined: {reason}"),
        None => "undefined".to_owned(),
    }
}

fn labelled(label: &str, line: &str) -> String {
    format!("{label:<INDENT$}{}\n", wrapped(line, WIDTH, INDENT))
}

#[cfg(test)]
mod tests {
    use snapbox::{assert_data_eq, file};

    use super::*;
    use crate::report::fixture;

    fn render_one(measurement: Measurement) -> String {
        render(&Report::One(Box::new(measurement)), Style::PLAIN)
    }

    #[test]
    fn one_stream() {
        assert_data_eq!(render_one(fixture::periodic()), file!["../snapshots/one_stream.txt"].raw());
    }

    #[test]
    fn two_streams() {
        let report = Report::new(fixture::run(), vec![fixture::periodic(), fixture::poisson()]);
        assert_data_eq!(render(&report, Style::PLAIN), file!["../snapshots/two_streams.txt"].raw());
    }

    #[test]
    fn no_reply() {
        assert_data_eq!(render_one(fixture::silence()), file!["../snapshots/no_reply.txt"].raw());
    }

    #[test]
    fn nothing_is_wider_than_a_terminal() {
        let mut widest = fixture::poisson();
        widest.packets.sent = 600_000_000;
        widest.packets.received = 599_999_999;
        widest.delay.round_trip.count = 599_999_999;
        let report = Report::new(fixture::run(), vec![widest, fixture::silence()]);
        for line in render(&report, Style::PLAIN).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.ends_with(' '), "{line:?}");
        }
    }

    #[test]
    fn colour_is_for_terminals_only() {
        let report = Report::One(Box::new(fixture::periodic()));
        assert!(!render(&report, Style::PLAIN).contains('\x1b'));
        assert!(render(&report, Style::COLOUR).contains("\x1b[1;32mvalid\x1b[0m"));
    }

    #[test]
    fn negative_round_trips_are_told() {
        let mut measurement = fixture::periodic();
        measurement.delay.round_trip.negative = 5;
        assert!(render_one(measurement).contains("Negative: 5 round trips; look into the clocks."));
    }
}
