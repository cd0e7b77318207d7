//! What goes wrong only on a real host: each failure is told with what to do about it, has its exit status, and leaves
//! nothing behind. `SNAPSHOTS=overwrite` writes the snapshot anew.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leadline_tests::fixed_verdict::{FixedVerdict, Verdict};
use leadline_tests::frame::STAMP_PORT;
use leadline_tests::namespace::Namespace;
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::plain::{Numbering, PlainReflector};
use leadline_tests::product::{Leadline, Outcome, xdp_program};
use leadline_tests::{binary, require};
use nix::sys::signal::Signal;
use serde_json::Value;
use snapbox::{assert_data_eq, file};

const FAMILY: Family = Family::V4;
const PATIENCE: Duration = Duration::from_secs(20);

/// What is refused on a healthy pair of interfaces where nobody reflects, by the end on which it is run.
const REFUSED: &[(End, &str)] = &[
    (End::Sender, "measure 198.18.0.2 --interface prob0"),
    (End::Sender, "measure 198.18.0.2 --interface wlan9"),
    (End::Reflector, "reflect --interface prob1"),
    (End::Sender, "measure 198.18.0.2 --interface lo"),
    (End::Sender, "measure 203.0.113.9 --interface probe0"),
    (End::Sender, "measure 2001:db8::9 --interface probe0"),
    (End::Sender, "measure 198.18.0.1 --interface probe0"),
    (End::Sender, "measure 198.18.0.255 --interface probe0"),
    (End::Sender, "measure 198.18.0.2 --interface probe0 --rate 50Mpps"),
    (End::Sender, "measure 198.18.0.2 --interface probe0 --stream rate=6Mpps --stream rate=7Mpps"),
    (End::Sender, "measure 198.18.0.2 --interface probe0 --size 1501"),
    (End::Sender, "measure 198.18.0.2 --interface probe0 --stream size=100 --stream size=1501"),
    (End::Sender, "measure 198.18.0.2 --interface probe0 --rate 10kpps --port 4000"),
    (End::Sender, "measure 198.18.0.2 --interface probe0 --reflector-counters 198.18.0.2:4000"),
    (End::Reflector, "reflect --interface probe1 --counters 203.0.113.1:4000"),
];

#[derive(Clone, Copy)]
enum End {
    Sender,
    Reflector,
}

#[test]
fn failures_of_a_run_say_what_to_do() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let mut transcript = String::new();
    let mut run = |end: End, line: &str| {
        let namespace = match end {
            End::Sender => &network.sender,
            End::Reflector => &network.reflector,
        };
        let outcome = Leadline::start(namespace, line).finish(PATIENCE);
        transcript += &told(line, &outcome);
        assert_nothing_left(&network);
    };
    for (end, line) in REFUSED {
        run(*end, line);
    }
    set_mtu(&network, 9000);
    run(End::Sender, "measure 198.18.0.2 --interface probe0 --size 8000");
    set_mtu(&network, 1500);
    network.reflector.run("ip link set probe1 down");
    run(End::Sender, "measure 198.18.0.2 --interface probe0");
    run(End::Reflector, "reflect --interface probe1");
    network.sender.run("ip link set probe0 down");
    run(End::Sender, "measure 198.18.0.2 --interface probe0");
    assert_data_eq!(transcript, file!["snapshots/runtime_errors.txt"].raw());
}

/// ARP and neighbor discovery take seconds to give up, so that both are asked at the same time.
#[test]
fn a_next_hop_that_does_not_answer_is_named_with_how_it_was_asked() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    network.sender.run("ip route add 203.0.113.0/24 via 198.18.0.98");
    let lines = [
        "measure 198.18.0.99 --interface probe0",
        "measure fd00:6c64::99 --interface probe0",
        "measure 203.0.113.9 --interface probe0",
    ];
    let running = lines.map(|line| Leadline::start(&network.sender, line));
    let transcript: String =
        lines.iter().zip(running).map(|(line, leadline)| told(line, &leadline.finish(PATIENCE))).collect();
    assert_nothing_left(&network);
    assert_data_eq!(transcript, file!["snapshots/no_neighbour.txt"].raw());
}

