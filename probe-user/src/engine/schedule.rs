//! When packets leave: the departures of a stream, in nanoseconds after its start.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;

use crate::configuration::{self, Departures, Interval};

/// The departures of one stream, one after the other, and none after its end.
#[derive(Clone, Debug)]
pub struct Schedule {
    departures: Kind,
    left: u64,
    end: Option<u64>,
}

#[derive(Clone, Debug)]
enum Kind {
    Periodic { start: u64, departures: Departures },
    Poisson { mean: f64, at: f64, random: Box<ChaCha12Rng> },
}

impl Schedule {
    /// A periodic stream begins at a random moment of its first interval (RFC 3432 section 4.3).
    #[must_use]
    pub fn periodic(interval: Interval, extent: configuration::Extent, seed: u64) -> Self {
        let (left, end) = match extent {
            configuration::Extent::Count(count) => (count, None),
            configuration::Extent::Duration(duration) => {
                (interval.packets_within(duration), Some(nanoseconds(duration)))
            }
        };
        // A stream shorter than its interval still has its one packet.
        let latest = (interval.mean_nanoseconds() as u64).min(end.unwrap_or(u64::MAX)).max(1);
        let start = ChaCha12Rng::seed_from_u64(seed).random_range(0..latest);
        Self { departures: Kind::Periodic { start, departures: interval.departures() }, left, end }
    }

    /// A Poisson stream has exponentially distributed gaps, the first one before its first packet (RFC 2330 section
    /// 11.1.1).
    #[must_use]
    pub fn poisson(interval: Interval, extent: configuration::Extent, seed: u64) -> Self {
        let random = Box::new(ChaCha12Rng::seed_from_u64(seed));
        let departures = Kind::Poisson { mean: interval.mean_nanoseconds(), at: 0.0, random };
        match extent {
            configuration::Extent::Count(count) => Self { departures, left: count, end: None },
            configuration::Extent::Duration(duration) => {
                Self { departures, left: u64::MAX, end: Some(nanoseconds(duration)) }
            }
        }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let departure = match &mut self.departures {
            Kind::Periodic { start, departures } => departures.next()?.saturating_add(*start),
            Kind::Poisson { mean, at, random } => {
                // In (0, 1], so that the logarithm is finite.
                let uniform = 1.0 - random.random::<f64>();
                *at -= uniform.ln() * *mean;
                *at as u64
            }
        };
        if self.end.is_some_and(|end| departure >= end) {
            self.left = 0;
            return None;
        }
        Some(departure)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Extent;

    const MICROSECOND: u64 = 1_000;

    fn interval() -> Interval {
        Interval::new(u128::from(MICROSECOND), 1).unwrap()
    }

    #[test]
    fn a_periodic_stream_keeps_its_interval_from_a_random_start() {
        let mut starts = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let departures: Vec<u64> = Schedule::periodic(interval(), Extent::Count(5), seed).collect();
            assert_eq!(departures.len(), 5);
            assert!(departures[0] < MICROSECOND);
            assert!(departures.windows(2).all(|pair| pair[1] - pair[0] == MICROSECOND));
            starts.insert(departures[0]);
        }
        assert!(starts.len() > 10, "starts are drawn anew: {starts:?}");
    }

    #[test]
    fn a_duration_holds_as_many_periods_as_fit() {
        let schedule = Schedule::periodic(interval(), Extent::Duration(Duration::from_millis(1)), 7);
        assert_eq!(schedule.count(), 1_000);
    }

    #[test]
    fn a_periodic_stream_ends_with_its_duration_however_low_its_rate() {
        let minute = Interval::new(60_000_000_000, 1).unwrap();
        for seed in 0..20 {
            let ten_seconds = Duration::from_secs(10);
            let departures: Vec<u64> = Schedule::periodic(minute, Extent::Duration(ten_seconds), seed).collect();
            assert_eq!(departures.len(), 1, "seed {seed}");
            assert!(u128::from(departures[0]) < ten_seconds.as_nanos(), "seed {seed}");
            let within = Duration::from_secs(90);
            let departures: Vec<u64> = Schedule::periodic(minute, Extent::Duration(within), seed).collect();
            assert!(departures.iter().all(|departure| u128::from(*departure) < within.as_nanos()), "seed {seed}");
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential_distribution() {
        let departures: Vec<u64> = Schedule::poisson(interval(), Extent::Count(200_000), 11).collect();
        let gaps: Vec<f64> = departures.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        // For 200,000 gaps the standard error of both is below 0.4 %.
        assert!((mean / 1_000.0 - 1.0).abs() < 0.02, "mean {mean}");
        assert!((deviation / 1_000.0 - 1.0).abs() < 0.02, "deviation {deviation}");
        let longer_than_mean = gaps.iter().filter(|gap| **gap > 1_000.0).count() as f64 / gaps.len() as f64;
        assert!((longer_than_mean - (-1.0_f64).exp()).abs() < 0.01, "{longer_than_mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_departures() {
        let departures = |seed| Schedule::poisson(interval(), Extent::Count(100), seed).collect::<Vec<_>>();
        assert_eq!(departures(3), departures(3));
        assert_ne!(departures(3), departures(4));
    }

    #[test]
    fn a_poisson_stream_ends_with_its_duration() {
        let end = Duration::from_millis(5);
        let departures: Vec<u64> = Schedule::poisson(interval(), Extent::Duration(end), 1).collect();
        assert!(departures.iter().all(|departure| u128::from(*departure) < end.as_nanos()));
        assert!((4_500..5_500).contains(&departures.len()));
    }
}
