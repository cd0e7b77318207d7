//! What the eBPF programs and user space share: the values in the maps, their names, and the version of it all.
//!
//! The programs of one interface serve several processes, perhaps of several builds, so every value here is part of a
//! contract that [`ABI_VERSION`] numbers. Values are plain, without padding, in host byte order unless they say
//! otherwise.

use crate::address::Address;

/// The version of this contract. It changes with any change of a map or of a value in it.
pub const ABI_VERSION: u32 = 2;

/// The name of the XDP program, by which another process knows it (at most 15 characters).
pub const PROGRAM: &str = "leadline";

/// The names of the maps (at most 15 characters each).
pub mod map {
    /// Array of one [`Control`](super::Control).
    pub const CONTROL: &str = "CONTROL";
    /// Array of a [`PortEntry`](super::PortEntry) for each UDP port.
    pub const PORTS: &str = "PORTS";
    /// Hash of the interface's own addresses, 16 octets each, to the slot of the holder that configured them.
    pub const ADDRESSES: &str = "ADDRESSES";
    /// Longest-prefix trie of [`AllowedKey`](super::AllowedKey): sources that a reflector answers.
    pub const ALLOWED: &str = "ALLOWED";
    /// LRU hash of [`SessionKey`](super::SessionKey) to [`Session`](super::Session).
    pub const SESSIONS: &str = "SESSIONS";
    /// AF_XDP sockets by receive queue.
    pub const SOCKETS: &str = "SOCKETS";
    /// Per-CPU array of counters, [`COUNTERS_PER_SLOT`](super::COUNTERS_PER_SLOT) for each slot.
    pub const COUNTERS: &str = "COUNTERS";
    /// Array of the holders, by slot: [`Holder`](super::Holder).
    pub const HOLDERS: &str = "HOLDERS";
}

/// Processes that can share an interface. Slot 0 stands for the interface itself.
pub const SLOTS: u32 = 64;
/// Receive queues that can have a socket.
pub const QUEUES: u32 = 256;
/// Sessions that a reflector numbers at once. Four times as many as are promised, since an LRU map evicts early.
pub const SESSIONS: u32 = 65_536;
/// The interface's own addresses and those configured.
pub const ADDRESSES: u32 = 1_024;
/// Prefixes of all allow-lists together.
pub const ALLOWED: u32 = 4_096;

/// What the interface's program needs to know about the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// [`ABI_VERSION`] of the process that loaded the program.
    pub abi_version: u32,
    /// Seconds by which TAI is ahead of UTC, as the kernel has it.
    pub tai_utc_offset: i32,
    /// One of so many packets is logged; 0 logs none.
    pub log_one_of: u32,
    /// The interface's own link address.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: [u8; 6],
    /// Two of the interface's own addresses, which are in [`map::ADDRESSES`] too: the programs look here first, since
    /// looking up costs them far more than comparing. Zeros, to which nobody sends, where there are fewer.
    pub first_addresses: [Address; 2],
}

/// What is done with packets to a UDP port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role(pub u8);

impl Role {
    /// Nothing: the kernel's own.
    pub const NONE: Self = Self(0);
    /// The port of a session-reflector.
    pub const REFLECT: Self = Self(1);
    /// The source port of a session-sender: packets to it are captured.
    pub const CAPTURE: Self = Self(2);
}

/// The role of one UDP port, and how it is played.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortEntry {
    /// A [`Role`].
    pub role: u8,
    /// The slot of the holder.
    pub slot: u8,
    /// Flags, below.
    pub flags: u8,
    /// Zero.
    pub reserved: u8,
    /// The reflector's error estimate; its Z bit is set by the format in use.
    pub error_estimate: u16,
    /// Zero.
    pub reserved_too: u16,
}

impl PortEntry {
    /// The reflector copies the sender's sequence number (stateless, RFC 8762 section 4.2).
    pub const STATELESS: u8 = 1;
    /// Only sources in [`map::ALLOWED`] are answered.
    pub const ALLOW_LIST: u8 = 2;
    /// Timestamps are written in NTP format whatever the request has.
    pub const NTP_ALWAYS: u8 = 4;
    /// Timestamps are written in PTP format whatever the request has.
    pub const PTP_ALWAYS: u8 = 8;

