//! The engine over a path in memory: the path's own books say what became of every packet, and the clock is moved by
//! hand, so that 51 s of waiting take no time and every run is the same.

mod ending;
mod intervals;
mod loss;
mod preflight;
mod sending;
mod sequence;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use probe_metrics::accumulator::StreamConfiguration;
use probe_wire::frame::{Addresses, Endpoints, TypeP};
use probe_wire::stamp::Stamp;
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::configuration::{Extent, Interval};
use crate::port::memory::{Direction, MemoryPort, Path, Probability, Truth};
use crate::port::{Arrived, Delivery, Drop, Port, PortError, StreamWire};

const START: i64 = 1_800_000_000_000_000_000;
const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// What reading the clock takes, and so what a worker that spins sees pass.
const TICK: i64 = 200;
/// What a stream waits for its packets, unless a test says otherwise: so long that nobody would want to wait for it.
const TMAX: i64 = 51 * SECOND;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn probability(value: f64) -> Probability {
    Probability::new(value).expect("from 0 to 1")
}

/// A path of 2 ms there and 3 ms back.
fn path() -> Path {
    Path { forward: Direction::new(milliseconds(2)), backward: Direction::new(milliseconds(3)), ..Path::default() }
}

/// A periodic stream of a packet every so many nanoseconds.
fn periodic(interval_ns: i64, count: u64) -> StreamPlan {
    let interval = Interval::new(interval_ns.unsigned_abs().into(), 1).expect("an interval above 0");
    plan(Schedule::periodic(interval, Extent::Count(count), 5))
}

fn plan(schedule: Schedule) -> StreamPlan {
    StreamPlan {
        schedule,
        ssid: 7,
        format: TimestampFormat::Ptp,
        error_estimate: ErrorEstimate::covering(1, true, TimestampFormat::Ptp),
        tai_utc_offset: 37,
        metrics: StreamConfiguration::new(TMAX, 1 << 16),
    }
}

/// The same with another Tmax, nanoseconds.
fn waiting(plan: StreamPlan, tmax_ns: i64) -> StreamPlan {
    let metrics = StreamConfiguration { tmax_ns, ..plan.metrics.clone() };
    StreamPlan { metrics, ..plan }
}

fn wire(stream: usize) -> StreamWire {
    StreamWire {
        endpoints: Endpoints {
            source_mac: [2; 6],
            destination_mac: [4; 6],
            addresses: Addresses::V4([198, 18, 0, 1], [198, 18, 0, 2]),
            source_port: 4000 + stream as u16,
            destination_port: 862,
        },
        type_p: TypeP { dscp: 0, ttl: 255 },
        ip_length: 100,
    }
}

/// A clock that moves a little whenever it is read, as time does while a worker spins, and on which things happen at
/// their moments.
struct TickingClock<'a> {
    time: &'a ManualClock,
    readings: Cell<u64>,
    /// By how much it was set, all in all.
    set_by_ns: Rc<Cell<i64>>,
    moments: RefCell<Vec<Moment<'a>>>,
}

/// A time, TAI nanoseconds, and what happens then.
type Moment<'a> = (i64, Box<dyn FnOnce() + 'a>);

impl<'a> TickingClock<'a> {
    fn new(time: &'a ManualClock) -> Self {
        Self { time, readings: Cell::new(0), set_by_ns: Rc::default(), moments: RefCell::default() }
    }

    fn at(self, time_ns: i64, what: impl FnOnce() + 'a) -> Self {
        self.moments.borrow_mut().push((time_ns, Box::new(what)));
        self
    }
}

impl Clock for TickingClock<'_> {
    fn now(&self) -> i64 {
        self.readings.set(self.readings.get() + 1);
        let now = self.time.advance(TICK);
        let due = self.moments.borrow().iter().position(|(time, _)| *time <= now);
        if let Some(due) = due {
            let (_, what) = self.moments.borrow_mut().swap_remove(due);
            what();
        }
        self.time.now()
    }

    fn ahead_of_steady(&self) -> i64 {
        self.set_by_ns.get()
    }
}

/// A port that remembers what passed through it.
struct Recorder<'a> {
    port: MemoryPort<&'a ManualClock>,
    time: &'a ManualClock,
    taken: Vec<Sent>,
    sent: Vec<Sent>,
    replies: Vec<Arrived>,
}

/// A packet as it left.
#[derive(Clone, Copy, Debug)]
struct Sent {
    stream: usize,
    stamp: Stamp,
    time_ns: i64,
}

impl Sent {
    /// T1 as the packet carries it.
    fn t1_ns(&self) -> i64 {
        self.stamp.error_estimate.format().read(self.stamp.timestamp, self.time_ns, 37)
    }
}

impl<'a> Recorder<'a> {
    fn new(path: Path, streams: usize, time: &'a ManualClock) -> Self {
        let wires: Vec<StreamWire> = (0..streams).map(wire).collect();
        let port = MemoryPort::new(path, &wires, time);
        Self { port, time, taken: Vec::new(), sent: Vec::new(), replies: Vec::new() }
    }
}

