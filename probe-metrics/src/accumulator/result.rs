//! What comes out at the end of a stream, and the books that can be read at any time.

use crate::direction::Directions;
use crate::distribution::Distribution;
use crate::reordering::ReorderingSummary;

/// The books of a stream, or of an interval of it, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets sent.
    pub sent: u64,
    /// Packets received in time, each once.
    pub received: u64,
    /// Packets received at Tmax or later, each once.
    pub late: u64,
    /// Further copies of packets received before (RFC 5560).
    pub duplicates: u64,
    /// Packets received in time that are reordered (RFC 4737, section 3.3).
    pub reordered: u64,
    /// Packets that came back damaged and not whole.
    pub corrupted: u64,
    /// Packets received that are no reply to the stream.
    pub foreign: u64,
}

/// The result of one stream. Its books balance: `sent = received + late + corrupted + lost`, and with a stateful
/// reflector `lost = forward + backward + unattributable` of its [`Directions`].
#[derive(Clone, Debug)]
pub struct StreamResult {
    /// The books, but for the lost.
    pub counts: Counts,
    /// Packets of which nothing came back.
    pub lost: u64,
    /// On which way the lost packets died; `None` when the reflector is stateless.
    pub directions: Option<Directions>,
    /// The Tmax that was applied, in nanoseconds.
    pub tmax_ns: i64,
    /// Arrivals of numbers that were never sent or that were older than the window.
    pub beyond: u64,
    /// Damaged copies of packets that came back whole as well.
    pub corrupted_copies: u64,
    /// Loss ratio of RFC 7680, section 4.1 (RFC 6673, section 6.1): lost, late and damaged packets over packets sent;
    /// `None` when none was sent.
    pub loss_ratio: Option<f64>,
    /// Loss ratio of ITU-T Y.1540 (IPLR): lost and late packets over packets sent; damaged ones count as errored.
    pub loss_ratio_y1540: Option<f64>,
    /// Surplus copies per arrived packet (RFC 5560, section 5.1); `None` when none arrived.
    pub duplication_fraction: Option<f64>,
    /// Reordering of the packets received in time (RFC 4737).
    pub reordering: ReorderingSummary,
    /// (T4 - T1) - (T3 - T2): the network's round trip.
    pub round_trip: Distribution,
    /// T4 - T1: the round trip with the reflector's residence (RFC 2681).
    pub round_trip_total: Distribution,
    /// T2 - T1 (RFC 7679), as good as the clocks agree.
    pub forward: Distribution,
    /// T4 - T3 (RFC 7679), as good as the clocks agree.
    pub backward: Distribution,
    /// T3 - T2: how long the reflector kept the packets.
    pub residence: Distribution,
    /// By how much packets left after their intended time; early ones count as 0.
    pub departure_error: Distribution,
    /// Packets that left later than the configuration allows.
    pub late_departures: u64,
}

impl StreamResult {
    /// Packets lost on the way forward; `None` when the reflector is stateless.
    pub fn lost_forward(&self) -> Option<u64> {
        self.directions.map(|d| d.forward)
    }

    /// Packets lost on the way backward; `None` when the reflector is stateless.
    pub fn lost_backward(&self) -> Option<u64> {
        self.directions.map(|d| d.backward)
    }

    /// Lost packets of which the way cannot be told: all of them when the reflector is stateless.
    pub fn unattributable(&self) -> u64 {
        self.directions.map_or(self.lost, |d| d.unattributable)
    }
}

impl Counts {
    /// What was counted after `earlier`. A field that fell meanwhile (a packet held for damaged came back whole) is 0.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        self.combine(earlier, u64::saturating_sub)
    }

    /// Both together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a + b)
    }

    fn combine(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            sent: operation(self.sent, other.sent),
            received: operation(self.received, other.received),
            late: operation(self.late, other.late),
            duplicates: operation(self.duplicates, other.duplicates),
            reordered: operation(self.reordered, other.reordered),
            corrupted: operation(self.corrupted, other.corrupted),
            foreign: operation(self.foreign, other.foreign),
        }
    }
}
