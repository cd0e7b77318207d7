//! Where packets vanish that the network did not lose, and the counter that must show it.
//!
//! One test for each place that can be reached from outside. None may pass as the network's loss: either the place is named
//! with its count and the verdict says so, or the result says that nobody can know.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leadline_tests::frame::STAMP_PORT;
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::plain::PlainSender;
use leadline_tests::product::{Leadline, Outcome};
use leadline_tests::require;
use leadline_tests::script::{Action, Script, Select};
use leadline_tests::wire::Wire;
use nix::sys::signal::Signal;
use serde_json::Value;

const FAMILY: Family = Family::V4;

/// The peer of a veth goes down: frames die on transmission, and completions come all the same.
#[test]
fn peer_down() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let _reflector = start_reflector(&network, "");
    let measurement = start_measurement(&network, "--rate 1kpps --duration 4s");
    std::thread::sleep(Duration::from_secs(2));
    network.reflector.run(&format!("ip link set {REFLECTOR_INTERFACE} down"));
    std::thread::sleep(Duration::from_millis(500));
    network.reflector.run(&format!("ip link set {REFLECTOR_INTERFACE} up"));
    let outcome = measurement.finish(Duration::from_secs(20));
    let dropped = assert_dropped_by_tester(&outcome, &["tx_dropped", "EBUSY", "ENETDOWN", "ENXIO"]);
    assert!((200..1_500).contains(&dropped), "{dropped} dropped in half a second: {outcome}");
    assert!(packets(&outcome, "received") > 2_000, "{outcome}");
}

/// The receiving process stands still while replies pour in: its rings fill, and that is not the network's loss.
#[test]
fn receive_ring_full() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::scripted();
    let wire = Wire::start(&network);
    let _reflector = start_reflector(&network, "");
    // The wire holds every reply for 1.5 s: 15,000 are under way when the process stops.
    let delay = Action::Delay(Duration::from_millis(1_500));
    wire.arm(Script::default().backward(Select::From(0), delay));
    let measurement = start_measurement(&network, "--rate 10kpps --duration 3s --wait 8s");
    await_stream(&network, 12_000);
    measurement.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(2_500));
    measurement.signal(Signal::SIGCONT);
    let outcome = measurement.finish(Duration::from_secs(40));
    wire.finish();
    assert_dropped_by_tester(&outcome, &["rx_ring_full", "rx_fill_ring_empty_descs", "rx_dropped"]);
}

/// A reflector dies: the stream stops by itself, and which way its last packets died cannot be known.
#[test]
fn reflector_killed() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::scripted();
    let wire = Wire::start(&network);
    let reflector = start_reflector(&network, "");
    wire.arm(Script::default());
    let started = Instant::now();
    let measurement = start_measurement(&network, "--rate 1kpps --duration 60s --stop-after 1s");
    std::thread::sleep(Duration::from_secs(2));
    reflector.kill();
    let outcome = measurement.finish(Duration::from_secs(20));
    assert!(started.elapsed() < Duration::from_secs(10), "the stream went on: {outcome}");
    wire.finish();
    assert!(packets(&outcome, "received") > 500, "{outcome}");
    assert!(packets(&outcome, "unattributable") > 500, "{outcome}");
    assert_eq!(packets(&outcome, "unattributable"), packets(&outcome, "lost"), "{outcome}");
    assert_eq!(verdict(&outcome), "unattributable", "{outcome}");
}

/// Replies by XDP_TX to a veth whose other side has no program are lost at the reflector, which must say so: its own
/// count of replies still goes up.
#[test]
fn peer_without_a_program() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let reflector = start_reflector(&network, "");
    let target = SocketAddr::new(FAMILY.reflector(), STAMP_PORT);
    let sender = PlainSender { count: 200, interval: Duration::from_millis(2), ..PlainSender::probe(target) };
    assert!(sender.run(&network.sender).is_empty(), "without a program at this end no reply arrives");
    let summary = reflector.interrupt();
    let said = format!("{}{}", summary.standard_output, summary.standard_error);
    assert!(said.contains("xdp_tx_errors"), "the reflector does not name what lost its replies: {summary}");
}

/// A source outside the allow-list is not answered, and the reflector counts why.
#[test]
fn source_not_allowed() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::scripted();
    let wire = Wire::start(&network);
    let elsewhere = format!("reflect --interface {REFLECTOR_INTERFACE} --allow 192.0.2.0/24");
    let reflector = Leadline::start(&network.reflector, &elsewhere);
    std::thread::sleep(Duration::from_secs(2));
    wire.arm(Script::default());
    let outcome = start_measurement(&network, "--rate 500pps --count 100 --force").finish(Duration::from_secs(20));
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    assert_eq!(packets(&outcome, "received"), 0, "{outcome}");
    wire.finish();
    let summary = reflector.interrupt();
    let said = format!("{}{}", summary.standard_output, summary.standard_error);
    let reason = said.lines().rfind(|line| line.contains("allow")).unwrap_or_default();
    assert!(
        reason.chars().any(|character| character.is_ascii_digit() && character != '0'),
        "no count of those not allowed: {summary}"
    );
}

