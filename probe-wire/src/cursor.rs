//! How the parser reads octets, so that it can be one parser.
//!
//! The verifier accepts a packet read only when the comparison with the packet's end stands right beside it, so every
//! read states its offset and its length, and answers `None` past the end.

/// Read access to a frame from its first octet.
pub trait Cursor: Copy {
    /// The `N` octets that start at `offset`, or `None` when the frame ends before their end.
    fn read<const N: usize>(self, offset: usize) -> Option<[u8; N]>;

    /// The number of octets in the frame.
    fn length(self) -> usize;
}

impl Cursor for &[u8] {
    #[inline(always)]
    fn read<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk::<N>().copied()
    }

    #[inline(always)]
    fn length(self) -> usize {
        self.len()
    }
}
