//! What the eBPF objects are built with, and where it is found. The build script and `cargo xtask` both read
//! this file, so that set-up installs exactly what the build will look for. The three versions belong together:
//! bpf-linker opens the toolchain's own LLVM and understands one major version of it.

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The nightly toolchain that set-up installs when none fits.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";

/// The version of bpf-linker that set-up installs.
pub(crate) const BPF_LINKER_VERSION: &str = "0.10.3";

/// The only major version of LLVM that this bpf-linker reads.
const LLVM_MAJOR: &str = "22";

/// The target of every eBPF build: BPF, little-endian.
const TARGET: &str = "bpfel-unknown-none";

/// The nightly toolchain, as far as it is there.
pub(crate) enum Nightly {
    /// It has all that the eBPF build needs. The name is rustup's.
    Ready(String),
    /// It fits, but lacks the component `rust-src`, from which `core` is built. The name is rustup's.
    WithoutSource(String),
    /// None is installed, or none that goes with this bpf-linker.
    Missing,
}

/// Looks for [`NIGHTLY`], then for a plain `nightly` with the right LLVM.
pub(crate) fn nightly() -> Nightly {
    let fitting: Vec<&str> = [NIGHTLY, "nightly"].into_iter().filter(|name| has_right_llvm(name)).collect();
    match fitting.iter().find(|name| has_source(name)).or(fitting.first()) {
        Some(name) if has_source(name) => Nightly::Ready((*name).to_owned()),
        Some(name) => Nightly::WithoutSource((*name).to_owned()),
        None => Nightly::Missing,
    }
}

/// Looks for bpf-linker: `$BPF_LINKER`, which is taken at its word; then `.tools/bin` in the workspace, then `PATH`,
/// where only [`BPF_LINKER_VERSION`] counts.
pub(crate) fn bpf_linker(workspace: &Path) -> Option<PathBuf> {
    if let Some(named) = env::var_os("BPF_LINKER") {
        return Some(PathBuf::from(named)).filter(|linker| linker.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    iter::once(workspace.join(".tools/bin"))
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("bpf-linker"))
        .find(|linker| output(Command::new(linker).arg("--version")).is_some_and(|text| is_right_linker(&text)))
}

/// Where one workspace's eBPF objects are built, inside a target folder: beside the profiles' own folders, so that
/// debug, release and every set of features share one eBPF build. The name holds a hash of the workspace's path,
/// because two clones may share a target folder.
pub(crate) fn folder(target: &Path, workspace: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    workspace.hash(&mut hasher);
    target.join(format!("ebpf-{:016x}", hasher.finish()))
}

/// The built object of one binary of probe-ebpf, in the [`folder`] where it was built.
pub(crate) fn object(folder: &Path, binary: &str) -> PathBuf {
    folder.join(TARGET).join("release").join(binary)
}

/// A cargo command (`build`, `clippy`) on all of probe-ebpf, with the flags that the objects need.
///
/// `target_arch` is the architecture of the kernel that will run the programs, as rustc names it.
pub(crate) fn ebpf_cargo(command: &str, nightly: &str, linker: &Path, target_arch: &str) -> Command {
    // Only from v3 on has BPF a 32-bit fetch-and-add, on which sequence numbers rest.
    let flags = [
        "-Ctarget-cpu=v3".to_owned(),
        // Packet fields have no alignment; the kernel's own accesses of every width are allowed on this memory, and
        // without this each field would be put together from single octets.
        "-Ctarget-feature=+allows-misaligned-mem-access".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("--cfg=bpf_target_arch=\"{target_arch}\""),
        format!("--check-cfg=cfg(bpf_target_arch,values(\"{target_arch}\"))"),
    ];
    let mut cargo = rustup_run(nightly, "cargo");
    cargo
        .args([command, "-Zbuild-std=core", "--release", "--target", TARGET])
        .args(["--package", "probe-ebpf", "--bins"])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker);
    // An outer cargo, clippy or coverage tool leaves its own compiler and folders in the environment.
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    cargo
}

/// `rustup run TOOLCHAIN PROGRAM`, which also puts the toolchain's libLLVM where bpf-linker looks for it.
pub(crate) fn rustup_run(toolchain: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", toolchain, program])
        .env("RUSTUP_AUTO_INSTALL", "0")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("LD_LIBRARY_PATH");
    command
}

fn has_right_llvm(toolchain: &str) -> bool {
    output(rustup_run(toolchain, "rustc").arg("-vV")).is_some_and(|text| llvm_major(&text) == Some(LLVM_MAJOR))
}

fn has_source(toolchain: &str) -> bool {
    output(rustup_run(toolchain, "rustc").args(["--print", "sysroot"]))
        .is_some_and(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

fn llvm_major(version_text: &str) -> Option<&str> {
    version_text
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))
        .and_then(|version| version.split('.').next())
}

fn is_right_linker(version_text: &str) -> bool {
    version_text.trim().strip_prefix("bpf-linker ") == Some(BPF_LINKER_VERSION)
}

/// What the command prints on standard output, if it can be run and succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