    /// True when a flag is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What makes a session at the reflector (RFC 8972 section 3: addresses, ports and SSID).
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The session-sender's address.
    pub source: Address,
    /// The reflector's address.
    pub destination: Address,
    /// The session-sender's port.
    pub source_port: u16,
    /// The reflector's port.
    pub destination_port: u16,
    /// STAMP Session Identifier.
    pub ssid: u16,
    /// Zero.
    pub reserved: u16,
}

/// What the reflector remembers of a session.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The number of the next reply.
    pub next_sequence: u32,
    /// Zero.
    pub reserved: u32,
}

/// A prefix that may use a reflector: the port in network order in 4 octets, then the 16-octet address.
pub type AllowedKey = [u8; 20];
/// Bits of an [`AllowedKey`] before the address.
pub const ALLOWED_PORT_BITS: u32 = 32;

/// A process that holds the interface's program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// 1 while the slot is taken.
    pub taken: u32,
    /// The holder's process, as it sees itself.
    pub process: u32,
}

/// Where a time of arrival was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivalSource(pub u8);

impl ArrivalSource {
    /// By the eBPF program, at the driver hook.
    pub const DRIVER_HOOK: Self = Self(1);
}

/// What `capture` puts in front of a frame, which ends where the frame begins.
///
/// The descriptor of an AF_XDP frame says nothing of metadata, and memory that nobody wrote reads as what was there
/// before. So the value vouches for itself: see [`Arrival::parse`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// When the driver handed the frame over, TAI nanoseconds.
    pub received_ns: u64,
    /// [`Arrival::MARK`], with the source of the time in its lowest octet.
    pub mark: u32,
    /// [`Arrival::check_of`] the time and the mark.
    pub check: u32,
}

impl Arrival {
    /// Octets in front of the frame; a multiple of 4, at most 32 (bpf_xdp_adjust_meta).
    pub const LENGTH: usize = size_of::<Self>();
    /// "LL", the version of the contract, and room for the source.
    pub const MARK: u32 = 0x4c4c_0000 | ABI_VERSION << 8;

    /// The value for a time of arrival.
    #[inline(always)]
    #[must_use]
    pub const fn at(received_ns: u64, source: ArrivalSource) -> Self {
        let mark = Self::MARK | source.0 as u32;
        Self { received_ns, mark, check: Self::check_of(received_ns, mark) }
    }

    /// Both halves of the time and the mark mixed, so that half of an old value does not pass.
    #[inline(always)]
    #[must_use]
    pub const fn check_of(received_ns: u64, mark: u32) -> u32 {
        (received_ns as u32).rotate_left(13) ^ (received_ns >> 32) as u32 ^ mark
    }

    /// Where the time was taken.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> ArrivalSource {
        ArrivalSource(self.mark as u8)
    }

    /// Reads the octets in front of a frame; `None` when `capture` of this version did not write them.
    #[inline(always)]
    #[must_use]
    pub fn parse(octets: &[u8; Self::LENGTH]) -> Option<Self> {
        let (received_ns, rest) = octets.split_first_chunk::<8>()?;
        let (mark, check) = rest.split_first_chunk::<4>()?;
        let arrival = Self {
            received_ns: u64::from_ne_bytes(*received_ns),
            mark: u32::from_ne_bytes(*mark),
            check: u32::from_ne_bytes(*check.first_chunk::<4>()?),
        };
        let is_whole =
            arrival.mark & !0xff == Self::MARK && arrival.check == Self::check_of(arrival.received_ns, arrival.mark);
        is_whole.then_some(arrival)
    }
}

/// One counter of the programs, by its index within a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter(pub u32);

/// Counters of each slot.
pub const COUNTERS_PER_SLOT: u32 = 32;

