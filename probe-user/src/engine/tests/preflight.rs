//! The probes before a stream: who answers, how it numbers, and that nothing of it spills into the stream.

use super::*;
use crate::engine::preflight::{self, Probes};
use crate::port::memory::Reflector;

const PATIENCE: Duration = Duration::from_secs(1);

fn probes(ssid: u16) -> Probes {
    let format = TimestampFormat::Ptp;
    Probes { ssid, format, error_estimate: ErrorEstimate::covering(1, true, format), tai_utc_offset: 37 }
}

fn find(port: &mut Recorder<'_>, streams: &[Probes], time: &ManualClock) -> Vec<Preflight> {
    preflight::run(port, &TickingClock::new(time), streams, PATIENCE).expect("memory never fails")
}

fn find_on(path: Path, time: &ManualClock) -> Preflight {
    find(&mut Recorder::new(path, 1, time), &[probes(7)], time)[0]
}

fn with(reflector: Reflector) -> Path {
    Path { reflector, ..path() }
}

#[test]
fn a_reflector_that_counts_is_told_from_one_that_copies() {
    for (is_stateful, has_ssid, kind) in [
        (true, true, ReflectorKind::Stateful),
        (true, false, ReflectorKind::Stateful),
        (false, true, ReflectorKind::Stateless),
        (false, false, ReflectorKind::Stateless),
    ] {
        let time = ManualClock::new(START);
        let found = find_on(with(Reflector { is_stateful, has_ssid, ..Reflector::default() }), &time);
        assert_eq!((found.sent, found.answered), (7, 7));
        assert_eq!((found.kind, found.has_sessions), (Some(kind), has_ssid));
        let round_trip = found.round_trip_ns.expect("there were answers");
        assert!((5 * MILLISECOND..5 * MILLISECOND + 10 * TICK).contains(&round_trip), "{round_trip}");
        // Answered as soon as the last answer is there.
        assert!(time.now() - START < 20 * MILLISECOND, "{}", time.now() - START);
    }
}

/// Copies that the path makes are counted by the reflector, and must not carry its count to where the sender's is.
#[test]
fn copies_on_the_way_do_not_make_a_copier() {
    for seed in 0..50 {
        let time = ManualClock::new(START);
        let forward = path().forward.with_duplication(probability(0.5));
        let found = find_on(Path { forward, seed, ..path() }, &time);
        assert_eq!((found.answered, found.kind), (7, Some(ReflectorKind::Stateful)), "seed {seed}");
    }
}

#[test]
fn loss_among_the_probes_leaves_the_kind_known_where_it_can_be() {
    for (lost, answered, kind) in [
        (vec![0, 1, 2], 4, Some(ReflectorKind::Stateful)),
        (vec![3], 6, Some(ReflectorKind::Stateful)),
        (vec![4, 5, 6], 4, Some(ReflectorKind::Stateful)),
        (vec![3, 4, 5, 6], 3, None),
    ] {
        let time = ManualClock::new(START);
        let found = find_on(Path { forward: path().forward.losing(lost.clone()), ..path() }, &time);
        assert_eq!((found.sent, found.answered, found.kind), (7, answered, kind), "{lost:?}");
    }
}

#[test]
fn nobody_is_there_and_patience_ends() {
    let time = ManualClock::new(START);
    let found = find_on(Path { forward: path().forward.cut_after(0), ..path() }, &time);
    assert_eq!((found.sent, found.answered, found.kind, found.round_trip_ns), (7, 0, None, None));
    let waited = time.now() - START;
    assert!((SECOND..SECOND + 20 * MILLISECOND).contains(&waited), "{waited}");
}

#[test]
fn each_stream_has_its_own_answer() {
    let time = ManualClock::new(START);
    let mut port = Recorder::new(path(), 3, &time);
    let found = find(&mut port, &[probes(1), probes(2), probes(3)], &time);
    assert!(found.iter().all(|found| found.answered == 7 && found.kind == Some(ReflectorKind::Stateful)), "{found:?}");
    let ssids: std::collections::BTreeSet<u16> = port.sent.iter().map(|sent| sent.stamp.ssid).collect();
    assert_eq!(ssids.into_iter().collect::<Vec<_>>(), [1, 2, 3].map(preflight_ssid));
}

#[test]
fn answers_of_others_are_none() {
    let time = ManualClock::new(START);
    let mut port = Recorder::new(Path { forward: path().forward.cut_after(0), ..path() }, 2, &time);
    // What another session's reflector would send: taken from a run where there is one.
    let mut other = Recorder::new(path(), 1, &time);
    find(&mut other, &[probes(99)], &time);
    for reply in &other.replies {
        port.port.inject(Delivery::Reply(*reply), time.now() + MILLISECOND);
    }
    port.port.inject(Delivery::Foreign { stream: Some(1) }, time.now() + MILLISECOND);
    port.port.inject(Delivery::Corrupted { stream: 1 }, time.now() + MILLISECOND);
    let found = find(&mut port, &[probes(1), probes(2)], &time);
    assert!(found.iter().all(|found| found.answered == 0), "{found:?}");
}

/// Probes and stream over the same port, as a measurement has it, with loss of both ways in the stream.
fn probe_and_run(reflector: Reflector, straggling: bool, time: &ManualClock) -> Ended<'_> {
    let base = path();
    // The seven probes are the first in both directions.
    let path = Path {
        forward: base.forward.losing([15, 16, 1_000]),
        backward: base.backward.losing([25, 700, 701, 702, 703]),
        reflector,
        ..base
    };
    let mut trial = Trial::new(path, vec![waiting(periodic(20 * MICROSECOND, 2_000), SECOND)], time);
    let found = find(&mut trial.port, &[probes(7)], time)[0];
    assert_eq!(found.answered, 7);
    if straggling {
        // Copies of the probes' replies that come in the middle of the stream.
        for reply in trial.port.replies.clone() {
            trial.port.port.inject(Delivery::Reply(reply), time.now() + 20 * MILLISECOND);
        }
    }
    if !found.has_sessions {
        trial.plans[0].metrics.reflector_sequence_start = u64::from(found.next_number);
    }
    trial.run()
}

#[test]
fn the_stream_after_the_probes_knows_its_losses_with_and_without_ssid() {
    for has_ssid in [true, false] {
        for straggling in [false, true] {
            let time = ManualClock::new(START);
            let ended = probe_and_run(Reflector { has_ssid, ..Reflector::default() }, straggling, &time);
            let (outcome, truth) = (&ended.outcomes[0], ended.truth_within(0, 7..2_007));
            assert_eq!((truth.lost_forward, truth.lost_backward), (3, 5), "the script");
            assert_eq!(directions(outcome), (3, 5, 0), "SSID {has_ssid}, stragglers {straggling}");
            let counts = outcome.result.counts;
            assert_eq!((counts.sent, counts.received), (2_000, 1_992));
            assert_eq!((counts.duplicates, counts.foreign), (0, 0), "a probe's reply is neither");
        }
    }
}
