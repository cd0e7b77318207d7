//! Rates of packets or of IP bits, kept as exact multiples of a millionth.

use std::fmt;
use std::str::FromStr;

use super::number::{Inexact, Quantity, decimal};
use super::{Interval, ValueError};

/// A million: rates are whole numbers of millionths.
const MILLION: u128 = 1_000_000;
/// The highest rate that is taken: 10^12 packets or bits per second.
const HIGHEST: u128 = 1_000_000_000_000 * MILLION;

const UNITS: [(&str, Per, u128); 7] = [
    ("Mpps", Per::Packet, 1_000_000),
    ("kpps", Per::Packet, 1_000),
    ("pps", Per::Packet, 1),
    ("Gbps", Per::Bit, 1_000_000_000),
    ("Mbps", Per::Bit, 1_000_000),
    ("kbps", Per::Bit, 1_000),
    ("bps", Per::Bit, 1),
];

const HELP: &str = "write a number and a unit: pps, kpps, Mpps (packets) or bps, kbps, Mbps, Gbps (IP bits), \
                    as in 100kpps or 50Mbps";

/// How fast a stream is sent: packets per second, or bits of IP packets (header included, link layer not) per second.
/// Exact: a multiple of a millionth, from 0 to 10^12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    millionths: u64,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Packet,
    Bit,
}

impl Rate {
    /// A rate in packets per second.
    pub const fn packets_per_second(packets: u32) -> Self {
        Self { millionths: packets as u64 * MILLION as u64, per: Per::Packet }
    }

    /// Whether nothing would ever be sent.
    pub const fn is_zero(self) -> bool {
        self.millionths == 0
    }

    /// The time between two departures of packets whose IP length is `ip_length` octets; `None` for rate 0.
    /// The length matters to bit rates only.
    pub fn interval(self, ip_length: u16) -> Option<Interval> {
        let units_per_packet = match self.per {
            Per::Packet => 1,
            Per::Bit => u128::from(ip_length) * 8,
        };
        // A second in nanoseconds, over a rate in millionths.
        Interval::new(1_000_000_000 * MILLION * units_per_packet, u128::from(self.millionths))
    }

    /// Packets per second of packets whose IP length is `ip_length` octets, as close as `f64` comes: for reports.
    pub fn in_packets_per_second(self, ip_length: u16) -> f64 {
        let units = self.millionths as f64 / MILLION as f64;
        match self.per {
            Per::Packet => units,
            Per::Bit => units / (f64::from(ip_length) * 8.0),
        }
    }

    /// Bits per second that packets of `ip_length` octets take on an Ethernet link when each adds `overhead` octets,
    /// rounded up.
    pub(super) fn link_bits_per_second(self, ip_length: u16, overhead: u16) -> u128 {
        let bits = (u128::from(ip_length) + u128::from(overhead)) * 8;
        let (multiplier, divisor) = match self.per {
            Per::Packet => (bits, MILLION),
            Per::Bit => (bits, MILLION * u128::from(ip_length) * 8),
        };
        (u128::from(self.millionths) * multiplier).div_ceil(divisor.max(1))
    }
}

impl FromStr for Rate {
    type Err = ValueError;

    /// Reads `100kpps`, `1.5 Mbps` and the like; the case of the unit does not matter.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let quantity = Quantity::split(text).ok_or_else(|| ValueError::new("this is not a rate", HELP))?;
        if quantity.unit.is_empty() {
            return Err(ValueError::new("a rate needs a unit", HELP));
        }
        let (_, per, factor) = UNITS
            .into_iter()
            .find(|(name, ..)| name.eq_ignore_ascii_case(quantity.unit))
            .ok_or_else(|| ValueError::new(format!("{} is not a unit of rate", quantity.unit), HELP))?;
        match quantity.times(factor * MILLION) {
            // At most 10^18: it fits.
            Ok(millionths) if millionths <= HIGHEST => Ok(Self { millionths: millionths as u64, per }),
            Ok(_) | Err(Inexact::TooLarge) => {
                Err(ValueError::new("no link carries this", "give at most 1000000Mpps or 1000Gbps"))
            }
            Err(Inexact::Fraction) => {
                Err(ValueError::new("this is finer than a millionth per second", "give fewer decimals"))
            }
        }
    }
}

impl fmt::Display for Rate {
    /// Prints the rate exactly, in the unit that reads best: `100kpps`, `1.5Mbps`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = u128::from(self.millionths);
        let mut units = UNITS.into_iter().filter(|(_, per, _)| *per == self.per);
        let (name, _, factor) = units
            .clone()
            .find(|(.., factor)| amount >= factor * MILLION)
            .or_else(|| units.next_back())
            .unwrap_or(("pps", Per::Packet, 1));
        formatter.pad(&format!("{}{name}", decimal(amount, factor * MILLION)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_people_write() {
        // 50 Mbit/s of 72-octet packets: 50e6 / 576 packets a second.
        for (text, pps) in [
            ("1pps", 1.0),
            ("100kpps", 100_000.0),
            ("1.4 Mpps", 1_400_000.0),
            ("0.5pps", 0.5),
            ("50Mbps", 50e6 / 576.0),
            ("10Gbps", 10e9 / 576.0),
            ("64 kbps", 64e3 / 576.0),
            ("576bps", 1.0),
            ("2MPPS", 2e6),
        ] {
            assert_eq!(rate(text).in_packets_per_second(72), pps, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for (text, why) in [
            ("100", "a rate needs a unit"),
            ("fast", "this is not a rate"),
            ("-1pps", "this is not a rate"),
            ("1e3pps", "e3pps is not a unit of rate"),
            ("10MBps", ""),
            ("10furlongs", "furlongs is not a unit of rate"),
            ("0.0000001pps", "this is finer than a millionth per second"),
            ("1001Gbps", "no link carries this"),
        ] {
            let read = text.parse::<Rate>().map_err(|error| error.to_string());
            match why {
                "" => assert_eq!(read, Ok(rate("10Mbps")), "the case of a unit does not matter"),
                _ => assert_eq!(read, Err(why.to_owned()), "{text}"),
            }
        }
    }

    #[test]
    fn a_bit_rate_needs_the_length() {
        // 72 octets are 576 bits: at 576 Mbit/s one leaves every microsecond; at 144 octets every second one.
        assert_eq!(rate("576Mbps").interval(72).unwrap().departure(1_000_000), 1_000_000_000);
        assert_eq!(rate("576Mbps").interval(144).unwrap().departure(1_000_000), 2_000_000_000);
        assert_eq!(rate("1Mpps").interval(144).unwrap().departure(1_000_000), 1_000_000_000);
        assert!(rate("0bps").interval(72).is_none());
    }

    #[test]
    fn the_link_carries_preamble_gap_header_and_check() {
        // RFC 5180 and 2544 arithmetic: a 64-octet frame takes 84 octets, so 1 Gbit/s carries 1488095 frames a second.
        let overhead = 38;
        assert!(rate("1488095pps").link_bits_per_second(46, overhead) <= 1_000_000_000);
        assert!(rate("1488096pps").link_bits_per_second(46, overhead) > 1_000_000_000);
        // 72 of 110 octets are IP.
        assert_eq!(rate("72Mbps").link_bits_per_second(72, overhead), 110_000_000);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(millionths in 0..=HIGHEST as u64, bits: bool) {
            let rate = Rate { millionths, per: if bits { Per::Bit } else { Per::Packet } };
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
    }
}
