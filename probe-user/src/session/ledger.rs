//! The tester's own losses: every place of ours where a packet can vanish, by its one canonical counter, read before
//! and after a run. Layers repeat each other, and what one has counted is taken off the other.

use std::collections::BTreeMap;

use crate::net::{Interface, NetError, statistics};
use crate::port::{Drop, Side};
use crate::report::model::DropPlace;

/// A place that lost packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnDrop {
    pub(super) side: Side,
    pub(super) place: DropPlace,
}

/// The interface's counters at one moment.
#[derive(Clone, Debug)]
pub(super) struct InterfaceReading {
    tx_dropped: u64,
    rx_missed: u64,
    driver: BTreeMap<String, u64>,
}

impl InterfaceReading {
    /// Reads them. A driver without counters of its own has none.
    pub(super) fn now(interface: &Interface) -> Result<Self, NetError> {
        let counters = statistics::interface_counters(interface.index)?;
        Ok(Self {
            tx_dropped: counters.tx_dropped,
            rx_missed: counters.rx_missed_errors,
            driver: statistics::driver_counters(&interface.name).unwrap_or_default(),
        })
    }

    fn driver_sum(&self, prefix: &str, suffix: &str) -> u64 {
        statistics::sum_of(&self.driver, prefix, suffix)
    }
}

/// What a port lost between two readings of it: the first packets, by which the reflector is tried, are none of the
/// run's.
pub(super) fn since(before: &[Drop], mut after: Vec<Drop>) -> Vec<Drop> {
    for drop in &mut after {
        let earlier = before.iter().find(|earlier| earlier.place == drop.place && earlier.counter == drop.counter);
        drop.count = drop.count.saturating_sub(earlier.map_or(0, |earlier| earlier.count));
    }
    after
}

/// What was lost between two readings of the interface, beside what the port itself saw.
pub(super) fn own_drops(
    interface: &str,
    before: &InterfaceReading,
    after: &InterfaceReading,
    port: &[Drop],
    no_socket: u64,
) -> Vec<OwnDrop> {
    let mut drops: Vec<OwnDrop> =
        port.iter().map(|drop| own(drop.side, drop.place, drop.counter.clone(), drop.count)).collect();
    let seen = |side| drops.iter().filter(|drop| drop.side == side).map(|drop| drop.place.count).sum::<u64>();
    let (seen_sending, seen_receiving) = (seen(Side::Sending), seen(Side::Receiving));

    let grown = |read: &dyn Fn(&InterfaceReading) -> u64| read(after).saturating_sub(read(before));
    let tx_dropped = grown(&|reading| reading.tx_dropped);
    let by_program = grown(&|reading| reading.driver_sum("rx_queue_", "_xdp_drops"));
    // The name of the program's counter ends like that of the queue's.
    let at_driver = grown(&|reading| reading.driver_sum("rx_queue_", "_drops")).saturating_sub(by_program);
    drops.extend([
        own(
            Side::Sending,
            "interface on sending",
            format!("tx_dropped of {interface}"),
            tx_dropped.saturating_sub(seen_sending),
        ),
        own(
            Side::Receiving,
            "driver on receiving",
            format!("rx_queue_N_drops of {interface}"),
            at_driver.saturating_sub(seen_receiving),
        ),
        own(Side::Receiving, "XDP program", format!("rx_queue_N_xdp_drops of {interface}"), by_program),
        own(
            Side::Receiving,
            "no buffer at the NIC",
            format!("rx_missed_errors of {interface}"),
            grown(&|reading| reading.rx_missed),
        ),
        own(
            Side::Receiving,
            "no AF_XDP socket on the receive queue",
            "no_socket of the eBPF program".to_owned(),
            no_socket,
        ),
    ]);
    drops.retain(|drop| drop.place.count > 0);
    drops
}

fn own(side: Side, place: &str, counter: String, count: u64) -> OwnDrop {
    OwnDrop { side, place: DropPlace { place: place.to_owned(), counter, count } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(tx_dropped: u64, driver: &[(&str, u64)]) -> InterfaceReading {
        let driver = driver.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        InterfaceReading { tx_dropped, rx_missed: 0, driver }
    }

    #[test]
    fn what_the_socket_counted_is_not_counted_again_at_the_driver() {
        let before = reading(5, &[("rx_queue_0_drops", 1)]);
        let after = reading(9, &[("rx_queue_0_drops", 8)]);
        let port = [
            Drop { side: Side::Receiving, place: "receive ring full", counter: "rx_ring_full".to_owned(), count: 7 },
            Drop { side: Side::Sending, place: "peer's ring full on sending", counter: "EBUSY".to_owned(), count: 4 },
        ];
        let drops = own_drops("probe0", &before, &after, &port, 0);
        let counts: Vec<(Side, u64)> = drops.iter().map(|drop| (drop.side, drop.place.count)).collect();
        assert_eq!(counts, [(Side::Receiving, 7), (Side::Sending, 4)]);
    }

    #[test]
    fn what_a_port_lost_before_the_run_is_not_the_runs() {
        let drop = |counter: &str, count| Drop {
            side: Side::Sending,
            place: "peer's ring full on sending",
            counter: counter.to_owned(),
            count,
        };
        let lost = since(&[drop("queue 0", 2)], vec![drop("queue 0", 5), drop("queue 1", 1)]);
        let counts: Vec<u64> = lost.iter().map(|drop| drop.count).collect();
        assert_eq!(counts, [3, 1]);
    }

    #[test]
    fn what_only_the_interface_saw_is_told() {
        let before = reading(0, &[("rx_queue_0_drops", 0), ("rx_queue_1_drops", 0)]);
        let after = reading(3, &[("rx_queue_0_drops", 0), ("rx_queue_1_drops", 2)]);
        let drops = own_drops("probe0", &before, &after, &[], 1);
        let places: Vec<(&str, u64)> = drops.iter().map(|drop| (drop.place.place.as_str(), drop.place.count)).collect();
        assert_eq!(
            places,
            [("interface on sending", 3), ("driver on receiving", 2), ("no AF_XDP socket on the receive queue", 1)]
        );
    }

    #[test]
    fn drops_of_the_program_are_not_those_of_the_queue() {
        let before = reading(0, &[]);
        let after = reading(0, &[("rx_queue_0_xdp_drops", 4), ("rx_queue_0_drops", 0)]);
        let drops = own_drops("probe0", &before, &after, &[], 0);
        assert_eq!(drops.len(), 1);
        assert_eq!((drops[0].place.place.as_str(), drops[0].place.count), ("XDP program", 4));
    }
}
