//! The requests that are answered.

use std::net::IpAddr;

use super::{Checksum, DEFAULT_PORT, FAMILIES, Manner, Request, SENDER_PORT, Tags};
use crate::network::Family;

/// Octets of payload: TWAMP's shortest and around the SSID (14, 15, 16), the sizes between that must grow, the STAMP base
/// packet and its neighbours (RFC 8762, section 4.2.1), those whose tail had no room on veth, and long ones.
const SIZES: [usize; 18] = [14, 15, 16, 20, 27, 28, 40, 41, 43, 44, 45, 60, 64, 100, 118, 128, 1_000, 1_400];

/// A request that gets a reply. Each row is a session of its own.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What is special about it.
    pub name: String,
    /// The request.
    pub request: Request,
}

impl Answered {
    /// What the reflector numbers the reply with: a stateful one begins at 0 whatever the sender begins at (RFC 8762, section
    /// 4.3), a stateless one copies.
    pub fn number(&self) -> u32 {
        if self.is_stateless() { self.request.sequence() } else { 0 }
    }

    /// The port's counters that grow by one.
    pub fn counters(&self) -> &'static [&'static str] {
        match (self.is_stateless(), self.request.sequence()) {
            (true, _) => &["stateless"],
            (false, 0) => &["reflected", "sessions_new"],
            (false, _) => &["reflected", "sessions_new", "sessions_midway"],
        }
    }

    fn is_stateless(&self) -> bool {
        self.request.destination_port == Manner::Stateless.port()
    }
}

/// Every row. The largest frame has 1,514 octets without tags.
pub fn rows() -> Vec<Answered> {
    let mut rows = sizes();
    for family in FAMILIES {
        for size in [14, 43, 44, 100] {
            rows.extend(checksums(family, size));
            rows.extend(headers(family, size));
            rows.extend(stamps(family, size));
        }
        rows.extend(allowed(family));
    }
    rows.push(padded());
    // A session-sender's port of this host is not a reflector's.
    rows.push(row(Family::V4, "from a sender's port", Request::new(Family::V4, 44).from_port(SENDER_PORT)));
    let unnamed = rows.iter_mut().map(|row| &mut row.request.source_port).filter(|port| **port == DEFAULT_PORT);
    for (port, number) in unnamed.zip(20_000..) {
        *port = number;
    }
    rows
}

/// Each size with each number of tags over each version of IP; format and first number change from row to row.
fn sizes() -> Vec<Answered> {
    let mut rows = Vec::new();
    for family in FAMILIES {
        let largest = if family == Family::V4 { 1_472 } else { 1_452 };
        for tags in Tags::ALL {
            for (index, size) in SIZES.into_iter().chain([largest]).enumerate() {
                let sequence = if index % 3 == 0 { 0 } else { 0x0102_0304 };
                let request = Request::new(family, size).numbered(sequence).ptp(index % 2 == 0);
                rows.push(row(family, &format!("tags {tags:?}"), Request { tags, ..request }));
            }
        }
    }
    rows
}

fn checksums(family: Family, size: usize) -> Vec<Answered> {
    let with = |checksum| Request { checksum, ..Request::new(family, size) };
    let mut rows = vec![
        row(family, "a UDP checksum that is off by 1", with(Checksum::Off(1))),
        row(family, "a UDP checksum that is off by 0x8000", with(Checksum::Off(0x8000))),
        row(family, "a UDP checksum of all ones, which stands for zero", all_ones(family, size)),
    ];
    if family == Family::V4 {
        rows.push(row(family, "no UDP checksum", with(Checksum::Absent)));
    }
    rows
}

/// A request whose checksum computes to zero and is sent as all ones (RFC 768): the last word of the timestamp is what the
/// sum lacks.
fn all_ones(family: Family, size: usize) -> Request {
    // A port of its own, since the port is in the sum.
    let mut request = Request::new(family, size).from_port(30_000 + size as u16);
    request.payload[10..12].fill(0);
    let at = request.udp_offset() + 6;
    let lacking = request.write()[at..at + 2].to_vec();
    request.payload[10..12].copy_from_slice(&lacking);
    assert_eq!(request.write()[at..at + 2], [0xff, 0xff], "the sum is complete");
    request
}

fn headers(family: Family, size: usize) -> Vec<Answered> {
    let mut rows = Vec::new();
    for (dscp, ecn) in [(0, 2), (8, 1), (46, 3), (63, 0)] {
        let request = Request { dscp, ecn, ..Request::new(family, size) };
        rows.push(row(family, &format!("DSCP {dscp} ECN {ecn}"), request));
    }
    for ttl in [1, 128, 255] {
        rows.push(row(family, &format!("TTL {ttl}"), Request { ttl, ..Request::new(family, size) }));
    }
    rows
}

fn stamps(family: Family, size: usize) -> Vec<Answered> {
    let mut rows = Vec::new();
    for ssid in [0, 1, 0xbeef] {
        rows.push(row(family, &format!("SSID {ssid}"), Request::new(family, size).ssid(ssid)));
    }
    for sequence in [1, u32::MAX] {
        rows.push(row(family, &format!("number {sequence}"), Request::new(family, size).numbered(sequence)));
    }
    for manner in [Manner::Stateful, Manner::Stateless, Manner::NtpAlways, Manner::PtpAlways] {
        for ptp in [false, true] {
            let request = Request::new(family, size).to(manner).numbered(77).ptp(ptp);
            rows.push(row(family, &format!("{manner:?}, Z bit {ptp}"), request));
        }
    }
    rows
}

/// The first and the last address of the prefix on the list, which is 16 addresses long.
fn allowed(family: Family) -> Vec<Answered> {
    let within = |last: u8| {
        let mut request = Request::new(family, 44).to(Manner::AllowList);
        request.source = with_last_octet(family.sender(), last);
        row(family, &format!("on the allow-list, host {last}"), request)
    };
    vec![within(1), within(15)]
}

/// Ethernet's shortest frame has 60 octets: the request's 56 are padded, and the padding is none of IP's.
fn padded() -> Answered {
    let request = Request { padding: vec![0; 4], ..Request::new(Family::V4, 14) };
    row(Family::V4, "padded to 60 octets", request)
}

fn row(family: Family, name: &str, request: Request) -> Answered {
    let name = format!("{family:?}, {} octets, {name}", request.payload.len());
    Answered { name, request }
}

pub(super) fn with_last_octet(address: IpAddr, last: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [a, b, c, last].into()
        }
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[15] = last;
            octets.into()
        }
    }
}
