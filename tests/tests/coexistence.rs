//! The interface goes on serving everybody while it measures: ping and TCP, both ways, on both interfaces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use leadline_tests::frame::STAMP_PORT;
use leadline_tests::namespace::Namespace;
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::product::{Leadline, xdp_program};
use leadline_tests::require;

/// Octets of each TCP transfer: about 20 Mbit/s for two seconds.
const TRANSFER: usize = 5 << 20;

#[test]
fn ping_and_tcp_go_on_over_ipv4() {
    others_go_on(Family::V4);
}

#[test]
fn ping_and_tcp_go_on_over_ipv6() {
    others_go_on(Family::V6);
}

fn others_go_on(family: Family) {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let target = SocketAddr::new(family.reflector(), STAMP_PORT);
    let arguments = format!("--interface {REFLECTOR_INTERFACE}");
    let _reflector = Leadline::start_reflector(&network, &arguments, target);
    let measure = format!(
        "measure {} --interface {SENDER_INTERFACE} --rate 2kpps --duration 4s --wait 1s --schedule poisson --format json",
        target.ip()
    );
    let measurement = Leadline::start(&network.sender, &measure);
    await_program(&network.sender, SENDER_INTERFACE);

    std::thread::scope(|scope| {
        scope.spawn(|| ping(&network.sender, family.reflector()));
        scope.spawn(|| ping(&network.reflector, family.sender()));
        scope.spawn(|| {
            transfer(&network.sender, &network.reflector, SocketAddr::new(family.reflector(), 5001));
        });
        scope.spawn(|| {
            transfer(&network.reflector, &network.sender, SocketAddr::new(family.sender(), 5002));
        });
    });
    assert!(
        xdp_program(&network.sender, SENDER_INTERFACE).is_some(),
        "the others were not done before the measurement was"
    );

    let outcome = measurement.finish(Duration::from_secs(20));
    let report = outcome.report();
    assert!(report["packets"]["sent"].as_u64() > Some(6_000), "{outcome}");
    for loss in ["lost", "corrupted", "late", "foreign", "duplicates", "reordered"] {
        assert_eq!(report["packets"][loss], 0, "packets.{loss}: {outcome}");
    }
    assert_eq!(report["validity"]["verdict"], "valid", "{outcome}");
}

fn await_program(namespace: &Namespace, interface: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while xdp_program(namespace, interface).is_none() {
        assert!(Instant::now() < deadline, "no XDP program came to {interface}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// 100 echoes in a second, of which none may be lost.
fn ping(from: &Namespace, to: std::net::IpAddr) {
    let output = from.run(&format!("ping -c 100 -i 0.01 -W 1 {to}"));
    assert!(output.contains(" 0% packet loss"), "{output}");
}

/// Sends octets at a steady pace and checks that they arrive as they were sent.
fn transfer(from: &Namespace, to: &Namespace, address: SocketAddr) {
    let octet = |index: usize| (index % 251) as u8;
    let listener = to.enter(|| TcpListener::bind(address).expect("the port is free"));
    std::thread::scope(|scope| {
        let received = scope.spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut octets = Vec::with_capacity(TRANSFER);
            stream.read_to_end(&mut octets).expect("the whole transfer");
            octets
        });
        let mut stream =
            from.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(3)).expect("a listener"));
        let octets: Vec<u8> = (0..TRANSFER).map(octet).collect();
        for piece in octets.chunks(TRANSFER / 200) {
            stream.write_all(piece).expect("an open connection");
            std::thread::sleep(Duration::from_millis(8));
        }
        drop(stream);
        assert!(received.join().expect("a reader") == octets, "octets changed on their way to {address}");
    });
}
