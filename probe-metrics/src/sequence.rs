//! Sequence numbers without an end. The wire carries 32 bits (RFC 8762, section 4.2), which a dense stream uses up in
//! minutes; everything here counts in 64 bits, and this room is the only one that knows of the rollover.

/// Turns wire sequence numbers of `BITS` bits (1 to 32) into numbers that never wrap, by the rules of RFC 4737,
/// section 6: a jump over more than half of the range is a rollover, and a late packet from before the rollover gets
/// its old number back.
///
/// The first number is taken as it is. The reference is the highest number so far; so the result is right as long as
/// no packet is more than half of the range away from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper<const BITS: u32 = 32> {
    highest: Option<u64>,
}

impl Unwrapper {
    /// An unwrapper for the 32-bit numbers of STAMP and TWAMP.
    pub const fn new() -> Self {
        Self { highest: None }
    }
}

impl<const BITS: u32> Unwrapper<BITS> {
    /// An unwrapper for numbers of `BITS` bits.
    pub const fn with_bits() -> Self {
        Self { highest: None }
    }

    /// The number that `wire` stands for; `None` if it would lie before number 0, which was never sent.
    pub fn extend(&mut self, wire: u32) -> Option<u64> {
        let number = match self.highest {
            None => u64::from(wire) & range_mask::<BITS>(),
            Some(highest) => nearest::<BITS>(wire, highest)?,
        };
        self.highest = self.highest.max(Some(number));
        Some(number)
    }

    /// The highest number so far.
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// The number nearest to `reference` whose low `BITS` bits are `wire`; `None` if it would be negative or too large.
///
/// A sender that knows how many packets it sent uses that count as its reference and needs no state.
pub const fn nearest<const BITS: u32>(wire: u32, reference: u64) -> Option<u64> {
    const { assert!(BITS >= 1 && BITS <= 32) };
    let ahead = (wire as u64).wrapping_sub(reference) & range_mask::<BITS>();
    let half = 1 << (BITS - 1);
    if ahead < half { reference.checked_add(ahead) } else { reference.checked_sub((1 << BITS) - ahead) }
}

const fn range_mask<const BITS: u32>() -> u64 {
    (1 << BITS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_packet_from_before_the_rollover_keeps_its_number() {
        let mut unwrapper = Unwrapper::new();
        let wire = [u32::MAX - 1, 0, u32::MAX, 1];
        let numbers: Vec<_> = wire.iter().map(|&w| unwrapper.extend(w)).collect();
        let end = 1_u64 << 32;
        assert_eq!(numbers, [Some(end - 2), Some(end), Some(end - 1), Some(end + 1)]);
    }

    #[test]
    fn a_number_from_before_the_first_packet_is_refused() {
        let mut unwrapper = Unwrapper::new();
        assert_eq!(unwrapper.extend(5), Some(5));
        assert_eq!(unwrapper.extend(u32::MAX), None);
        assert_eq!(unwrapper.extend(6), Some(6));
    }

    #[test]
    fn many_rollovers_add_up() {
        let mut unwrapper = Unwrapper::<4>::with_bits();
        for number in 0..1000_u64 {
            assert_eq!(unwrapper.extend((number % 16) as u32), Some(number));
        }
    }

    #[test]
    fn exactly_half_of_the_range_counts_as_behind() {
        assert_eq!(nearest::<16>(0x8000, 0x1_0000), Some(0x8000));
        assert_eq!(nearest::<16>(0x7fff, 0x1_0000), Some(0x1_7fff));
        assert_eq!(nearest::<32>(0, u64::MAX), None);
    }
}
