//! On which way packets died. A stateful session-reflector numbers its replies (RFC 8762, section 4.3), so a packet
//! lost forward leaves a gap in the sender's numbers alone, and a reply lost backward leaves one in both. Telling them
//! apart is a comparison of gaps, made in the order in which the reflector saw the packets:
//!
//! - a *ring* keyed by the reflector's number puts the replies back into that order ([`DirectionalLoss`]);
//! - the *backbone* of replies that were in order at the reflector cuts both numberings into segments, each with the
//!   packets missing and the replies missing from it ([`backbone`]);
//! - the *ledger* compares these, segment by segment, and keeps what two explanations fit as unattributable
//!   ([`ledger`]).
//!
//! What holds of the result, as long as no packet is more than the window out of place:
//!
//! - Without forward duplication, a missing reply is a packet lost backward. The result is exact for any loss in both
//!   directions and any reordering and duplication backward; forward reordering too leaves it exact, unless a reply to
//!   a reordered packet died, which costs one unattributable packet.
//! - A forward duplicate of which both replies came back, or that is not near a forward loss, changes nothing.
//! - Otherwise a duplicate's lost reply next to a packet lost forward looks like a packet lost backward. If they fall
//!   into different segments they make one packet unattributable; within one segment nothing on the wire tells them
//!   from plain backward loss, which is by far the likelier cause and is what they are taken for.

mod backbone;
mod ledger;

use backbone::Backbone;

/// On which way the lost packets of one stream died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directions {
    /// Packets lost before the reflector.
    pub forward: u64,
    /// Packets that the reflector answered, but whose replies were lost.
    pub backward: u64,
    /// Lost packets of which the way cannot be told: the last ones when no later reply came back, those that two
    /// explanations fit, and all of them when the reflector's numbers cannot be trusted.
    pub unattributable: u64,
    /// Further copies that were made on the way forward: one packet, several numbered replies.
    pub duplicates_forward: u64,
    /// Further copies that were made on the way backward: one reply, several times.
    pub duplicates_backward: u64,
    /// Whether the reflector's numbers were those of one session from its start.
    pub numbering: Numbering,
}

/// How far a reflector's numbering can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbering {
    /// The numbers fit one session, counted without interruption.
    #[default]
    Continuous,
    /// A number was given twice or the count fell back: the reflector forgot the session in mid-run, or several
    /// reflectors answered.
    Restarted,
    /// More replies were numbered than packets and their copies can account for: the reflector counts something else,
    /// such as the packets of all sessions together.
    Impossible,
}

/// Finds the way on which packets died from the pairs of sender's and reflector's numbers, in a memory of 8 octets for
/// each number of the window and in a constant time for each reply.
#[derive(Clone, Debug)]
pub struct DirectionalLoss {
    /// For each reflector's number of the window: the reply that bore it.
    ring: Box<[Reply]>,
    mask: u64,
    /// The reflector's first number of this stream.
    start: u64,
    /// The window's first number, counted from `start`.
    base: u64,
    /// One above the greatest number so far, counted from `start`.
    end: u64,
    /// One above the greatest sender's number so far.
    sequence_end: u64,
    backbone: Backbone,
    duplicates_forward: u64,
    duplicates_backward: u64,
    numbering: Numbering,
}

/// One slot of the ring: the sender's number, plus one and doubled, with the lowest bit set for the packet's first
/// arrival; 0 when no reply with this number has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reply(u64);

impl Reply {
    const NONE: Self = Self(0);

    const fn new(sequence: u64, first: bool) -> Self {
        Self(((sequence + 1) << 1) | first as u64)
    }

    const fn sequence(self) -> Option<u64> {
        (self.0 >> 1).checked_sub(1)
    }

