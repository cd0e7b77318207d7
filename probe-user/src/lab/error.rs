//! What can go wrong with the lab.

use std::{io, path::PathBuf};

use super::namespace::NamespaceError;
use crate::net::NetError;

/// A lab that cannot be made, used or removed. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The process may not make namespaces or links.
    #[error("the lab needs {capability}, which this process does not have: run as root")]
    NotPrivileged {
        /// The missing capability.
        capability: &'static str,
    },

    /// An option is outside of its range.
    #[error("lab option {option} is {value}; it must be between {least} and {most}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u32,
        /// The least value allowed.
        least: u32,
        /// The greatest value allowed.
        most: u32,
    },

    /// A healthy lab is up, and it is not the one asked for.
    #[error(
        "a lab with mtu {mtu} and {queues} queues{} is up already; `leadline lab down` first, or take it as it is",
        if *reflector { "" } else { " and without a reflector" }
    )]
    OtherSettings {
        /// MTU of the lab that is up.
        mtu: u32,
        /// Queues of the lab that is up.
        queues: u32,
        /// Whether a reflector runs in it.
        reflector: bool,
    },

    /// There is no lab, or only what is left of one.
    #[error("the lab is not up; `leadline lab up` first")]
    NotUp,

    /// The reflector ended before it was ready.
    #[error("the lab's reflector `{command}` ended with {status}{}", last_words(log))]
    ReflectorEnded {
        /// Program and arguments.
        command: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it wrote.
        log: String,
    },

    /// The reflector runs and has not attached its program.
    #[error("the lab's reflector `{command}` attached no XDP program within {seconds} s{}", last_words(log))]
    ReflectorNotReady {
        /// Program and arguments.
        command: String,
        /// How long it was waited for.
        seconds: u64,
        /// The end of what it wrote.
        log: String,
    },

    /// There is nothing to run.
    #[error("no command to run in the lab; write it behind `--`, as in `leadline lab run -- ping 198.18.0.2`")]
    NoCommand,

    /// The command cannot be started.
    #[error("cannot run `{command}` in the lab: {source}")]
    Command {
        /// The program.
        command: String,
        /// Why.
        source: io::Error,
    },

    /// A file of the lab's record cannot be read or written.
    #[error("cannot {operation} {}: {source}", path.display())]
    State {
        /// "read", "write", ...
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A system call was refused.
    #[error("cannot {operation}: {source}")]
    Refused {
        /// What was tried, as the end of "cannot ...".
        operation: String,
        /// Why.
        source: io::Error,
    },

    /// A namespace is in the way.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),

    /// The link is in the way.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl LabError {
    pub(super) fn refused(operation: impl Into<String>, source: io::Error) -> Self {
        Self::Refused { operation: operation.into(), source }
    }
}

fn last_words(log: &str) -> String {
    match log.trim() {
        "" => "; it wrote nothing".to_owned(),
        words => format!("; it wrote: {words}"),
    }
}

/// But for those of the network, the messages themselves say what to do.
impl crate::report::advice::Advice for LabError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Net(error) => error.help(),
            _ => None,
        }
    }
}
