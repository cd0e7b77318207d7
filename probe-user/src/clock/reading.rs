//! What one reading costs, how fine it is, and how a person reads it.

use std::fs;

use jiff::Timestamp;
use nix::time::{ClockId, clock_getres};

use super::{Clock, TaiClock};

const NANOSECONDS: i64 = 1_000_000_000;

/// What reading a clock costs, and the finest difference that it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadCost {
    /// Nanoseconds that one reading takes, at best.
    pub read_ns: f64,
    /// The smallest step between two different readings that was seen, in nanoseconds. At least 1; it is no finer than
    /// a reading takes.
    pub step_ns: u64,
    /// What the kernel states as the resolution of the clock, in nanoseconds: 1 for a fine clock, a timer tick for a
    /// coarse one.
    pub resolution_ns: u64,
}

/// Measures what a reading of [`TaiClock`] costs. It takes about a millisecond.
///
/// The best of many short rounds counts, because an interruption only ever adds time. Above some 200 ns a reading is
/// a system call or goes to a slow device.
#[must_use]
pub fn measure_read_cost() -> ReadCost {
    let resolution_ns = clock_getres(ClockId::CLOCK_TAI)
        .map_or(1, |resolution| (resolution.tv_sec() * NANOSECONDS + resolution.tv_nsec()).unsigned_abs());
    read_cost(&TaiClock, resolution_ns)
}

fn read_cost(clock: &impl Clock, resolution_ns: u64) -> ReadCost {
    const ROUNDS: usize = 64;
    const READINGS: u32 = 256;
    let mut shortest = i64::MAX;
    let mut step = i64::MAX;
    for _ in 0..ROUNDS {
        let start = clock.now();
        let mut last = start;
        for _ in 0..READINGS {
            let now = clock.now();
            if now > last {
                step = step.min(now - last);
            }
            last = now;
        }
        // A clock that is set back in mid-round would show a negative cost.
        if last > start {
            shortest = shortest.min(last - start);
        }
    }
    ReadCost {
        read_ns: if shortest == i64::MAX { 0.0 } else { shortest as f64 / f64::from(READINGS) },
        step_ns: if step == i64::MAX { resolution_ns } else { step.unsigned_abs() },
        resolution_ns,
    }
}

/// The folder in which the kernel tells the clock source in use and those that it could use. It is the same in every
/// network namespace.
pub const CLOCK_SOURCE_FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";

/// The kernel's clock source, such as `tsc`; `None` where `/sys` does not show it.
#[must_use]
pub fn clock_source() -> Option<String> {
    let text = fs::read_to_string(format!("{CLOCK_SOURCE_FOLDER}/current_clocksource")).ok()?;
    Some(text.trim().to_owned())
}

/// A time in nanoseconds of TAI since 1970 as UTC, where TAI is ahead of it by `tai_utc_offset` seconds (see
/// [`tai_utc_offset`](super::tai_utc_offset)).
#[must_use]
pub fn utc(tai_ns: i64, tai_utc_offset: i32) -> Timestamp {
    let utc_ns = i128::from(tai_ns) - i128::from(tai_utc_offset) * i128::from(NANOSECONDS);
    match Timestamp::from_nanosecond(utc_ns) {
        Ok(utc) => utc,
        Err(_) => unreachable!("64 bits of nanoseconds reach from 1677 to 2262, which a timestamp can hold"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Ticks once every third reading, by 30 ns.
    struct Coarse(Cell<i64>);

    impl Clock for Coarse {
        fn now(&self) -> i64 {
            self.0.set(self.0.get() + 1);
            self.0.get() / 3 * 30
        }
    }

    #[test]
    fn a_coarse_clock_shows_its_step_and_its_cost() {
        let cost = read_cost(&Coarse(Cell::new(0)), 1);
        assert_eq!(cost.step_ns, 30);
        assert!((cost.read_ns - 10.0).abs() < 0.2, "{cost:?}");
    }

    #[test]
    fn a_clock_that_stands_still_divides_by_nothing() {
        let cost = read_cost(&crate::clock::ManualClock::new(7), 4_000_000);
        assert_eq!(cost, ReadCost { read_ns: 0.0, step_ns: 4_000_000, resolution_ns: 4_000_000 });
    }

    #[test]
    fn the_real_clock_costs_something() {
        let cost = measure_read_cost();
        assert!(cost.read_ns > 0.0 && cost.read_ns < 1_000_000.0, "{cost:?}");
        assert!(cost.step_ns > 0);
    }

    #[test]
    fn a_time_is_written_in_utc_with_all_its_digits() {
        // `date -u -d @1700000000` gives 2023-11-14 22:13:20.
        assert_eq!(format!("{:.9}", utc(1_700_000_037_000_000_001, 37)), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(format!("{:.9}", utc(0, 0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format!("{:.9}", utc(-1, 0)), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn the_ends_of_the_range_can_be_written() {
        assert!(format!("{:.9}", utc(i64::MIN, i32::MAX)).starts_with("1609-"));
        assert!(format!("{:.9}", utc(i64::MAX, i32::MIN)).starts_with("2330-"));
    }
}
