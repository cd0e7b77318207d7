//! Values on the program's stack, where the verifier asks for aligned accesses of every width.

use aya_ebpf::maps::lpm_trie::Key;
use probe_wire::address::Address;
use probe_wire::shared::{ALLOWED_PORT_BITS, AllowedKey};

/// A value at an aligned place.
#[repr(C, align(8))]
pub(crate) struct Aligned<T>(pub(crate) T);

/// A key of the allow-list, in words, so that it is written in aligned words.
#[repr(C, align(8))]
pub(crate) struct AllowedWords([u64; 3]);

/// The key that asks for the longest prefix of a source that may use a port.
#[inline(always)]
pub(crate) fn allowed_key(port: u16, source: Address) -> AllowedWords {
    let [first, last] = source.words();
    let prefix_length = u64::from(ALLOWED_PORT_BITS + 128);
    AllowedWords([prefix_length | u64::from(u32::from(port).to_be()) << 32, first, last])
}

impl AllowedWords {
    /// The same octets as the map's key.
    #[inline(always)]
    pub(crate) fn key(&self) -> &Key<AllowedKey> {
        const { assert!(size_of::<Key<AllowedKey>>() == size_of::<AllowedWords>()) };
        // SAFETY: both are 24 octets, of which any value is valid, and the key is packed, without alignment.
        unsafe { &*(&raw const *self).cast() }
    }
}
