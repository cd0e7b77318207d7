//! One stream while it runs: what it has sent, what it waits for, and when it is done.

use probe_metrics::Observation;
use probe_metrics::accumulator::{ConfigurationError, StreamAccumulator, StreamConfiguration, StreamResult};
use probe_metrics::sequence::nearest;
use probe_wire::stamp::Stamp;
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use super::preflight::preflight_ssid;
use super::schedule::Schedule;
use crate::port::{ArrivalClock, Arrived};

/// The first sentinel leaves so long after the last packet, and each further one after twice the time.
const FIRST_SENTINEL_NS: i64 = 10_000_000;
/// More than these would not tell more.
const MOST_SENTINELS: u64 = 16;
/// When nothing is missing any more, copies are listened for so much longer, from the last arrival.
const LINGER_NS: i64 = 50_000_000;
/// Fewer packets without a reply are loss, not silence, however long it lasts. Silence is counted from the last of
/// these, since that one too must have had its time.
const FEWEST_FOR_SILENCE: u64 = 3;

/// What a stream is to do.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// When its packets leave.
    pub schedule: Schedule,
    /// Its session identifier, 1 to 0x7fff.
    pub ssid: u16,
    /// Format of its timestamps.
    pub format: TimestampFormat,
    /// Error estimate of its timestamps.
    pub error_estimate: ErrorEstimate,
    /// Seconds by which TAI is ahead of UTC.
    pub tai_utc_offset: i32,
    /// How its replies are judged.
    pub metrics: StreamConfiguration,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It sent everything that it was to send.
    Complete,
    /// The user ended it.
    Stopped,
    /// Its reflector fell silent.
    Silent,
    /// The clock was set while it ran.
    ClockSet,
    /// The user ended it, and did not wait for the packets that were still out: they count as lost, and may not be.
    Abandoned,
}

/// What a stream found.
#[derive(Clone, Debug)]
pub struct StreamOutcome {
    /// Its metrics.
    pub result: StreamResult,
    /// How it ended.
    pub ending: Ending,
    /// When its first packet left, TAI nanoseconds; `None` when none did.
    pub first_departure_ns: Option<i64>,
    /// When its last packet left, TAI nanoseconds.
    pub last_departure_ns: Option<i64>,
    /// Sentinels sent and answered.
    pub sentinels: (u64, u64),
    /// Replies whose arrival was timed by the eBPF program, by the kernel, and by this process.
    pub arrivals: [u64; 3],
    /// The last error estimate that the reflector stated.
    pub reflector_error_estimate: Option<ErrorEstimate>,
    /// Least and greatest TTL of requests at the reflector.
    pub forward_ttl: Option<(u8, u8)>,
    /// Least and greatest TTL of replies here.
    pub backward_ttl: Option<(u8, u8)>,
}

/// A stream at work.
pub(super) struct Running {
    plan: StreamPlan,
    pub(super) metrics: StreamAccumulator,
    /// When the stream's own time is zero.
    start_ns: i64,
    /// When the next packet is to leave; `None` after the last.
    pub(super) next_departure_ns: Option<i64>,
    pub(super) sent: u64,
    ending: Ending,
    first_departure_ns: Option<i64>,
    last_departure_ns: Option<i64>,
    last_arrival_ns: i64,
    /// How many packets have left since the last reply.
    unanswered: u64,
    /// When so many had left that it may be silence.
    silent_since_ns: Option<i64>,
    sentinels_sent: u64,
    sentinels_answered: u64,
    next_sentinel_ns: i64,
    highest_reflector_number: u64,
    arrivals: [u64; 3],
    reflector_error_estimate: Option<ErrorEstimate>,
    forward_ttl: Option<(u8, u8)>,
    backward_ttl: Option<(u8, u8)>,
    pub(super) smoothed_round_trip_ns: i64,
}

impl Running {
    pub(super) fn new(mut plan: StreamPlan, start_ns: i64) -> Result<Self, ConfigurationError> {
        let metrics = StreamAccumulator::new(&plan.metrics)?;
        let first = plan.schedule.next();
        Ok(Self {
            highest_reflector_number: plan.metrics.reflector_sequence_start,
            plan,
            metrics,
            start_ns,
            next_departure_ns: first.map(|first| start_ns.saturating_add_unsigned(first)),
            sent: 0,
            ending: Ending::Complete,
            first_departure_ns: None,
            last_departure_ns: None,
            last_arrival_ns: start_ns,
            unanswered: 0,
            silent_since_ns: None,
            sentinels_sent: 0,
            sentinels_answered: 0,
            next_sentinel_ns: 0,
            arrivals: [0; 3],
            reflector_error_estimate: None,
            forward_ttl: None,
            backward_ttl: None,
            smoothed_round_trip_ns: 0,
        })
    }

