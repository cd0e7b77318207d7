//! The truth of a run, reckoned from the wire's record with lists and nothing clever.

use std::time::Duration;

use crate::frame::Direction;
use crate::wire::{Exit, Passage, Record};

/// What a right report of the run says. Counts of packets of the stream; sentinels and preflight probes are not in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// Sequence numbers that the sender sent.
    pub sent: u64,
    /// Those answered in time by an uncorrupted reply.
    pub received: u64,
    /// Those without any reply: the sum of the next three.
    pub lost: u64,
    /// Lost before the reflector numbered them.
    pub lost_forward: u64,
    /// Lost after the reflector had numbered them.
    pub lost_backward: u64,
    /// Lost after the last reply that the sender got, so that no number of the reflector's tells which way.
    pub unattributable: u64,
    /// Those answered by an uncorrupted reply only when the waiting time was over (RFC 6673: equality is loss).
    pub late: u64,
    /// Uncorrupted replies beyond the first of their sequence number.
    pub duplicates: u64,
    /// Type-P-Reordered (RFC 4737, section 3.3) among the first replies that came in time.
    pub reordered: u64,
    /// The greatest Reordering Extent (RFC 4737, section 4.2.2), in packets; undefined when nothing is reordered.
    pub max_extent: Option<u64>,
    /// Those answered by corrupted replies only.
    pub corrupted: u64,
}

/// No script puts a delay this close to the waiting time: which side it fell on could not be told.
const MARGIN: Duration = Duration::from_millis(50);

impl Truth {
    /// The truth of a run in which nothing happens to the packets.
    pub fn undisturbed(sent: u64) -> Self {
        Self {
            sent,
            received: sent,
            lost: 0,
            lost_forward: 0,
            lost_backward: 0,
            unattributable: 0,
            late: 0,
            duplicates: 0,
            reordered: 0,
            max_extent: None,
            corrupted: 0,
        }
    }

    /// Reckons the truth about the stream's packets with sequence numbers below `count`, waited for as long as `wait`.
    ///
    /// # Panics
    /// When a delay is too close to the waiting time to tell, or when the reflector itself swallowed a sound packet.
    pub fn of(record: &Record, count: u32, wait: Duration) -> Self {
        let of_stream = || record.passages.iter().filter(|passage| passage.packet.in_stream());
        let mut arrivals: Vec<(u32, Exit)> = of_stream()
            .filter(|passage| passage.direction == Direction::Backward)
            .flat_map(|passage| passage.exits.iter().map(|exit| (passage.packet.sequence, *exit)))
            .collect();
        arrivals.sort_by_key(|(_, exit)| exit.order);
        let last_known = arrivals.iter().filter(|(_, exit)| exit.sound).map(|(sequence, _)| *sequence).max();

        let mut truth = Self { received: 0, ..Self::undisturbed(0) };
        let mut in_time: Vec<(usize, u32)> = Vec::new();
        for sequence in 0..count {
            let Some(request) = of_stream().find(|passage| is(passage, Direction::Forward, sequence)) else {
                continue;
            };
            truth.sent += 1;
            let replies: Vec<Exit> =
                arrivals.iter().filter(|(number, _)| *number == sequence).map(|(_, exit)| *exit).collect();
            let sound: Vec<&Exit> = replies.iter().filter(|exit| exit.sound).collect();
            if let Some(first) = sound.first() {
                truth.duplicates += sound.len() as u64 - 1;
                if comes_in_time(request, first, wait) {
                    truth.received += 1;
                    in_time.push((first.order, sequence));
                } else {
                    truth.late += 1;
                }
            } else if !replies.is_empty() {
                truth.corrupted += 1;
            } else {
                truth.lost += 1;
                let answered = of_stream().any(|passage| is(passage, Direction::Backward, sequence));
                let reached = request.exits.iter().any(|exit| exit.sound);
                assert!(answered || !reached, "packet {sequence} reached the reflector, which did not answer it");
                if last_known.is_none_or(|last| sequence > last) {
                    truth.unattributable += 1;
                } else if answered {
                    truth.lost_backward += 1;
                } else {
                    truth.lost_forward += 1;
                }
            }
        }
        in_time.sort_unstable();
        let order: Vec<u32> = in_time.into_iter().map(|(_, sequence)| sequence).collect();
        let extents = reordering_extents(&order);
        Self { reordered: extents.len() as u64, max_extent: extents.into_iter().max(), ..truth }
    }
}

fn is(passage: &Passage, direction: Direction, sequence: u32) -> bool {
    passage.direction == direction && passage.packet.sequence == sequence
}

fn comes_in_time(request: &Passage, reply: &Exit, wait: Duration) -> bool {
    let took = reply.at.duration_since(request.entered);
    assert!(took.abs_diff(wait) > MARGIN, "a round trip of {took:?} is too close to the waiting time {wait:?} to tell");
    took < wait
}

/// The extent of each reordered packet, from the sequence numbers in order of arrival without duplicates.
///
/// Packet i is reordered when its number is less than NextExp, one more than the greatest number so far (RFC 4737, section
/// 3.3); its extent is i less the smallest j with s\[j\] > s\[i\] (section 4.2.2).
pub fn reordering_extents(arrivals: &[u32]) -> Vec<u64> {
    let extent = |(i, number): (usize, &u32)| {
        let earliest = arrivals[..i].iter().position(|earlier| earlier > number)?;
        Some((i - earliest) as u64)
    };
    arrivals.iter().enumerate().filter_map(extent).collect()
}

#[cfg(test)]
mod tests {
    use super::reordering_extents;

    /// Arrival orders of RFC 4737, section 7.1 and 7.2: one packet late by two, and a late block.
    #[test]
    fn extents_of_rfc_4737() {
        assert_eq!(reordering_extents(&[1, 2, 3, 5, 6, 4, 7, 8]), [2]);
        assert_eq!(reordering_extents(&[1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11]), [4, 5, 6]);
        assert_eq!(reordering_extents(&[1, 2, 5, 9]), [0u64; 0]);
    }
}
