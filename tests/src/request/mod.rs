//! Requests to a session-reflector, and what must become of each: the rows that are tried both in `BPF_PROG_TEST_RUN` and
//! on a veth pair.
//!
//! [`answered`] has the ones that get a reply, [`refused`] the ones that go on to the kernel untouched. Frames are written
//! by etherparse, a codec that shares nothing with the product's; the STAMP fields stand at the offsets of the figures in
//! RFC 8762, section 4.3.1.

pub mod answered;
mod frame;
pub mod refused;
mod reply;

pub use frame::{Checksum, Request, Tags};
pub use reply::{check_reply, tai_now};

use std::net::IpAddr;

use crate::network::Family;

/// The session-sender's link address.
pub const SENDER_MAC: [u8; 6] = [0x02, 0, 0, 0x51, 0, 0x01];
/// The reflector's link address.
pub const REFLECTOR_MAC: [u8; 6] = [0x02, 0, 0, 0x51, 0, 0x02];
/// Seconds by which the reflector is told that TAI is ahead of UTC.
pub const TAI_UTC_OFFSET: i32 = 37;

/// How a reflector's port does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It numbers each session's replies, and follows the request's timestamp format.
    Stateful,
    /// It copies the sender's number.
    Stateless,
    /// It writes NTP timestamps whatever the request has.
    NtpAlways,
    /// It writes PTP timestamps whatever the request has.
    PtpAlways,
    /// It answers the sources of [`ALLOWED`] only.
    AllowList,
}

impl Manner {
    /// Every manner.
    pub const ALL: [Self; 5] = [Self::Stateful, Self::Stateless, Self::NtpAlways, Self::PtpAlways, Self::AllowList];

    /// The port that works this way; the first one is STAMP's own.
    pub const fn port(self) -> u16 {
        862 + self as u16
    }

    /// The flags of such a port's entry in the map.
    pub const fn flags(self) -> u8 {
        match self {
            Self::Stateful => 0,
            Self::Stateless => 1,
            Self::AllowList => 2,
            Self::NtpAlways => 4,
            Self::PtpAlways => 8,
        }
    }

    /// The error estimate of the port's clock, as it stands in the entry: synchronised, scale 10, multiplier 47. Its Z bit
    /// is set where that is wrong, since the format in use must decide.
    pub const fn error_estimate(self) -> u16 {
        match self {
            Self::NtpAlways => 0xca2f,
            _ => 0x8a2f,
        }
    }
}

/// The source prefixes, with their lengths, that the port of [`Manner::AllowList`] answers.
pub const ALLOWED: [(IpAddr, u8); 2] = [
    (IpAddr::V4(std::net::Ipv4Addr::new(198, 18, 0, 0)), 28),
    (IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0x6c64, 0, 0, 0, 0, 0, 0)), 124),
];

/// A prefix that another port has on its list. It does not count for [`Manner::AllowList`].
pub const ALLOWED_ELSEWHERE: (IpAddr, u8) = (IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 0)), 24);

/// A port of a session-sender: packets to it are captured.
pub const SENDER_PORT: u16 = 5_000;
/// Where requests come from when nothing else is said.
pub const DEFAULT_PORT: u16 = 40_000;
/// A port that has no role.
pub const IDLE_PORT: u16 = 5_001;

/// The two IP versions.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
