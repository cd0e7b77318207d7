//! The slots of the processes that share an interface's program, and how the living know of the dead.
//!
//! A slot is held by a socket with a name in the interface's network namespace. The kernel gives a name to one socket
//! at a time and takes it back however the process ends, so a name that can be had belongs to nobody alive.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use probe_wire::shared::SLOTS;

use super::AttachError;

/// A name that this process alone has, as long as the value lives.
#[derive(Debug)]
pub(super) struct Claim {
    _socket: UnixDatagram,
}

impl Claim {
    /// Claims a slot of an interface; `None` when another process has it.
    pub(super) fn slot(interface: u32, slot: u32) -> Result<Option<Self>, AttachError> {
        Self::name(&format!("leadline/{interface}/{slot}"))
    }

    /// Claims the reading of the program's log; `None` when another process reads it.
    pub(super) fn log(interface: u32) -> Result<Option<Self>, AttachError> {
        Self::name(&format!("leadline/{interface}/log"))
    }

    fn name(name: &str) -> Result<Option<Self>, AttachError> {
        let bound = SocketAddr::from_abstract_name(name).and_then(|address| UnixDatagram::bind_addr(&address));
        match bound {
            Ok(socket) => Ok(Some(Self { _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(source) => Err(AttachError::System { operation: "claim a slot of the interface's program", source }),
        }
    }
}

const _: () = assert!(SLOTS <= 1 << u8::BITS, "a port's entry has one octet for the slot");

/// A slot of this process.
#[derive(Debug)]
pub(super) struct Slot {
    number: u8,
    _claim: Claim,
}

impl Slot {
    /// Takes the first slot that is free. Slot 0 is the interface's own.
    pub(super) fn take(interface: u32) -> Result<Self, AttachError> {
        for number in 1..SLOTS as u8 {
            if let Some(claim) = Claim::slot(interface, u32::from(number))? {
                return Ok(Self { number, _claim: claim });
            }
        }
        Err(AttachError::NoFreeSlot { slots: SLOTS - 1 })
    }

    /// Its number in a port's entry.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Its index in the maps.
    pub(super) fn index(&self) -> u32 {
        u32::from(self.number)
    }
}

/// A network namespace, by which one can tell whether two moments were spent in the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Namespace {
    device: u64,
    inode: u64,
}

impl Namespace {
    /// The calling thread's.
    pub(super) fn current() -> Result<Self, AttachError> {
        let metadata = std::fs::metadata("/proc/thread-self/ns/net")
            .map_err(|source| AttachError::System { operation: "look at the network namespace", source })?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_holder_and_is_free_when_that_leaves() {
        let interface = u32::MAX;
        let first = Slot::take(interface).unwrap();
        let second = Slot::take(interface).unwrap();
        assert_eq!((first.number, second.number), (1, 2));
        assert!(Claim::slot(interface, 1).unwrap().is_none());
        drop(first);
        assert_eq!(Slot::take(interface).unwrap().number, 1);
        assert!(Claim::slot(interface, 2).unwrap().is_none());
    }

    #[test]
    fn interfaces_have_slots_of_their_own() {
        let one = Slot::take(u32::MAX - 1).unwrap();
        let other = Slot::take(u32::MAX - 2).unwrap();
        assert_eq!((one.number, other.number), (1, 1));
    }

    #[test]
    fn slots_come_to_an_end() {
        let interface = u32::MAX - 3;
        let all: Vec<Slot> = (1..SLOTS).map(|_| Slot::take(interface).unwrap()).collect();
        assert_eq!(all.len(), 63);
        assert!(matches!(Slot::take(interface), Err(AttachError::NoFreeSlot { slots: 63 })));
    }
}
