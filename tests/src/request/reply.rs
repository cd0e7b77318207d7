//! What a reply must be, octet by octet.

use etherparse::{SlicedPacket, TransportSlice};
use nix::time::{ClockId, clock_gettime};

use super::{Manner, Request, TAI_UTC_OFFSET};

/// Seconds from 1900 to 1970 (RFC 5905, section 6).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// The kernel's clock for programs may differ from the one for processes by so many nanoseconds while it is being
/// adjusted; and an NTP fraction is rounded down.
const CLOCK_TOLERANCE: u64 = 100;

/// International Atomic Time as this machine has it, in nanoseconds since 1970.
///
/// # Panics
/// When the kernel has no such clock.
pub fn tai_now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_TAI).expect("CLOCK_TAI");
    u64::try_from(now.tv_sec()).expect("after 1970") * 1_000_000_000 + u64::try_from(now.tv_nsec()).expect("positive")
}

/// Holds a reply against its request: the timestamps must lie within `between` (nanoseconds of TAI) and in order, and every
/// other octet must be what RFC 8762, section 4.3 asks, from the link addresses to the last octet of the frame. `number` is
/// what the reflector must have numbered it with. Returns how many nanoseconds the reflector says to have taken.
///
/// # Panics
/// With the row's name and both frames when anything differs.
pub fn check_reply(row: &str, request: &Request, reply: &[u8], number: u32, between: (u64, u64)) -> u64 {
    let payload = payload_of(reply).unwrap_or_else(|problem| panic!("{row}: {problem}: {reply:02x?}"));
    assert!(payload.len() >= 44, "{row}: a reply of {} octets", payload.len());
    let field = |offset: usize| u64::from_be_bytes(payload[offset..offset + 8].try_into().expect("8 octets"));
    let (departed, received) = (field(4), field(16));

    let manner = manner_of(request);
    let is_ptp = match manner {
        Manner::NtpAlways => false,
        Manner::PtpAlways => true,
        _ => request.is_ptp(),
    };
    let (t2, t3) = (tai_of(received, is_ptp), tai_of(departed, is_ptp));
    let bounds = between.0 - CLOCK_TOLERANCE..=between.1 + CLOCK_TOLERANCE;
    assert!(bounds.contains(&t2), "{row}: T2 {t2} is not within {bounds:?}");
    assert!(bounds.contains(&t3), "{row}: T3 {t3} is not within {bounds:?}");
    assert!(t2 <= t3, "{row}: it left at {t3}, before it came at {t2}");

    let error_estimate = manner.error_estimate() & !0x4000 | if is_ptp { 0x4000 } else { 0 };
    let expected = turned(request, number, departed, error_estimate, received).write();
    assert!(
        reply == expected,
        "{row}: first different at octet {:?}\n   reply {reply:02x?}\nexpected {expected:02x?}",
        reply.iter().zip(&expected).position(|(one, other)| one != other)
    );
    t3 - t2
}

/// The UDP payload as another codec finds it.
fn payload_of(frame: &[u8]) -> Result<&[u8], String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
    match packet.transport {
        Some(TransportSlice::Udp(udp)) => Ok(udp.payload()),
        other => Err(format!("no UDP but {other:?}")),
    }
}

fn manner_of(request: &Request) -> Manner {
    let port = request.destination_port;
    Manner::ALL.into_iter().find(|manner| manner.port() == port).unwrap_or_else(|| panic!("no reflector on {port}"))
}

/// A timestamp field as nanoseconds of TAI: PTP's is 32 bits of seconds and 32 of nanoseconds in TAI (RFC 8186, section 2),
/// NTP's is in UTC, since 1900, with a binary fraction.
fn tai_of(field: u64, is_ptp: bool) -> u64 {
    let (seconds, fraction) = (field >> 32, field & 0xffff_ffff);
    if is_ptp {
        assert!(fraction < 1_000_000_000, "{fraction} nanoseconds in a second");
        seconds * 1_000_000_000 + fraction
    } else {
        let offset = u64::from(TAI_UTC_OFFSET.unsigned_abs());
        (seconds - NTP_TO_UNIX + offset) * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32)
    }
}

/// The whole reply to a request: all addresses and ports swapped, TTL 255, ECN cleared, and the payload of RFC 8762, section
/// 4.3.1, the request's octets kept after the 44th.
fn turned(request: &Request, number: u32, departed: u64, error_estimate: u16, received: u64) -> Request {
    let request = request.clone();
    let mut payload = request.payload.clone();
    payload.resize(payload.len().max(44), 0);
    let ssid = match request.payload.get(14..16) {
        Some(ssid) => [ssid[0], ssid[1]],
        None => [0; 2],
    };
    payload[0..4].copy_from_slice(&number.to_be_bytes());
    payload[4..12].copy_from_slice(&departed.to_be_bytes());
    payload[12..14].copy_from_slice(&error_estimate.to_be_bytes());
    payload[14..16].copy_from_slice(&ssid);
    payload[16..24].copy_from_slice(&received.to_be_bytes());
    // Session-Sender Sequence Number, Timestamp and Error Estimate stand in the request as in the reply, one after another.
    payload[24..38].copy_from_slice(&request.payload[..14]);
    payload[38..40].fill(0);
    payload[40] = request.ttl;
    payload[41..44].fill(0);
    Request {
        source_mac: request.destination_mac,
        destination_mac: request.source_mac,
        source: request.destination,
        destination: request.source,
        source_port: request.destination_port,
        destination_port: request.source_port,
        ecn: 0,
        ttl: 255,
        payload,
        ..request
    }
}
