//! The small networks that tests run in: a sender and a reflector, joined by a link or by the scripted wire.
//!
//! One queue a link, so that one order of arrival exists; checksums written out and no frame merged or cut by the kernel,
//! so that what the wire sees is what a network would.

use std::fs::{File, OpenOptions};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::namespace::Namespace;

/// The sender's interface.
pub const SENDER_INTERFACE: &str = "probe0";
/// The reflector's interface.
pub const REFLECTOR_INTERFACE: &str = "probe1";
/// The end of the wire that faces the sender.
pub const WIRE_SENDER_END: &str = "wire0";
/// The end of the wire that faces the reflector.
pub const WIRE_REFLECTOR_END: &str = "wire1";

/// Two namespaces and what joins them. Only one exists at a time on a machine: measurements must not slow each other.
#[derive(Debug)]
pub struct Network {
    /// Where `measure` runs.
    pub sender: Namespace,
    /// Where `reflect` runs.
    pub reflector: Namespace,
    /// Where the wire runs, in a network that has one.
    pub wire: Option<Namespace>,
    _turn: Flock<File>,
}

/// The IP version of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 198.18.0.0/24, from the block for benchmarks (RFC 2544, appendix C.2.2).
    V4,
    /// fd00:6c64::/64.
    V6,
}

impl Family {
    /// The sender's address.
    pub fn sender(self) -> IpAddr {
        self.address(1)
    }

    /// The reflector's address.
    pub fn reflector(self) -> IpAddr {
        self.address(2)
    }

    /// The address of the link's host with this number; 1 and 2 exist.
    pub fn address(self, host: u8) -> IpAddr {
        match self {
            Self::V4 => [198, 18, 0, host].into(),
            Self::V6 => [0xfd00, 0x6c64, 0, 0, 0, 0, 0, u16::from(host)].into(),
        }
    }
}

impl Network {
    /// sender -- wire -- reflector. Nothing gets through before a [`crate::wire::Wire`] is started.
    ///
    /// # Panics
    /// When the namespaces or links cannot be made.
    pub fn scripted() -> Self {
        let turn = wait_for_turn();
        let wire = Namespace::create("wire");
        // The wire itself has nothing to say: no neighbour discovery of its own.
        for scope in ["all", "default"] {
            let setting = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
            wire.enter(|| std::fs::write(&setting, "1"))
                .unwrap_or_else(|error| panic!("cannot write {setting}: {error}"));
        }
        let sender = Namespace::create("sender");
        let reflector = Namespace::create("reflector");
        join((&sender, SENDER_INTERFACE), (&wire, WIRE_SENDER_END));
        join((&reflector, REFLECTOR_INTERFACE), (&wire, WIRE_REFLECTOR_END));
        let network = Self { sender, reflector, wire: Some(wire), _turn: turn };
        network.address();
        network
    }

    /// sender -- reflector, one veth pair.
    ///
    /// # Panics
    /// When the namespaces or the link cannot be made.
    pub fn direct() -> Self {
        let turn = wait_for_turn();
        let sender = Namespace::create("sender");
        let reflector = Namespace::create("reflector");
        join((&sender, SENDER_INTERFACE), (&reflector, REFLECTOR_INTERFACE));
        let network = Self { sender, reflector, wire: None, _turn: turn };
        network.address();
        network
    }

    fn address(&self) {
        let ends = [(&self.sender, SENDER_INTERFACE, 1), (&self.reflector, REFLECTOR_INTERFACE, 2)];
        for (namespace, interface, host) in ends {
            let (v4, v6) = (Family::V4.address(host), Family::V6.address(host));
            namespace.run(&format!("ip address add {v4}/24 dev {interface}"));
            namespace.run(&format!("ip address add {v6}/64 dev {interface} nodad"));
        }
    }
}

/// A veth pair of one queue each way between two namespaces, up, with every offload off that would change frames, and a
/// queue of the kernel's before each end, so that a full ring holds frames back instead of losing them.
fn join(one: (&Namespace, &str), other: (&Namespace, &str)) {
    one.0.run(&format!(
        "ip link add name {} numtxqueues 1 numrxqueues 1 type veth peer name {} numtxqueues 1 numrxqueues 1 netns {}",
        one.1,
        other.1,
        other.0.name()
    ));
    for (namespace, interface) in [one, other] {
        namespace.run(&format!("ethtool -K {interface} tx off gro off gso off tso off"));
        namespace.run(&format!("tc qdisc add dev {interface} root pfifo limit 1000"));
        namespace.run(&format!("ip link set {interface} up"));
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    for (namespace, interface) in [one, other] {
        while !namespace.run(&format!("ip link show {interface}")).contains("LOWER_UP") {
            assert!(Instant::now() < deadline, "{interface} does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn wait_for_turn() -> Flock<File> {
    let path = std::env::temp_dir().join("leadline-tests.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    Flock::lock(file, FlockArg::LockExclusive)
        .unwrap_or_else(|(_, error)| panic!("cannot lock {}: {error}", path.display()))
}
