//! The same rows as in `xdp_program`, end to end on a veth pair, where the kernel is less forgiving: a frame has little room
//! at its tail, its octets may be shared, and what the program sends back must find its way through two drivers.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use etherparse::{SlicedPacket, TransportSlice};
use ipnet::IpNet;
use leadline_tests::fixed_verdict::{FixedVerdict, Verdict};
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::packet_socket::PacketSocket;
use leadline_tests::request::refused::CountedBy;
use leadline_tests::request::{
    ALLOWED, Manner, REFLECTOR_MAC, Request, SENDER_MAC, TAI_UTC_OFFSET, answered, check_reply, refused, tai_now,
};
use leadline_tests::require;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use probe_user::attach::{AttachOptions, Attachment, Host, PortGuard};
use probe_wire::shared::{Counter, PortEntry, Role};

/// How long a frame may take over a link in memory, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn every_request_gets_its_reply() {
    if !require::network_namespaces() {
        return;
    }
    let network = network();
    let sender = Sender::open(&network);
    network.reflector.enter(|| {
        let reflector = Reflector::attach();
        for row in answered::rows() {
            let begun = tai_now();
            sender.send(&row.request.write());
            let reply = sender.reply_to(&row.request);
            let reply = reply.unwrap_or_else(|| panic!("{}: no reply; {:?}", row.name, reflector.counts()));
            check_reply(&row.name, &row.request, &reply, row.number(), (begun, tai_now()));
        }
    });
}

#[test]
fn no_other_frame_gets_one() {
    if !require::network_namespaces() {
        return;
    }
    let network = network();
    let sender = Sender::open(&network);
    network.reflector.enter(|| {
        let reflector = Reflector::attach();
        for row in refused::rows() {
            let before = reflector.count(row.counted_by, row.counter);
            sender.send(&row.frame);
            let begun = Instant::now();
            while reflector.count(row.counted_by, row.counter) == before {
                assert!(begun.elapsed() < PATIENCE, "{}: {} does not grow", row.name, row.counter);
            }
        }
        // The link keeps the order, so that a reply to any of those would come before the reply to this.
        let request = Request::new(Family::V4, 44).from_port(9);
        sender.send(&request.write());
        let first = sender.any_reply().expect("a reply to the last request");
        assert_eq!(ports(&first), Some((request.destination_port, request.source_port)), "{first:02x?}");
    });
}

/// A veth pair whose ends have the rows' link addresses, and room for two VLAN tags around the longest IP packet.
fn network() -> Network {
    let network = Network::direct();
    for (namespace, interface, mac) in
        [(&network.sender, SENDER_INTERFACE, SENDER_MAC), (&network.reflector, REFLECTOR_INTERFACE, REFLECTOR_MAC)]
    {
        let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
        namespace.run(&format!("ip link set {interface} address {mac} mtu 1508"));
    }
    network
}

/// The sender's end: raw frames in and out. Without a program of its own no reply of a program would arrive.
struct Sender {
    socket: PacketSocket,
    _program: FixedVerdict,
}

impl Sender {
    fn open(network: &Network) -> Self {
        let _program = FixedVerdict::attach_in(&network.sender, SENDER_INTERFACE, Verdict::Pass);
        let open = || PacketSocket::open(nix::net::if_::if_nametoindex(SENDER_INTERFACE)?);
        Self { socket: network.sender.enter(open).expect("a packet socket"), _program }
    }

    fn send(&self, frame: &[u8]) {
        self.socket.send(frame).unwrap_or_else(|error| panic!("{} octets do not leave: {error}", frame.len()));
    }

    /// The next datagram from any reflector's port.
    fn any_reply(&self) -> Option<Vec<u8>> {
        self.next(|(from, _)| Manner::ALL.iter().any(|manner| manner.port() == from))
    }

    fn reply_to(&self, request: &Request) -> Option<Vec<u8>> {
        self.next(|ports| ports == (request.destination_port, request.source_port))
    }

    /// The next frame with such UDP ports, source first; the kernel's neighbour discovery and its like are passed over.
    fn next(&self, is_wanted: impl Fn((u16, u16)) -> bool) -> Option<Vec<u8>> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let Some(frame) = self.socket.receive_tagged().expect("the interface is up") else {
                let mut readable = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                // An interrupted wait is a short wait.
                let _ = poll(&mut readable, PollTimeout::from(100_u8));
                continue;
            };
            if ports(&frame).is_some_and(&is_wanted) {
                return Some(frame);
            }
        }
        None
    }
}

/// The UDP ports of a frame, source first, as another codec finds them.
fn ports(frame: &[u8]) -> Option<(u16, u16)> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Udp(udp) => Some((udp.source_port(), udp.destination_port())),
        _ => None,
    }
}

/// The product's program on the reflector's interface, with a port of each manner.
struct Reflector {
    _ports: Vec<PortGuard>,
    attachment: Attachment,
}

impl Reflector {
    fn attach() -> Self {
        let host = Host {
            mac: REFLECTOR_MAC,
            addresses: vec![Family::V4.reflector(), Family::V6.reflector()],
            tai_utc_offset: TAI_UTC_OFFSET,
        };
        let attachment = Attachment::open(REFLECTOR_INTERFACE, &host, &AttachOptions::default())
            .expect("a fresh interface takes the program");
        let register = |manner: Manner| {
            let entry = PortEntry {
                role: Role::REFLECT.0,
                flags: manner.flags(),
                error_estimate: manner.error_estimate(),
                ..PortEntry::default()
            };
            let port = attachment.register_port(manner.port(), &entry).expect("the port is free");
            if manner == Manner::AllowList {
                port.allow(&ALLOWED.map(prefix)).expect("the list has room");
            }
            port
        };
        Self { _ports: Manner::ALL.map(register).into(), attachment }
    }

    fn count(&self, by: CountedBy, name: &str) -> u64 {
        let counters = match by {
            CountedBy::Interface => self.attachment.interface_counters(),
            CountedBy::Port => self.attachment.counters(),
        };
        let (wanted, _, _) = Counter::ALL.iter().find(|(_, known, _)| *known == name).expect("a counter's name");
        let counters = counters.expect("counters are readable");
        counters.iter().find(|(counter, _)| counter == wanted).expect("every counter is told").1
    }

    /// Every counter that has counted, for a test that failed.
    fn counts(&self) -> Vec<(CountedBy, &'static str, u64)> {
        let each = [CountedBy::Interface, CountedBy::Port]
            .into_iter()
            .flat_map(|by| Counter::ALL.iter().map(move |(_, name, _)| (by, *name, self.count(by, name))));
        each.filter(|(_, _, count)| *count != 0).collect()
    }
}

fn prefix((network, length): (IpAddr, u8)) -> IpNet {
    IpNet::new(network, length).expect("a length within the address")
}
