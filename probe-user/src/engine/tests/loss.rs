//! Loss, copies, damage and overtaking: the stream's books against the path's.

use super::*;
use crate::port::memory::Reflector;
use probe_metrics::Numbering;

/// Runs one stream of 2,000 packets, 50 kpps, over a path.
fn run_one(path: Path, time: &ManualClock) -> Ended<'_> {
    run(path, vec![waiting(periodic(20 * MICROSECOND, 2_000), SECOND)], time)
}

#[test]
fn loss_is_told_apart_by_its_way() {
    for (forward, backward) in [
        (vec![], vec![]),
        (vec![0], vec![]),
        (vec![], vec![0]),
        (vec![3, 4, 5, 900], vec![]),
        (vec![], vec![3, 4, 5, 900]),
        (vec![10, 20, 30], vec![11, 21, 500, 501]),
        ((100..400).collect(), (700..1_200).collect()),
    ] {
        let time = ManualClock::new(START);
        let base = path();
        // A reply is numbered as it enters the way back: those of packets lost forward never do.
        let (lost_forward, lost_backward) = (forward.len() as u64, backward.len() as u64);
        let path = Path { forward: base.forward.losing(forward), backward: base.backward.losing(backward), ..base };
        let ended = run_one(path, &time);
        assert_books(&ended, 0, 0);
        let truth = ended.truth(0);
        assert_eq!((truth.lost_forward, truth.lost_backward), (lost_forward, lost_backward), "the script");
        assert_eq!(directions(&ended.outcomes[0]), (lost_forward, lost_backward, 0));
    }
}

#[test]
fn random_loss_of_both_ways_is_counted_exactly() {
    let mut exact = 0;
    for seed in 0..10 {
        let time = ManualClock::new(START);
        let lossy = |delay| Direction::new(milliseconds(delay)).with_loss(probability(0.05));
        let ended = run_one(Path { forward: lossy(2), backward: lossy(3), seed, ..Path::default() }, &time);
        assert_books(&ended, 0, 0);
        let truth = ended.truth(0);
        let (forward, backward, open) = directions(&ended.outcomes[0]);
        assert!(truth.lost_forward > 50 && truth.lost_backward > 50, "{truth:?}");
        assert!(forward <= truth.lost_forward && backward <= truth.lost_backward, "seed {seed}: {truth:?}");
        // Where packets die at the very end and sentinels with them, one explanation is as good as another.
        assert!(open <= 3, "seed {seed}: {open} of {truth:?}");
        exact += u32::from(open == 0);
    }
    assert!(exact >= 8, "{exact} of 10 runs are settled to the last packet");
}

#[test]
fn copies_and_overtaking_are_counted() {
    for seed in 0..5 {
        let time = ManualClock::new(START);
        let backward = Direction::new(milliseconds(3))
            .with_duplication(probability(0.05))
            .with_reordering(probability(0.04), milliseconds(1))
            .with_jitter(Duration::from_micros(300));
        let ended = run_one(Path { backward, seed, ..path() }, &time);
        assert_books(&ended, 0, 0);
        let (truth, counts) = (ended.truth(0), ended.outcomes[0].result.counts);
        assert_eq!(counts.reordered, truth.reordered, "seed {seed}");
        assert!(truth.duplicates > 50 && truth.reordered > 50, "{truth:?}");
        assert_eq!(directions(&ended.outcomes[0]), (0, 0, 0), "seed {seed}: {truth:?}");
    }
}

#[test]
fn damage_is_counted_where_it_is_seen() {
    let mut judged = 0;
    for seed in 0..5 {
        let time = ManualClock::new(START);
        let damaging = |delay| Direction::new(milliseconds(delay)).with_corruption(probability(0.03));
        let ended = run_one(Path { forward: damaging(2), backward: damaging(3), seed, ..Path::default() }, &time);
        let truth = ended.truth(0);
        if ended.truth_within(0, 2_000..usize::MAX).corrupted > 0 {
            // A damaged reply to a sentinel cannot be told from one to the stream.
            continue;
        }
        judged += 1;
        assert_books(&ended, 0, 0);
        assert!(truth.corrupted > 30 && truth.lost_forward > 30, "{truth:?}");
        // A damaged request dies at the reflector, which is on the way forward.
        assert_eq!(directions(&ended.outcomes[0]), (truth.lost_forward, 0, 0), "seed {seed}: {truth:?}");
    }
    assert!(judged >= 3, "{judged} runs without damaged sentinels");
}

