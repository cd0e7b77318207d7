//! Durations with their units, read and printed without rounding.

use std::fmt;
use std::time::Duration;

use super::ValueError;
use super::number::{Inexact, Quantity, decimal};

/// The longest duration that is taken: 366 days, in nanoseconds.
const LONGEST_NS: u128 = 366 * 24 * 3600 * 1_000_000_000;

const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const HELP: &str = "write a number and a unit: ns, us, ms, s, min or h, as in 500ms or 10s";

/// Reads a duration such as `10s`, `1.5 ms` or `2min`: from 0 to 366 days, exact to the nanosecond.
///
/// # Errors
/// A bare number (it could mean anything), an unknown unit, a fraction of a nanosecond, or more than 366 days.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    let quantity = Quantity::split(text).ok_or_else(|| ValueError::new("this is not a duration", HELP))?;
    let unit = quantity.unit.replace(['µ', 'μ'], "u");
    if unit.is_empty() {
        return Err(ValueError::new("a duration needs a unit", HELP));
    }
    let (_, factor) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| ValueError::new(format!("{} is not a unit of time", quantity.unit), HELP))?;
    match quantity.times(factor) {
        Ok(nanoseconds) if nanoseconds <= LONGEST_NS => Ok(from_nanoseconds(nanoseconds)),
        Ok(_) | Err(Inexact::TooLarge) => {
            Err(ValueError::new("this is longer than 366 days", "give at most 366 days (8784h)"))
        }
        Err(Inexact::Fraction) => {
            Err(ValueError::new("this is finer than a nanosecond", "give a whole number of nanoseconds"))
        }
    }
}

fn from_nanoseconds(nanoseconds: u128) -> Duration {
    let second = 1_000_000_000;
    // At most 366 days: both parts fit.
    Duration::new((nanoseconds / second) as u64, (nanoseconds % second) as u32)
}

/// Prints a duration exactly, so that [`parse_duration`] reads the same one: `10s`, `1.5ms`, `2min`.
#[derive(Debug, Clone, Copy)]
pub struct DurationText(
    /// The duration to print.
    pub Duration,
);

impl fmt::Display for DurationText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let fits = |name: &str, factor: u128| match name {
            // Nobody reads 0.025h.
            "h" | "min" => nanoseconds.is_multiple_of(factor),
            _ => nanoseconds >= factor,
        };
        let (name, factor) = match nanoseconds {
            0 => ("s", 1),
            _ => UNITS.into_iter().find(|(name, factor)| fits(name, *factor)).unwrap_or(("ns", 1)),
        };
        formatter.pad(&format!("{}{name}", exact(nanoseconds, factor)))
    }
}

fn exact(nanoseconds: u128, factor: u128) -> String {
    // Hours and minutes are printed only when they come out whole, so every other factor is a power of ten.
    if nanoseconds.is_multiple_of(factor) { (nanoseconds / factor).to_string() } else { decimal(nanoseconds, factor) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, nanoseconds) in [
            ("10s", 10_000_000_000),
            ("1.5ms", 1_500_000),
            ("250 us", 250_000),
            ("3µs", 3_000),
            ("7ns", 7),
            ("2min", 120_000_000_000),
            ("0.5h", 1_800_000_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text).map(|duration| duration.as_nanos()), Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for (text, why) in [
            ("10", "a duration needs a unit"),
            ("10 parsecs", "parsecs is not a unit of time"),
            ("10S", "S is not a unit of time"),
            ("s", "this is not a duration"),
            ("", "this is not a duration"),
            ("-1s", "this is not a duration"),
            ("1.s", "this is not a duration"),
            ("1.2.3s", "this is not a duration"),
            ("0.5ns", "this is finer than a nanosecond"),
            ("8785h", "this is longer than 366 days"),
            ("99999999999999999999999999999999999h", "this is longer than 366 days"),
        ] {
            assert_eq!(parse_duration(text).map_err(|error| error.to_string()), Err(why.to_owned()), "{text}");
        }
        let help = parse_duration("10").unwrap_err().help().to_owned();
        assert!(["ns", "us", "ms", "s", "min", "h"].iter().all(|unit| help.contains(unit)), "{help}");
    }

    #[test]
    fn prints_the_unit_that_reads_best() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5us"),
            (10_000_000_000, "10s"),
            (90_000_000_000, "90s"),
            (120_000_000_000, "2min"),
            (7_200_000_000_000, "2h"),
            (1_000_000_001, "1.000000001s"),
        ] {
            assert_eq!(DurationText(Duration::from_nanos(nanoseconds)).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(nanoseconds in 0..31_622_400_000_000_000u64) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse_duration(&DurationText(duration).to_string()), Ok(duration));
        }
    }
}
