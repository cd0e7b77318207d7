//! Whether a result may be believed, and whose each lost packet is: the network's, ours, or nobody's that can be told.

use std::time::Duration;

use probe_metrics::Numbering;
use probe_metrics::accumulator::StreamResult;

use super::ledger::OwnDrop;
use crate::engine::{Ending, ReflectorKind};
use crate::port::Side;
use crate::report::model::{Validity, Verdict};

/// A mean departure error above this share of the stream's duration means that the sender did not keep up.
const LAG_SHARE: f64 = 0.01;
/// A lag below this is never told.
const LEAST_LAG_NS: f64 = 10_000_000.0;

/// The lost packets of a stream by their causes: the sum is the number of packets lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Causes {
    pub(super) forward: Option<u64>,
    pub(super) backward: Option<u64>,
    pub(super) tester: u64,
    pub(super) unattributable: u64,
    /// Of the unattributable: those that the tester may have lost.
    pub(super) doubtful: u64,
}

/// Our drops that no stream's loss has been charged with yet.
#[derive(Clone, Debug)]
pub(super) struct Uncharged {
    sending: u64,
    receiving: u64,
    /// Several streams share the drops, and nothing tells whose packets they were.
    is_shared: bool,
}

impl Uncharged {
    /// The drops of a run with so many streams that lost packets.
    pub(super) fn new(drops: &[OwnDrop], streams_with_loss: usize) -> Self {
        let sum = |side| drops.iter().filter(|drop| drop.side == side).map(|drop| drop.place.count).sum();
        Self { sending: sum(Side::Sending), receiving: sum(Side::Receiving), is_shared: streams_with_loss > 1 }
    }

    /// Charges a stream's loss with what we dropped. With one stream a drop of ours explains a loss; with several it
    /// only makes one doubtful.
    pub(super) fn charge(&self, result: &StreamResult) -> Causes {
        let (forward, backward, open) = match result.directions {
            Some(directions) => (directions.forward, directions.backward, directions.unattributable),
            None => (0, 0, result.lost),
        };
        let sending = self.sending.min(forward);
        let receiving = self.receiving.min(backward);
        let either = (self.sending - sending + self.receiving - receiving).min(open);
        let ours = sending + receiving + either;
        let (tester, doubtful) = if self.is_shared { (0, ours) } else { (ours, 0) };
        Causes {
            forward: result.directions.map(|_| forward - sending),
            backward: result.directions.map(|_| backward - receiving),
            tester,
            unattributable: open - either + doubtful,
            doubtful,
        }
    }
}

/// What a verdict rests on, of one stream.
pub(super) struct Evidence<'a> {
    pub(super) result: &'a StreamResult,
    pub(super) causes: Causes,
    pub(super) drops: &'a [OwnDrop],
    pub(super) ending: Ending,
    pub(super) kind: Option<ReflectorKind>,
    pub(super) planned: Option<Duration>,
    /// Replies whose arrival the eBPF program did not time, although it should have.
    pub(super) untimed: u64,
    pub(super) sentinels: (u64, u64),
    pub(super) stop_after: Duration,
    /// Whether the reflector's own losses are among `drops`.
    pub(super) has_reflector_counters: bool,
}

