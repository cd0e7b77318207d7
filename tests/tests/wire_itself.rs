//! The wire and the truth are held against two plain sockets before they judge anything else.
//!
//! For each script: what a person wrote down, what the truth reckons from the record, and what a plain sender saw with its
//! own eyes must be one and the same.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use leadline_tests::cases::{self, Case};
use leadline_tests::fixed_verdict::{FixedVerdict, Verdict};
use leadline_tests::frame::{Direction, STAMP_PORT};
use leadline_tests::namespace::Namespace;
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE};
use leadline_tests::plain::{Numbering, PlainReflector, PlainSender, Reply};
use leadline_tests::require;
use leadline_tests::script::{Action, Script, Select};
use leadline_tests::truth::Truth;
use leadline_tests::wire::{Record, Wire};

macro_rules! with_plain_sockets {
    ($($case:ident)*) => { $(
        #[test]
        fn $case() {
            if require::network_namespaces() {
                judge(cases::$case(), Family::V4);
            }
        }
    )* };
}

with_plain_sockets! {
    nothing forward_loss backward_loss first_forward first_backward last_ten_forward last_ten_backward last_ten_mixed
    silence_after_losses everything_forward interleaved forward_duplicate backward_duplicate triples
    swap_forward swap_backward swap_by_five late_block last_behind_sentinel late_backward delayed_in_time corrupt_backward
    corrupt_sequence losses_and_reordering duplicates_and_losses reordering_over_losses ttl_changed
}

#[test]
fn ipv6() {
    if require::network_namespaces() {
        judge(Case { name: "ipv6", ..cases::losses_and_reordering() }, Family::V6);
    }
}

/// A kernel does not hand a packet with a wrong checksum to a socket: the plain reflector never sees it.
#[test]
fn corrupted_request_is_not_answered_by_a_socket() {
    if require::network_namespaces() {
        let case = cases::corrupt_forward();
        let lost = Truth { corrupted: 0, lost: 1, lost_forward: 1, ..case.expected };
        judge(Case { expected: lost, ..case }, Family::V4);
    }
}

#[test]
fn stateless_numbers_are_copied() {
    if !require::network_namespaces() {
        return;
    }
    let case = cases::interleaved();
    let (record, replies) = run(&case, Family::V4, Numbering::Stateless);
    assert_eq!(Truth::of(&record, case.count, case.wait), case.expected);
    assert!(replies.iter().all(|reply| reply.reflector_sequence == reply.sequence));
}

/// The TTL in the reply is the one that the reflector received, so the wire's change reached it with a right header checksum.
#[test]
fn ttl_arrives_changed() {
    if !require::network_namespaces() {
        return;
    }
    let (_, replies) = run(&cases::ttl_changed(), Family::V4, Numbering::Stateful);
    assert!(replies.iter().filter(|reply| reply.sequence < 300).all(|reply| reply.session_sender_ttl == 57));
    let (_, replies) = run(&cases::nothing(), Family::V4, Numbering::Stateful);
    assert!(replies.iter().all(|reply| reply.session_sender_ttl == 64));
}

/// Preflight probes are no part of the stream: a script for the stream leaves them alone, and the truth does not count them.
#[test]
fn preflight_is_left_alone() {
    if !require::network_namespaces() {
        return;
    }
    let (network, wire, target) = set_up(Family::V4);
    let _reflector = PlainReflector::start(&network.reflector, target, Numbering::Stateful);
    wire.arm(Script::default().forward(Select::From(0), Action::Drop));
    let probes = PlainSender { count: 5, ..PlainSender::probe(target) };
    assert_eq!(probes.run(&network.sender).len(), 5);
    let record = wire.finish();
    assert_eq!(Truth::of(&record, 300, Duration::from_millis(500)), Truth::undisturbed(0));
    assert_eq!(record.passages.len(), 10);
}

/// Ping, of both IP versions and at the greatest length, and TCP pass a wire that drops every test packet.
#[test]
fn other_traffic_passes() {
    if !require::network_namespaces() {
        return;
    }
    let (network, wire, target) = set_up(Family::V4);
    wire.arm(Script::default().forward(Select::Everything, Action::Drop).backward(Select::Everything, Action::Drop));
    for family in [Family::V4, Family::V6] {
        let length = if family == Family::V4 { 1472 } else { 1452 };
        network.sender.run(&format!("ping -c 20 -i 0.01 -W 1 -s {length} -w 5 {}", family.reflector()));
        network.reflector.run(&format!("ping -c 20 -i 0.01 -W 1 -w 5 {}", family.sender()));
    }
    tcp(&network, 1 << 20);
    assert!(PlainSender::probe(target).run(&network.sender).is_empty());
    wire.finish();
}

/// At five times the rate of the tests, and with XDP at the reflector's interface, a wire without rules loses nothing.
#[test]
fn nothing_is_lost_at_speed() {
    if !require::network_namespaces() {
        return;
    }
    let (network, wire, target) = set_up(Family::V4);
    let _program = FixedVerdict::attach_in(&network.reflector, REFLECTOR_INTERFACE, Verdict::Pass);
    let _reflector = PlainReflector::start(&network.reflector, target, Numbering::Stateful);
    wire.arm(Script::default());
    let sender =
        PlainSender { count: 5000, interval: Duration::from_micros(200), ..sender_of(&cases::nothing(), target) };
    let replies = sender.run(&network.sender);
    assert_eq!(replies.len(), 5005);
    assert_eq!(Truth::of(&wire.finish(), 5000, Duration::from_millis(500)), Truth::undisturbed(5000));
}

