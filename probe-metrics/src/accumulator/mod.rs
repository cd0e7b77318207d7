//! Everything about one stream in one place. The worker that receives a stream's replies owns one accumulator and
//! feeds it observations in order of arrival; what comes out at the end is all that a report needs.

mod configuration;
mod interval;
mod result;

pub use configuration::{ConfigurationError, StreamConfiguration};
pub use interval::IntervalAccumulator;
pub use result::{Counts, StreamResult};

use crate::direction::{DirectionalLoss, Numbering};
use crate::distribution::Distribution;
use crate::observation::Observation;
use crate::reception::{Arrival, Reception};
use crate::reordering::Reordering;

/// The metrics of one stream: delay, loss, duplicates, reordering, and the way on which packets died.
///
/// All memory is taken at construction. Only packets received in time enter delay and reordering: what comes at Tmax
/// or later is lost (RFC 7679, section 3.7; RFC 6673, section 4.3), and further copies count as duplicates only.
#[derive(Clone, Debug)]
pub struct StreamAccumulator {
    tmax_ns: i64,
    late_departure_ns: i64,
    reception: Reception,
    reordering: Reordering,
    direction: Option<DirectionalLoss>,
    /// The round trip and the books since the last interval was closed.
    interval: IntervalAccumulator,
    /// The books when the last interval was closed.
    closed: Counts,
    foreign: u64,
    round_trip: Distribution,
    round_trip_total: Distribution,
    forward: Distribution,
    backward: Distribution,
    residence: Distribution,
    departure_error: Distribution,
    late_departures: u64,
}

impl StreamAccumulator {
    /// An accumulator for one stream, with all the memory that it will ever need.
    ///
    /// # Errors
    /// When a value of the configuration is out of its range.
    pub fn new(configuration: &StreamConfiguration) -> Result<Self, ConfigurationError> {
        configuration.validate()?;
        let direction = configuration
            .stateful
            .then(|| DirectionalLoss::new(configuration.direction_window, configuration.reflector_sequence_start));
        Ok(Self {
            tmax_ns: configuration.tmax_ns,
            late_departure_ns: configuration.late_departure_ns,
            reception: Reception::new(configuration.outstanding_capacity),
            reordering: Reordering::new(configuration.remembered_discontinuities),
            direction,
            interval: IntervalAccumulator::new(),
            closed: Counts::default(),
            foreign: 0,
            round_trip: Distribution::new(),
            round_trip_total: Distribution::new(),
            forward: Distribution::new(),
            backward: Distribution::new(),
            residence: Distribution::new(),
            departure_error: Distribution::new(),
            late_departures: 0,
        })
    }

    /// Notes that the next `count` packets of the stream left (sentinels are none of it). This comes before their
    /// replies are observed: a reply to a packet not yet sent is [`Arrival::Beyond`].
    #[inline]
    pub fn on_sent(&mut self, count: u64) {
        self.reception.on_sent(count);
    }

    /// Notes by how much a packet left after its intended time, in nanoseconds; negative when it left before. An early
    /// one counts as 0 in the distribution.
    #[inline]
    pub fn departure(&mut self, error_ns: i64) {
        self.departure_error.record(error_ns.max(0));
        self.late_departures += u64::from(error_ns > self.late_departure_ns);
    }

    /// Takes one arrival of a reply to the stream, and says what it was.
    #[inline]
    pub fn observe(&mut self, observation: &Observation) -> Arrival {
        let sequence = observation.sequence;
        let total = observation.round_trip_total_ns();
        let arrival = self.reception.arrive(sequence, total, self.tmax_ns);
        match arrival {
            Arrival::First => {
                self.reordering.observe(sequence);
                self.record_delays(observation, total);
            }
            Arrival::Late | Arrival::Duplicate => {}
            Arrival::Beyond => return arrival,
        }
        if let Some(direction) = &mut self.direction {
            let first = arrival != Arrival::Duplicate;
            direction.observe(sequence, observation.reflector_sequence, first);
        }
        arrival
    }

    /// Takes one reply to a sentinel: a packet sent after the stream's last, numbered on from there. It shows on which
    /// way the stream's last packets died and enters no other metric.
    pub fn observe_sentinel(&mut self, observation: &Observation) {
        let of_stream = observation.sequence < self.reception.sent();
        if let Some(direction) = self.direction.as_mut().filter(|_| !of_stream) {
            direction.observe_sentinel(observation.sequence, observation.reflector_sequence);
        }
    }

    /// Notes a reply to this stream that came back damaged.
    pub fn corrupted(&mut self) {
        self.reception.corrupted_arrival();
    }

    /// Notes a packet that came to this stream's address but is no reply to it.
    pub fn foreign(&mut self) {
        self.foreign += 1;
    }

    /// Packets that may still come back. When it is 0 at the end of the stream there is nothing to wait for.
    pub fn outstanding(&self) -> u64 {
        self.reception.outstanding()
    }

    /// Whether the reflector's numbers have held so far; `None` for a stateless reflector.
    pub fn numbering(&self) -> Option<Numbering> {
        self.direction.as_ref().map(DirectionalLoss::numbering)
    }

    /// The books as they stand.
    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.reception.sent(),
            received: self.reception.received(),
            late: self.reception.late(),
            duplicates: self.reception.duplicates(),
            reordered: self.reordering.reordered_packets(),
            corrupted: self.reception.corrupted(),
            foreign: self.foreign,
        }
    }

    /// Closes the running interval, writes its numbers into `closed` (whatever that held is lost, its memory is used
    /// for the next interval) and begins the next one. It allocates nothing.
    pub fn close_interval(&mut self, closed: &mut IntervalAccumulator) {
        let counts = self.counts();
        self.interval.counts = counts.since(&self.closed);
        self.closed = counts;
        self.round_trip.merge(&self.interval.round_trip);
        std::mem::swap(&mut self.interval, closed);
        self.interval.clear();
    }

    /// Everything there is to know of the stream, after the last arrival was observed.
    pub fn finish(mut self) -> StreamResult {
        self.round_trip.merge(&self.interval.round_trip);
        let counts = self.counts();
        let lost = self.reception.outstanding();
        StreamResult {
            counts,
            lost,
            directions: self.direction.map(|d| d.finish(counts.sent, lost)),
            tmax_ns: self.tmax_ns,
            beyond: self.reception.beyond(),
            corrupted_copies: self.reception.corrupted_copies(),
            loss_ratio: self.reception.loss_ratio(),
            loss_ratio_y1540: self.reception.loss_ratio_y1540(),
            duplication_fraction: self.reception.duplication_fraction(),
            reordering: self.reordering.summary(),
            round_trip: self.round_trip,
            round_trip_total: self.round_trip_total,
            forward: self.forward,
            backward: self.backward,
            residence: self.residence,
            departure_error: self.departure_error,
            late_departures: self.late_departures,
        }
    }

    #[inline]
    fn record_delays(&mut self, observation: &Observation, total: i64) {
        self.round_trip_total.record(total);
        let delays = [
            (&mut self.residence, observation.residence_ns()),
            (&mut self.interval.round_trip, observation.round_trip_ns()),
            (&mut self.forward, observation.forward_ns()),
            (&mut self.backward, observation.backward_ns()),
        ];
        for (distribution, delay) in delays {
            if let Some(delay) = delay {
                distribution.record(delay);
            }
        }
    }
}
