//! The maps of one interface's program, each with the operations that the holders need.

use std::net::IpAddr;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, XskMap};
use aya::util::nr_cpus;
use ipnet::IpNet;
use probe_wire::shared::{ABI_VERSION, AllowedKey, COUNTERS_PER_SLOT, Control, Counter, Holder, PortEntry, Role, map};

use super::values::{
    ControlOctets, HolderOctets, PortOctets, address_octets, allowed_key, allowed_port, control, control_octets,
    first_addresses, holder, holder_octets, port_octets, role_and_slot,
};
use super::{AttachError, Host};

/// The slot of the interface itself.
pub(super) const INTERFACE_SLOT: u32 = 0;

/// The maps, open.
pub(super) struct Maps {
    control: Array<MapData, ControlOctets>,
    ports: Array<MapData, PortOctets>,
    addresses: HashMap<MapData, [u8; 16], u32>,
    allowed: LpmTrie<MapData, AllowedKey, u32>,
    sockets: XskMap<MapData>,
    counters: PerCpuArray<MapData, u64>,
    holders: Array<MapData, HolderOctets>,
}

impl Maps {
    /// Takes the maps from where `take` finds them by name.
    pub(super) fn collect(mut take: impl FnMut(&'static str) -> Result<Map, AttachError>) -> Result<Self, AttachError> {
        fn typed<T: TryFrom<Map, Error = MapError>>(
            take: &mut dyn FnMut(&'static str) -> Result<Map, AttachError>,
            name: &'static str,
        ) -> Result<T, AttachError> {
            take(name)?.try_into().map_err(at(name))
        }
        Ok(Self {
            control: typed(&mut take, map::CONTROL)?,
            ports: typed(&mut take, map::PORTS)?,
            addresses: typed(&mut take, map::ADDRESSES)?,
            allowed: typed(&mut take, map::ALLOWED)?,
            sockets: typed(&mut take, map::SOCKETS)?,
            counters: typed(&mut take, map::COUNTERS)?,
            holders: typed(&mut take, map::HOLDERS)?,
        })
    }

    /// Tells the program what it needs to know of the host.
    pub(super) fn set_host(&mut self, host: &Host) -> Result<(), AttachError> {
        self.change_control(|control| {
            control.abi_version = ABI_VERSION;
            control.tai_utc_offset = host.tai_utc_offset;
            control.mac = host.mac;
            control.first_addresses = first_addresses(&host.addresses);
        })
    }

    /// Has the program log one packet of so many; 0: none.
    pub(super) fn set_log_one_of(&mut self, log_one_of: u32) -> Result<(), AttachError> {
        self.change_control(|control| control.log_one_of = log_one_of)
    }

    fn change_control(&mut self, change: impl FnOnce(&mut Control)) -> Result<(), AttachError> {
        let mut value = control(&self.control.get(&0, 0).map_err(at(map::CONTROL))?);
        change(&mut value);
        self.control.set(0, control_octets(&value), 0).map_err(at(map::CONTROL))
    }

    /// Makes these the interface's own addresses, and no others.
    pub(super) fn set_own_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), AttachError> {
        let own: Vec<[u8; 16]> = addresses.iter().copied().map(address_octets).collect();
        for address in &own {
            self.addresses.insert(address, INTERFACE_SLOT, 0).map_err(at(map::ADDRESSES))?;
        }
        self.remove_addresses(|address, slot| slot == INTERFACE_SLOT && !own.contains(address))
    }

    /// Adds an address for a holder, unless it is there already.
    pub(super) fn add_address(&mut self, address: IpAddr, slot: u32) -> Result<(), AttachError> {
        let key = address_octets(address);
        match self.addresses.get(&key, 0) {
            Ok(_) => Ok(()),
            Err(MapError::KeyNotFound) => self.addresses.insert(key, slot, 0).map_err(at(map::ADDRESSES)),
            Err(error) => Err(at(map::ADDRESSES)(error)),
        }
    }

    fn remove_addresses(&mut self, unwanted: impl Fn(&[u8; 16], u32) -> bool) -> Result<(), AttachError> {
        let keys: Vec<[u8; 16]> = self
            .addresses
            .iter()
            .filter_map(Result::ok)
            .filter(|(address, slot)| unwanted(address, *slot))
            .map(|(address, _)| address)
            .collect();
        keys.iter().try_for_each(|key| gone(self.addresses.remove(key)).map_err(at(map::ADDRESSES)))
    }

    /// Gives a port its role.
    pub(super) fn set_port(&mut self, port: u16, entry: &PortEntry) -> Result<(), AttachError> {
        self.ports.set(u32::from(port), port_octets(entry), 0).map_err(at(map::PORTS))
    }

    /// Takes a port's role and its allow-list away.
    pub(super) fn clear_port(&mut self, port: u16) -> Result<(), AttachError> {
        self.set_port(port, &PortEntry::default())?;
        let keys: Vec<Key<AllowedKey>> =
            self.allowed.keys().filter_map(Result::ok).filter(|key| allowed_port(&key.data()) == port).collect();
        keys.iter().try_for_each(|key| gone(self.allowed.remove(key)).map_err(at(map::ALLOWED)))
    }

    /// Lets sources of a prefix use a port.
    pub(super) fn allow(&mut self, port: u16, prefix: IpNet, slot: u32) -> Result<(), AttachError> {
        let (bits, key) = allowed_key(port, prefix);
        self.allowed.insert(&Key::new(bits, key), slot, 0).map_err(at(map::ALLOWED))
    }

    /// Puts an AF_XDP socket on a receive queue. The kernel takes it out when the socket closes.
    pub(super) fn set_socket(&mut self, queue: u32, socket: &impl std::os::fd::AsRawFd) -> Result<(), AttachError> {
        self.sockets.set(queue, socket.as_raw_fd(), 0).map_err(at(map::SOCKETS))
    }

    /// The counters of a slot, each summed over the processors.
    pub(super) fn counters(&self, slot: u32) -> Result<Vec<(Counter, u64)>, AttachError> {
        Counter::ALL
            .iter()
            .map(|(counter, _, _)| {
                let values = self.counters.get(&counter.index(slot), 0).map_err(at(map::COUNTERS))?;
                Ok((*counter, values.iter().fold(0, |sum: u64, value| sum.wrapping_add(*value))))
            })
            .collect()
    }

    /// The holder of a slot; `None` when it is free.
    pub(super) fn holder(&self, slot: u32) -> Result<Option<Holder>, AttachError> {
        let octets = self.holders.get(&slot, 0).map_err(at(map::HOLDERS))?;
        Ok(Some(holder(&octets)).filter(|holder| holder.taken != 0))
    }

    /// Readies a slot for a new holder, after the one before if that left without a word.
    pub(super) fn occupy(&mut self, slot: u32, process: u32) -> Result<(), AttachError> {
        if self.holder(slot)?.is_some() {
            self.vacate(slot)?;
        }
        let processors = nr_cpus().map_err(|(operation, source)| AttachError::System { operation, source })?;
        let zeros = || PerCpuValues::try_from(vec![0; processors]);
        for index in 0..COUNTERS_PER_SLOT {
            let zeros = zeros().map_err(|source| AttachError::System { operation: "count the processors", source })?;
            self.counters.set(Counter(index).index(slot), zeros, 0).map_err(at(map::COUNTERS))?;
        }
        self.set_holder(slot, Holder { taken: 1, process })
    }

    /// Takes away everything that a dead holder of a slot had: ports, allow-lists, addresses, and the slot itself.
    pub(super) fn vacate(&mut self, slot: u32) -> Result<(), AttachError> {
        let nobody = Role::NONE.0;
        for port in 0..=u16::MAX {
            let octets = self.ports.get(&u32::from(port), 0).map_err(at(map::PORTS))?;
            let (role, holder) = role_and_slot(&octets);
            if role != nobody && u32::from(holder) == slot {
                self.clear_port(port)?;
            }
        }
        self.leave(slot)
    }

    /// Takes away what a holder has when its ports are given back: its addresses, and the slot itself.
    pub(super) fn leave(&mut self, slot: u32) -> Result<(), AttachError> {
        self.remove_addresses(|_, holder| holder == slot)?;
        self.set_holder(slot, Holder::default())
    }

    fn set_holder(&mut self, slot: u32, holder: Holder) -> Result<(), AttachError> {
        self.holders.set(slot, holder_octets(&holder), 0).map_err(at(map::HOLDERS))
    }
}

/// What is not there any more need not be removed.
fn gone(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}

fn at(map: &'static str) -> impl Fn(MapError) -> AttachError {
    move |source| AttachError::Map { map, source }
}
