//! Which packets came back, and how often. A sliding bitmap remembers the numbers that may still be outstanding, one
//! bit each, so that waiting 51 s for stragglers at ten million packets a second takes 64 MiB and not a list.

/// What one arrival turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first copy, received before Tmax was over: it takes part in delay and reordering.
    First,
    /// The first copy, Tmax or more after its departure: lost for RFC 7680 and RFC 6673, but known to have arrived.
    Late,
    /// A further copy of a packet that arrived before, in time or late (RFC 5560).
    Duplicate,
    /// A number that was never sent, or one so old that the window has forgotten it. It enters no book.
    Beyond,
}

/// The books of arrival of one stream: sent = received in time + late + corrupted + lost.
#[derive(Clone, Debug)]
pub struct Reception {
    /// One bit for each number of the window, set when it has arrived; a ring of words.
    arrived: Box<[u64]>,
    word_mask: u64,
    sent: u64,
    received: u64,
    late: u64,
    duplicates: u64,
    corrupted: u64,
    beyond: u64,
}

const WORD: u64 = u64::BITS as u64;

impl Reception {
    /// Books for a stream of which up to `capacity` consecutive numbers can be outstanding at once: its rate times the
    /// time that it waits, rounded up. Memory is one bit for each, rounded up to a power of two.
    pub fn new(capacity: u64) -> Self {
        // One word more, for the word that new numbers enter is emptied as a whole.
        let words = (capacity.div_ceil(WORD) + 1).next_power_of_two();
        Self {
            arrived: vec![0; words as usize].into_boxed_slice(),
            word_mask: words - 1,
            sent: 0,
            received: 0,
            late: 0,
            duplicates: 0,
            corrupted: 0,
            beyond: 0,
        }
    }

    /// Notes that the next `count` packets left. Their replies are known as such from here on only, so this comes
    /// before the replies are taken.
    #[inline]
    pub fn on_sent(&mut self, count: u64) {
        let first_new_word = self.sent.div_ceil(WORD);
        self.sent += count;
        let end_word = self.sent.div_ceil(WORD);
        let first = first_new_word.max(end_word.saturating_sub(self.word_mask + 1));
        for word in first..end_word {
            self.arrived[(word & self.word_mask) as usize] = 0;
        }
    }

