//! UDP sockets, for interfaces without native XDP: the kernel makes the headers, takes the time of arrival, and its
//! whole stack is part of what is measured.
//!
//! One socket per stream, connected to the stream's reflector and bound to the interface, so that packets of others
//! never get here. What is lost by this way, beside speed: T1 is taken before the kernel's queues, T4 after them; and
//! the kernel throws replies with a wrong checksum away before anybody sees them, so that they count as lost, never as
//! corrupted. Headers are the kernel's own, but for TTL, DSCP, Don't Fragment and flow label.

mod channel;
mod control;
mod counters;
mod kernel;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use probe_wire::stamp::{Reply, Stamp};

use self::channel::Channel;
use self::control::Ancillary;
use self::kernel::{BATCH, Incoming};
use super::{ArrivalClock, Arrived, Delivery, Drop, Port, PortError, Side, StreamWire};
use crate::clock::{Clock, tai_utc_offset};

const NANOSECONDS: i64 = 1_000_000_000;
/// Streams whose sockets one call looks at.
const READY: usize = 32;
/// The kernel begins to take times of arrival a moment after the first socket asked for them.
const TIMESTAMPS_START: Duration = Duration::from_millis(10);

/// A set of UDP sockets, one for each stream.
pub struct SocketPort<C> {
    interface: String,
    channels: Vec<Channel>,
    /// Streams with packets that were taken and have not left, each once.
    waiting: Vec<usize>,
    /// Tells which sockets have something to read.
    epoll: Epoll,
    incoming: Box<[Incoming]>,
    tai_utc_offset_ns: i64,
    /// The namespace's count of UDP packets without room, when the port was opened.
    without_room_before: u64,
    unreachable: u64,
    clock: C,
}

impl<C: Clock> SocketPort<C> {
    /// Opens the sockets. A stream whose source port is zero gets one from the kernel: see
    /// [`local_port`](Self::local_port). Link addresses are not looked at: the kernel finds the next hop.
    ///
    /// `clock` gives the time of arrival of a reply where the kernel has none.
    ///
    /// # Errors
    /// There is no such interface, the source address is not this host's, the source port is in use, there is no route
    /// to the reflector by the interface, or a stream's packets are shorter than their headers and stamp.
    pub fn open(interface: &str, streams: &[StreamWire], clock: C) -> Result<Self, PortError> {
        let error = |operation, source| PortError { operation, place: interface.to_owned(), source };
        let tai_utc_offset =
            tai_utc_offset().map_err(|source| error("asking for TAI-UTC", io::Error::other(source)))?;
        let without_room_before = read_without_room()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(|errno| error("preparing to wait for packets", errno.into()))?;
        let mut channels = Vec::with_capacity(streams.len());
        for (index, wire) in streams.iter().enumerate() {
            let channel = Channel::open(interface, wire)?;
            epoll
                .add(&channel, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))
                .map_err(|errno| error("preparing to wait for packets", errno.into()))?;
            channels.push(channel);
        }
        let mut port = Self {
            interface: interface.to_owned(),
            waiting: Vec::with_capacity(channels.len()),
            channels,
            epoll,
            incoming: vec![Incoming::EMPTY; BATCH].into_boxed_slice(),
            tai_utc_offset_ns: i64::from(tai_utc_offset) * NANOSECONDS,
            without_room_before,
            unreachable: 0,
            clock,
        };
        std::thread::sleep(TIMESTAMPS_START);
        port.forget_strangers()?;
        Ok(port)
    }

    /// The UDP port that a stream's packets leave from; 0, which is no port, where there is no such stream.
    #[must_use]
    pub fn local_port(&self, stream: usize) -> u16 {
        self.channels.get(stream).map_or(0, Channel::local_port)
    }

    /// Packets that came back as "destination unreachable" by ICMP (RFC 792, RFC 4443 section 3.1), with any code;
    /// most often nobody listens at the reflector's port. Hosts limit the rate of such errors, so that it is at most
    /// the number of packets lost for this reason.
    #[must_use]
    pub const fn unreachable_count(&self) -> u64 {
        self.unreachable
    }

    /// Times that a queue on the way out threw a packet away and said so (`ENOBUFS`). Each such packet was kept and tried
    /// again, so that none of them is lost; but counters of the queue or the interface may have them as dropped.
    #[must_use]
    pub fn tried_again_count(&self) -> u64 {
        self.channels.iter().map(Channel::tried_again).sum()
    }

    /// Drops what came to a socket between bind and connect, when anybody could reach it.
    fn forget_strangers(&mut self) -> Result<(), PortError> {
        for channel in &self.channels {
            while channel.receive(&mut self.incoming)? > 0 {}
        }
        Ok(())
    }

    fn receive_from(&mut self, stream: usize, deliver: &mut impl FnMut(Delivery)) -> Result<usize, PortError> {
        let Some(channel) = self.channels.get(stream) else { return Ok(0) };
        let count = channel.receive(&mut self.incoming)?;
        let headers = channel.headers();
        for packet in &self.incoming[..count] {
            deliver(self.read(stream, headers, packet));
        }
        Ok(count)
    }

    #[inline]
    fn read(&self, stream: usize, headers: usize, packet: &Incoming) -> Delivery {
        let Some(reply) = Reply::read(packet.payload(), 0) else { return Delivery::Foreign { stream: Some(stream) } };
        let ancillary = Ancillary::read(packet.control());
        let (received_ns, clock) = match ancillary.received_utc_ns {
            Some(utc_ns) => (utc_ns + self.tai_utc_offset_ns, ArrivalClock::Kernel),
            None => (self.clock.now(), ArrivalClock::User),
        };
        Delivery::Reply(Arrived {
            stream,
            reply,
            received_ns,
            clock,
            ttl: ancillary.ttl.unwrap_or(u8::MAX),
            traffic_class: ancillary.traffic_class.unwrap_or(0),
            ip_length: u16::try_from(headers + packet.payload_length()).unwrap_or(u16::MAX),
        })
    }

    /// Counts errors that came back, so that the sockets do not stay ready for ever on their account.
    #[cold]
    fn take_errors(&mut self, stream: usize) -> Result<(), PortError> {
        let Some(channel) = self.channels.get(stream) else { return Ok(()) };
        let count = channel.receive_errors(&mut self.incoming)?;
        let errors = self.incoming[..count].iter().map(|packet| Ancillary::read(packet.control()));
        self.unreachable += errors.filter(|ancillary| ancillary.is_unreachable).count() as u64;
        Ok(())
    }

    fn error(&self, operation: &'static str, errno: Errno) -> PortError {
        PortError { operation, place: self.interface.clone(), source: errno.into() }
    }
}

