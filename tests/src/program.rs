//! The program under test, and how it is run.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The `leadline` program under test: the one that `LEADLINE_BIN` names, or else one built now, in the profile of the
/// tests, from the sources beside them.
///
/// # Panics
/// When it cannot be built; the compiler's messages are on standard error.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("LEADLINE_BIN").map_or_else(build, PathBuf::from)).clone()
}

/// Runs `leadline` with its output caught, and without what in the environment changes how it looks.
///
/// # Panics
/// When it cannot be started.
pub fn leadline(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    Command::new(binary())
        .args(arguments)
        .env_remove("COLUMNS")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null())
        .output()
        .expect("leadline can be started")
}

fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--quiet", "--package", "probe-user", "--bin", "leadline"])
        .args(["--message-format", "json-render-diagnostics", "--profile", &profile()])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "leadline cannot be built");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "leadline")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo says where the program is")
}

/// The folder of the sources. Cargo tells a running test where its package is; that holds even where several checkouts
/// share one target folder, unlike what was compiled in.
fn workspace() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("..")
}

/// The profile of the running tests, from the folder that their program is in: `<target>/<profile>/deps/`.
fn profile() -> String {
    let program = env::current_exe().unwrap_or_default();
    let folder = program.ancestors().nth(2).and_then(Path::file_name);
    match folder.and_then(OsStr::to_str) {
        None | Some("debug") => "dev".to_owned(),
        Some(profile) => profile.to_owned(),
    }
}
