use probe_wire::frame::{Addresses, Endpoints, TypeP};
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use super::*;

const START: i64 = 1_800_000_000_000_000_000;
const MILLISECOND: i64 = 1_000_000;
/// A limit that no test comes near: a path that is empty by then has lost nothing more.
const LONG: Duration = Duration::from_secs(60);

fn stream() -> StreamWire {
    StreamWire {
        endpoints: Endpoints {
            source_mac: [2; 6],
            destination_mac: [4; 6],
            addresses: Addresses::V4([198, 18, 0, 1], [198, 18, 0, 2]),
            source_port: 4000,
            destination_port: 862,
        },
        type_p: TypeP { dscp: 46, ttl: 255 },
        ip_length: 100,
    }
}

fn stamp(sequence: u32, time_ns: i64) -> Stamp {
    Stamp {
        sequence,
        timestamp: TimestampFormat::Ptp.write(time_ns as u64, 0),
        error_estimate: ErrorEstimate::covering(1, true, TimestampFormat::Ptp),
        ssid: 7,
    }
}

fn read(octets: [u8; 8]) -> i64 {
    TimestampFormat::Ptp.read(octets, START, 0)
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn probability(value: f64) -> Probability {
    Probability::new(value).expect("from 0 to 1")
}

/// Sends `count` packets on stream 0, one every millisecond, and takes in all that arrives until nothing is under way.
fn run(port: &mut MemoryPort<&ManualClock>, clock: &ManualClock, count: u32) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for sequence in 0..count {
        let due = START + i64::from(sequence) * MILLISECOND;
        while clock.now() < due {
            port.wait(Duration::from_nanos((due - clock.now()) as u64)).expect("memory never fails");
            port.receive(&mut |delivery| deliveries.push(delivery)).expect("memory never fails");
        }
        assert!(port.send(0, &stamp(sequence, clock.now())).expect("memory never fails"));
        port.flush().expect("memory never fails");
    }
    while !port.events.is_empty() || !port.ring.is_empty() {
        port.wait(LONG).expect("memory never fails");
        port.receive(&mut |delivery| deliveries.push(delivery)).expect("memory never fails");
    }
    deliveries
}

fn replies(deliveries: &[Delivery]) -> Vec<Arrived> {
    let reply = |delivery: &Delivery| match delivery {
        Delivery::Reply(arrived) => Some(*arrived),
        _ => None,
    };
    deliveries.iter().filter_map(reply).collect()
}

#[test]
fn a_reply_carries_the_four_times_of_its_way() {
    let clock = ManualClock::new(START);
    let path = Path {
        forward: Direction::new(milliseconds(3)).with_hops(4),
        reflector: Reflector { residence_ns: 500, clock_offset_ns: 70, ..Reflector::default() },
        backward: Direction::new(milliseconds(5)).with_hops(2),
        seed: 0,
    };
    let mut port = MemoryPort::new(path, &[stream()], &clock);
    let deliveries = run(&mut port, &clock, 1);
    let [Delivery::Reply(arrived)] = deliveries[..] else { panic!("{deliveries:?}") };
    assert_eq!(read(arrived.reply.sender_timestamp), START);
    assert_eq!(read(arrived.reply.receive_timestamp), START + 3 * MILLISECOND + 70);
    assert_eq!(read(arrived.reply.reflector.timestamp), START + 3 * MILLISECOND + 70 + 500);
    assert_eq!(arrived.received_ns, START + 8 * MILLISECOND + 500);
    assert_eq!(clock.now(), arrived.received_ns, "waiting has moved the clock to the arrival");
    assert_eq!((arrived.reply.sender_ttl, arrived.ttl), (251, 253));
    assert_eq!((arrived.traffic_class, arrived.ip_length, arrived.reply.reflector.ssid), (46 << 2, 100, 7));
}

#[test]
fn waiting_for_nothing_takes_the_whole_timeout_and_waiting_with_something_there_none() {
    let clock = ManualClock::new(START);
    let mut port = MemoryPort::new(Path::default(), &[stream()], &clock);
    port.wait(milliseconds(20)).expect("memory never fails");
    assert_eq!(clock.now(), START + 20 * MILLISECOND);
    port.inject(Delivery::Foreign { stream: None }, START);
    port.wait(LONG).expect("memory never fails");
    port.wait(LONG).expect("memory never fails");
    assert_eq!(clock.now(), START + 20 * MILLISECOND);
    let mut deliveries = Vec::new();
    assert_eq!(port.receive(&mut |delivery| deliveries.push(delivery)).expect("memory never fails"), 1);
    assert_eq!(deliveries, [Delivery::Foreign { stream: None }]);
}

#[test]
fn nothing_arrives_before_its_time() {
    let clock = ManualClock::new(START);
    let path = Path { forward: Direction::new(milliseconds(1)), ..Path::default() };
    let mut port = MemoryPort::new(path, &[stream()], &clock);
    assert!(port.send(0, &stamp(0, START)).expect("memory never fails"));
    clock.advance(2 * MILLISECOND);
    assert_eq!(port.receive(&mut |_| {}).expect("memory never fails"), 0, "what was not flushed has not left");
    port.flush().expect("memory never fails");
    clock.advance(MILLISECOND - 1);
    assert_eq!(port.receive(&mut |_| {}).expect("memory never fails"), 0);
    clock.advance(1);
    assert_eq!(port.receive(&mut |_| {}).expect("memory never fails"), 1);
}

