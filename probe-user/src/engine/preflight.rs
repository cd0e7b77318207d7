//! A few probes before the first dense packet: does the reflector answer, and how does it number its replies?
//!
//! They are a session of their own. Their numbers leave one out, so that a reflector that copies the sender's numbers
//! gives itself away by copying the one after the gap, which a counting one cannot have reached.

use std::time::Duration;

use probe_wire::stamp::Stamp;
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use crate::clock::Clock;
use crate::port::{Delivery, Port, PortError};

/// The numbers that the probes carry. What comes after the gap tells the kinds of reflectors apart.
const NUMBERS: [u32; 7] = [0, 1, 2, 1_000, 1_001, 1_002, 1_003];
/// Numbers from here on lie behind the gap, which is wide enough that no copies made on the way fill it.
const FIRST_AFTER_GAP: u32 = 1_000;
/// Time between two probes.
const SPACING_NS: i64 = 2_000_000;

/// The SSID of a stream's preflight: the stream's own with the top bit set, which no stream's has.
#[must_use]
pub const fn preflight_ssid(stream_ssid: u16) -> u16 {
    stream_ssid | 0x8000
}

/// How a reflector numbers its replies (RFC 8762 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReflectorKind {
    /// With a count of its own for each session.
    Stateful,
    /// With the sender's number.
    Stateless,
}

/// What the probes of one stream found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Probes sent.
    pub sent: u32,
    /// Probes answered, each once.
    pub answered: u32,
    /// How the reflector numbers its replies; `None` when no probe behind the gap was answered.
    pub kind: Option<ReflectorKind>,
    /// True when the reflector returns the session's identifier (RFC 8972 section 3); one by RFC 8762 alone, or
    /// TWAMP's, returns zero.
    pub has_sessions: bool,
    /// The number that a stateful reflector without sessions will give next.
    pub next_number: u32,
    /// The shortest round trip of the probes, in nanoseconds, the reflector's residence included.
    pub round_trip_ns: Option<i64>,
    /// One bit for each of the probes, by its place among them.
    answered_probes: u8,
    /// A reply bore another number than its request.
    has_own_numbers: bool,
}

/// The identity of the probes of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Probes {
    /// The stream's SSID; the probes carry [`preflight_ssid`] of it.
    pub ssid: u16,
    /// Format of the probes' timestamps.
    pub format: TimestampFormat,
    /// Error estimate of the probes' timestamps.
    pub error_estimate: ErrorEstimate,
    /// Seconds by which TAI is ahead of UTC.
    pub tai_utc_offset: i32,
}

/// Sends the probes of every stream and waits for their answers, at most for `patience` after the last one.
///
/// # Errors
/// The port fails.
pub fn run<P: Port>(
    port: &mut P,
    clock: &impl Clock,
    streams: &[Probes],
    patience: Duration,
) -> Result<Vec<Preflight>, PortError> {
    let mut found = vec![Preflight::default(); streams.len()];
    let start = clock.now();
    let mut sent = 0;
    let patience_ns = i64::try_from(patience.as_nanos()).unwrap_or(i64::MAX);
    let end = start + SPACING_NS * NUMBERS.len() as i64 + patience_ns;
    loop {
        let now = clock.now();
        if let Some(number) = NUMBERS.get(sent)
            && now >= start + SPACING_NS * sent as i64
        {
            send_round(port, clock, streams, *number, &mut found)?;
            sent += 1;
        }
        port.flush()?;
        port.receive(&mut |delivery| note(delivery, streams, &mut found))?;
        let is_complete = sent == NUMBERS.len() && found.iter().all(|found| found.answered == found.sent);
        let is_clock_set_back = now < start;
        if is_complete || now >= end || is_clock_set_back {
            return Ok(found);
        }
        port.wait(Duration::from_millis(1))?;
    }
}

fn send_round<P: Port>(
    port: &mut P,
    clock: &impl Clock,
    streams: &[Probes],
    number: u32,
    found: &mut [Preflight],
) -> Result<(), PortError> {
    for (index, probes) in streams.iter().enumerate() {
        let stamp = Stamp {
            sequence: number,
            timestamp: probes.format.write(clock.now().unsigned_abs(), probes.tai_utc_offset),
            error_estimate: probes.error_estimate,
            ssid: preflight_ssid(probes.ssid),
        };
        if port.send(index, &stamp)? {
            found[index].sent += 1;
        }
        // A port takes so many packets at a time, and there may be more streams.
        port.flush()?;
    }
    Ok(())
}

fn note(delivery: Delivery, streams: &[Probes], found: &mut [Preflight]) {
    let Delivery::Reply(arrived) = delivery else { return };
    let (probes, found) = (&streams[arrived.stream], &mut found[arrived.stream]);
    let reply = &arrived.reply;
    let number = reply.sender_sequence;
    let Some(probe) = NUMBERS.iter().position(|known| *known == number) else { return };
    if found.answered_probes & 1 << probe != 0 {
        return;
    }
    if reply.reflector.ssid == preflight_ssid(probes.ssid) {
        found.has_sessions = true;
    } else if reply.reflector.ssid != 0 {
        return;
    }
    found.answered_probes |= 1 << probe;
    found.answered += 1;
    found.next_number = found.next_number.max(reply.reflector.sequence.wrapping_add(1));
    // Probes that were doubled or swapped on their way can make a count meet a number by chance, but not all of them.
    found.has_own_numbers |= reply.reflector.sequence != number;
    if found.has_own_numbers {
        found.kind = Some(ReflectorKind::Stateful);
    } else if number >= FIRST_AFTER_GAP {
        found.kind = Some(ReflectorKind::Stateless);
    }
    let sent_ns = probes.format.read(reply.sender_timestamp, arrived.received_ns, probes.tai_utc_offset);
    let round_trip = arrived.received_ns - sent_ns;
    found.round_trip_ns = Some(found.round_trip_ns.map_or(round_trip, |least| least.min(round_trip)));
}
