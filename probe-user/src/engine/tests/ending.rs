//! How streams end: by themselves, by the user, by a reflector's silence; and never later than they must.

use super::*;

/// From the first packet's time to the last's, for a periodic stream.
const TENTH: i64 = 100 * MILLISECOND;
/// Where nothing is missing, copies are still listened for.
const LINGER: i64 = 50 * MILLISECOND;

fn tenth_of_a_second() -> StreamPlan {
    periodic(100 * MICROSECOND, 1_000)
}

#[test]
fn a_long_wait_costs_nothing_without_loss() {
    let time = ManualClock::new(START);
    let ended = run(path(), vec![tenth_of_a_second()], &time);
    assert!(ended.elapsed_ns < TENTH + LINGER + 7 * MILLISECOND, "{}", ended.elapsed_ns);
    assert_eq!(ended.outcomes[0].result.tmax_ns, TMAX);
}

/// A copy of the very last reply, which comes when nothing is missing any more.
#[test]
fn a_copy_that_comes_last_is_still_heard() {
    let time = ManualClock::new(START);
    let backward = path().backward.with_duplication(probability(1.0)).with_jitter(milliseconds(20));
    let ended = run(Path { backward, ..path() }, vec![periodic(MILLISECOND, 10)], &time);
    assert_books(&ended, 0, 0);
    assert_eq!(ended.outcomes[0].result.counts.duplicates, 10);
}

#[test]
fn with_loss_the_last_packet_is_waited_for_to_the_end_and_no_longer() {
    let time = ManualClock::new(START);
    let ended = run(Path { forward: path().forward.losing([3]), ..path() }, vec![tenth_of_a_second()], &time);
    let waited = ended.elapsed_ns - TENTH;
    assert!((TMAX..TMAX + 10 * MILLISECOND).contains(&waited), "{waited}");
    assert_eq!(ended.outcomes[0].ending, Ending::Complete);
}

#[test]
fn the_wait_ends_with_the_last_reply() {
    let time = ManualClock::new(START);
    // Held for 2 s: the worker waits for those, and then for nothing more.
    let backward = path().backward.with_reordering(probability(0.01), Duration::from_secs(2));
    let ended = run(Path { backward, seed: 1, ..path() }, vec![tenth_of_a_second()], &time);
    assert_books(&ended, 0, 0);
    assert_eq!(ended.outcomes[0].result.counts.received, 1_000);
    assert!(
        (2 * SECOND..2 * SECOND + TENTH + LINGER + 20 * MILLISECOND).contains(&ended.elapsed_ns),
        "{}",
        ended.elapsed_ns
    );
}

#[test]
fn a_stop_ends_the_sending_and_waits_for_what_is_out() {
    let time = ManualClock::new(START);
    let trial = Trial::new(path(), vec![periodic(100 * MICROSECOND, 1_000_000)], &time);
    let gauges = Arc::clone(&trial.gauges);
    let ended = trial.at(START + 40 * MILLISECOND, move || gauges.stop()).run();
    assert_books(&ended, 0, 0);
    let outcome = &ended.outcomes[0];
    assert_eq!(outcome.ending, Ending::Stopped);
    let counts = outcome.result.counts;
    assert!((380..450).contains(&counts.sent), "{counts:?}");
    assert_eq!(counts.received, counts.sent, "every reply was waited for");
    assert!(ended.elapsed_ns < 60 * MILLISECOND + LINGER, "{}", ended.elapsed_ns);
}

#[test]
fn a_stop_before_the_first_packet_leaves_an_empty_stream() {
    let time = ManualClock::new(START);
    let trial = Trial::new(path(), vec![periodic(10 * SECOND, 5)], &time);
    trial.gauges.stop();
    let ended = trial.run();
    let outcome = &ended.outcomes[0];
    assert_eq!((outcome.ending, outcome.result.counts.sent), (Ending::Stopped, 0));
    assert_eq!((outcome.first_departure_ns, outcome.last_departure_ns), (None, None));
    assert!(ended.elapsed_ns < 10 * MILLISECOND);
}

