//! The table of scripts, each with the truth that a person reckons from reading it.
//!
//! Three accounts must agree: what is written here, what [`crate::truth`] reckons from the wire's record, and what the
//! program under test reports. Two of them alone could share a mistake.

use std::time::Duration;

use crate::script::Action::{Corrupt, Delay, Drop, Duplicate, HoldBack, SetTtl};
use crate::script::Script;
use crate::script::Select::{Every, From, Ordinal, Sequence, Sequences};
use crate::truth::Truth;

/// One script and what must come of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in test results.
    pub name: &'static str,
    /// Packets of the stream, sent at 1000 a second.
    pub count: u32,
    /// How long a packet's reply is waited for.
    pub wait: Duration,
    /// What happens on the wire.
    pub script: Script,
    /// What a right report says.
    pub expected: Truth,
    /// Whether delays decide the extents, so that [`Self::expected`] cannot name the greatest.
    pub extent_from_timing: bool,
}

impl Case {
    /// An undisturbed run of 300 packets that waits 500 ms.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            count: COUNT,
            wait: Duration::from_millis(500),
            script: Script::default(),
            expected: Truth::undisturbed(COUNT.into()),
            extent_from_timing: false,
        }
    }

    fn script(mut self, script: impl FnOnce(Script) -> Script) -> Self {
        self.script = script(self.script);
        self
    }

    fn count(mut self, count: u32) -> Self {
        self.count = count;
        self.expected = Truth::undisturbed(count.into());
        self
    }

    fn lost(mut self, forward: u64, backward: u64) -> Self {
        self.expected.lost_forward += forward;
        self.expected.lost_backward += backward;
        self.balance()
    }

    fn unattributable(mut self, packets: u64) -> Self {
        self.expected.unattributable += packets;
        self.balance()
    }

    fn late(mut self, packets: u64) -> Self {
        self.expected.late += packets;
        self.balance()
    }

    fn corrupted(mut self, packets: u64) -> Self {
        self.expected.corrupted += packets;
        self.balance()
    }

    fn duplicates(mut self, copies: u64) -> Self {
        self.expected.duplicates += copies;
        self
    }

    fn reordered(mut self, packets: u64, max_extent: u64) -> Self {
        self.expected.reordered += packets;
        self.expected.max_extent = Some(max_extent);
        self
    }

    fn reordered_by_timing(mut self, packets: u64) -> Self {
        self.extent_from_timing = true;
        self.expected.reordered += packets;
        self
    }

    fn balance(mut self) -> Self {
        let truth = &mut self.expected;
        truth.lost = truth.lost_forward + truth.lost_backward + truth.unattributable;
        truth.received = truth.sent - truth.lost - truth.late - truth.corrupted;
        self
    }
}

const COUNT: u32 = 300;
const LAST: u32 = COUNT - 1;

/// Nothing happens.
pub fn nothing() -> Case {
    Case::new("nothing")
}

/// One packet is lost on its way out.
pub fn forward_loss() -> Case {
    Case::new("forward_loss").script(|wire| wire.forward(Sequence(100), Drop)).lost(1, 0)
}

/// One packet is lost on its way back.
pub fn backward_loss() -> Case {
    Case::new("backward_loss").script(|wire| wire.backward(Sequence(100), Drop)).lost(0, 1)
}

/// The first packet never reaches the reflector.
pub fn first_forward() -> Case {
    Case::new("first_forward").script(|wire| wire.forward(Ordinal(0), Drop)).lost(1, 0)
}

/// The first reply never comes back.
pub fn first_backward() -> Case {
    Case::new("first_backward").script(|wire| wire.backward(Ordinal(0), Drop)).lost(0, 1)
}

/// The first packets are lost, some on each way.
pub fn first_ten_mixed() -> Case {
    Case::new("first_ten_mixed")
        .script(|wire| wire.forward(Sequences(0..4), Drop).backward(Sequences(4..10), Drop))
        .lost(4, 6)
}

/// The last packet never reaches the reflector; a sentinel tells.
pub fn last_forward() -> Case {
    Case::new("last_forward").script(|wire| wire.forward(Sequence(LAST), Drop)).lost(1, 0)
}

/// The last reply never comes back; a sentinel tells.
pub fn last_backward() -> Case {
    Case::new("last_backward").script(|wire| wire.backward(Sequence(LAST), Drop)).lost(0, 1)
}

