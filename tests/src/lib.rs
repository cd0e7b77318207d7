//! Tools of the end-to-end tests: namespaces, a wire that does what a script says, and a second, plain way to know the truth.
//!
//! Nothing here shares code with the product's parser or metrics. A test that asked the product what the truth is would
//! find it truthful whatever it said.

pub mod cases;
pub mod fixed_verdict;
pub mod frame;
pub mod namespace;
pub mod network;
pub mod packet_socket;
pub mod plain;
pub mod product;
pub mod require;
pub mod script;
pub mod truth;
pub mod wire;

use std::path::PathBuf;

/// The `leadline` program under test: `LEADLINE_BIN` if set, else the newest one that cargo has built beside this test.
///
/// # Panics
/// When there is none; the message says how to build it.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LEADLINE_BIN") {
        return path.into();
    }
    let here = std::env::current_exe().expect("a test knows where it is");
    let profile = here.ancestors().nth(2).expect("tests run from target/PROFILE/deps");
    let target = profile.parent().expect("a profile is a folder of the target folder");
    let built = |folder: &std::path::Path| {
        let path = folder.join("leadline");
        let time = path.metadata().and_then(|file| file.modified()).ok()?;
        Some((time, path))
    };
    [profile, &target.join("release"), &target.join("debug")]
        .into_iter()
        .filter_map(built)
        .max()
        .map(|(_, path)| path)
        .unwrap_or_else(|| {
            panic!("no leadline under {}: run `cargo build -p probe-user`, or set LEADLINE_BIN", target.display())
        })
}
