//! Numbers at their edges: the 32 bits of the wire run out, and numbers come that no packet had.

use probe_wire::stamp::Reply;

use super::*;
use crate::engine::stream::Running;
use crate::port::ArrivalClock;

const ERROR_ESTIMATE: ErrorEstimate = ErrorEstimate(0x0001);

/// A reply to packet `number` that the reflector numbered `reflector_number`, both as the wire has them.
fn reply(number: u32, reflector_number: u32, ssid: u16) -> Arrived {
    let timestamp = |after_ns: i64| TimestampFormat::Ntp.write((START + after_ns).cast_unsigned(), 37);
    Arrived {
        stream: 0,
        reply: Reply {
            reflector: Stamp {
                sequence: reflector_number,
                timestamp: timestamp(4 * MILLISECOND),
                error_estimate: ERROR_ESTIMATE,
                ssid,
            },
            receive_timestamp: timestamp(3 * MILLISECOND),
            sender_sequence: number,
            sender_timestamp: timestamp(2 * MILLISECOND),
            sender_error_estimate: ERROR_ESTIMATE,
            sender_ttl: 255,
        },
        received_ns: START + 7 * MILLISECOND,
        clock: ArrivalClock::Driver,
        ttl: 255,
        traffic_class: 0,
        ip_length: 100,
    }
}

/// A stream that has sent `sent` packets, to a reflector that began to count at `reflector_start`.
fn running(sent: u64, reflector_start: u64) -> Running {
    let mut plan = StreamPlan { format: TimestampFormat::Ntp, ..periodic(MILLISECOND, 1 << 40) };
    plan.metrics.reflector_sequence_start = reflector_start;
    let mut running = Running::new(plan, START).expect("the metrics are configured within their range");
    running.metrics.on_sent(sent);
    running.sent = sent;
    running
}

#[test]
fn the_numbers_of_both_ends_wrap_around() {
    const END: u64 = 1 << 32;
    // Ten packets before the wire's numbers run out, and ten after; the reflector's run out three packets later.
    let mut running = running(END - 10, END - 13);
    for index in 0..20_u32 {
        let wire_number = (END - 10) as u32;
        assert_eq!(running.next_stamp(START).sequence, wire_number.wrapping_add(index));
        running.departed(START, START + 2 * MILLISECOND);
    }
    // The fourth dies on its way there, the fifteenth on its way back; the last two overtake each other.
    let mut reflector = (END - 13) as u32;
    let mut replies = Vec::new();
    for index in 0..20_u32 {
        if index == 3 {
            continue;
        }
        if index != 14 {
            replies.push(reply(((END - 10) as u32).wrapping_add(index), reflector, 7));
        }
        reflector = reflector.wrapping_add(1);
    }
    let count = replies.len();
    replies.swap(count - 1, count - 2);
    replies.iter().for_each(|reply| running.arrived(reply));
    let result = running.finish().result;
    assert_eq!((result.counts.received, result.counts.reordered), (18, 1));
    assert_eq!((result.counts.foreign, result.beyond, result.counts.duplicates), (0, 0, 0));
    let found = result.directions.expect("the reflector is stateful");
    // All before these twenty is lost, forward, as far as this test's replies can tell.
    assert_eq!((found.forward, found.backward, found.unattributable), (END - 10 + 1, 1, 0));
}

#[test]
fn numbers_that_no_packet_had_are_foreign() {
    let mut running = running(10, 0);
    for number in [10, 11, u32::MAX, 1 << 31] {
        running.arrived(&reply(number, 0, 7));
    }
    let result = running.finish().result;
    assert_eq!((result.counts.foreign, result.counts.received, result.lost), (4, 0, 10));
}

#[test]
fn replies_of_another_session_are_foreign_and_those_of_the_probes_nothing() {
    let mut running = running(10, 0);
    running.arrived(&reply(0, 0, 8));
    running.arrived(&reply(0, 0, preflight_ssid(7)));
    running.arrived(&reply(1, 0, 7));
    // A reflector by RFC 8762 alone has no SSID to return.
    running.arrived(&reply(2, 1, 0));
    let counts = running.finish().result.counts;
    assert_eq!((counts.foreign, counts.received, counts.duplicates), (1, 2, 0));
}