#[test]
fn after_a_stop_sentinels_still_settle_the_tail() {
    let time = ManualClock::new(START);
    let plan = waiting(periodic(MILLISECOND, 1_000), SECOND);
    let trial = Trial::new(Path { forward: path().forward.losing(35..51), ..path() }, vec![plan], &time);
    let gauges = Arc::clone(&trial.gauges);
    let ended = trial.at(START + 50 * MILLISECOND, move || gauges.stop()).run();
    assert_books(&ended, 0, 0);
    let outcome = &ended.outcomes[0];
    let sent = outcome.result.counts.sent;
    assert!((45..55).contains(&sent), "{sent}");
    assert_eq!(directions(outcome), (sent - 35, 0, 0));
}

#[test]
fn a_second_stop_waits_for_nothing_and_says_so() {
    let time = ManualClock::new(START);
    let slow = Path { backward: Direction::new(Duration::from_secs(10)), ..path() };
    let trial = Trial::new(slow, vec![periodic(MILLISECOND, 1_000_000)], &time);
    let (first, second) = (Arc::clone(&trial.gauges), Arc::clone(&trial.gauges));
    let trial = trial.at(START + 50 * MILLISECOND, move || first.stop());
    let ended = trial.at(START + 90 * MILLISECOND, move || second.stop()).run();
    assert!((90 * MILLISECOND..100 * MILLISECOND).contains(&ended.elapsed_ns), "{}", ended.elapsed_ns);
    let outcome = &ended.outcomes[0];
    assert_eq!(outcome.ending, Ending::Abandoned, "packets were out");
    assert_eq!(ended.truth(0).outstanding, outcome.result.counts.sent);
    assert_eq!(outcome.result.lost, outcome.result.counts.sent);
}

/// What has come back altogether is not abandoned, whatever the user wishes.
#[test]
fn two_stops_at_once_abandon_only_what_is_out() {
    let time = ManualClock::new(START);
    let long = StreamPlan { ssid: 8, ..periodic(MILLISECOND, 1_000_000) };
    let trial = Trial::new(path(), vec![periodic(MILLISECOND, 3), long], &time);
    let gauges = Arc::clone(&trial.gauges);
    let both = move || {
        gauges.stop();
        gauges.stop();
    };
    let ended = trial.at(START + 90 * MILLISECOND, both).run();
    let endings: Vec<Ending> = ended.outcomes.iter().map(|outcome| outcome.ending).collect();
    assert_eq!(endings, [Ending::Complete, Ending::Abandoned]);
}

#[test]
fn a_reflector_that_falls_silent_ends_its_stream() {
    let time = ManualClock::new(START);
    let path = Path { forward: path().forward.cut_after(500), ..path() };
    let plan = waiting(periodic(MILLISECOND, 1_000_000), SECOND);
    let mut trial = Trial::new(path, vec![plan], &time);
    trial.settings.stop_after_ns = 2 * SECOND;
    let ended = trial.run();
    assert_books(&ended, 0, 0);
    let outcome = &ended.outcomes[0];
    assert_eq!(outcome.ending, Ending::Silent);
    // Half a second of answers, then two of silence: then no more.
    let sent = outcome.result.counts.sent;
    assert!((2_490..2_520).contains(&sent), "{sent}");
    assert_eq!(outcome.result.counts.received, 500);
    let elapsed = ended.elapsed_ns;
    assert!((3_500 * MILLISECOND..3_550 * MILLISECOND).contains(&elapsed), "{elapsed}");
}

/// Two packets without a reply are loss, however long ago they left.
#[test]
fn two_losses_are_no_silence() {
    let time = ManualClock::new(START);
    let lossy = Path { forward: path().forward.losing([1, 2]), ..path() };
    let mut trial = Trial::new(lossy, vec![waiting(periodic(10 * SECOND, 5), SECOND)], &time);
    trial.settings.stop_after_ns = SECOND;
    let ended = trial.run();
    assert_eq!(ended.outcomes[0].ending, Ending::Complete);
    assert_eq!(directions(&ended.outcomes[0]), (2, 0, 0));
}

