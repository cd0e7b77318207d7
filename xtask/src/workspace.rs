//! Where things are: the clone, its target folder, and the built program.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The clone's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The target folder: the one that this program was itself built into, wherever cargo was told to put it.
pub(crate) fn target() -> Result<PathBuf, Error> {
    let own = env::current_exe().map_err(Error::OwnPlace)?;
    // TARGET/debug/xtask
    Ok(own.ancestors().nth(2).unwrap_or(root()).to_owned())
}

/// The release build of `leadline`; built or not.
pub(crate) fn leadline() -> Result<PathBuf, Error> {
    Ok(target()?.join("release").join("leadline"))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    // A process owns its own entry in /proc under its effective user.
    Path::new("/proc/self").metadata().is_ok_and(|entry| entry.uid() == 0)
}

/// How to run a task as root with this user's toolchain.
pub(crate) fn as_root(task: &str) -> String {
    format!(r#"sudo env "PATH=$PATH" "HOME=$HOME" cargo xtask {task}"#)
}
