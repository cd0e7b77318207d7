//! What can go wrong when a program is attached, joined or used, and what to do about it.

use std::error::Error;
use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use super::occupant::Occupant;
use super::processes::{ProcessName, list};
use super::{Mode, Named, privilege};
use crate::report::advice::Advice;

/// An interface's program could not be attached, joined or used. The message says what is in the way;
/// [`Advice::help`] what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// No such interface in this network namespace.
    #[error("there is no interface {interface} in this network namespace")]
    UnknownInterface {
        /// The name as given.
        interface: String,
    },

    /// The kernel does not permit it.
    #[error("not permitted to {operation}{}", privilege::lacks(.missing))]
    NotPermitted {
        /// What was tried.
        operation: &'static str,
        /// The capabilities that are needed and that this process lacks; empty when it lacks none.
        missing: Vec<&'static str>,
    },

    /// The kernel lacks what the programs need.
    #[error("kernel {release} is too old: the programs need Linux {needed} or later (bpf_ktime_get_tai_ns)")]
    KernelTooOld {
        /// The kernel's release, as `uname -r` has it.
        release: String,
        /// The first release that has everything.
        needed: &'static str,
        /// What the kernel said.
        source: Box<AttachError>,
    },

    /// The driver has no native XDP.
    #[error("the driver of {interface} has no native XDP")]
    NoNativeXdp {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },

    /// The driver refuses the program as things are set.
    #[error("{interface} refuses an XDP program: {source}")]
    Refused {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },

    /// A program of someone else sits on the interface. It is left alone.
    #[error("{interface} has an XDP program already that is not Leadline's: {occupant}")]
    Foreign {
        /// The interface.
        interface: String,
        /// What is known of the program.
        occupant: Box<Occupant>,
    },

    /// Leadline of another version holds the interface.
    #[error(
        "{interface} is in use by a Leadline whose programs speak version {theirs} of the contract with user space, \
         where this one speaks {ours}; it is held by {}", list(.holders)
    )]
    OtherVersion {
        /// The interface.
        interface: String,
        /// This program's version.
        ours: u32,
        /// The version of the programs on the interface.
        theirs: u32,
        /// The processes that hold the programs, as far as they can be seen.
        holders: Vec<ProcessName>,
    },

    /// Leadline's program runs on the interface in another mode than asked for.
    #[error(
        "Leadline's program is attached to {interface} in {present} mode, and {asked} was asked for; it is held by {}",
        list(.holders)
    )]
    OtherMode {
        /// The interface.
        interface: String,
        /// The mode that was asked for.
        asked: Mode,
        /// The mode that it is attached in.
        present: Mode,
        /// The processes that hold the programs, as far as they can be seen.
        holders: Vec<ProcessName>,
    },

    /// The object inside this program is not what this program expects: a mistake of the build.
    #[error("the eBPF object in this program {problem}")]
    Object {
        /// What is wrong with it.
        problem: String,
    },

    /// The kernel does not load the programs.
    #[error("the kernel does not load the programs: {}", loading(.source))]
    Load {
        /// What aya or the kernel said.
        source: Box<EbpfError>,
    },

    /// Processes came and went on the interface too quickly to attach or to join.
    #[error("XDP programs came and went on {interface} for {attempts} attempts")]
    Unsettled {
        /// The interface.
        interface: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// As many processes share the interface as can.
    #[error("{slots} processes share this interface already, and no more can")]
    NoFreeSlot {
        /// How many can share an interface.
        slots: u32,
    },

    /// The calling thread is in another network namespace than the one of the interface.
    #[error("this thread has left the network namespace in which the interface was opened")]
    OtherNamespace,

    /// Someone has the UDP port.
    #[error("UDP port {port} is in use on this interface by {}", list(.owners))]
    PortInUse {
        /// The port.
        port: u16,
        /// The processes that have it, as far as they can be seen.
        owners: Vec<ProcessName>,
    },

    /// A UDP port cannot be had for another reason.
    #[error("UDP port {port} cannot be reserved: {operation}: {source}")]
    Port {
        /// The port; 0 for any free one.
        port: u16,
        /// What failed.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// A map cannot be read or written.
    #[error("the programs' map {map} cannot be used: {}", chain(.source))]
    Map {
        /// Its name.
        map: &'static str,
        /// What aya or the kernel said.
        source: MapError,
    },

    /// The program on the interface lacks a map.
    #[error("the programs have no map {map}: they are not of this version of Leadline")]
    NoMap {
        /// Its name.
        map: &'static str,
    },

    /// Another process reads the programs' log.
    #[error("another process shows the log of this interface's programs, and only one can")]
    LogTaken,

    /// The programs' log cannot be read.
    #[error("the log of the interface's programs cannot be read: {}", chain(.source))]
    Log {
        /// What aya-log said.
        source: aya_log::Error,
    },

    /// A system call failed that does not fail on a healthy host.
    #[error("cannot {operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl AttachError {
    /// The error for a program that is not ours, with who holds it.
    pub(super) fn foreign(interface: &Named, occupant: Occupant) -> Self {
        Self::Foreign { interface: interface.name.clone(), occupant: Box::new(occupant.with_holders()) }
    }

    /// The error for a failed step of loading, which may have a better name.
    pub(super) fn load(source: impl Into<EbpfError>) -> Self {
        let source = source.into();
        let denied = is_denied(&source);
        let error = Self::Load { source: Box::new(source) };
        if denied {
            return Self::not_permitted("load an XDP program", privilege::FOR_ATTACHING).unwrap_or(error);
        }
        error.blame_kernel()
    }

    /// The error for a failed call of the kernel's BPF interface.
    pub(super) fn bpf(operation: &'static str, needed: &[privilege::Capability], source: io::Error) -> Self {
        if is_denied(&source)
            && let Some(error) = Self::not_permitted(operation, needed)
        {
            return error;
        }
        Self::System { operation, source }
    }

    /// The error for a program or link that the kernel does not show to this process.
    pub(super) fn sight(operation: &'static str, source: ProgramError) -> Self {
        if is_denied(&source)
            && let Some(error) = Self::not_permitted(operation, privilege::FOR_JOINING)
        {
            return error;
        }
        Self::load(source)
    }

    /// Says which capabilities are missing. `None` if the process cannot look at its own.
    pub(super) fn not_permitted(operation: &'static str, needed: &[privilege::Capability]) -> Option<Self> {
        let missing = privilege::missing(needed).ok()?;
        Some(Self::NotPermitted { operation, missing })
    }

    /// On an old kernel, that it is old is the better explanation.
    fn blame_kernel(self) -> Self {
        match privilege::kernel_too_old() {
            Some(release) => Self::KernelTooOld { release, needed: privilege::NEEDED_KERNEL, source: Box::new(self) },
            None => self,
        }
    }
}

/// True when an EPERM or EACCES is at the root of an error.
fn is_denied(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

/// Why a program was not loaded.
fn loading(error: &EbpfError) -> String {
    match error {
        EbpfError::ProgramError(ProgramError::LoadError { io_error, verifier_log }) => {
            format!("{io_error}; the verifier's last words: {}", last_words(&verifier_log.to_string()))
        }
        other => chain(other),
    }
}

/// The verifier tells its whole walk, of which the end is what matters.
fn last_words(log: &str) -> String {
    const LINES: usize = 3;
    let mut last: Vec<&str> = log.lines().rev().filter(|line| !line.trim().is_empty()).take(LINES).collect();
    last.reverse();
    last.join(" | ")
}

/// An error and what caused it in one line, since aya's own message often leaves the cause out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

impl Advice for AttachError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::UnknownInterface { .. } => "`ip link` lists the interfaces that are there".to_owned(),
            Self::NotPermitted { missing, .. } => privilege::advice(missing).to_owned(),
            Self::KernelTooOld { .. } => "measure with `--via socket`, which works on this kernel".to_owned(),
            Self::NoNativeXdp { interface, .. } => format!(
                "use `--via socket`, or an interface whose driver has it: `leadline doctor --interface {interface}` \
                 tells what there is"
            ),
            Self::Refused { interface, .. } => format!(
                "drivers refuse when the MTU is too large, when large-receive offload is on, or when too few queues are \
                 free; `leadline doctor --interface {interface}` and `dmesg` tell more"
            ),
            Self::Foreign { interface, occupant } => occupant.advice(interface),
            Self::OtherVersion { .. } => "stop that one, or use the same version".to_owned(),
            Self::OtherMode { present, .. } => format!("stop that one, or ask for {present}"),
            Self::Object { .. } => "build it again from clean".to_owned(),
            Self::Unsettled { .. } => "try again".to_owned(),
            Self::NoFreeSlot { .. } => "stop one".to_owned(),
            Self::OtherNamespace => "call from inside it".to_owned(),
            Self::PortInUse { .. } => "choose another port with --port, or stop the other process".to_owned(),
            Self::LogTaken => "stop that one's logging".to_owned(),
            Self::NoMap { .. } => "stop the other Leadline on this interface, or use the same version".to_owned(),
            Self::Load { .. } | Self::Port { .. } | Self::Map { .. } | Self::Log { .. } | Self::System { .. } => {
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_deep_inside_is_found() {
        let denied = || io::Error::from_raw_os_error(libc::EPERM);
        let deep = EbpfError::MapError(MapError::CreateError { name: "PORTS".to_owned(), io_error: denied() });
        assert!(is_denied(&deep));
        assert!(is_denied(&io::Error::from_raw_os_error(libc::EACCES)));
        assert!(!is_denied(&io::Error::from_raw_os_error(libc::EBUSY)));
    }

    #[test]
    fn of_the_verifiers_walk_the_end_is_told() {
        let log = "0: R1=ctx()\n1: r0 = 0\n2: exit\n\ninvalid access\nprocessed 3\n";
        assert_eq!(last_words(log), "2: exit | invalid access | processed 3");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn a_line_names_each_cause_once() {
        let source = MapError::CreateError { name: "PORTS".to_owned(), io_error: io::Error::other("no memory") };
        let error = AttachError::Map { map: "PORTS", source };
        assert_eq!(
            error.to_string(),
            "the programs' map PORTS cannot be used: failed to create map `PORTS`: no memory"
        );
    }
}
