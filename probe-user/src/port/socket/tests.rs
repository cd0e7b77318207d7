mod reflector;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBuf;
use probe_wire::frame::{Addresses, Endpoints, TypeP};
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use self::reflector::{REPLY_TRAFFIC_CLASS, REPLY_TTL, Reflector, Seen};
use super::*;
use crate::clock::{ManualClock, TaiClock};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const DSCP: u8 = 46;
const TTL: u8 = 200;
const SSID: u16 = 0x4c4c;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

fn wire(address: IpAddr, reflector_port: u16, ip_length: u16) -> StreamWire {
    let addresses = match address {
        IpAddr::V4(address) => Addresses::V4(address.octets(), address.octets()),
        IpAddr::V6(address) => Addresses::V6(address.octets(), address.octets()),
    };
    StreamWire {
        endpoints: Endpoints {
            source_mac: [0; 6],
            destination_mac: [0; 6],
            addresses,
            source_port: 0,
            destination_port: reflector_port,
        },
        type_p: TypeP { dscp: DSCP, ttl: TTL },
        ip_length,
    }
}

fn open(streams: &[StreamWire]) -> SocketPort<TaiClock> {
    SocketPort::open("lo", streams, TaiClock).expect("loopback has room for a socket")
}

fn stamp(sequence: u32) -> Stamp {
    Stamp {
        sequence,
        timestamp: TimestampFormat::Ptp.write(TaiClock.now() as u64, 0),
        error_estimate: ErrorEstimate::covering(1000, false, TimestampFormat::Ptp),
        ssid: SSID,
    }
}

fn send_all<C: Clock>(port: &mut SocketPort<C>, stream: usize, sequences: std::ops::Range<u32>) {
    for sequence in sequences {
        while !port.send(stream, &stamp(sequence)).expect("sending") {
            port.flush().expect("flushing");
        }
    }
    let start = Instant::now();
    while !port.waiting.is_empty() {
        assert!(start.elapsed() < PATIENCE, "packets do not leave");
        port.flush().expect("flushing");
    }
}

/// Receives until `count` packets have come or patience ends.
fn receive<C: Clock>(port: &mut SocketPort<C>, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let start = Instant::now();
    while deliveries.len() < count && start.elapsed() < PATIENCE {
        port.wait(Duration::from_millis(50)).expect("waiting");
        port.receive(&mut |delivery| deliveries.push(delivery)).expect("receiving");
    }
    deliveries
}

fn reply(delivery: &Delivery) -> Arrived {
    match delivery {
        Delivery::Reply(arrived) => *arrived,
        other => panic!("no reply but {other:?}"),
    }
}

fn lost_in_buffer<C: Clock>(port: &SocketPort<C>) -> u64 {
    port.drops().expect("the counters can be read")[0].count
}

#[test]
fn packets_leave_and_their_replies_arrive_with_all_that_is_to_know() {
    for (address, headers) in [(V4, 28), (V6, 48)] {
        let reflector = Reflector::start(address);
        let mut port = open(&[wire(address, reflector.port(), 300)]);
        let before = TaiClock.now();
        send_all(&mut port, 0, 0..100);
        let deliveries = receive(&mut port, 100);
        assert_eq!(deliveries.len(), 100, "{address}");
        for (delivery, sequence) in deliveries.iter().zip(0..) {
            let arrived = reply(delivery);
            assert_eq!((arrived.stream, arrived.reply.sender_sequence), (0, sequence));
            assert_eq!((arrived.reply.reflector.sequence, arrived.reply.reflector.ssid), (sequence, SSID));
            assert_eq!((arrived.ttl, arrived.traffic_class), (REPLY_TTL, REPLY_TRAFFIC_CLASS), "{address}");
            assert_eq!(arrived.reply.sender_ttl, TTL);
            assert_eq!(arrived.ip_length, 300);
            assert_eq!(arrived.clock, ArrivalClock::Kernel);
            assert!((before..=TaiClock.now()).contains(&arrived.received_ns));
        }
        let local_port = port.local_port(0).expect("there is a stream 0");
        let expected = Seen { source_port: local_port, ttl: TTL, traffic_class: DSCP << 2, length: 300 - headers };
        assert_eq!(reflector.stop(), vec![expected; 100], "{address}");
    }
}

