//! Set-up: looks at what is there, and installs what is missing. Outside of the clone it adds system packages,
//! a Rust toolchain and nothing else; bpf-linker goes to `.tools` in the clone. With everything in place it takes
//! a blink and uses no network.

mod linker;
mod packages;
mod toolchain;

pub(crate) use toolchain::add_components;

use crate::command::say;
use crate::ebpf::Tools;
use crate::error::Error;

/// Installs what is missing.
pub(crate) fn setup() -> Result<(), Error> {
    prepare()?;
    say("all that the build and the tests need is here");
    Ok(())
}

/// The same for other tasks: without the closing word, and with what the eBPF build needs to know.
pub(crate) fn prepare() -> Result<Tools, Error> {
    packages::install_missing()?;
    let nightly = toolchain::install_missing()?;
    let linker = linker::install_missing()?;
    Ok(Tools { nightly, linker })
}
