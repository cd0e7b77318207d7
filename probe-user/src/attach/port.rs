//! UDP ports: a role for the program, and a socket of ours that keeps everyone else off.
//!
//! The socket makes the port ours alone, and while it is there the kernel does not answer a late packet with an ICMP
//! "port unreachable". It is bound to the interface, so that the same port serves another interface too. What the
//! kernel delivers to it is never read.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use ipnet::IpNet;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind, getsockname, setsockopt, socket,
    sockopt,
};
use probe_wire::shared::PortEntry;

use super::processes::owners_of;
use super::{AttachError, Core};

/// A UDP port that is this process's own, with its role, as long as the value lives.
#[derive(Debug)]
pub struct PortGuard {
    core: Arc<Core>,
    port: u16,
    _socket: OwnedFd,
}

impl PortGuard {
    /// Reserves a port (0: any that is free) and gives it its role.
    pub(super) fn new(core: Arc<Core>, port: u16, entry: &PortEntry) -> Result<Self, AttachError> {
        let socket = reserve(&core.interface.name, port)?;
        let port = number_of(&socket).map_err(|error| failed(port, "ask for its number", error))?;
        let entry = PortEntry { slot: core.slot.number(), ..*entry };
        let guard = Self { core, port, _socket: socket };
        let mut maps = guard.core.maps();
        // A holder that was killed may have left an allow-list.
        maps.clear_port(port)?;
        maps.set_port(port, &entry)?;
        drop(maps);
        Ok(guard)
    }

    /// The port's number, 1 to 65,535.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes how the port's role is played, while it goes on. The slot in `entry` is filled in.
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when the interface is gone.
    pub fn change(&self, entry: &PortEntry) -> Result<(), AttachError> {
        let entry = PortEntry { slot: self.core.slot.number(), ..*entry };
        self.core.maps().set_port(self.port, &entry)
    }

    /// Lets sources of these prefixes use the port, which answers them alone if its entry has the flag
    /// [`PortEntry::ALLOW_LIST`].
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when the allow-lists of all ports together have more than
    /// [`ALLOWED`](probe_wire::shared::ALLOWED) prefixes.
    pub fn allow(&self, prefixes: &[IpNet]) -> Result<(), AttachError> {
        let mut maps = self.core.maps();
        prefixes.iter().try_for_each(|prefix| maps.allow(self.port, *prefix, self.core.slot.index()))
    }
}

impl Drop for PortGuard {
    fn drop(&mut self) {
        // If it fails, the interface is gone, and the port with it.
        let _ = self.core.maps().clear_port(self.port);
    }
}

/// A socket on every address of an interface, of both families where there are both.
fn reserve(interface: &str, port: u16) -> Result<OwnedFd, AttachError> {
    let everywhere = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    match open(interface, port, AddressFamily::Inet6, &everywhere) {
        Err(AttachError::Port { source, .. })
            if matches!(source.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
        {
            let everywhere = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
            open(interface, port, AddressFamily::Inet, &everywhere)
        }
        opened => opened,
    }
}

fn open(interface: &str, port: u16, family: AddressFamily, address: &dyn SockaddrLike) -> Result<OwnedFd, AttachError> {
    let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| failed(port, "open a socket", error))?;
    if family == AddressFamily::Inet6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false).map_err(|error| failed(port, "serve IPv4 too", error))?;
    }
    // The least that the kernel gives: what arrives is not read, and shall not take up memory.
    setsockopt(&socket, sockopt::RcvBuf, &0).map_err(|error| failed(port, "make the buffer small", error))?;
    setsockopt(&socket, sockopt::BindToDevice, &interface.into())
        .map_err(|error| failed(port, "bind to the interface", error))?;
    match bind(socket.as_raw_fd(), address) {
        Ok(()) => Ok(socket),
        Err(Errno::EADDRINUSE) => Err(AttachError::PortInUse { port, owners: owners_of(port) }),
        Err(error) => Err(failed(port, "bind", error)),
    }
}

fn number_of(socket: &OwnedFd) -> Result<u16, Errno> {
    let address = getsockname::<nix::sys::socket::SockaddrStorage>(socket.as_raw_fd())?;
    let ipv4 = address.as_sockaddr_in().map(SockaddrIn::port);
    ipv4.or_else(|| address.as_sockaddr_in6().map(SockaddrIn6::port)).ok_or(Errno::EAFNOSUPPORT)
}

fn failed(port: u16, operation: &'static str, error: Errno) -> AttachError {
    AttachError::Port { port, operation, source: io::Error::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_reserved_once() {
        let socket = reserve("lo", 0).unwrap();
        let port = number_of(&socket).unwrap();
        assert_ne!(port, 0);
        match reserve("lo", port) {
            Err(AttachError::PortInUse { port: named, owners }) => {
                assert_eq!(named, port);
                assert!(owners.iter().any(|owner| owner.number == std::process::id()), "{owners:?}");
            }
            other => panic!("{other:?}"),
        }
        drop(socket);
        reserve("lo", port).unwrap();
    }

    #[test]
    fn a_port_of_another_program_is_in_use_whatever_its_address() {
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        assert!(matches!(reserve("lo", port), Err(AttachError::PortInUse { .. })));
    }

    #[test]
    fn the_buffer_stays_small() {
        use nix::sys::socket::getsockopt;
        let socket = reserve("lo", 0).unwrap();
        assert!(getsockopt(&socket, sockopt::RcvBuf).unwrap() < 4_096);
    }
}
