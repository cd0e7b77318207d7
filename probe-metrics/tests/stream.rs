//! One stream, all metrics together.

use probe_metrics::{
    Arrival, ConfigurationError, Counts, IntervalAccumulator, Numbering, Observation, StreamAccumulator,
    StreamConfiguration,
};

const TMAX: i64 = 3_000_000_000;

fn accumulator() -> StreamAccumulator {
    StreamAccumulator::new(&StreamConfiguration::new(TMAX, 1000)).unwrap()
}

/// A reply to packet `sequence`, sent at 1000 ns times its number: 300 ns forward, 50 ns of residence, 400 ns back.
fn reply(sequence: u64, reflector_sequence: u64) -> Observation {
    let sent_ns = 1000 * sequence as i64;
    Observation {
        sequence,
        reflector_sequence,
        sent_ns,
        reflector_received_ns: sent_ns + 300,
        reflector_sent_ns: sent_ns + 350,
        received_ns: sent_ns + 750,
        has_reflector_times: true,
        ..Observation::default()
    }
}

#[test]
fn one_of_everything() {
    let mut stream = accumulator();
    stream.on_sent(10);
    // 0 in order; 1 lost forward, 2 lost backward; 4 before 3; 4 twice; 5 late; 6 damaged; 9 lost forward.
    assert_eq!(stream.observe(&reply(0, 0)), Arrival::First);
    assert_eq!(stream.observe(&reply(4, 3)), Arrival::First);
    assert_eq!(stream.observe(&reply(3, 2)), Arrival::First);
    assert_eq!(stream.observe(&reply(4, 3)), Arrival::Duplicate);
    let mut late = reply(5, 4);
    late.received_ns = late.sent_ns + TMAX;
    assert_eq!(stream.observe(&late), Arrival::Late);
    stream.corrupted();
    assert_eq!(stream.observe(&reply(7, 6)), Arrival::First);
    assert_eq!(stream.observe(&reply(8, 7)), Arrival::First);
    assert_eq!(stream.observe(&reply(10, 8)), Arrival::Beyond);
    stream.foreign();
    stream.observe_sentinel(&reply(10, 8));
    assert_eq!(stream.outstanding(), 3);

    let result = stream.finish();
    let expected = Counts { sent: 10, received: 5, late: 1, duplicates: 1, reordered: 1, corrupted: 1, foreign: 1 };
    assert_eq!(result.counts, expected);
    assert_eq!((result.lost, result.beyond), (3, 1));
    assert_eq!(result.lost_forward(), Some(2));
    assert_eq!(result.lost_backward(), Some(1));
    assert_eq!(result.unattributable(), 0);
    assert_eq!(result.directions.unwrap().duplicates_backward, 1);
    assert_eq!(result.loss_ratio, Some(0.5));
    assert_eq!(result.loss_ratio_y1540, Some(0.4));
    assert_eq!(result.reordering.ratio, Some(0.2));
    for (delays, expected) in [
        (&result.round_trip, 700),
        (&result.round_trip_total, 750),
        (&result.forward, 300),
        (&result.backward, 400),
        (&result.residence, 50),
    ] {
        let summary = delays.summary();
        assert_eq!((summary.count, summary.min_ns), (5, Some(expected)));
        assert_eq!(summary.max_ns, Some(expected));
    }
}

#[test]
fn a_stateless_reflector_leaves_every_loss_unattributable() {
    let configuration = StreamConfiguration { stateful: false, ..StreamConfiguration::new(TMAX, 10) };
    let mut stream = StreamAccumulator::new(&configuration).unwrap();
    stream.on_sent(3);
    stream.observe(&reply(1, 1));
    stream.observe_sentinel(&reply(3, 3));
    let result = stream.finish();
    assert_eq!(result.lost_forward(), None);
    assert_eq!(result.lost_backward(), None);
    assert_eq!((result.lost, result.unattributable()), (2, 2));
}

