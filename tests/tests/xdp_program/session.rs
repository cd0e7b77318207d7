//! How the reflector numbers its replies: by session, from zero, exactly, on every processor.

use std::net::IpAddr;
use std::sync::Barrier;

use leadline_tests::network::Family;
use leadline_tests::request::{Checksum, FAMILIES, Manner, Request, Tags, check_reply, tai_now};
use leadline_tests::require;
use leadline_tests::test_run::verdict;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use probe_wire::shared::SESSIONS;

use crate::program::{Counts, Program, REFLECTOR, once};

/// One session's packets, out of the sender's order and with gaps, interleaved with those of sessions that differ from it in
/// one part of the key each (RFC 8972, section 3).
#[test]
fn each_session_is_numbered_from_zero_by_itself() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let mut sessions = 0;
    let (_, counts) = program.counted(|| {
        for family in FAMILIES {
            let request = Request::new(family, 60).ssid(0x0102);
            let (mut other_source, mut other_destination_port) = (request.clone(), request.clone());
            other_source.source = match request.source {
                IpAddr::V4(_) => [198, 18, 0, 9].into(),
                IpAddr::V6(_) => [0xfd00, 0x6c64, 0, 0, 0, 0, 0, 9].into(),
            };
            other_destination_port.destination_port = Manner::PtpAlways.port();
            let others = [
                request.clone().ssid(0x0103),
                request.clone().ssid(0x0202),
                request.clone().from_port(41_000),
                other_source,
                other_destination_port,
                Request { payload: request.payload[..14].to_vec(), ..request.clone() },
            ];
            for (number, sequence) in [0, 1, 5, 3, 3, u32::MAX].into_iter().enumerate() {
                for request in others.iter().chain([&request]) {
                    let request = request.clone().numbered(sequence);
                    let begun = tai_now();
                    let outcome = program.run(&request.write());
                    assert_eq!(outcome.verdict, verdict::TRANSMIT);
                    check_reply("a session", &request, &outcome.frame, number as u32, (begun, tai_now()));
                }
            }
            sessions += 1 + others.len() as u64;
        }
    });
    let expected = [((REFLECTOR, "reflected"), 6 * sessions), ((REFLECTOR, "sessions_new"), sessions)];
    assert_eq!(counts, Counts::from(expected));
}

/// What belongs to the packet but not to the session does not begin a new one.
#[test]
fn a_session_is_not_its_link_nor_its_class_of_service() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let request = Request::new(Family::V4, 44);
    let variants = [
        request.clone(),
        Request { dscp: 46, ecn: 1, ..request.clone() },
        Request { ttl: 3, ..request.clone() },
        Request { source_mac: [0x02, 0, 0, 0x51, 0, 0x33], ..request.clone() },
        Request { tags: Tags::One, ..request.clone() },
        request.clone().ptp(true),
    ];
    for (number, request) in variants.iter().enumerate() {
        assert_eq!(number_of(&program.run(&request.write()).frame, request), number as u32, "{request:?}");
    }
}

/// One session from every processor at once: each number is given once, and none is left out.
#[test]
fn no_number_is_given_twice_on_several_processors() {
    const EACH: u32 = 5_000;

    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let request = Request::new(Family::V4, 44);
    let frame = request.write();
    let processors = processors();
    let mut numbers =
        on_each(&processors, || (0..EACH).map(|_| number_of(&program.run(&frame).frame, &request)).collect::<Vec<_>>());
    numbers.sort_unstable();
    let all = 0..EACH * processors.len() as u32;
    assert!(numbers.iter().copied().eq(all.clone()), "not each of {all:?} once");
    let expected = [((REFLECTOR, "reflected"), u64::from(all.end)), ((REFLECTOR, "sessions_new"), 1)];
    assert_eq!(program.counts(), Counts::from(expected));
}

/// The first packets of a session on every processor at the same moment, many times: one session begins.
#[test]
fn a_session_begins_once_on_several_processors() {
    const ROUNDS: u16 = 500;

    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let processors = processors();
    let barrier = Barrier::new(processors.len());
    let frames: Vec<_> = (0..ROUNDS).map(|round| Request::new(Family::V6, 44).ssid(round).write()).collect();
    let request = Request::new(Family::V6, 44);
    let mut numbers = on_each(&processors, || {
        let number = |(round, frame): (usize, &Vec<u8>)| {
            barrier.wait();
            (round, number_of(&program.run(frame).frame, &request))
        };
        frames.iter().enumerate().map(number).collect::<Vec<_>>()
    });
    numbers.sort_unstable();
    let each =
        (0..usize::from(ROUNDS)).flat_map(|round| (0..processors.len() as u32).map(move |number| (round, number)));
    assert!(numbers.iter().copied().eq(each), "numbers given twice, or left out");
    assert_eq!(program.counts()[&(REFLECTOR, "sessions_new")], u64::from(ROUNDS));
}

/// More sessions than are kept push out the oldest. One that was pushed out begins anew in its middle, which is counted: its
/// numbers no longer tell which way its packets were lost.
#[test]
fn a_session_that_was_pushed_out_is_flagged_when_it_goes_on() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let early = Request::new(Family::V4, 44).from_port(9);
    for sequence in 0..3 {
        let request = early.clone().numbered(sequence);
        assert_eq!(number_of(&program.run(&request.write()).frame, &request), sequence);
    }
    // Zero instead of a checksum saves making each frame anew.
    let other = Request { checksum: Checksum::Absent, ..Request::new(Family::V4, 44) };
    let (mut frame, source_port, ssid) = (other.write(), other.udp_offset(), other.udp_offset() + 8 + 14);
    // An entry that was used again is spared once.
    for session in 0..2 * SESSIONS {
        let [_, port, high, low] = session.to_be_bytes();
        frame[source_port..source_port + 2].copy_from_slice(&[0x90, port]);
        frame[ssid..ssid + 2].copy_from_slice(&[high, low]);
        assert_eq!(program.run(&frame).verdict, verdict::TRANSMIT);
    }
    let request = early.numbered(3);
    let (outcome, counts) = program.counted(|| program.run(&request.write()));
    assert_eq!(number_of(&outcome.frame, &request), 0);
    assert_eq!(counts, once(REFLECTOR, &["reflected", "sessions_new", "sessions_midway"]));
}

/// The number that a reply to this request carries.
fn number_of(reply: &[u8], request: &Request) -> u32 {
    let payload = request.udp_offset() + 8;
    u32::from_be_bytes(reply[payload..payload + 4].try_into().expect("4 octets"))
}

/// The processors that this process may use: two at least, or the tests of several would say nothing.
fn processors() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("this process's processors");
    let processors: Vec<usize> = (0..CpuSet::count()).filter(|number| allowed.is_set(*number) == Ok(true)).collect();
    assert!(processors.len() >= 2, "two processors are needed, not {processors:?}");
    processors
}

/// Runs the action on every processor at once, and returns what all of them returned.
fn on_each<T: Send>(processors: &[usize], action: impl Fn() -> Vec<T> + Sync) -> Vec<T> {
    let start = Barrier::new(processors.len());
    let pinned = |processor: usize| {
        let mut only = CpuSet::new();
        only.set(processor).expect("a processor's number");
        sched_setaffinity(Pid::from_raw(0), &only).expect("a processor of this process");
        start.wait();
        action()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = processors.iter().map(|processor| scope.spawn(|| pinned(*processor))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that did not panic")).collect()
    })
}
