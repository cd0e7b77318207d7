//! Distributions of delays. One histogram of fixed size answers for every percentile, and exact integer sums beside it
//! answer for the mean and the standard deviation, so that no number of a report depends on the length of the run or
//! on the order of arrival, and two intervals merge into what one measurement would have given.

use hdrhistogram::Histogram;

/// The longest delay that the histogram resolves, in nanoseconds: 120 s, above the 51 s that RFC 6703, section 4.1.1,
/// holds for the longest life of a packet in a loop. Longer values count, with their exact maximum, as "above".
pub const HIGHEST_RESOLVED_NS: i64 = 120_000_000_000;

const SIGNIFICANT_DIGITS: u8 = 3;

/// A distribution of delays in nanoseconds.
///
/// Values from 0 to 2047 ns are kept exactly, larger ones to three significant digits; count, minimum, maximum, sum
/// and sum of squares are exact. A negative value is no delay but an error of the clocks (RFC 7679, section 3.7): it
/// enters no statistic and is counted apart.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    count: u64,
    negative: u64,
    above: u64,
    minimum: i64,
    maximum: i64,
    sum: u128,
    sum_of_squares: u128,
}

/// The usual statistics of one distribution (RFC 6703, section 5; RFC 8912), conditional on arrival. Times are
/// nanoseconds. What is undefined for want of values is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many values there are; the sample size N of every statistic here.
    pub count: u64,
    /// The least value, exact.
    pub min_ns: Option<i64>,
    /// Arithmetic mean, exact but for the last rounding (RFC 8912, section 4.4.2).
    pub mean_ns: Option<f64>,
    /// Median of RFC 2330, section 11.3: with an even count, the mean of the two central values.
    pub median_ns: Option<f64>,
    /// 95th percentile.
    pub p95_ns: Option<i64>,
    /// 99th percentile.
    pub p99_ns: Option<i64>,
    /// 99.9th percentile.
    pub p99_9_ns: Option<i64>,
    /// The greatest value, exact.
    pub max_ns: Option<i64>,
    /// Standard deviation with divisor N (RFC 8912, section 4.4.2), exact but for the last rounding.
    pub stddev_ns: Option<f64>,
}

