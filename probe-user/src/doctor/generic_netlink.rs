//! The few octets of generic netlink that one question and its answer take (`include/uapi/linux/genetlink.h`).
//!
//! The libraries for it are asynchronous and ask for a type for each message. Here a message is its attributes, and
//! all numbers are in the machine's own octet order.

use std::{io, os::fd::AsRawFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

const MESSAGE_HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;

/// Asks `command` of a family of the current network namespace and gives the attributes of the answer.
///
/// # Errors
///
/// What the kernel says; `NotFound` where it has no such family.
pub(super) fn ask(family: &str, command: u8, question: &[u8]) -> io::Result<Vec<u8>> {
    exchange(family_number(family)?, command, question)
}

fn family_number(family: &str) -> io::Result<u16> {
    const CONTROLLER: u16 = 16;
    const GET_FAMILY: u8 = 3;
    const FAMILY_NUMBER: u16 = 1;
    const FAMILY_NAME: u16 = 2;
    let answer = exchange(CONTROLLER, GET_FAMILY, &attribute(FAMILY_NAME, &[family.as_bytes(), &[0]].concat()))?;
    let number =
        attributes(&answer).find(|(kind, _)| *kind == FAMILY_NUMBER).and_then(|(_, value)| value.try_into().ok());
    number.map(u16::from_ne_bytes).ok_or_else(malformed)
}

/// Sends one message and receives one.
fn exchange(family: u16, command: u8, question: &[u8]) -> io::Result<Vec<u8>> {
    const REQUEST: u16 = 1;
    const ERROR: u16 = 2;
    const PATIENCE: i64 = 2;
    const LONGEST: usize = 1 << 16;

    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkGeneric)?;
    setsockopt(&kernel, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
    nix::sys::socket::connect(kernel.as_raw_fd(), &NetlinkAddr::new(0, 0))?;

    let length = MESSAGE_HEADER + GENERIC_HEADER + question.len();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&u32::try_from(length).map_err(|_| malformed())?.to_ne_bytes());
    message.extend_from_slice(&family.to_ne_bytes());
    message.extend_from_slice(&REQUEST.to_ne_bytes());
    // Sequence and port are 0: the socket asks one thing and then closes. The family's version is 1 throughout.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[command, 1, 0, 0]);
    message.extend_from_slice(question);
    send(kernel.as_raw_fd(), &message, MsgFlags::empty())?;

    let mut answer = vec![0; LONGEST];
    let received = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let answer = answer.get(..received).ok_or_else(malformed)?;
    let stated = u32::from_ne_bytes(field(answer, 0)?) as usize;
    let message = answer.get(..stated).ok_or_else(malformed)?;
    if u16::from_ne_bytes(field(message, 4)?) == ERROR {
        let error = i32::from_ne_bytes(field(message, MESSAGE_HEADER)?);
        return Err(io::Error::from_raw_os_error(error.wrapping_neg()));
    }
    message.get(MESSAGE_HEADER + GENERIC_HEADER..).map(<[u8]>::to_vec).ok_or_else(malformed)
}

/// An attribute in the form of the wire, filled up to a multiple of four octets.
///
/// # Panics
///
/// Where the value is longer than an attribute can be, 65,531 octets.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("an attribute of a question is short");
    let mut octets = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

/// The attributes in a message or in another attribute: their kinds, without the two flag bits, and their values. It
/// ends at the first one that does not fit.
pub(super) fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(octets, 0).ok()?));
        let kind = u16::from_ne_bytes(field(octets, 2).ok()?) & KIND;
        let value = octets.get(ATTRIBUTE_HEADER..length)?;
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn field<const N: usize>(octets: &[u8], offset: usize) -> io::Result<[u8; N]> {
    octets.get(offset..offset + N).and_then(|field| field.try_into().ok()).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a malformed generic netlink message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_say_their_own_length() {
        let octets = [attribute(7, b"abcde"), attribute(8 | 1 << 15, &[]), attribute(9, &[1, 2, 3, 4])].concat();
        assert_eq!(octets.len(), 12 + 4 + 8);
        let read: Vec<_> = attributes(&octets).collect();
        assert_eq!(read, [(7, &b"abcde"[..]), (8, &[][..]), (9, &[1, 2, 3, 4][..])]);
    }

    #[test]
    fn a_cut_attribute_ends_the_list() {
        let octets = attribute(7, b"abcdefgh");
        assert_eq!(attributes(&octets[..octets.len() - 1]).count(), 0);
        assert_eq!(attributes(&[1, 0, 0, 0]).count(), 0, "a length below that of the header");
        assert_eq!(attributes(&[]).count(), 0);
    }

    #[test]
    fn the_kernel_knows_its_own_controller() {
        assert_eq!(family_number("nlctrl").expect("the controller's number is fixed"), 16);
        assert_eq!(family_number("no-such").expect_err("no such family").kind(), io::ErrorKind::NotFound);
    }
}
