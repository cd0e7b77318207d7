//! Reordering by RFC 4737. Whether a packet is reordered takes one comparison; how far it came too late takes the
//! place where the stream first ran ahead of it, which is always a discontinuity: so only discontinuities are
//! remembered, and an orderly stream costs nothing.

use crate::reception::ratio;
use hdrhistogram::Histogram;
use std::collections::VecDeque;

/// How far behind a reordered packet came (RFC 4737, section 4.2), in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Exactly so many.
    Exact(u64),
    /// More than so many; how many more has been forgotten.
    MoreThan(u64),
}

/// Reordering of one stream (RFC 4737), from the first copies of its packets in order of arrival.
#[derive(Clone, Debug)]
pub struct Reordering {
    /// The number that would be in order next; `None` before the first packet.
    next_expected: Option<u64>,
    received: u64,
    reordered: u64,
    discontinuities: u64,
    skipped: u64,
    /// The recent discontinuities, oldest first; their sequence numbers and arrival positions both ascend.
    recent: VecDeque<Discontinuity>,
    remembered: usize,
    longest_exact: u64,
    longest_bound: Option<u64>,
    extents: Histogram<u64>,
}

/// A place where the stream jumped ahead: packets `expected..sequence` had not arrived before position `arrival`.
#[derive(Clone, Copy, Debug)]
struct Discontinuity {
    expected: u64,
    sequence: u64,
    arrival: u64,
}

/// What the report says of reordering.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReorderingSummary {
    /// Type-P-Reordered packets (RFC 4737, section 3.3).
    pub reordered: u64,
    /// Reordered packets over received ones (RFC 4737, section 4.1.2); `None` when none was received.
    pub ratio: Option<f64>,
    /// The largest extent; `None` when no packet was reordered.
    pub max_extent: Option<Extent>,
    /// Sequence discontinuities (RFC 4737, section 3.4): in-order packets that came before their predecessors.
    pub discontinuities: u64,
    /// Sum of the sizes of all discontinuities: packets skipped, lost ones included.
    pub skipped: u64,
}

/// Extents are kept to two significant digits up to this one, and exactly up to 255.
const HIGHEST_RESOLVED_EXTENT: u64 = 1 << 32;

impl Reordering {
    /// Reordering that remembers the last `remembered` discontinuities (at least one), 24 octets each. The extent of a
    /// packet that fell behind earlier than these is given as "more than".
    pub fn new(remembered: usize) -> Self {
        let remembered = remembered.max(1);
        Self {
            next_expected: None,
            received: 0,
            reordered: 0,
            discontinuities: 0,
            skipped: 0,
            recent: VecDeque::with_capacity(remembered),
            remembered,
            longest_exact: 0,
            longest_bound: None,
            extents: Histogram::new_with_bounds(1, HIGHEST_RESOLVED_EXTENT, 2)
                .expect("the bounds are constants that satisfy the histogram: 1 * 2 <= highest"),
        }
    }

    /// Takes the first copy of packet `sequence`; its extent when it is reordered (RFC 4737, section 3.3 and 4.2.2),
    /// `None` when it is in order.
    #[inline]
    pub fn observe(&mut self, sequence: u64) -> Option<Extent> {
        let arrival = self.received;
        self.received += 1;
        match self.next_expected {
            Some(expected) if sequence < expected => {
                return Some(self.reordered(sequence, arrival));
            }
            Some(expected) if sequence == expected => {}
            expected => self.jump(expected, sequence, arrival),
        }
        self.next_expected = Some(sequence + 1);
        None
    }

    /// Packets taken: received in time, each once.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Type-P-Reordered packets (RFC 4737, section 3.3).
    pub const fn reordered_packets(&self) -> u64 {
        self.reordered
    }

    /// How many packets had exactly `extent` (to two significant digits above 255); those known only as "more than"
    /// are not among them.
    pub fn packets_with_extent(&self, extent: u64) -> u64 {
        self.extents.count_at(extent)
    }

    /// What the report says.
    pub fn summary(&self) -> ReorderingSummary {
        ReorderingSummary {
            reordered: self.reordered,
            ratio: ratio(self.reordered, self.received),
            max_extent: self.max_extent(),
            discontinuities: self.discontinuities,
            skipped: self.skipped,
        }
    }

    fn max_extent(&self) -> Option<Extent> {
        match (self.longest_exact, self.longest_bound) {
            (0, None) => None,
            (exact, None) => Some(Extent::Exact(exact)),
            // At least `exact`, and more than `bound`.
            (exact, Some(bound)) => Some(Extent::MoreThan(bound.max(exact.saturating_sub(1)))),
        }
    }

