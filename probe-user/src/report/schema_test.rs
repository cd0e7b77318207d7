//! The produced documents against the published schema, and wrong ones against it too.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::model::Report;
use super::{fixture, json};

fn validator() -> Validator {
    let schema = include_str!("../../schema/leadline.measurement-1.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

fn document(report: &Report) -> Value {
    serde_json::from_str(&json::render(report)).unwrap()
}

fn errors(document: &Value) -> Vec<String> {
    let validator = validator();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn what_is_produced_is_valid() {
    let reports = [
        Report::new(fixture::run(), vec![fixture::periodic()]),
        Report::new(fixture::run(), vec![fixture::poisson()]),
        Report::new(fixture::run(), vec![fixture::silence()]),
        Report::new(fixture::run(), vec![fixture::periodic(), fixture::poisson()]),
    ];
    for report in reports {
        let document = document(&report);
        assert_eq!(errors(&document), [""; 0], "{document:#}");
        assert_eq!(serde_json::from_value::<Report>(document).unwrap(), report);
    }
    let line = json::render_interval(&fixture::interval());
    assert_eq!(line.matches('\n').count(), 1);
    assert_eq!(errors(&serde_json::from_str(&line).unwrap()), [""; 0]);
}

#[test]
fn one_stream_has_the_plain_document() {
    let document = document(&Report::new(fixture::run(), vec![fixture::periodic()]));
    assert_eq!(document["schema"], "leadline.measurement/1");
    // The names that readers rely on.
    for path in [
        "/run/start",
        "/run/end",
        "/run/tmax_ns",
        "/run/program/version",
        "/run/host/kernel",
        "/stream/target",
        "/stream/schedule",
        "/stream/rate_pps",
        "/stream/size",
        "/stream/count",
        "/stream/duration_ns",
        "/stream/seed",
        "/stream/dscp",
        "/stream/ttl",
        "/stream/ssid",
        "/packets/sent",
        "/packets/received",
        "/packets/lost",
        "/packets/lost_forward",
        "/packets/lost_backward",
        "/packets/late",
        "/packets/duplicates",
        "/packets/reordered",
        "/packets/corrupted",
        "/packets/foreign",
        "/packets/unattributable",
        "/loss_ratio",
        "/delay/round_trip/count",
        "/delay/round_trip_total/min_ns",
        "/delay/forward/mean_ns",
        "/delay/backward/median_ns",
        "/delay/residence/p95_ns",
        "/delay/round_trip/p99_ns",
        "/delay/round_trip/p99_9_ns",
        "/delay/round_trip/max_ns",
        "/delay/round_trip/stddev_ns",
        "/reordering/ratio",
        "/reordering/max_extent",
        "/sending/achieved_pps",
        "/sending/departure_error/max_ns",
        "/sending/late_departures",
        "/timestamps/t1",
        "/timestamps/t4",
        "/timestamps/clocks_comparable",
        "/timestamps/error_ns",
        "/path/xdp_mode",
        "/path/zero_copy",
        "/path/queues",
        "/path/driver",
        "/validity/verdict",
        "/validity/reasons",
    ] {
        assert!(document.pointer(path).is_some(), "{path}");
    }
    assert_eq!(document["run"]["start"], "2026-11-02T03:55:42.000120337Z");
    assert_eq!(document["packets"]["lost_forward"], 9);
}

#[test]
fn several_streams_have_the_worst_verdict() {
    let document = document(&Report::new(fixture::run(), vec![fixture::periodic(), fixture::poisson()]));
    assert_eq!(document["schema"], "leadline.measurement-set/1");
    assert_eq!(document["measurements"].as_array().unwrap().len(), 2);
    assert_eq!(document["validity"]["verdict"], "invalid");
}

#[test]
fn undefined_is_null_and_has_a_reason() {
    let document = document(&Report::new(fixture::run(), vec![fixture::silence()]));
    assert_eq!(document["delay"]["round_trip"]["median_ns"], Value::Null);
    assert_eq!(document["packets"]["lost_forward"], Value::Null);
    assert_eq!(document["undefined"]["packets.lost_forward"], "no reply came back");
}

#[test]
fn what_is_wrong_is_refused() {
    let right = document(&Report::new(fixture::run(), vec![fixture::periodic()]));
    let set = |path: &str, value: Value| {
        let mut wrong = right.clone();
        *wrong.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        wrong
    };
    for wrong in [
        json!({}),
        json!([]),
        set("/schema", json!("leadline.measurement/2")),
        set("/run/start", json!("yesterday")),
        set("/run/start", json!("2026-11-02T03:55:42+01:00")),
        set("/packets/sent", json!(-1)),
        set("/packets/sent", Value::Null),
        set("/packets/lost_forward", json!("9")),
        set("/loss_ratio", json!(1.5)),
        set("/stream/count", json!(5)),
        set("/stream/duration_ns", Value::Null),
        set("/stream/size", json!(40)),
        set("/stream/destination_address", json!("198.18.0")),
        set("/stream/schedule", json!("burst")),
        set("/delay/round_trip/count", json!(0)),
        set("/delay/round_trip/median_ns", Value::Null),
        set("/path/xdp_mode", json!("offloaded")),
        set("/validity/verdict", json!("invalid")),
        set("/validity", json!({ "verdict": "valid", "reasons": [], "score": 10 })),
    ] {
        assert!(!errors(&wrong).is_empty(), "{wrong:#}");
    }
    for (name, value) in right.as_object().unwrap() {
        let mut wrong = right.clone();
        wrong.as_object_mut().unwrap().remove(name);
        assert!(!errors(&wrong).is_empty(), "without {name}: {value}");
    }
    let mut wrong = right.clone();
    wrong["surplus"] = json!(1);
    assert!(!errors(&wrong).is_empty());
}
