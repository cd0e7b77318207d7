//! One stream's socket: set up so that its packets look as AF_XDP would send them, and a batch of stamps on its way.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::sockopt::{
    BindToDevice, IpRecvTos, Ipv4RecvErr, Ipv4RecvTtl, Ipv4Tos, Ipv4Ttl, Ipv6RecvErr, Ipv6RecvHopLimit,
    Ipv6RecvTClass, Ipv6TClass, Ipv6Ttl, Ipv6V6Only, RcvBuf, RcvBufForce, Timestamping,
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, TimestampingFlag, bind, connect,
    getsockname, setsockopt, socket,
};
use probe_wire::classify::Version;
use probe_wire::frame::{Addresses, TypeP, UDP};
use probe_wire::stamp::Stamp;

use super::kernel::{self, BATCH, Incoming};
use crate::port::{PortError, StreamWire};

/// Octets that the kernel may keep for one stream until they are read; it counts some 800 for a short packet.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Errors in a row after which the kernel is taken at its word. The first few may be the network's answers to earlier
/// packets, each of which the kernel tells once.
const PATIENCE: usize = 8;

/// A stream's socket and the packets that wait to leave by it.
pub(super) struct Channel {
    socket: OwnedFd,
    local_port: u16,
    /// What stands in errors for the place: both ends and the interface.
    place: String,
    /// Octets of IP and UDP header.
    headers: usize,
    taken: Vec<[u8; Stamp::LENGTH]>,
    /// The payload behind the stamp: zeros.
    rest: Box<[u8]>,
}

impl Channel {
    /// Opens the socket of a stream on an interface.
    pub(super) fn open(interface: &str, wire: &StreamWire) -> Result<Self, PortError> {
        let (local, reflector) = ends(interface, wire);
        let place = format!("{interface}, from {local} to {reflector}");
        let error = |operation, source| PortError { operation, place: place.clone(), source };
        let version = wire.endpoints.addresses.version();
        let headers = version.header_length() + UDP;
        let rest = usize::from(wire.ip_length).checked_sub(headers + Stamp::LENGTH).ok_or_else(|| {
            error("preparing the stream's packets", io::Error::other("they are shorter than their headers and stamp"))
        })?;

        let family = match version {
            Version::V4 => AddressFamily::Inet,
            Version::V6 => AddressFamily::Inet6,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Datagram, flags, None)
            .map_err(|errno| error("opening a UDP socket", errno.into()))?;
        shape_packets(&socket, version, wire.type_p)
            .map_err(|source| error("setting TTL, DSCP and Don't Fragment", source))?;
        ask_for_details(&socket, version).map_err(|source| error("asking for times, TTL and DSCP of replies", source))?;
        make_room(&socket).map_err(|source| error("sizing the receive buffer", source))?;
        setsockopt(&socket, BindToDevice, &OsString::from(interface))
            .map_err(|errno| error("binding a UDP socket to the interface", errno.into()))?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(local))
            .map_err(|errno| error("binding a UDP socket to the stream's source", errno.into()))?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(reflector))
            .map_err(|errno| error("connecting a UDP socket to the reflector", errno.into()))?;
        let local_port =
            local_port(&socket, version).map_err(|source| error("asking for the stream's source port", source))?;
        Ok(Self {
            socket,
            local_port,
            place,
            headers,
            taken: Vec::with_capacity(BATCH),
            rest: vec![0; rest].into_boxed_slice(),
        })
    }

    /// The UDP port that the packets leave from.
    pub(super) const fn local_port(&self) -> u16 {
        self.local_port
    }

    /// Octets of IP and UDP header.
    pub(super) const fn headers(&self) -> usize {
        self.headers
    }

    /// Packets taken that have not left.
    pub(super) fn waiting(&self) -> usize {
        self.taken.len()
    }

    /// Takes a packet for the next flush. False when the batch is full.
    #[inline]
    pub(super) fn take(&mut self, stamp: &Stamp) -> bool {
        if self.taken.len() >= BATCH {
            return false;
        }
        self.taken.push(stamp.write());
        true
    }

    /// Sends what was taken. What the kernel has no room for stays, and leaves with a later flush.
    pub(super) fn flush(&mut self) -> Result<(), PortError> {
        let mut errors = 0;
        while !self.taken.is_empty() {
            match kernel::send_many(self.socket.as_fd(), &self.taken, &self.rest) {
                Ok(sent) => {
                    self.taken.drain(..sent);
                    errors = 0;
                }
                Err(error) => match error.raw_os_error() {
                    // The socket's buffer or the queue behind it is full. The packet has not left in either case:
                    // ENOBUFS comes only because IP_RECVERR is set, without it the packet would be lost in silence.
                    Some(libc::EAGAIN | libc::ENOBUFS) => return Ok(()),
                    _ if errors < PATIENCE => errors += 1,
                    _ => return Err(self.error("sending", error)),
                },
            }
        }
        Ok(())
    }

    /// Receives replies that are there, and returns how many.
    pub(super) fn receive(&self, incoming: &mut [Incoming]) -> Result<usize, PortError> {
        let mut errors = 0;
        loop {
            match kernel::receive_many(self.socket.as_fd(), incoming, 0) {
                Ok(count) => return Ok(count),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(0),
                    _ if errors < PATIENCE => errors += 1,
                    _ => return Err(self.error("receiving", error)),
                },
            }
        }
    }

    /// Takes packets of ours that came back with an error out of the socket's error queue, and returns how many.
    pub(super) fn receive_errors(&self, incoming: &mut [Incoming]) -> Result<usize, PortError> {
        match kernel::receive_many(self.socket.as_fd(), incoming, libc::MSG_ERRQUEUE) {
            Ok(count) => Ok(count),
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(0),
            Err(error) => Err(self.error("reading ICMP errors", error)),
        }
    }

    /// Packets for this socket that the kernel threw away: since its buffer was full or their checksums were wrong.
    pub(super) fn dropped(&self) -> Result<u64, PortError> {
        let dropped = kernel::dropped(self.socket.as_fd());
        dropped.map(u64::from).map_err(|source| self.error("reading the socket's drop counter", source))
    }

    fn error(&self, operation: &'static str, source: io::Error) -> PortError {
        PortError { operation, place: self.place.clone(), source }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The two ends of a stream. A link-local address means something only together with its interface.
fn ends(interface: &str, wire: &StreamWire) -> (SocketAddr, SocketAddr) {
    let (source_port, destination_port) = (wire.endpoints.source_port, wire.endpoints.destination_port);
    match wire.endpoints.addresses {
        Addresses::V4(source, destination) => (
            SocketAddrV4::new(Ipv4Addr::from(source), source_port).into(),
            SocketAddrV4::new(Ipv4Addr::from(destination), destination_port).into(),
        ),
        Addresses::V6(source, destination) => {
            let index = nix::net::if_::if_nametoindex(interface).unwrap_or(0);
            let end = |address: [u8; 16], port| {
                let address = Ipv6Addr::from(address);
                let scope = if address.is_unicast_link_local() { index } else { 0 };
                SocketAddrV6::new(address, port, 0, scope).into()
            };
            (end(source, source_port), end(destination, destination_port))
        }
    }
}

/// Makes packets leave with the stream's TTL and DSCP, whole, and with flow label zero.
fn shape_packets(socket: &OwnedFd, version: Version, type_p: TypeP) -> io::Result<()> {
    let (ttl, traffic_class) = (i32::from(type_p.ttl), i32::from(type_p.dscp << 2));
    match version {
        Version::V4 => {
            setsockopt(socket, Ipv4Ttl, &ttl)?;
            setsockopt(socket, Ipv4Tos, &traffic_class)?;
            kernel::set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
        }
        Version::V6 => {
            setsockopt(socket, Ipv6V6Only, &true)?;
            setsockopt(socket, Ipv6Ttl, &ttl)?;
            setsockopt(socket, Ipv6TClass, &traffic_class)?;
            kernel::set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_AUTOFLOWLABEL, 0)?;
            kernel::set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
        }
    }
}

