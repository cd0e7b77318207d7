//! The books: what became of every packet.

use serde::{Deserialize, Serialize};

/// What became of the packets. Every packet sent came to one of four ends: `sent` = `received` + `late` + `corrupted` +
/// `lost`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packets {
    /// Handed to the interface.
    pub sent: u64,
    /// Came back intact and in time; copies beyond the first are not counted here.
    pub received: u64,
    /// Never came back. `lost` = `lost_forward` + `lost_backward` + `dropped_by_tester` + `unattributable`, where a
    /// direction that is not known counts nothing.
    pub lost: u64,
    /// Lost by the network on the way to the reflector. `null` when the directions cannot be told apart.
    pub lost_forward: Option<u64>,
    /// Lost by the network on the way back. `null` when the directions cannot be told apart.
    pub lost_backward: Option<u64>,
    /// Came back after Tmax.
    pub late: u64,
    /// Copies beyond the first of packets that came back (RFC 5560).
    pub duplicates: u64,
    /// Replies that arrived after one with a higher sequence number (RFC 4737 section 3.3).
    pub reordered: u64,
    /// Came back damaged.
    pub corrupted: u64,
    /// Frames that reached the session's port and were no replies to it.
    pub foreign: u64,
    /// Lost, and neither a direction nor the tester can be named.
    pub unattributable: u64,
    /// Lost by the tester itself at one of the places of `tester_drops`.
    pub dropped_by_tester: u64,
}

impl Packets {
    /// Whether every packet sent came to exactly one end, and every lost one to exactly one cause.
    pub fn balance(&self) -> bool {
        let ends = [self.received, self.late, self.corrupted, self.lost];
        let causes = [
            self.lost_forward.unwrap_or(0),
            self.lost_backward.unwrap_or(0),
            self.dropped_by_tester,
            self.unattributable,
        ];
        let sum = |parts: &[u64]| parts.iter().map(|&part| u128::from(part)).sum::<u128>();
        sum(&ends) == u128::from(self.sent) && sum(&causes) == u128::from(self.lost)
    }
}

/// Round-trip reordering (RFC 4737): of the replies as they arrived, duplicates removed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reordering {
    /// Reordered over received, 0 to 1; `null` when nothing was received (section 4.1).
    pub ratio: Option<f64>,
    /// Reordered packets.
    pub reordered: u64,
    /// The largest reordering extent in packets (section 4.2); `null` when nothing was reordered.
    pub max_extent: Option<u64>,
    /// Whether the true extent may be larger, because the window that is searched ended there.
    pub max_extent_at_least: bool,
    /// Sequence discontinuities: places where one or more numbers were skipped (section 3.4).
    pub discontinuities: u64,
}

/// What the tester itself lost, whether or not it belonged to this stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TesterDrops {
    /// The sum over all places.
    pub total: u64,
    /// The places that lost something, each with its one canonical counter.
    pub places: Vec<DropPlace>,
}

impl TesterDrops {
    /// The drops at `places`, those without any left out, and their sum.
    pub fn at(places: impl IntoIterator<Item = DropPlace>) -> Self {
        let places: Vec<_> = places.into_iter().filter(|place| place.count > 0).collect();
        Self { total: places.iter().map(|place| place.count).sum(), places }
    }
}

/// A place in the tester where frames were lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropPlace {
    /// The place in words: `receive ring full`.
    pub place: String,
    /// The counter that showed it: `XDP_STATISTICS rx_ring_full`.
    pub counter: String,
    /// Frames lost there.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance_or_do_not() {
        let known = Packets {
            sent: 100,
            received: 90,
            lost: 7,
            lost_forward: Some(3),
            lost_backward: Some(2),
            late: 2,
            corrupted: 1,
            unattributable: 1,
            dropped_by_tester: 1,
            ..Packets::default()
        };
        assert!(known.balance());
        assert!(!Packets { sent: 101, ..known.clone() }.balance());
        assert!(!Packets { unattributable: 2, ..known.clone() }.balance());
        let unknown = Packets { lost_forward: None, lost_backward: None, unattributable: 6, ..known };
        assert!(unknown.balance());
    }

    #[test]
    fn only_places_that_lost_something_are_named() {
        let place = |count| DropPlace { place: "here".into(), counter: "c".into(), count };
        let drops = TesterDrops::at([place(3), place(0), place(4)]);
        assert_eq!((drops.total, drops.places.len()), (7, 2));
    }
}
