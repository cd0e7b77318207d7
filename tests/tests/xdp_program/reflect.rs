//! The role of the session-reflector: every row of the two tables.

use leadline_tests::network::Family;
use leadline_tests::request::refused::CountedBy;
use leadline_tests::request::{FAMILIES, Manner, Request, Tags, answered, check_reply, refused, tai_now};
use leadline_tests::require;
use leadline_tests::test_run::{Input, run_input, verdict};

use crate::program::{INTERFACE, Program, REFLECTOR, once};

#[test]
fn what_is_answered_is_answered_to_the_last_octet() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let mut residences = Vec::new();
    for row in answered::rows() {
        let frame = row.request.write();
        let begun = tai_now();
        let (outcome, counts) = program.counted(|| program.run(&frame));
        let ended = tai_now();
        assert_eq!(outcome.verdict, verdict::TRANSMIT, "{}: {counts:?}", row.name);
        residences.push(check_reply(&row.name, &row.request, &outcome.frame, row.number(), (begun, ended)));
        assert_eq!(counts, once(REFLECTOR, row.counters()), "{}", row.name);
    }
    // One reading of the clock for both times would pass everything above.
    let later = residences.iter().filter(|residence| **residence > 0).count();
    assert!(2 * later > residences.len(), "T3 is seldom after T2: {residences:?}");
}

#[test]
fn what_is_not_answered_goes_on_untouched() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    for row in refused::rows() {
        let (outcome, counts) = program.counted(|| program.run(&row.frame));
        assert_eq!(outcome.verdict, verdict::PASS, "{}: {counts:?}", row.name);
        assert!(outcome.frame == row.frame, "{}: {:02x?} became {:02x?}", row.name, row.frame, outcome.frame);
        let slot = if row.counted_by == CountedBy::Interface { INTERFACE } else { REFLECTOR };
        assert_eq!(counts, once(slot, &[row.counter]), "{}", row.name);
    }
}

/// STAMP's own port is a reflector's everywhere, whether this host has one there or not.
#[test]
fn a_request_from_port_862_is_refused_without_a_reflector_there() {
    if !require::xdp_programs() {
        return;
    }
    let mut program = Program::load();
    program.clear_port(862);
    let frame = Request::new(Family::V4, 44).to(Manner::Stateless).from_port(862).write();
    let (outcome, counts) = program.counted(|| program.run(&frame));
    assert_eq!((outcome.verdict, outcome.frame), (verdict::PASS, frame));
    assert_eq!(counts, once(REFLECTOR, &["loop_port"]));
}

/// A driver may put a frame into several buffers, of which the program sees the first. Wherever the first one ends, the frame
/// is answered as a whole or passed as it was.
#[test]
fn a_frame_in_two_buffers_is_answered_whole_or_not_at_all() {
    if !require::xdp_programs() {
        return;
    }
    let program = Program::load();
    let (mut transmitted, mut passed) = (0, 0);
    for family in FAMILIES {
        for (tags, payload) in [(Tags::None, 14), (Tags::Two, 20), (Tags::One, 43), (Tags::None, 44), (Tags::Two, 100)]
        {
            let request = Request { tags, ..Request::new(family, payload).ssid(9) };
            let frame = request.write();
            for first_buffer in 14..=frame.len() {
                let row = format!("{family:?}, {tags:?}, {payload} octets, {first_buffer} in the first buffer");
                let request = request.clone().from_port(10_000 + first_buffer as u16 + 200 * payload as u16);
                let frame = request.write();
                let begun = tai_now();
                let input = Input { frame: &frame, first_buffer, metadata: &[] };
                let Ok(outcome) = run_input(program.descriptor(), &input) else {
                    assert!(first_buffer < frame.len(), "{row}: no test run");
                    continue;
                };
                if outcome.verdict == verdict::TRANSMIT {
                    check_reply(&row, &request, &outcome.frame, 0, (begun, tai_now()));
                    transmitted += 1;
                } else {
                    assert_eq!(outcome.verdict, verdict::PASS, "{row}");
                    assert!(outcome.frame == frame, "{row}: {frame:02x?} became {:02x?}", outcome.frame);
                    passed += 1;
                }
            }
        }
    }
    assert!(transmitted >= 10, "whole frames at least: {transmitted} answered, {passed} passed");
}
