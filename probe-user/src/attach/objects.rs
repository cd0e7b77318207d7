//! The eBPF objects, built by the build script and carried inside the library, so that the program is one file
//! and never meets an object of another version.

use aya::include_bytes_aligned;

/// The ELF object of the programs `reflect` and `capture`, aligned to 8 octets as the loader asks.
pub static LEADLINE_XDP: &[u8] = include_bytes_aligned!(env!("LEADLINE_XDP_OBJECT"));

/// The ELF object of the lab's programs, for tests and benches: a bare reflector that only swaps the MAC addresses,
/// and a program that passes everything. Aligned to 8 octets.
pub static LAB_XDP: &[u8] = include_bytes_aligned!(env!("LEADLINE_LAB_XDP_OBJECT"));
