//! What really became of every packet, for a test to hold a measurement against.

use std::ops::Range;

/// What became of a stream's packets. Every packet is in exactly one of the first six, so that they add up to those
/// sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Packets whose reply arrived whole, at least once.
    pub received: u64,
    /// Packets that no reply arrived to, while something of them is on the path.
    pub outstanding: u64,
    /// Packets whose reply arrived with a wrong checksum only.
    pub corrupted: u64,
    /// Packets whose reply found the port's receive ring full.
    pub dropped: u64,
    /// Packets that no copy of reached the reflector whole.
    pub lost_forward: u64,
    /// Packets that reached the reflector and whose replies were lost.
    pub lost_backward: u64,
    /// Packets that left.
    pub sent: u64,
    /// Whole replies to packets that had been answered before (RFC 5560 section 3).
    pub duplicates: u64,
    /// First replies that came after the reply to a later packet (RFC 4737 section 3.3).
    pub reordered: u64,
}

/// One packet.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// Copies on the path, in both directions.
    copies: u8,
    has_reached_reflector: bool,
    has_arrived: bool,
    has_arrived_corrupted: bool,
    was_dropped: bool,
    /// Whole replies beyond the first.
    duplicates: u64,
    is_reordered: bool,
}

/// The packets of a stream, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    fates: Vec<Fate>,
    /// One above the highest packet that was answered.
    next_expected: usize,
}

/// How a reply came to the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    Corrupted,
    Dropped,
}

impl Ledger {
    /// A packet leaves. Returns its number.
    pub(super) fn send(&mut self) -> usize {
        self.fates.push(Fate::default());
        self.fates.len() - 1
    }

    /// A copy of a packet or of its reply goes on its way.
    pub(super) fn depart(&mut self, packet: usize) {
        self.fates[packet].copies += 1;
    }

    /// A copy of a packet comes to the reflector.
    pub(super) fn reach_reflector(&mut self, packet: usize, is_whole: bool) {
        let fate = &mut self.fates[packet];
        fate.copies -= 1;
        fate.has_reached_reflector |= is_whole;
    }

    /// A reply comes to the port.
    pub(super) fn arrive(&mut self, packet: usize, ending: Ending) {
        let fate = &mut self.fates[packet];
        fate.copies -= 1;
        match ending {
            Ending::Corrupted => fate.has_arrived_corrupted = true,
            Ending::Dropped => fate.was_dropped = true,
            Ending::Whole if fate.has_arrived => fate.duplicates += 1,
            Ending::Whole => {
                fate.has_arrived = true;
                fate.is_reordered = packet < self.next_expected;
                self.next_expected = self.next_expected.max(packet + 1);
            }
        }
    }

    pub(super) fn truth(&self, packets: Range<usize>) -> Truth {
        let end = packets.end.min(self.fates.len());
        let fates = &self.fates[packets.start.min(end)..end];
        let mut truth = Truth { sent: fates.len() as u64, ..Truth::default() };
        for fate in fates {
            truth.duplicates += fate.duplicates;
            truth.reordered += u64::from(fate.is_reordered);
            let place = if fate.has_arrived {
                &mut truth.received
            } else if fate.copies > 0 {
                &mut truth.outstanding
            } else if fate.has_arrived_corrupted {
                &mut truth.corrupted
            } else if fate.was_dropped {
                &mut truth.dropped
            } else if fate.has_reached_reflector {
                &mut truth.lost_backward
            } else {
                &mut truth.lost_forward
            };
            *place += 1;
        }
        truth
    }
}
