//! The time between departures as an exact fraction, so that a stream of any length never drifts.

use std::time::Duration;

/// The time from one departure to the next, in nanoseconds: a positive fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    numerator: u128,
    denominator: u128,
}

impl Interval {
    /// `numerator` / `denominator` nanoseconds; `None` if either is 0, or if the reduced numerator reaches 2^80 or the
    /// reduced denominator 2^62 (which no [`super::Rate`] does).
    pub fn new(numerator: u128, denominator: u128) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        let interval = Self { numerator: numerator / divisor, denominator: denominator / divisor };
        (interval.numerator < 1 << 80 && interval.denominator < 1 << 62).then_some(interval)
    }

    /// When packet `index` leaves, in nanoseconds after packet 0: the exact product rounded to the nearest
    /// nanosecond, halves up. Beyond 2^64 - 1 (584 years) it stays there.
    pub fn departure(self, index: u64) -> u64 {
        let (whole, rest) = (self.numerator / self.denominator, self.numerator % self.denominator);
        let index = u128::from(index);
        // rest < denominator < 2^62, so twice the product stays below 2^127.
        let rounded_rest = (2 * index * rest + self.denominator) / (2 * self.denominator);
        let departure = index.checked_mul(whole).and_then(|product| product.checked_add(rounded_rest));
        departure.and_then(|departure| u64::try_from(departure).ok()).unwrap_or(u64::MAX)
    }

    /// The departures of packets 0, 1, 2 and so on, as [`Interval::departure`] gives them, but by addition alone.
    pub fn departures(self) -> Departures {
        let whole = u64::try_from(self.numerator / self.denominator).unwrap_or(u64::MAX);
        // Both are below twice the denominator, hence below 2^63.
        let (rest, denominator) = ((self.numerator % self.denominator) as u64, self.denominator as u64);
        Departures { next: 0, whole, twice_rest: 2 * rest, carry: denominator, twice_denominator: 2 * denominator }
    }

    /// How many packets leave within `duration`: those whose exact departure lies before its end, packet 0 included.
    pub fn packets_within(self, duration: Duration) -> u64 {
        // A duration has less than 2^94 ns; one too long to multiply holds more packets than can be counted.
        let product = duration.as_nanos().checked_mul(self.denominator);
        product.and_then(|product| u64::try_from(product.div_ceil(self.numerator)).ok()).unwrap_or(u64::MAX)
    }

    /// The interval in nanoseconds, as close as `f64` comes: the mean of a Poisson stream's gaps.
    pub fn mean_nanoseconds(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

/// The departures of a periodic stream in nanoseconds after packet 0, one after the other, without division or drift.
#[derive(Debug, Clone)]
pub struct Departures {
    next: u64,
    whole: u64,
    twice_rest: u64,
    /// What the rounded departures lack, in halves of the denominator's unit; it begins at one half, to round.
    carry: u64,
    twice_denominator: u64,
}

impl Iterator for Departures {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let departure = self.next;
        self.carry += self.twice_rest;
        let full = self.carry >= self.twice_denominator;
        if full {
            self.carry -= self.twice_denominator;
        }
        self.next = departure.saturating_add(self.whole).saturating_add(u64::from(full));
        Some(departure)
    }
}

fn greatest_common_divisor(mut one: u128, mut other: u128) -> u128 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::configuration::Rate;

    fn interval(rate: &str, ip_length: u16) -> Interval {
        rate.parse::<Rate>().unwrap().interval(ip_length).unwrap()
    }

    #[test]
    fn three_per_second_never_drift() {
        let third = interval("3pps", 72);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|n| third.departure(n)),
            [0, 333_333_333, 666_666_667, 1_000_000_000, 1_333_333_333]
        );
        // A year later the third packet of the second still leaves on the second.
        assert_eq!(third.departure(3 * 31_536_000), 31_536_000_000_000_000);
    }

    #[test]
    fn halves_round_up() {
        let two_in_three = Interval::new(3, 2).unwrap();
        assert_eq!([0, 1, 2, 3].map(|n| two_in_three.departure(n)), [0, 2, 3, 5]);
    }

    #[test]
    fn a_duration_holds_the_departures_before_its_end() {
        let seconds = Duration::from_secs;
        assert_eq!(interval("100kpps", 72).packets_within(seconds(10)), 1_000_000);
        assert_eq!(interval("3pps", 72).packets_within(seconds(1)), 3);
        assert_eq!(interval("3pps", 72).packets_within(Duration::from_nanos(333_333_334)), 2);
        assert_eq!(interval("3pps", 72).packets_within(Duration::from_nanos(333_333_333)), 1);
        assert_eq!(interval("0.001pps", 72).packets_within(seconds(10)), 1);
        assert_eq!(interval("1pps", 72).packets_within(Duration::ZERO), 0);
    }

    #[test]
    fn extremes_saturate_and_do_not_panic() {
        let slowest = interval("0.000001bps", 65535);
        assert_eq!(slowest.departure(u64::MAX), u64::MAX);
        assert_eq!(slowest.departures().nth(3), Some(u64::MAX));
        assert_eq!(interval("1000000Mpps", 72).departure(u64::MAX), u64::MAX / 1000 + 1);
        assert_eq!(Interval::new(1, (1 << 62) - 1).unwrap().packets_within(Duration::MAX), u64::MAX);
        assert_eq!(Interval::new(0, 1), None);
        assert_eq!(Interval::new(1, 0), None);
    }

    proptest! {
        /// The truth is the definition of rounding itself: d is round(n * p / q) if and only if
        /// d - 1/2 <= n * p / q < d + 1/2.
        #[test]
        fn every_departure_is_the_nearest_nanosecond(n in 0u64..1 << 40, p in 1u128..1 << 50, q in 1u128..1 << 40) {
            let departure = u128::from(Interval::new(p, q).unwrap().departure(n));
            let twice_exact = 2 * u128::from(n) * p;
            prop_assert!(2 * departure * q <= twice_exact + q);
            prop_assert!(twice_exact < (2 * departure + 1) * q);
        }

        #[test]
        fn addition_gives_the_same_departures(p in 1u128..1 << 40, q in 1u128..1 << 61) {
            let interval = Interval::new(p, q).unwrap();
            for (n, departure) in interval.departures().take(1000).enumerate() {
                prop_assert_eq!(departure, interval.departure(n as u64));
            }
        }

        #[test]
        fn the_last_packet_of_a_duration_leaves_before_its_end(nanoseconds in 1u64..1 << 44, p in 1u128..1 << 40, q in 1u128..1 << 20) {
            let packets = u128::from(Interval::new(p, q).unwrap().packets_within(Duration::from_nanos(nanoseconds)));
            prop_assert!((packets - 1) * p < u128::from(nanoseconds) * q);
            prop_assert!(packets * p >= u128::from(nanoseconds) * q);
        }
    }
}
