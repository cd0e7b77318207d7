//! The one room that touches frames shared with the kernel: four rings and the memory behind them, made safe.
//!
//! Every frame has one owner at a time: the list of free frames, a ring that the kernel reads, or the call that has
//! just taken it from a ring. A descriptor moves with its frame and is never kept beside it; that is the invariant that
//! all the unsafe calls here rest on.
#![allow(unsafe_code, reason = "frames are shared with the kernel; this room alone knows who owns which")]

use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use probe_wire::shared::Arrival;
use xsk_rs::config::{
    BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig, XDP_UMEM_MIN_CHUNK_SIZE,
};
use xsk_rs::socket::XdpStatistics;
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, Socket, TxQueue, Umem};

use crate::port::Template;

/// Octets that the kernel keeps in front of each frame (XDP_PACKET_HEADROOM), where `capture` writes too, and a margin
/// behind it.
const FRAME_OVERHEAD: u32 = 256 + 64;
/// Packets after which the kernel is told of those taken so far; its own limit for one call in copy mode.
const TRANSMIT_BATCH: usize = 32;
/// Calls that one flush may make before it lets the engine see to other things.
const CALLS_PER_FLUSH: usize = 4;

/// The longest IP packet that one frame holds: a page less what the kernel keeps of it and the link's header with tags.
pub(super) const LONGEST_PACKET: u32 = 4096 - FRAME_OVERHEAD - 22;

/// How much memory a queue gets, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Frames for packets that arrive; a power of two.
    pub(super) receive_frames: u32,
    /// Frames for packets that leave; a power of two, or zero for a queue that only receives.
    pub(super) transmit_frames: u32,
    /// The interface's MTU.
    pub(super) mtu: u32,
}

/// An AF_XDP socket on one queue, with its rings and its memory.
pub(super) struct Rings {
    // Before the memory: the socket goes first.
    transmit: TxQueue,
    receive: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    umem: Umem,
    frame_size: usize,
    /// Octets of a frame, by stream.
    lengths: Vec<usize>,
    /// Frames that hold a stream's template and are free, by stream.
    free: Vec<Vec<FrameDesc>>,
    /// The stream that each frame of the transmit side belongs to, by frame index.
    stream_of: Vec<u16>,
    /// Frames that are filled and not yet in the transmit ring.
    taken: Vec<FrameDesc>,
    /// Transmit frames that belong to no stream yet.
    unassigned: Vec<FrameDesc>,
    /// Frames in the transmit ring whose completion has not been seen.
    in_flight: usize,
    /// The kernel has not yet been told of all that is in the transmit ring.
    is_kick_due: bool,
    refused: u64,
    /// Frames that the kernel had not taken from the transmit ring after the last call.
    unsent: u32,
}

impl Rings {
    /// Binds a queue. The interface's program is left alone: it is `attach`'s.
    pub(super) fn bind(interface: &str, queue: u32, layout: &Layout) -> io::Result<Self> {
        let frame_size = (layout.mtu + 22 + FRAME_OVERHEAD).next_power_of_two().clamp(XDP_UMEM_MIN_CHUNK_SIZE, 4096);
        let transmit_ring = layout.transmit_frames.max(2);
        let umem_configuration = UmemConfig::builder()
            .frame_size(FrameSize::new(frame_size).map_err(io::Error::other)?)
            .fill_queue_size(QueueSize::new(layout.receive_frames).map_err(io::Error::other)?)
            .comp_queue_size(QueueSize::new(transmit_ring).map_err(io::Error::other)?)
            .build()
            .map_err(io::Error::other)?;
        let frames = NonZeroU32::new(layout.receive_frames + layout.transmit_frames)
            .ok_or_else(|| io::Error::other("a queue needs frames"))?;
        let (umem, mut frames) = Umem::new(umem_configuration, frames, false).map_err(kernel_error)?;
        let socket_configuration = SocketConfig::builder()
            .rx_queue_size(QueueSize::new(layout.receive_frames).map_err(io::Error::other)?)
            .tx_queue_size(QueueSize::new(transmit_ring).map_err(io::Error::other)?)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP)
            .build();
        let name = Interface::new(CString::new(interface).map_err(io::Error::other)?);
        // SAFETY: the memory is not shared with another socket, and no program is loaded.
        let (transmit, receive, queues) =
            unsafe { Socket::new(socket_configuration, &umem, &name, queue) }.map_err(kernel_error)?;
        let (mut fill, completion) = queues.ok_or_else(|| io::Error::other("the socket came without its rings"))?;