#[test]
fn who_may_not_learns_which_capability_is_missing() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    // In a folder that everybody may enter, which the sources need not be in.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("leadline");
    std::fs::copy(binary(), &program).expect("a copy of the program");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("own folder");
    let run = |end: &Namespace, privileges: &str, line: &str| {
        let mut command = Command::new("setpriv");
        command.args(privileges.split(' ')).arg(&program).args(line.split(' '));
        let child = end.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{privileges}: {text}");
        assert_nothing_left(&network);
        text
    };
    let nobody = "--reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all";
    let all = "error: not permitted to load an XDP program: this process lacks CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN\n  \
               help: run it as root, or give it what it lacks with setcap\n";
    // Known beforehand, so that it is not resolving it that is refused.
    network.sender.run("ip neighbour replace 198.18.0.2 lladdr 02:00:00:00:00:02 dev probe0 nud permanent");
    assert_eq!(run(&network.sender, nobody, "measure 198.18.0.2 --interface probe0"), all);
    assert_eq!(run(&network.reflector, nobody, "reflect --interface probe1"), all);
    assert_eq!(
        run(&network.sender, nobody, "measure 198.18.0.99 --interface probe0"),
        "error: cannot have 198.18.0.99 resolved: Operation not permitted (os error 1)\n  \
         help: this needs CAP_NET_ADMIN: run as root, or give it to the program with setcap\n"
    );
    assert_eq!(
        run(&network.sender, "--inh-caps=-net_raw --bounding-set=-net_raw", "measure 198.18.0.2 --interface probe0"),
        "error: failed binding an AF_XDP socket on probe0 queue 0\n  Operation not permitted (os error 1)\n  \
         help: this process lacks CAP_NET_RAW; run it as root, or give it what it lacks with setcap\n"
    );
}

#[test]
fn a_program_of_somebody_else_is_described_and_left_alone() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let foreign = FixedVerdict::attach_in(&network.sender, SENDER_INTERFACE, Verdict::Pass);
    let id = xdp_program(&network.sender, SENDER_INTERFACE).expect("it was attached");
    let myself = format!("process {} ({})", std::process::id(), own_name());
    for line in ["measure 198.18.0.2 --interface probe0", "reflect --interface probe0"] {
        let outcome = Leadline::start(&network.sender, line).finish(PATIENCE);
        assert_failed(&outcome, 1);
        let text = &outcome.standard_error;
        let beginning = format!(
            "error: probe0 has an XDP program already that is not Leadline's: \"\" (id {id}, native mode, attached by link "
        );
        assert!(text.starts_with(&beginning), "{outcome}");
        assert!(text.contains(&format!(", held by {myself})\n")), "{outcome}");
        assert!(text.ends_with(&format!("\n  help: stop {myself}, or use another interface\n")), "{outcome}");
        assert_eq!(xdp_program(&network.sender, SENDER_INTERFACE), Some(id), "the program is another one");
    }
    drop(foreign);
    assert_nothing_left(&network);
}

#[test]
fn a_port_in_use_is_told_with_its_owner() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let taken = |owner: String, outcome: &Outcome| {
        assert_failed(outcome, 1);
        assert_eq!(
            outcome.standard_error,
            format!(
                "error: UDP port 862 is in use on this interface by {owner}\n  \
                 help: choose another port with --port, or stop the other process\n"
            )
        );
    };
    let reflect = format!("reflect --interface {REFLECTOR_INTERFACE}");
    let other = network.reflector.enter(|| UdpSocket::bind("0.0.0.0:862").expect("nobody has it"));
    taken(
        format!("process {} ({})", std::process::id(), own_name()),
        &Leadline::start(&network.reflector, &reflect).finish(PATIENCE),
    );
    drop(other);
    assert_nothing_left(&network);

    let first = start_reflector(&network);
    taken(
        format!("process {} (leadline)", first.pid()),
        &Leadline::start(&network.reflector, &reflect).finish(PATIENCE),
    );
    // The first one goes on.
    let outcome = start_measurement(&network, "--count 20").finish(PATIENCE);
    assert_eq!(outcome.report()["packets"]["lost"], 0, "{outcome}");
    drop(first);
}

