//! What only the driver knows: its name, queues and link speed, its offload switches, its own counters.
//!
//! The ethtool ioctl is the one interface that has all of them; its netlink successor has neither the driver's name nor
//! its own counters.
//! The kernel's structures (`include/uapi/linux/ethtool.h`) begin with a 32-bit command and hold nothing that needs
//! more than the alignment of a 64-bit word, so each request is a buffer of words and the offsets are named here.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use nix::libc;

/// Reads the driver's name.
pub(super) fn driver_name(interface: &str) -> io::Result<String> {
    const ETHTOOL_GDRVINFO: u32 = 0x03;
    const LENGTH: usize = 196;
    const NAME: std::ops::Range<usize> = 4..36;
    let mut request = Request::new(ETHTOOL_GDRVINFO, LENGTH);
    request.exchange(interface)?;
    Ok(text(&request.octets()[NAME]))
}

/// Receive and transmit queues in use; `None` where the driver gives no sensible answer.
pub(super) fn queues(interface: &str) -> io::Result<Option<(u32, u32)>> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    const LENGTH: usize = 36;
    const RECEIVE: usize = 20;
    const TRANSMIT: usize = 24;
    const COMBINED: usize = 32;
    let mut request = Request::new(ETHTOOL_GCHANNELS, LENGTH);
    request.exchange(interface)?;
    let combined = request.word(COMBINED);
    let receive = combined.saturating_add(request.word(RECEIVE));
    let transmit = combined.saturating_add(request.word(TRANSMIT));
    Ok((receive > 0 && transmit > 0).then_some((receive, transmit)))
}

/// Link speed in bits per second; `None` where there is no link or no such thing as its speed.
pub(super) fn link_speed_bps(interface: &str) -> io::Result<Option<u64>> {
    const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
    const FIXED: usize = 48;
    const SPEED: usize = 4;
    const MASK_WORDS: usize = 15;
    // Three masks follow the fixed part. Asked with no room for them, the kernel answers with minus the number of
    // words that each needs and nothing else; asked with that number, it answers in full.
    let mut question = Request::new(ETHTOOL_GLINKSETTINGS, FIXED);
    question.exchange(interface)?;
    let mask_words = i8::from_ne_bytes([question.octets()[MASK_WORDS]]).unsigned_abs();
    let mut request = Request::new(ETHTOOL_GLINKSETTINGS, FIXED + 3 * 4 * usize::from(mask_words));
    request.set_octet(MASK_WORDS, mask_words);
    request.exchange(interface)?;
    Ok(bits_per_second(request.word(SPEED)))
}

/// The kernel says `u32::MAX` (`SPEED_UNKNOWN`) or 0 where there is no speed.
fn bits_per_second(megabits: u32) -> Option<u64> {
    (megabits != 0 && megabits != u32::MAX).then(|| u64::from(megabits) * 1_000_000)
}

/// A setting that is read and written as one 32-bit value (`struct ethtool_value`), by its pair of commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueCommands {
    pub(super) get: u32,
    pub(super) set: u32,
}

/// Reads a setting.
pub(super) fn value(interface: &str, commands: ValueCommands) -> io::Result<u32> {
    let mut request = Request::new(commands.get, 8);
    request.exchange(interface)?;
    Ok(request.word(4))
}

/// Writes a setting. The driver may keep another value than the one given: read it back.
pub(super) fn set_value(interface: &str, commands: ValueCommands, value: u32) -> io::Result<()> {
    let mut request = Request::new(commands.set, 8);
    request.set_word(4, value);
    request.exchange(interface)
}

/// Reads the driver's own counters and their names, in the driver's order; empty where the driver has none.
pub(super) fn counters(interface: &str) -> io::Result<Vec<(String, u64)>> {
    const ETHTOOL_GSTRINGS: u32 = 0x1b;
    const ETHTOOL_GSTATS: u32 = 0x1d;
    const NAME_LENGTH: usize = 32;
    let Some(count) = counter_count(interface)? else {
        return Ok(Vec::new());
    };
    // The kernel writes as many entries as the driver has at that moment, whatever length it is told. The count can
    // grow between two calls only when somebody changes the number of queues: there is room for that.
    let room = (2 * count).max(4096);

    let mut names = Request::new(ETHTOOL_GSTRINGS, 12 + room * NAME_LENGTH);
    names.set_word(4, ETH_SS_STATS);
    names.set_word(8, u32::try_from(count).unwrap_or(u32::MAX));
    names.exchange(interface)?;

    let mut values = Request::new(ETHTOOL_GSTATS, 8 + room * 8);
    values.set_word(4, u32::try_from(count).unwrap_or(u32::MAX));
    values.exchange(interface)?;

    let count = (names.word(8).min(values.word(4)) as usize).min(room);
    let names = names.octets()[12..].chunks_exact(NAME_LENGTH).map(text);
    let values = values.octets()[8..].chunks_exact(8).map(|octets| {
        let mut value = [0; 8];
        value.copy_from_slice(octets);
        u64::from_ne_bytes(value)
    });
    Ok(names.zip(values).take(count).collect())
}