#[test]
fn a_full_batch_takes_no_more_until_it_is_flushed() {
    let clock = ManualClock::new(START);
    let mut port = MemoryPort::new(Path::default(), &[stream()], &clock);
    let taken = (0..100).take_while(|number| port.send(0, &stamp(*number, START)).expect("memory never fails"));
    assert_eq!(taken.count(), TRANSMIT_ROOM);
    port.flush().expect("memory never fails");
    assert!(port.send(0, &stamp(0, START)).expect("memory never fails"));
    assert!(!port.send(1, &stamp(0, START)).expect("memory never fails"), "there is no second stream");
}

#[test]
fn only_a_stateful_reflector_tells_the_directions_of_loss_apart() {
    for is_stateful in [true, false] {
        let clock = ManualClock::new(START);
        let path = Path {
            forward: Direction::default().losing([1, 2]),
            reflector: Reflector { is_stateful, ..Reflector::default() },
            // The fourth request that comes through is packet 5.
            backward: Direction::default().losing([3]),
            seed: 0,
        };
        let mut port = MemoryPort::new(path, &[stream()], &clock);
        let numbers: Vec<(u32, u32)> = replies(&run(&mut port, &clock, 8))
            .iter()
            .map(|arrived| (arrived.reply.sender_sequence, arrived.reply.reflector.sequence))
            .collect();
        let expected = if is_stateful {
            [(0, 0), (3, 1), (4, 2), (6, 4), (7, 5)]
        } else {
            [(0, 0), (3, 3), (4, 4), (6, 6), (7, 7)]
        };
        assert_eq!(numbers, expected);
        let truth = Truth { sent: 8, received: 5, lost_forward: 2, lost_backward: 1, ..Truth::default() };
        assert_eq!(port.truth(0), truth);
    }
}

#[test]
fn a_held_packet_is_overtaken_and_counts_as_reordered() {
    let clock = ManualClock::new(START);
    let held = Direction::new(milliseconds(1)).with_reordering(probability(0.2), Duration::from_micros(2500));
    let mut port = MemoryPort::new(Path { forward: held, seed: 4, ..Path::default() }, &[stream()], &clock);
    let order: Vec<u32> =
        replies(&run(&mut port, &clock, 500)).iter().map(|arrived| arrived.reply.sender_sequence).collect();
    // Reordered is what arrives after something that was sent later (RFC 4737 section 3.3), written out.
    let reordered = (0..order.len()).filter(|at| order[..*at].iter().any(|earlier| *earlier > order[*at])).count();
    assert!(reordered > 50, "{reordered}");
    assert_eq!(port.truth(0), Truth { sent: 500, received: 500, reordered: reordered as u64, ..Truth::default() });
}

#[test]
fn the_truth_agrees_with_what_was_handed_over_and_its_books_balance() {
    let clock = ManualClock::new(START);
    let faulty = |delay| {
        Direction::new(milliseconds(delay))
            .with_jitter(milliseconds(4))
            .with_loss(probability(0.1))
            .with_duplication(probability(0.1))
            .with_corruption(probability(0.1))
    };
    let path = Path { forward: faulty(2), backward: faulty(3), seed: 9, ..Path::default() };
    let mut port = MemoryPort::new(path.clone(), &[stream()], &clock);
    let deliveries = run(&mut port, &clock, 2000);

    let whole = replies(&deliveries);
    let mut distinct: Vec<u32> = whole.iter().map(|arrived| arrived.reply.sender_sequence).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let truth = port.truth(0);
    assert_eq!(truth.sent, 2000);
    assert_eq!(truth.received, distinct.len() as u64);
    assert_eq!(truth.duplicates, (whole.len() - distinct.len()) as u64);
    assert_eq!((truth.outstanding, truth.dropped), (0, 0));
    assert_eq!(truth.received + truth.corrupted + truth.lost_forward + truth.lost_backward, truth.sent);
    // Forward: lost or corrupted, 1 - 0.9 * 0.9 of 2000, plus or minus five standard deviations.
    assert!((293..=467).contains(&truth.lost_forward), "{truth:?}");
    assert!(truth.duplicates > 100 && truth.corrupted > 50 && truth.lost_backward > 50, "{truth:?}");

    let again = ManualClock::new(START);
    let mut second = MemoryPort::new(path, &[stream()], &again);
    assert_eq!(run(&mut second, &again, 2000), deliveries, "the same seed, the same run");
}

#[test]
fn a_full_ring_is_our_own_loss() {
    let clock = ManualClock::new(START);
    let mut port = MemoryPort::new(Path::default(), &[stream()], &clock).with_receive_room(5);
    for number in 0..8 {
        assert!(port.send(0, &stamp(number, START)).expect("memory never fails"));
    }
    port.flush().expect("memory never fails");
    assert_eq!(port.truth(0), Truth { sent: 8, outstanding: 8, ..Truth::default() });
    assert_eq!(port.receive(&mut |_| {}).expect("memory never fails"), 5);
    assert_eq!(port.truth(0), Truth { sent: 8, received: 5, dropped: 3, ..Truth::default() });
    assert_eq!(port.drops().expect("memory never fails")[0].count, 3);
}

#[test]
fn a_counted_clock_serves_as_well_as_a_borrowed_one() {
    let clock = std::sync::Arc::new(ManualClock::new(START));
    let mut port = MemoryPort::new(Path::default(), &[stream()], clock.clone());
    port.wait(milliseconds(1)).expect("memory never fails");
    assert_eq!(clock.now(), START + MILLISECOND);
}