    /// Takes one arrival, `delay_total_ns` (T4 - T1) after its departure. A delay equal to `tmax_ns` is late: RFC 6673,
    /// section 4.3, wants the packet before TstampSrc + Tmax.
    #[inline]
    pub fn arrive(&mut self, sequence: u64, delay_total_ns: i64, tmax_ns: i64) -> Arrival {
        if sequence >= self.sent || sequence < self.oldest() {
            self.beyond += 1;
            return Arrival::Beyond;
        }
        let word = &mut self.arrived[((sequence / WORD) & self.word_mask) as usize];
        let bit = 1 << (sequence % WORD);
        if *word & bit != 0 {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        *word |= bit;
        if delay_total_ns >= tmax_ns {
            self.late += 1;
            Arrival::Late
        } else {
            self.received += 1;
            Arrival::First
        }
    }

    /// Notes a reply that came back damaged: it arrived, but says nothing and is lost for RFC 7680.
    pub fn corrupted_arrival(&mut self) {
        self.corrupted += 1;
    }

    /// Packets sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Packets received in time, each counted once.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets received too late, each counted once.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Further copies of packets received before, in time or late.
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Arrivals of numbers never sent or forgotten by the window.
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Packets that came back damaged: at most those that did not come back whole.
    pub fn corrupted(&self) -> u64 {
        self.corrupted.min(self.not_whole())
    }

    /// Damaged arrivals beyond [`Self::corrupted`]: copies of packets that came back whole as well.
    pub fn corrupted_copies(&self) -> u64 {
        self.corrupted - self.corrupted()
    }

    /// Packets of which nothing has come back: lost, once the waiting is over, and outstanding until then.
    pub fn outstanding(&self) -> u64 {
        self.not_whole() - self.corrupted()
    }

    /// Arrived packets' surplus of copies per packet (RFC 5560, section 5.1): 0 when each came once, `None` when none
    /// came.
    pub fn duplication_fraction(&self) -> Option<f64> {
        ratio(self.duplicates, self.received + self.late)
    }

    /// Loss ratio of RFC 7680, section 4.1, and RFC 6673, section 6.1: whatever did not come back whole before Tmax,
    /// late and damaged packets included, over packets sent.
    pub fn loss_ratio(&self) -> Option<f64> {
        ratio(self.sent - self.received, self.sent)
    }

    /// Loss ratio of ITU-T Y.1540 (IPLR): as [`Self::loss_ratio`], but a damaged packet is an errored one and not lost.
    pub fn loss_ratio_y1540(&self) -> Option<f64> {
        ratio(self.sent - self.received - self.corrupted(), self.sent)
    }

    fn not_whole(&self) -> u64 {
        self.sent - self.received - self.late
    }

    /// The oldest number that the bitmap still holds.
    fn oldest(&self) -> u64 {
        let held = (self.word_mask + 1) * WORD;
        (self.sent.div_ceil(WORD) * WORD).saturating_sub(held)
    }
}

/// `None` when the denominator is 0: a ratio of nothing is undefined.
pub(crate) fn ratio(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const TMAX: i64 = 1000;

    #[test]
    fn a_delay_of_exactly_tmax_is_late() {
        let mut books = Reception::new(10);
        books.on_sent(2);
        assert_eq!(books.arrive(0, TMAX, TMAX), Arrival::Late);
        assert_eq!(books.arrive(1, TMAX - 1, TMAX), Arrival::First);
        assert_eq!(books.loss_ratio(), Some(0.5));
        assert_eq!(books.outstanding(), 0);
    }

    #[test]
    fn a_copy_of_a_late_packet_is_a_duplicate() {
        let mut books = Reception::new(10);
        books.on_sent(1);
        assert_eq!(books.arrive(0, TMAX, TMAX), Arrival::Late);
        assert_eq!(books.arrive(0, TMAX, TMAX), Arrival::Duplicate);
        assert_eq!((books.late(), books.duplicates()), (1, 1));
    }

    #[test]
    fn what_was_never_sent_enters_no_book() {
        let mut books = Reception::new(10);
        books.on_sent(3);
        assert_eq!(books.arrive(3, 0, TMAX), Arrival::Beyond);
        assert_eq!(books.arrive(u64::MAX, 0, TMAX), Arrival::Beyond);
        assert_eq!((books.outstanding(), books.beyond()), (3, 2));
    }

    #[test]
    fn damaged_copies_of_whole_packets_leave_the_books_balanced() {
        let mut books = Reception::new(10);
        books.on_sent(3);
        books.arrive(0, 0, TMAX);
        books.arrive(1, 0, TMAX);
        books.corrupted_arrival();
        books.corrupted_arrival();
        assert_eq!((books.corrupted(), books.corrupted_copies()), (1, 1));
        assert_eq!(books.outstanding(), 0);
        assert_eq!(books.loss_ratio(), Some(1.0 / 3.0));
        assert_eq!(books.loss_ratio_y1540(), Some(0.0));
    }

    #[test]
    fn a_gap_longer_than_the_window_is_forgotten_whole() {
        let mut books = Reception::new(100);
        books.on_sent(50);
        books.arrive(7, 0, TMAX);
        books.on_sent(1_000_000);
        assert_eq!(books.arrive(7, 0, TMAX), Arrival::Beyond);
        assert_eq!(books.arrive(1_000_049, 0, TMAX), Arrival::First);
        assert_eq!(books.arrive(1_000_049 - 99, 0, TMAX), Arrival::First);
    }

    proptest! {
        /// Against a plain set, with the window's promise: whatever is among the last `capacity` numbers is known.
        #[test]
        fn the_bitmap_is_a_set(
            capacity in 1_u64..300,
            steps in proptest::collection::vec((0_u64..40, 0_u64..400, 0_i64..2000), 1..300),
        ) {
            let mut books = Reception::new(capacity);
            let (mut sent, mut seen) = (0_u64, HashSet::new());
            let (mut received, mut late, mut duplicates) = (0, 0, 0);
            for (more, age, delay) in steps {
                books.on_sent(more);
                sent += more;
                let Some(sequence) = sent.checked_sub(1 + age) else { continue };
                let arrival = books.arrive(sequence, delay, TMAX);
                if arrival == Arrival::Beyond {
                    prop_assert!(age >= capacity);
                    continue;
                }
                let expected = match (seen.insert(sequence), delay >= TMAX) {
                    (false, _) => { duplicates += 1; Arrival::Duplicate }
                    (true, true) => { late += 1; Arrival::Late }
                    (true, false) => { received += 1; Arrival::First }
                };
                prop_assert_eq!(arrival, expected);
            }
            prop_assert_eq!((books.received(), books.late(), books.duplicates()), (received, late, duplicates));
            prop_assert_eq!(books.outstanding(), sent - received - late);
        }
    }
}