        let to_fill = frames.split_off(layout.transmit_frames as usize);
        // SAFETY: the frames are of this memory and have just been made; they are handed to the kernel for good.
        unsafe { fill.produce(&to_fill) };
        Ok(Self {
            transmit,
            receive,
            fill,
            completion,
            umem,
            frame_size: frame_size as usize,
            lengths: Vec::new(),
            free: Vec::new(),
            stream_of: vec![0; frames.len()],
            taken: Vec::with_capacity(frames.len()),
            unassigned: frames,
            in_flight: 0,
            is_kick_due: false,
            refused: 0,
            unsent: 0,
        })
    }

    /// Shares the transmit frames out among streams and copies each stream's template into its frames.
    pub(super) fn lay_out(&mut self, templates: &[Template]) {
        let share = self.unassigned.len() / templates.len().max(1);
        for (stream, template) in templates.iter().enumerate() {
            let mut frames = self.unassigned.split_off(self.unassigned.len() - share);
            for frame in &mut frames {
                self.stream_of[frame.addr() / self.frame_size] = stream as u16;
                // SAFETY: the frame is of this memory, and free: nobody else reads or writes it.
                let mut data = unsafe { self.umem.data_mut(frame) };
                let mut cursor = data.cursor();
                cursor.set_pos(template.octets().len());
                data.contents_mut().copy_from_slice(template.octets());
            }
            self.lengths.push(template.octets().len());
            self.free.push(frames);
        }
    }

    /// Takes a free frame of a stream, has it stamped, and keeps it for the next flush. False when none is free.
    #[inline]
    pub(super) fn send(&mut self, stream: usize, stamp: impl FnOnce(&mut [u8])) -> bool {
        let Some(free) = self.free.get_mut(stream) else { return false };
        if free.is_empty() || self.taken.len() >= TRANSMIT_BATCH {
            return false;
        }
        if let Some(mut frame) = free.pop() {
            // SAFETY: the frame is of this memory and came from the free list: nobody else reads or writes it.
            let mut data = unsafe { self.umem.data_mut(&mut frame) };
            // A frame comes back from the kernel without its length.
            data.cursor().set_pos(self.lengths[stream]);
            stamp(data.contents_mut());
            self.taken.push(frame);
        }
        true
    }

    /// Puts the taken frames into the transmit ring, tells the kernel, and takes back what has been sent.
    #[inline]
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.taken.is_empty() {
            // SAFETY: the frames are of this memory and leave our hands here, but for those that did not fit.
            let produced = unsafe { self.transmit.produce(&self.taken) };
            self.taken.drain(..produced);
            self.in_flight += produced;
            self.is_kick_due |= produced > 0;
        }
        if self.is_kick_due {
            self.kick()?;
        }
        if self.in_flight > 0 {
            self.take_back();
        }
        Ok(())
    }

    /// Calls the kernel until it has taken all there is, up to a few times.
    fn kick(&mut self) -> io::Result<()> {
        if !self.transmit.needs_wakeup() {
            self.is_kick_due = false;
            return Ok(());
        }
        for _ in 0..CALLS_PER_FLUSH {
            // SAFETY: an empty message to the socket, which this value keeps open.
            let result =
                unsafe { libc::sendto(self.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
            if result >= 0 {
                self.is_kick_due = false;
                self.unsent = 0;
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // More to send than one call takes, or no room at the peer: the rest stays in the ring.
                Some(libc::EAGAIN) => {}
                // One frame is gone: the peer had no room for it. The rest stays in the ring.
                Some(libc::EBUSY) => self.refused += 1,
                Some(libc::ENOBUFS | libc::EINTR) => {}
                _ => return Err(error),
            }
            if self.count_unsent() == 0 {
                self.is_kick_due = false;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks how many frames the kernel has yet to take from the transmit ring.
    fn count_unsent(&mut self) -> u32 {
        let size = self.stream_of.len().max(2) as u32;
        self.unsent = size.saturating_sub(self.transmit.nb_free_exact());
        self.unsent
    }

    /// Returns completed frames to their streams' free lists.
    fn take_back(&mut self) {
        let mut frames = [FrameDesc::default(); 64];
        loop {
            // SAFETY: completed frames are of this memory, and the kernel has let go of them.
            let count = unsafe { self.completion.consume(&mut frames) };
            for frame in &frames[..count] {
                let stream = self.stream_of[frame.addr() / self.frame_size];
                self.free[usize::from(stream)].push(*frame);
            }
            self.in_flight -= count;
            if count < frames.len() {
                return;
            }
        }
    }

    /// Shows up to `BATCH` frames that have arrived, each with what `capture` put in front of it, and hands them back
    /// to the kernel.
    #[inline]
    pub(super) fn receive<const BATCH: usize>(&mut self, mut show: impl FnMut(&[u8], Option<Arrival>)) -> usize {
        let mut frames = [FrameDesc::default(); BATCH];
        // SAFETY: what the ring gives is of this memory, and the kernel has let go of it.
        let count = unsafe { self.receive.consume(&mut frames) };
        if count == 0 {
            return 0;
        }
        for frame in &mut frames[..count] {
            // SAFETY: the frame is of this memory and came from the receive ring: nobody else reads or writes it.
            let mut data = unsafe { self.umem.data_mut(frame) };
            let front = data.contents_mut().as_mut_ptr().wrapping_sub(Arrival::LENGTH).cast::<[u8; Arrival::LENGTH]>();
            // SAFETY: the kernel keeps 256 octets in front of each frame's data for this, in the same mapping, and octets
            // have no alignment. They are zeroed so that the next frame here cannot be taken for one that has a time.
            let arrival = unsafe { Arrival::parse(&front.replace([0; Arrival::LENGTH])) };
            show(data.contents(), arrival);
        }
        let mut returned = 0;
        while returned < count {
            // SAFETY: the frames are of this memory and leave our hands here. The ring has as many places as there are
            // frames, so that all of them fit.
            returned += unsafe { self.fill.produce(&frames[returned..count]) };
        }
        if self.fill.needs_wakeup() {
            self.wake_receiver();
        }
        count
    }

    /// Tells a driver that ran out of frames that there are some again.
    #[cold]
    fn wake_receiver(&self) {
        // SAFETY: a read of nothing from the socket, which this value keeps open.
        unsafe {
            libc::recvfrom(
                self.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
        }
    }

    /// True when the driver works on the frames in place.
    pub(super) fn is_zero_copy(&self) -> io::Result<bool> {
        let mut options = libc::xdp_options { flags: 0 };
        let mut length = size_of::<libc::xdp_options>() as libc::socklen_t;
        // SAFETY: the pointers are to values of the sizes stated.
        let result = unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_XDP,
                libc::XDP_OPTIONS,
                (&raw mut options).cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// The kernel's own counters of the socket.
    pub(super) fn statistics(&self) -> io::Result<XdpStatistics> {
        self.receive.fd().xdp_statistics()
    }

    /// True when the kernel has not taken all that is in the transmit ring: it had no room, and wants to be asked again.
    pub(super) const fn is_kick_due(&self) -> bool {
        self.is_kick_due
    }

    /// Frames that have not left yet, and never will if nobody flushes again.
    pub(super) fn unsent(&self) -> u64 {
        u64::from(self.unsent) + self.taken.len() as u64
    }

    /// Frames that were lost since the peer had no room for them.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// The socket, for waiting on it.
    pub(super) fn borrow_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket stays open as long as this value.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl AsRawFd for Rings {
    fn as_raw_fd(&self) -> RawFd {
        self.receive.fd().as_raw_fd()
    }
}

/// What the kernel said, out of an error that wraps it.
fn kernel_error(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    let code = error.source().and_then(|source| source.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
    code.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}