#[test]
fn a_reflector_that_starts_over_is_noticed_on_the_way() {
    let mut stream = accumulator();
    stream.on_sent(10);
    for (sequence, number) in [(0, 0), (1, 1), (3, 3), (4, 0)] {
        stream.observe(&reply(sequence, number));
    }
    assert_eq!(stream.numbering(), Some(Numbering::Restarted));
    let result = stream.finish();
    assert_eq!((result.lost, result.unattributable()), (6, 6));
}

#[test]
fn without_the_reflectors_times_only_the_total_is_defined() {
    let mut stream = accumulator();
    stream.on_sent(1);
    let mut observation = reply(0, 0);
    observation.has_reflector_times = false;
    stream.observe(&observation);
    let result = stream.finish();
    assert_eq!(result.round_trip_total.count(), 1);
    for delays in [&result.round_trip, &result.forward, &result.backward, &result.residence] {
        assert_eq!(delays.summary().mean_ns, None);
    }
}

#[test]
fn a_reflectors_clock_ahead_makes_backward_delays_negative_and_nothing_else_wrong() {
    let mut stream = accumulator();
    stream.on_sent(1);
    let mut observation = reply(0, 0);
    observation.reflector_received_ns += 1_000_000;
    observation.reflector_sent_ns += 1_000_000;
    stream.observe(&observation);
    let result = stream.finish();
    assert_eq!((result.backward.count(), result.backward.negative()), (0, 1));
    assert_eq!(result.round_trip.summary().min_ns, Some(700));
}

#[test]
fn intervals_add_up_to_the_stream() {
    let mut stream = accumulator();
    let mut closed = IntervalAccumulator::new();
    let mut together = IntervalAccumulator::new();
    for interval in 0..5 {
        stream.on_sent(10);
        for sequence in (interval * 10..interval * 10 + 10).filter(|s| s % 7 != 3) {
            stream.observe(&reply(sequence, sequence));
        }
        if interval == 3 {
            stream.observe(&reply(30, 30));
            stream.observe(&reply(17, 17));
        }
        stream.close_interval(&mut closed);
        assert_eq!(closed.counts.sent, 10);
        assert_eq!(closed.counts.received, closed.round_trip.count());
        assert_eq!(closed.counts.duplicates, u64::from(interval == 3));
        assert_eq!(closed.counts.reordered, u64::from(interval == 3));
        together.merge(&closed);
    }
    stream.on_sent(1);
    stream.observe(&reply(50, 50));
    let result = stream.finish();
    assert_eq!(together.counts.sent + 1, result.counts.sent);
    assert_eq!(together.counts.received + 1, result.counts.received);
    assert_eq!(result.round_trip.count(), result.counts.received);
    assert_eq!(result.round_trip.count(), result.round_trip_total.count());
}

#[test]
fn departures_count_from_their_intended_time() {
    let configuration = StreamConfiguration { late_departure_ns: 100, ..StreamConfiguration::new(TMAX, 10) };
    let mut stream = StreamAccumulator::new(&configuration).unwrap();
    for error in [-20, 0, 100, 101] {
        stream.departure(error);
    }
    let result = stream.finish();
    assert_eq!(result.late_departures, 1);
    assert_eq!(result.departure_error.count(), 4);
    assert_eq!(result.departure_error.minimum(), Some(0));
    assert_eq!(result.departure_error.maximum(), Some(101));
}

#[test]
fn a_configuration_out_of_range_is_refused_by_name() {
    let configuration = StreamConfiguration::new(0, 10);
    let error = StreamAccumulator::new(&configuration).unwrap_err();
    assert_eq!(error, ConfigurationError { field: "tmax_ns", value: 0, least: 1, greatest: i64::MAX.into() });
    assert!(error.to_string().starts_with("tmax_ns is 0"));
    let configuration = StreamConfiguration::new(TMAX, 1 << 40);
    assert!(StreamAccumulator::new(&configuration).is_err());
}