/// The verdict on one stream.
pub(super) fn judge(evidence: &Evidence<'_>) -> Validity {
    let mut verdict = Verdict::Valid;
    let mut reasons = Vec::new();
    let mut say = |worst: Verdict, reason: String| {
        verdict = verdict.max(worst);
        reasons.push(reason);
    };
    let result = evidence.result;
    if result.counts.sent == 0 {
        say(Verdict::Invalid, "no packet was sent".to_owned());
    }
    let places: Vec<&str> = evidence.drops.iter().map(|drop| drop.place.place.as_str()).collect();
    let places = places.join(", ");
    if evidence.causes.tester > 0 {
        say(Verdict::Invalid, format!("the tester itself lost {} packets ({places})", evidence.causes.tester));
    } else if !evidence.drops.is_empty() && result.lost == 0 {
        say(Verdict::Valid, "the interface dropped packets, none of them this stream's".to_owned());
    } else if evidence.causes.doubtful > 0 {
        say(
            Verdict::Invalid,
            format!("the tester dropped packets too ({places}), and whether they were this stream's cannot be told"),
        );
    } else if !evidence.drops.is_empty() {
        say(
            Verdict::Valid,
            format!("the tester dropped packets too ({places}), which do not explain this stream's loss"),
        );
    }
    if let Some(lag) = lag_ns(result, evidence.planned) {
        say(
            Verdict::Invalid,
            format!(
                "the sender did not keep up: packets left {:.1} ms late in the mean, so that the rate was not the one asked for",
                lag / 1e6
            ),
        );
    }
    match result.directions.map(|directions| directions.numbering) {
        Some(Numbering::Restarted) => say(
            Verdict::Unattributable,
            "the reflector began to number anew in mid-run, so that the directions of loss are unknown".to_owned(),
        ),
        Some(Numbering::Impossible) => say(
            Verdict::Unattributable,
            "the reflector's numbers do not count this session's packets, so that the directions of loss are unknown"
                .to_owned(),
        ),
        _ => {}
    }
    if evidence.causes.unattributable > 0 {
        let why = match evidence.kind {
            Some(ReflectorKind::Stateless) => "the reflector copies sequence numbers",
            None => "too little came back to know how the reflector numbers its replies",
            Some(ReflectorKind::Stateful) if evidence.sentinels.1 == 0 && evidence.sentinels.0 > 0 => {
                "no sentinel sent after the stream came back"
            }
            Some(ReflectorKind::Stateful) => "two explanations fit what was seen",
        };
        say(
            Verdict::Unattributable,
            format!("on which way {} packets were lost cannot be told: {why}", evidence.causes.unattributable),
        );
    }
    if result.lost > 0 && result.counts.received > 0 && !evidence.has_reflector_counters {
        say(
            Verdict::Valid,
            "the reflector's counters were not read, so that what it lost itself is among the network's loss"
                .to_owned(),
        );
    }
    match evidence.ending {
        Ending::Complete => {}
        Ending::Stopped => say(Verdict::Valid, "the user ended the run early".to_owned()),
        Ending::Abandoned => say(
            Verdict::Unattributable,
            format!(
                "the user ended the run while packets were out: some of the {} lost ones may yet have come back",
                result.lost
            ),
        ),
        Ending::ClockSet => say(
            Verdict::Invalid,
            "this host's clock was set while the stream ran, and the stream was stopped: times before and after do not compare"
                .to_owned(),
        ),
        Ending::Silent => {
            say(Verdict::Valid, format!("the stream was stopped: nothing came back for {:?}", evidence.stop_after));
        }
    }
    if evidence.untimed > 0 {
        say(
            Verdict::Valid,
            format!(
                "the arrival of {} replies was timed in user space, so that their delay holds waiting time",
                evidence.untimed
            ),
        );
    }
    if result.beyond > 0 {
        say(Verdict::Valid, format!("{} replies came too late to be told apart from duplicates", result.beyond));
    }
    Validity { verdict, reasons }
}