/// The string set that names the driver's counters.
const ETH_SS_STATS: u32 = 1;

/// How many counters the driver has, or `None` when it has no such set.
fn counter_count(interface: &str) -> io::Result<Option<usize>> {
    const ETHTOOL_GSSET_INFO: u32 = 0x37;
    // cmd, reserved, a 64-bit mask of the sets asked for, then one 32-bit count for each set granted.
    let mut request = Request::new(ETHTOOL_GSSET_INFO, 20);
    let mask = 1_u64 << ETH_SS_STATS;
    request.words[1] = mask;
    request.exchange(interface)?;
    let granted = request.words[1] == mask;
    Ok((granted && request.word(16) > 0).then(|| request.word(16) as usize))
}

/// The command and data of one ioctl, in 64-bit words for their alignment.
struct Request {
    words: Vec<u64>,
    octets: usize,
}

impl Request {
    /// `octets` is the length of the command's structure with all that the kernel may write behind it.
    fn new(command: u32, octets: usize) -> Self {
        let mut request = Self { words: vec![0; octets.div_ceil(8)], octets };
        request.set_word(0, command);
        request
    }

    /// Hands the request to the driver of `interface` and takes back its answer.
    fn exchange(&mut self, interface: &str) -> io::Result<()> {
        const SIOCETHTOOL: libc::Ioctl = 0x8946;
        let mut name = [0; libc::IFNAMSIZ];
        if interface.len() >= name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in name.iter_mut().zip(interface.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        let mut exchange = libc::ifreq {
            ifr_name: name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: self.words.as_mut_ptr().cast() },
        };
        let socket = control_socket()?;
        // SAFETY: `exchange` is a live `ifreq` with a terminated name, and its data pointer is to a live, exclusively
        // borrowed buffer, aligned to 8, that the constructor's callers sized for all that the command writes.
        let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut exchange) };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn word(&self, offset: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.octets()[offset..offset + 4]);
        u32::from_ne_bytes(word)
    }

    fn set_word(&mut self, offset: usize, value: u32) {
        for (place, octet) in (offset..).zip(value.to_ne_bytes()) {
            self.set_octet(place, octet);
        }
    }

    fn set_octet(&mut self, offset: usize, value: u8) {
        let mut octets = self.words[offset / 8].to_ne_bytes();
        octets[offset % 8] = value;
        self.words[offset / 8] = u64::from_ne_bytes(octets);
    }

    fn octets(&self) -> &[u8] {
        // SAFETY: the words are initialised, any octet is a valid `u8`, `u8` has no alignment, and `octets` was
        // rounded up to make the words, so it does not reach behind them.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.octets) }
    }
}

/// Any socket of the current network namespace will do to reach its interfaces.
fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: `socket` takes no pointers.
    let descriptor = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Text in a fixed field, ended by a zero where it is shorter.
fn text(field: &[u8]) -> String {
    let text = field.split(|&octet| octet == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_where_the_kernel_reads_them() {
        let mut request = Request::new(0x0102_0304, 12);
        request.set_word(4, 5);
        request.set_word(8, 6);
        let expected = [0x0102_0304_u32, 5, 6].map(u32::to_ne_bytes).concat();
        assert_eq!(request.octets(), expected);
        assert_eq!(request.word(8), 6);
    }

    #[test]
    fn an_unknown_speed_is_no_speed() {
        assert_eq!(bits_per_second(0), None);
        assert_eq!(bits_per_second(u32::MAX), None);
        assert_eq!(bits_per_second(400_000), Some(400_000_000_000));
    }

    #[test]
    fn a_full_field_has_no_terminator() {
        assert_eq!(text(b"veth\0\0\0"), "veth");
        assert_eq!(text(b"full"), "full");
    }

    #[test]
    fn too_long_a_name_is_no_device() {
        let error = driver_name("a-name-of-sixteen").expect_err("no such interface can exist");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
