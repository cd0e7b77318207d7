//! A wire that does what a script says, packet by packet, and knows the truth. It is written straight from the story:
//! packets go out, the reflector numbers what reaches it, replies come back; nothing of it is in the code under test.

use probe_metrics::{DirectionalLoss, Directions};
use std::collections::HashSet;

/// What happens to one packet and to the replies to it.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// The copies that reach the reflector; none if the packet is lost forward.
    pub(crate) copies: Vec<Copy>,
}

/// One copy at the reflector: how many places too late, and what becomes of the reply.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) late_by: u64,
    /// How many places too late each copy of the reply comes back; none if it is lost.
    pub(crate) replies: Vec<u64>,
    /// The reply comes back, but damaged.
    pub(crate) damaged: bool,
}

impl Copy {
    pub(crate) fn on_time() -> Self {
        Self { late_by: 0, replies: vec![0], damaged: false }
    }

    pub(crate) fn unanswered() -> Self {
        Self { late_by: 0, replies: vec![], damaged: false }
    }
}

impl Fate {
    pub(crate) fn delivered() -> Self {
        Self { copies: vec![Copy::on_time()] }
    }

    pub(crate) fn lost_forward() -> Self {
        Self { copies: vec![] }
    }

    pub(crate) fn lost_backward() -> Self {
        Self { copies: vec![Copy::unanswered()] }
    }
}

/// The packets of a stream and the sentinels that follow it after a pause.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) stream: Vec<Fate>,
    pub(crate) sentinels: Vec<Fate>,
}

/// What the wire knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) forward: u64,
    pub(crate) backward: u64,
    pub(crate) damaged: u64,
}

/// One reply on its way: the reflector's number, the sender's, and the copy that it answers.
struct Reply<'a>(u64, u64, &'a Copy);

impl Script {
    pub(crate) fn truth(&self) -> Truth {
        let mut truth = Truth { forward: 0, backward: 0, damaged: 0 };
        for fate in &self.stream {
            if fate.copies.iter().any(|c| !c.replies.is_empty()) {
                continue;
            }
            if fate.copies.is_empty() {
                truth.forward += 1;
            } else if fate.copies.iter().any(|c| c.damaged) {
                truth.damaged += 1;
            } else {
                truth.backward += 1;
            }
        }
        truth
    }

    /// Plays the script, into a finder with this window.
    pub(crate) fn play(&self, window: usize) -> Directions {
        let mut finder = DirectionalLoss::new(window, 0);
        let sent = self.stream.len() as u64;
        let mut seen = HashSet::new();
        for (sequence, number) in self.arrivals() {
            let first = seen.insert(sequence);
            if sequence < sent {
                finder.observe(sequence, number, first);
            } else {
                finder.observe_sentinel(sequence, number);
            }
        }
        let truth = self.truth();
        finder.finish(sent, truth.forward + truth.backward)
    }

    /// Pairs of the sender's and the reflector's numbers in order of arrival at the sender.
    fn arrivals(&self) -> Vec<(u64, u64)> {
        let sent = self.stream.len() as u64;
        let mut order = in_order_of_delay(0, &self.stream);
        order.extend(in_order_of_delay(sent, &self.sentinels));
        let replies = order.into_iter().zip(0..).map(|((sequence, copy), number)| Reply(number, sequence, copy));

        let mut back = vec![];
        for Reply(number, sequence, copy) in replies {
            // A sentinel's reply does not overtake what the stream's last packets are still to bring.
            let pause = if sequence >= sent { 1_000_000 } else { 0 };
            back.extend(copy.replies.iter().map(|late| (number + late + pause, number, sequence)));
        }
        back.sort();
        back.into_iter().map(|(_, number, sequence)| (sequence, number)).collect()
    }
}

fn in_order_of_delay(first: u64, fates: &[Fate]) -> Vec<(u64, &Copy)> {
    let mut order = vec![];
    for (sequence, fate) in (first..).zip(fates) {
        order.extend(fate.copies.iter().map(|copy| (sequence + copy.late_by, sequence, copy)));
    }
    order.sort_by_key(|&(place, sequence, _)| (place, sequence));
    order.into_iter().map(|(_, sequence, copy)| (sequence, copy)).collect()
}