#[test]
fn copies_made_on_the_way_there_are_duplicates_too() {
    let time = ManualClock::new(START);
    let path = Path { forward: Direction::new(milliseconds(2)).with_duplication(probability(0.1)), ..path() };
    let ended = run_one(path, &time);
    assert_books(&ended, 0, 0);
    let truth = ended.truth(0);
    assert!(truth.duplicates > 100, "{truth:?}");
    let found = ended.outcomes[0].result.directions.expect("the reflector is stateful");
    assert_eq!((found.duplicates_forward, found.duplicates_backward), (truth.duplicates, 0));
    assert_eq!(found.numbering, Numbering::Continuous);
}

/// The last packets die, and what was sent after them tells on which way.
#[test]
fn sentinels_settle_the_loss_of_the_last_packets() {
    for (path, expected) in [
        (Path { forward: path().forward.losing(1_990..2_000), ..path() }, (10, 0, 0)),
        (Path { backward: path().backward.losing(1_990..2_000), ..path() }, (0, 10, 0)),
        // The first three sentinels die as well, on the way that the packets died on.
        (Path { forward: path().forward.losing(1_990..2_003), ..path() }, (10, 0, 0)),
    ] {
        let time = ManualClock::new(START);
        let ended = run_one(path, &time);
        assert_books(&ended, 0, 0);
        assert_eq!(directions(&ended.outcomes[0]), expected);
        let (sent, answered) = ended.outcomes[0].sentinels;
        assert!(sent > 0 && answered == 1, "{sent} sent, {answered} answered");
        let numbers = ended.numbers(0);
        assert_eq!(numbers, (0..2_000 + sent as u32).collect::<Vec<_>>(), "sentinels are numbered on");
        // Nothing of the sentinels is in the stream's numbers.
        assert_eq!(ended.outcomes[0].result.counts.sent, 2_000);
        assert_eq!(ended.outcomes[0].result.departure_error.count(), 2_000);
        assert_eq!(ended.outcomes[0].result.round_trip.count(), 1_990);
    }
}

#[test]
fn where_sentinels_die_too_the_last_packets_are_nobodys_loss() {
    let time = ManualClock::new(START);
    let ended = run_one(Path { forward: path().forward.cut_after(1_990), ..path() }, &time);
    assert_books(&ended, 0, 0);
    assert_eq!(directions(&ended.outcomes[0]), (0, 0, 10));
    let (sent, answered) = ended.outcomes[0].sentinels;
    assert!(sent >= 4 && answered == 0, "{sent} sent, {answered} answered");
}

/// Whether sentinels leave when their stamps say, and further and further apart.
#[test]
fn sentinels_leave_at_the_times_in_them() {
    let time = ManualClock::new(START);
    let ended = run_one(Path { forward: path().forward.cut_after(1_990), ..path() }, &time);
    let last = ended.outcomes[0].last_departure_ns.expect("packets left");
    let times: Vec<i64> = ended.port.sent[2_000..].iter().map(|sent| sent.time_ns - last).collect();
    assert!((10 * MILLISECOND..16 * MILLISECOND).contains(&times[0]), "{times:?}");
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|pair| pair[1] > pair[0] * 3 / 2), "{gaps:?}");
    for sent in &ended.port.sent[2_000..] {
        assert!((0..10 * TICK).contains(&(sent.time_ns - sent.t1_ns())), "{sent:?} {}", sent.t1_ns());
    }
}

