//! The system calls on sockets that nix has no fitting wrapper for: many packets in one call, without allocation, and
//! with room for control messages that is whole again before each call.
#![allow(unsafe_code, reason = "sendmmsg, recvmmsg and two socket options take pointers")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use probe_wire::stamp::Stamp;

/// Packets that one call sends or receives at most.
pub(super) const BATCH: usize = 32;
/// Octets that are kept of a packet's payload: a reply without its extra octets, and to spare.
const PAYLOAD: usize = 64;
/// Octets for control messages: arrival time, TTL, Traffic Class and, in the error queue, an ICMP error.
const CONTROL: usize = 256;

/// Room for one packet that arrives.
#[derive(Clone)]
#[repr(align(8))]
pub(super) struct Incoming {
    control: [u8; CONTROL],
    payload: [u8; PAYLOAD],
    control_length: usize,
    payload_length: usize,
}

impl Incoming {
    pub(super) const EMPTY: Self =
        Self { control: [0; CONTROL], payload: [0; PAYLOAD], control_length: 0, payload_length: 0 };

    /// The payload as far as it was kept.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload[..self.payload_length.min(PAYLOAD)]
    }

    /// Octets of the whole payload.
    pub(super) const fn payload_length(&self) -> usize {
        self.payload_length
    }

    /// The control messages.
    pub(super) fn control(&self) -> &[u8] {
        &self.control[..self.control_length.min(CONTROL)]
    }
}

/// Sends packets that differ in their stamps alone, and returns how many have left: all of them, or fewer where the
/// kernel had a reason to stop, which the next call tells. `BATCH` at most are sent.
pub(super) fn send_many(socket: BorrowedFd<'_>, stamps: &[[u8; Stamp::LENGTH]], rest: &[u8]) -> io::Result<usize> {
    let count = stamps.len().min(BATCH);
    let mut parts = [MaybeUninit::<[libc::iovec; 2]>::uninit(); BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    for ((stamp, part), header) in stamps.iter().zip(&mut parts).zip(&mut headers) {
        let part = part.write([
            libc::iovec { iov_base: stamp.as_ptr().cast_mut().cast(), iov_len: stamp.len() },
            libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() },
        ]);
        header.write(message(part, &mut []));
    }
    // SAFETY: the first `count` headers were written above. They point to parts, stamps and rest, which outlive the
    // call; the kernel only reads them, and writes the length of each message into its header.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count as libc::c_uint, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives the packets that are there, `BATCH` at most, and returns how many came; with `MSG_ERRQUEUE` in `flags`,
/// errors that came back instead of them.
pub(super) fn receive_many(
    socket: BorrowedFd<'_>,
    incoming: &mut [Incoming],
    flags: libc::c_int,
) -> io::Result<usize> {
    let count = incoming.len().min(BATCH);
    let mut parts = [MaybeUninit::<[libc::iovec; 1]>::uninit(); BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    for ((packet, part), header) in incoming.iter_mut().zip(&mut parts).zip(&mut headers) {
        let part = part.write([libc::iovec { iov_base: packet.payload.as_mut_ptr().cast(), iov_len: PAYLOAD }]);
        header.write(message(part, &mut packet.control));
    }
    // MSG_TRUNC: the length of the packet rather than of what was kept.
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the first `count` headers were written above. They point to parts and to the packets' buffers, of the
    // lengths stated, which outlive the call and which nothing else uses during it.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            count as libc::c_uint,
            flags,
            std::ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for (packet, header) in incoming.iter_mut().zip(&headers[..received]) {
        // SAFETY: it is one of the headers written above.
        let header = unsafe { header.assume_init_ref() };
        packet.payload_length = header.msg_len as usize;
        packet.control_length = header.msg_hdr.msg_controllen;
    }
    Ok(received)
}

fn message(parts: &mut [libc::iovec], control: &mut [u8]) -> libc::mmsghdr {
    // SAFETY: the structure has integers and pointers only, for which all zero is valid.
    let mut header: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_hdr.msg_iov = parts.as_mut_ptr();
    header.msg_hdr.msg_iovlen = parts.len();
    header.msg_hdr.msg_control = control.as_mut_ptr().cast();
    header.msg_hdr.msg_controllen = control.len();
    header
}

/// Sets a socket option that is a number.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer is to a value of the size stated, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Packets for a socket that the kernel threw away: since its buffer was full or their checksums were wrong.
pub(super) fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut values = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the pointers are to values of the sizes stated, which outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(values[libc::SK_MEMINFO_DROPS as usize]) } else { Err(io::Error::last_os_error()) }
}
