//! The ways a test packet leaves and its reply arrives, behind one trait, so that the engine knows none of them.
//!
//! [`xsk`] is AF_XDP at the driver; [`socket`] is a plain UDP socket for interfaces without native XDP; [`memory`] is a
//! path within the process, for tests and benches without a kernel.

pub mod memory;
mod reading;
pub mod socket;
mod template;
pub mod xsk;

use std::io;
use std::time::Duration;

use probe_wire::address::Address;
use probe_wire::frame::{Addresses, Endpoints, TypeP};
use probe_wire::stamp::{Reply, Stamp};

pub use reading::Directory;
pub use template::Template;

/// What a port must know of a stream to send its packets and to know its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamWire {
    /// Link and IP addresses and UDP ports.
    pub endpoints: Endpoints,
    /// DSCP and TTL.
    pub type_p: TypeP,
    /// Octets of the IP packet, header included.
    pub ip_length: u16,
}

impl StreamWire {
    /// The reflector's address.
    #[must_use]
    pub fn reflector(&self) -> Address {
        match self.endpoints.addresses {
            Addresses::V4(_, destination) => Address::v4(destination),
            Addresses::V6(_, destination) => Address::v6(destination),
        }
    }
}

/// Where the time of a reply's arrival was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArrivalClock {
    /// By the eBPF program at the driver hook.
    Driver,
    /// By the kernel when the packet reached its socket.
    Kernel,
    /// By this process when it saw the packet: the time spent waiting for it is in the delay.
    User,
}

/// A reply as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Index of the stream to whose port it came.
    pub stream: usize,
    /// The reply's fields.
    pub reply: Reply,
    /// T4, TAI nanoseconds.
    pub received_ns: i64,
    /// Where T4 was taken.
    pub clock: ArrivalClock,
    /// TTL or Hop Limit on arrival; 255 where the port cannot see it.
    pub ttl: u8,
    /// Type of Service or Traffic Class on arrival; 0 where the port cannot see it.
    pub traffic_class: u8,
    /// Octets of the IP packet.
    pub ip_length: u16,
}

/// What a port hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A whole reply from the stream's reflector.
    Reply(Arrived),
    /// A packet to a stream's port from its reflector whose checksum is wrong.
    Corrupted {
        /// Index of the stream.
        stream: usize,
    },
    /// A packet to a stream's port that is no reply of its reflector.
    Foreign {
        /// Index of the stream, where the port is one.
        stream: Option<usize>,
    },
}

/// On which way a packet was when this side lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On its way out: it looks like loss forward.
    Sending,
    /// On its way in, after the reflector had answered: it looks like loss backward.
    Receiving,
}

/// Packets that this side lost, at one place, by its one canonical counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// On which way.
    pub side: Side,
    /// Where.
    pub place: &'static str,
    /// The counter that showed it.
    pub counter: String,
    /// How many.
    pub count: u64,
}

/// A failure of a port in use.
#[derive(Debug, thiserror::Error)]
#[error("{operation} on {place}")]
pub struct PortError {
    /// What was tried.
    pub operation: &'static str,
    /// On what: interface and queue, or address.
    pub place: String,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// A way for packets to leave and to arrive. Nothing here allocates or locks.
pub trait Port {
    /// Takes a packet of a stream for sending. False when there is no room now: flush, receive, and try again.
    ///
    /// # Errors
    /// The kernel refuses the packet for good.
    fn send(&mut self, stream: usize, stamp: &Stamp) -> Result<bool, PortError>;

    /// Makes the packets taken leave.
    ///
    /// # Errors
    /// The kernel refuses for good, for instance since the interface went away.
    fn flush(&mut self) -> Result<(), PortError>;

    /// Hands over what has arrived, and returns how many packets that were.
    ///
    /// # Errors
    /// The kernel refuses for good.
    fn receive(&mut self, deliver: &mut impl FnMut(Delivery)) -> Result<usize, PortError>;

    /// Sleeps until something may have arrived, at most for `timeout`.
    ///
    /// # Errors
    /// The kernel refuses for good.
    fn wait(&mut self, timeout: Duration) -> Result<(), PortError>;

    /// What this side has lost since the port was opened, as far as the port itself can see it.
    ///
    /// # Errors
    /// A counter cannot be read.
    fn drops(&self) -> Result<Vec<Drop>, PortError>;
}
