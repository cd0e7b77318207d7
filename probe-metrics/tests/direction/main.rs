//! Directional loss against a wire that knows the truth.

mod wire;

use probe_metrics::{DirectionalLoss, Directions, Numbering};
use proptest::prelude::*;
use wire::{Copy, Fate, Script};

const WINDOW: usize = 256;

fn script(stream: Vec<Fate>) -> Script {
    Script { stream, sentinels: vec![Fate::delivered()] }
}

fn told(directions: &Directions) -> (u64, u64, u64) {
    (directions.forward, directions.backward, directions.unattributable)
}

/// A stream of `count` packets in which some meet with another fate.
fn stream_with(count: usize, fates: &[(usize, Fate)]) -> Vec<Fate> {
    let mut stream = vec![Fate::delivered(); count];
    for (place, fate) in fates {
        stream[*place] = fate.clone();
    }
    stream
}

fn once(copy: Copy) -> Fate {
    Fate { copies: vec![copy] }
}

fn twice(first: Copy, second: Copy) -> Fate {
    Fate { copies: vec![first, second] }
}

fn late(places: u64) -> Copy {
    Copy { late_by: places, ..Copy::on_time() }
}

#[test]
fn each_way_of_losing_one_packet() {
    for place in [0, 1, 50, 98, 99] {
        let forward = script(stream_with(100, &[(place, Fate::lost_forward())]));
        assert_eq!(told(&forward.play(WINDOW)), (1, 0, 0), "forward at {place}");
        let backward = script(stream_with(100, &[(place, Fate::lost_backward())]));
        assert_eq!(told(&backward.play(WINDOW)), (0, 1, 0), "backward at {place}");
    }
}

#[test]
fn without_a_sentinel_the_end_stays_open() {
    let losses = [(10, Fate::lost_forward()), (98, Fate::lost_forward()), (99, Fate::lost_backward())];
    let open = Script { stream: stream_with(100, &losses), sentinels: vec![] };
    assert_eq!(told(&open.play(WINDOW)), (1, 0, 2));
}

#[test]
fn a_lost_sentinel_may_have_taken_the_blame() {
    // One missing packet, one missing sentinel, one missing reply: either may be it.
    let open = Script {
        stream: stream_with(10, &[(9, Fate::lost_backward())]),
        sentinels: vec![Fate::lost_forward(), Fate::delivered()],
    };
    assert_eq!(told(&open.play(WINDOW)), (0, 0, 1));
    // Two missing replies: one of them is the packet's.
    let certain = Script {
        stream: stream_with(10, &[(9, Fate::lost_backward())]),
        sentinels: vec![Fate::lost_backward(), Fate::delivered()],
    };
    assert_eq!(told(&certain.play(WINDOW)), (0, 1, 0));
}

#[test]
fn no_reply_at_all_says_nothing() {
    let silent = Script { stream: vec![Fate::lost_backward(); 7], sentinels: vec![] };
    assert_eq!(told(&silent.play(WINDOW)), (0, 0, 7));
}

#[test]
fn a_reordered_packet_whose_reply_died_stays_open() {
    let kept_back = Copy { late_by: 2, ..Copy::unanswered() };
    let reordered = script(stream_with(20, &[(5, Fate { copies: vec![kept_back] })]));
    assert_eq!(told(&reordered.play(WINDOW)), (0, 0, 1));
}

#[test]
fn an_overtaken_packet_explains_no_missing_reply() {
    // At the reflector: 0 1 2 4 3 6 8 5 9, and the reply to 3 dies. It lies where 5 is missing at first; 7 is lost.
    let kept_back = Copy { late_by: 3, ..Copy::unanswered() };
    let fates = [(3, once(kept_back)), (5, once(late(4))), (7, Fate::lost_forward())];
    let directions = script(stream_with(20, &fates)).play(WINDOW);
    assert_eq!(told(&directions), (1, 0, 1));
}

