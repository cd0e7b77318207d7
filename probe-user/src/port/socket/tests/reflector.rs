//! A plain STAMP Session-Reflector by the figure of RFC 8762 section 4.3.1, on a UDP socket and without Leadline's own
//! packet code.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::sys::socket::sockopt::{
    IpRecvTos, Ipv4RecvTtl, Ipv4Tos, Ipv4Ttl, Ipv6RecvHopLimit, Ipv6RecvTClass, Ipv6TClass, Ipv6Ttl, RcvBuf,
};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt};

/// TTL or Hop Limit of every reply.
pub(super) const REPLY_TTL: u8 = 77;
/// Type of Service or Traffic Class of every reply: DSCP 10, no ECN.
pub(super) const REPLY_TRAFFIC_CLASS: u8 = 10 << 2;

/// A request as it reached the reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) source_port: u16,
    pub(super) ttl: u8,
    pub(super) traffic_class: u8,
    /// Octets of UDP payload.
    pub(super) length: usize,
}

pub(super) struct Reflector {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reflector {
    /// Starts on a port of the kernel's choice.
    pub(super) fn start(address: IpAddr) -> Self {
        Self::bind(address, 0)
    }

    pub(super) fn bind(address: IpAddr, port: u16) -> Self {
        let socket = UdpSocket::bind((address, port)).expect("the port is free");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a read can end");
        setsockopt(&socket, RcvBuf, &(1 << 20)).expect("a receive buffer");
        if address.is_ipv4() {
            setsockopt(&socket, Ipv4RecvTtl, &true).expect("IP_RECVTTL");
            setsockopt(&socket, IpRecvTos, &true).expect("IP_RECVTOS");
            setsockopt(&socket, Ipv4Ttl, &i32::from(REPLY_TTL)).expect("IP_TTL");
            setsockopt(&socket, Ipv4Tos, &i32::from(REPLY_TRAFFIC_CLASS)).expect("IP_TOS");
        } else {
            setsockopt(&socket, Ipv6RecvHopLimit, &true).expect("IPV6_RECVHOPLIMIT");
            setsockopt(&socket, Ipv6RecvTClass, &true).expect("IPV6_RECVTCLASS");
            setsockopt(&socket, Ipv6Ttl, &i32::from(REPLY_TTL)).expect("IPV6_UNICAST_HOPS");
            setsockopt(&socket, Ipv6TClass, &i32::from(REPLY_TRAFFIC_CLASS)).expect("IPV6_TCLASS");
        }
        let address = socket.local_addr().expect("it is bound");
        let (seen, is_stopped) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicBool>::default());
        let thread = std::thread::spawn({
            let (seen, is_stopped) = (Arc::clone(&seen), Arc::clone(&is_stopped));
            move || {
                for sequence in 0.. {
                    let Some(request) = answer(&socket, sequence, &is_stopped) else { return };
                    seen.lock().expect("nobody panics with the lock").push(request);
                }
            }
        });
        Self { address, seen, is_stopped, thread: Some(thread) }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits until so many requests have been answered; false when that does not happen in ten seconds.
    pub(super) fn wait_for(&self, count: usize) -> bool {
        let start = Instant::now();
        while self.seen.lock().expect("nobody panics with the lock").len() < count {
            if start.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Ends, and tells what it saw.
    pub(super) fn stop(self) -> Vec<Seen> {
        let seen = Arc::clone(&self.seen);
        drop(self);
        seen.lock().expect("nobody panics with the lock").clone()
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for a request and answers it; `None` when told to stop.
fn answer(socket: &UdpSocket, sequence: u32, is_stopped: &AtomicBool) -> Option<Seen> {
    let mut payload = [0; 2048];
    let (mut ttl, mut traffic_class) = (0, 0);
    let (length, sender) = loop {
        let mut control = cmsg_space!([i32; 2]);
        let mut parts = [IoSliceMut::new(&mut payload)];
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let Ok(received) = received else {
            if is_stopped.load(Ordering::Relaxed) {
                return None;
            }
            continue;
        };
        for message in received.cmsgs().expect("there is room for them") {
            match message {
                ControlMessageOwned::Ipv4Ttl(value) | ControlMessageOwned::Ipv6HopLimit(value) => ttl = value as u8,
                ControlMessageOwned::Ipv4Tos(value) => traffic_class = value,
                ControlMessageOwned::Ipv6TClass(value) => traffic_class = value as u8,
                other => panic!("not asked for: {other:?}"),
            }
        }
        break (received.bytes, received.address.expect("UDP has a sender"));
    };
    let mut reply = payload;
    reply[..44].fill(0);
    reply[..4].copy_from_slice(&sequence.to_be_bytes());
    // Timestamps and error estimate may be anything here; the SSID is the request's.
    reply[4..14].fill(0x55);
    reply[14..16].copy_from_slice(&payload[14..16]);
    reply[16..24].fill(0x66);
    reply[24..38].copy_from_slice(&payload[..14]);
    reply[40] = ttl;
    let source_port = sender
        .as_sockaddr_in()
        .map(nix::sys::socket::SockaddrIn::port)
        .or(sender.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port))
        .expect("an IP address");
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(&reply[..length])], &[], MsgFlags::empty(), Some(&sender))
        .expect("loopback takes it");
    Some(Seen { source_port, ttl, traffic_class, length })
}
