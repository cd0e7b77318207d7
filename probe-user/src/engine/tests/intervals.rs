//! Intermediate results: whole, in order, without gaps, and none of them lost.

use super::*;
use probe_metrics::accumulator::IntervalAccumulator;

/// Runs two streams for 40 ms with intervals of 4 ms, over a path with some loss and copies.
fn run_with_intervals<'a>(
    time: &'a ManualClock,
    watch: impl Fn(&IntervalExchange) + 'a,
    watch_every_ns: i64,
) -> (Ended<'a>, Arc<IntervalExchange>) {
    let path = Path {
        forward: path().forward.with_loss(probability(0.01)),
        backward: path().backward.with_duplication(probability(0.02)).with_jitter(Duration::from_micros(500)),
        seed: 9,
        ..Path::default()
    };
    let plans = vec![periodic(20 * MICROSECOND, 2_000), StreamPlan { ssid: 8, ..periodic(200 * MICROSECOND, 200) }];
    let plans = plans.into_iter().map(|plan| waiting(plan, 50 * MILLISECOND)).collect();
    let mut trial = Trial::new(path, plans, time);
    trial.settings.report_interval_ns = Some(4 * MILLISECOND);
    let intervals = Arc::clone(&trial.intervals);
    let watch = std::rc::Rc::new(watch);
    for moment in 1.. {
        let after = moment * watch_every_ns;
        if after > SECOND {
            break;
        }
        let (watch, intervals) = (std::rc::Rc::clone(&watch), Arc::clone(&intervals));
        trial = trial.at(START + after, move || watch(&intervals));
    }
    (trial.run(), intervals)
}

/// The intervals of each stream follow one another and add up to the stream.
fn assert_whole(ended: &Ended<'_>, seen: &[ClosedInterval]) {
    for (stream, outcome) in ended.outcomes.iter().enumerate() {
        let own: Vec<&ClosedInterval> = seen.iter().filter(|interval| interval.stream == stream).collect();
        assert!(own.windows(2).all(|pair| pair[0].end_ns == pair[1].start_ns), "gaps or overlaps: {stream}");
        let mut sum = IntervalAccumulator::new();
        own.iter().for_each(|interval| sum.merge(&interval.metrics));
        assert_eq!(sum.counts, outcome.result.counts, "stream {stream}");
        assert_eq!(sum.round_trip.count(), outcome.result.round_trip.count());
        assert_eq!(sum.round_trip.sum(), outcome.result.round_trip.sum());
        assert_eq!(sum.round_trip.maximum(), outcome.result.round_trip.maximum());
    }
}

#[test]
fn intervals_add_up_to_the_whole() {
    let time = ManualClock::new(START);
    let seen = RefCell::new(Vec::new());
    let take = |exchange: &IntervalExchange| exchange.take(|closed| seen.borrow_mut().push(closed.clone()));
    let (ended, intervals) = run_with_intervals(&time, take, 2 * MILLISECOND);
    take(&intervals);
    let seen = seen.borrow();
    assert_whole(&ended, &seen);
    assert!(seen.len() >= 2 * 10, "{}", seen.len());
    for interval in &seen[..seen.len() - 2] {
        assert_eq!(interval.end_ns - interval.start_ns, 4 * MILLISECOND);
    }
    // An interval ends when it should, so that each holds what left within it: 4 ms of 20 us, a packet more or less.
    let full: Vec<u64> = seen
        .iter()
        .filter(|interval| interval.stream == 0)
        .take(9)
        .map(|interval| interval.metrics.counts.sent)
        .collect();
    assert!(full.iter().all(|sent| (198..=202).contains(sent)), "{full:?}");
}

/// A controller that comes now and then gets longer intervals; one that never comes, the first and the last.
#[test]
fn a_controller_that_falls_behind_misses_nothing() {
    for watch_every_ns in [19 * MILLISECOND, 10 * SECOND] {
        let time = ManualClock::new(START);
        let seen = RefCell::new(Vec::new());
        let take = |exchange: &IntervalExchange| exchange.take(|closed| seen.borrow_mut().push(closed.clone()));
        let (ended, intervals) = run_with_intervals(&time, take, watch_every_ns);
        take(&intervals);
        assert_whole(&ended, &seen.borrow());
    }
}

#[test]
fn without_the_wish_there_are_none() {
    let time = ManualClock::new(START);
    let trial = Trial::new(path(), vec![periodic(MILLISECOND, 100)], &time);
    let intervals = Arc::clone(&trial.intervals);
    trial.run();
    intervals.take(|interval| panic!("{interval:?}"));
}
