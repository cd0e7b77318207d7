//! The two timestamp formats of the wire and the error estimate that goes with them.
//!
//! Inside Leadline a time is nanoseconds of International Atomic Time since 1970 (`CLOCK_TAI`). On the wire it is the
//! NTP 64-bit format, in UTC (RFC 8762 section 4.2.1), or the truncated PTPv2 format, in TAI (RFC 8186); each packet
//! says in the Z bit of its error estimate which one it carries.

/// Seconds from the NTP epoch, 1900, to the Unix epoch, 1970 (RFC 5905 section 6).
pub const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

const NANOSECONDS: u64 = 1_000_000_000;
/// Units of the NTP fraction in a nanosecond, times 2^32, rounded up: a multiplication costs eBPF a fraction of a
/// division. The product of less than a second fits into 64 bits, and is at most 0.07 units too high.
const FRACTIONS_PER_NANOSECOND: u64 = u64::MAX / NANOSECONDS + 1;

/// How a timestamp field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// 32 bits of UTC seconds since 1900 and a 32-bit binary fraction: Z = 0.
    Ntp,
    /// 32 bits of TAI seconds since 1970 and 32 bits of nanoseconds: Z = 1 (RFC 8186 section 2).
    Ptp,
}

impl TimestampFormat {
    /// Writes a time, given in nanoseconds of TAI since 1970, where TAI is ahead of UTC by `tai_utc_offset` seconds.
    ///
    /// The NTP fraction is rounded to one of its units of 233 ps, so that reading it back gives the same nanosecond.
    #[inline(always)]
    #[must_use]
    pub fn write(self, tai_ns: u64, tai_utc_offset: i32) -> [u8; 8] {
        let seconds = tai_ns / NANOSECONDS;
        let nanoseconds = tai_ns % NANOSECONDS;
        let (high, low) = match self {
            Self::Ntp => (
                seconds.wrapping_add(NTP_TO_UNIX_SECONDS).wrapping_sub(tai_utc_offset as u64),
                (nanoseconds * FRACTIONS_PER_NANOSECOND) >> 32,
            ),
            Self::Ptp => (seconds, nanoseconds),
        };
        (high << 32 | low).to_be_bytes()
    }

    /// Reads a time as nanoseconds of TAI since 1970.
    ///
    /// Both formats wrap after 136 years; of the candidates, the one nearest to `near_ns` is meant (RFC 5905 section
    /// 6 for the eras of NTP).
    #[inline]
    #[must_use]
    pub fn read(self, octets: [u8; 8], near_ns: i64, tai_utc_offset: i32) -> i64 {
        let value = u64::from_be_bytes(octets);
        let (high, low) = ((value >> 32) as u32, value & 0xffff_ffff);
        let (seconds, nanoseconds) = match self {
            Self::Ntp => (
                high.wrapping_sub(NTP_TO_UNIX_SECONDS as u32).wrapping_add(tai_utc_offset as u32),
                (low * NANOSECONDS + (1 << 31)) >> 32,
            ),
            Self::Ptp => (high, low),
        };
        let near_seconds = near_ns.div_euclid(NANOSECONDS as i64);
        let ahead = i64::from(seconds.wrapping_sub(near_seconds as u32) as i32);
        (near_seconds + ahead).wrapping_mul(NANOSECONDS as i64).wrapping_add(nanoseconds as i64)
    }
}

/// The error estimate field (RFC 4656 section 4.1.2, with the Z bit of RFC 8186).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorEstimate(pub u16);

impl ErrorEstimate {
    const SYNCHRONISED: u16 = 0x8000;
    const PTP_FORMAT: u16 = 0x4000;

    /// The estimate that covers an error of `error_ns` nanoseconds: the smallest scale whose multiplier fits, rounded
    /// up so that it never promises too much. No error is stated as the smallest one, since a multiplier of zero
    /// marks a corrupt packet.
    #[must_use]
    pub fn covering(error_ns: u64, synchronised: bool, format: TimestampFormat) -> Self {
        // error = multiplier * 2^(scale - 32) s, so multiplier = error * 2^(32 - scale) / 10^9, rounded up.
        let mut multiplier = ((u128::from(error_ns) << 32).div_ceil(u128::from(NANOSECONDS))).max(1);
        let mut scale: u16 = 0;
        while multiplier > 0xff {
            multiplier = multiplier.div_ceil(2);
            scale += 1;
        }
        let synchronised = if synchronised { Self::SYNCHRONISED } else { 0 };
        Self(synchronised | scale << 8 | multiplier as u16).with_format(format)
    }

