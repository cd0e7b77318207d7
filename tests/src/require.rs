//! What a test needs of the machine, asked for aloud.
//!
//! A test that returns in silence because it is not root looks like one that passed. These print past the test harness's
//! capture, and where `CI=true` a missing need is a failure.

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether this test can load XDP programs: root. Says what is missing when it cannot.
///
/// # Panics
/// When something is missing and the environment says `CI=true`.
pub fn xdp_programs() -> bool {
    nix::unistd::geteuid().is_root() || missing("loading an XDP program needs root")
}

/// Whether this test can run: root, and the programs of iproute2, ethtool and ping. Says what is missing when it cannot.
///
/// # Panics
/// When something is missing and the environment says `CI=true`.
pub fn network_namespaces() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return missing("network namespaces need root");
    }
    for (program, argument) in [("ip", "-V"), ("ethtool", "--version"), ("ping", "-V")] {
        let found = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return missing(&format!("no program `{program}`: apt-get install iproute2 ethtool iputils-ping"));
        }
    }
    true
}

fn missing(what: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run, and CI=true forbids to skip it: {what}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {what}");
    false
}
