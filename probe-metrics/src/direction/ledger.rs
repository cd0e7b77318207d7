//! Compares missing packets with missing replies. Within one segment a missing reply explains a missing packet; across
//! segments it may, if the packet was reordered on its way, or it may be a duplicate's: that is not for us to guess.

use super::backbone::Segment;
use std::collections::VecDeque;

/// What is missing on one side only, waiting for a counterpart within reach.
#[derive(Clone, Copy, Debug)]
struct Surplus {
    position: u64,
    count: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Ledger {
    reach: u64,
    /// Missing packets, or missing replies, that their own segment does not explain, oldest first. Only one of the two
    /// can wait: each takes what waits of the other.
    waiting_packets: VecDeque<Surplus>,
    waiting_replies: VecDeque<Surplus>,
    totals: Totals,
}

/// All missing packets of a stream, sorted, before its own books of damaged and straggling replies are laid beside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    forward: u64,
    backward: u64,
    unattributable: u64,
    /// Missing replies that no missing packet can explain: those of copies made on the way forward.
    unexplained_replies: u64,
}

impl Ledger {
    pub(super) fn new(reach: usize) -> Self {
        Self {
            reach: reach as u64,
            waiting_packets: VecDeque::with_capacity(reach + 1),
            waiting_replies: VecDeque::with_capacity(reach + 1),
            totals: Totals::default(),
        }
    }

    /// Enters a segment that nothing can change any more; they come in order.
    pub(super) fn enter(&mut self, segment: &Segment) {
        let (packets, replies) = (segment.missing_packets, segment.missing_replies);
        let sentinels = segment.missing_sentinels;
        let explained = packets.min(replies);
        // Missing replies may as well be those of missing sentinels; what exceeds these is certain.
        let certain = packets.min(replies.saturating_sub(sentinels));
        self.totals.backward += certain;
        self.totals.unattributable += explained - certain;

        self.expire(segment.position);
        let replies = replies.saturating_sub(packets + sentinels);
        let packets = packets - explained;
        let replies = replies - take(&mut self.waiting_packets, replies, &mut self.totals);
        let packets = packets - take(&mut self.waiting_replies, packets, &mut self.totals);
        wait(&mut self.waiting_packets, segment.position, packets);
        wait(&mut self.waiting_replies, segment.position, replies);
    }

    /// A packet that was entered as missing showed up out of all reach.
    pub(super) fn missing_packet_showed_up(&mut self) {
        if let Some(newest) = self.waiting_packets.back_mut() {
            newest.count -= 1;
            if newest.count == 0 {
                self.waiting_packets.pop_back();
            }
        } else {
            self.totals.forward = self.totals.forward.saturating_sub(1);
        }
    }

    /// The totals. `replies` are missing after the backbone's last reply, and `tail` packets of the stream were sent
    /// after the last one that came back; missing packets from position `doubtful_from` on may have died either way.
    pub(super) fn finish(mut self, replies: u64, tail: u64, doubtful_from: u64) -> Totals {
        let replies = replies - take(&mut self.waiting_packets, replies, &mut self.totals);
        let totals = &mut self.totals;
        for surplus in &self.waiting_packets {
            if surplus.position >= doubtful_from {
                totals.unattributable += surplus.count;
            } else {
                totals.forward += surplus.count;
            }
        }
        totals.unattributable += tail;
        let waiting: u64 = self.waiting_replies.iter().map(|s| s.count).sum();
        totals.unexplained_replies += (waiting + replies).saturating_sub(tail);
        self.totals
    }

    /// What has waited for longer than its reach has no counterpart.
    fn expire(&mut self, position: u64) {
        let oldest = position.saturating_sub(self.reach);
        self.totals.forward += drop_before(&mut self.waiting_packets, oldest);
        self.totals.unexplained_replies += drop_before(&mut self.waiting_replies, oldest);
    }
}

impl Totals {
    /// Whether the reflector's numbers can be those of one session: each missing reply without a missing packet is
    /// that of a forward duplicate, and where these are made, `copies` of them should have been seen as well.
    pub(super) fn plausible(&self, copies: u64) -> bool {
        self.unexplained_replies <= 16 + 4 * copies
    }

    /// Packets lost forward and backward when `lost` are lost by the books. These count fewer than are missing here:
    /// a damaged reply, and one that straggled in from before the window, are missing with packet and reply, just as
    /// if they had died on the way back.
    pub(super) fn settle(&self, lost: u64) -> (u64, u64) {
        let missing = self.forward + self.backward + self.unattributable;
        let forward = self.forward.min(lost);
        let backward = self.backward.saturating_sub(missing.saturating_sub(lost));
        (forward, backward.min(lost - forward))
    }
}

/// Matches up to `wanted` with what waits, oldest first: each pair is one packet whose way two explanations fit.
fn take(waiting: &mut VecDeque<Surplus>, wanted: u64, totals: &mut Totals) -> u64 {
    let mut taken = 0;
    while taken < wanted {
        let Some(oldest) = waiting.front_mut() else {
            break;
        };
        let pairs = oldest.count.min(wanted - taken);
        taken += pairs;
        oldest.count -= pairs;
        if oldest.count == 0 {
            waiting.pop_front();
        }
    }
    totals.unattributable += taken;
    taken
}

fn wait(waiting: &mut VecDeque<Surplus>, position: u64, count: u64) {
    if count > 0 {
        waiting.push_back(Surplus { position, count });
    }
}

fn drop_before(waiting: &mut VecDeque<Surplus>, oldest: u64) -> u64 {
    let mut dropped = 0;
    while let Some(surplus) = waiting.front().filter(|s| s.position < oldest) {
        dropped += surplus.count;
        waiting.pop_front();
    }
    dropped
}
