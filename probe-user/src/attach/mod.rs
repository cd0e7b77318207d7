//! The program on the interface, and the processes that share it.
//!
//! An interface takes one XDP program, and several processes may want it: a reflector, a measurement, another reflector
//! on another port. So the first process attaches the program by a link ([`load`]), and every later one joins: it opens
//! the same link and the same maps ([`join`]). A link lives as long as somebody holds it, so the program goes with its
//! last holder, however that ends. Each holder has a slot ([`slot`]), to which its UDP ports ([`port`]), its addresses
//! and its counters belong; what a killed holder leaves in the maps is taken away by the others
//! ([`Attachment::reap`]). A program that is not ours is described ([`Occupant`]) and left alone.

mod error;
mod join;
mod link_fd;
mod load;
mod log;
mod maps;
pub mod objects;
mod occupant;
mod port;
mod privilege;
mod processes;
mod slot;
mod values;

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use probe_wire::shared::{Counter, PortEntry};

pub use self::error::AttachError;
pub use self::log::LogGuard;
pub use self::occupant::Occupant;
pub use self::port::PortGuard;
pub(crate) use self::privilege::advice_for_sending;
pub use self::processes::ProcessName;

use self::maps::{INTERFACE_SLOT, Maps};
use self::occupant::program_on;
use self::slot::{Claim, Namespace, Slot};

/// Where on the way of a frame a program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel knows of the frame.
    #[default]
    Native,
    /// In the kernel, after it made a socket buffer of the frame: slow, and for trials only.
    Generic,
    /// On the network card. Leadline does not attach there.
    Hardware,
}

impl Mode {
    /// The kernel's XDP_FLAGS_* that ask for exactly this mode.
    const fn flags(self) -> u32 {
        match self {
            Self::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
            Self::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
            Self::Hardware => libbpf_sys::XDP_FLAGS_HW_MODE,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Hardware => "hardware",
        })
    }
}

/// What the program needs to know about the host to tell which packets are for it, and what time it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The interface's own link address.
    pub mac: [u8; 6],
    /// The interface's own IP addresses.
    pub addresses: Vec<IpAddr>,
    /// Seconds by which TAI is ahead of UTC, as the kernel has it; 0 where nobody told the kernel.
    pub tai_utc_offset: i32,
}

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// The mode to attach in, or to find the program in. Native unless asked otherwise.
    pub mode: Mode,
}

/// A hold on an interface's program: attached or joined.
///
/// Ports ([`Attachment::register_port`]) and the log ([`Attachment::start_logging`]) keep the hold too, as long as their
/// guards live. Calls may come from any thread that is in the network namespace of the interface.
#[derive(Clone, Debug)]
pub struct Attachment {
    core: Arc<Core>,
}

impl Attachment {
    /// Attaches the program to an interface of the current network namespace, or joins the one that is there.
    ///
    /// # Errors
    ///
    /// [`AttachError`] names what stands in the way and what to do: no such interface, a program of someone else, a
    /// Leadline of another version, no native XDP, missing capabilities, a kernel that is too old.
    pub fn open(interface: &str, host: &Host, options: &AttachOptions) -> Result<Self, AttachError> {
        let index =
            if_nametoindex(interface).map_err(|_| AttachError::UnknownInterface { interface: interface.to_owned() })?;
        let interface = Named { name: interface.to_owned(), index };
        let namespace = Namespace::current()?;
        let Hold { link, program_id, mode, joined, mut maps } = hold(&interface, host, options.mode)?;
        let slot = Slot::take(index)?;
        maps.occupy(slot.index(), std::process::id())?;
        let core = Core {
            maps: Mutex::new(maps),
            extra_addresses: Mutex::default(),
            program_id,
            mode,
            joined,
            interface,
            namespace,
            _link: link,
            slot,
        };
        let attachment = Self { core: Arc::new(core) };
        if joined {
            attachment.refresh(host)?;
        }
        Ok(attachment)
    }