impl<C: Clock> Port for SocketPort<C> {
    #[inline]
    fn send(&mut self, stream: usize, stamp: &Stamp) -> Result<bool, PortError> {
        let Some(channel) = self.channels.get_mut(stream) else { return Ok(false) };
        if channel.waiting() == 0 {
            self.waiting.push(stream);
        }
        Ok(channel.take(stamp))
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let mut index = 0;
        while let Some(&stream) = self.waiting.get(index) {
            let channel = &mut self.channels[stream];
            channel.flush()?;
            if channel.waiting() == 0 {
                self.waiting.swap_remove(index);
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    fn receive(&mut self, deliver: &mut impl FnMut(Delivery)) -> Result<usize, PortError> {
        let mut ready = [EpollEvent::empty(); READY];
        let ready_count = match self.epoll.wait(&mut ready, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(self.error("looking for packets", errno)),
        };
        let mut count = 0;
        for event in &ready[..ready_count] {
            let stream = event.data() as usize;
            if event.events().contains(EpollFlags::EPOLLERR) {
                self.take_errors(stream)?;
            }
            count += self.receive_from(stream, deliver)?;
        }
        Ok(count)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        let mut ready = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut ready, Some(TimeSpec::from(timeout)), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(self.error("waiting for packets", errno)),
        }
    }

    /// Two places. Replies that found the receive buffer full: of the sockets' drop counters, which count wrong
    /// checksums too, no more than the namespace's counters of packets without room allow. And packets that were taken
    /// for sending but have not left yet: those are lost only when no flush follows.
    ///
    /// It must be called in the network namespace in which the port was opened.
    fn drops(&self) -> Result<Vec<Drop>, PortError> {
        let mut dropped = 0;
        for channel in &self.channels {
            dropped += channel.dropped()?;
        }
        let without_room = read_without_room()?.saturating_sub(self.without_room_before);
        let waiting: usize = self.channels.iter().map(Channel::waiting).sum();
        Ok(vec![
            Drop {
                side: Side::Receiving,
                place: "socket's receive buffer full",
                counter: "SK_MEMINFO_DROPS, at most Udp RcvbufErrors and MemErrors".to_owned(),
                count: dropped.min(without_room),
            },
            Drop {
                side: Side::Sending,
                place: "never sent: no room in the kernel",
                counter: "packets kept after sendmmsg ENOBUFS or EAGAIN".to_owned(),
                count: waiting as u64,
            },
        ])
    }
}

fn read_without_room() -> Result<u64, PortError> {
    counters::without_room().map_err(|source| PortError {
        operation: "reading the kernel's UDP counters",
        place: counters::FOLDER.to_owned(),
        source,
    })
}