impl Distribution {
    /// An empty distribution. It takes about 230 KiB, of which only what is written becomes resident.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_RESOLVED_NS as u64, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that satisfy the histogram: 1 * 2 <= highest");
        Self {
            histogram,
            count: 0,
            negative: 0,
            above: 0,
            minimum: i64::MAX,
            maximum: i64::MIN,
            sum: 0,
            sum_of_squares: 0,
        }
    }

    /// Takes one value in nanoseconds.
    #[inline]
    pub fn record(&mut self, value_ns: i64) {
        if value_ns < 0 {
            self.negative += 1;
            return;
        }
        if value_ns > HIGHEST_RESOLVED_NS {
            self.above += 1;
        }
        let value = value_ns.unsigned_abs();
        self.histogram.saturating_record(value);
        self.count += 1;
        self.minimum = self.minimum.min(value_ns);
        self.maximum = self.maximum.max(value_ns);
        self.sum += u128::from(value);
        let square = u128::from(value) * u128::from(value);
        self.sum_of_squares = self.sum_of_squares.saturating_add(square);
    }

    /// How many values there are, negative ones not counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many negative values were kept out.
    pub const fn negative(&self) -> u64 {
        self.negative
    }

    /// How many values lie above [`HIGHEST_RESOLVED_NS`]. They are in every exact statistic; a percentile that falls
    /// among them is given as the maximum.
    pub const fn above(&self) -> u64 {
        self.above
    }

    /// The least value, exact.
    pub fn minimum(&self) -> Option<i64> {
        (self.count > 0).then_some(self.minimum)
    }

    /// The greatest value, exact.
    pub fn maximum(&self) -> Option<i64> {
        (self.count > 0).then_some(self.maximum)
    }

    /// The sum of all values, exact, in nanoseconds.
    pub const fn sum(&self) -> u128 {
        self.sum
    }

    /// Arithmetic mean in nanoseconds.
    pub fn mean(&self) -> Option<f64> {
        let count = u128::from(self.count);
        let whole = self.sum.checked_div(count)?;
        Some(whole as f64 + (self.sum % count) as f64 / count as f64)
    }

    /// Standard deviation with divisor N (RFC 8912, section 4.4.2) in nanoseconds. Undefined also when the sum of
    /// squares passed 128 bits, which only delays of many years can do.
    pub fn standard_deviation(&self) -> Option<f64> {
        if self.sum_of_squares == u128::MAX {
            return None;
        }
        let count = u128::from(self.count);
        let whole = self.sum.checked_div(count)?;
        let remainder = self.sum % count;
        // Squares taken about the whole part of the mean: the large terms cancel as integers, before any rounding.
        let about_whole = self.sum_of_squares - whole * (self.sum + remainder);
        let fraction = remainder as f64 / count as f64;
        let variance = about_whole as f64 / count as f64 - fraction * fraction;
        Some(variance.max(0.0).sqrt())
    }

    /// The percentile of RFC 2330, section 11.3: the smallest value v for which at least `percent` of all values are
    /// no larger than v. Within the histogram's resolution it is rounded up, but never beyond the exact minimum and
    /// maximum; percentile 100 is the maximum itself.
    ///
    /// `percent` lies above 0 and up to 100, and counts in millionths, so that 99.9 % of 1000 values are 999 of them.
    /// `None` when there are no values or `percent` is out of range (the RFC's minus infinity at 0 included).
    pub fn percentile(&self, percent: f64) -> Option<i64> {
        if !(percent > 0.0 && percent <= 100.0) {
            return None;
        }
        let millionths = (percent * 1e6).round() as u128;
        let rank = (millionths * u128::from(self.count)).div_ceil(100_000_000);
        self.value_at_rank((rank as u64).max(1))
    }

    /// The median of RFC 2330, section 11.3, in nanoseconds: the central value, or with an even count the mean of the
    /// two central values. (The 50th percentile is the lower one of these.)
    pub fn median(&self) -> Option<f64> {
        let lower = self.value_at_rank(self.count.div_ceil(2))?;
        let upper = self.value_at_rank(self.count / 2 + 1)?;
        Some(lower as f64 + (upper - lower) as f64 / 2.0)
    }

    /// The usual statistics.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count,
            min_ns: self.minimum(),
            mean_ns: self.mean(),
            median_ns: self.median(),
            p95_ns: self.percentile(95.0),
            p99_ns: self.percentile(99.0),
            p99_9_ns: self.percentile(99.9),
            max_ns: self.maximum(),
            stddev_ns: self.standard_deviation(),
        }
    }

    /// Adds all values of another distribution: the result is what one distribution of all values would be
    /// (temporal aggregation, RFC 5835).
    pub fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("all distributions have the same bounds, so the other's values fit");
        self.count += other.count;
        self.negative += other.negative;
        self.above += other.above;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.sum += other.sum;
        self.sum_of_squares = self.sum_of_squares.saturating_add(other.sum_of_squares);
    }

    /// Empties the distribution and keeps its memory.
    pub fn clear(&mut self) {
        if self.count > 0 {
            self.histogram.reset();
        }
        self.count = 0;
        self.negative = 0;
        self.above = 0;
        self.minimum = i64::MAX;
        self.maximum = i64::MIN;
        self.sum = 0;
        self.sum_of_squares = 0;
    }

    /// The value at `rank` (from 1) in ascending order.
    fn value_at_rank(&self, rank: u64) -> Option<i64> {
        if rank == 0 || rank > self.count {
            return None;
        }
        if rank > self.count - self.above {
            return Some(self.maximum);
        }
        let mut passed = 0;
        let bucket = self.histogram.iter_recorded().find(|bucket| {
            passed += bucket.count_at_value();
            passed >= rank
        })?;
        let value = i64::try_from(bucket.value_iterated_to()).unwrap_or(i64::MAX);
        Some(value.clamp(self.minimum, self.maximum))
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distribution(values: &[i64]) -> Distribution {
        let mut distribution = Distribution::new();
        for &value in values {
            distribution.record(value);
        }
        distribution
    }

    #[test]
    fn nothing_is_defined_without_values() {
        let empty = Distribution::new();
        assert_eq!(empty.summary(), Summary::default());
        assert_eq!(empty.percentile(50.0), None);
    }

    #[test]
    fn negative_values_are_counted_and_kept_out() {
        let mixed = distribution(&[-5, 10, i64::MIN, 20]);
        assert_eq!(mixed.negative(), 2);
        assert_eq!(mixed.count(), 2);
        assert_eq!(mixed.minimum(), Some(10));
        assert_eq!(mixed.mean(), Some(15.0));
    }

    #[test]
    fn values_above_the_bound_keep_their_exact_maximum() {
        let long = distribution(&[1, HIGHEST_RESOLVED_NS * 10, HIGHEST_RESOLVED_NS * 2]);
        assert_eq!(long.above(), 2);
        assert_eq!(long.maximum(), Some(HIGHEST_RESOLVED_NS * 10));
        assert_eq!(long.percentile(30.0), Some(1));
        assert_eq!(long.percentile(60.0), long.maximum());
    }

    #[test]
    fn percentiles_outside_of_the_range_are_undefined() {
        let values = distribution(&[1, 2, 3]);
        for percent in [0.0, -1.0, 100.1, f64::NAN] {
            assert_eq!(values.percentile(percent), None, "{percent}");
        }
    }

    #[test]
    fn large_equal_values_have_no_deviation() {
        let value = 51_000_000_123;
        let equal = distribution(&[value; 1000]);
        assert_eq!(equal.standard_deviation(), Some(0.0));
        assert_eq!(equal.mean(), Some(value as f64));
        assert_eq!(equal.median(), Some(value as f64));
    }

    #[test]
    fn delays_of_a_lifetime_leave_the_deviation_undefined() {
        let absurd = distribution(&[i64::MAX; 8]);
        assert_eq!(absurd.standard_deviation(), None);
        assert_eq!(absurd.mean(), Some(i64::MAX as f64));
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_list(
            mut values in proptest::collection::vec(0_i64..10_000_000_000, 1..200),
            millionths in 1_u64..=100_000_000,
        ) {
            let percent = millionths as f64 / 1e6;
            let measured = distribution(&values).percentile(percent).unwrap();
            values.sort_unstable();
            // F(v) >= p, counted as integers.
            let needed = |rank: usize| rank as u128 * 100_000_000 >= millionths as u128 * values.len() as u128;
            let exact = values[(1..=values.len()).find(|&rank| needed(rank)).unwrap() - 1];
            prop_assert!(measured >= exact);
            prop_assert!((measured - exact) as f64 <= exact as f64 * 0.001, "{measured} for {exact}");
        }

        #[test]
        fn merging_is_recording_everything_in_one(
            first in proptest::collection::vec(-10_i64..200_000_000_000, 0..50),
            second in proptest::collection::vec(-10_i64..200_000_000_000, 0..50),
        ) {
            let mut merged = distribution(&first);
            merged.merge(&distribution(&second));
            let together = distribution(&[first, second].concat());
            prop_assert_eq!(merged.summary(), together.summary());
            prop_assert_eq!(merged.negative(), together.negative());
            prop_assert_eq!(merged.above(), together.above());
        }

        #[test]
        fn mean_and_deviation_agree_with_two_passes(values in proptest::collection::vec(0_i64..3_000_000_000, 1..100)) {
            let count = values.len() as f64;
            let mean = values.iter().map(|&v| v as f64).sum::<f64>() / count;
            let variance = values.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / count;
            let measured = distribution(&values);
            prop_assert!((measured.mean().unwrap() - mean).abs() <= mean * 1e-12);
            let deviation = measured.standard_deviation().unwrap();
            prop_assert!((deviation - variance.sqrt()).abs() <= 1e-6 + deviation * 1e-9);
        }

        #[test]
        fn a_cleared_distribution_is_as_new(values in proptest::collection::vec(-5_i64..1_000_000, 0..20)) {
            let mut cleared = distribution(&values);
            cleared.clear();
            prop_assert_eq!(cleared.summary(), Summary::default());
            cleared.record(7);
            prop_assert_eq!(cleared.summary(), distribution(&[7]).summary());
        }
    }
}