    const fn is_first(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Numbers above this are no packet counts (and would not fit a slot).
const HIGHEST_NUMBER: u64 = 1 << 60;

impl DirectionalLoss {
    /// The usual window: 65,536 replies, half a MiB.
    pub const DEFAULT_WINDOW: usize = 1 << 16;

    /// A finder whose window holds `window` of the reflector's numbers (rounded up to a power of two, at least 64).
    /// Replies may come back out of order by that many; on the way forward packets may be out of place by a quarter.
    /// `start` is the reflector's first number of this stream: 0 (RFC 8762, section 4.3) unless the session had
    /// packets before the stream.
    pub fn new(window: usize, start: u64) -> Self {
        let window = window.max(64).next_power_of_two();
        Self {
            ring: vec![Reply::NONE; window].into_boxed_slice(),
            mask: window as u64 - 1,
            start,
            base: 0,
            end: 0,
            sequence_end: 0,
            backbone: Backbone::new(window / 4),
            duplicates_forward: 0,
            duplicates_backward: 0,
            numbering: Numbering::Continuous,
        }
    }

    /// Takes one reply: the sender's number, the reflector's, and whether it is the first arrival of the packet (late
    /// ones included, copies not).
    #[inline]
    pub fn observe(&mut self, sequence: u64, reflector_sequence: u64, first: bool) {
        match self.place(sequence, reflector_sequence, first) {
            Placed::New if !first => self.duplicates_forward += 1,
            Placed::Again => self.duplicates_backward += 1,
            Placed::New | Placed::Outside => {}
        }
    }

    /// Takes a reply to a sentinel: a packet sent after the stream, numbered on from its last one, that shows how far
    /// the reflector had counted by then. Sentinels are to follow the stream after a pause, so that no packet of the
    /// stream comes behind them, and are to be fewer than a quarter of the window.
    pub fn observe_sentinel(&mut self, sequence: u64, reflector_sequence: u64) {
        self.place(sequence, reflector_sequence, true);
    }

    /// The result for a stream of `sent` packets of which `lost` are lost by the books: neither received in time, nor
    /// late, nor damaged. `forward + backward + unattributable` is `lost`.
    pub fn finish(mut self, sent: u64, lost: u64) -> Directions {
        self.backbone.stream_ends_at(sent);
        self.advance(self.end);
        let copies = self.duplicates_forward;
        let totals = self.backbone.finish(self.end);
        if self.numbering == Numbering::Continuous && !totals.plausible(copies) {
            self.numbering = Numbering::Impossible;
        }
        let (forward, backward) = match self.numbering {
            Numbering::Continuous => totals.settle(lost),
            Numbering::Restarted | Numbering::Impossible => (0, 0),
        };
        Directions {
            forward,
            backward,
            unattributable: lost - forward - backward,
            duplicates_forward: self.duplicates_forward,
            duplicates_backward: self.duplicates_backward,
            numbering: self.numbering,
        }
    }

    /// Whether the reflector's numbers have held so far.
    pub const fn numbering(&self) -> Numbering {
        self.numbering
    }

    fn place(&mut self, sequence: u64, reflector_sequence: u64, first: bool) -> Placed {
        if self.numbering != Numbering::Continuous {
            return Placed::Outside;
        }
        let Some(number) = reflector_sequence.checked_sub(self.start) else {
            return self.lose_trust(Numbering::Restarted);
        };
        if number > HIGHEST_NUMBER || sequence > HIGHEST_NUMBER {
            return self.lose_trust(Numbering::Impossible);
        }
        if number < self.base {
            // A straggler from before the window was taken for lost, packet and reply alike; the books of the stream
            // take it back. But an old number on a packet newer than all others is a second count.
            return if sequence >= self.sequence_end { self.lose_trust(Numbering::Restarted) } else { Placed::Outside };
        }
        if number - self.base > self.mask {
            self.advance(number - self.mask);
        }
        let slot = &mut self.ring[(number & self.mask) as usize];
        match slot.sequence() {
            None => {
                *slot = Reply::new(sequence, first);
                self.end = self.end.max(number + 1);
                self.sequence_end = self.sequence_end.max(sequence + 1);
                Placed::New
            }
            Some(earlier) if earlier == sequence => Placed::Again,
            Some(_) => self.lose_trust(Numbering::Restarted),
        }
    }

    fn lose_trust(&mut self, numbering: Numbering) -> Placed {
        self.numbering = numbering;
        Placed::Outside
    }

    /// Moves the window's start up to `base`; what leaves it goes into the backbone, in the reflector's order.
    fn advance(&mut self, base: u64) {
        let walked = base.min(self.base + self.mask + 1);
        for number in self.base..walked {
            let slot = &mut self.ring[(number & self.mask) as usize];
            match slot.sequence() {
                Some(sequence) => self.backbone.reply(number, sequence, slot.is_first()),
                None => self.backbone.missing_replies(1),
            }
            *slot = Reply::NONE;
        }
        self.backbone.missing_replies(base - walked);
        self.base = base;
    }
}

/// What became of one reply.
enum Placed {
    /// A number not seen before.
    New,
    /// The same reply once more.
    Again,
    /// Not in the window, or in a numbering that is not trusted.
    Outside,
}
