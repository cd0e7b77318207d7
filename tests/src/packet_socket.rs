//! Raw frames in and out of one interface, with the kernel's own count of those it could not hand over.
//!
//! The scripted wire is made of two of these. It must never lose a frame that the script did not name, so its receive
//! buffer is large, and [`PacketSocket::dropped`] lets a test fail should that not have sufficed. One of the rooms with
//! unsafe code in this crate: `AF_PACKET` addresses and options have no safe wrapper.
#![allow(unsafe_code)]

use std::io::{self, IoSliceMut};
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, send, setsockopt, socket, sockopt,
};

/// A non-blocking `AF_PACKET` socket that is bound to one interface and sees every frame that arrives there.
#[derive(Debug)]
pub struct PacketSocket {
    descriptor: OwnedFd,
}

impl PacketSocket {
    /// Opens one on the interface with this index in the calling thread's namespace. Frames that leave are not seen, and
    /// those sent go past the queueing discipline, straight to the driver.
    ///
    /// # Errors
    /// What the kernel said; root is needed.
    pub fn open(interface_index: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // No protocol yet: frames of other interfaces would arrive between the opening and the binding.
        let descriptor = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        setsockopt(&descriptor, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
        set_packet_option(&descriptor, libc::PACKET_IGNORE_OUTGOING)?;
        set_packet_option(&descriptor, libc::PACKET_QDISC_BYPASS)?;
        set_packet_option(&descriptor, libc::PACKET_AUXDATA)?;
        bind(&descriptor, interface_index)?;
        Ok(Self { descriptor })
    }

    /// Takes one frame into `buffer` and returns its length in octets, or `None` when none is waiting.
    ///
    /// # Errors
    /// What the kernel said, for example `ENETDOWN`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(self.descriptor.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => Ok(Some(length)),
            Err(nix::errno::Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes one frame with all its VLAN tags, or `None` when none is waiting. The kernel takes the outer tag of a frame off
    /// before sockets see it, and tells of it beside the frame; here it is put back.
    ///
    /// # Errors
    /// What the kernel said, for example `ENETDOWN`.
    pub fn receive_tagged(&self) -> io::Result<Option<Vec<u8>>> {
        let mut frame = vec![0; 1 << 16];
        let mut control = nix::cmsg_space!(libc::tpacket_auxdata);
        let mut parts = [IoSliceMut::new(&mut frame)];
        let received = recvmsg::<()>(self.descriptor.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let (length, tag) = match received {
            Ok(message) => (message.bytes, message.cmsgs()?.find_map(outer_tag)),
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        frame.truncate(length);
        if let Some(tag) = tag {
            frame.splice(12..12, tag);
        }
        Ok(Some(frame))
    }

    /// Sends one frame, Ethernet header and all.
    ///
    /// # Errors
    /// What the kernel said: `ENOBUFS` when the peer's ring was full, `EMSGSIZE` when the frame is longer than the MTU.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.descriptor.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// Frames that arrived since the last call and that the kernel dropped for want of room in this socket.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn dropped(&self) -> io::Result<u32> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` octets into a structure of that size.
        let result = unsafe {
            libc::getsockopt(
                self.descriptor.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                std::ptr::from_mut(&mut statistics).cast(),
                &raw mut length,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(statistics.tp_drops) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The tag that a `struct tpacket_auxdata` tells of, as it stood in the frame.
fn outer_tag(message: ControlMessageOwned) -> Option<[u8; 4]> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let data = message.data_bytes;
    let status = u32::from_ne_bytes(*data.first_chunk()?);
    let value = |at: usize| Some(u16::from_ne_bytes(*data.get(at..)?.first_chunk()?).to_be_bytes());
    let ([a, b], [c, d]) = (
        value(offset_of!(libc::tpacket_auxdata, tp_vlan_tpid))?,
        value(offset_of!(libc::tpacket_auxdata, tp_vlan_tci))?,
    );
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some([a, b, c, d])
}

/// Octets: room for about 20,000 small frames with the kernel's own overhead.
const RECEIVE_BUFFER: usize = 16 << 20;

fn set_packet_option(descriptor: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one integer, whose size is passed.
    let result = unsafe {
        libc::setsockopt(
            descriptor.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn bind(descriptor: &OwnedFd, interface_index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(interface_index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads one address structure, whose size is passed.
    let result = unsafe {
        libc::bind(
            descriptor.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
