//! Every test of the workspace. End-to-end tests drive the release build, because that is what people run.

use std::env;

use crate::command::{cargo, run, say};
use crate::error::Error;
use crate::{setup, workspace};

/// Builds `leadline` and runs every test. `arguments` go to `cargo test`.
pub(crate) fn test(arguments: &[String]) -> Result<(), Error> {
    setup::prepare()?;

    say("building leadline");
    run(&mut build_leadline())?;

    if !workspace::is_root() {
        say("not root: the tests that need root will be skipped. To run them:");
        eprintln!("    {}", workspace::as_root("test"));
        if env::var_os("CI").is_some() {
            say("CI is set: each test that is skipped counts as failed");
        }
    }
    say("running every test");
    run(cargo(["test", "--workspace", "--exclude", "probe-ebpf", "--no-fail-fast"])
        .args(arguments)
        .env("LEADLINE_BIN", workspace::leadline()?))
}

/// The command that makes the release build of `leadline`.
pub(crate) fn build_leadline() -> std::process::Command {
    cargo(["build", "--release", "--package", "probe-user", "--bin", "leadline"])
}
