//! What a script can say: which test packets, and what becomes of them.

use std::ops::Range;
use std::time::Duration;

use crate::frame::{Direction, TestPacket};

/// The rules for both directions. The first rule that selects a packet decides; a packet that none selects passes.
#[derive(Debug, Clone, Default)]
pub struct Script {
    rules: Vec<(Direction, Select, Action)>,
}

/// Which test packets a rule is for. All but [`Select::Everything`] speak of the measured stream only, never of preflight
/// probes; sequence numbers are the sender's, in both directions, so that sentinels have those after the stream's last.
#[derive(Debug, Clone)]
pub enum Select {
    /// The packets with this sequence number.
    Sequence(u32),
    /// Those with a sequence number in the range.
    Sequences(Range<u32>),
    /// Every `step`-th sequence number of the range, its start included.
    Every(Range<u32>, u32),
    /// Those with this sequence number or a later one, sentinels included.
    From(u32),
    /// The n-th packet, from 0, that comes this way, whatever its number.
    Ordinal(u32),
    /// Every test packet of any session, preflight probes included.
    Everything,
}

/// What becomes of a selected packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It vanishes.
    Drop,
    /// It passes, and this many copies of it right behind.
    Duplicate(u32),
    /// It passes this much later.
    Delay(Duration),
    /// It passes right after this many later packets of the stream have passed. Were there fewer, it would vanish.
    HoldBack(u32),
    /// This octet of the UDP payload is changed; no checksum is mended.
    Corrupt(usize),
    /// The Time to Live or Hop Limit becomes this; the IPv4 header checksum is mended, as a router does.
    SetTtl(u8),
}

impl Script {
    /// Adds a rule for packets on their way to the reflector.
    #[must_use]
    pub fn forward(self, select: Select, action: Action) -> Self {
        self.rule(Direction::Forward, select, action)
    }

    /// Adds a rule for packets on their way back.
    #[must_use]
    pub fn backward(self, select: Select, action: Action) -> Self {
        self.rule(Direction::Backward, select, action)
    }

    fn rule(mut self, direction: Direction, select: Select, action: Action) -> Self {
        self.rules.push((direction, select, action));
        self
    }

    /// What becomes of the packet that comes this way as the `ordinal`-th of its stream. `None`: it passes.
    pub fn action(&self, direction: Direction, packet: &TestPacket, ordinal: u32) -> Option<Action> {
        let decides =
            |(way, select, _): &&(Direction, Select, Action)| *way == direction && select.selects(packet, ordinal);
        self.rules.iter().find(decides).map(|(_, _, action)| *action)
    }
}

impl Select {
    fn selects(&self, packet: &TestPacket, ordinal: u32) -> bool {
        let sequence = packet.sequence;
        let selected = match self {
            Self::Everything => return true,
            Self::Sequence(one) => sequence == *one,
            Self::Sequences(range) => range.contains(&sequence),
            Self::Every(range, step) => range.contains(&sequence) && (sequence - range.start).is_multiple_of(*step),
            Self::From(first) => sequence >= *first,
            Self::Ordinal(n) => ordinal == *n,
        };
        selected && packet.in_stream()
    }
}