    /// The same estimate with the Z bit of a format.
    #[inline(always)]
    #[must_use]
    pub const fn with_format(self, format: TimestampFormat) -> Self {
        match format {
            TimestampFormat::Ntp => Self(self.0 & !Self::PTP_FORMAT),
            TimestampFormat::Ptp => Self(self.0 | Self::PTP_FORMAT),
        }
    }

    /// The format of the timestamp beside this estimate, from the Z bit.
    #[inline(always)]
    #[must_use]
    pub const fn format(self) -> TimestampFormat {
        if self.0 & Self::PTP_FORMAT == 0 { TimestampFormat::Ntp } else { TimestampFormat::Ptp }
    }

    /// True when the clock claims to be synchronised to UTC by an outside source: the S bit.
    #[inline(always)]
    #[must_use]
    pub const fn is_synchronised(self) -> bool {
        self.0 & Self::SYNCHRONISED != 0
    }

    /// The error in nanoseconds, rounded up, or `None` where the multiplier is zero and the field says nothing.
    #[must_use]
    pub fn error_ns(self) -> Option<u64> {
        let multiplier = u128::from(self.0 & 0xff);
        let scale = u32::from(self.0 >> 8 & 0x3f);
        if multiplier == 0 {
            return None;
        }
        let scaled = (multiplier * u128::from(NANOSECONDS)) << scale;
        u64::try_from(scaled.div_ceil(1 << 32)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_800_000_000_000_000_000;

    #[test]
    fn the_unix_epoch_is_2208988800_in_ntp_and_zero_in_ptp() {
        assert_eq!(TimestampFormat::Ntp.write(0, 0), [0x83, 0xaa, 0x7e, 0x80, 0, 0, 0, 0]);
        assert_eq!(TimestampFormat::Ptp.write(0, 0), [0; 8]);
    }

    #[test]
    fn ntp_is_behind_tai_by_the_offset_and_ptp_is_not() {
        assert_eq!(TimestampFormat::Ntp.write(37 * 1_000_000_000, 37), TimestampFormat::Ntp.write(0, 0));
        assert_eq!(TimestampFormat::Ptp.write(37_500_000_000, 37), [0, 0, 0, 37, 0x1d, 0xcd, 0x65, 0x00]);
    }

    #[test]
    fn half_a_second_is_half_of_the_fraction() {
        assert_eq!(TimestampFormat::Ntp.write(500_000_000, 0)[4..], [0x80, 0, 0, 0]);
    }

    #[test]
    fn era_one_of_ntp_starts_in_february_2036() {
        // 2036-02-07 06:28:16 UTC is 2,085,978,496 s after 1970: the 32-bit seconds are zero again.
        let start = 2_085_978_496_u64 * NANOSECONDS;
        assert_eq!(TimestampFormat::Ntp.write(start, 0), [0; 8]);
        assert_eq!(TimestampFormat::Ntp.read([0; 8], start as i64 - 5, 0), start as i64);
    }

    #[test]
    fn error_estimates_cover_and_decode_by_the_formula() {
        // Multiplier 1, scale 0 is 2^-32 s; multiplier 1, scale 32 is one second (RFC 4656 section 4.1.2).
        assert_eq!(ErrorEstimate(0x0001).error_ns(), Some(1));
        assert_eq!(ErrorEstimate(0x2001).error_ns(), Some(1_000_000_000));
        assert_eq!(ErrorEstimate(0x2000).error_ns(), None);
        let microsecond = ErrorEstimate::covering(1_000, true, TimestampFormat::Ptp);
        assert!(microsecond.is_synchronised());
        assert_eq!(microsecond.format(), TimestampFormat::Ptp);
        assert_ne!(ErrorEstimate::covering(0, false, TimestampFormat::Ntp).0 & 0xff, 0);
    }

    proptest! {
        #[test]
        fn a_time_written_reads_back_to_the_nanosecond(time in 0..4_000_000_000_000_000_000_i64, offset in -100..100_i32, drift in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
            for format in [TimestampFormat::Ntp, TimestampFormat::Ptp] {
                prop_assert_eq!(format.read(format.write(time as u64, offset), time + drift, offset), time);
            }
        }

        #[test]
        fn any_octets_read_without_panic(octets in any::<[u8; 8]>()) {
            let _ = TimestampFormat::Ntp.read(octets, NOW, 37);
            let _ = TimestampFormat::Ptp.read(octets, NOW, 37);
        }

        #[test]
        fn an_estimate_is_never_below_the_error_and_at_most_one_part_in_127_above(error in 300..u64::from(u32::MAX) * 1000) {
            let stated = ErrorEstimate::covering(error, false, TimestampFormat::Ntp).error_ns().unwrap();
            prop_assert!(stated >= error);
            prop_assert!(stated <= error + error / 120 + 2);
        }
    }
}
