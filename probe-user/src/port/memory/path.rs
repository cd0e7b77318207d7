//! What the path does to packets: said once, checked once, and drawn for each packet from a seeded generator.

use std::ops::RangeInclusive;
use std::time::Duration;

use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How often something happens to a packet: 0 for never to 1 for always.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Probability(f64);

/// A number that is no probability.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a probability of {0}: it must be from 0 to 1")]
pub struct ProbabilityError(f64);

impl Probability {
    /// Checks a probability.
    ///
    /// # Errors
    /// It is below 0, above 1, or not a number.
    pub fn new(value: f64) -> Result<Self, ProbabilityError> {
        const POSSIBLE: RangeInclusive<f64> = 0.0..=1.0;
        if POSSIBLE.contains(&value) { Ok(Self(value)) } else { Err(ProbabilityError(value)) }
    }
}

/// One direction of the path. It is without fault until told otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Direction {
    delay_ns: i64,
    jitter_ns: i64,
    hops: u8,
    loss: Probability,
    lost: Vec<u64>,
    cut_after: Option<u64>,
    duplication: Probability,
    corruption: Probability,
    holding: Probability,
    hold_ns: i64,
}

impl Direction {
    /// A direction in which each packet takes `delay`.
    #[must_use]
    pub fn new(delay: Duration) -> Self {
        Self { delay_ns: nanoseconds(delay), ..Self::default() }
    }

    /// Adds to each packet's delay a time that is spread evenly from 0 to `jitter`. Packets may overtake each other.
    #[must_use]
    pub fn with_jitter(self, jitter: Duration) -> Self {
        Self { jitter_ns: nanoseconds(jitter), ..self }
    }

    /// Takes so much off each packet's TTL.
    #[must_use]
    pub fn with_hops(self, hops: u8) -> Self {
        Self { hops, ..self }
    }

    /// Loses packets at random.
    #[must_use]
    pub fn with_loss(self, loss: Probability) -> Self {
        Self { loss, ..self }
    }

    /// Loses just these packets, numbered from 0 as they enter this direction, all streams and copies together.
    #[must_use]
    pub fn losing(self, packets: impl IntoIterator<Item = u64>) -> Self {
        let mut lost: Vec<u64> = packets.into_iter().collect();
        lost.sort_unstable();
        Self { lost, ..self }
    }

    /// Lets so many packets in, and loses all that come after.
    #[must_use]
    pub fn cut_after(self, packets: u64) -> Self {
        Self { cut_after: Some(packets), ..self }
    }

    /// Duplicates packets at random. The copy comes after its original, or together with it.
    #[must_use]
    pub fn with_duplication(self, duplication: Probability) -> Self {
        Self { duplication, ..self }
    }

    /// Corrupts packets at random, so that their checksums are wrong.
    #[must_use]
    pub fn with_corruption(self, corruption: Probability) -> Self {
        Self { corruption, ..self }
    }

    /// Holds packets back at random, for `hold`: those that come behind overtake them.
    #[must_use]
    pub fn with_reordering(self, holding: Probability, hold: Duration) -> Self {
        Self { holding, hold_ns: nanoseconds(hold), ..self }
    }
}

/// What is at the far end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflector {
    /// True for one that numbers its replies by session; false for one that copies the request's number (RFC 8762
    /// section 4.3).
    pub is_stateful: bool,
    /// True for one that tells sessions apart by their SSID and returns it (RFC 8972 section 3); false for one by RFC
    /// 8762 alone, to which all packets of a pair of addresses and ports are one session, and which returns zero.
    pub has_ssid: bool,
    /// From a request's arrival to its reply's departure, nanoseconds.
    pub residence_ns: i64,
    /// How far its clock is ahead of the sender's, nanoseconds.
    pub clock_offset_ns: i64,
    /// Seconds that it believes TAI to be ahead of UTC; it matters for NTP timestamps alone.
    pub tai_utc_offset: i32,
    /// What it says of its clock; the format is the request's.
    pub error_estimate: ErrorEstimate,
}

impl Default for Reflector {
    /// Stateful, with sessions by SSID, takes no time, and has the sender's clock.
    fn default() -> Self {
        Self {
            is_stateful: true,
            has_ssid: true,
            residence_ns: 0,
            clock_offset_ns: 0,
            tai_utc_offset: 0,
            error_estimate: ErrorEstimate::covering(0, true, TimestampFormat::Ptp),
        }
    }
}