macro_rules! counters {
    ($($index:literal $constant:ident $name:literal $description:literal;)*) => {
        impl Counter {
            $(#[doc = $description] pub const $constant: Self = Self($index);)*

            /// Every counter, its name in reports, and what it counts.
            pub const ALL: &[(Self, &str, &str)] = &[$((Self($index), $name, $description),)*];
        }
    };
}

counters! {
    0 PASSED "passed" "frames that are none of ours, passed to the kernel";
    1 FRAGMENT "fragments" "fragments of UDP over IP, passed to the kernel";
    2 OPTIONS "ipv4_options" "UDP packets with IPv4 options, passed to the kernel";
    3 MALFORMED "malformed" "frames whose headers contradict each other, passed to the kernel";
    4 REFLECTED "reflected" "requests answered at the driver hook";
    5 CAPTURED "captured" "frames handed to the AF_XDP socket";
    6 BAD_HEADER_CHECKSUM "bad_header_checksum" "IPv4 packets whose header checksum is wrong, not answered";
    7 OTHER_MAC "other_mac" "packets to another link address than the interface's, not answered";
    8 OTHER_ADDRESS "other_address" "packets to an address that is not the interface's own, not answered";
    9 GROUP_ADDRESS "group_address" "packets to or from a multicast, broadcast, unspecified or IPv4-mapped IPv6 address, not answered";
    10 LOOP_PORT "loop_port" "requests from a reflector's port, not answered since two reflectors could loop";
    11 NOT_ALLOWED "not_allowed" "requests from a source outside the allow-list, not answered";
    12 TOO_SHORT "too_short" "requests below 14 octets, not answered";
    13 NO_CHECKSUM "no_udp_checksum" "IPv6 requests without a UDP checksum, not answered";
    14 NO_ROOM "no_room" "requests whose first 44 octets were out of reach in the driver's buffers or had no room to grow to, not answered";
    15 NO_SESSION "no_session" "requests for which no session could be kept, not answered";
    16 SESSION_NEW "sessions_new" "sessions that began";
    17 SESSION_MIDWAY "sessions_midway" "sessions whose first packet seen was not number 0: earlier ones were lost, or the session had been evicted";
    18 NO_SOCKET "no_socket" "replies whose receive queue has no AF_XDP socket, passed to the kernel";
    19 NO_METADATA "no_metadata" "replies that had no room for their arrival time in front, handed over without";
    20 STATELESS "stateless" "requests answered with the sender's own number";
}

impl Counter {
    /// The index in [`map::COUNTERS`] of this counter for a slot.
    #[inline(always)]
    #[must_use]
    pub const fn index(self, slot: u32) -> u32 {
        slot * COUNTERS_PER_SLOT + self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_no_padding_and_names_fit_the_kernel() {
        assert_eq!(size_of::<Control>(), 56);
        assert_eq!(size_of::<PortEntry>(), 8);
        assert_eq!(size_of::<SessionKey>(), 40);
        assert_eq!(Arrival::LENGTH, 16);
        for name in [
            PROGRAM,
            map::CONTROL,
            map::PORTS,
            map::ADDRESSES,
            map::ALLOWED,
            map::SESSIONS,
            map::SOCKETS,
            map::COUNTERS,
            map::HOLDERS,
        ] {
            assert!(name.len() <= 15, "{name}");
        }
    }

    #[test]
    fn counters_are_numbered_without_gaps() {
        for (index, (counter, name, _)) in Counter::ALL.iter().enumerate() {
            assert_eq!(counter.0 as usize, index, "{name}");
        }
        assert!(Counter::ALL.len() <= COUNTERS_PER_SLOT as usize);
    }

    #[test]
    fn an_arrival_vouches_for_itself_and_old_memory_does_not() {
        let arrival = Arrival::at(0x1234_5678_9abc_def0, ArrivalSource::DRIVER_HOOK);
        let mut octets = [0; Arrival::LENGTH];
        assert_eq!(Arrival::parse(&octets), None, "zeroed memory");
        octets[..8].copy_from_slice(&arrival.received_ns.to_ne_bytes());
        octets[8..12].copy_from_slice(&arrival.mark.to_ne_bytes());
        octets[12..].copy_from_slice(&arrival.check.to_ne_bytes());
        assert_eq!(Arrival::parse(&octets), Some(arrival));
        assert_eq!(arrival.source(), ArrivalSource::DRIVER_HOOK);
        for at in 0..Arrival::LENGTH {
            let mut spoiled = octets;
            spoiled[at] ^= 0x10;
            assert_eq!(Arrival::parse(&spoiled), None, "octet {at}");
        }
    }
}
