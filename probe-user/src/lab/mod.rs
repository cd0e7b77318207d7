//! The lab: two network namespaces joined by a link, with a reflector at the far end.
//!
//! It lets anybody try the whole of Leadline on one machine with no network card to spare, and it is where the tests
//! run. A lab cleans up after itself, and after one that was killed: everything that it makes can be found again by
//! its [`Layout`], so that the next `up` or `down` clears whatever is left.

mod error;
mod execution;
mod layout;
pub mod namespace;
mod process;
mod queueing;
mod reflector;
mod state;
mod wiring;

use std::{convert::Infallible, ffi::OsString, fmt, fs, path::PathBuf, process::ExitStatus};

pub use error::LabError;
pub use layout::{
    IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH, LabOptions, Layout, REFLECTOR_INTERFACE, REFLECTOR_IPV4, REFLECTOR_IPV6,
    REFLECTOR_MAC, Reflector, SENDER_INTERFACE, SENDER_IPV4, SENDER_IPV6, SENDER_MAC,
};
pub use namespace::{Namespace, NamespaceError};
pub use process::Process;

use state::{Lock, Record};

/// Makes the lab, or finds that it is there: `leadline lab up`.
///
/// # Errors
///
/// Those of [`Lab::up`].
pub fn up(options: LabOptions) -> Result<Lab, LabError> {
    Lab::up(options)
}

/// Removes the lab of the default layout and tells what there was to remove: `leadline lab down`.
///
/// # Errors
///
/// Those of [`Lab::clear`].
pub fn down() -> Result<Vec<Trace>, LabError> {
    Lab::clear(&Layout::default())
}

/// Runs a command at the sender's end of the lab of the default layout and waits for it.
///
/// # Errors
///
/// Those of [`Lab::find`] and [`Lab::run`].
pub fn run(command: &[OsString]) -> Result<ExitStatus, LabError> {
    Lab::find(&Layout::default())?.run(command)
}

/// Becomes a command at the sender's end of the lab of the default layout: `leadline lab run -- COMMAND`. Exit status and
/// signals are then the command's without further ado.
///
/// # Errors
///
/// Those of [`Lab::find`] and [`Lab::exec`].
pub fn exec(command: &[OsString]) -> Result<Infallible, LabError> {
    Lab::find(&Layout::default())?.exec(command)
}

/// A lab that is up. Dropping this value leaves it up.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    record: Record,
    sender: Namespace,
    reflector: Namespace,
    origin: Origin,
}

/// How [`Lab::up`] came to its lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There was nothing before.
    New,
    /// It was up and healthy already.
    Existing,
    /// What was left of another lab was cleared first.
    Repaired(Vec<Trace>),
}

/// Something that a lab leaves on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A reflector that still runs.
    Reflector(Process),
    /// A named network namespace, and the link in it.
    Namespace(String),
    /// The record and the log.
    StateFolder(PathBuf),
}

/// A lab, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabStatus {
    /// There is no trace of one.
    Down,
    /// It is whole.
    Up {
        /// MTU of the link in octets.
        mtu: u32,
        /// Queues at each end.
        queues: u32,
        /// The reflector, if the lab has one.
        reflector: Option<Process>,
        /// Where the reflector's output goes.
        log: PathBuf,
    },
    /// Something is missing: the next `up` makes it anew, the next `down` clears it.
    Broken(Vec<Trace>),
}

impl Lab {
    /// Makes the lab. A healthy one that fits the options is taken as it is; what an interrupted one left is cleared.
    ///
    /// Returns when the reflector is ready; it goes on running when the process ends. On an error nothing is left.
    ///
    /// # Errors
    ///
    /// [`LabError::NotPrivileged`], [`LabError::OutOfRange`], [`LabError::OtherSettings`] when a healthy lab with
    /// other settings is up, and whatever goes wrong on the way.
    pub fn up(options: LabOptions) -> Result<Self, LabError> {
        options.check()?;
        require_privileges()?;
        let _lock = Lock::take(&options.layout)?;
        if let Some(lab) = Self::healthy(&options.layout) {
            return if lab.fits(&options) { Ok(lab) } else { Err(lab.other_settings()) };
        }
        let leftovers = clear(&options.layout)?;
        let origin = if leftovers.is_empty() { Origin::New } else { Origin::Repaired(leftovers) };
        Self::build(&options, origin).inspect_err(|_| {
            // The first error is the one to tell; the next `up` or `down` clears what cannot be cleared now.
            let _ = clear(&options.layout);
        })
    }

    /// The lab that is up.
    ///
    /// # Errors
    ///
    /// [`LabError::NotUp`] when there is none, or not a whole one.
    pub fn find(layout: &Layout) -> Result<Self, LabError> {
        require_privileges()?;
        Self::healthy(layout).ok_or(LabError::NotUp)
    }

    /// Removes the lab.
    ///
    /// # Errors
    ///
    /// Those of [`Lab::clear`].
    pub fn down(self) -> Result<(), LabError> {
        Self::clear(&self.layout).map(drop)
    }

    /// Removes every trace of a lab, whole or not, and tells what there was.
    ///
    /// # Errors
    ///
    /// [`LabError::NotPrivileged`], or whatever cannot be removed.
    pub fn clear(layout: &Layout) -> Result<Vec<Trace>, LabError> {
        require_privileges()?;
        let _lock = Lock::take(layout)?;
        clear(layout)
    }

