//! The program in the kernel, attached to nothing, with its maps as the rows presume them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use leadline_tests::network::Family;
use leadline_tests::request::{ALLOWED, ALLOWED_ELSEWHERE, Manner, REFLECTOR_MAC, SENDER_PORT, TAI_UTC_OFFSET};
use leadline_tests::test_run::{self, Outcome};
use probe_user::attach::objects::LEADLINE_XDP;
use probe_wire::shared::{ABI_VERSION, ALLOWED_PORT_BITS, Counter, PROGRAM, Role, map};

/// The slot that counts for the interface as a whole.
pub(crate) const INTERFACE: u32 = 0;
/// The slot of the reflector's ports.
pub(crate) const REFLECTOR: u32 = 1;
/// The slot of the sender's port.
pub(crate) const SENDER: u32 = 2;

/// How often each counter has counted, by slot and name; those at 0 are left out.
pub(crate) type Counts = BTreeMap<(u32, &'static str), u64>;

pub(crate) struct Program {
    ebpf: Ebpf,
    descriptor: OwnedFd,
}

impl Program {
    /// Loads the program, and fills its maps: every [`Manner`]'s port, the sender's, both ends' addresses, the allow-list.
    pub(crate) fn load() -> Self {
        let mut ebpf = EbpfLoader::new().load(LEADLINE_XDP).expect("the object loads");
        let program: &mut Xdp = ebpf.program_mut(PROGRAM).expect("the program").try_into().expect("an XDP program");
        program.load().expect("the verifier accepts the program");
        let descriptor = program.fd().expect("loaded").as_fd().try_clone_to_owned().expect("a second descriptor");
        let mut program = Self { ebpf, descriptor };
        program.set_control();
        program.set_ports();
        program.set_addresses();
        program.set_allowed();
        program
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub(crate) fn run(&self, frame: &[u8]) -> Outcome {
        test_run::run(self.descriptor(), frame)
    }

    /// The counters of the slots in use.
    pub(crate) fn counts(&self) -> Counts {
        let counters: PerCpuArray<&MapData, u64> =
            self.ebpf.map(map::COUNTERS).expect("counters").try_into().expect("a per-CPU array");
        let mut counts = Counts::new();
        for slot in [INTERFACE, REFLECTOR, SENDER] {
            for (counter, name, _) in Counter::ALL {
                let value: u64 = counters.get(&counter.index(slot), 0).expect("a value").iter().sum();
                if value != 0 {
                    counts.insert((slot, *name), value);
                }
            }
        }
        counts
    }

    /// Takes and returns the outcome of `action` with what the counters gained by it.
    pub(crate) fn counted<T>(&self, action: impl FnOnce() -> T) -> (T, Counts) {
        let before = self.counts();
        let result = action();
        let mut gained = self.counts();
        gained.retain(|key, value| {
            *value -= before.get(key).copied().unwrap_or(0);
            *value != 0
        });
        (result, gained)
    }

    /// Directs the captured packets of a receive queue to a socket.
    pub(crate) fn set_socket(&mut self, queue: u32, socket: &OwnedFd) {
        let mut sockets: XskMap<_> =
            self.ebpf.map_mut(map::SOCKETS).expect("sockets").try_into().expect("a map of sockets");
        sockets.set(queue, socket.as_raw_fd(), 0).expect("the map takes the socket");
    }

    /// Takes a port's role away.
    pub(crate) fn clear_port(&mut self, port: u16) {
        self.ports().set(u32::from(port), [0; 8], 0).expect("the map takes the value");
    }

    fn ports(&mut self) -> Array<&mut MapData, [u8; 8]> {
        self.ebpf.map_mut(map::PORTS).expect("ports").try_into().expect("an array")
    }

    fn set_control(&mut self) {
        let mut control: Array<_, [u8; 56]> =
            self.ebpf.map_mut(map::CONTROL).expect("control").try_into().expect("an array");
        let mut octets = [0; 56];
        octets[0..4].copy_from_slice(&ABI_VERSION.to_ne_bytes());
        octets[4..8].copy_from_slice(&TAI_UTC_OFFSET.to_ne_bytes());
        octets[12..18].copy_from_slice(&REFLECTOR_MAC);
        control.set(0, octets, 0).expect("the map takes the value");
    }

    fn set_ports(&mut self) {
        let mut ports = self.ports();
        for manner in Manner::ALL {
            let [a, b] = manner.error_estimate().to_ne_bytes();
            let entry = [Role::REFLECT.0, REFLECTOR as u8, manner.flags(), 0, a, b, 0, 0];
            ports.set(u32::from(manner.port()), entry, 0).expect("the map takes the value");
        }
        let entry = [Role::CAPTURE.0, SENDER as u8, 0, 0, 0, 0, 0, 0];
        ports.set(u32::from(SENDER_PORT), entry, 0).expect("the map takes the value");
    }

    fn set_addresses(&mut self) {
        let mut addresses: HashMap<_, [u8; 16], u32> =
            self.ebpf.map_mut(map::ADDRESSES).expect("addresses").try_into().expect("a hash");
        for family in [Family::V4, Family::V6] {
            addresses.insert(octets(family.reflector()), INTERFACE, 0).expect("the map takes the value");
        }
    }

    fn set_allowed(&mut self) {
        let mut allowed: LpmTrie<_, [u8; 20], u32> =
            self.ebpf.map_mut(map::ALLOWED).expect("the allow-list").try_into().expect("a trie");
        let listed = ALLOWED.map(|prefix| (Manner::AllowList.port(), prefix));
        for (port, (network, length)) in listed.into_iter().chain([(Manner::Stateful.port(), ALLOWED_ELSEWHERE)]) {
            let mapping = if network.is_ipv4() { 96 } else { 0 };
            let mut key = [0; 20];
            key[2..4].copy_from_slice(&port.to_be_bytes());
            key[4..].copy_from_slice(&octets(network));
            let key = Key::new(ALLOWED_PORT_BITS + mapping + u32::from(length), key);
            allowed.insert(&key, REFLECTOR, 0).expect("the map takes the value");
        }
    }
}

/// The counts of one slot, each counter once.
pub(crate) fn once(slot: u32, counters: &[&'static str]) -> Counts {
    counters.iter().map(|name| ((slot, *name), 1)).collect()
}

/// An address as the maps have it: IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2).
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