#[test]
fn nobody_is_flooded_by_mistake() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let before = packets_sent(&network);
    let outcome = start_measurement(&network, "--rate 10kpps --count 5000").finish(PATIENCE);
    assert_failed(&outcome, 1);
    let sent = packets_sent(&network) - before;
    assert!((7..50).contains(&sent), "{sent} packets were sent to nobody");
    assert_eq!(
        outcome.standard_error,
        "error: 198.18.0.2 does not answer, so that no dense stream is sent to it\n  \
         7 probes were sent to UDP port 862\n  \
         help: check that a STAMP reflector listens there (`leadline reflect --port 862`) and that no filter is in \
         between, or force the stream with --force\n"
    );
    assert_nothing_left(&network);

    let outcome = start_measurement(&network, "--rate 10kpps --count 5000 --force").finish(PATIENCE);
    assert!(packets_sent(&network) - before >= 5_000, "{outcome}");
    assert_no_reply(&outcome, 5_000);
    assert_nothing_left(&network);
}

#[test]
fn no_reply_at_all_is_a_result() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let outcome = start_measurement(&network, "--rate 100pps --count 20").finish(PATIENCE);
    assert_no_reply(&outcome, 20);
    let table = Leadline::start(
        &network.sender,
        &format!("measure 198.18.0.2 --interface {SENDER_INTERFACE} --count 5 --wait 300ms"),
    );
    let table = table.finish(PATIENCE);
    assert_eq!(table.status.code(), Some(1), "{table}");
    assert!(table.standard_output.contains("100 %"), "{table}");
    assert_nothing_left(&network);
}

/// A queue takes one AF_XDP socket: who comes second is told so, and the first one does not notice.
#[test]
fn a_second_measurement_on_the_same_queues_is_refused() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let _reflector = start_reflector(&network);
    let first = start_measurement(&network, "--rate 1kpps --duration 4s");
    await_program(&network);
    let second = start_measurement(&network, "--rate 100pps --count 10").finish(PATIENCE);
    assert_failed(&second, 1);
    assert_eq!(
        second.standard_error,
        "error: failed binding an AF_XDP socket on probe0 queue 0\n  Device or resource busy (os error 16)\n  \
         help: another process has an AF_XDP socket on this queue, and a queue takes one: end it first\n"
    );
    let first = first.finish(PATIENCE);
    let report = first.report();
    assert_eq!((&report["packets"]["lost"], &report["validity"]["verdict"]), (&0.into(), &"valid".into()), "{first}");
}

#[test]
fn an_early_end_is_a_valid_result() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let _reflector = start_reflector(&network);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let measurement = start_measurement(&network, "--rate 1kpps --duration 60s");
        let before = packets_sent(&network);
        eventually("the stream runs", || packets_sent(&network) > before + 200);
        measurement.signal(signal);
        let outcome = measurement.finish(Duration::from_secs(2));
        assert!(outcome.status.success(), "{outcome}");
        let report = outcome.report();
        assert_eq!(report["run"]["ended_early"], true, "{outcome}");
        assert_eq!(
            (&report["packets"]["lost"], &report["validity"]["verdict"]),
            (&0.into(), &"valid".into()),
            "{outcome}"
        );
        let reasons = report["validity"]["reasons"].to_string();
        assert!(reasons.contains("the user ended the run early"), "{outcome}");
        assert!(report["packets"]["received"].as_u64() > Some(100), "{outcome}");
    }
    assert!(xdp_program(&network.sender, SENDER_INTERFACE).is_none());
}

/// Asked twice, a measurement waits for nothing, and says that it did not.
#[test]
fn an_abandoned_wait_is_told() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let line = format!("measure 198.18.0.2 --interface {SENDER_INTERFACE} --count 10 --wait 60s --format json");
    let measurement = Leadline::start(&network.sender, &line);
    let before = packets_sent(&network);
    eventually("all packets have left", || packets_sent(&network) >= before + 17);
    std::thread::sleep(Duration::from_millis(300));
    measurement.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    measurement.signal(Signal::SIGINT);
    let outcome = measurement.finish(Duration::from_secs(2));
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let report = outcome.report();
    assert_eq!((&report["run"]["ended_early"], &report["packets"]["lost"]), (&true.into(), &10.into()), "{outcome}");
    assert_eq!(report["validity"]["verdict"], "unattributable", "{outcome}");
    assert!(report["validity"]["reasons"].to_string().contains("while packets were out"), "{outcome}");
    assert_nothing_left(&network);
}