    fn jump(&mut self, expected: Option<u64>, sequence: u64, arrival: u64) {
        if let Some(expected) = expected {
            self.discontinuities += 1;
            self.skipped += sequence - expected;
        }
        if self.recent.len() == self.remembered {
            self.recent.pop_front();
        }
        // The first packet opens the stream: whatever is smaller came after it, so it counts as a jump from 0.
        self.recent.push_back(Discontinuity { expected: expected.unwrap_or(0), sequence, arrival });
    }

    fn reordered(&mut self, sequence: u64, arrival: u64) -> Extent {
        self.reordered += 1;
        // e = i - min{j : s[j] > s[i]}. A number is passed by the first packet beyond it, which jumped over it.
        let place = self.recent.partition_point(|d| d.sequence <= sequence);
        match self.recent.get(place) {
            Some(jump) if sequence >= jump.expected => {
                let extent = arrival - jump.arrival;
                self.longest_exact = self.longest_exact.max(extent);
                self.extents.saturating_record(extent);
                Extent::Exact(extent)
            }
            // The jump over this number is older than all that are remembered.
            Some(oldest) => self.forgotten(arrival - oldest.arrival),
            // Only a second copy gets here, which the caller sorts out before; it passed nobody.
            None => self.forgotten(0),
        }
    }

    fn forgotten(&mut self, bound: u64) -> Extent {
        self.longest_bound = self.longest_bound.max(Some(bound));
        Extent::MoreThan(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4737 word for word, over the whole list.
    fn plain_extents(arrivals: &[u64]) -> Vec<Option<u64>> {
        let extent = |i: usize| {
            let earliest = (0..i).find(|&j| arrivals[j] > arrivals[i])?;
            Some((i - earliest) as u64)
        };
        (0..arrivals.len()).map(extent).collect()
    }

    fn observed(arrivals: &[u64], remembered: usize) -> (Vec<Option<Extent>>, Reordering) {
        let mut reordering = Reordering::new(remembered);
        let extents = arrivals.iter().map(|&s| reordering.observe(s)).collect();
        (extents, reordering)
    }

    #[test]
    fn a_forgotten_jump_gives_a_lower_bound() {
        // Jumps at 2, 4 and 6; with one remembered, only number 5 can be placed.
        let (extents, reordering) = observed(&[0, 2, 4, 6, 1, 5], 1);
        assert_eq!(extents[4], Some(Extent::MoreThan(1)));
        assert_eq!(extents[5], Some(Extent::Exact(2)));
        assert_eq!(reordering.summary().max_extent, Some(Extent::MoreThan(1)), "at least 2 is known, as more than 1");
    }

    #[test]
    fn loss_alone_reorders_nothing() {
        let (extents, reordering) = observed(&[0, 5, 9], 8);
        assert_eq!(extents, [None; 3]);
        let summary = reordering.summary();
        assert_eq!((summary.discontinuities, summary.skipped), (2, 7));
        assert_eq!((summary.ratio, summary.max_extent), (Some(0.0), None));
    }

    proptest! {
        #[test]
        fn extents_are_those_of_the_definition(
            keys in proptest::collection::vec((0_u64..40, any::<bool>()), 0..120),
            remembered in 1_usize..12,
        ) {
            // Packets in order, some lost, some kept back by up to 40 places.
            let mut arrivals: Vec<u64> = (0..keys.len() as u64).filter(|&s| keys[s as usize].0 % 7 != 3).collect();
            arrivals.sort_by_key(|&s| {
                let (delay, kept_back) = keys[s as usize];
                (if kept_back { s + delay } else { s }, s)
            });
            let plain = plain_extents(&arrivals);
            let (whole, _) = observed(&arrivals, 1000);
            let exact: Vec<_> = plain.iter().map(|e| e.map(Extent::Exact)).collect();
            prop_assert_eq!(whole, exact);

            let (bounded, reordering) = observed(&arrivals, remembered);
            for (told, truth) in bounded.iter().zip(&plain) {
                match (told, truth) {
                    (None, None) => {}
                    (Some(Extent::Exact(told)), Some(truth)) => prop_assert_eq!(told, truth),
                    (Some(Extent::MoreThan(bound)), Some(truth)) => prop_assert!(truth > bound),
                    _ => prop_assert!(false, "{told:?} for {truth:?}"),
                }
            }
            let longest = plain.iter().flatten().max();
            match (reordering.summary().max_extent, longest) {
                (None, None) => {}
                (Some(Extent::Exact(told)), Some(&truth)) => prop_assert_eq!(told, truth),
                (Some(Extent::MoreThan(bound)), Some(&truth)) => prop_assert!(truth > bound),
                (told, truth) => prop_assert!(false, "{told:?} for {truth:?}"),
            }
        }
    }
}
