//! The loop that sends what is due and takes in what has come, until every stream is done.

use std::sync::Arc;
use std::time::Duration;

use probe_metrics::accumulator::ConfigurationError;

use super::gauge::{Gauges, Reading};
use super::intervals::IntervalExchange;
use super::stream::{Ending, Running, StreamOutcome, StreamPlan};
use crate::clock::Clock;
use crate::port::{Delivery, Port, PortError};

/// Packets that leave together when the worker is behind; the kernel's own limit for a call in copy mode.
const MOST_AT_ONCE: usize = 32;
/// Time from the start of the worker to that of the streams.
const LEAD_NS: i64 = 1_000_000;
/// How often the worker looks up from its packets.
const HOUSEKEEPING_NS: i64 = 5_000_000;
/// A sleep ends so long before the next departure, since the kernel wakes late; the rest is spun away.
const WAKE_EARLY_NS: i64 = 150_000;
/// A clock that is off by more than this, between two looks at it, was set: a reading may be interrupted for a while, but
/// not for that long.
const CLOCK_STEP_NS: i64 = 20_000_000;
/// The longest sleep.
const LONGEST_SLEEP_NS: i64 = 5_000_000;

/// What holds for all streams of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A stream stops when nothing has come back for so long, in nanoseconds.
    pub stop_after_ns: i64,
    /// Length of the intervals that are reported while the streams run, in nanoseconds; `None` for none.
    pub report_interval_ns: Option<i64>,
}

/// Streams, the port that they use, and the clock that drives them.
pub struct Worker<P, C> {
    port: P,
    clock: C,
    settings: Settings,
    streams: Vec<Running>,
    gauges: Arc<Gauges>,
    intervals: Arc<IntervalExchange>,
    interval_start_ns: i64,
    /// What [`Clock::ahead_of_steady`] was at the start.
    ahead_of_steady_ns: i64,
}

impl<P: Port, C: Clock> Worker<P, C> {
    /// A worker whose streams begin a moment from now.
    ///
    /// # Errors
    /// A stream's metrics are configured out of their range.
    pub fn new(
        port: P,
        clock: C,
        settings: Settings,
        plans: Vec<StreamPlan>,
        gauges: Arc<Gauges>,
        intervals: Arc<IntervalExchange>,
    ) -> Result<Self, ConfigurationError> {
        let start_ns = clock.now() + LEAD_NS;
        let streams = plans.into_iter().map(|plan| Running::new(plan, start_ns)).collect::<Result<_, _>>()?;
        let ahead_of_steady_ns = clock.ahead_of_steady();
        Ok(Self { port, clock, settings, streams, gauges, intervals, interval_start_ns: start_ns, ahead_of_steady_ns })
    }

    /// Runs the streams to their end, and gives back the port beside what they found.
    ///
    /// # Errors
    /// The port fails.
    pub fn run(mut self) -> Result<(P, Vec<StreamOutcome>), PortError> {
        self.begin_anew();
        let mut next_housekeeping_ns = self.clock.now();
        loop {
            let now = self.clock.now();
            let sent = self.send_due(now)?;
            self.port.flush()?;
            let received = self.take_in()?;
            // A clock that was set back would put it off for as long as it was set back by.
            if now >= next_housekeeping_ns || now < next_housekeeping_ns - HOUSEKEEPING_NS {
                if self.keep_house(now)? {
                    break;
                }
                next_housekeeping_ns = self.next_housekeeping_ns(now);
            }
            if sent == 0 && received == 0 {
                if self.streams.iter().all(|stream| stream.is_done(now)) {
                    break;
                }
                self.rest(now, next_housekeeping_ns)?;
            }
        }
        self.close_last_interval();
        let outcomes = self.streams.into_iter().map(Running::finish).collect();
        Ok((self.port, outcomes))
    }

    /// Begins a moment from now: the streams' memory and this thread took their time since the worker was made.
    fn begin_anew(&mut self) {
        let delay_ns = self.clock.now() + LEAD_NS - self.interval_start_ns;
        self.interval_start_ns += delay_ns;
        for stream in &mut self.streams {
            stream.postpone(delay_ns);
        }
    }

    /// Sends the packets that are due, the earliest first.
    #[inline]
    fn send_due(&mut self, now_ns: i64) -> Result<usize, PortError> {
        let mut now = now_ns;
        for count in 0..MOST_AT_ONCE {
            let Some((index, intended)) = earliest(&self.streams) else { return Ok(count) };
            if intended > now {
                return Ok(count);
            }
            now = self.clock.now();
            let stream = &mut self.streams[index];
            if !self.port.send(index, &stream.next_stamp(now))? {
                return Ok(count);
            }
            stream.departed(intended, now);
        }
        Ok(MOST_AT_ONCE)
    }