#[test]
fn a_reflector_that_is_ended_tells_what_it_did() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let reflector = start_reflector(&network);
        let measured = start_measurement(&network, "--rate 1kpps --count 300").finish(PATIENCE);
        assert_eq!(measured.report()["packets"]["received"], 300, "{measured}");
        reflector.signal(signal);
        let outcome = reflector.finish(Duration::from_secs(3));
        assert!(outcome.status.success(), "{outcome}");
        let counts: Vec<u64> = outcome
            .standard_output
            .lines()
            .find(|line| line.contains("requests answered at the driver hook"))
            .unwrap_or_else(|| panic!("no count of the requests answered: {outcome}"))
            .split_whitespace()
            .filter_map(|word| word.replace(',', "").parse().ok())
            .collect();
        // Those of the measurement, its probes, and the probe that found the reflector ready.
        assert!(counts.iter().any(|count| (305..330).contains(count)), "{counts:?}: {outcome}");
        assert_nothing_left(&network);
    }
}

#[test]
fn a_reflector_that_copies_numbers_is_told_and_leaves_the_ways_open() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let address = SocketAddr::new(FAMILY.reflector(), STAMP_PORT);
    let reflector = PlainReflector::start(&network.reflector, address, Numbering::Stateless);
    let outcome = start_measurement(&network, "--count 20").finish(PATIENCE);
    drop(reflector);
    assert!(outcome.status.success(), "{outcome}");
    assert_eq!(
        outcome.standard_error,
        "note: 198.18.0.2 copies sequence numbers: on which way packets are lost cannot be told\n"
    );
    let report = outcome.report();
    assert_eq!((&report["reflector"]["kind"], &report["packets"]["received"]), (&"stateless".into(), &20.into()));
    for way in ["lost_forward", "lost_backward"] {
        assert_eq!(report["packets"][way], Value::Null, "{outcome}");
        assert_eq!(report["undefined"][format!("packets.{way}")], "the reflector copies sequence numbers", "{outcome}");
    }
    assert_nothing_left(&network);
}

/// Counters that can be read before the run and not after it are no reason to throw the measurement away.
#[test]
fn a_measurement_outlives_the_reflectors_counters() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let target = SocketAddr::new(FAMILY.reflector(), STAMP_PORT);
    let options = format!("--interface {REFLECTOR_INTERFACE} --counters 198.18.0.2:4000");
    let reflector = Leadline::start_reflector(&network, &options, target);
    let measurement = start_measurement(&network, "--rate 500pps --duration 2s --reflector-counters 198.18.0.2:4000");
    let before = packets_sent(&network);
    eventually("the stream runs", || packets_sent(&network) > before + 200);
    reflector.kill();
    let outcome = measurement.finish(PATIENCE);
    assert!(outcome.status.success(), "{outcome}");
    let report = outcome.report();
    assert!(report["packets"]["received"].as_u64() > Some(100), "{outcome}");
    assert!(report["reflector"]["counters"].is_null(), "{outcome}");
    let note =
        "note: cannot read the reflector's counters at 198.18.0.2:4000: what the reflector lost itself is not known";
    assert!(outcome.standard_error.lines().any(|line| line == note), "{outcome}");
}

/// A command line and what was said to it. Every failure says what to do, and nothing else goes to standard output.
fn told(line: &str, outcome: &Outcome) -> String {
    let text = &outcome.standard_error;
    assert!(outcome.standard_output.is_empty(), "{outcome}");
    let failure = text.lines().skip_while(|line| line.starts_with("note: ")).collect::<Vec<_>>().join("\n");
    assert!(failure.starts_with("error: ") && failure.contains("\n  help: "), "{outcome}");
    let status = outcome.status.code().unwrap_or_else(|| panic!("ended by a signal: {outcome}"));
    // What else is there depends on the host: some kernels put tunnels into every namespace.
    let text: String = text
        .lines()
        .map(|line| match line.split_once("the interfaces here are lo, ") {
            Some((before, _)) => format!("{before}the interfaces here are lo, ...\n"),
            None => format!("{line}\n"),
        })
        .collect();
    format!("$ leadline {line}\n{text}exit status {status}\n\n")
}

