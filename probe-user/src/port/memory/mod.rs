//! A path within the process: no kernel, no waiting, and the truth of every packet known. What is built on a
//! [`Port`] is tested on it, faster than real time and the same on every run.
//!
//! Time is a [`ManualClock`] that the caller shares; [`Port::wait`] moves it to the next arrival, or by the whole
//! timeout. Whoever loops on the clock without waiting loops for ever.

mod path;
#[cfg(test)]
mod tests;
mod truth;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ops::{Deref, Range};
use std::time::Duration;

use probe_wire::frame::UDP;
use probe_wire::stamp::{BASE, Reply, Stamp};

pub use self::path::{Direction, Path, Probability, ProbabilityError, Reflector};
pub use self::truth::Truth;

use self::path::{Lane, nanoseconds};
use self::truth::{Ending, Ledger};
use super::{ArrivalClock, Arrived, Delivery, Drop, Port, PortError, Side, StreamWire};
use crate::clock::{Clock, ManualClock};

/// Packets that are taken between two flushes.
const TRANSMIT_ROOM: usize = 32;
/// Packets that one call hands over.
const RECEIVE_BATCH: usize = 64;
/// The TTL with which replies leave the reflector.
const REFLECTOR_TTL: u8 = 255;

/// A simulated path with a reflector at its end. `C` is a reference to the clock, plain or counted.
#[derive(Debug)]
pub struct MemoryPort<C> {
    clock: C,
    reflector: Reflector,
    forward: Lane,
    backward: Lane,
    streams: Vec<Stream>,
    taken: Vec<(usize, Stamp)>,
    events: BinaryHeap<Reverse<Event>>,
    event_count: u64,
    ring: VecDeque<Delivery>,
    receive_room: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Stream {
    wire: StreamWire,
    ledger: Ledger,
    /// The reflector's own number for the next reply of each session, by SSID.
    next_numbers: BTreeMap<u16, u32>,
}

/// Something comes out of a direction of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    time_ns: i64,
    /// Decides among events of one time: first in, first out.
    number: u64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Request { stream: usize, packet: usize, stamp: Stamp, is_corrupted: bool },
    Reply { stream: usize, packet: usize, reply: Reply, is_corrupted: bool },
    Injected(Delivery),
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time_ns, self.number).cmp(&(other.time_ns, other.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<C: Deref<Target = ManualClock>> MemoryPort<C> {
    /// Lays a path for a set of streams. Its receive ring holds 4096 packets: see
    /// [`with_receive_room`](Self::with_receive_room).
    #[must_use]
    pub fn new(path: Path, streams: &[StreamWire], clock: C) -> Self {
        Self {
            clock,
            reflector: path.reflector,
            forward: Lane::new(path.forward, path.seed, 0),
            backward: Lane::new(path.backward, path.seed, 1),
            streams: streams
                .iter()
                .map(|wire| Stream { wire: *wire, ledger: Ledger::default(), next_numbers: BTreeMap::new() })
                .collect(),
            taken: Vec::with_capacity(TRANSMIT_ROOM),
            events: BinaryHeap::new(),
            event_count: 0,
            ring: VecDeque::new(),
            receive_room: 4096,
            dropped: 0,
        }
    }

    /// The same with a ring that holds so many packets; one that comes when it is full is this side's own loss.
    #[must_use]
    pub fn with_receive_room(self, packets: usize) -> Self {
        Self { receive_room: packets, ..self }
    }

    /// Has something arrive at a time, TAI nanoseconds, that no packet of a stream gave cause for.
    pub fn inject(&mut self, delivery: Delivery, time_ns: i64) {
        self.schedule(time_ns, What::Injected(delivery));
    }

    /// What has become of a stream's packets so far; of none where there is no such stream.
    #[must_use]
    pub fn truth(&self, stream: usize) -> Truth {
        self.truth_within(stream, 0..usize::MAX)
    }

    /// The same for some of its packets, numbered from 0 as they left, whatever they were: probes before a stream and
    /// sentinels after it have numbers of their own.
    #[must_use]
    pub fn truth_within(&self, stream: usize, packets: Range<usize>) -> Truth {
        self.streams.get(stream).map(|stream| stream.ledger.truth(packets)).unwrap_or_default()
    }

    fn schedule(&mut self, time_ns: i64, what: What) {
        let number = self.event_count;
        self.event_count += 1;
        self.events.push(Reverse(Event { time_ns, number, what }));
    }

    /// Lets everything happen that is due at a time.
    fn settle(&mut self, time_ns: i64) {
        while let Some(event) = self.next_event(time_ns) {
            self.happen(event);
        }
    }

    fn next_event(&mut self, until_ns: i64) -> Option<Event> {
        if self.events.peek()?.0.time_ns > until_ns {
            return None;
        }
        self.events.pop().map(|event| event.0)
    }

    fn happen(&mut self, event: Event) {
        match event.what {
            What::Request { stream, packet, stamp, is_corrupted } => {
                self.streams[stream].ledger.reach_reflector(packet, !is_corrupted);
                // A reflector throws a request with a wrong checksum away.
                if !is_corrupted {
                    self.reflect(stream, packet, &stamp, event.time_ns);
                }
            }
            What::Reply { stream, packet, reply, is_corrupted } => {
                let (delivery, ending) = if is_corrupted {
                    (Delivery::Corrupted { stream }, Ending::Corrupted)
                } else {
                    (Delivery::Reply(self.arrived(stream, reply, event.time_ns)), Ending::Whole)
                };
                let ending = if self.put_in_ring(delivery) { ending } else { Ending::Dropped };
                self.streams[stream].ledger.arrive(packet, ending);
            }
            What::Injected(delivery) => {
                self.put_in_ring(delivery);
            }
        }
    }

    /// Answers a request as a Session-Reflector does (RFC 8762 section 4.3) and sends the answer on its way.
    fn reflect(&mut self, stream: usize, packet: usize, request: &Stamp, time_ns: i64) {
        let Reflector { is_stateful, has_ssid, residence_ns, clock_offset_ns, tai_utc_offset, error_estimate } =
            self.reflector;
        let Stream { wire, next_numbers, .. } = &mut self.streams[stream];
        let ssid = if has_ssid { request.ssid } else { 0 };
        let next_number = next_numbers.entry(ssid).or_default();
        let sequence = if is_stateful { *next_number } else { request.sequence };
        *next_number = next_number.wrapping_add(1);
        let format = request.error_estimate.format();
        let write = |time_ns: i64| format.write(time_ns.cast_unsigned(), tai_utc_offset);
        let received_ns = time_ns + clock_offset_ns;
        let reply = Reply {
            reflector: Stamp {
                sequence,
                timestamp: write(received_ns + residence_ns),
                error_estimate: error_estimate.with_format(format),
                ssid,
            },
            receive_timestamp: write(received_ns),
            sender_sequence: request.sequence,
            sender_timestamp: request.timestamp,
            sender_error_estimate: request.error_estimate,
            sender_ttl: wire.type_p.ttl.saturating_sub(self.forward.hops()),
        };
        let passage = self.backward.pass();
        for delay_ns in passage.delays_ns.into_iter().flatten() {
            self.streams[stream].ledger.depart(packet);
            let what = What::Reply { stream, packet, reply, is_corrupted: passage.is_corrupted };
            self.schedule(time_ns + residence_ns + delay_ns, what);
        }
    }

    fn arrived(&self, stream: usize, reply: Reply, received_ns: i64) -> Arrived {
        let wire = &self.streams[stream].wire;
        let shortest = wire.endpoints.addresses.version().header_length() + UDP + BASE;
        Arrived {
            stream,
            reply,
            received_ns,
            clock: ArrivalClock::Driver,
            ttl: REFLECTOR_TTL.saturating_sub(self.backward.hops()),
            traffic_class: wire.type_p.dscp << 2,
            ip_length: wire.ip_length.max(shortest as u16),
        }
    }

    fn put_in_ring(&mut self, delivery: Delivery) -> bool {
        let has_room = self.ring.len() < self.receive_room;
        if has_room {
            self.ring.push_back(delivery);
        } else {
            self.dropped += 1;
        }
        has_room
    }
}

impl<C: Deref<Target = ManualClock>> Port for MemoryPort<C> {
    fn send(&mut self, stream: usize, stamp: &Stamp) -> Result<bool, PortError> {
        if stream >= self.streams.len() || self.taken.len() >= TRANSMIT_ROOM {
            return Ok(false);
        }
        self.taken.push((stream, *stamp));
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let now = self.clock.now();
        for index in 0..self.taken.len() {
            let (stream, stamp) = self.taken[index];
            let packet = self.streams[stream].ledger.send();
            let passage = self.forward.pass();
            for delay_ns in passage.delays_ns.into_iter().flatten() {
                self.streams[stream].ledger.depart(packet);
                let what = What::Request { stream, packet, stamp, is_corrupted: passage.is_corrupted };
                self.schedule(now + delay_ns, what);
            }
        }
        self.taken.clear();
        Ok(())
    }

    fn receive(&mut self, deliver: &mut impl FnMut(Delivery)) -> Result<usize, PortError> {
        self.settle(self.clock.now());
        let count = self.ring.len().min(RECEIVE_BATCH);
        self.ring.drain(..count).for_each(deliver);
        Ok(count)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        let now = self.clock.now();
        let end = now.saturating_add(nanoseconds(timeout));
        while self.ring.is_empty() {
            let Some(event) = self.next_event(end) else {
                self.clock.set(end);
                return Ok(());
            };
            // What was due in the past happens now.
            self.clock.set(event.time_ns.max(self.clock.now()));
            self.happen(event);
        }
        Ok(())
    }

    fn drops(&self) -> Result<Vec<Drop>, PortError> {
        Ok(vec![Drop {
            side: Side::Receiving,
            place: "receive ring full",
            counter: "packets without room in memory".to_owned(),
            count: self.dropped,
        }])
    }
}
