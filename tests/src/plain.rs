//! A second STAMP, by the RFC and with sockets only: a reflector and a sender that share nothing with the product.
//!
//! The two prove the wire and the truth before the product is asked anything; and each is a foreign end for the product,
//! as any vendor's would be.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt};

use crate::namespace::{Namespace, enter_by_name};

/// Octets of an unauthenticated test packet (RFC 8762, section 4.2.1).
const PACKET: usize = 44;
/// An unsynchronised clock, NTP format, scale 0, multiplier 1 (RFC 4656, section 4.1.2: the multiplier is never 0).
const ERROR_ESTIMATE: [u8; 2] = [0x00, 0x01];

/// How a reflector numbers its replies (RFC 8762, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// A counter of its own for each session.
    Stateful,
    /// The sender's number, copied.
    Stateless,
}

/// A Session-Reflector on a UDP socket, in a thread of its own. Ends on drop.
#[derive(Debug)]
pub struct PlainReflector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PlainReflector {
    /// Answers at this address and port in the namespace.
    ///
    /// # Panics
    /// When the address cannot be bound.
    pub fn start(namespace: &Namespace, address: SocketAddr, numbering: Numbering) -> Self {
        let name = namespace.name().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let socket = namespace
            .enter(|| UdpSocket::bind(address).unwrap_or_else(|error| panic!("cannot bind {address}: {error}")));
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout above zero");
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvTtl, &true).expect("IP_RECVTTL");
        }
        let reflect = move || {
            enter_by_name(&name);
            let mut sessions = HashMap::new();
            while !stopped.load(Ordering::Relaxed) {
                answer_one(&socket, numbering, &mut sessions);
            }
        };
        let thread = std::thread::Builder::new().name("plain reflector".into()).spawn(reflect).expect("a thread");
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for PlainReflector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The next number of each session: the sender's address, port and SSID.
type Sessions = HashMap<(SocketAddr, u16), u32>;

fn answer_one(socket: &UdpSocket, numbering: Numbering, sessions: &mut Sessions) {
    let mut request = [0; 2048];
    let mut control = nix::cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(&mut request)];
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
    let Ok(message) = received else { return };
    let receive_time = ntp_now();
    let ttl = message.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::Ipv4Ttl(ttl) => u8::try_from(ttl).ok(),
            _ => None,
        })
    });
    let (length, Some(address)) = (message.bytes, message.address) else {
        return;
    };
    if length < PACKET {
        return;
    }
    let Some(peer) = socket_address(&address) else {
        return;
    };
    let request = &request[..length];
    let number: [u8; 4] = match numbering {
        Numbering::Stateless => request[..4].try_into().expect("four octets"),
        Numbering::Stateful => {
            let ssid = u16::from_be_bytes([request[14], request[15]]);
            let next = sessions.entry((peer, ssid)).or_insert(0);
            let number = *next;
            *next = next.wrapping_add(1);
            number.to_be_bytes()
        }
    };
    let mut reply = request.to_vec();
    reply[..PACKET].fill(0);
    reply[0..4].copy_from_slice(&number);
    reply[12..14].copy_from_slice(&ERROR_ESTIMATE);
    reply[14..16].copy_from_slice(&request[14..16]);
    reply[16..24].copy_from_slice(&receive_time);
    reply[24..38].copy_from_slice(&request[0..14]);
    // Where the received value cannot be had, 255 (RFC 8762, section 4.3.1).
    reply[40] = ttl.unwrap_or(255);
    reply[4..12].copy_from_slice(&ntp_now());
    let _ = sendmsg(socket.as_raw_fd(), &[IoSlice::new(&reply)], &[], MsgFlags::empty(), Some(&address));
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::new(IpAddr::V6(v6.ip()), v6.port())))
}

/// A Session-Sender on a UDP socket.
#[derive(Debug, Clone, Copy)]
pub struct PlainSender {
    /// Where the reflector is.
    pub target: SocketAddr,
    /// The session's identifier (RFC 8972, section 3).
    pub ssid: u16,
    /// Packets of the stream.
    pub count: u32,
    /// Packets after the stream's last, with the sequence numbers that follow.
    pub sentinels: u32,
    /// From one packet to the next.
    pub interval: Duration,
    /// How long to listen after the last packet.
    pub wait: Duration,
}

/// One reply, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The sender's sequence number.
    pub sequence: u32,
    /// The reflector's.
    pub reflector_sequence: u32,
    /// The TTL that the reflector received.
    pub session_sender_ttl: u8,
    /// Octets of UDP payload.
    pub length: usize,
    /// T1 as the reflector returned it, T2 and T3: NTP 32.32 fixed point, as on the wire.
    pub times: [u64; 3],
    /// Whether it is of this session: SSID and MBZ as they must be.
    pub proper: bool,
}

impl PlainSender {
    /// One packet, to see whether somebody answers within 100 ms.
    pub fn probe(target: SocketAddr) -> Self {
        let wait = Duration::from_millis(100);
        Self { target, ssid: 0x9000, count: 1, sentinels: 0, interval: Duration::ZERO, wait }
    }

    /// Sends the stream from the namespace and returns the replies in order of arrival, duplicates and sentinels included.
    ///
    /// # Panics
    /// When no socket can be had, or when sending fails for a reason other than a passing one.
    pub fn run(&self, namespace: &Namespace) -> Vec<Reply> {
        namespace.enter(|| self.run_here())
    }

    fn run_here(&self) -> Vec<Reply> {
        let any: SocketAddr = if self.target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("an address");
        let socket = UdpSocket::bind(any).expect("a socket");
        let mut replies = Vec::new();
        let begun = Instant::now();
        for sequence in 0..self.count + self.sentinels {
            self.listen_until(&socket, begun + self.interval * sequence, &mut replies);
            let mut packet = [0; PACKET];
            packet[0..4].copy_from_slice(&sequence.to_be_bytes());
            packet[12..14].copy_from_slice(&ERROR_ESTIMATE);
            packet[14..16].copy_from_slice(&self.ssid.to_be_bytes());
            packet[4..12].copy_from_slice(&ntp_now());
            // A refusal by ICMP shows on the next call: not this packet's fault.
            let _ = socket.send_to(&packet, self.target);
        }
        self.listen_until(&socket, Instant::now() + self.wait, &mut replies);
        replies
    }

    fn listen_until(&self, socket: &UdpSocket, until: Instant, replies: &mut Vec<Reply>) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            socket.set_read_timeout(Some(left)).expect("a timeout above zero");
            let mut payload = [0; 2048];
            if let Ok(length) = socket.recv(&mut payload)
                && length >= PACKET
            {
                replies.push(self.read(&payload[..length]));
            }
        }
    }

    fn read(&self, payload: &[u8]) -> Reply {
        let be32 = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four octets"));
        let be64 = |at: usize| u64::from_be_bytes(payload[at..at + 8].try_into().expect("eight octets"));
        let returned_ssid = u16::from_be_bytes([payload[14], payload[15]]);
        Reply {
            sequence: be32(24),
            reflector_sequence: be32(0),
            session_sender_ttl: payload[40],
            length: payload.len(),
            times: [be64(28), be64(16), be64(4)],
            proper: returned_ssid == self.ssid && payload[38..40] == [0; 2] && payload[41..44] == [0; 3],
        }
    }
}

/// Now in NTP format: seconds since 1900 and a fraction of 2^32 (RFC 5905, section 6).
fn ntp_now() -> [u8; 8] {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let seconds = since_1970.as_secs() + 2_208_988_800;
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    ((seconds << 32) | fraction).to_be_bytes()
}