/// The last ten never reach the reflector.
pub fn last_ten_forward() -> Case {
    Case::new("last_ten_forward").script(|wire| wire.forward(Sequences(COUNT - 10..COUNT), Drop)).lost(10, 0)
}

/// The last ten replies never come back.
pub fn last_ten_backward() -> Case {
    Case::new("last_ten_backward").script(|wire| wire.backward(Sequences(COUNT - 10..COUNT), Drop)).lost(0, 10)
}

/// Of the last ten, six die on one way and four on the other.
pub fn last_ten_mixed() -> Case {
    Case::new("last_ten_mixed")
        .script(|wire| wire.forward(Sequences(COUNT - 10..COUNT - 4), Drop).backward(Sequences(COUNT - 4..COUNT), Drop))
        .lost(6, 4)
}

/// From packet 250 on no reply comes back, not even to sentinels: nothing tells which way they died.
pub fn silence_backward() -> Case {
    Case::new("silence_backward").script(|wire| wire.backward(From(250), Drop)).unattributable(50)
}

/// The same, with losses before it that can be told.
pub fn silence_after_losses() -> Case {
    Case::new("silence_after_losses")
        .script(|wire| wire.forward(Sequence(20), Drop).backward(Sequences(30..33), Drop).forward(From(250), Drop))
        .lost(1, 3)
        .unattributable(50)
}

/// Nothing of the stream is answered.
pub fn everything_forward() -> Case {
    Case::new("everything_forward").script(|wire| wire.forward(From(0), Drop)).unattributable(COUNT.into())
}

/// No reply of the stream comes back.
pub fn everything_backward() -> Case {
    Case::new("everything_backward").script(|wire| wire.backward(From(0), Drop)).unattributable(COUNT.into())
}

/// Bursts are lost on both ways, apart from each other.
pub fn bursts() -> Case {
    Case::new("bursts")
        .script(|wire| {
            wire.forward(Sequences(40..60), Drop).backward(Sequences(120..135), Drop).forward(Sequences(200..203), Drop)
        })
        .lost(23, 15)
}

/// Two bursts on the two ways touch each other.
pub fn touching_bursts() -> Case {
    Case::new("touching_bursts")
        .script(|wire| wire.forward(Sequences(100..110), Drop).backward(Sequences(110..125), Drop))
        .lost(10, 15)
}

/// Every second packet is lost on its way out.
pub fn alternate_forward() -> Case {
    Case::new("alternate_forward").script(|wire| wire.forward(Every(50..150, 2), Drop)).lost(50, 0)
}

/// Every second reply is lost.
pub fn alternate_backward() -> Case {
    Case::new("alternate_backward").script(|wire| wire.backward(Every(50..150, 2), Drop)).lost(0, 50)
}

/// Packets are lost in turn: one way, the other way, not at all.
pub fn interleaved() -> Case {
    Case::new("interleaved")
        .script(|wire| wire.forward(Every(60..150, 3), Drop).backward(Every(61..150, 3), Drop))
        .lost(30, 30)
}

/// One packet is doubled on its way out, so that the reflector answers and numbers it twice.
pub fn forward_duplicate() -> Case {
    Case::new("forward_duplicate").script(|wire| wire.forward(Sequence(100), Duplicate(1))).duplicates(1)
}

/// One reply is doubled.
pub fn backward_duplicate() -> Case {
    Case::new("backward_duplicate").script(|wire| wire.backward(Sequence(100), Duplicate(1))).duplicates(1)
}

/// Packets are tripled on both ways.
pub fn triples() -> Case {
    Case::new("triples")
        .script(|wire| wire.forward(Sequence(100), Duplicate(2)).backward(Sequence(200), Duplicate(2)))
        .duplicates(4)
}

/// The last packet and its reply are doubled.
pub fn last_duplicate() -> Case {
    Case::new("last_duplicate").script(|wire| wire.backward(Sequence(LAST), Duplicate(1))).duplicates(1)
}

/// Two neighbours change places on their way out.
pub fn swap_forward() -> Case {
    Case::new("swap_forward").script(|wire| wire.forward(Sequence(100), HoldBack(1))).reordered(1, 1)
}

/// Two neighbours change places on their way back.
pub fn swap_backward() -> Case {
    Case::new("swap_backward").script(|wire| wire.backward(Sequence(100), HoldBack(1))).reordered(1, 1)
}

