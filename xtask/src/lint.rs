//! What a change must pass before its tests are run.

use crate::command::{cargo, run, say};
use crate::error::Error;
use crate::setup;

/// Formatting, and clippy with every warning an error, on the host's crates and on the eBPF programs.
pub(crate) fn lint() -> Result<(), Error> {
    let tools = setup::prepare()?;
    setup::add_components(&tools.nightly)?;

    say("checking the formatting");
    run(&mut cargo(["fmt", "--all", "--check"]))?;

    say("clippy");
    // probe-ebpf is no program of the host: it is looked at for its own target, below.
    run(&mut cargo(["clippy", "--workspace", "--exclude", "probe-ebpf", "--all-targets", "--", "-D", "warnings"]))?;

    say("clippy on the eBPF programs");
    run(tools.cargo("clippy")?.args(["--", "-D", "warnings"]))
}
