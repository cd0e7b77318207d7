//! The four calls of the kernel's BPF interface that neither aya nor libbpf-rs offers in a safe form.
#![allow(unsafe_code, reason = "libbpf's C functions; each call states why it is sound")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;

/// What sits on an interface, by place. 0 stands for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) native: u32,
    pub(super) generic: u32,
    pub(super) hardware: u32,
}

/// Asks an interface of the current network namespace for the numbers of its XDP programs.
pub(super) fn programs_on(interface: u32) -> io::Result<Programs> {
    let mut answer = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: `answer` lives across the call and says its own size; the call writes nothing beyond it.
    let result = unsafe { libbpf_sys::bpf_xdp_query(signed(interface)?, 0, &raw mut answer) };
    done(result)?;
    Ok(Programs { native: answer.drv_prog_id, generic: answer.skb_prog_id, hardware: answer.hw_prog_id })
}

/// Attaches a program to an interface by link. aya's own call falls back to netlink when the kernel says EINVAL, and
/// what was attached so survives a `kill -9`; this one never does.
///
/// `flags` are the kernel's XDP_FLAGS_*.
pub(super) fn create(program: BorrowedFd<'_>, interface: u32, flags: u32) -> io::Result<OwnedFd> {
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags,
        ..Default::default()
    };
    // SAFETY: the program's descriptor is open as long as it is borrowed; `options` lives across the call and says
    // its own size.
    let result = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), signed(interface)?, libbpf_sys::BPF_XDP, &raw const options)
    };
    owned(result)
}

/// Opens a link by its number. The link, and the program with it, stays as long as the descriptor is open.
pub(super) fn by_id(link: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes a number and keeps nothing of ours.
    owned(unsafe { libbpf_sys::bpf_link_get_fd_by_id(link) })
}

/// Ties a map to a program that does not use it, so that the map lives as long and is listed among the program's.
pub(super) fn bind_map(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both descriptors are open as long as they are borrowed; no options are allowed for by a null pointer.
    done(unsafe { libbpf_sys::bpf_prog_bind_map(program.as_raw_fd(), map.as_raw_fd(), ptr::null()) })
}

fn signed(interface: u32) -> io::Result<i32> {
    i32::try_from(interface).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))
}

/// libbpf returns the negative error number.
fn done(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

fn owned(result: i32) -> io::Result<OwnedFd> {
    done(result)?;
    // SAFETY: a result that is not negative is a descriptor that the kernel opened for this call; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}
