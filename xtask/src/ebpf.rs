//! The eBPF programs by themselves. Ordinary builds need none of this: the build script of probe-user makes the
//! objects with the same command.

#[path = "../../probe-user/build/tools.rs"]
pub(crate) mod tools;

use std::env::consts::ARCH;
use std::path::PathBuf;
use std::process::Command;

use crate::command::{run, say};
use crate::error::Error;
use crate::{setup, workspace};

/// What the eBPF build is done with.
pub(crate) struct Tools {
    /// The nightly toolchain's name, as rustup knows it.
    pub(crate) nightly: String,
    pub(crate) linker: PathBuf,
}

impl Tools {
    /// A cargo command on the eBPF crate, in the folder where ordinary builds make the objects too.
    pub(crate) fn cargo(&self, command: &str) -> Result<Command, Error> {
        let mut cargo = tools::ebpf_cargo(command, &self.nightly, &self.linker, ARCH);
        cargo.current_dir(workspace::root()).arg("--target-dir").arg(folder()?);
        Ok(cargo)
    }
}

/// Builds the objects and says where they are.
pub(crate) fn build() -> Result<(), Error> {
    let tools = setup::prepare()?;
    say("building the eBPF objects");
    run(&mut tools.cargo("build")?)?;
    for binary in ["leadline-xdp", "leadline-lab-xdp"] {
        say(&format!("built {}", tools::object(&folder()?, binary).display()));
    }
    Ok(())
}

fn folder() -> Result<PathBuf, Error> {
    Ok(tools::folder(&workspace::target()?, workspace::root()))
}
