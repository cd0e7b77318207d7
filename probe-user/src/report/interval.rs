//! Intermediate results as rows of a table, one line each, for `--interval` with `--format table`. With `--format json`
//! they are JSON lines on standard error, because standard output then carries exactly one document.

use jiff::Timestamp;

use super::model::IntervalResult;
use super::text::{grouped, time};

/// The head of the rows, with its line feed.
pub fn header() -> String {
    row(["interval from (UTC)", "stream", "sent", "received", "duplicate", "reordered", "median", "p99", "max"])
}

/// One result as a row, with its line feed. The delays are the network's share of the round trip.
pub fn render(result: &IntervalResult) -> String {
    let delay = &result.round_trip;
    let delays = [delay.median_ns, delay.p99_ns, delay.max_ns];
    let [median, p99, max] = delays.map(|value| value.map_or_else(|| "-".to_owned(), |value| time(value, 3)));
    row([
        &clock_time(result.start),
        &result.stream.to_string(),
        &grouped(result.sent),
        &grouped(result.received),
        &grouped(result.duplicates),
        &grouped(result.reordered),
        &median,
        &p99,
        &max,
    ])
}

/// A time of day to the millisecond.
fn clock_time(instant: Timestamp) -> String {
    instant.strftime("%H:%M:%S%.3f").to_string()
}

fn row(cells: [&str; 9]) -> String {
    let [start, stream, sent, received, duplicate, reordered, median, p99, max] = cells;
    format!(
        "{start:<19} {stream:>6} {sent:>11} {received:>11} {duplicate:>9} {reordered:>9} {median:>9} {p99:>9} {max:>9}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::model::DelayStatistics;

    #[test]
    fn rows_stand_under_their_heads() {
        let mut silent = fixture::interval();
        silent.stream = 1;
        silent.received = 0;
        silent.round_trip = DelayStatistics::default();
        let rows = [header(), render(&fixture::interval()), render(&silent)].concat();
        let expected = "\
interval from (UTC) stream        sent    received duplicate reordered    median       p99       max
03:55:42.000             0     100,000      99,998         0         1   9.55 µs   15.0 µs   1.23 ms
03:55:42.000             1     100,000           0         0         1         -         -         -
";
        assert_eq!(rows, expected);
    }
}