/// Asks the kernel to say of each reply when it came and with which TTL and Traffic Class, and to keep errors.
///
/// The time is asked for as `SO_TIMESTAMPING`: `SO_TIMESTAMPNS` would give the time of reading, and not say so, for a
/// packet that came before the kernel had begun to take times.
fn ask_for_details(socket: &OwnedFd, version: Version) -> io::Result<()> {
    let times = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    setsockopt(socket, Timestamping, &times)?;
    match version {
        Version::V4 => {
            setsockopt(socket, Ipv4RecvTtl, &true)?;
            setsockopt(socket, IpRecvTos, &true)?;
            setsockopt(socket, Ipv4RecvErr, &true)?;
        }
        Version::V6 => {
            setsockopt(socket, Ipv6RecvHopLimit, &true)?;
            setsockopt(socket, Ipv6RecvTClass, &true)?;
            setsockopt(socket, Ipv6RecvErr, &true)?;
        }
    }
    Ok(())
}

/// Makes the receive buffer large: as large as we like with CAP_NET_ADMIN, as large as the administrator allows without.
fn make_room(socket: &OwnedFd) -> io::Result<()> {
    setsockopt(socket, RcvBufForce, &RECEIVE_BUFFER).or_else(|_| setsockopt(socket, RcvBuf, &RECEIVE_BUFFER))?;
    Ok(())
}

fn local_port(socket: &OwnedFd, version: Version) -> io::Result<u16> {
    Ok(match version {
        Version::V4 => getsockname::<SockaddrIn>(socket.as_raw_fd())?.port(),
        Version::V6 => getsockname::<SockaddrIn6>(socket.as_raw_fd())?.port(),
    })
}
