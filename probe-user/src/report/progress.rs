//! The line that tells, while a measurement runs, how it goes: on a terminal's standard error, and nowhere else.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{grouped, percent, significant, time};

/// How far a run is. Its numbers are of all streams together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Time since the first departure.
    pub elapsed: Duration,
    /// How long the sending is planned to take.
    pub planned: Duration,
    /// Packets sent.
    pub sent: u64,
    /// Replies received.
    pub received: u64,
    /// Packets that have not come back: on their way or lost, nobody can tell yet.
    pub outstanding_or_lost: u64,
    /// The round trip of late, with the reflector's residence, in nanoseconds: an exponentially weighted mean.
    pub round_trip_ns: Option<i64>,
}

/// A progress line; it is cleared when dropped.
#[derive(Debug)]
pub struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    /// A line on standard error if that is a terminal, or one that shows nothing.
    pub fn on_stderr() -> Self {
        let visible = io::stderr().is_terminal();
        Self::on(if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() })
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(1), target);
        let style = ProgressStyle::with_template("{bar:20} {msg}").expect("the template is a constant, and right");
        bar.set_style(style.progress_chars("=> "));
        Self { bar }
    }

    /// Shows how far the run is.
    pub fn show(&self, progress: &Progress) {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.bar.set_length(milliseconds(progress.planned).max(1));
        self.bar.set_position(milliseconds(progress.elapsed.min(progress.planned)));
        self.bar.set_message(message(progress));
    }

    /// Clears the line, lets `print` write to the terminal, and shows the line again.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn message(progress: &Progress) -> String {
    let seconds = |duration: Duration| duration.as_secs_f64();
    let elapsed = seconds(progress.elapsed);
    let rate = if elapsed > 0.0 { progress.sent as f64 / elapsed } else { 0.0 };
    let missing = match progress.sent {
        0 => String::new(),
        sent => format!(" ({})", percent(progress.outstanding_or_lost as f64 / sent as f64)),
    };
    let round_trip = progress.round_trip_ns.map_or_else(|| "-".to_owned(), |round_trip| time(round_trip, 3));
    format!(
        "{elapsed:.0}/{:.0} s  sent {} ({} pps)  not back {}{missing}  round trip {round_trip}",
        seconds(progress.planned),
        grouped(progress.sent),
        significant(rate, 3, 3),
        grouped(progress.outstanding_or_lost),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_rate_loss_and_delay() {
        let progress = Progress {
            elapsed: Duration::from_secs(3),
            planned: Duration::from_secs(10),
            sent: 300_000,
            received: 299_997,
            outstanding_or_lost: 3,
            round_trip_ns: Some(9_551),
        };
        let expected = "3/10 s  sent 300,000 (100000 pps)  not back 3 (0.001 %)  round trip 9.55 µs";
        assert_eq!(message(&progress), expected);
    }

    #[test]
    fn before_the_first_packet_nothing_is_claimed() {
        assert_eq!(message(&Progress::default()), "0/0 s  sent 0 (0 pps)  not back 0  round trip -");
    }
}
