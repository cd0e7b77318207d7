//! Builds the eBPF objects that the library carries inside it: `leadline-xdp`, the product's programs, and
//! `leadline-lab-xdp`, small programs for tests and benches. aya-build is not used, because it sets the compiler
//! flags itself and leaves no way to ask for BPF v3.
#![allow(clippy::print_stdout, reason = "a build script speaks to cargo on standard output")]

#[path = "build/tools.rs"]
mod tools;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Each binary of probe-ebpf, and the variable that tells `attach::objects` where its object is.
const OBJECTS: [(&str, &str); 2] =
    [("leadline-xdp", "LEADLINE_XDP_OBJECT"), ("leadline-lab-xdp", "LEADLINE_LAB_XDP_OBJECT")];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().unwrap_or(&manifest);
    let out = PathBuf::from(variable("OUT_DIR")?);
    name_inputs(workspace);

    let nightly = match tools::nightly() {
        tools::Nightly::Ready(name) => name,
        tools::Nightly::WithoutSource(name) => {
            return Err(missing(&format!("the component rust-src of the toolchain {name}")));
        }
        tools::Nightly::Missing => {
            return Err(missing(&format!("the Rust toolchain {}", tools::NIGHTLY)));
        }
    };
    let linker =
        tools::bpf_linker(workspace).ok_or_else(|| missing(&format!("bpf-linker {}", tools::BPF_LINKER_VERSION)))?;

    // OUT_DIR is TARGET/PROFILE/build/PACKAGE/out. Should cargo change that, this is merely another folder.
    let folder = tools::folder(out.ancestors().nth(4).unwrap_or(&out), workspace);
    let mut cargo = tools::ebpf_cargo("build", &nightly, &linker, &variable("CARGO_CFG_TARGET_ARCH")?);
    cargo.current_dir(workspace).arg("--target-dir").arg(&folder);
    let output = cargo.output().map_err(|error| format!("cannot run {cargo:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("the eBPF programs do not build:\n{}", String::from_utf8_lossy(&output.stderr)));
    }

    for (binary, variable) in OBJECTS {
        let built = tools::object(&folder, binary);
        let object = out.join(binary);
        fs::copy(&built, &object)
            .map_err(|error| format!("cannot copy {} to {}: {error}", built.display(), object.display()))?;
        println!("cargo::rustc-env={variable}={}", object.display());
    }
    Ok(())
}

fn missing(what: &str) -> String {
    format!(
        "the eBPF programs cannot be built: {what} is missing.\nRun `cargo xtask setup`, which installs what is missing."
    )
}

/// Tells cargo when to build again.
fn name_inputs(workspace: &Path) {
    println!("cargo::rerun-if-env-changed=BPF_LINKER");
    for input in ["probe-ebpf", "probe-wire", "Cargo.toml", "Cargo.lock", "probe-user/build.rs", "probe-user/build"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo did not set {name}: {error}"))
}