    #[inline]
    fn take_in(&mut self) -> Result<usize, PortError> {
        let streams = &mut self.streams;
        self.port.receive(&mut |delivery| match delivery {
            Delivery::Reply(arrived) => {
                if let Some(stream) = streams.get_mut(arrived.stream) {
                    stream.arrived(&arrived);
                }
            }
            Delivery::Corrupted { stream } => {
                if let Some(stream) = streams.get_mut(stream) {
                    stream.metrics.corrupted();
                }
            }
            Delivery::Foreign { stream } => {
                if let Some(stream) = stream.and_then(|stream| streams.get_mut(stream)) {
                    stream.metrics.foreign();
                }
            }
        })
    }

    /// Looks up from the packets: sentinels, silence, the user's wishes, intervals, gauges. True to end at once.
    fn keep_house(&mut self, now_ns: i64) -> Result<bool, PortError> {
        if (self.clock.ahead_of_steady() - self.ahead_of_steady_ns).abs() > CLOCK_STEP_NS {
            self.streams.iter_mut().for_each(Running::lose_the_time);
            return Ok(true);
        }
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if stream.is_silent(now_ns, self.settings.stop_after_ns) {
                stream.stop(Ending::Silent, now_ns);
            }
            if self.gauges.is_stop_wished() {
                stream.stop(Ending::Stopped, now_ns);
            }
            if let Some(stamp) = stream.due_sentinel(now_ns)
                && self.port.send(index, &stamp)?
            {
                stream.sentinel_departed(now_ns);
                // Now, since a sleep may follow.
                self.port.flush()?;
            }
        }
        self.close_due_interval(now_ns);
        self.gauges.write(&self.reading());
        let is_abort_wished = self.gauges.is_abort_wished();
        if is_abort_wished {
            self.streams.iter_mut().for_each(|stream| stream.abandon(now_ns));
        }
        Ok(is_abort_wished)
    }

    fn reading(&self) -> Reading {
        let mut reading = Reading { sent: 0, received: 0, outstanding: 0, round_trip_ns: None };
        for stream in &self.streams {
            let counts = stream.metrics.counts();
            reading.sent += counts.sent;
            reading.received += counts.received;
            reading.outstanding += stream.metrics.outstanding();
            if reading.round_trip_ns.is_none() && counts.received > 0 {
                reading.round_trip_ns = Some(stream.smoothed_round_trip_ns);
            }
        }
        reading
    }

    /// When to look up next: soon, or at the end of the interval, so that intervals end when they should.
    fn next_housekeeping_ns(&self, now_ns: i64) -> i64 {
        let soon = now_ns + HOUSEKEEPING_NS;
        let interval_end = self.settings.report_interval_ns.map(|length| self.interval_start_ns.saturating_add(length));
        interval_end.filter(|end| *end > now_ns).map_or(soon, |end| soon.min(end))
    }

    /// Hands the interval of every stream over when it is full, unless the controller has not taken the earlier ones:
    /// then it goes on, and ends with a later one.
    fn close_due_interval(&mut self, now_ns: i64) {
        let Some(interval_ns) = self.settings.report_interval_ns else { return };
        let full = (now_ns - self.interval_start_ns).max(0) / interval_ns * interval_ns;
        if full > 0 && self.intervals.has_room() {
            self.close_interval(self.interval_start_ns + full);
        }
    }

    /// Hands over what has come since the last interval ended.
    fn close_last_interval(&mut self) {
        if self.settings.report_interval_ns.is_some() {
            self.close_interval(self.clock.now().max(self.interval_start_ns));
        }
    }

    fn close_interval(&mut self, end_ns: i64) {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let Some(mut interval) = self.intervals.blank() else { return };
            interval.stream = index;
            interval.start_ns = self.interval_start_ns;
            interval.end_ns = end_ns;
            stream.metrics.close_interval(&mut interval.metrics);
            self.intervals.close(interval);
        }
        self.interval_start_ns = end_ns;
    }

    /// Sleeps if there is time for it; a short wait is spun away, since the kernel would wake too late.
    fn rest(&mut self, now_ns: i64, next_housekeeping_ns: i64) -> Result<(), PortError> {
        let next_event_ns =
            self.streams.iter().filter_map(|stream| stream.next_event_ns(now_ns)).min().unwrap_or(now_ns);
        let has_departure = self.streams.iter().any(|stream| stream.next_departure_ns.is_some());
        let early = if has_departure { WAKE_EARLY_NS } else { 0 };
        let sleep =
            next_event_ns.saturating_sub(now_ns + early).min(next_housekeeping_ns - now_ns).min(LONGEST_SLEEP_NS);
        if sleep > WAKE_EARLY_NS {
            return self.port.wait(Duration::from_nanos(sleep.unsigned_abs()));
        }
        std::hint::spin_loop();
        Ok(())
    }
}

/// The stream whose packet is the next to leave, and when.
#[inline]
fn earliest(streams: &[Running]) -> Option<(usize, i64)> {
    let mut earliest: Option<(usize, i64)> = None;
    for (index, stream) in streams.iter().enumerate() {
        if let Some(departure) = stream.next_departure_ns
            && earliest.is_none_or(|(_, least)| departure < least)
        {
            earliest = Some((index, departure));
        }
    }
    earliest
}
