//! The interrupts of an interface and the CPUs that serve them.

use std::collections::BTreeSet;

use rtnetlink::packet_route::link::LinkAttribute;

use super::machine::Machine;
use crate::net::{interface::link, netlink};

/// One interrupt line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interrupt {
    pub(super) number: u32,
    /// The CPUs that the kernel delivers it to.
    pub(super) cpus: BTreeSet<u32>,
}

/// The interrupts of an interface of the current network namespace.
///
/// A driver names its interrupts after the interface (`eth0-TxRx-3`) or after the device behind it (`virtio2-input.0`,
/// `mlx5_comp0@pci:0000:03:00.0`).
pub(super) fn of(machine: &Machine, interface: &str) -> Vec<Interrupt> {
    let mut names = vec![interface.to_owned()];
    names.extend(device_behind(interface));
    named_after(machine, &names)
}

/// The kernel's name of the device that an interface belongs to, such as `0000:03:00.0`; `None` for what is software.
fn device_behind(interface: &str) -> Option<String> {
    let link = netlink::ask(async |handle| link(&handle, interface).await).ok()??;
    link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::ParentDevName(name) => Some(name),
        _ => None,
    })
}

fn named_after(machine: &Machine, names: &[String]) -> Vec<Interrupt> {
    let table = machine.read("proc/interrupts").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| {
            let (number, rest) = line.split_once(':')?;
            let number: u32 = number.trim().parse().ok()?;
            // What several drivers share is separated by commas.
            let ours = rest.split([' ', ',']).any(|word| names.iter().any(|name| is_named_after(word, name)));
            ours.then(|| Interrupt { number, cpus: cpus(machine, number) })
        })
        .collect()
}

/// Whether `name` occurs in `word` and neither goes on at its ends, as `eth1` does in `eth10-rx-0`.
fn is_named_after(word: &str, name: &str) -> bool {
    !name.is_empty()
        && word.match_indices(name).any(|(at, _)| {
            let before = word[..at].chars().next_back();
            let after = word[at + name.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
}

fn cpus(machine: &Machine, interrupt: u32) -> BTreeSet<u32> {
    let folder = format!("proc/irq/{interrupt}");
    machine
        .numbers(format!("{folder}/effective_affinity_list"))
        .filter(|cpus| !cpus.is_empty())
        .or_else(|| machine.numbers(format!("{folder}/smp_affinity_list")))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::machine::fixture;

    const TABLE: &str = "            CPU0       CPU1\n \
        37:          0          0  PCI-MSIX-0000:00:03.0   0-edge      virtio2-config\n \
        38:          0       8104  PCI-MSIX-0000:00:04.0   1-edge      virtio2-input.0\n \
        40:          1          2  PCI-MSIX-0000:00:05.0   1-edge      eth1-TxRx-0\n \
        41:          1          2  PCI-MSIX-0000:00:06.0   1-edge      eth10-TxRx-0\n \
        42:          1          2  PCI-MSIX-0000:00:07.0   1-edge      mlx5_comp0@pci:0000:03:00.0\n\
        NMI:         0          0  Non-maskable interrupts\n";

    fn numbers(name: &str) -> Vec<u32> {
        let (_root, machine) = fixture::machine(&[("proc/interrupts", TABLE)]);
        named_after(&machine, &[name.to_owned()]).into_iter().map(|interrupt| interrupt.number).collect()
    }

    #[test]
    fn interrupts_are_found_by_interface_or_device() {
        assert_eq!(numbers("virtio2"), [37, 38]);
        assert_eq!(numbers("eth1"), [40]);
        assert_eq!(numbers("0000:03:00.0"), [42]);
        assert_eq!(numbers("veth0"), [0; 0]);
        assert_eq!(numbers(""), [0; 0]);
    }

    #[test]
    fn the_cpus_in_effect_count_before_those_allowed() {
        let (_root, machine) = fixture::machine(&[
            ("proc/interrupts", TABLE),
            ("proc/irq/37/smp_affinity_list", "0-1\n"),
            ("proc/irq/38/smp_affinity_list", "0-1\n"),
            ("proc/irq/38/effective_affinity_list", "1\n"),
        ]);
        let found = named_after(&machine, &["virtio2".to_owned()]);
        assert_eq!(found[0], Interrupt { number: 37, cpus: BTreeSet::from([0, 1]) });
        assert_eq!(found[1], Interrupt { number: 38, cpus: BTreeSet::from([1]) });
    }
}
