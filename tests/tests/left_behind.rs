//! Whoever is killed leaves nothing, and whoever shares an interface with it goes on.
//!
//! What could be left is looked for where the kernel keeps it: programs and maps by their ids, the XDP field of the
//! interfaces, the sockets and settings of the namespaces, the pins of the BPF file system.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leadline_tests::namespace::Namespace;
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::plain::PlainSender;
use leadline_tests::product::{Leadline, Outcome, xdp_program};
use leadline_tests::require;

const FAMILY: Family = Family::V4;

#[test]
fn killed_reflector_leaves_nothing() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let before = Traces::of(&network);
    let reflector = start_reflector(&network, 862);
    assert!(xdp_program(&network.reflector, REFLECTOR_INTERFACE).is_some());
    assert!(Traces::of(&network).kernel_objects_beyond(&before) > 0, "the search finds nothing of a running reflector");
    reflector.kill();
    assert_nothing_left(&network, &before);

    start_reflector(&network, 862).interrupt();
    assert_same_settings(&network, &before);
    assert_nothing_left(&network, &before);
}

#[test]
fn killed_measurement_leaves_nothing() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let _reflector = start_reflector(&network, 862);
    let before = Traces::of(&network);
    let measurement = start_measurement(&network.sender, SENDER_INTERFACE, FAMILY.reflector(), "30s");
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        Traces::of(&network).kernel_objects_beyond(&before) > 0,
        "the search finds nothing of a running measurement"
    );
    measurement.kill();
    assert_nothing_left(&network, &before);

    // The next one finds queue, port and program free, and puts back what the killed one had changed.
    let next = start_measurement(&network.sender, SENDER_INTERFACE, FAMILY.reflector(), "500ms");
    assert_lossless(&next.finish(Duration::from_secs(20)), 400);
    assert_nothing_left(&network, &before);
    assert_same_settings(&network, &before);
}

#[test]
fn interrupted_measurement_reports_and_leaves_nothing() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let _reflector = start_reflector(&network, 862);
    let before = Traces::of(&network);
    let measurement = start_measurement(&network.sender, SENDER_INTERFACE, FAMILY.reflector(), "30s");
    std::thread::sleep(Duration::from_secs(2));
    let outcome = measurement.interrupt();
    assert!(outcome.status.success(), "{outcome}");
    assert_lossless(&outcome, 100);
    assert!(outcome.report()["packets"]["sent"].as_u64() < Some(5_000), "{outcome}");
    assert_nothing_left(&network, &before);
    assert_same_settings(&network, &before);
}

/// Two reflectors and a measurement on one interface; the one that came first, and attached the program, is killed.
#[test]
fn others_survive_the_first() {
    if require::network_namespaces() {
        sharing_survives(Victim::First);
    }
}

/// The same; the one that joined is killed.
#[test]
fn others_survive_the_second() {
    if require::network_namespaces() {
        sharing_survives(Victim::Second);
    }
}

/// A killed measurement takes nothing from the reflector on its interface.
#[test]
fn reflector_survives_a_measurement_beside_it() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let _far = start_far_reflector(&network);
    let _near = start_reflector(&network, 863);
    let measurement = start_measurement(&network.reflector, REFLECTOR_INTERFACE, FAMILY.sender(), "30s");
    std::thread::sleep(Duration::from_secs(1));
    measurement.kill();
    assert_answers(&network, 863);
}

/// Killed between attaching and detaching, again and again, at moments that no one chose with care.
#[test]
fn killed_at_any_moment() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let before = Traces::of(&network);
    for delay in [1, 5, 10, 20, 40, 80, 160, 320] {
        let reflector = Leadline::start(&network.reflector, &format!("reflect --interface {REFLECTOR_INTERFACE}"));
        std::thread::sleep(Duration::from_millis(delay));
        reflector.kill();
    }
    assert_nothing_left(&network, &before);
    start_reflector(&network, 862).interrupt();
    assert_nothing_left(&network, &before);
    assert_same_settings(&network, &before);
}

#[derive(PartialEq, Eq)]
enum Victim {
    First,
    Second,
}

fn sharing_survives(victim: Victim) {
    let network = Network::direct();
    let far = start_far_reflector(&network);
    let first = start_reflector(&network, 862);
    let program = xdp_program(&network.reflector, REFLECTOR_INTERFACE);
    let second = start_reflector(&network, 863);
    let measurement = start_measurement(&network.reflector, REFLECTOR_INTERFACE, FAMILY.sender(), "3s");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(xdp_program(&network.reflector, REFLECTOR_INTERFACE), program, "those who join share the program");
    assert_answers(&network, 862);
    assert_answers(&network, 863);

    let (killed, survivor, port) = if victim == Victim::First { (first, second, 863) } else { (second, first, 862) };
    killed.kill();
    assert_answers(&network, port);
    assert_eq!(xdp_program(&network.reflector, REFLECTOR_INTERFACE), program);
    assert_lossless(&measurement.finish(Duration::from_secs(20)), 2_500);
    assert_answers(&network, port);
    assert!(
        PlainSender::probe(target(if port == 862 { 863 } else { 862 })).run(&network.sender).is_empty(),
        "a dead reflector answers"
    );
    survivor.kill();
    far.kill();
    eventually("the program goes with its last holder", || {
        xdp_program(&network.reflector, REFLECTOR_INTERFACE).is_none()
    });
}