/// Single packets fall back by five, one on each way.
pub fn swap_by_five() -> Case {
    Case::new("swap_by_five")
        .script(|wire| wire.forward(Sequence(100), HoldBack(5)).backward(Sequence(200), HoldBack(5)))
        .reordered(2, 5)
}

/// A block of three falls back behind ten: extents 10, 11 and 12 (RFC 4737, section 7.3).
pub fn late_block() -> Case {
    Case::new("late_block")
        .script(|wire| {
            wire.backward(Sequence(100), HoldBack(10))
                .backward(Sequence(101), HoldBack(10))
                .backward(Sequence(102), HoldBack(10))
        })
        .reordered(3, 12)
}

/// The last packet comes behind sentinels; it alone is reordered in no way, for sentinels are not of the stream.
pub fn last_behind_sentinel() -> Case {
    Case::new("last_behind_sentinel").script(|wire| wire.backward(Sequence(LAST), HoldBack(1)))
}

/// A reply comes when its waiting time is over and the run still goes on: late, and neither received nor lost.
pub fn late_backward() -> Case {
    Case::new("late_backward")
        .count(1500)
        .script(|wire| wire.backward(Sequence(100), Delay(Duration::from_millis(700))))
        .late(1)
}

/// Three packets wait too long on their way out.
pub fn late_forward() -> Case {
    Case::new("late_forward")
        .count(1500)
        .script(|wire| wire.forward(Sequences(100..103), Delay(Duration::from_millis(700))))
        .late(3)
}

/// Delays below the waiting time are only reordering.
pub fn delayed_in_time() -> Case {
    Case::new("delayed_in_time")
        .script(|wire| {
            wire.forward(Sequence(50), Delay(Duration::from_millis(100)))
                .backward(Sequence(200), Delay(Duration::from_millis(60)))
        })
        .reordered_by_timing(2)
}

/// The last packet takes its time, within the waiting time: it must be waited for.
pub fn last_delayed() -> Case {
    Case::new("last_delayed").script(|wire| wire.backward(Sequence(LAST), Delay(Duration::from_millis(250))))
}

/// An octet that the reflector does not change is corrupted on its way out.
pub fn corrupt_forward() -> Case {
    Case::new("corrupt_forward").script(|wire| wire.forward(Sequence(100), Corrupt(9))).corrupted(1)
}

/// An octet of the MBZ field, which the reflector overwrites, is corrupted on its way out.
pub fn corrupt_forward_mbz() -> Case {
    Case::new("corrupt_forward_mbz").script(|wire| wire.forward(Sequence(100), Corrupt(30))).corrupted(1)
}

/// An octet of a timestamp is corrupted on its way back.
pub fn corrupt_backward() -> Case {
    Case::new("corrupt_backward").script(|wire| wire.backward(Sequence(100), Corrupt(18))).corrupted(1)
}

/// The sender's sequence number is corrupted on its way back: which packet it answers cannot be read from it.
pub fn corrupt_sequence() -> Case {
    Case::new("corrupt_sequence").script(|wire| wire.backward(Sequence(100), Corrupt(27))).corrupted(1)
}

/// Losses on both ways and replies out of order, all in one run.
pub fn losses_and_reordering() -> Case {
    Case::new("losses_and_reordering")
        .script(|wire| {
            wire.forward(Sequences(40..45), Drop).backward(Sequences(90..92), Drop).backward(Sequence(150), HoldBack(7))
        })
        .lost(5, 2)
        .reordered(1, 7)
}

/// Packets doubled here and lost there.
pub fn duplicates_and_losses() -> Case {
    Case::new("duplicates_and_losses")
        .script(|wire| {
            wire.forward(Sequence(50), Duplicate(1))
                .backward(Sequence(80), Drop)
                .forward(Sequence(110), Drop)
                .backward(Sequence(140), Duplicate(3))
        })
        .lost(1, 1)
        .duplicates(4)
}

/// A packet is held back over a burst of losses: the gap before it is no reordering.
pub fn reordering_over_losses() -> Case {
    Case::new("reordering_over_losses")
        .script(|wire| wire.forward(Sequence(100), HoldBack(3)).backward(Sequences(102..104), Drop))
        .lost(0, 2)
        .reordered(1, 1)
}

/// Routers on the way count the Time to Live down: nothing of it is a loss.
pub fn ttl_changed() -> Case {
    Case::new("ttl_changed")
        .script(|wire| wire.forward(Sequences(0..COUNT), SetTtl(57)).backward(Sequences(100..200), SetTtl(3)))
}
