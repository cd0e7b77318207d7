//! What leaves, and when.

use super::*;

#[test]
fn every_packet_leaves_once_in_its_order_and_at_its_time() {
    let time = ManualClock::new(START);
    let plan = periodic(20 * MICROSECOND, 5_000);
    let intended: Vec<i64> = plan.schedule.clone().map(u64::cast_signed).collect();
    let ended = run(path(), vec![plan], &time);
    assert_eq!(ended.numbers(0), (0..5_000).collect::<Vec<_>>());
    assert_books(&ended, 0, 0);
    let first = ended.port.sent[0].time_ns - intended[0];
    for (sent, intended) in ended.port.sent.iter().zip(&intended) {
        // The worker reads the clock a few times for each packet.
        assert!((-TICK..10 * TICK).contains(&(sent.time_ns - first - intended)), "{sent:?}");
        assert!((0..5 * TICK).contains(&(sent.time_ns - sent.t1_ns())), "T1 is the time of leaving: {sent:?}");
    }
    let outcome = &ended.outcomes[0];
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(outcome.result.late_departures, 0);
    assert_eq!(outcome.first_departure_ns, Some(ended.port.sent[0].t1_ns()));
    assert_eq!(outcome.last_departure_ns, ended.port.sent.last().map(Sent::t1_ns));
    assert_eq!(outcome.sentinels, (0, 0));
}

#[test]
fn a_stream_of_one_packet_is_a_stream() {
    let time = ManualClock::new(START);
    let ended = run(path(), vec![periodic(SECOND, 1)], &time);
    assert_eq!(ended.numbers(0), [0]);
    assert_books(&ended, 0, 0);
    let outcome = &ended.outcomes[0];
    assert_eq!(outcome.result.counts.received, 1);
    assert_eq!(outcome.first_departure_ns, outcome.last_departure_ns);
    assert_eq!(outcome.result.round_trip.minimum(), Some(5 * MILLISECOND));
}

#[test]
fn a_poisson_stream_keeps_its_times_and_its_end() {
    let time = ManualClock::new(START);
    let interval = Interval::new(100_000, 1).expect("an interval above 0");
    let schedule = Schedule::poisson(interval, Extent::Duration(milliseconds(200)), 3);
    let expected = schedule.clone().count();
    let ended = run(path(), vec![plan(schedule)], &time);
    assert!(expected > 1_500, "{expected}");
    assert_eq!(ended.numbers(0).len(), expected);
    assert_books(&ended, 0, 0);
}

/// The worker is away for 10 ms: what was due meanwhile leaves late, all of it, and that is told.
#[test]
fn packets_that_leave_late_are_counted() {
    let time = ManualClock::new(START);
    let plan = periodic(100 * MICROSECOND, 1_000);
    let offsets: Vec<i64> = plan.schedule.clone().map(u64::cast_signed).collect();
    let away = START + 50 * MILLISECOND;
    let back = away + 10 * MILLISECOND;
    let ended = Trial::new(path(), vec![plan], &time).at(away, || time.set(back)).run();
    let first = ended.outcomes[0].first_departure_ns.expect("packets left");
    // The first left in time, so that its offset tells the stream's start, give or take a few readings of the clock.
    let start = first - offsets[0];
    let late = offsets.iter().filter(|offset| (away..back - 10 * MICROSECOND).contains(&(start + **offset))).count();
    assert!(late >= 99, "{late}");
    let result = &ended.outcomes[0].result;
    assert_eq!(result.late_departures, late as u64);
    let worst = result.departure_error.maximum().expect("packets left");
    assert!((9_900 * MICROSECOND..10 * MILLISECOND + 10 * MICROSECOND).contains(&worst), "{worst}");
    assert_eq!(ended.numbers(0), (0..1_000).collect::<Vec<_>>());
    assert_books(&ended, 0, 0);
}

/// More is due at once than a port takes at a time.
#[test]
fn a_port_that_is_full_delays_packets_and_loses_none() {
    let time = ManualClock::new(START);
    let ended = Trial::new(path(), vec![periodic(MICROSECOND, 3_000)], &time)
        .at(START + 2 * MILLISECOND, || {
            time.advance(2 * MILLISECOND);
        })
        .run();
    assert_eq!(ended.numbers(0), (0..3_000).collect::<Vec<_>>());
    assert_books(&ended, 0, 0);
    assert_eq!(ended.outcomes[0].result.counts.received, 3_000);
}

#[test]
fn streams_leave_at_the_same_time_and_keep_their_own_books() {
    let time = ManualClock::new(START);
    let path = Path {
        forward: Direction::new(milliseconds(2)).with_loss(probability(0.02)).with_jitter(milliseconds(1)),
        backward: Direction::new(milliseconds(3)).with_loss(probability(0.03)),
        seed: 4,
        ..Path::default()
    };
    let plans = vec![
        StreamPlan { ssid: 1, ..periodic(50 * MICROSECOND, 4_000) },
        StreamPlan { ssid: 2, ..periodic(330 * MICROSECOND, 700) },
        StreamPlan { ssid: 3, ..periodic(10 * MILLISECOND, 20) },
    ];
    let mut trial = Trial::new(path, plans.into_iter().map(|plan| waiting(plan, SECOND)).collect(), &time);
    for copy in 0..4 {
        trial.port.port.inject(Delivery::Foreign { stream: Some(1) }, START + (20 + copy) * MILLISECOND);
    }
    trial.port.port.inject(Delivery::Foreign { stream: None }, START + 30 * MILLISECOND);
    let ended = trial.run();
    for (stream, (count, foreign)) in [(4_000, 0), (700, 4), (20, 0)].into_iter().enumerate() {
        assert_books(&ended, stream, 0);
        let counts = ended.outcomes[stream].result.counts;
        assert_eq!((counts.sent, counts.foreign), (count, foreign), "stream {stream}");
        let numbers = ended.numbers(stream);
        assert_eq!(numbers[..count as usize], (0..count as u32).collect::<Vec<_>>());
        let ssids = ended.port.sent.iter().filter(|sent| sent.stream == stream).map(|sent| sent.stamp.ssid);
        assert!(ssids.into_iter().all(|ssid| usize::from(ssid) == stream + 1));
    }
    assert!(ended.outcomes[0].result.lost > 0 && ended.outcomes[1].result.lost > 0, "the path lost nothing");
}

/// A short stream beside a long one: once it is done, the worker sleeps between the packets of the long one.
#[test]
fn a_stream_that_is_done_keeps_nobody_awake() {
    let time = ManualClock::new(START);
    let ended = run(path(), vec![periodic(MILLISECOND, 5), periodic(100 * MILLISECOND, 50)], &time);
    assert!(ended.elapsed_ns > 4 * SECOND);
    // Spinning, the worker would look some fifty million times.
    assert!(ended.readings < 500_000, "{} readings of the clock", ended.readings);
}
