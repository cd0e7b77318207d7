//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624).
//!
//! Sums are taken over the machine's own word order: the one's complement sum does not depend on it (RFC 1071 section
//! 2 (B)), and so nothing is swapped on the way.

/// A running one's complement sum.
///
/// The accumulator holds unfolded 32-bit words; it overflows only after 2^32 of them, far beyond any frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    #[inline(always)]
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds the octets of an array, which starts at an even offset of the data summed and has an even length.
    #[inline(always)]
    #[must_use]
    pub fn array<const N: usize>(mut self, octets: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(2), "an odd number of octets would shift what follows") };
        let (words, rest) = octets.as_chunks::<4>();
        for word in words {
            self.0 += u64::from(u32::from_ne_bytes(*word));
        }
        if let [a, b] = rest {
            self.0 += u64::from(u16::from_ne_bytes([*a, *b]));
        }
        self
    }

    /// Adds octets of any number, the last one padded with zero when it stands alone.
    #[inline]
    #[must_use]
    pub fn slice(mut self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        for word in words {
            self.0 += u64::from(u32::from_ne_bytes(*word));
        }
        let (pairs, last) = rest.as_chunks::<2>();
        for pair in pairs {
            self.0 += u64::from(u16::from_ne_bytes(*pair));
        }
        if let [octet] = last {
            self.0 += u64::from(u16::from_ne_bytes([*octet, 0]));
        }
        self
    }

    /// Adds a 16-bit value given in host order as it stands in network order.
    #[inline(always)]
    #[must_use]
    pub const fn value(self, value: u16) -> Self {
        Self(self.0 + value.to_be() as u64)
    }

    /// Adds another sum.
    #[inline(always)]
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The sum folded to 16 bits, as octets.
    #[inline(always)]
    #[must_use]
    pub const fn folded(self) -> [u8; 2] {
        let mut sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        (sum as u16).to_ne_bytes()
    }

    /// The checksum field that this sum asks for: its one's complement.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> [u8; 2] {
        let [a, b] = self.folded();
        [!a, !b]
    }

    /// The checksum field of UDP, where zero would mean "none" and is sent as all ones (RFC 768).
    #[inline(always)]
    #[must_use]
    pub const fn udp_checksum(self) -> [u8; 2] {
        match self.checksum() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        }
    }

    /// True when data that include their checksum field sum up as they should: to all ones.
    #[inline(always)]
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self.folded(), [0xff, 0xff])
    }
}

/// The sum that a checksum field stands for, without the octets of `old`: add what takes their place and ask for the
/// checksum again (RFC 1624 equation 3).
#[inline(always)]
#[must_use]
pub fn without(checksum: [u8; 2], old: Sum) -> Sum {
    let [a, b] = checksum;
    let [c, d] = old.folded();
    Sum::new().array(&[!a, !b]).array(&[!c, !d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// RFC 1071 read as it stands: big-endian pairs, carries added back at the end.
    fn plain(octets: &[u8]) -> u16 {
        let mut sum: u128 = 0;
        for pair in octets.chunks(2) {
            sum += u128::from(pair[0]) << 8 | u128::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().slice(&octets).folded(), [0xdd, 0xf2]);
        assert_eq!(Sum::new().array(&octets).checksum(), [0x22, 0x0d]);
    }

    proptest! {
        #[test]
        fn any_octets_sum_as_in_the_plain_reading(octets in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(u16::from_be_bytes(Sum::new().slice(&octets).folded()), plain(&octets));
        }

        #[test]
        fn a_mended_checksum_is_the_one_of_the_new_octets(
            mut octets in proptest::collection::vec(any::<u8>(), 16..100), new in any::<[u8; 8]>(), word in 0usize..2
        ) {
            if octets.len() % 2 == 1 { octets.pop(); }
            let at = word * 8;
            let before = Sum::new().slice(&octets).checksum();
            let old: [u8; 8] = octets[at..at + 8].try_into().unwrap();
            octets[at..at + 8].copy_from_slice(&new);
            let mended = without(before, Sum::new().array(&old)).array(&new).checksum();
            // Zero has two forms in one's complement; both say the same.
            let expected = !plain(&octets);
            let mended = u16::from_be_bytes(mended);
            prop_assert!(mended == expected || (mended ^ expected == 0xffff && (mended == 0 || expected == 0)));
        }

        #[test]
        fn whole_data_are_whole_and_a_flipped_bit_is_seen(octets in proptest::collection::vec(any::<u8>(), 2..200), bit in any::<prop::sample::Index>()) {
            let mut octets: Vec<u8> = octets;
            if octets.len() % 2 == 1 { octets.pop(); }
            let checksum = Sum::new().slice(&octets).checksum();
            octets.extend(checksum);
            prop_assert!(Sum::new().slice(&octets).is_whole());
            let bit = bit.index(octets.len() * 8);
            octets[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!Sum::new().slice(&octets).is_whole());
        }
    }
}
