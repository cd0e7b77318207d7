//! Tests that need root say so when they cannot run, and fail where they must run.

/// Whether this test can go on: it may make namespaces and links.
///
/// # Panics
///
/// When it may not and `CI=true`: there a skipped test would hide a broken one.
pub fn is_root(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{test} needs root, and CI must not skip it"
    );
    eprintln!("SKIPPED: {test} needs root");
    false
}