    /// Tells the program how the host is now, after an address, the link address or the TAI offset changed.
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when a map cannot be written: more addresses than it holds, or the interface is gone.
    pub fn refresh(&self, host: &Host) -> Result<(), AttachError> {
        let mut maps = self.core.maps();
        maps.set_own_addresses(&host.addresses)?;
        maps.set_host(host)
    }

    /// Answers packets to one more address, as long as this process holds the program.
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when there are too many.
    pub fn add_address(&self, address: IpAddr) -> Result<(), AttachError> {
        self.core.maps().add_address(address, self.core.slot.index())?;
        whole(&self.core.extra_addresses).push(address);
        Ok(())
    }

    /// Makes a UDP port (1 to 65,535) of the interface this process's own, and gives it a role. The slot in `entry` is
    /// filled in.
    ///
    /// # Errors
    ///
    /// [`AttachError::PortInUse`] with who has it, [`AttachError::OtherNamespace`], [`AttachError::Map`].
    pub fn register_port(&self, port: u16, entry: &PortEntry) -> Result<PortGuard, AttachError> {
        self.core.check_namespace()?;
        PortGuard::new(Arc::clone(&self.core), port, entry)
    }

    /// Like [`Attachment::register_port`], with a port that the kernel chooses among the free ones.
    ///
    /// # Errors
    ///
    /// [`AttachError::PortInUse`] when none is free, [`AttachError::OtherNamespace`], [`AttachError::Map`].
    pub fn register_free_port(&self, entry: &PortEntry) -> Result<PortGuard, AttachError> {
        const ANY: u16 = 0;
        self.register_port(ANY, entry)
    }

    /// Directs captured packets of a receive queue to an AF_XDP socket, which is bound to that queue. The kernel undoes
    /// it when the socket closes.
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when the queue is beyond [`QUEUES`](probe_wire::shared::QUEUES), or the socket is not bound.
    pub fn set_socket(&self, queue: u32, socket: &impl AsRawFd) -> Result<(), AttachError> {
        self.core.maps().set_socket(queue, socket)
    }

    /// What the program counted for this process's ports since the process took its slot, summed over the processors.
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when the kernel does not read the map.
    pub fn counters(&self) -> Result<Vec<(Counter, u64)>, AttachError> {
        self.core.maps().counters(self.core.slot.index())
    }

    /// What the program counted for no port of anyone's, since it was attached, summed over the processors.
    ///
    /// # Errors
    ///
    /// [`AttachError::Map`] when the kernel does not read the map.
    pub fn interface_counters(&self) -> Result<Vec<(Counter, u64)>, AttachError> {
        self.core.maps().counters(INTERFACE_SLOT)
    }

    /// Cleans up after holders that were killed, so that their ports are no longer served. To be called about once a
    /// second. Returns the processes that were cleaned up after.
    ///
    /// # Errors
    ///
    /// [`AttachError::OtherNamespace`], [`AttachError::Map`], [`AttachError::System`].
    pub fn reap(&self) -> Result<Vec<u32>, AttachError> {
        self.core.check_namespace()?;
        let mut maps = self.core.maps();
        let mut reaped = Vec::new();
        for slot in (1..probe_wire::shared::SLOTS).filter(|slot| *slot != self.core.slot.index()) {
            let Some(holder) = maps.holder(slot)? else { continue };
            // Holding the slot while cleaning keeps newcomers out of it.
            let Some(_claim) = Claim::slot(self.core.interface.index, slot)? else { continue };
            maps.vacate(slot)?;
            reaped.push(holder.process);
        }
        // Another holder may have configured the same address before, and taken it along.
        for address in whole(&self.core.extra_addresses).iter() {
            maps.add_address(*address, self.core.slot.index())?;
        }
        Ok(reaped)
    }

