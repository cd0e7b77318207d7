//! The role at the session-sender: replies to its port go to the AF_XDP socket of their queue, with their time of arrival in
//! front; all else stays the kernel's.

use leadline_tests::request::{FAMILIES, REFLECTOR_MAC, Request, SENDER_PORT, Tags, tai_now};
use leadline_tests::require;
use leadline_tests::test_run::{self, Input, Outcome, run_input, verdict};

use crate::program::{Program, SENDER, once};

/// Nanoseconds by which the kernel's clock for programs may differ from the one for processes while it is being adjusted.
const CLOCK_TOLERANCE: u64 = 100;

#[test]
fn a_reply_goes_to_the_socket_with_its_time_of_arrival_in_front() {
    if !require::xdp_programs() {
        return;
    }
    let mut program = Program::load();
    let socket = test_run::xdp_socket().expect("an AF_XDP socket");
    program.set_socket(0, &socket);
    for frame in replies() {
        let begun = tai_now();
        let (outcome, counts) = program.counted(|| program.run(&frame));
        let bounds = begun - CLOCK_TOLERANCE..=tai_now() + CLOCK_TOLERANCE;
        assert_eq!(outcome.verdict, verdict::REDIRECT, "{counts:?}");
        assert_eq!(outcome.frame, frame);
        assert_eq!(counts, once(SENDER, &["captured"]));
        let received = arrival(&outcome.metadata);
        assert!(bounds.contains(&received), "{received} is not within {bounds:?}");
    }
}

#[test]
fn without_a_socket_a_reply_stays_the_kernels() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    for frame in replies() {
        let (outcome, counts) = program.counted(|| program.run(&frame));
        assert_eq!(outcome, untouched(&frame), "{counts:?}");
        assert_eq!(counts, once(SENDER, &["no_socket"]));
    }
}

/// Metadata that leave no room are left alone: the reply goes to the socket without its time, and is counted.
#[test]
fn a_reply_without_room_in_front_is_handed_over_without_its_time() {
    /// Octets that leave less than 16 in front: of the headroom, or of the 32 that older kernels allow.
    const FULL: [usize; 2] = [216, 32];

    if !require::xdp_programs() {
        return;
    }
    let mut program = Program::load();
    let socket = test_run::xdp_socket().expect("an AF_XDP socket");
    program.set_socket(0, &socket);
    let frame = &replies()[0];
    let run = |length: usize| {
        let input = Input { frame, first_buffer: frame.len(), metadata: &vec![0x5a; length] };
        run_input(program.descriptor(), &input)
    };
    let (outcome, counts) = program.counted(|| FULL.into_iter().find_map(|length| run(length).ok()));
    let outcome = outcome.expect("metadata are possible");
    assert_eq!(outcome.verdict, verdict::REDIRECT);
    assert_eq!(&outcome.frame, frame);
    assert!(outcome.metadata.iter().all(|octet| *octet == 0x5a), "{:02x?}", outcome.metadata);
    assert_eq!(counts, once(SENDER, &["captured", "no_metadata"]));
}

#[test]
fn what_is_not_for_this_host_is_not_captured() {
    if !require::xdp_programs() {
        return;
    }
    let mut program = Program::load();
    let socket = test_run::xdp_socket().expect("an AF_XDP socket");
    program.set_socket(0, &socket);
    for family in FAMILIES {
        let reply = Request { destination_port: SENDER_PORT, ..Request::new(family, 44).from_port(862) };
        let other_mac = [0x02, 0, 0, 0x51, 0, 0x09];
        let multicast = [0x33, 0x33, 0, 0, 0, 1];
        for (counter, request) in [
            ("other_mac", Request { destination_mac: other_mac, ..reply.clone() }),
            ("other_mac", Request { destination_mac: multicast, ..reply.clone() }),
            ("other_mac", Request { destination_mac: [0xff; 6], ..reply.clone() }),
            ("other_address", Request { destination: family.address(77), ..reply.clone() }),
        ] {
            let frame = request.write();
            let (outcome, counts) = program.counted(|| program.run(&frame));
            assert_eq!(outcome, untouched(&frame), "{counts:?}");
            assert_eq!(counts, once(SENDER, &[counter]), "{request:?}");
        }
    }
}

/// Replies of STAMP's base size, of TWAMP's shortest, and of a large one, to the sender's port. The program runs as at the
/// reflector, so that the reflector's addresses are its own.
fn replies() -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    for family in FAMILIES {
        for (tags, octets) in [(Tags::None, 44), (Tags::One, 41), (Tags::Two, 1_400)] {
            let request = Request { tags, ..Request::new(family, octets).from_port(862) };
            assert_eq!(request.destination_mac, REFLECTOR_MAC);
            replies.push(Request { destination_port: SENDER_PORT, ..request }.write());
        }
    }
    replies
}

fn untouched(frame: &[u8]) -> Outcome {
    Outcome { verdict: verdict::PASS, frame: frame.to_vec(), metadata: Vec::new() }
}

/// The time in the octets in front of a frame: 8 of nanoseconds, 4 of magic, version and source, 4 that check them, all in the
/// host's order. Read here by hand; the product has a reader of its own.
fn arrival(metadata: &[u8]) -> u64 {
    const MAGIC: u32 = u32::from_be_bytes([b'L', b'L', 2, 1]);

    let number = |at: usize| u32::from_ne_bytes(metadata[at..at + 4].try_into().expect("4 octets"));
    assert_eq!(metadata.len(), 16, "{metadata:02x?}");
    let received = u64::from_ne_bytes(metadata[..8].try_into().expect("8 octets"));
    assert_eq!(number(8), MAGIC, "magic, version, and the driver hook as the source");
    let (high, low) = ((received >> 32) as u32, received as u32);
    assert_eq!(number(12), low.rotate_left(13) ^ high ^ MAGIC, "the check of {received}");
    received
}
