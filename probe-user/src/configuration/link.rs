//! What the smallest test packet needs and what every frame adds on an Ethernet link.

use std::net::IpAddr;

/// Octets that Ethernet adds to an IP packet on the link: header 14, frame check sequence 4, preamble and start of
/// frame 8, gap between frames 12 (IEEE 802.3; the same sum as in RFC 5180 appendix A).
pub const FRAME_OVERHEAD_OCTETS: u16 = 14 + 4 + 8 + 12;

/// The longest IP packet, in octets.
pub const MAXIMUM_IP_LENGTH: u16 = u16::MAX;

/// The smallest open-mode STAMP test packet (RFC 8762 section 4.2.1), in octets of the IP packet: 44 of STAMP, 8 of UDP,
/// and the IP header without options: 72 for IPv4, 92 for IPv6.
pub const fn smallest_ip_length(destination: IpAddr) -> u16 {
    let ip_header = match destination {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    };
    44 + 8 + ip_header
}