    /// Puts the start of a stream that has not begun off.
    pub(super) fn postpone(&mut self, delay_ns: i64) {
        self.start_ns += delay_ns;
        self.last_arrival_ns += delay_ns;
        self.next_departure_ns = self.next_departure_ns.map(|departure| departure.saturating_add(delay_ns));
    }

    /// The stamp of a packet that leaves now.
    #[inline]
    fn stamp(&self, number: u64, now_ns: i64) -> Stamp {
        Stamp {
            sequence: number as u32,
            timestamp: self.plan.format.write(now_ns.unsigned_abs(), self.plan.tai_utc_offset),
            error_estimate: self.plan.error_estimate,
            ssid: self.plan.ssid,
        }
    }

    /// The stamp of the stream's next packet.
    #[inline]
    pub(super) fn next_stamp(&self, now_ns: i64) -> Stamp {
        self.stamp(self.sent, now_ns)
    }

    /// Notes that the packet of [`Self::next_stamp`] was taken by the port.
    #[inline]
    pub(super) fn departed(&mut self, intended_ns: i64, actual_ns: i64) {
        self.metrics.on_sent(1);
        self.metrics.departure(actual_ns - intended_ns);
        self.sent += 1;
        self.unanswered += 1;
        if self.unanswered == FEWEST_FOR_SILENCE {
            self.silent_since_ns = Some(actual_ns);
        }
        self.first_departure_ns.get_or_insert(actual_ns);
        self.last_departure_ns = Some(actual_ns);
        self.next_departure_ns = self.plan.schedule.next().map(|at| self.start_ns.saturating_add_unsigned(at));
        if self.next_departure_ns.is_none() {
            self.next_sentinel_ns = actual_ns + FIRST_SENTINEL_NS;
        }
    }

    /// Sends nothing more, for a reason.
    pub(super) fn stop(&mut self, ending: Ending, now_ns: i64) {
        if self.next_departure_ns.take().is_some() {
            self.ending = ending;
            self.next_sentinel_ns = now_ns + FIRST_SENTINEL_NS;
        }
    }

    /// Ends at once, since the clock was set: what has left and what is to leave have no times to be held against.
    pub(super) fn lose_the_time(&mut self) {
        if self.next_departure_ns.take().is_some() || self.metrics.outstanding() > 0 {
            self.ending = Ending::ClockSet;
        }
    }

    /// Waits for nothing more, although packets may be out.
    pub(super) fn abandon(&mut self, now_ns: i64) {
        if !self.is_done(now_ns) && self.metrics.outstanding() > 0 {
            self.ending = Ending::Abandoned;
        }
    }