    /// What there is of a lab.
    ///
    /// # Errors
    ///
    /// [`LabError::Refused`] when the processes cannot be looked through.
    pub fn status(layout: &Layout) -> Result<LabStatus, LabError> {
        if let Some(lab) = Self::healthy(layout) {
            let Record { mtu, queues, reflector } = lab.record;
            return Ok(LabStatus::Up { mtu, queues, reflector, log: reflector::log_path(layout) });
        }
        let traces = traces(layout)?;
        Ok(if traces.is_empty() { LabStatus::Down } else { LabStatus::Broken(traces) })
    }

    /// Runs a command at the sender's end and waits for it. It shares this process's terminal, input and output.
    ///
    /// # Errors
    ///
    /// [`LabError::NoCommand`], or [`LabError::Command`] when it cannot be started. A command that fails is no error
    /// here.
    pub fn run(&self, command: &[OsString]) -> Result<ExitStatus, LabError> {
        execution::run(&self.sender, command)
    }

    /// Becomes a command at the sender's end: this process goes on as the command.
    ///
    /// # Errors
    ///
    /// [`LabError::NoCommand`], or [`LabError::Command`] when it cannot be started.
    pub fn exec(&self, command: &[OsString]) -> Result<Infallible, LabError> {
        execution::exec(&self.sender, command)
    }

    /// How this lab came to be.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The namespace in which commands run.
    pub fn sender(&self) -> &Namespace {
        &self.sender
    }

    /// The namespace in which the reflector runs.
    pub fn reflector(&self) -> &Namespace {
        &self.reflector
    }

    fn build(options: &LabOptions, origin: Origin) -> Result<Self, LabError> {
        let layout = &options.layout;
        state::make_folder(layout)?;
        let sender = Namespace::create(&layout.sender_namespace)?;
        let reflector = Namespace::create(&layout.reflector_namespace)?;
        wiring::join(&sender, &reflector, options)?;
        let process =
            options.reflector.as_ref().map(|program| reflector::start(program, &reflector, layout)).transpose()?;
        let record = Record { mtu: options.mtu, queues: options.queues, reflector: process };
        record.write(layout)?;
        Ok(Self { layout: layout.clone(), record, sender, reflector, origin })
    }

    /// The lab, if nothing of it is missing.
    fn healthy(layout: &Layout) -> Option<Self> {
        let record = Record::read(layout)?;
        let sender = Namespace::open(&layout.sender_namespace).ok()?;
        let reflector = Namespace::open(&layout.reflector_namespace).ok()?;
        let whole = record.reflector.is_none_or(Process::is_running)
            && wiring::is_whole(&sender, &reflector, record.mtu, record.queues);
        whole.then(|| Self { layout: layout.clone(), record, sender, reflector, origin: Origin::Existing })
    }

    fn fits(&self, options: &LabOptions) -> bool {
        let Record { mtu, queues, reflector } = self.record;
        (mtu, queues, reflector.is_some()) == (options.mtu, options.queues, options.reflector.is_some())
    }

    fn other_settings(&self) -> LabError {
        let Record { mtu, queues, reflector } = self.record;
        LabError::OtherSettings { mtu, queues, reflector: reflector.is_some() }
    }
}

/// What there is of a lab, in the order in which it is to be removed.
fn traces(layout: &Layout) -> Result<Vec<Trace>, LabError> {
    let mut reflectors = reflector::find_all(layout)?;
    let recorded = Record::read(layout).and_then(|record| record.reflector).filter(|process| process.is_running());
    if let Some(process) = recorded
        && !reflectors.contains(&process)
    {
        reflectors.push(process);
    }
    let mut traces: Vec<Trace> = reflectors.into_iter().map(Trace::Reflector).collect();
    let namespaces = [&layout.sender_namespace, &layout.reflector_namespace];
    traces.extend(namespaces.into_iter().filter(|name| Namespace::name_is_taken(name)).cloned().map(Trace::Namespace));
    if fs::symlink_metadata(&layout.state_folder).is_ok() {
        traces.push(Trace::StateFolder(layout.state_folder.clone()));
    }
    Ok(traces)
}

/// Removes every trace. The caller holds the lock.
fn clear(layout: &Layout) -> Result<Vec<Trace>, LabError> {
    let traces = traces(layout)?;
    for trace in &traces {
        match trace {
            Trace::Reflector(process) => {
                process.end().map_err(|source| LabError::refused("end the lab's reflector", source))?;
            }
            Trace::Namespace(name) => {
                // A process that is still inside would keep the link alive in a namespace without a name.
                if let Ok(namespace) = Namespace::open(name) {
                    wiring::part(&namespace)?;
                }
                Namespace::remove(name)?;
            }
            Trace::StateFolder(_) => state::remove_folder(layout)?,
        }
    }
    Ok(traces)
}

/// Making namespaces takes one capability, links and addresses in them another.
fn require_privileges() -> Result<(), LabError> {
    let status = fs::read_to_string("/proc/thread-self/status")
        .map_err(|source| LabError::refused("read this process's capabilities", source))?;
    let needed = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];
    match needed.into_iter().find(|(_, bit)| effective_capabilities(&status) & (1 << bit) == 0) {
        Some((capability, _)) => Err(LabError::NotPrivileged { capability }),
        None => Ok(()),
    }
}

/// The effective set in the words of `/proc/PID/status`, one bit a capability.
fn effective_capabilities(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reflector(process) => write!(f, "reflector, process {}", process.pid),
            Self::Namespace(name) => write!(f, "network namespace {name}"),
            Self::StateFolder(path) => write!(f, "state folder {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        let status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000000000201000\nCapBnd:\tffffffffffffffff\n";
        assert_eq!(effective_capabilities(status), (1 << 21) | (1 << 12));
        assert_eq!(effective_capabilities("Name:\tx\n"), 0);
    }
}
