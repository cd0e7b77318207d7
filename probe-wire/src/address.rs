//! An IP address of either version as two words.
//!
//! eBPF has no moves wider than a word, and sixteen octets by themselves would be carried, compared and written one by
//! one, which is most of what a reflector's program would then do.

use crate::classify::Version;

/// The 16 octets of an IPv6 address, or of an IPv4 address in IPv6's clothes (`::ffff:a.b.c.d`, RFC 4291 section
/// 2.5.5.2). In memory they stand in the order of the wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    // Two fields and not an array, which would be compared through memory.
    first: u64,
    last: u64,
}

impl Address {
    /// An IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self { first: 0, last: (0xffff_u64 << 32 | u32::from_be_bytes(octets) as u64).to_be() }
    }

    /// An IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn v6([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: [u8; 16]) -> Self {
        Self { first: u64::from_ne_bytes([a, b, c, d, e, f, g, h]), last: u64::from_ne_bytes([i, j, k, l, m, n, o, p]) }
    }

    /// The 16 octets.
    #[must_use]
    pub fn octets(self) -> [u8; 16] {
        let [first, last] = self.words().map(u64::to_ne_bytes);
        core::array::from_fn(|index| if index < 8 { first[index] } else { last[index - 8] })
    }

    /// The two words as they stand in memory.
    #[inline(always)]
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        [self.first, self.last]
    }

    /// True for an address in a packet of a version that names a group or nobody: multicast, the limited broadcast, the
    /// unspecified address (RFC 1112 section 4, RFC 919 section 7, RFC 4291 sections 2.5.2 and 2.7), and over IPv6 also
    /// an IPv4 address in IPv6's clothes, which no host has.
    #[inline(always)]
    #[must_use]
    pub const fn is_group_or_nobody(self, version: Version) -> bool {
        let (first, last) = (u64::from_be(self.first), u64::from_be(self.last));
        match version {
            Version::V4 => {
                let address = last as u32;
                address >> 28 == 0xe || address == u32::MAX || address >> 24 == 0
            }
            Version::V6 => first >> 56 == 0xff || first == 0 && (last == 0 || last >> 32 == 0xffff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn groups_and_nobody_are_known() {
        for group in [[224, 0, 0, 1], [239, 1, 2, 3], [255, 255, 255, 255], [0, 0, 0, 0]] {
            assert!(Address::v4(group).is_group_or_nobody(Version::V4), "{group:?}");
        }
        let host = Address::v4([198, 18, 0, 1]);
        assert!(!host.is_group_or_nobody(Version::V4));
        assert!(host.is_group_or_nobody(Version::V6), "an IPv4 address has no business in an IPv6 packet");
        let mut six = [0; 16];
        assert!(Address::v6(six).is_group_or_nobody(Version::V6));
        six[0] = 0xff;
        assert!(Address::v6(six).is_group_or_nobody(Version::V6));
        six[0] = 0xfd;
        assert!(!Address::v6(six).is_group_or_nobody(Version::V6));
        assert!(!Address::v6(Ipv6Addr::LOCALHOST.octets()).is_group_or_nobody(Version::V6));
    }

    proptest! {
        #[test]
        fn the_octets_stand_in_order(four in any::<[u8; 4]>(), six in any::<[u8; 16]>()) {
            prop_assert_eq!(Address::v4(four).octets(), Ipv4Addr::from(four).to_ipv6_mapped().octets());
            prop_assert_eq!(Address::v6(six).octets(), six);
        }

        #[test]
        fn any_ipv4_address_is_what_the_standard_library_says(four in any::<[u8; 4]>()) {
            let address = Ipv4Addr::from(four);
            let expected = address.is_multicast() || address.is_broadcast() || four[0] == 0;
            prop_assert_eq!(Address::v4(four).is_group_or_nobody(Version::V4), expected);
        }
    }
}
