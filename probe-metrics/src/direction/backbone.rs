//! Cuts both numberings into segments. Walked in the reflector's order, a reply whose packet is newer than all before
//! it belongs to the backbone; between two such replies lie the packets of one segment: some overtaken and coming
//! later, the rest missing, with as many numbers of missing replies as the reflector gave in between.

use super::ledger::{Ledger, Totals};
use std::collections::VecDeque;

/// What lies between two neighbours of the backbone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// The sender's numbers in between: `first..end`.
    first: u64,
    end: u64,
    /// The reflector's number of the reply that ends the segment.
    pub(super) position: u64,
    /// Packets of the stream in between that have not shown up.
    pub(super) missing_packets: u64,
    /// Sentinels in between that have not shown up.
    pub(super) missing_sentinels: u64,
    /// The reflector's numbers in between that have not shown up.
    pub(super) missing_replies: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Backbone {
    /// One above the greatest sender's number walked.
    next: u64,
    /// Missing replies since the last of the backbone.
    missing_replies: u64,
    /// Where the stream ends and the sentinels begin, once known.
    stream_end: u64,
    /// Segments with something missing that an overtaken packet may still fill, oldest first.
    open: VecDeque<Segment>,
    /// The end of the newest segment that is no longer open.
    closed_below: u64,
    /// How far behind its place, in the reflector's numbers, an overtaken packet may come.
    reach: u64,
    /// How far behind its place one did come.
    longest_overtaking: u64,
    ledger: Ledger,
}

impl Backbone {
    pub(super) fn new(reach: usize) -> Self {
        Self {
            next: 0,
            missing_replies: 0,
            stream_end: u64::MAX,
            open: VecDeque::with_capacity(reach + 1),
            closed_below: 0,
            reach: reach as u64,
            longest_overtaking: 0,
            ledger: Ledger::new(reach),
        }
    }

    pub(super) fn stream_ends_at(&mut self, sent: u64) {
        self.stream_end = sent;
    }

    pub(super) fn missing_replies(&mut self, count: u64) {
        self.missing_replies += count;
    }

    /// Takes the reply with number `position` to packet `sequence`. All before it have been taken.
    #[inline]
    pub(super) fn reply(&mut self, position: u64, sequence: u64, first: bool) {
        if sequence >= self.next {
            if sequence > self.next || self.missing_replies > 0 {
                self.open_segment(sequence, position);
            }
            self.next = sequence + 1;
        } else if first {
            self.fill(sequence, position);
        }
    }

    /// The totals, once the last reply, with the number before `end`, has been taken.
    pub(super) fn finish(mut self, end: u64) -> Totals {
        while let Some(segment) = self.open.pop_front() {
            self.ledger.enter(&segment);
        }
        let tail = self.stream_end.saturating_sub(self.next);
        let answered_sentinel = self.next > self.stream_end;
        // Behind an answered sentinel there is nothing of the stream. Without one, packets as far behind as others
        // have come may have reached the reflector after the last reply that came back.
        let doubtful_from = if answered_sentinel { end } else { end.saturating_sub(self.longest_overtaking) };
        self.ledger.finish(self.missing_replies, tail, doubtful_from)
    }

    fn open_segment(&mut self, end: u64, position: u64) {
        while let Some(oldest) = self.open.front() {
            if oldest.position + self.reach >= position {
                break;
            }
            self.closed_below = oldest.end;
            self.ledger.enter(oldest);
            self.open.pop_front();
        }
        let missing_packets = end.min(self.stream_end) - self.next.min(self.stream_end);
        self.open.push_back(Segment {
            first: self.next,
            end,
            position,
            missing_packets,
            missing_sentinels: end - self.next - missing_packets,
            missing_replies: self.missing_replies,
        });
        self.missing_replies = 0;
    }

    /// An overtaken packet shows up: it is not missing from its segment.
    fn fill(&mut self, sequence: u64, position: u64) {
        if sequence < self.closed_below {
            self.ledger.missing_packet_showed_up();
            return;
        }
        let place = self.open.partition_point(|s| s.end <= sequence);
        let Some(segment) = self.open.get_mut(place).filter(|s| s.first <= sequence) else {
            // A packet of the backbone itself, whose copy had the smaller number.
            return;
        };
        let missing =
            if sequence < self.stream_end { &mut segment.missing_packets } else { &mut segment.missing_sentinels };
        *missing = missing.saturating_sub(1);
        let overtaking = position - segment.position;
        self.longest_overtaking = self.longest_overtaking.max(overtaking);
    }
}
