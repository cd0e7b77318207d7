//! What `leadline measure` reports must be exactly what the scripted wire did, forward and backward told apart.
//!
//! Every test runs `leadline reflect` and `leadline measure` on the two sides of the wire, with one script, and holds three
//! accounts against each other: what the script means, what the wire recorded, and what the report says.

use std::net::SocketAddr;
use std::time::Duration;

use leadline_tests::cases::{self, Case};
use leadline_tests::frame::{Direction, STAMP_PORT};
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::plain::{Numbering, PlainReflector, PlainSender};
use leadline_tests::product::{Leadline, Outcome};
use leadline_tests::require;
use leadline_tests::script::{Action, Script, Select};
use leadline_tests::truth::Truth;
use leadline_tests::wire::{Record, Wire};
use serde_json::{Value, json};

macro_rules! reports_the_truth {
    ($way:ident: $($case:ident)*) => {
        mod $way {
            $(
                #[test]
                fn $case() {
                    if leadline_tests::require::network_namespaces() {
                        super::judge(leadline_tests::cases::$case(), super::Way::$way());
                    }
                }
            )*
        }
    };
}

reports_the_truth! { ipv4:
    nothing forward_loss backward_loss first_forward first_backward first_ten_mixed
    last_forward last_backward last_ten_forward last_ten_backward last_ten_mixed
    silence_backward silence_after_losses everything_forward everything_backward
    bursts touching_bursts alternate_forward alternate_backward interleaved
    forward_duplicate backward_duplicate triples last_duplicate
    swap_forward swap_backward swap_by_five late_block last_behind_sentinel
    late_backward late_forward delayed_in_time last_delayed
    corrupt_forward corrupt_forward_mbz corrupt_backward corrupt_sequence
    losses_and_reordering duplicates_and_losses reordering_over_losses ttl_changed
}

reports_the_truth! { ipv6: nothing losses_and_reordering corrupt_backward last_ten_mixed ttl_changed }

reports_the_truth! { via_socket: nothing losses_and_reordering duplicates_and_losses late_backward }

reports_the_truth! { stateless: nothing interleaved last_ten_forward swap_by_five }

reports_the_truth! { foreign_reflector: nothing losses_and_reordering last_ten_mixed duplicates_and_losses }

reports_the_truth! { foreign_stateless: nothing bursts }

/// Which programs and protocols a script is run with.
#[derive(Clone, Copy)]
struct Way {
    family: Family,
    measure: &'static str,
    far_end: FarEnd,
    numbering: Numbering,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FarEnd {
    Leadline,
    PlainSocket,
}

impl Way {
    fn ipv4() -> Self {
        Self { family: Family::V4, measure: "", far_end: FarEnd::Leadline, numbering: Numbering::Stateful }
    }

    fn ipv6() -> Self {
        Self { family: Family::V6, ..Self::ipv4() }
    }

    fn via_socket() -> Self {
        Self { measure: "--via socket", ..Self::ipv4() }
    }

    fn stateless() -> Self {
        Self { numbering: Numbering::Stateless, ..Self::ipv4() }
    }

    fn foreign_reflector() -> Self {
        Self { far_end: FarEnd::PlainSocket, ..Self::ipv4() }
    }

