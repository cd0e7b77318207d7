//! What can stop a task. Every message names the command or the thing, and what a person can do about it.

use std::io;
use std::process::ExitStatus;

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start `{command}`: {source}")]
    Start { command: String, source: io::Error },

    #[error("`{command}` failed: {status}")]
    Failed { command: String, status: ExitStatus },

    /// Something that only a person can do here.
    #[error("{why}\n\n    {}\n", .commands.join("\n    "))]
    ByHand { why: String, commands: Vec<String> },

    #[error("the packages {} are installed, but what they bring is still not to be found; is another program in its way?", .0.join(", "))]
    StillMissing(Vec<&'static str>),

    #[error("cannot tell where this program lies, beside which the built one is: {0}")]
    OwnPlace(io::Error),

    #[error("cannot hold back interrupts while the lab is up: {0}")]
    Signals(io::Error),

    #[error("left behind after the demo: {}", .0.join(", "))]
    LeftBehind(Vec<String>),
}
