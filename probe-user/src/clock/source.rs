//! The clocks themselves: the kernel's TAI clock, and one that a test moves by hand.

use std::sync::atomic::{AtomicI64, Ordering};

use nix::time::{ClockId, clock_gettime};

const NANOSECONDS: i64 = 1_000_000_000;

/// A source of times. What takes its time from a `Clock` can be tested without waiting.
pub trait Clock {
    /// Nanoseconds of TAI since 1970.
    fn now(&self) -> i64;

    /// Nanoseconds that this clock is ahead of one that nobody sets. It changes when the clock is set, and only then:
    /// steering makes both faster or slower.
    fn ahead_of_steady(&self) -> i64 {
        0
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    #[inline]
    fn now(&self) -> i64 {
        (**self).now()
    }

    fn ahead_of_steady(&self) -> i64 {
        (**self).ahead_of_steady()
    }
}

/// The kernel's `CLOCK_TAI`, the same clock that `bpf_ktime_get_tai_ns` reads in an eBPF program.
///
/// A reading goes through the vDSO, without a system call, as long as the clock source allows it (see
/// [`measure_read_cost`](super::measure_read_cost)). Where nobody has told the kernel the distance from UTC to TAI
/// the clock shows UTC instead; see [`ClockState::tai_offset_set`](super::ClockState::tai_offset_set).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaiClock;

impl Clock for TaiClock {
    #[inline]
    fn now(&self) -> i64 {
        let now = clock_gettime(ClockId::CLOCK_TAI)
            .expect("CLOCK_TAI exists since Linux 3.10, and the address that it is written to is valid");
        now.tv_sec() * NANOSECONDS + now.tv_nsec()
    }

    fn ahead_of_steady(&self) -> i64 {
        let steady = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .expect("CLOCK_MONOTONIC exists on every Linux, and the address that it is written to is valid");
        self.now() - (steady.tv_sec() * NANOSECONDS + steady.tv_nsec())
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start_ns`, nanoseconds of TAI since 1970.
    #[must_use]
    pub const fn new(start_ns: i64) -> Self {
        Self(AtomicI64::new(start_ns))
    }

    /// Moves the clock by `step_ns` nanoseconds, backwards where that is negative, and returns the time after it.
    pub fn advance(&self, step_ns: i64) -> i64 {
        self.0.fetch_add(step_ns, Ordering::Relaxed).wrapping_add(step_ns)
    }

    /// Puts the clock at `time_ns`, nanoseconds of TAI since 1970.
    pub fn set(&self, time_ns: i64) {
        self.0.store(time_ns, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    #[inline]
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::clock::ClockState;

    #[test]
    fn tai_is_ahead_of_the_system_time_by_the_offset() {
        let offset_ns = i64::from(ClockState::read().expect("adjtimex").tai_offset_s) * NANOSECONDS;
        let utc = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as i64;
        let (before, tai, after) = (utc(), TaiClock.now(), utc());
        assert!((before + offset_ns..=after + offset_ns).contains(&tai), "{before} {tai} {after} {offset_ns}");
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::new(5);
        assert_eq!((clock.now(), clock.now()), (5, 5));
        assert_eq!(clock.advance(-7), -2);
        assert_eq!(clock.now(), -2);
        clock.set(1_000);
        assert_eq!(Clock::now(&&clock), 1_000);
    }
}
