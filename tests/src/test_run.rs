//! Frames through a loaded XDP program without an interface: `BPF_PROG_TEST_RUN`.
//!
//! One frame goes in, and the program's verdict, the frame as it left it, and the metadata in front of it come out. A room
//! with unsafe code, since the call takes raw pointers, and aya has no way to make it; so has an AF_XDP socket no safe one.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_sys::{bpf_prog_test_run_opts, bpf_test_run_opts, xdp_md};

/// What an XDP program says: values of `enum xdp_action`.
pub mod verdict {
    /// The kernel's stack gets the frame.
    pub const PASS: u32 = 2;
    /// It leaves where it came from.
    pub const TRANSMIT: u32 = 3;
    /// It goes to the AF_XDP socket that the program chose.
    pub const REDIRECT: u32 = 4;
}

/// A frame as a driver hands it over.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The frame from its Ethernet header, 14 octets or more.
    pub frame: &'a [u8],
    /// Octets of the frame in the driver's first buffer, where a program reaches them directly.
    pub first_buffer: usize,
    /// Metadata that stand in front already: a multiple of 4 octets.
    pub metadata: &'a [u8],
}

/// What a program made of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One of [`verdict`].
    pub verdict: u32,
    /// The frame afterwards, from its Ethernet header.
    pub frame: Vec<u8>,
    /// What stands in front of it as metadata.
    pub metadata: Vec<u8>,
}

/// Longer than any frame in these tests, and what is put in front of it.
const ROOM: usize = 4096;

/// Runs a program on one frame that lies in one buffer, without metadata.
///
/// # Panics
/// When the kernel refuses.
pub fn run(program: BorrowedFd<'_>, frame: &[u8]) -> Outcome {
    let input = Input { frame, first_buffer: frame.len(), metadata: &[] };
    run_input(program, &input).unwrap_or_else(|error| panic!("no test run of {} octets: {error}", frame.len()))
}

/// Runs a program on one frame.
///
/// # Errors
/// What the kernel said; `EINVAL` for several buffers before Linux 6.18.
pub fn run_input(program: BorrowedFd<'_>, input: &Input<'_>) -> io::Result<Outcome> {
    let octets = [input.metadata, input.frame].concat();
    let mut context = xdp_md {
        data: size(input.metadata.len()),
        data_end: size(input.metadata.len() + input.first_buffer),
        ..xdp_md::default()
    };
    let mut out = vec![0_u8; ROOM];
    let mut options = bpf_test_run_opts {
        sz: size_of::<bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: octets.as_ptr().cast(),
        data_size_in: size(octets.len()),
        data_out: out.as_mut_ptr().cast(),
        data_size_out: size(out.len()),
        ctx_in: (&raw const context).cast(),
        ctx_size_in: size(size_of::<xdp_md>()),
        ctx_out: (&raw mut context).cast(),
        ctx_size_out: size(size_of::<xdp_md>()),
        repeat: 1,
        ..bpf_test_run_opts::default()
    };
    // SAFETY: every pointer is to memory of the size stated beside it, which outlives the call. The kernel reads the context
    // before the program runs and writes it afterwards, so that one place can serve both ways.
    let result = unsafe { bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    out.truncate(options.data_size_out as usize);
    // What comes out begins with the metadata, and the context says where the frame begins.
    let frame = out.split_off(context.data as usize);
    Ok(Outcome { verdict: options.retval, frame, metadata: out })
}

/// An AF_XDP socket with a receive ring, bound to no queue: enough for a map to take it.
///
/// # Errors
/// What the kernel said; root is needed.
pub fn xdp_socket() -> io::Result<OwnedFd> {
    const DESCRIPTORS: u32 = 64;
    // SAFETY: a system call without pointers.
    let descriptor = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above returned a new file descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: the kernel reads one integer, whose size is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_RX_RING,
            std::ptr::from_ref(&DESCRIPTORS).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn size(octets: usize) -> u32 {
    u32::try_from(octets).expect("a frame is shorter than 4 GiB")
}
