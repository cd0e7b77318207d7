//! The eBPF objects, built by the build script and carried inside the library, so that the program is one file
//! and never meets an object of another version.

use aya::include_bytes_aligned;

/// The ELF object of the programs `reflect` and `capture`, aligned to 8 octets as the loader asks.
pub static LEADLINE_XDP: &[u8] = include_bytes_aligned!(env!("LEADLINE_XDP_OBJECT"));

/// The ELF object of the lab's programs, for tests and benches: a bare reflector that only swaps the MAC addresses,
/// and a program that passes everything. Aligned to 8 octets.
pub static LAB_XDP: &[u8] = include_bytes_aligned!(env!("LEADLINE_LAB_XDP_OBJECT"));

#[cfg(test)]
mod tests {
    use super::*;

    /// An atomic operation on 32 bits in memory: `BPF_STX | BPF_ATOMIC | BPF_W`.
    const ATOMIC_WORD: u8 = 0xc3;
    /// Its immediate for an addition that returns the value before: `BPF_ADD | BPF_FETCH`.
    const FETCH_AND_ADD: i32 = 0x01;
    /// The load of a 64-bit constant, the one instruction of two slots.
    const LOAD_CONSTANT: u8 = 0x18;

    /// The compiler takes an addition in a weaker memory order too, and then hands back the addend for the value
    /// before: every reply would bear the same sequence number. Only the emitted instruction tells.
    #[test]
    fn sequence_numbers_are_drawn_by_fetch_and_add() {
        let additions: Vec<i32> = instructions(LEADLINE_XDP)
            .filter(|instruction| instruction[0] == ATOMIC_WORD)
            .map(|instruction| i32::from_le_bytes(field(instruction, 4)))
            .collect();
        assert!(additions.contains(&FETCH_AND_ADD), "{additions:?}");
    }

    #[test]
    fn objects_are_aligned_for_the_loader() {
        for object in [LEADLINE_XDP, LAB_XDP] {
            assert_eq!(object.as_ptr().align_offset(8), 0);
            assert!(instructions(object).count() > 0);
        }
    }

    /// Every instruction in the executable sections of an ELF64 object of little-endian byte order.
    fn instructions(object: &[u8]) -> impl Iterator<Item = &[u8]> {
        const EXECUTABLE: u64 = 0x4;
        let table = index(u64::from_le_bytes(field(object, 0x28)));
        let entry_size = usize::from(u16::from_le_bytes(field(object, 0x3a)));
        let entries = usize::from(u16::from_le_bytes(field(object, 0x3c)));
        object[table..]
            .chunks_exact(entry_size)
            .take(entries)
            .filter(|entry| u64::from_le_bytes(field(entry, 0x08)) & EXECUTABLE != 0)
            .flat_map(|entry| {
                let start = index(u64::from_le_bytes(field(entry, 0x18)));
                let size = index(u64::from_le_bytes(field(entry, 0x20)));
                let mut second_slot = false;
                object[start..start + size].chunks_exact(8).filter(move |slot| {
                    let whole = !second_slot;
                    second_slot = whole && slot[0] == LOAD_CONSTANT;
                    whole
                })
            })
    }

    fn field<const N: usize>(octets: &[u8], offset: usize) -> [u8; N] {
        octets[offset..offset + N].try_into().expect("a slice of N octets")
    }

    fn index(offset: u64) -> usize {
        usize::try_from(offset).expect("an offset within the object")
    }
}