#[test]
fn the_kernel_takes_the_time_of_arrival_and_not_of_reading() {
    let idle = Duration::from_millis(200);
    let reflector = Reflector::start(V4);
    // A clock that stands still: a time from it would be recognised.
    let clock = ManualClock::new(1);
    let mut port = SocketPort::open("lo", &[wire(V4, reflector.port(), 100)], &clock).expect("loopback");
    let sent = TaiClock.now();
    send_all(&mut port, 0, 0..1);
    port.wait(PATIENCE).expect("waiting");
    let readable = TaiClock.now();
    std::thread::sleep(idle);
    let arrived = reply(&receive(&mut port, 1)[0]);
    assert_eq!(arrived.clock, ArrivalClock::Kernel);
    assert!((sent..=readable).contains(&arrived.received_ns), "{sent} {} {readable}", arrived.received_ns);
}

#[test]
fn streams_have_sockets_of_their_own() {
    let reflector = Reflector::start(V6);
    let streams = [wire(V6, reflector.port(), 100), wire(V6, reflector.port(), 200)];
    let mut port = open(&streams);
    assert_ne!(port.local_port(0), port.local_port(1));
    send_all(&mut port, 1, 0..3);
    send_all(&mut port, 0, 0..2);
    let mut arrived: Vec<(usize, u16)> =
        receive(&mut port, 5).iter().map(reply).map(|arrived| (arrived.stream, arrived.ip_length)).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, [(0, 100), (0, 100), (1, 200), (1, 200), (1, 200)]);
}

#[test]
fn a_batch_has_an_end_and_waiting_has_one() {
    let reflector = Reflector::start(V4);
    let mut port = open(&[wire(V4, reflector.port(), 100)]);
    let taken = (0..100).take_while(|sequence| port.send(0, &stamp(*sequence)).expect("sending")).count();
    assert_eq!(taken, BATCH);
    assert_eq!(port.drops().expect("counters")[1].count, BATCH as u64, "they have not left");
    assert_eq!(port.receive(&mut |_| {}).expect("receiving"), 0);
    let start = Instant::now();
    port.wait(Duration::from_millis(30)).expect("waiting");
    assert!(start.elapsed() >= Duration::from_millis(30));
    port.flush().expect("flushing");
    assert_eq!(receive(&mut port, BATCH).len(), BATCH);
    assert_eq!(port.drops().expect("counters")[1].count, 0);
    assert!(!port.send(7, &stamp(0)).expect("sending"), "there is no stream 7");
}

#[test]
fn a_reflector_that_is_not_there_is_no_failure_of_the_port() {
    for address in [V4, V6] {
        let nobody = UdpSocket::bind((address, 0)).expect("loopback has a free port");
        let port_number = nobody.local_addr().expect("it is bound").port();
        drop(nobody);
        let mut port = open(&[wire(address, port_number, 100)]);
        for sequence in 0..20 {
            send_all(&mut port, 0, sequence..sequence + 1);
            assert_eq!(port.receive(&mut |_| {}).expect("receiving"), 0);
        }
        assert!(port.unreachable_count() > 0, "{address}");
        // Every error was taken away: nothing is there to wake up for.
        let start = Instant::now();
        port.wait(Duration::from_millis(30)).expect("waiting");
        assert!(start.elapsed() >= Duration::from_millis(30), "{address}");

        let reflector = Reflector::bind(address, port_number);
        send_all(&mut port, 0, 100..110);
        assert_eq!(receive(&mut port, 10).len(), 10, "{address}");
        assert_eq!(reflector.stop().len(), 10, "{address}");
    }
}

/// The two tests that need the kernel's counters to themselves.
fn counters_to_myself() -> MutexGuard<'static, ()> {
    static COUNTERS: Mutex<()> = Mutex::new(());
    COUNTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn replies_without_room_are_counted_one_by_one() {
    let _alone = counters_to_myself();
    for address in [V4, V6] {
        let reflector = Reflector::start(address);
        let mut port = open(&[wire(address, reflector.port(), 100)]);
        setsockopt(&port.channels[0], RcvBuf, &1).expect("the kernel makes it its minimum");
        send_all(&mut port, 0, 0..200);
        assert!(reflector.wait_for(200), "the reflector has room for all");
        let start = Instant::now();
        let mut received = 0;
        while received + lost_in_buffer(&port) < 200 && start.elapsed() < PATIENCE {
            received += port.receive(&mut |_| {}).expect("receiving") as u64;
        }
        assert_eq!(received + lost_in_buffer(&port), 200, "{address}");
        assert!(lost_in_buffer(&port) > 100, "{address}: {received} received");
    }
}