    /// Takes a reply in.
    #[inline]
    pub(super) fn arrived(&mut self, arrived: &Arrived) {
        let reply = &arrived.reply;
        // A reflector by RFC 8762 alone returns no SSID.
        if reply.reflector.ssid != self.plan.ssid && reply.reflector.ssid != 0 {
            if reply.reflector.ssid != preflight_ssid(self.plan.ssid) {
                self.metrics.foreign();
            }
            return;
        }
        let offset = self.plan.tai_utc_offset;
        let sent_ns = self.plan.format.read(reply.sender_timestamp, arrived.received_ns, offset);
        if sent_ns < self.start_ns {
            // Of the preflight, from a reflector that returns no SSID.
            return;
        }
        let Some(sequence) = nearest::<32>(reply.sender_sequence, self.sent) else {
            self.metrics.foreign();
            return;
        };
        let reflector_sequence =
            nearest::<32>(reply.reflector.sequence, self.highest_reflector_number).unwrap_or_default();
        self.highest_reflector_number = self.highest_reflector_number.max(reflector_sequence);
        let format = reply.reflector.error_estimate.format();
        let observation = Observation {
            sequence,
            sent_ns,
            reflector_received_ns: format.read(reply.receive_timestamp, arrived.received_ns, offset),
            reflector_sent_ns: format.read(reply.reflector.timestamp, arrived.received_ns, offset),
            received_ns: arrived.received_ns,
            reflector_sequence,
            stream: arrived.stream as u16,
            length: arrived.ip_length,
            ttl: arrived.ttl,
            forward_ttl: reply.sender_ttl,
            traffic_class: arrived.traffic_class,
            has_reflector_times: reply.receive_timestamp != [0; 8] && reply.reflector.timestamp != [0; 8],
        };
        if sequence >= self.sent {
            if sequence < self.sent + self.sentinels_sent {
                self.sentinels_answered += 1;
                self.metrics.observe_sentinel(&observation);
            } else {
                self.metrics.foreign();
            }
            return;
        }
        self.metrics.observe(&observation);
        self.last_arrival_ns = arrived.received_ns;
        self.unanswered = 0;
        self.silent_since_ns = None;
        self.arrivals[match arrived.clock {
            ArrivalClock::Driver => 0,
            ArrivalClock::Kernel => 1,
            ArrivalClock::User => 2,
        }] += 1;
        self.reflector_error_estimate = Some(reply.reflector.error_estimate);
        widen(&mut self.forward_ttl, reply.sender_ttl);
        widen(&mut self.backward_ttl, arrived.ttl);
        // The first one as it is, then with the weight of RFC 6298 section 2.3; for the progress line alone.
        let round_trip_ns = observation.round_trip_total_ns();
        self.smoothed_round_trip_ns = match self.smoothed_round_trip_ns {
            0 => round_trip_ns,
            smoothed => smoothed + (round_trip_ns - smoothed) / 8,
        };
    }

    /// The stamp of a sentinel, if one is due: packets are missing at the end, and none has told on which way.
    pub(super) fn due_sentinel(&self, now_ns: i64) -> Option<Stamp> {
        let is_due = self.next_departure_ns.is_none()
            && self.sentinels_answered == 0
            && self.sentinels_sent < MOST_SENTINELS
            && now_ns >= self.next_sentinel_ns
            && self.metrics.outstanding() > 0;
        is_due.then(|| self.stamp(self.sent + self.sentinels_sent, now_ns))
    }

    /// Notes that the sentinel of [`Self::due_sentinel`] was taken by the port.
    pub(super) fn sentinel_departed(&mut self, now_ns: i64) {
        self.sentinels_sent += 1;
        self.next_sentinel_ns = now_ns + (FIRST_SENTINEL_NS << self.sentinels_sent.min(10));
    }

    /// True when nothing more can change the result.
    pub(super) fn is_done(&self, now_ns: i64) -> bool {
        self.next_departure_ns.is_none() && now_ns >= self.end_ns()
    }

    /// When the wait is over, unless something comes: Tmax after the last packet, or sooner where nothing is missing and
    /// copies have been listened for.
    fn end_ns(&self) -> i64 {
        let deadline = self.last_departure_ns.map_or(i64::MIN, |last| last.saturating_add(self.plan.metrics.tmax_ns));
        if self.metrics.outstanding() == 0 { deadline.min(self.last_arrival_ns + LINGER_NS) } else { deadline }
    }

    /// True when several packets have left and nothing has come back for so long.
    pub(super) fn is_silent(&self, now_ns: i64, patience_ns: i64) -> bool {
        self.next_departure_ns.is_some() && self.silent_since_ns.is_some_and(|since| now_ns - since > patience_ns)
    }

    /// When something is to be done next without any reply; `None` when the stream is done. Sentinels leave when the
    /// house is kept, and are no event of their own.
    #[inline]
    pub(super) fn next_event_ns(&self, now_ns: i64) -> Option<i64> {
        self.next_departure_ns.or_else(|| Some(self.end_ns()).filter(|end| *end > now_ns))
    }

    pub(super) fn finish(self) -> StreamOutcome {
        StreamOutcome {
            result: self.metrics.finish(),
            ending: self.ending,
            first_departure_ns: self.first_departure_ns,
            last_departure_ns: self.last_departure_ns,
            sentinels: (self.sentinels_sent, self.sentinels_answered),
            arrivals: self.arrivals,
            reflector_error_estimate: self.reflector_error_estimate,
            forward_ttl: self.forward_ttl,
            backward_ttl: self.backward_ttl,
        }
    }
}

#[inline]
fn widen(range: &mut Option<(u8, u8)>, value: u8) {
    *range = Some(range.map_or((value, value), |(least, greatest)| (least.min(value), greatest.max(value))));
}