    fn foreign_stateless() -> Self {
        Self { numbering: Numbering::Stateless, ..Self::foreign_reflector() }
    }
}

/// A delay on each way is found on that way, and in the sum.
#[test]
fn delays_are_found_on_their_way() {
    if !require::network_namespaces() {
        return;
    }
    let (forward, backward) = (Duration::from_millis(20), Duration::from_millis(5));
    let every = || Select::Sequences(0..300);
    let script = Script::default().forward(every(), Action::Delay(forward)).backward(every(), Action::Delay(backward));
    let (_, outcome) = run(&Case { script, ..cases::nothing() }, Way::ipv4());
    let report = outcome.report();
    let delay = |name: &str| report.pointer(&format!("/delay/{name}/min_ns")).and_then(Value::as_i64);
    let at_least = |name: &str, time: Duration| {
        let found = delay(name).map(|nanoseconds| Duration::from_nanos(nanoseconds.unsigned_abs()));
        assert!(
            found.is_some_and(|found| found >= time && found < time * 2),
            "{name}: {found:?}, not {time:?}: {report:#}"
        );
    };
    at_least("round_trip", forward + backward);
    at_least("round_trip_total", forward + backward);
    if report.pointer("/timestamps/clocks_comparable") == Some(&Value::Bool(true)) {
        at_least("forward", forward);
        at_least("backward", backward);
    }
}

/// The reflector reports the Time to Live that it received, not the one that was sent.
#[test]
fn received_ttl_is_reported() {
    if !require::network_namespaces() {
        return;
    }
    for way in [Way::ipv4(), Way::ipv6()] {
        let (record, _) = run(&cases::ttl_changed(), way);
        let replies = record
            .passages
            .iter()
            .filter(|passage| passage.direction == Direction::Backward && passage.packet.in_stream());
        let reported: Vec<_> =
            replies.filter(|reply| reply.packet.sequence < 300).map(|reply| reply.packet.session_sender_ttl).collect();
        assert_eq!(reported, [Some(57); 300]);
    }
}

/// With `--force` a stream is sent though nobody answers; the result is loss 1, delay undefined, status 1, and advice.
#[test]
fn no_answer_at_all_is_a_result() {
    if !require::network_namespaces() {
        return;
    }
    let script = Script::default().forward(Select::Everything, Action::Drop);
    let case = Case { script, ..cases::everything_forward() };
    judge(case.clone(), Way { measure: "--force", ..Way::ipv4() });
    let (_, outcome) = run(&case, Way { measure: "--force", ..Way::ipv4() });
    assert!(!outcome.standard_error.trim().is_empty(), "no advice: {outcome}");
}

/// Without `--force` no dense stream goes to where a few probes found nobody.
#[test]
fn nobody_is_flooded() {
    if !require::network_namespaces() {
        return;
    }
    let script = Script::default().forward(Select::Everything, Action::Drop);
    let (record, outcome) = run(&Case { script, ..cases::nothing() }, Way { measure: "--rate 5kpps", ..Way::ipv4() });
    let (stream, probes): (Vec<_>, Vec<_>) = record.passages.iter().partition(|passage| passage.packet.in_stream());
    assert!(stream.is_empty(), "{} packets of the stream were sent: {outcome}", stream.len());
    assert!((1..=16).contains(&probes.len()), "{} probes: {outcome}", probes.len());
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
}

/// A stream ends when its reflector has been silent for `--stop-after`.
#[test]
fn silence_stops_the_stream() {
    if !require::network_namespaces() {
        return;
    }
    let case =
        Case { count: 20_000, script: Script::default().backward(Select::From(500), Action::Drop), ..cases::nothing() };
    let (_, outcome) = run(&case, Way { measure: "--stop-after 1s", ..Way::ipv4() });
    let report = outcome.report();
    let packets =
        |name: &str| report["packets"][name].as_u64().unwrap_or_else(|| panic!("no packets.{name}: {outcome}"));
    assert!((1_000..4_000).contains(&packets("sent")), "{outcome}");
    assert_eq!(packets("received"), 500, "{outcome}");
    assert_eq!(packets("lost"), packets("sent") - 500, "{outcome}");
    assert_eq!(packets("unattributable"), packets("lost"), "{outcome}");
}

/// A foreign sender gets from our reflector what RFC 8762 promises it.
#[test]
fn foreign_sender_is_answered() {
    if !require::network_namespaces() {
        return;
    }
    for family in [Family::V4, Family::V6] {
        let network = Network::scripted();
        let wire = Wire::start(&network);
        let target = SocketAddr::new(family.reflector(), STAMP_PORT);
        let arguments = format!("--interface {REFLECTOR_INTERFACE}");
        let _reflector = Leadline::start_reflector(&network, &arguments, target);
        wire.arm(Script::default().forward(Select::Sequence(10), Action::Drop));
        let interval = Duration::from_millis(2);
        let sender =
            PlainSender { target, ssid: 77, count: 100, sentinels: 0, interval, wait: Duration::from_millis(200) };
        let replies = sender.run(&network.sender);
        let numbers: Vec<_> = replies.iter().map(|reply| reply.reflector_sequence).collect();
        assert_eq!(
            numbers,
            (0..99).collect::<Vec<_>>(),
            "{family:?}: the reflector's own numbers, from 0 for each session"
        );
        for reply in &replies {
            let [t1, t2, t3] = reply.times;
            assert!(reply.proper && reply.length == 44 && reply.session_sender_ttl == 64, "{family:?}: {reply:?}");
            assert!(t1 <= t2 && t2 <= t3 && t3 - t1 < 1 << 32, "{family:?}: T1 <= T2 <= T3 within a second: {reply:?}");
        }
        wire.finish();
    }
}

fn judge(case: Case, way: Way) {
    let (record, outcome) = run(&case, way);
    let truth = Truth::of(&record, case.count, case.wait);
    let max_extent = if case.extent_from_timing { truth.max_extent } else { case.expected.max_extent };
    assert_eq!(truth, Truth { max_extent, ..case.expected }, "the record against the script's meaning\n{outcome}");

    let report = outcome.report();
    let all_lost = truth.received + truth.late + truth.corrupted == 0;
    let directions_known = way.numbering == Numbering::Stateful;
    let direction = |count: u64| {
        if directions_known { json!(count) } else { Value::Null }
    };
    let expected = json!({
        "/schema": "leadline.measurement/1",
        "/packets/sent": truth.sent,
        "/packets/received": truth.received,
        "/packets/lost": truth.lost,
        "/packets/lost_forward": direction(truth.lost_forward),
        "/packets/lost_backward": direction(truth.lost_backward),
        "/packets/unattributable": if directions_known { truth.unattributable } else { truth.lost },
        "/packets/late": truth.late,
        "/packets/duplicates": truth.duplicates,
        "/packets/reordered": truth.reordered,
        "/packets/corrupted": truth.corrupted,
        "/packets/foreign": 0,
        "/reordering/max_extent": truth.max_extent,
        "/loss_ratio": (truth.sent - truth.received) as f64 / truth.sent as f64,
        "/delay/round_trip/count": truth.received,
        "/tester_drops/total": 0,
    });
    let mut expected = expected.as_object().expect("an object").clone();
    if all_lost {
        // Nobody answered: how the far end numbers its replies is not known, nor is any delay.
        for unknown in ["/packets/lost_forward", "/packets/lost_backward", "/delay/round_trip/count"] {
            expected.remove(unknown);
        }
        expected.insert("/delay/round_trip/min_ns".into(), Value::Null);
        expected.insert("/delay/round_trip_total/max_ns".into(), Value::Null);
    }
    let nothing_open = directions_known && truth.unattributable == 0 || truth.lost == 0;
    expected.insert("/validity/verdict".into(), json!(if nothing_open { "valid" } else { "unattributable" }));

    let mismatches: Vec<String> = expected
        .iter()
        .filter(|(name, value)| !same(report.pointer(name).unwrap_or(&Value::Null), value))
        .map(|(name, value)| {
            format!("  {name} is {}, the truth is {value}", report.pointer(name).unwrap_or(&Value::Null))
        })
        .collect();
    assert!(
        mismatches.is_empty(),
        "the report of `{}` against the truth:\n{}\n{outcome}",
        case.name,
        mismatches.join("\n")
    );
    assert_eq!(outcome.status.code(), Some(i32::from(all_lost)), "{outcome}");
}

/// Equal as JSON, where 1.0 and 1 are the same number.
fn same(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
        _ => found == expected,
    }
}

fn run(case: &Case, way: Way) -> (Record, Outcome) {
    let network = Network::scripted();
    let wire = Wire::start(&network);
    let address = way.family.reflector();
    let target = SocketAddr::new(address, STAMP_PORT);
    let stateless = if way.numbering == Numbering::Stateless { "--stateless" } else { "" };
    let arguments = format!("--interface {REFLECTOR_INTERFACE} --port {STAMP_PORT} {stateless}");
    let far_end = match way.far_end {
        FarEnd::Leadline => Ok(Leadline::start_reflector(&network, &arguments, target)),
        FarEnd::PlainSocket => Err(PlainReflector::start(&network.reflector, target, way.numbering)),
    };
    wire.arm(case.script.clone());
    let rate = if way.measure.contains("--rate") { "" } else { "--rate 1kpps" };
    let (count, wait) = (case.count, case.wait.as_millis());
    let options = format!("--count {count} --wait {wait}ms --schedule periodic --format json {rate} {}", way.measure);
    let measure = format!("measure {address} --interface {SENDER_INTERFACE} --port {STAMP_PORT} {options}");
    let outcome = Leadline::start(&network.sender, &measure).finish(Duration::from_secs(40));
    drop(far_end);
    (wire.finish(), outcome)
}