#[test]
fn replies_after_tmax_are_late_and_no_part_of_the_delay() {
    let time = ManualClock::new(START);
    let tmax = 20 * MILLISECOND;
    let held = path().backward.with_reordering(probability(0.1), milliseconds(30));
    let ended =
        run(Path { backward: held, seed: 2, ..path() }, vec![waiting(periodic(20 * MICROSECOND, 2_000), tmax)], &time);
    let sent_ns = |arrived: &Arrived| ended.port.sent[arrived.reply.sender_sequence as usize].t1_ns();
    let late = ended.port.replies.iter().filter(|arrived| arrived.received_ns - sent_ns(arrived) >= tmax).count();
    assert!(late > 50, "{late}");
    assert_books(&ended, 0, late as u64);
    let result = &ended.outcomes[0].result;
    assert!(result.lost > 0, "those held at the end are not waited for");
    assert_eq!(result.round_trip_total.maximum(), Some(5 * MILLISECOND));
    assert_eq!(result.round_trip.count(), result.counts.received);
}

#[test]
fn a_full_receive_ring_loses_packets_and_the_port_says_so() {
    let time = ManualClock::new(START);
    let mut trial = Trial::new(path(), vec![waiting(periodic(MICROSECOND, 2_000), SECOND)], &time);
    trial.port.port = MemoryPort::new(path(), &[wire(0)], &time).with_receive_room(100);
    let ended = trial.at(START + 7 * MILLISECOND, || {
        time.advance(MILLISECOND);
    });
    let ended = ended.run();
    assert_books(&ended, 0, 0);
    let dropped: u64 = ended.port.drops().expect("memory never fails").iter().map(|drop| drop.count).sum();
    let truth = ended.truth(0);
    assert!(dropped > 500 && truth.dropped == dropped, "{dropped} {truth:?}");
    // To the reflector's numbers it looks like loss on the way back; the session lays it at the right door.
    assert_eq!(directions(&ended.outcomes[0]), (0, dropped, 0));
}

#[test]
fn a_reflector_that_copies_numbers_leaves_the_ways_open() {
    let time = ManualClock::new(START);
    let reflector = Reflector { is_stateful: false, ..Reflector::default() };
    let forward = path().forward.losing([5, 6]);
    let mut plan = waiting(periodic(20 * MICROSECOND, 2_000), SECOND);
    plan.metrics.stateful = false;
    let ended = run(Path { forward, reflector, ..path() }, vec![plan], &time);
    assert_books(&ended, 0, 0);
    assert_eq!(ended.outcomes[0].result.lost, 2);
    assert!(ended.outcomes[0].result.directions.is_none());
}

#[test]
fn times_and_hops_come_from_the_right_places() {
    for format in [TimestampFormat::Ptp, TimestampFormat::Ntp] {
        let time = ManualClock::new(START);
        let reflector = Reflector {
            residence_ns: 40 * MICROSECOND,
            clock_offset_ns: 250 * MICROSECOND,
            tai_utc_offset: 37,
            ..Reflector::default()
        };
        let base = path();
        let path = Path {
            forward: base.forward.clone().with_hops(3),
            backward: base.backward.clone().with_hops(5),
            reflector,
            ..base
        };
        let mut plan = periodic(20 * MICROSECOND, 100);
        (plan.format, plan.error_estimate) = (format, plan.error_estimate.with_format(format));
        let ended = run(path, vec![plan], &time);
        let outcome = &ended.outcomes[0];
        let result = &outcome.result;
        // A worker reads T1 a moment before the packet leaves, and NTP has a quarter of a nanosecond more or less.
        let about = |value: Option<i64>, expected: i64| {
            let value = value.expect("there are replies");
            assert!((expected - 1..expected + 10 * TICK).contains(&value), "{value} is not {expected}");
        };
        about(result.round_trip.minimum(), 5 * MILLISECOND);
        about(result.round_trip_total.minimum(), 5 * MILLISECOND + 40 * MICROSECOND);
        about(result.forward.minimum(), 2 * MILLISECOND + 250 * MICROSECOND);
        about(result.backward.minimum(), 3 * MILLISECOND - 250 * MICROSECOND);
        about(result.residence.minimum(), 40 * MICROSECOND);
        assert_eq!((outcome.forward_ttl, outcome.backward_ttl), (Some((252, 252)), Some((250, 250))));
        assert_eq!(outcome.arrivals, [100, 0, 0]);
        assert_eq!(outcome.reflector_error_estimate.map(ErrorEstimate::format), Some(format));
    }
}