fn assert_failed(outcome: &Outcome, status: i32) {
    assert_eq!(outcome.status.code(), Some(status), "{outcome}");
    assert!(outcome.standard_output.is_empty(), "{outcome}");
}

/// The report of a measurement to which nobody replied: loss 1, delay undefined, exit status 1, advice beside it.
fn assert_no_reply(outcome: &Outcome, sent: u64) {
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let report = outcome.report();
    assert_eq!((&report["packets"]["sent"], &report["packets"]["received"]), (&sent.into(), &0.into()), "{outcome}");
    assert_eq!((&report["packets"]["lost"], &report["loss_ratio"]), (&sent.into(), &1.0.into()), "{outcome}");
    assert_eq!(report["packets"]["unattributable"], sent, "{outcome}");
    for delay in ["round_trip", "forward", "backward", "residence"] {
        let delay = &report["delay"][delay];
        assert_eq!((&delay["count"], &delay["min_ns"], &delay["mean_ns"]), (&0.into(), &Value::Null, &Value::Null));
    }
    assert_eq!(report["reordering"]["ratio"], Value::Null, "{outcome}");
    let advice = "error: no reply from 198.18.0.2\n  help: check that a STAMP reflector listens on that port, and that \
                  no filter on the way drops UDP to or from it\n";
    assert!(outcome.standard_error.ends_with(advice), "{outcome}");
}

/// Neither end has a program on its interface, nor a socket by which Leadline's processes know each other.
fn assert_nothing_left(network: &Network) {
    let ends = [(&network.sender, SENDER_INTERFACE), (&network.reflector, REFLECTOR_INTERFACE)];
    for (namespace, interface) in ends {
        eventually("the program goes", || xdp_program(namespace, interface).is_none());
        let sockets = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/unix")).expect("the sockets");
        assert!(!sockets.lines().any(|line| line.contains(" @leadline")), "{sockets}");
        let listed = namespace.run("ss -Hlnu");
        assert!(listed.is_empty(), "UDP sockets are left: {listed}");
    }
}

fn start_reflector(network: &Network) -> Leadline {
    let target = SocketAddr::new(FAMILY.reflector(), STAMP_PORT);
    Leadline::start_reflector(network, &format!("--interface {REFLECTOR_INTERFACE}"), target)
}

fn start_measurement(network: &Network, options: &str) -> Leadline {
    let line = format!("measure 198.18.0.2 --interface {SENDER_INTERFACE} --wait 500ms --format json {options}");
    Leadline::start(&network.sender, &line)
}

fn await_program(network: &Network) {
    eventually("the measurement runs", || xdp_program(&network.sender, SENDER_INTERFACE).is_some());
    let before = packets_sent(network);
    eventually("the stream runs", || packets_sent(network) > before + 100);
}

fn set_mtu(network: &Network, mtu: u32) {
    network.sender.run(&format!("ip link set {SENDER_INTERFACE} mtu {mtu}"));
    network.reflector.run(&format!("ip link set {REFLECTOR_INTERFACE} mtu {mtu}"));
}

/// Packets that the sender's interface has sent so far.
fn packets_sent(network: &Network) -> u64 {
    let text = network.sender.run(&format!("ip -j -s link show dev {SENDER_INTERFACE}"));
    let links: Value = serde_json::from_str(&text).expect("ip -j prints JSON");
    links.pointer("/0/stats64/tx/packets").and_then(Value::as_u64).expect("a count of packets sent")
}

/// This process's name, as /proc tells it to others.
fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").expect("a process has a name").trim().to_owned()
}

fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(8);
    while !is_true() {
        assert!(Instant::now() < deadline, "not after 8 seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