/// A whole path. The same path with the same seed and the same packets does the same, always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    /// From the sender to the reflector.
    pub forward: Direction,
    /// The far end.
    pub reflector: Reflector,
    /// From the reflector to the sender.
    pub backward: Direction,
    /// Where the two directions' random numbers start.
    pub seed: u64,
}

/// A direction with its random numbers.
#[derive(Debug)]
pub(super) struct Lane {
    direction: Direction,
    random: ChaCha8Rng,
    entered: u64,
}

/// What becomes of a packet that enters a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// How long the packet and its copy take; `None` for one that does not come out.
    pub(super) delays_ns: [Option<i64>; 2],
    /// Their checksums are wrong.
    pub(super) is_corrupted: bool,
}

impl Lane {
    /// Two lanes of a seed must differ in `number`.
    pub(super) fn new(direction: Direction, seed: u64, number: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number);
        Self { direction, random, entered: 0 }
    }

    pub(super) const fn hops(&self) -> u8 {
        self.direction.hops
    }

    /// Decides on the next packet. Every packet takes the same number of draws, so that a change of one probability
    /// leaves all other fates as they were.
    pub(super) fn pass(&mut self) -> Passage {
        let Self { direction, random, entered } = self;
        let mut happens = |probability: Probability| random.random::<f64>() < probability.0;
        let is_lost_at_random = happens(direction.loss);
        let is_duplicated = happens(direction.duplication);
        let is_corrupted = happens(direction.corruption);
        let is_held = happens(direction.holding);
        let mut jitter_ns = || (random.random::<f64>() * (direction.jitter_ns as f64 + 1.0)) as i64;
        let delay_ns = direction.delay_ns + jitter_ns() + if is_held { direction.hold_ns } else { 0 };
        let copy_delay_ns = delay_ns + jitter_ns();

        let is_lost = is_lost_at_random
            || direction.lost.binary_search(entered).is_ok()
            || direction.cut_after.is_some_and(|last| *entered >= last);
        *entered += 1;
        Passage {
            delays_ns: [(!is_lost).then_some(delay_ns), (!is_lost && is_duplicated).then_some(copy_delay_ns)],
            is_corrupted,
        }
    }
}

/// Durations beyond 292 years are as good as 292 years.
pub(super) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passages(direction: Direction, seed: u64, count: usize) -> Vec<Passage> {
        let mut lane = Lane::new(direction, seed, 0);
        (0..count).map(|_| lane.pass()).collect()
    }

    #[test]
    fn only_numbers_from_0_to_1_are_probabilities() {
        for good in [0.0, 0.5, 1.0] {
            assert!(Probability::new(good).is_ok());
        }
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Probability::new(bad).is_err());
        }
        assert_eq!(
            Probability::new(2.0).expect_err("above 1").to_string(),
            "a probability of 2: it must be from 0 to 1"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_fates_and_another_one_others() {
        let direction = Direction::new(Duration::from_millis(1)).with_jitter(Duration::from_millis(1));
        assert_eq!(passages(direction.clone(), 7, 100), passages(direction.clone(), 7, 100));
        assert_ne!(passages(direction.clone(), 7, 100), passages(direction, 8, 100));
    }

    #[test]
    fn loss_leaves_the_delays_of_the_others_as_they_were() {
        let direction = Direction::new(Duration::from_millis(1)).with_jitter(Duration::from_millis(1));
        let whole = passages(direction.clone(), 1, 1000);
        let holed = passages(direction.with_loss(Probability(0.3)), 1, 1000);
        let lost = holed.iter().filter(|passage| passage.delays_ns[0].is_none()).count();
        // Five standard deviations of a binomial: 300 +- 73.
        assert!((227..=373).contains(&lost), "{lost}");
        for (whole, holed) in whole.iter().zip(&holed) {
            assert!(holed.delays_ns[0].is_none() || holed.delays_ns == whole.delays_ns);
        }
    }

    #[test]
    fn jitter_fills_its_range_and_stays_in_it() {
        let direction = Direction::new(Duration::from_nanos(10)).with_jitter(Duration::from_nanos(3));
        let mut seen = [0; 14];
        for passage in passages(direction, 3, 4000) {
            seen[passage.delays_ns[0].expect("nothing is lost") as usize] += 1;
        }
        assert_eq!(seen[..10], [0; 10]);
        assert!(seen[10..].iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_script_loses_what_it_names_and_a_cut_all_the_rest() {
        let direction = Direction::default().losing([4, 1]).cut_after(6);
        let through: Vec<bool> =
            passages(direction, 0, 8).iter().map(|passage| passage.delays_ns[0].is_some()).collect();
        assert_eq!(through, [true, false, true, true, false, true, false, false]);
    }
}
