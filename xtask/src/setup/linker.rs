//! bpf-linker, built by cargo from its registry into `.tools` of the clone.

use std::path::PathBuf;

use crate::command::{cargo, run, say};
use crate::ebpf::tools::{self, BPF_LINKER_VERSION};
use crate::error::Error;
use crate::workspace;

/// Installs bpf-linker, unless one that fits is there, and returns where it is.
pub(crate) fn install_missing() -> Result<PathBuf, Error> {
    if let Some(linker) = tools::bpf_linker(workspace::root()) {
        return Ok(linker);
    }
    let own = workspace::root().join(".tools");
    say(&format!("installing bpf-linker {BPF_LINKER_VERSION} into .tools (once, 2 to 5 minutes)"));
    run(cargo(["install", "bpf-linker", "--version", BPF_LINKER_VERSION, "--locked", "--force", "--root"])
        .arg(&own)
        // What is on PATH afterwards does not matter: the build looks into .tools by itself.
        .env("CARGO_TERM_QUIET", "false"))?;
    Ok(own.join("bin/bpf-linker"))
}
