//! A frame as the verifier wants it read and written: each access beside its comparison with the end.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use probe_wire::cursor::Cursor;

/// The linear part of a frame, where its headers are.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    start: usize,
    end: usize,
    length: usize,
}

impl Packet {
    /// The frame of a context. It must be made anew after every helper that moves the frame's start, and for writing
    /// where something else was read at another offset.
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        // SAFETY: the context is the one that the kernel passed in. The reads are volatile so that the compiler cannot
        // prove one comparison from another and drop it: the verifier knows no such proofs.
        unsafe {
            Self {
                start: (&raw const (*context.ctx).data).read_volatile() as usize,
                end: (&raw const (*context.ctx).data_end).read_volatile() as usize,
                length: bpf_xdp_get_buff_len(context.as_ptr().cast()) as usize,
            }
        }
    }

    /// Writes octets at an offset; `None` when they would go past the end.
    #[inline(always)]
    pub(crate) fn write<const N: usize>(self, offset: usize, octets: &[u8; N]) -> Option<()> {
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: the comparison above keeps the octets within the frame, and a byte array has no alignment.
        unsafe { (at as *mut [u8; N]).write_unaligned(*octets) };
        Some(())
    }
}

/// A link address in words, since octets would be compared and moved one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkAddress(u32, u16);

impl LinkAddress {
    #[inline(always)]
    pub(crate) const fn new([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u32::from_ne_bytes([a, b, c, d]), u16::from_ne_bytes([e, f]))
    }

    /// The address at an offset; `None` when it would go past the end.
    #[inline(always)]
    pub(crate) fn read(packet: Packet, offset: usize) -> Option<Self> {
        let (start, end) = (packet.read::<4>(offset)?, packet.read::<2>(offset + 4)?);
        Some(Self(u32::from_ne_bytes(start), u16::from_ne_bytes(end)))
    }

    /// Writes the address at an offset; `None` when it would go past the end.
    #[inline(always)]
    pub(crate) fn write(self, packet: Packet, offset: usize) -> Option<()> {
        packet.write(offset, &self.0.to_ne_bytes())?;
        packet.write(offset + 4, &self.1.to_ne_bytes())
    }

    /// True when the first octet says that the address names a group (IEEE 802).
    #[inline(always)]
    pub(crate) const fn is_group(self) -> bool {
        self.0.to_ne_bytes()[0] & 1 != 0
    }
}

impl Cursor for Packet {
    #[inline(always)]
    fn read<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: the comparison above keeps the octets within the frame, and a byte array has no alignment.
        Some(unsafe { (at as *const [u8; N]).read_unaligned() })
    }

    #[inline(always)]
    fn length(self) -> usize {
        self.length
    }
}