/// Frames that an XDP program sends back where they came from do reach the wire, which a veth without a program on its
/// other side would lose. The mirror changes nothing, so packets with 862 for both ports look like requests and replies.
#[test]
fn frames_sent_back_by_xdp_arrive() {
    if !require::network_namespaces() {
        return;
    }
    let (network, wire, target) = set_up(Family::V4);
    network.sender.run(&format!("ping -c 1 -W 2 {}", target.ip()));
    let _mirror = FixedVerdict::attach_in(&network.reflector, REFLECTOR_INTERFACE, Verdict::Transmit);
    wire.arm(Script::default());
    network.sender.enter(|| {
        let socket = std::net::UdpSocket::bind((Family::V4.sender(), STAMP_PORT)).expect("the port is free");
        for _ in 0..100 {
            socket.send_to(&[0; 44], target).expect("the neighbour is known");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let record = wire.finish();
    let came = |way| record.passages.iter().filter(|passage| passage.direction == way).count();
    assert_eq!((came(Direction::Forward), came(Direction::Backward)), (100, 100));
}

/// A killed test process leaves namespaces; the next sweeps them. Here: one with the name of a process that cannot be.
#[test]
fn leftovers_are_swept() {
    if !require::network_namespaces() {
        return;
    }
    let stale = format!("ll-test-{}-0-stale", i32::MAX);
    let kept = Namespace::create("kept");
    leadline_tests::namespace::run(&format!("ip netns add {stale}"));
    leadline_tests::namespace::sweep();
    let left = leadline_tests::namespace::run("ip netns list");
    assert!(!left.contains(&stale), "{left}");
    assert!(left.contains(kept.name()), "{left}");
}

/// A transfer at full speed from the sender to the reflector.
fn tcp(network: &Network, octets: usize) {
    let address = SocketAddr::new(Family::V4.reflector(), 5001);
    let listener = network.reflector.enter(|| TcpListener::bind(address).expect("the port is free"));
    let sent = vec![0x5a; octets];
    let received = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut received = Vec::new();
            listener.accept().and_then(|(mut stream, _)| stream.read_to_end(&mut received)).expect("a transfer");
            received
        });
        let mut stream = network.sender.enter(|| TcpStream::connect(address).expect("a listener"));
        stream.write_all(&sent).expect("an open connection");
        drop(stream);
        reader.join().expect("a reader")
    });
    assert!(received == sent, "{} of {octets} octets arrived as they were sent", received.len());
}

fn judge(case: Case, family: Family) {
    let (record, replies) = run(&case, family, Numbering::Stateful);
    let truth = Truth::of(&record, case.count, case.wait);
    let max_extent = if case.extent_from_timing { truth.max_extent } else { case.expected.max_extent };
    assert_eq!(truth, Truth { max_extent, ..case.expected }, "{}: the record against the script's meaning", case.name);

    let mut exits: Vec<(usize, u32, Option<u32>)> = record
        .passages
        .iter()
        .filter(|passage| passage.direction == Direction::Backward && passage.packet.in_stream())
        .flat_map(|passage| {
            let packet = passage.packet;
            let sound = passage.exits.iter().filter(|exit| exit.sound);
            sound.map(move |exit| (exit.order, packet.sequence, packet.reflector_sequence))
        })
        .collect();
    exits.sort_unstable();
    let left: Vec<_> = exits.iter().map(|(_, sequence, reflector_sequence)| (*sequence, *reflector_sequence)).collect();
    let seen: Vec<_> = replies.iter().map(|reply| (reply.sequence, Some(reply.reflector_sequence))).collect();
    assert_eq!(left, seen, "{}: what left the wire against what the sender saw", case.name);

    assert!(replies.iter().all(|reply| reply.proper), "{}: replies of another form", case.name);
    if truth.unattributable == 0 && truth.corrupted == 0 {
        assert_eq!(
            gaps_in_reflector_numbers(&replies),
            truth.lost_backward,
            "{}: gaps in the reflector's numbers",
            case.name
        );
    }
}

/// Numbers that the reflector gave and that never came: each was a reply that died on its way.
fn gaps_in_reflector_numbers(replies: &[Reply]) -> u64 {
    let numbers: BTreeSet<u32> = replies.iter().map(|reply| reply.reflector_sequence).collect();
    numbers.last().map_or(0, |last| u64::from(*last) + 1 - numbers.len() as u64)
}

fn run(case: &Case, family: Family, numbering: Numbering) -> (Record, Vec<Reply>) {
    let (network, wire, target) = set_up(family);
    let _reflector = PlainReflector::start(&network.reflector, target, numbering);
    wire.arm(case.script.clone());
    let replies = sender_of(case, target).run(&network.sender);
    (wire.finish(), replies)
}

fn set_up(family: Family) -> (Network, Wire, SocketAddr) {
    let network = Network::scripted();
    let wire = Wire::start(&network);
    (network, wire, SocketAddr::new(family.reflector(), STAMP_PORT))
}

fn sender_of(case: &Case, target: SocketAddr) -> PlainSender {
    let interval = Duration::from_millis(1);
    PlainSender { target, ssid: 7, count: case.count, sentinels: 5, interval, wait: case.wait }
}
