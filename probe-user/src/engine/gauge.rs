//! What the controller sees of a running worker, a few times a second.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Numbers that the worker writes now and then and the controller reads whenever it likes, and the wish to stop, the
/// other way.
#[derive(Debug, Default)]
pub struct Gauges {
    sent: AtomicU64,
    received: AtomicU64,
    outstanding: AtomicU64,
    round_trip_ns: AtomicI64,
    is_stop_wished: AtomicBool,
    is_abort_wished: AtomicBool,
}

/// The gauges at one moment, over all streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Packets sent.
    pub sent: u64,
    /// Packets received in time.
    pub received: u64,
    /// Packets sent of which nothing has come back.
    pub outstanding: u64,
    /// Round-trip delay of late, an exponentially weighted mean in nanoseconds; `None` before the first reply.
    pub round_trip_ns: Option<i64>,
}

impl Gauges {
    /// The numbers now.
    #[must_use]
    pub fn read(&self) -> Reading {
        let round_trip_ns = self.round_trip_ns.load(Ordering::Relaxed);
        Reading {
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            outstanding: self.outstanding.load(Ordering::Relaxed),
            round_trip_ns: (round_trip_ns != 0).then_some(round_trip_ns),
        }
    }

    /// Asks the worker to send nothing more; asked again, it does not wait for what is outstanding either.
    pub fn stop(&self) {
        if self.is_stop_wished.swap(true, Ordering::Relaxed) {
            self.is_abort_wished.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_stop_wished(&self) -> bool {
        self.is_stop_wished.load(Ordering::Relaxed)
    }

    pub(super) fn is_abort_wished(&self) -> bool {
        self.is_abort_wished.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, reading: &Reading) {
        self.sent.store(reading.sent, Ordering::Relaxed);
        self.received.store(reading.received, Ordering::Relaxed);
        self.outstanding.store(reading.outstanding, Ordering::Relaxed);
        self.round_trip_ns.store(reading.round_trip_ns.unwrap_or(0), Ordering::Relaxed);
    }
}
