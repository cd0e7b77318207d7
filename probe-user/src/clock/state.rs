//! What the kernel says of its own clock.

use std::io;

use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use super::kernel;

/// The state of the system clock, from adjtimex(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// Whether something steers the clock by an outside source. The kernel forgets it when the steering stops and the
    /// maximum error has grown to 16 s.
    pub synchronised: bool,
    /// The most that the clock can be away from UTC, in nanoseconds, by the reckoning of whoever steers it. It means
    /// nothing where `synchronised` is false.
    pub maximum_error_ns: u64,
    /// How far the clock probably is from UTC, in nanoseconds. It means nothing where `synchronised` is false.
    pub estimated_error_ns: u64,
    /// Seconds that `CLOCK_TAI` is ahead of the system's UTC.
    pub tai_offset_s: i32,
    /// Whether somebody told the kernel that offset. It is 0 until then, while the true one is 37 since 2017.
    pub tai_offset_set: bool,
}

/// The kernel did not tell the state of its clock.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the state of the system clock (adjtimex): {0}; a seccomp filter may forbid it")]
pub struct ClockStateError(#[source] io::Error);

impl ClockState {
    /// Reads the state from the kernel.
    ///
    /// # Errors
    ///
    /// [`ClockStateError`] where the call is forbidden.
    pub fn read() -> Result<Self, ClockStateError> {
        let (timex, state) = kernel::adjtimex().map_err(ClockStateError)?;
        Ok(Self::from_kernel(&timex, state))
    }

    /// The error estimate that goes beside a timestamp of this clock (RFC 8762 section 4.2.1): it covers the maximum
    /// error, and has the S bit only where the clock is synchronised.
    #[must_use]
    pub fn error_estimate(&self, format: TimestampFormat) -> ErrorEstimate {
        ErrorEstimate::covering(self.maximum_error_ns, self.synchronised, format)
    }

    fn from_kernel(timex: &libc::timex, state: libc::c_int) -> Self {
        // `TIME_ERROR` has causes that concern only a pulse-per-second input, so the flags decide, not the state:
        // except where the state says it and no such input exists.
        let pulse = libc::STA_PPSFREQ | libc::STA_PPSTIME;
        let lost = timex.status & (libc::STA_UNSYNC | libc::STA_CLOCKERR) != 0
            || (state == libc::TIME_ERROR && timex.status & pulse == 0);
        Self {
            synchronised: !lost,
            maximum_error_ns: nanoseconds(timex.maxerror),
            estimated_error_ns: nanoseconds(timex.esterror),
            tai_offset_s: timex.tai,
            tai_offset_set: timex.tai != 0,
        }
    }
}

/// Seconds that `CLOCK_TAI` is ahead of the system's UTC, as the kernel has it; 0 where nobody set it.
///
/// # Errors
///
/// [`ClockStateError`] where the call is forbidden.
pub fn tai_utc_offset() -> Result<i32, ClockStateError> {
    Ok(ClockState::read()?.tai_offset_s)
}

/// The kernel counts both errors in microseconds whatever `STA_NANO` says, and never below zero.
fn nanoseconds(microseconds: libc::c_long) -> u64 {
    u64::try_from(microseconds).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timex() -> libc::timex {
        let (mut timex, _) = kernel::adjtimex().expect("adjtimex");
        (timex.status, timex.maxerror, timex.esterror, timex.tai) = (libc::STA_PLL | libc::STA_NANO, 250, 7, 37);
        timex
    }

    #[test]
    fn a_steered_clock_states_its_errors_in_nanoseconds() {
        let state = ClockState::from_kernel(&timex(), libc::TIME_OK);
        assert_eq!(
            state,
            ClockState {
                synchronised: true,
                maximum_error_ns: 250_000,
                estimated_error_ns: 7_000,
                tai_offset_s: 37,
                tai_offset_set: true,
            }
        );
        let estimate = state.error_estimate(TimestampFormat::Ptp);
        assert!(estimate.is_synchronised());
        assert!((250_000..253_000).contains(&estimate.error_ns().expect("a multiplier")));
    }

    #[test]
    fn an_unsteered_clock_is_not_synchronised() {
        let mut timex = timex();
        timex.status |= libc::STA_UNSYNC;
        let state = ClockState::from_kernel(&timex, libc::TIME_ERROR);
        assert!(!state.synchronised);
        assert!(!state.error_estimate(TimestampFormat::Ntp).is_synchronised());
    }

    #[test]
    fn a_lost_pulse_does_not_undo_synchronisation() {
        let mut timex = timex();
        timex.status |= libc::STA_PPSTIME;
        assert!(ClockState::from_kernel(&timex, libc::TIME_ERROR).synchronised);
    }

    #[test]
    fn an_offset_of_zero_is_unset() {
        let mut timex = timex();
        timex.tai = 0;
        assert!(!ClockState::from_kernel(&timex, libc::TIME_OK).tai_offset_set);
    }
}
