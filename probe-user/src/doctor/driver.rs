//! What a driver can do, asked of the kernel: its XDP features, the offloads that are on, its timestamps.

use std::{collections::BTreeSet, io};

use super::generic_netlink::{ask, attribute, attributes};

/// The XDP features of a device (`include/uapi/linux/netdev.h`). The kernel tells them since 6.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct XdpFeatures {
    features: u64,
    receive_metadata: u64,
}

impl XdpFeatures {
    const NAMES: [(u64, &str); 7] = [
        (1, "basic"),
        (1 << 1, "redirect"),
        (1 << 2, "ndo-xmit"),
        (1 << 3, "xsk-zerocopy"),
        (1 << 4, "hw-offload"),
        (1 << 5, "rx-sg"),
        (1 << 6, "ndo-xmit-sg"),
    ];

    /// Asks the kernel for the features of the device with this number.
    pub(super) fn ask(interface: u32) -> io::Result<Self> {
        const DEVICE_GET: u8 = 1;
        const INTERFACE: u16 = 1;
        const FEATURES: u16 = 3;
        const RECEIVE_METADATA: u16 = 5;
        let answer = ask("netdev", DEVICE_GET, &attribute(INTERFACE, &interface.to_ne_bytes()))?;
        let mut found = Self::default();
        for (kind, value) in attributes(&answer) {
            let Ok(octets) = value.try_into() else { continue };
            match kind {
                FEATURES => found.features = u64::from_ne_bytes(octets),
                RECEIVE_METADATA => found.receive_metadata = u64::from_ne_bytes(octets),
                _ => {}
            }
        }
        Ok(found)
    }

    #[cfg(test)]
    pub(super) const fn made_up(features: u64, receive_metadata: u64) -> Self {
        Self { features, receive_metadata }
    }

    /// Whether programs run in the driver and may redirect to AF_XDP sockets.
    pub(super) fn native(self) -> bool {
        self.features & 0b11 == 0b11
    }

    /// Whether AF_XDP sockets share their frames with the hardware.
    pub(super) fn zero_copy(self) -> bool {
        self.features & 1 << 3 != 0
    }

    /// Whether a frame may lie in several buffers.
    pub(super) fn scattered_frames(self) -> bool {
        self.features & 1 << 5 != 0
    }

    /// Whether a program can read when the hardware received a frame.
    pub(super) fn receive_timestamp(self) -> bool {
        self.receive_metadata & 1 != 0
    }

    /// The kernel's names of the features.
    pub(super) fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(bit, _)| self.features & bit != 0).map(|(_, name)| *name).collect()
    }
}

/// The offloads that are on, by the names that `ethtool -k` would translate, such as `rx-gro-hw`.
pub(super) fn active_offloads(interface: &str) -> io::Result<BTreeSet<String>> {
    const FEATURES_GET: u8 = 11;
    const ACTIVE: u16 = 4;
    let answer = ask("ethtool", FEATURES_GET, &device_named(interface))?;
    Ok(names_of_bits(find(&answer, &[ACTIVE])))
}

/// Whether the hardware can stamp arriving packets for sockets, whatever XDP can see of it.
pub(super) fn stamps_arrivals(interface: &str) -> io::Result<bool> {
    const TIMESTAMPING_GET: u8 = 25;
    const CAPABILITIES: u16 = 2;
    let answer = ask("ethtool", TIMESTAMPING_GET, &device_named(interface))?;
    Ok(names_of_bits(find(&answer, &[CAPABILITIES])).contains("hardware-receive"))
}

/// The header with which every question of the ethtool family begins.
fn device_named(interface: &str) -> Vec<u8> {
    const HEADER: u16 = 1;
    const NESTED: u16 = 1 << 15;
    const NAME: u16 = 2;
    attribute(HEADER | NESTED, &attribute(NAME, &[interface.as_bytes(), &[0]].concat()))
}

/// The names in a bit set: all that are listed, as the ones that are on are (`ETHTOOL_A_BITSET_NOMASK`).
fn names_of_bits(bit_set: &[u8]) -> BTreeSet<String> {
    const BITS: u16 = 3;
    const NAME: u16 = 2;
    attributes(find(bit_set, &[BITS]))
        .filter_map(|(_, bit)| std::ffi::CStr::from_bytes_until_nul(find(bit, &[NAME])).ok())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// The value of the attribute at the end of a path through nested ones; empty where there is none.
fn find<'a>(octets: &'a [u8], path: &[u16]) -> &'a [u8] {
    path.iter().fold(octets, |octets, wanted| {
        attributes(octets).find(|(kind, _)| kind == wanted).map_or(&[][..], |(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_known_by_their_bits() {
        let veth = XdpFeatures::made_up(0b110_0011, 0b111);
        assert!(veth.native() && veth.scattered_frames() && veth.receive_timestamp() && !veth.zero_copy());
        assert_eq!(veth.names(), ["basic", "redirect", "rx-sg", "ndo-xmit-sg"]);
        assert!(!XdpFeatures::made_up(0b1, 0).native(), "no redirect");
        assert_eq!(XdpFeatures::default().names(), [""; 0]);
    }

    #[test]
    fn a_bit_set_gives_its_names() {
        let bit = |name: &[u8]| attribute(1, &[attribute(1, &[0; 4]), attribute(2, name)].concat());
        let set = [attribute(2, &[9; 4]), attribute(3, &[bit(b"rx-lro\0"), bit(b"rx-gro-hw\0")].concat())].concat();
        let expected = BTreeSet::from(["rx-lro".to_owned(), "rx-gro-hw".to_owned()]);
        assert_eq!(names_of_bits(&set), expected);
        assert_eq!(names_of_bits(&[]), BTreeSet::new());
    }

    #[test]
    fn every_machine_has_a_loopback_without_xdp_in_its_driver() {
        assert!(active_offloads("lo").expect("ethtool's netlink family").contains("rx-gro"));
        assert_eq!(stamps_arrivals("lo").ok(), Some(false));
        if let Ok(features) = XdpFeatures::ask(1) {
            assert!(!features.native());
        }
        assert!(active_offloads("no-such-device").is_err());
    }
}
