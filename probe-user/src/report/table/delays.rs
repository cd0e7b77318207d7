//! The table of delays: a row for each kind, each in the unit that suits its median.

use std::fmt::Write;

use super::{INDENT, labelled, undefined_because};
use crate::report::Style;
use crate::report::model::{DelayStatistics, Measurement};
use crate::report::text::{Unit, counted, grouped};

pub(super) fn render(measurement: &Measurement, style: Style) -> String {
    let delay = &measurement.delay;
    let digits = delay.significant_digits;
    let rows = [
        ("round trip", "delay.round_trip", &delay.round_trip),
        ("with residence", "delay.round_trip_total", &delay.round_trip_total),
        ("forward", "delay.forward", &delay.forward),
        ("backward", "delay.backward", &delay.backward),
        ("residence", "delay.residence", &delay.residence),
    ];
    if rows.iter().all(|(.., statistics)| statistics.median_ns.is_none()) {
        return labelled("Delay", &undefined_because(measurement, "delay.round_trip"));
    }
    let head = ["N", "min", "mean", "median", "p95", "p99", "p99.9", "max", "stddev"];
    let mut text = format!("{}\n", style.bold(&delay_row("Delay", "", head.map(str::to_owned))));
    for (label, path, statistics) in rows {
        text += &match statistics.median_ns {
            Some(median) => measured_delay(label, statistics, Unit::suiting(median), digits),
            None => labelled(label, &undefined_because(measurement, path)),
        };
    }
    let count = delay.round_trip.count;
    if (1..1000).contains(&count) {
        let sample = counted(count, "packet");
        text += &labelled("", &format!("A percentile of {sample} resolves 1/{count}."));
    }
    let round_trips = [("round trip", &delay.round_trip), ("total round trip", &delay.round_trip_total)];
    for (noun, statistics) in round_trips {
        if statistics.negative > 0 {
            let negative = counted(statistics.negative, noun);
            text += &labelled("", &format!("Negative: {negative}; look into the clocks."));
        }
    }
    text
}

fn measured_delay(label: &str, statistics: &DelayStatistics, unit: Unit, digits: u8) -> String {
    let whole = |value: Option<i64>| value.map(|value| value as f64);
    let values = [
        whole(statistics.min_ns),
        statistics.mean_ns,
        whole(statistics.median_ns),
        whole(statistics.p95_ns),
        whole(statistics.p99_ns),
        whole(statistics.p99_9_ns),
        whole(statistics.max_ns),
        statistics.stddev_ns,
    ];
    let [min, mean, median, p95, p99, p99_9, max, stddev] =
        values.map(|value| value.map_or_else(|| "-".to_owned(), |value| unit.number(value, digits)));
    let cells = [grouped(statistics.count), min, mean, median, p95, p99, p99_9, max, stddev];
    format!("{}\n", delay_row(label, unit.name, cells))
}

fn delay_row(label: &str, unit: &str, cells: [String; 9]) -> String {
    let [count, values @ ..] = cells;
    let mut row = format!("{label:<INDENT$}{unit:<2}{count:>13}");
    for value in values {
        let _ = write!(row, "{value:>8}");
    }
    row
}