#[test]
fn a_wrong_checksum_is_not_our_loss() {
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket};
    use std::os::fd::AsRawFd;

    let _alone = counters_to_myself();
    let raw = match socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw) {
        Ok(raw) => raw,
        Err(errno) => {
            assert!(std::env::var_os("CI").is_none(), "a raw socket needs CAP_NET_RAW: {errno}");
            eprintln!("SKIPPED: a raw socket needs CAP_NET_RAW: {errno}");
            return;
        }
    };
    let reflector = Reflector::start(V4);
    let mut port = open(&[wire(V4, reflector.port(), 100)]);
    let to = port.local_port(0).expect("there is a stream 0");
    for (checksum_error, expected) in [(0, 1), (1, 0)] {
        let mut endpoints = wire(V4, reflector.port(), 100).endpoints;
        (endpoints.source_port, endpoints.destination_port) = (reflector.port(), to);
        let mut frame = [0; 14 + 20 + 8 + 44];
        let payload = probe_wire::frame::write_headers(&mut frame, &endpoints, TypeP { dscp: 0, ttl: 64 });
        frame[payload.expect("the frame has room") - 1] ^= checksum_error;
        let address = SockaddrIn::new(127, 0, 0, 1, 0);
        sendto(raw.as_raw_fd(), &frame[14..], &address, MsgFlags::empty()).expect("loopback takes it");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(port.receive(&mut |_| {}).expect("receiving"), expected, "error {checksum_error}");
    }
    assert_eq!(port.channels[0].dropped().expect("counter"), 1, "the kernel did throw it away");
    assert_eq!(lost_in_buffer(&port), 0);
}

#[test]
fn strangers_are_not_heard_and_nonsense_of_the_reflector_is_foreign() {
    let nonsense = UdpSocket::bind((V4, 0)).expect("loopback has a free port");
    let reflector_port = nonsense.local_addr().expect("it is bound").port();
    let mut port = open(&[wire(V4, reflector_port, 100)]);
    let to = (V4, port.local_port(0).expect("there is a stream 0"));
    UdpSocket::bind((V4, 0)).and_then(|stranger| stranger.send_to(&[0; 44], to)).expect("loopback takes it");
    nonsense.send_to(&[0; 40], to).expect("loopback takes it");
    assert_eq!(receive(&mut port, 1), [Delivery::Foreign { stream: Some(0) }]);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(port.receive(&mut |_| {}).expect("receiving"), 0);
}

#[test]
fn what_cannot_be_opened_says_what_was_tried_and_where() {
    let error = |interface, wire| match SocketPort::open(interface, &[wire], TaiClock) {
        Ok(_) => panic!("{wire:?} was opened on {interface}"),
        Err(error) => error,
    };
    let good = wire(V4, 862, 100);

    let unknown = error("no-such-if", good);
    assert_eq!(unknown.operation, "binding a UDP socket to the interface");
    assert_eq!(unknown.source.raw_os_error(), Some(libc::ENODEV));
    assert_eq!(unknown.place, "no-such-if, from 127.0.0.1:0 to 127.0.0.1:862");

    let taken = UdpSocket::bind((V4, 0)).expect("loopback has a free port");
    let mut wire = good;
    wire.endpoints.source_port = taken.local_addr().expect("it is bound").port();
    let in_use = error("lo", wire);
    assert_eq!(in_use.operation, "binding a UDP socket to the stream's source");
    assert_eq!(in_use.source.raw_os_error(), Some(libc::EADDRINUSE));

    let mut wire = good;
    wire.endpoints.addresses = Addresses::V4([192, 0, 2, 1], [127, 0, 0, 1]);
    assert_eq!(error("lo", wire).source.raw_os_error(), Some(libc::EADDRNOTAVAIL));

    let short = StreamWire { ip_length: 43, ..good };
    assert_eq!(error("lo", short).operation, "preparing the stream's packets");
    assert!(SocketPort::open("lo", &[StreamWire { ip_length: 44, ..good }], TaiClock).is_ok());
}
