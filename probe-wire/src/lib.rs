//! The octets that Leadline puts on the wire and the values that its eBPF programs and user space share.
//!
//! One parser serves both sides of the kernel boundary: it reads frames through a [`cursor::Cursor`], which user space
//! implements over a byte slice and the eBPF programs over the packet pointers that the verifier watches. Nothing here
//! allocates, panics, reads a clock or does I/O.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod address;
pub mod checksum;
pub mod classify;
pub mod cursor;
pub mod frame;
pub mod shared;
pub mod stamp;
pub mod timestamp;