fn target(port: u16) -> SocketAddr {
    SocketAddr::new(FAMILY.reflector(), port)
}

fn start_reflector(network: &Network, port: u16) -> Leadline {
    Leadline::start_reflector(network, &format!("--interface {REFLECTOR_INTERFACE} --port {port}"), target(port))
}

/// A reflector at the sender's end. It also gives the sender's interface the program that XDP_TX needs at its peer.
fn start_far_reflector(network: &Network) -> Leadline {
    let far = Leadline::start(&network.sender, &format!("reflect --interface {SENDER_INTERFACE}"));
    eventually("the far reflector is there", || xdp_program(&network.sender, SENDER_INTERFACE).is_some());
    far
}

fn start_measurement(namespace: &Namespace, interface: &str, to: std::net::IpAddr, duration: &str) -> Leadline {
    let options = format!("--rate 1kpps --duration {duration} --wait 500ms --format json");
    Leadline::start(namespace, &format!("measure {to} --interface {interface} {options}"))
}

fn assert_answers(network: &Network, port: u16) {
    let interval = Duration::from_millis(1);
    let sender = PlainSender { count: 100, interval, ..PlainSender::probe(target(port)) };
    assert_eq!(sender.run(&network.sender).len(), 100, "replies from port {port}");
}

fn assert_lossless(outcome: &Outcome, at_least: u64) {
    let report = outcome.report();
    assert!(report["packets"]["received"].as_u64() >= Some(at_least), "{outcome}");
    assert_eq!(report["packets"]["lost"], 0, "{outcome}");
    assert_eq!(report["validity"]["verdict"], "valid", "{outcome}");
}

fn assert_nothing_left(network: &Network, before: &Traces) {
    // The kernel frees programs and maps a little after their last holder is gone.
    eventually("everything is gone", || Traces::of(network).kernel_objects_beyond(before) == 0);
    let after = Traces::of(network);
    assert_eq!(after.xdp_programs, before.xdp_programs, "XDP programs on the interfaces");
    assert_eq!(after.abstract_sockets, before.abstract_sockets, "abstract sockets");
    assert_eq!(after.pins, before.pins, "pins in the BPF file system");
    // Others on this machine may remove theirs meanwhile.
    assert!(after.namespaces.is_subset(&before.namespaces), "namespaces: {:?}", after.namespaces);
    assert_eq!(after.processes, before.processes, "processes");
}

fn assert_same_settings(network: &Network, before: &Traces) {
    assert_eq!(Traces::of(network).settings, before.settings);
}

fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_true() {
        assert!(Instant::now() < deadline, "not after 5 seconds: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What processes can leave in the kernel.
#[derive(Debug)]
struct Traces {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    xdp_programs: Vec<Option<u64>>,
    abstract_sockets: BTreeSet<String>,
    pins: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    processes: Vec<u32>,
    settings: BTreeMap<String, String>,
}

impl Traces {
    fn of(network: &Network) -> Self {
        let ends = [(&network.sender, SENDER_INTERFACE), (&network.reflector, REFLECTOR_INTERFACE)];
        let mut settings = BTreeMap::new();
        for (namespace, interface) in ends {
            for command in [
                format!("ethtool -k {interface}"),
                format!("tc qdisc show dev {interface}"),
                format!("ip address show dev {interface}"),
            ] {
                // The kernel settles an address that it is still checking by itself.
                let text = namespace.run(&command).replace(" tentative", "");
                settings.insert(format!("{}: {command}", namespace.name()), text);
            }
        }
        Self {
            programs: aya::programs::loaded_programs().flatten().map(|program| program.id()).collect(),
            maps: aya::maps::loaded_maps().flatten().map(|map| map.id()).collect(),
            xdp_programs: ends.map(|(namespace, interface)| xdp_program(namespace, interface)).to_vec(),
            abstract_sockets: ends.iter().flat_map(|(namespace, _)| abstract_sockets(namespace)).collect(),
            pins: folder("/sys/fs/bpf"),
            namespaces: folder("/run/netns"),
            processes: ends.iter().flat_map(|(namespace, _)| namespace.processes()).collect(),
            settings,
        }
    }

    /// Programs and maps that are here now and were not then.
    fn kernel_objects_beyond(&self, then: &Self) -> usize {
        self.programs.difference(&then.programs).count() + self.maps.difference(&then.maps).count()
    }
}

fn abstract_sockets(namespace: &Namespace) -> Vec<String> {
    let listed = namespace
        .enter(|| std::fs::read_to_string("/proc/thread-self/net/unix"))
        .expect("the kernel lists its sockets");
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|name| name.starts_with('@'))
        .map(str::to_owned)
        .collect()
}

fn folder(path: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return BTreeSet::new();
    };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