    /// Has the program log one of `one_of` packets to ports with a role (1: every packet), and calls `line` for each
    /// line, from a thread of its own, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`AttachError::LogTaken`] when another process shows the log, [`AttachError::NotPermitted`] without CAP_SYS_ADMIN,
    /// [`AttachError::OtherNamespace`], [`AttachError::Log`].
    pub fn start_logging(
        &self,
        one_of: u32,
        line: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<LogGuard, AttachError> {
        self.core.check_namespace()?;
        LogGuard::new(Arc::clone(&self.core), one_of, line)
    }

    /// True as long as the interface runs the program: it may be deleted, and a link can be detached by force.
    ///
    /// # Errors
    ///
    /// [`AttachError::OtherNamespace`], [`AttachError::System`].
    pub fn is_attached(&self) -> Result<bool, AttachError> {
        self.core.check_namespace()?;
        match program_on(self.core.interface.index) {
            Ok(program) => Ok(program.is_some_and(|(id, _)| id == self.core.program_id)),
            Err(AttachError::UnknownInterface { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.core.interface.name
    }

    /// Where the program runs.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.core.mode
    }

    /// True when another process had attached the program.
    #[must_use]
    pub fn joined(&self) -> bool {
        self.core.joined
    }

    /// This process's slot, 1 to 63.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.core.slot.index()
    }

    /// The kernel's number for the program.
    #[must_use]
    pub fn program_id(&self) -> u32 {
        self.core.program_id
    }
}

/// Attaches or joins. Others may do the same at this moment, or leave, so what was seen may be over when it is acted on.
fn hold(interface: &Named, host: &Host, mode: Mode) -> Result<Hold, AttachError> {
    const ATTEMPTS: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(25);

    let mut last_seen = None;
    for _ in 0..ATTEMPTS {
        let held = match Occupant::without_holders(interface.index)? {
            None => load::load(interface, host, mode)?,
            Some(occupant) if occupant.is_leadline() => {
                let held = join::join(interface, &occupant, mode)?;
                last_seen = Some(occupant);
                held
            }
            Some(occupant) => {
                return Err(AttachError::foreign(interface, occupant));
            }
        };
        if let Some(held) = held {
            return Ok(held);
        }
        thread::sleep(PAUSE);
    }
    match last_seen {
        // It has our name, but no link all this time: someone attached it another way.
        Some(occupant) if occupant.link_id.is_none() => Err(AttachError::foreign(interface, occupant)),
        _ => Err(AttachError::Unsettled { interface: interface.name.clone(), attempts: ATTEMPTS }),
    }
}

/// An interface by name and by index.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    index: u32,
}

/// What attaching and joining both lead to.
struct Hold {
    link: OwnedFd,
    program_id: u32,
    mode: Mode,
    joined: bool,
    maps: Maps,
}

/// The hold, and what belongs to it. The slot comes last, since fields are dropped in this order: it is free only when
/// nothing of ours is left.
struct Core {
    maps: Mutex<Maps>,
    extra_addresses: Mutex<Vec<IpAddr>>,
    program_id: u32,
    mode: Mode,
    joined: bool,
    interface: Named,
    namespace: Namespace,
    _link: OwnedFd,
    slot: Slot,
}

impl Core {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        whole(&self.maps)
    }

    /// Names and ports mean something else in another namespace.
    fn check_namespace(&self) -> Result<(), AttachError> {
        if Namespace::current()? == self.namespace { Ok(()) } else { Err(AttachError::OtherNamespace) }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // If it fails, the interface is gone, and the maps with it; else the others clean up.
        let _ = self.maps().leave(self.slot.index());
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Core")
            .field("interface", &self.interface)
            .field("program_id", &self.program_id)
            .field("slot", &self.slot.number())
            .finish_non_exhaustive()
    }
}

/// What a panic left behind the lock is whole: each operation on a map is one call of the kernel.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_may_move_between_threads() {
        fn is_send_and_sync<T: Send + Sync>() {}
        is_send_and_sync::<Attachment>();
        is_send_and_sync::<PortGuard>();
        is_send_and_sync::<LogGuard>();
        is_send_and_sync::<AttachError>();
    }

    #[test]
    fn an_unknown_interface_is_an_error_that_names_it() {
        let error = Attachment::open("nosuch0", &Host::default(), &AttachOptions::default()).unwrap_err();
        assert!(error.to_string().contains("nosuch0"), "{error}");
    }
}
