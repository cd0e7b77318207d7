//! The values of the maps as octets. aya moves values of its own marker trait only, which types of another crate can
//! not take on; arrays of octets have it, and need no unsafe code.

use std::net::IpAddr;

use ipnet::IpNet;
use probe_wire::address::Address;
use probe_wire::shared::{ALLOWED_PORT_BITS, AllowedKey, Control, Holder, PortEntry};

pub(super) type ControlOctets = [u8; size_of::<Control>()];
pub(super) type PortOctets = [u8; size_of::<PortEntry>()];
pub(super) type HolderOctets = [u8; size_of::<Holder>()];

pub(super) fn control_octets(value: &Control) -> ControlOctets {
    let Control { abi_version, tai_utc_offset, log_one_of, mac, reserved, first_addresses } = value;
    let [first, second] = first_addresses.map(Address::octets);
    concatenate([
        &abi_version.to_ne_bytes(),
        &tai_utc_offset.to_ne_bytes(),
        &log_one_of.to_ne_bytes(),
        mac,
        reserved,
        &first,
        &second,
    ])
}

pub(super) fn control(octets: &ControlOctets) -> Control {
    let number = |at: usize| part(octets, at);
    Control {
        abi_version: u32::from_ne_bytes(number(0)),
        tai_utc_offset: i32::from_ne_bytes(number(4)),
        log_one_of: u32::from_ne_bytes(number(8)),
        mac: part(octets, 12),
        reserved: part(octets, 18),
        first_addresses: [24, 40].map(|at| Address::v6(part(octets, at))),
    }
}

/// The octets from an offset on, which lies far enough from the end.
fn part<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| octets[at + index])
}

pub(super) fn port_octets(value: &PortEntry) -> PortOctets {
    let PortEntry { role, slot, flags, reserved, error_estimate, reserved_too } = value;
    concatenate([&[*role, *slot, *flags, *reserved], &error_estimate.to_ne_bytes(), &reserved_too.to_ne_bytes()])
}

/// The role of a port, and the slot of its holder.
pub(super) fn role_and_slot(octets: &PortOctets) -> (u8, u8) {
    (octets[0], octets[1])
}

pub(super) fn holder_octets(value: &Holder) -> HolderOctets {
    let Holder { taken, process } = value;
    concatenate([&taken.to_ne_bytes(), &process.to_ne_bytes()])
}

pub(super) fn holder(octets: &HolderOctets) -> Holder {
    let [a, b, c, d, e, f, g, h] = *octets;
    Holder { taken: u32::from_ne_bytes([a, b, c, d]), process: u32::from_ne_bytes([e, f, g, h]) }
}

/// An address as the maps have it: IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2).
pub(super) fn address_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The first address of each IP version, for the programs to compare with; zeros where there is none.
pub(super) fn first_addresses(addresses: &[IpAddr]) -> [Address; 2] {
    [IpAddr::is_ipv4, IpAddr::is_ipv6].map(|is_wanted| {
        let first = addresses.iter().copied().find(is_wanted);
        first.map_or_else(Address::default, |address| Address::v6(address_octets(address)))
    })
}

/// A prefix that a port answers to: the number of significant bits, and the key.
pub(super) fn allowed_key(port: u16, prefix: IpNet) -> (u32, AllowedKey) {
    const IPV4_MAPPED_BITS: u32 = 96;
    let address = address_octets(prefix.network());
    let key = concatenate([&u32::from(port).to_be_bytes(), &address]);
    let family_bits = if prefix.network().is_ipv4() { IPV4_MAPPED_BITS } else { 0 };
    (ALLOWED_PORT_BITS + family_bits + u32::from(prefix.prefix_len()), key)
}

/// The port of a key of the allow-list.
pub(super) fn allowed_port(key: &AllowedKey) -> u16 {
    u16::from_be_bytes([key[2], key[3]])
}

/// Puts the parts of a value without padding one after the other. Parts that are too short leave zeros, ones that
/// are too long are cut; the tests hold every use to the exact length.
fn concatenate<const LENGTH: usize, const PARTS: usize>(parts: [&[u8]; PARTS]) -> [u8; LENGTH] {
    let mut whole = [0; LENGTH];
    for (to, from) in whole.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_has_each_field_in_its_place() {
        let value = Control {
            abi_version: 0x0403_0201,
            tai_utc_offset: -2,
            log_one_of: 0x0c0b_0a09,
            mac: [13, 14, 15, 16, 17, 18],
            reserved: [0; 6],
            first_addresses: [Address::v6([25; 16]), Address::v6([41; 16])],
        };
        let octets = control_octets(&value);
        assert_eq!(octets[0..4], 0x0403_0201_u32.to_ne_bytes());
        assert_eq!(octets[4..8], (-2_i32).to_ne_bytes());
        assert_eq!(octets[8..12], 0x0c0b_0a09_u32.to_ne_bytes());
        assert_eq!(octets[12..24], [13, 14, 15, 16, 17, 18, 0, 0, 0, 0, 0, 0]);
        assert_eq!((&octets[24..40], &octets[40..]), (&[25; 16][..], &[41; 16][..]));
        assert_eq!(control(&octets), value);
        assert_eq!(std::mem::offset_of!(Control, tai_utc_offset), 4);
        assert_eq!(std::mem::offset_of!(Control, log_one_of), 8);
        assert_eq!(std::mem::offset_of!(Control, mac), 12);
        assert_eq!(std::mem::offset_of!(Control, first_addresses), 24);
    }

    #[test]
    fn the_first_address_of_each_version_is_compared_with() {
        let addresses = ["fe80::1", "198.18.0.1", "fd00::1", "198.18.0.2"].map(|text| text.parse().unwrap());
        let [four, six] = first_addresses(&addresses);
        assert_eq!((four, six.octets()), (Address::v4([198, 18, 0, 1]), address_octets(addresses[0])));
        assert_eq!(first_addresses(&addresses[..1]), [Address::default(), six]);
    }

    #[test]
    fn a_port_has_each_field_in_its_place() {
        let value = PortEntry { role: 1, slot: 2, flags: 3, reserved: 0, error_estimate: 0x0605, reserved_too: 0 };
        let octets = port_octets(&value);
        assert_eq!(octets[..4], [1, 2, 3, 0]);
        assert_eq!(octets[4..6], 0x0605_u16.to_ne_bytes());
        assert_eq!(octets[6..], [0, 0]);
        assert_eq!(role_and_slot(&octets), (1, 2));
        assert_eq!(std::mem::offset_of!(PortEntry, error_estimate), 4);
    }

    #[test]
    fn a_holder_returns_as_it_went() {
        let value = Holder { taken: 1, process: 0x1234_5678 };
        assert_eq!(holder(&holder_octets(&value)), value);
        assert_eq!(std::mem::offset_of!(Holder, process), 4);
    }

    #[test]
    fn an_allowed_prefix_counts_port_and_mapping() {
        let (bits, key) = allowed_key(862, "192.0.2.77/24".parse().unwrap());
        assert_eq!(bits, 32 + 96 + 24);
        assert_eq!(key, [0, 0, 0x03, 0x5e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 0]);
        assert_eq!(allowed_port(&key), 862);

        let (bits, key) = allowed_key(1, "2001:db8::/32".parse().unwrap());
        assert_eq!(bits, 32 + 32);
        assert_eq!(key, [0, 0, 0, 1, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

        assert_eq!(allowed_key(9, "0.0.0.0/0".parse().unwrap()).0, 32 + 96, "any IPv4, not any IPv6");
        assert_eq!(allowed_key(9, "::/0".parse().unwrap()).0, 32);
    }
}
