//! What the kernel says beside a packet: a list of control messages (cmsg(3)), read as plain octets.

/// The control messages that the port asks for, as far as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ancillary {
    /// When the packet reached the host, nanoseconds of `CLOCK_REALTIME`.
    pub(super) received_utc_ns: Option<i64>,
    /// TTL or Hop Limit.
    pub(super) ttl: Option<u8>,
    /// Type of Service or Traffic Class.
    pub(super) traffic_class: Option<u8>,
    /// The packet is one of ours that came back with an ICMP error "destination unreachable".
    pub(super) is_unreachable: bool,
}

/// Octets of a message's header: its length, header included, its level and its type.
const HEADER: usize = size_of::<usize>() + 4 + 4;
const NANOSECONDS: i64 = 1_000_000_000;
/// "Destination unreachable" in ICMP (RFC 792) and in ICMPv6 (RFC 4443 section 3.1).
const UNREACHABLE: [(u8, u8); 2] = [(libc::SO_EE_ORIGIN_ICMP, 3), (libc::SO_EE_ORIGIN_ICMP6, 1)];

impl Ancillary {
    /// Reads a list of messages. Unknown ones are passed over; the list ends where it stops making sense.
    pub(super) fn read(mut control: &[u8]) -> Self {
        let mut ancillary = Self::default();
        while let Some((level, kind, data, rest)) = first(control) {
            ancillary.take(level, kind, data);
            control = rest;
        }
        ancillary
    }

    fn take(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPING) => self.received_utc_ns = software_time(data),
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => self.ttl = small(data),
            (libc::IPPROTO_IP, libc::IP_TOS) => self.traffic_class = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => self.traffic_class = small(data),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                // struct sock_extended_err: a number, the origin, type and code.
                self.is_unreachable =
                    data.get(4..6).is_some_and(|kind| UNREACHABLE.contains(&(kind[0], kind[1])));
            }
            _ => {}
        }
    }
}

/// The first message of a list, as level, type and data, and the list behind it.
fn first(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let (length, rest) = control.split_first_chunk::<{ size_of::<usize>() }>()?;
    let (level, rest) = rest.split_first_chunk::<4>()?;
    let kind = rest.first_chunk::<4>()?;
    let length = usize::from_ne_bytes(*length);
    let data = control.get(HEADER..length)?;
    // The next message begins at a whole word.
    let rest = control.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    Some((i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind), data, rest))
}

/// The first of three times is the software's; zero where there is none.
fn software_time(data: &[u8]) -> Option<i64> {
    let (seconds, rest) = data.split_first_chunk::<8>()?;
    let nanoseconds = i64::from_ne_bytes(*rest.first_chunk::<8>()?);
    let seconds = i64::from_ne_bytes(*seconds);
    (seconds != 0 || nanoseconds != 0).then_some(seconds * NANOSECONDS + nanoseconds)
}

/// A number below 256 that the kernel hands over as an integer.
fn small(data: &[u8]) -> Option<u8> {
    u8::try_from(i32::from_ne_bytes(*data.first_chunk::<4>()?)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut octets = (HEADER + data.len()).to_ne_bytes().to_vec();
        octets.extend(level.to_ne_bytes());
        octets.extend(kind.to_ne_bytes());
        octets.extend(data);
        octets.resize(octets.len().next_multiple_of(8), 0);
        octets
    }

    #[test]
    fn every_message_is_found_in_any_place() {
        let mut time = [0; 48];
        time[..8].copy_from_slice(&1_700_000_000_i64.to_ne_bytes());
        time[8..16].copy_from_slice(&5_i64.to_ne_bytes());
        let list = [
            message(libc::SOL_SOCKET, 999, &[1, 2, 3]),
            message(libc::IPPROTO_IP, libc::IP_TOS, &[0xb8]),
            message(libc::IPPROTO_IP, libc::IP_TTL, &64_i32.to_ne_bytes()),
            message(libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &time),
        ]
        .concat();
        let expected = Ancillary {
            received_utc_ns: Some(1_700_000_000_000_000_005),
            ttl: Some(64),
            traffic_class: Some(0xb8),
            is_unreachable: false,
        };
        assert_eq!(Ancillary::read(&list), expected);
    }

    #[test]
    fn a_time_of_zero_is_no_time() {
        let list = message(libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &[0; 48]);
        assert_eq!(Ancillary::read(&list).received_utc_ns, None);
    }

    #[test]
    fn time_exceeded_is_not_unreachable() {
        let error = |kind| message(libc::IPPROTO_IP, libc::IP_RECVERR, &[111, 0, 0, 0, 2, kind, 3, 0]);
        assert!(Ancillary::read(&error(3)).is_unreachable);
        assert!(!Ancillary::read(&error(11)).is_unreachable);
    }

    proptest! {
        #[test]
        fn no_octets_make_the_reader_panic_or_run_for_ever(octets in proptest::collection::vec(any::<u8>(), 0..300), length in 0_usize..80) {
            Ancillary::read(&octets);
            let mut octets = octets;
            octets.splice(..0, length.to_ne_bytes());
            Ancillary::read(&octets);
        }
    }
}