impl Port for Recorder<'_> {
    fn send(&mut self, stream: usize, stamp: &Stamp) -> Result<bool, PortError> {
        let is_taken = self.port.send(stream, stamp)?;
        if is_taken {
            self.taken.push(Sent { stream, stamp: *stamp, time_ns: 0 });
        }
        Ok(is_taken)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let time_ns = self.time.now();
        self.sent.extend(self.taken.drain(..).map(|sent| Sent { time_ns, ..sent }));
        self.port.flush()
    }

    fn receive(&mut self, deliver: &mut impl FnMut(Delivery)) -> Result<usize, PortError> {
        let replies = &mut self.replies;
        self.port.receive(&mut |delivery| {
            if let Delivery::Reply(arrived) = delivery {
                replies.push(arrived);
            }
            deliver(delivery);
        })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        assert!(self.taken.is_empty(), "packets were left lying while the worker sleeps");
        self.port.wait(timeout)
    }

    fn drops(&self) -> Result<Vec<Drop>, PortError> {
        self.port.drops()
    }
}

/// A run of the worker to be.
struct Trial<'a> {
    port: Recorder<'a>,
    clock: TickingClock<'a>,
    plans: Vec<StreamPlan>,
    settings: Settings,
    gauges: Arc<Gauges>,
    intervals: Arc<IntervalExchange>,
}

/// What a run of the worker gave.
struct Ended<'a> {
    port: Recorder<'a>,
    outcomes: Vec<StreamOutcome>,
    /// From the making of the worker to its end.
    elapsed_ns: i64,
    /// How often the worker looked at the clock.
    readings: u64,
}

impl<'a> Trial<'a> {
    fn new(path: Path, plans: Vec<StreamPlan>, time: &'a ManualClock) -> Self {
        Self {
            port: Recorder::new(path, plans.len(), time),
            clock: TickingClock::new(time),
            intervals: Arc::new(IntervalExchange::new(plans.len())),
            plans,
            settings: Settings { stop_after_ns: 5 * SECOND, report_interval_ns: None },
            gauges: Arc::default(),
        }
    }

    /// Has somebody set the clock by so much at a time.
    fn setting_the_clock(self, time_ns: i64, step_ns: i64) -> Self {
        let (time, set_by_ns) = (self.clock.time, Rc::clone(&self.clock.set_by_ns));
        self.at(time_ns, move || {
            time.advance(step_ns);
            set_by_ns.set(set_by_ns.get() + step_ns);
        })
    }

    fn at(self, time_ns: i64, what: impl FnOnce() + 'a) -> Self {
        Self { clock: self.clock.at(time_ns, what), ..self }
    }

    fn run(self) -> Ended<'a> {
        let start = self.clock.time.now();
        let clock = &self.clock;
        let worker = Worker::new(self.port, clock, self.settings, self.plans, self.gauges, self.intervals)
            .expect("the metrics are configured within their range");
        let (port, outcomes) = worker.run().expect("memory never fails");
        Ended { port, outcomes, elapsed_ns: clock.time.now() - start, readings: clock.readings.get() }
    }
}

/// Runs streams over a path to their end.
fn run(path: Path, plans: Vec<StreamPlan>, time: &ManualClock) -> Ended<'_> {
    Trial::new(path, plans, time).run()
}

impl Ended<'_> {
    /// What the path says of a stream's own packets, without its sentinels.
    fn truth(&self, stream: usize) -> Truth {
        let sent = self.outcomes[stream].result.counts.sent as usize;
        self.port.port.truth_within(stream, 0..sent)
    }

    /// What the path says of some of a stream's packets.
    fn truth_within(&self, stream: usize, packets: Range<usize>) -> Truth {
        self.port.port.truth_within(stream, packets)
    }

    /// The numbers that a stream's packets had, in the order in which they left.
    fn numbers(&self, stream: usize) -> Vec<u32> {
        self.port.sent.iter().filter(|sent| sent.stream == stream).map(|sent| sent.stamp.sequence).collect()
    }
}

/// Holds the books of a stream against what the path did, packet for packet. `late` packets came after Tmax.
fn assert_books(ended: &Ended<'_>, stream: usize, late: u64) {
    let (outcome, truth) = (&ended.outcomes[stream], ended.truth(stream));
    let (result, counts) = (&outcome.result, outcome.result.counts);
    assert_eq!(truth.sent, counts.sent, "{truth:?}");
    assert_eq!(counts.received + counts.late, truth.received, "{truth:?} {counts:?}");
    assert_eq!(counts.late, late, "{truth:?} {counts:?}");
    assert_eq!(counts.corrupted, truth.corrupted, "{truth:?} {counts:?}");
    assert_eq!(counts.duplicates, truth.duplicates, "{truth:?} {counts:?}");
    assert_eq!(result.lost, truth.lost_forward + truth.lost_backward + truth.dropped + truth.outstanding, "{truth:?}");
    assert_eq!(counts.sent, counts.received + counts.late + counts.corrupted + result.lost, "the books: {counts:?}");
}

/// The packets lost forward, backward, and on a way that cannot be told.
fn directions(outcome: &StreamOutcome) -> (u64, u64, u64) {
    let directions = outcome.result.directions.expect("the reflector is stateful");
    (directions.forward, directions.backward, directions.unattributable)
}