#[test]
fn an_overtaken_packet_and_its_copy_count_once() {
    let fates = [(5, twice(late(3), late(3))), (6, Fate::lost_forward())];
    let directions = script(stream_with(20, &fates)).play(WINDOW);
    assert_eq!(told(&directions), (1, 0, 0));
}

#[test]
fn where_packets_overtake_the_last_ones_stay_open_without_a_sentinel() {
    let overtaken = (20, Fate { copies: vec![late(4)] });
    // Packet 97 may have reached the reflector after 99: others came that late.
    let near = Script { stream: stream_with(100, &[overtaken.clone(), (97, Fate::lost_forward())]), sentinels: vec![] };
    assert_eq!(told(&near.play(WINDOW)), (0, 0, 1));
    let far = Script { stream: stream_with(100, &[overtaken, (80, Fate::lost_forward())]), sentinels: vec![] };
    assert_eq!(told(&far.play(WINDOW)), (1, 0, 0));
}

#[test]
fn a_duplicates_lost_reply_is_no_lost_packet() {
    for copies in [twice(Copy::on_time(), Copy::unanswered()), twice(Copy::unanswered(), Copy::on_time())] {
        let directions = script(stream_with(20, &[(5, copies)])).play(WINDOW);
        assert_eq!(told(&directions), (0, 0, 0));
        assert_eq!(directions.numbering, Numbering::Continuous);
    }
}

#[test]
fn a_duplicates_lost_reply_beside_a_forward_loss_stays_open() {
    let fates = [(5, twice(Copy::on_time(), Copy::unanswered())), (8, Fate::lost_forward())];
    assert_eq!(told(&script(stream_with(20, &fates)).play(WINDOW)), (0, 0, 1));
}

#[test]
fn beyond_reach_a_duplicates_lost_reply_explains_no_forward_loss() {
    let fates = [(5, twice(Copy::on_time(), Copy::unanswered())), (500, Fate::lost_forward())];
    assert_eq!(told(&script(stream_with(1000, &fates)).play(WINDOW)), (1, 0, 0));
}

#[test]
fn copies_are_told_apart_by_the_way_they_were_made_on() {
    let backward = Fate { copies: vec![Copy { replies: vec![0, 3, 4], ..Copy::on_time() }] };
    let fates = [(3, twice(Copy::on_time(), late(1))), (6, backward)];
    let directions = script(stream_with(20, &fates)).play(WINDOW);
    assert_eq!((directions.duplicates_forward, directions.duplicates_backward), (1, 2));
    assert_eq!(told(&directions), (0, 0, 0));
}

#[test]
fn a_damaged_reply_is_no_backward_loss() {
    let damaged = Fate { copies: vec![Copy { damaged: true, ..Copy::unanswered() }] };
    let fates = [(3, damaged), (9, Fate::lost_forward()), (12, Fate::lost_backward())];
    assert_eq!(told(&script(stream_with(20, &fates)).play(WINDOW)), (1, 1, 0));
}

#[test]
fn an_outage_longer_than_the_window_is_counted_whole() {
    let mut finder = DirectionalLoss::new(64, 0);
    for s in (0..1000).chain(2_001_000..2_003_000) {
        // Of the outage, the first million was lost forward and the second backward.
        let number = if s < 1000 { s } else { s - 1_000_000 };
        finder.observe(s, number, true);
    }
    assert_eq!(told(&finder.finish(2_003_000, 2_000_000)), (1_000_000, 1_000_000, 0));
}

#[test]
fn a_session_that_starts_in_mid_count_is_measured_from_there() {
    let mut finder = DirectionalLoss::new(64, 7);
    for s in [1, 2, 4] {
        // Packet 0 died on the way back, packet 3 on the way out.
        let number = if s > 3 { s - 1 } else { s };
        finder.observe(s, 7 + number, true);
    }
    assert_eq!(told(&finder.finish(5, 2)), (1, 1, 0));
}

