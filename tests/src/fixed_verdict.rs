//! The smallest XDP programs there are: one verdict for every frame.
//!
//! On veth, frames that a program sends back with `XDP_TX` arrive only where the peer has an XDP program too. The ends of
//! the scripted wire therefore need one, and it must not be the product's: here it is, as two raw instructions. Other
//! verdicts stand for somebody else's program. One of the rooms with unsafe code in this crate: the bpf(2) system call
//! has no safe wrapper.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::namespace::Namespace;

/// What becomes of every frame: values of `enum xdp_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It vanishes.
    Drop = 1,
    /// The kernel's stack gets it.
    Pass = 2,
    /// It leaves where it came from, as it is.
    Transmit = 3,
}

/// A program that gives one verdict to every frame of one interface, in native mode, for as long as this value lives.
#[derive(Debug)]
pub struct FixedVerdict {
    _link: OwnedFd,
}

impl FixedVerdict {
    /// Loads the program and attaches it by link to an interface in the namespace.
    ///
    /// # Panics
    /// When there is no such interface, or when the kernel refuses.
    pub fn attach_in(namespace: &Namespace, interface: &str, verdict: Verdict) -> Self {
        let attach = || Self::attach(nix::net::if_::if_nametoindex(interface)?, verdict);
        namespace.enter(attach).unwrap_or_else(|error| panic!("no program to be attached to {interface}: {error}"))
    }

    /// Loads the program and attaches it by link to the interface with this index in the calling thread's namespace.
    ///
    /// # Errors
    /// What bpf(2) said: `EBUSY` when another program is attached, `EPERM` without privileges.
    pub fn attach(interface_index: u32, verdict: Verdict) -> io::Result<Self> {
        let program = load(verdict)?;
        let attributes = LinkCreate {
            program: program.as_raw_fd(),
            interface_index,
            attach_type: ATTACH_TYPE_XDP,
            flags: XDP_FLAGS_NATIVE_MODE,
        };
        // The link holds the program; our own descriptor of it may close.
        Ok(Self { _link: bpf(COMMAND_LINK_CREATE, &attributes)? })
    }
}

fn load(verdict: Verdict) -> io::Result<OwnedFd> {
    let instructions = [Instruction::move_to_r0(verdict as i32), Instruction::EXIT];
    let license = c"Dual MIT/GPL";
    let attributes = ProgramLoad {
        program_type: PROGRAM_TYPE_XDP,
        instruction_count: 2,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..ProgramLoad::default()
    };
    bpf(COMMAND_PROGRAM_LOAD, &attributes)
}

const COMMAND_PROGRAM_LOAD: libc::c_long = 5;
const COMMAND_LINK_CREATE: libc::c_long = 28;
const PROGRAM_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
const XDP_FLAGS_NATIVE_MODE: u32 = 1 << 2;

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const EXIT: Self = Self { code: 0x95, registers: 0, offset: 0, immediate: 0 };

    const fn move_to_r0(value: i32) -> Self {
        Self { code: 0xb7, registers: 0, offset: 0, immediate: value }
    }
}

/// The part of `union bpf_attr` that loading a program reads, up to the expected attach type.
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface_index: u32,
    expected_attach_type: u32,
}

/// The part of `union bpf_attr` that making a link reads.
#[repr(C)]
struct LinkCreate {
    program: RawFd,
    interface_index: u32,
    attach_type: u32,
    flags: u32,
}

/// Attributes of a bpf(2) command: plain integers, no padding, no pointer but those that the kernel reads during the call.
trait Attributes {}
impl Attributes for ProgramLoad {}
impl Attributes for LinkCreate {}

fn bpf<T: Attributes>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are initialised integers of the size that is passed, and outlive the call, as does what their
    // addresses point at; both commands only read them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: both commands return a new file descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
