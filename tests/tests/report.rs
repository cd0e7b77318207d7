//! What the program prints is what it promises: one JSON document by the published schema, whatever the run was.

use std::net::SocketAddr;
use std::time::Duration;

use jsonschema::Validator;
use leadline_tests::frame::STAMP_PORT;
use leadline_tests::network::{Family, Network, REFLECTOR_INTERFACE, SENDER_INTERFACE};
use leadline_tests::product::{Leadline, Outcome};
use leadline_tests::require;
use serde_json::Value;

const FAMILY: Family = Family::V4;

#[test]
fn every_kind_of_run_prints_one_document_by_the_schema() {
    if !require::network_namespaces() {
        return;
    }
    let network = Network::direct();
    let target = SocketAddr::new(FAMILY.reflector(), STAMP_PORT);
    let options = format!("--interface {REFLECTOR_INTERFACE} --counters {}:8620", FAMILY.reflector());
    let reflector = Leadline::start_reflector(&network, &options, target);
    let validator = validator();
    let measure = |options: &str| {
        let command = format!("measure {} --interface {SENDER_INTERFACE} --format json {options}", FAMILY.reflector());
        Leadline::start(&network.sender, &command).finish(Duration::from_secs(30))
    };

    let one = measure("--count 300 --rate 1kpps");
    assert_valid(&validator, &one);
    assert_eq!(one.report()["schema"], "leadline.measurement/1");
    assert_eq!(one.report()["packets"]["received"], 300, "{one}");

    let several = measure(
        "--duration 500ms --stream schedule=periodic,rate=2kpps --stream schedule=poisson,rate=500pps,size=400,dscp=46",
    );
    assert_valid(&validator, &several);
    assert_eq!(several.report()["measurements"].as_array().map(Vec::len), Some(2), "{several}");
    assert_eq!(several.report()["measurements"][0]["packets"]["sent"], 1_000, "{several}");
    assert_eq!(several.report()["measurements"][1]["stream"]["size"], 400, "{several}");

    let counted = measure(&format!("--count 500 --rate 1kpps --reflector-counters {}:8620", FAMILY.reflector()));
    assert_valid(&validator, &counted);
    let counters = &counted.report()["reflector"]["counters"];
    let grown = counters["after"]["reflected"].as_u64().zip(counters["before"]["reflected"].as_u64());
    assert_eq!(grown.map(|(after, before)| after - before), Some(500), "{counted}");

    let intervals = measure("--duration 1s --rate 1kpps --interval 200ms");
    assert_valid(&validator, &intervals);
    let lines: Vec<Value> =
        intervals.standard_error.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!((5..=7).contains(&lines.len()), "{intervals}");
    for line in &lines {
        assert_eq!(errors(&validator, line), [""; 0], "{line}");
    }
    let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    assert_eq!(Some(sum("sent")), intervals.report()["packets"]["sent"].as_u64(), "{intervals}");
    assert_eq!(Some(sum("received")), intervals.report()["packets"]["received"].as_u64(), "{intervals}");

    reflector.kill();
    let unanswered = measure("--count 5 --rate 100pps --wait 200ms");
    assert_eq!(unanswered.status.code(), Some(1), "{unanswered}");
    assert_valid(&validator, &unanswered);
    assert_eq!(unanswered.report()["loss_ratio"].as_f64(), Some(1.0), "{unanswered}");
    assert!(unanswered.report()["delay"]["round_trip"]["median_ns"].is_null(), "{unanswered}");
}

fn validator() -> Validator {
    let schema = include_str!("../../probe-user/schema/leadline.measurement-1.schema.json");
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).expect("the schema is one")
}

/// Standard output as a whole is one document, which the schema accepts.
fn assert_valid(validator: &Validator, outcome: &Outcome) {
    let document: Value = serde_json::from_str(&outcome.standard_output).expect("one JSON document and nothing else");
    assert_eq!(errors(validator, &document), [""; 0], "{outcome}");
}

fn errors(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