/// Nobody is silent who has nothing to answer: packets are further apart than the patience.
#[test]
fn a_slow_stream_is_no_silence() {
    let time = ManualClock::new(START);
    let mut trial = Trial::new(path(), vec![periodic(10 * SECOND, 5)], &time);
    trial.settings.stop_after_ns = SECOND;
    let ended = trial.run();
    assert_eq!(ended.outcomes[0].ending, Ending::Complete);
    assert_eq!(ended.outcomes[0].result.counts.received, 5);
    assert!(ended.readings < 500_000, "{} readings of the clock", ended.readings);
}

#[test]
fn one_loss_in_a_slow_stream_is_no_silence() {
    let time = ManualClock::new(START);
    let lossy = Path { forward: path().forward.losing([2]), ..path() };
    let mut trial = Trial::new(lossy, vec![waiting(periodic(300 * MILLISECOND, 5), SECOND)], &time);
    trial.settings.stop_after_ns = SECOND;
    let ended = trial.run();
    assert_eq!(ended.outcomes[0].ending, Ending::Complete);
    assert_eq!(directions(&ended.outcomes[0]), (1, 0, 0));
}

/// Times before and after do not compare: the stream ends, without a burst of what is suddenly due and without waiting for
/// a time that is suddenly far away.
#[test]
fn a_clock_that_is_set_ends_the_stream_at_once() {
    for step_ns in [-3_600 * SECOND, -SECOND, SECOND, 3_600 * SECOND] {
        let time = ManualClock::new(START);
        let trial = Trial::new(path(), vec![periodic(MILLISECOND, 1_000_000)], &time);
        let ended = trial.setting_the_clock(START + 50 * MILLISECOND, step_ns).run();
        let outcome = &ended.outcomes[0];
        assert_eq!(outcome.ending, Ending::ClockSet, "set by {step_ns}");
        let sent = outcome.result.counts.sent;
        assert!((45..90).contains(&sent), "{sent} packets, set by {step_ns}");
        let elapsed = ended.elapsed_ns - step_ns;
        assert!((0..70 * MILLISECOND).contains(&elapsed), "{elapsed}, set by {step_ns}");
    }
}

#[test]
fn a_clock_that_is_set_ends_the_wait_as_well() {
    for step_ns in [-3_600 * SECOND, 3_600 * SECOND] {
        let time = ManualClock::new(START);
        let lossy = Path { forward: path().forward.losing([2]), ..path() };
        let trial = Trial::new(lossy, vec![periodic(MILLISECOND, 10)], &time);
        let ended = trial.setting_the_clock(START + 200 * MILLISECOND, step_ns).run();
        assert_eq!(ended.outcomes[0].ending, Ending::ClockSet, "set by {step_ns}");
        assert!(ended.elapsed_ns - step_ns < 220 * MILLISECOND, "set by {step_ns}");
    }
}

#[test]
fn the_gauges_show_a_round_trip_from_the_first_reply_on() {
    let time = ManualClock::new(START);
    let trial = Trial::new(path(), vec![periodic(SECOND, 2)], &time);
    let gauges = Arc::clone(&trial.gauges);
    let seen = RefCell::new(Vec::new());
    let seen_too = &seen;
    // The first packet leaves within the first second, the second one a second later.
    let trial = trial.at(START + SECOND + 20 * MILLISECOND, move || seen_too.borrow_mut().push(gauges.read()));
    let ended = trial.run();
    let reading = seen.borrow()[0];
    assert_eq!((reading.sent, reading.received, reading.outstanding), (1, 1, 0));
    let round_trip = reading.round_trip_ns.expect("a reply has come");
    assert!((5 * MILLISECOND..5 * MILLISECOND + 10 * TICK).contains(&round_trip), "{round_trip}");
    assert_eq!(ended.outcomes[0].result.counts.received, 2);
}
