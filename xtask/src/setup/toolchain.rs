//! The nightly toolchain, with which alone `core` can be built for BPF, and components that linting wants.

use std::process::Command;

use crate::command::{on_path, run, say, succeeds};
use crate::ebpf::tools::{self, NIGHTLY, Nightly};
use crate::error::Error;

/// Installs the nightly toolchain or its missing source, and returns the toolchain's name.
pub(crate) fn install_missing() -> Result<String, Error> {
    if !on_path("rustup") {
        return Err(Error::ByHand {
            why: "rustup is missing, which brings the nightly toolchain for the eBPF programs. Please install it (see \
                  https://rustup.rs), for instance so, and then run the task again:"
                .to_owned(),
            commands: vec!["curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh".to_owned()],
        });
    }
    match tools::nightly() {
        Nightly::Ready(name) => Ok(name),
        Nightly::WithoutSource(name) => {
            say(&format!("adding rust-src to the toolchain {name} (once)"));
            run(Command::new("rustup").args(["component", "add", "rust-src", "--toolchain", &name]))?;
            Ok(name)
        }
        Nightly::Missing => {
            say(&format!("installing the toolchain {NIGHTLY} for the eBPF programs (once, about a minute)"));
            run(Command::new("rustup")
                .args(["toolchain", "install", NIGHTLY, "--profile", "minimal", "--component", "rust-src"])
                .arg("--no-self-update"))?;
            Ok(NIGHTLY.to_owned())
        }
    }
}

/// Adds components that are missing: `rustfmt` and `clippy` to the toolchain in use, `clippy` to the nightly one.
pub(crate) fn add_components(nightly: &str) -> Result<(), Error> {
    for (program, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !succeeds(Command::new("cargo").args([program, "--version"])) {
            say(&format!("adding {component} to the Rust toolchain (once)"));
            run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    if !succeeds(tools::rustup_run(nightly, "cargo").args(["clippy", "--version"])) {
        say(&format!("adding clippy to the toolchain {nightly} (once)"));
        run(Command::new("rustup").args(["component", "add", "clippy", "--toolchain", nightly]))?;
    }
    Ok(())
}