/// The reflector forgets the session before packet `at` and counts from 0 again.
fn restarted(at: u64, window: usize, loss_every: u64) -> Directions {
    let mut finder = DirectionalLoss::new(window, 0);
    let mut lost = 0;
    for s in 0..1000_u64 {
        if s % loss_every == 1 {
            lost += 1;
            continue;
        }
        finder.observe(s, if s < at { s } else { s - at }, true);
    }
    finder.finish(1000, lost)
}

#[test]
fn a_restarted_count_attributes_nothing() {
    for (at, window) in [(2, 64), (10, 64), (500, 64), (500, 4096), (990, 64), (999, 64)] {
        let directions = restarted(at, window, 10);
        assert_eq!(directions.numbering, Numbering::Restarted, "at {at}, window {window}");
        assert_eq!(told(&directions), (0, 0, 100));
    }
}

#[test]
fn a_count_shared_with_others_attributes_nothing() {
    let mut finder = DirectionalLoss::new(64, 0);
    for s in (0..1000).filter(|s| s % 100 != 5) {
        finder.observe(s, s * 3, true);
    }
    let directions = finder.finish(1000, 10);
    assert_eq!(directions.numbering, Numbering::Impossible);
    assert_eq!(told(&directions), (0, 0, 10));
}

#[test]
fn absurd_numbers_are_not_believed() {
    for (sequence, number) in [(0, u64::MAX), (u64::MAX, 0), (1, 1 << 59)] {
        let mut finder = DirectionalLoss::new(64, 0);
        finder.observe(0, 0, true);
        finder.observe(sequence, number, true);
        let directions = finder.finish(2, 1);
        assert_ne!(directions.numbering, Numbering::Continuous, "{sequence} {number}");
        assert_eq!(told(&directions), (0, 0, 1));
    }
}

/// Replies that are lost, doubled and out of order by up to `late` places.
fn replies(late: u64) -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        6 => Just(vec![0]),
        2 => Just(vec![]),
        1 => proptest::collection::vec(0..=late, 1..4),
    ]
}

fn copy(late_forward: u64, late_backward: u64) -> impl Strategy<Value = Copy> {
    let late = prop_oneof![4 => Just(0), 1 => 0..=late_forward];
    (late, replies(late_backward)).prop_map(|(late_by, replies)| Copy { late_by, replies, damaged: false })
}

/// Loss in both directions; reordering and duplication on the way back alone.
fn orderly_forward(late_backward: u64) -> impl Strategy<Value = Fate> {
    let damaged = Fate { copies: vec![Copy { damaged: true, ..Copy::unanswered() }] };
    prop_oneof![
        2 => Just(Fate::lost_forward()),
        1 => Just(damaged),
        9 => copy(0, late_backward).prop_map(|copy| Fate { copies: vec![copy] }),
    ]
}

/// Anything: up to `copies` copies, out of place by up to 4.
fn anything(copies: usize) -> impl Strategy<Value = Fate> {
    prop_oneof![
        1 => Just(Fate::lost_forward()),
        12 => Just(Fate::delivered()),
        4 => copy(4, 20).prop_map(|copy| Fate { copies: vec![copy] }),
        1 => proptest::collection::vec(copy(4, 20), 1..=copies).prop_map(|copies| Fate { copies }),
    ]
}