/// Nobody has the address: neighbour resolution fails, which is said before anything is sent.
#[test]
fn address_of_nobody() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    for family in [Family::V4, Family::V6] {
        let nobody = family.address(77);
        let measure = format!("measure {nobody} --interface {SENDER_INTERFACE} --rate 1kpps --count 10 --format json");
        let outcome = Leadline::start(&network.sender, &measure).finish(Duration::from_secs(20));
        assert_eq!(outcome.status.code(), Some(1), "{outcome}");
        assert!(outcome.standard_error.contains(&nobody.to_string()), "{outcome}");
        assert!(outcome.standard_output.is_empty(), "{outcome}");
    }
}

/// Jumbo frames: measured without loss or refused in words, never lost in silence in a buffer that is too short.
#[test]
fn longer_than_a_buffer() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    for (namespace, interface) in [(&network.sender, SENDER_INTERFACE), (&network.reflector, REFLECTOR_INTERFACE)] {
        namespace.run(&format!("ip link set {interface} mtu 9000"));
    }
    let reflect = format!("reflect --interface {REFLECTOR_INTERFACE}");
    let mut reflector = Leadline::start(&network.reflector, &reflect);
    std::thread::sleep(Duration::from_secs(2));
    if reflector.has_ended() {
        let refusal = reflector.finish(Duration::from_secs(1));
        assert!(refusal.standard_error.contains("MTU"), "{refusal}");
        return;
    }
    let outcome = start_measurement(&network, "--rate 500pps --count 200 --size 8000").finish(Duration::from_secs(20));
    if outcome.standard_output.is_empty() {
        assert!(outcome.standard_error.contains("MTU") || outcome.standard_error.contains("size"), "{outcome}");
    } else {
        assert_eq!(packets(&outcome, "received"), 200, "{outcome}");
    }
}

/// Without a queue of the kernel's before the interface, a rate beyond what it carries loses frames at the veth's ring, or
/// does not: in either case the network, which loses nothing here, is not blamed.
#[test]
fn overload_is_not_the_networks_loss() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    for (namespace, interface) in [(&network.sender, SENDER_INTERFACE), (&network.reflector, REFLECTOR_INTERFACE)] {
        namespace.run(&format!("tc qdisc delete dev {interface} root"));
    }
    let _reflector = start_reflector(&network, "");
    let outcome = start_measurement(&network, "--rate 5Mpps --count 2000000").finish(Duration::from_secs(60));
    let report = outcome.report();
    assert_eq!(report["packets"]["lost_forward"].as_u64().unwrap_or(0), 0, "{outcome}");
    if packets(&outcome, "lost") > 0 {
        assert_ne!(verdict(&outcome), "valid", "{outcome}");
    }
}

fn start_reflector(network: &Network, options: &str) -> Leadline {
    let target = SocketAddr::new(FAMILY.reflector(), STAMP_PORT);
    Leadline::start_reflector(network, &format!("--interface {REFLECTOR_INTERFACE} {options}"), target)
}

fn start_measurement(network: &Network, options: &str) -> Leadline {
    let wait = if options.contains("--wait") { "" } else { "--wait 1s" };
    let target = FAMILY.reflector();
    Leadline::start(
        &network.sender,
        &format!("measure {target} --interface {SENDER_INTERFACE} {wait} --format json {options}"),
    )
}

/// Returns when the sender's interface has sent so many packets.
fn await_stream(network: &Network, packets: u64) {
    let sent = || {
        let links: Value =
            serde_json::from_str(&network.sender.run(&format!("ip -j -s link show dev {SENDER_INTERFACE}")))
                .expect("ip -j prints JSON");
        links.pointer("/0/stats64/tx/packets").and_then(Value::as_u64).expect("a count of packets sent")
    };
    let (first, deadline) = (sent(), Instant::now() + Duration::from_secs(15));
    while sent() < first + packets {
        assert!(Instant::now() < deadline, "the stream does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The tester's drops are named by one of these counters, make the result invalid, and are all the loss there is: none of
/// it is laid at the network's door. Returns how many there were.
fn assert_dropped_by_tester(outcome: &Outcome, counters: &[&str]) -> u64 {
    let report = outcome.report();
    let total = report.pointer("/tester_drops/total").and_then(Value::as_u64).unwrap_or(0);
    assert!(total > 0, "no drops of the tester's: {outcome}");
    let places = report["tester_drops"]["places"].as_array().cloned().unwrap_or_default();
    let named = |place: &Value| {
        place["counter"].as_str().is_some_and(|counter| counters.iter().any(|name| counter.contains(name)))
    };
    assert!(places.iter().any(named), "none of {counters:?} is among the places: {outcome}");
    let sum: u64 = places.iter().filter_map(|place| place["count"].as_u64()).sum();
    assert_eq!(sum, total, "the places' sum: {outcome}");
    assert_eq!(verdict(outcome), "invalid", "{outcome}");
    for way in ["lost_forward", "lost_backward"] {
        assert_eq!(
            report["packets"][way].as_u64().unwrap_or(0),
            0,
            "packets.{way}, where the network lost nothing: {outcome}"
        );
    }
    total
}

fn packets(outcome: &Outcome, name: &str) -> u64 {
    outcome.report()["packets"][name].as_u64().unwrap_or_else(|| panic!("no packets.{name}: {outcome}"))
}

fn verdict(outcome: &Outcome) -> String {
    outcome.report()["validity"]["verdict"].as_str().unwrap_or_default().to_owned()
}
