//! The command line as people meet it: every help text, and every error that needs no kernel, word for word.
//! `SNAPSHOTS=overwrite` writes the snapshots anew.

use leadline_tests::leadline;
use snapbox::{assert_data_eq, file};

/// Command lines that are wrong in themselves. All exit with status 2 and print nothing on standard output.
const WRONG: &[&str] = &[
    "measur 198.18.0.2",
    "measure",
    "measure 198.18.0.2",
    "measure --interface probe0",
    "measure 198.18.0.2 --interface probe0 --rat 100kpps",
    "measure 198.18.0.2 --interface probe0 --rate",
    "measure 198.18.0.2 --interface probe0 --rate 100",
    "measure 198.18.0.2 --interface probe0 --rate 0pps",
    "measure 198.18.0.2 --interface probe0 --rate 10furlongs",
    "measure 198.18.0.2 --interface probe0 --rate 2000Gbps",
    "measure 198.18.0.2 --interface probe0 --duration 10",
    "measure 198.18.0.2 --interface probe0 --duration 0s",
    "measure 198.18.0.2 --interface probe0 --duration 10s --count 5",
    "measure 198.18.0.2 --interface probe0 --count 0",
    "measure 198.18.0.2 --interface probe0 --count many",
    "measure 198.18.0.2 --interface probe0 --count -1",
    "measure 198.18.0.2 --interface probe0 --schedule burst",
    "measure 198.18.0.2 --interface probe0 --size 71",
    "measure fd00:6c64::2 --interface probe0 --size 91",
    "measure 198.18.0.2 --interface probe0 --size 65536",
    "measure 198.18.0.2 --interface probe0 --dscp 64",
    "measure 198.18.0.2 --interface probe0 --ttl 0",
    "measure 198.18.0.2 --interface probe0 --port 0",
    "measure 198.18.0.2 --interface probe0 --port 65536",
    "measure 198.18.0.2 --interface probe0 --wait 0s",
    "measure 198.18.0.2 --interface probe0 --interval 0s",
    "measure 198.18.0.2 --interface probe0 --stop-after 0s",
    "measure 198.18.0.2 --interface probe0 --seed -1",
    "measure 198.18.0.2 --interface probe0 --queues 0",
    "measure 198.18.0.2 --interface probe0 --via pigeon",
    "measure 198.18.0.2 --interface probe0 --format xml",
    "measure 198.18.0.2 --interface probe0 --timestamp-format iso",
    "measure 198.18.0.2 --interface probe0 --source fd00:6c64::1",
    "measure 198.18.0.2 --interface probe0 --source here",
    "measure 198.18.0.2 --interface probe0 --reflector-counters 198.18.0.2",
    "measure 198.18.0.2 --interface probe0 --stream fast",
    "measure 198.18.0.2 --interface probe0 --stream speed=10pps",
    "measure 198.18.0.2 --interface probe0 --stream rate=10kpps --stream dscp=64",
    "measure 198.18.0.256 --interface probe0",
    "measure 198.18.0.2:862 --interface probe0",
    "measure 224.0.0.1 --interface probe0",
    "measure fe80::1%probe0 --interface probe0",
    "measure 198.18.0.2 --interface an-interface-of-long-name",
    "measure 198.18.0.2 --interface probe0 --log ebpf",
    "measure 198.18.0.2 --interface probe0 --log ebpf=loud",
    "reflect",
    "reflect --interface probe1 --port 0",
    "reflect --interface probe1 --port 862 --port 862",
    "reflect --interface probe1 --allow 198.18.0.0/33",
    "reflect --interface probe1 --address 224.0.0.1",
    "reflect --interface probe1 --counters 862",
    "reflect --interface probe1 --timestamp-format iso",
    "lab sideways",
    "lab run",
    "doctor --format xml",
];

#[test]
fn wrong_command_lines_say_what_would_be_right() {
    let mut transcript = String::new();
    for line in WRONG {
        let output = leadline(line.split(' '));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}\n{stderr}");
        assert!(output.stdout.is_empty(), "{line}");
        assert!(stderr.starts_with("error: ") && stderr.contains("\n  help: "), "{line}\n{stderr}");
        transcript += &format!("$ leadline {line}\n{stderr}\n");
    }
    assert_data_eq!(transcript, file!["snapshots/errors.txt"].raw());
}

#[test]
fn help_of_leadline() {
    assert_data_eq!(help(&["--help"]), file!["snapshots/help.txt"].raw());
}

#[test]
fn help_of_measure() {
    assert_data_eq!(help(&["measure", "--help"]), file!["snapshots/help_measure.txt"].raw());
}

#[test]
fn short_help_of_measure() {
    assert_data_eq!(help(&["measure", "-h"]), file!["snapshots/help_measure_short.txt"].raw());
}

#[test]
fn help_of_reflect() {
    assert_data_eq!(help(&["reflect", "--help"]), file!["snapshots/help_reflect.txt"].raw());
}

#[test]
fn help_of_lab() {
    let texts = [help(&["lab", "--help"]), help(&["lab", "run", "--help"])];
    assert_data_eq!(texts.join("\n"), file!["snapshots/help_lab.txt"].raw());
}

#[test]
fn help_of_doctor() {
    assert_data_eq!(help(&["doctor", "--help"]), file!["snapshots/help_doctor.txt"].raw());
}

#[test]
fn version() {
    let output = leadline(["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("leadline {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_command_shows_the_help_as_an_error() {
    let output = leadline([""; 0]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage: leadline"));
}

/// A help text, without the blanks at the ends of its lines.
fn help(arguments: &[&str]) -> String {
    let output = leadline(arguments);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