fn stream(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = Vec<Fate>> {
    proptest::collection::vec(fate, 1..300)
}

/// The promise: the books balance, and the truth is within what was left open.
fn assert_bounds(script: &Script, directions: &Directions) -> Result<(), TestCaseError> {
    let truth = script.truth();
    let (forward, backward, open) = told(directions);
    prop_assert_eq!(forward + backward + open, truth.forward + truth.backward);
    prop_assert!(forward.abs_diff(truth.forward) <= open, "{directions:?} for {truth:?}");
    prop_assert!(backward.abs_diff(truth.backward) <= open, "{directions:?} for {truth:?}");
    Ok(())
}

proptest! {
        #[test]
    fn with_order_kept_forward_the_result_is_exact(stream in stream(orderly_forward(100))) {
        let script = script(stream);
        let truth = script.truth();
        let directions = script.play(WINDOW);
        prop_assert_eq!(told(&directions), (truth.forward, truth.backward, 0));
    }

    #[test]
    fn stragglers_from_before_the_window_are_taken_back(stream in stream(orderly_forward(300))) {
        let script = script(stream);
        let truth = script.truth();
        let directions = script.play(64);
        prop_assert_eq!(told(&directions), (truth.forward, truth.backward, 0));
    }

    #[test]
    fn only_the_end_stays_open_when_sentinels_die(
        stream in stream(orderly_forward(100)),
        sentinels in proptest::collection::vec(orderly_forward(0), 0..4),
    ) {
        let script = Script { stream, sentinels };
        let directions = script.play(WINDOW);
        assert_bounds(&script, &directions)?;
        let answered = |fate: &Fate| fate.copies.iter().any(|c| !c.replies.is_empty());
        let last = script.stream.iter().rposition(answered).map_or(0, |place| place + 1);
        let tail = (script.stream.len() - last) as u64;
        prop_assert!(directions.unattributable <= tail);
        if script.sentinels.first().is_some_and(answered) {
            prop_assert_eq!(directions.unattributable, 0);
        }
    }

    #[test]
    fn reordering_and_copies_without_loss_are_no_loss(
        late in proptest::collection::vec((proptest::collection::vec(0_u64..20, 1..4), 0_u64..20), 1..300),
    ) {
        let fate = |(forward, backward): &(Vec<u64>, u64)| Fate {
            copies: forward.iter().map(|&late_by| Copy { late_by, replies: vec![*backward], damaged: false }).collect(),
        };
        let script = script(late.iter().map(fate).collect());
        let directions = script.play(WINDOW);
        prop_assert_eq!(told(&directions), (0, 0, 0));
        prop_assert_eq!(directions.numbering, Numbering::Continuous);
        let copies: usize = late.iter().map(|(forward, _)| forward.len() - 1).sum();
        prop_assert_eq!(directions.duplicates_forward, copies as u64);
    }

    #[test]
    fn answered_copies_leave_losses_elsewhere_exact(
        mut stream in stream(orderly_forward(20)),
        doubled in proptest::collection::vec((any::<prop::sample::Index>(), 0_u64..5), 0..20),
    ) {
        for (place, late_by) in doubled {
            let place = place.index(stream.len());
            stream[place] = twice(Copy::on_time(), late(late_by));
        }
        let script = script(stream);
        let truth = script.truth();
        prop_assert_eq!(told(&script.play(WINDOW)), (truth.forward, truth.backward, 0));
    }

    #[test]
    fn with_reordering_forward_the_truth_is_within_what_stays_open(stream in stream(anything(1))) {
        let script = script(stream);
        let directions = script.play(WINDOW);
        assert_bounds(&script, &directions)?;
        // Without copies a missing reply is always a packet lost backward: what is certain forward is lost forward.
        prop_assert!(directions.forward <= script.truth().forward);
    }

    /// With copies made forward as well, as long as none of their lost replies lies where a packet was lost forward:
    /// that would look like plain backward loss.
    #[test]
    fn with_copies_forward_the_truth_is_within_what_stays_open(mut stream in stream(anything(3))) {
        for place in 0..stream.len() {
            let answered = stream[place].copies.iter().filter(|c| !c.replies.is_empty()).count();
            let unanswered = stream[place].copies.len() - answered;
            if unanswered == 0 || stream[place].copies.len() == 1 {
                continue;
            }
            for neighbour in &mut stream[place.saturating_sub(12)..] .iter_mut().take(25) {
                if neighbour.copies.is_empty() {
                    *neighbour = Fate::delivered();
                }
            }
        }
        let script = script(stream);
        let directions = script.play(WINDOW);
        prop_assume!(directions.numbering == Numbering::Continuous);
        assert_bounds(&script, &directions)?;
    }
}
