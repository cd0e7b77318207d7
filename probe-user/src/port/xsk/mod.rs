//! AF_XDP: frames in memory that this process shares with the driver, on every receive queue of the interface.
//!
//! Packets leave through the first queue. A reply may come back on any queue, so that all of them are read.

mod rings;

use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use probe_wire::shared::ArrivalSource;
use probe_wire::stamp::Stamp;

use self::rings::{Layout, Rings};
use super::{ArrivalClock, Delivery, Directory, Drop, Port, PortError, Side, StreamWire, Template};
use crate::clock::Clock;

/// How long a queue that was closed a moment ago may stay busy.
const REBIND_PATIENCE: Duration = Duration::from_secs(2);
/// Frames that can be on their way out, over all streams.
const TRANSMIT_FRAMES: u32 = 2048;
/// Frames that can wait to be read, per queue.
const RECEIVE_FRAMES: u32 = 4096;
/// When the kernel had no room for a packet, it is asked again after so long.
const KICK_AGAIN: Duration = Duration::from_micros(50);
/// Frames that one call takes from one queue.
const RECEIVE_BATCH: usize = 64;

/// Octets of the longest IP packet that the port sends and receives: one that fits into one frame.
pub const LONGEST_PACKET: u32 = rings::LONGEST_PACKET;

/// Where and how a port is opened.
#[derive(Clone, Debug)]
pub struct XskOptions<'a> {
    /// The interface's name.
    pub interface: &'a str,
    /// Receive queues of the interface, or fewer to leave some alone.
    pub queues: NonZeroU32,
    /// The interface's MTU, which decides on the size of a frame.
    pub mtu: u32,
}

/// A set of AF_XDP sockets, one on each queue.
pub struct XskPort<C> {
    interface: String,
    queues: Vec<Rings>,
    templates: Vec<Template>,
    directory: Directory,
    clock: C,
}

impl<C: Clock> XskPort<C> {
    /// Opens the sockets and lays the streams' frames out in the first one's memory.
    ///
    /// # Errors
    /// A queue cannot be bound: it is in use, memory may not be locked, or the driver refuses.
    pub fn open(options: &XskOptions<'_>, streams: &[StreamWire], clock: C) -> Result<Self, PortError> {
        let templates: Vec<Template> = streams.iter().filter_map(Template::new).collect();
        if templates.len() != streams.len() {
            return Err(PortError {
                operation: "preparing the streams' frames",
                place: options.interface.to_owned(),
                source: std::io::Error::other("a stream's packets are shorter than their headers"),
            });
        }
        let mut queues = Vec::new();
        for queue in 0..options.queues.get() {
            let transmit_frames = if queue == 0 { TRANSMIT_FRAMES } else { 0 };
            let layout = Layout { receive_frames: RECEIVE_FRAMES, transmit_frames, mtu: options.mtu };
            queues.push(bind(options.interface, queue, &layout)?);
        }
        if let Some(first) = queues.first_mut() {
            first.lay_out(&templates);
        }
        let directory = Directory::new(streams);
        Ok(Self { interface: options.interface.to_owned(), queues, templates, directory, clock })
    }

    /// The sockets by queue, for the map that redirects to them.
    pub fn sockets(&self) -> impl Iterator<Item = (u32, RawFd)> {
        self.queues.iter().enumerate().map(|(queue, rings)| (queue as u32, rings.as_raw_fd()))
    }

    /// True when the driver reads and writes the frames in place; false when the kernel copies them.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn is_zero_copy(&self) -> Result<bool, PortError> {
        for rings in &self.queues {
            if !rings.is_zero_copy().map_err(|source| self.error("asking for zero-copy", source))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn error(&self, operation: &'static str, source: std::io::Error) -> PortError {
        PortError { operation, place: self.interface.clone(), source }
    }
}

/// Binds a queue, with patience for one that the kernel is still letting go of.
fn bind(interface: &str, queue: u32, layout: &Layout) -> Result<Rings, PortError> {
    let start = Instant::now();
    loop {
        match Rings::bind(interface, queue, layout) {
            Ok(rings) => return Ok(rings),
            Err(source) if source.raw_os_error() == Some(libc::EBUSY) && start.elapsed() < REBIND_PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(source) => {
                return Err(PortError {
                    operation: "binding an AF_XDP socket",
                    place: format!("{interface} queue {queue}"),
                    source,
                });
            }
        }
    }
}

impl<C: Clock> Port for XskPort<C> {
    #[inline]
    fn send(&mut self, stream: usize, stamp: &Stamp) -> Result<bool, PortError> {
        let (Some(template), Some(first)) = (self.templates.get(stream), self.queues.first_mut()) else {
            return Ok(false);
        };
        Ok(first.send(stream, |frame| template.stamp(frame, stamp)))
    }

    #[inline]
    fn flush(&mut self) -> Result<(), PortError> {
        let Some(first) = self.queues.first_mut() else { return Ok(()) };
        first.flush().map_err(|source| PortError { operation: "sending", place: self.interface.clone(), source })
    }

    #[inline]
    fn receive(&mut self, deliver: &mut impl FnMut(Delivery)) -> Result<usize, PortError> {
        let mut count = 0;
        for rings in &mut self.queues {
            count += rings.receive::<RECEIVE_BATCH>(|frame, arrival| {
                let (time, clock) = match arrival {
                    Some(arrival) if arrival.source() == ArrivalSource::DRIVER_HOOK => {
                        (arrival.received_ns as i64, ArrivalClock::Driver)
                    }
                    _ => (self.clock.now(), ArrivalClock::User),
                };
                deliver(self.directory.read(frame, time, clock));
            });
        }
        Ok(count)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        // What could not leave must not wait for what may not come.
        let timeout = if self.queues.iter().any(Rings::is_kick_due) { timeout.min(KICK_AGAIN) } else { timeout };
        let mut waiting: Vec<PollFd<'_>> =
            self.queues.iter().map(|rings| PollFd::new(rings.borrow_fd(), PollFlags::POLLIN)).collect();
        match ppoll(&mut waiting, Some(TimeSpec::from_duration(timeout)), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(self.error("waiting for packets", errno.into())),
        }
    }

    fn drops(&self) -> Result<Vec<Drop>, PortError> {
        let mut drops = Vec::new();
        for (queue, rings) in self.queues.iter().enumerate() {
            let statistics = rings.statistics().map_err(|source| self.error("reading AF_XDP statistics", source))?;
            let mut add = |side, place, counter: &str, count| {
                let counter = format!("XDP_STATISTICS.{counter} of queue {queue}");
                drops.push(Drop { side, place, counter, count });
            };
            // rx_dropped counts an empty fill ring too: one loss, two counters, and this is the canonical one.
            add(Side::Receiving, "receive ring full", "rx_ring_full", statistics.rx_ring_full());
            add(Side::Receiving, "no frame to receive into", "rx_dropped", statistics.rx_dropped());
            add(Side::Sending, "invalid descriptor sent", "tx_invalid_descs", statistics.tx_invalid_descs());
            add(Side::Receiving, "invalid descriptor received", "rx_invalid_descs", statistics.rx_invalid_descs());
            drops.push(Drop {
                side: Side::Sending,
                place: "peer's ring full on sending",
                counter: format!("sendto EBUSY of queue {queue}"),
                count: rings.refused(),
            });
            drops.push(Drop {
                side: Side::Sending,
                place: "never sent: still in the transmit ring",
                counter: format!("frames in the transmit ring of queue {queue} at the end"),
                count: rings.unsent(),
            });
        }
        Ok(drops)
    }
}