/// How late packets left in the mean, if that is so much that the stream was another than asked for.
fn lag_ns(result: &StreamResult, planned: Option<Duration>) -> Option<f64> {
    let mean = result.departure_error.summary().mean_ns?;
    let share = planned.map_or(f64::INFINITY, |planned| planned.as_nanos() as f64 * LAG_SHARE);
    (mean > share.max(LEAST_LAG_NS)).then_some(mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::DropPlace;
    use probe_metrics::Observation;
    use probe_metrics::accumulator::{StreamAccumulator, StreamConfiguration};

    /// A stream of ten packets whose replies in `lost` never came, from a reflector that saw all of them.
    fn lost_backward(lost: &[u64]) -> StreamResult {
        let mut metrics = StreamAccumulator::new(&StreamConfiguration::new(1_000_000, 64)).unwrap();
        metrics.on_sent(10);
        for sequence in (0..10).filter(|sequence| !lost.contains(sequence)) {
            metrics.observe(&Observation { sequence, reflector_sequence: sequence, ..Observation::default() });
        }
        metrics.finish()
    }

    fn drop(side: Side, count: u64) -> OwnDrop {
        let place = DropPlace { place: "a place".to_owned(), counter: "a counter".to_owned(), count };
        OwnDrop { side, place }
    }

    fn evidence<'a>(result: &'a StreamResult, causes: Causes, drops: &'a [OwnDrop]) -> Evidence<'a> {
        Evidence {
            result,
            causes,
            drops,
            ending: Ending::Complete,
            kind: Some(ReflectorKind::Stateful),
            planned: Some(Duration::from_secs(1)),
            untimed: 0,
            sentinels: (0, 0),
            stop_after: Duration::from_secs(5),
            has_reflector_counters: true,
        }
    }

    #[test]
    fn loss_of_the_network_is_a_valid_result() {
        let result = lost_backward(&[4]);
        let causes = Uncharged::new(&[], 1).charge(&result);
        assert_eq!(causes, Causes { forward: Some(0), backward: Some(1), tester: 0, unattributable: 0, doubtful: 0 });
        assert_eq!(judge(&evidence(&result, causes, &[])).verdict, Verdict::Valid);
    }

    #[test]
    fn what_a_reflector_without_counters_lost_is_said_to_be_unknown() {
        let result = lost_backward(&[4]);
        let causes = Uncharged::new(&[], 1).charge(&result);
        let validity = judge(&Evidence { has_reflector_counters: false, ..evidence(&result, causes, &[]) });
        assert_eq!(validity.verdict, Verdict::Valid);
        assert!(validity.reasons[0].contains("counters"), "{:?}", validity.reasons);
    }

    #[test]
    fn a_reply_that_we_dropped_is_not_the_networks_loss() {
        let result = lost_backward(&[3, 4]);
        let drops = [drop(Side::Receiving, 1)];
        let causes = Uncharged::new(&drops, 1).charge(&result);
        assert_eq!(causes, Causes { forward: Some(0), backward: Some(1), tester: 1, unattributable: 0, doubtful: 0 });
        assert_eq!(judge(&evidence(&result, causes, &drops)).verdict, Verdict::Invalid);
    }

    #[test]
    fn a_drop_on_sending_does_not_explain_a_loss_on_the_way_back() {
        let result = lost_backward(&[3]);
        let drops = [drop(Side::Sending, 5)];
        let causes = Uncharged::new(&drops, 1).charge(&result);
        assert_eq!((causes.backward, causes.tester), (Some(1), 0));
    }

    #[test]
    fn drops_that_several_streams_share_make_their_losses_doubtful() {
        let result = lost_backward(&[3, 5]);
        let drops = [drop(Side::Receiving, 1)];
        let causes = Uncharged::new(&drops, 2).charge(&result);
        assert_eq!(causes, Causes { forward: Some(0), backward: Some(1), tester: 0, unattributable: 1, doubtful: 1 });
        assert_eq!(judge(&evidence(&result, causes, &drops)).verdict, Verdict::Invalid);
    }

    #[test]
    fn a_drop_that_several_streams_share_is_named() {
        let result = lost_backward(&[3, 5]);
        let drops = [drop(Side::Receiving, 1)];
        let causes = Uncharged::new(&drops, 2).charge(&result);
        let validity = judge(&evidence(&result, causes, &drops));
        assert!(validity.reasons.iter().any(|reason| reason.contains("a place")), "{:?}", validity.reasons);
    }

    #[test]
    fn without_loss_a_drop_of_others_is_only_a_note() {
        let result = lost_backward(&[]);
        let drops = [drop(Side::Receiving, 3)];
        let causes = Uncharged::new(&drops, 0).charge(&result);
        let validity = judge(&evidence(&result, causes, &drops));
        assert_eq!((validity.verdict, validity.reasons.len()), (Verdict::Valid, 1));
    }

    #[test]
    fn the_last_packets_are_nobodys_loss_without_a_sentinel() {
        let result = lost_backward(&[8, 9]);
        let causes = Uncharged::new(&[], 1).charge(&result);
        assert_eq!(causes.unattributable, 2);
        let validity = judge(&Evidence { sentinels: (3, 0), ..evidence(&result, causes, &[]) });
        assert_eq!(validity.verdict, Verdict::Unattributable);
        assert!(validity.reasons[0].contains("sentinel"), "{:?}", validity.reasons);
    }
}
