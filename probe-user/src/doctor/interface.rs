//! Checks of one network interface: how well it serves AF_XDP, and what in it would bend a measurement.

use std::collections::BTreeSet;

use super::{
    driver::{self, XdpFeatures},
    interrupts::{self, Interrupt},
    machine::{Machine, format_list},
    model::{Area, Finding, SUMMARY},
};
use crate::{
    attach::{AttachError, Mode, Occupant},
    net::{
        Interface, NetError,
        interface::names,
        offload::{self, Offloads},
    },
};

/// Everything that is to be known of one interface before judging it.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) interface: Interface,
    /// `None` where the kernel is older than 6.3.
    pub(super) features: Option<XdpFeatures>,
    pub(super) offloads: Option<Offloads>,
    /// Offloads that are on, by name; `None` where the kernel does not tell.
    pub(super) active: Option<BTreeSet<String>>,
    /// Whether the hardware stamps arriving packets; `None` where the driver does not tell.
    pub(super) stamps_arrivals: Option<bool>,
    /// The XDP program that sits on it.
    pub(super) program: Result<Option<Occupant>, AttachError>,
    pub(super) interrupts: Vec<Interrupt>,
    pub(super) online_cpus: usize,
}

impl Facts {
    /// Asks the kernel and the driver.
    ///
    /// # Errors
    ///
    /// [`NetError::UnknownInterface`], or what netlink refuses.
    pub(super) fn gather(machine: &Machine, name: &str) -> Result<Self, NetError> {
        let interface = Interface::find(name)?;
        Ok(Self {
            features: XdpFeatures::ask(interface.index).ok(),
            offloads: offload::read(name).ok(),
            active: driver::active_offloads(name).ok(),
            stamps_arrivals: driver::stamps_arrivals(name).ok(),
            program: Occupant::of(interface.index),
            interrupts: interrupts::of(machine, name),
            online_cpus: machine.online_cpus().len(),
            interface,
        })
    }

    /// Both ends of a veth pair are software: what only hardware has is missing by design.
    fn is_veth(&self) -> bool {
        self.interface.driver == "veth"
    }
}

/// All checks of one interface.
///
/// # Errors
///
/// As [`Facts::gather`].
pub(super) fn examine(machine: &Machine, name: &str) -> Result<Vec<Finding>, NetError> {
    Facts::gather(machine, name).map(|facts| judge(&facts))
}

/// One finding for each interface that packets could be measured on: all but the loopback.
///
/// # Errors
///
/// What netlink refuses.
pub(super) fn examine_all(machine: &Machine) -> Result<Vec<Finding>, NetError> {
    let mut findings = Vec::new();
    for name in names()?.into_iter().filter(|name| name != "lo") {
        match Facts::gather(machine, &name) {
            Ok(facts) => findings.push(summary(&facts)),
            // It went away between the list and the question.
            Err(NetError::UnknownInterface { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let area = Area::Interface(facts.interface.name.clone());
    let mut findings = vec![
        link(&area, facts),
        driver(&area, facts),
        native(&area, facts),
        zero_copy(&area, facts),
        program(&area, facts),
        queues(&area, facts),
        mtu(&area, facts),
        receive_timestamp(&area, facts),
        interrupt_affinity(&area, facts),
    ];
    findings.extend(offloads(&area, facts));
    findings
}

/// The line that stands for an interface that was not asked for by name.
fn summary(facts: &Facts) -> Finding {
    let Interface { driver, up, carrier, mtu, receive_queues, transmit_queues, .. } = &facts.interface;
    let link = match (up, carrier) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "down",
    };
    let native = match facts.features {
        Some(features) if features.native() && features.zero_copy() => "native XDP, zero-copy",
        Some(features) if features.native() => "native XDP, copies",
        Some(_) => "no native XDP",
        None => "XDP features unknown",
    };
    let driver = if driver.is_empty() { "unknown driver" } else { driver };
    let program = match &facts.program {
        Ok(Some(occupant)) => format!(", XDP program {occupant}"),
        Err(_) if facts.interface.xdp.is_some() => ", XDP program".to_owned(),
        Ok(None) | Err(_) => String::new(),
    };
    let seen = format!(
        "{driver}, {link}, MTU {mtu}, queues {receive_queues} receive {transmit_queues} transmit, {native}{program}"
    );
    Area::Interface(facts.interface.name.clone()).ok(SUMMARY, seen)
}

fn link(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "link";
    let Interface { name, up, carrier, ethernet, .. } = &facts.interface;
    if !ethernet {
        return area.problem(
            CHECK,
            "its frames are not Ethernet frames",
            "choose an Ethernet interface, or measure with `--via socket`",
        );
    }
    if !up {
        return area.problem(CHECK, "down", format!("`ip link set {name} up`"));
    }
    if !carrier {
        return area.problem(CHECK, "no carrier", "plug in the cable, or bring up the other end");
    }
    match facts.interface.link_speed_bps {
        Some(speed) => area.ok(CHECK, format!("up, {}", bits(speed))),
        None => area.ok(CHECK, "up, speed unknown"),
    }
}

fn driver(area: &Area, facts: &Facts) -> Finding {
    let name = &facts.interface.driver;
    let features = match facts.features {
        Some(features) if !features.names().is_empty() => format!("XDP features {}", features.names().join(", ")),
        Some(_) => "no XDP features".to_owned(),
        None => "XDP features unknown".to_owned(),
    };
    let name = if name.is_empty() { "unknown" } else { name };
    area.ok("driver", format!("{name}, {features}"))
}

fn native(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "native-xdp";
    match facts.features {
        Some(features) if features.native() => area.ok(CHECK, "programs run in the driver"),
        None => area.ok(CHECK, "unknown: kernels before 6.3 do not tell; an attempt will"),
        Some(_) => area.problem(
            CHECK,
            "the driver does not run XDP programs, or cannot redirect from them",
            "use `leadline measure --via socket` here, or a network card whose driver has XDP; some drivers have it \
             only with fewer queues, with LRO off or with a smaller MTU",
        ),
    }
}

fn zero_copy(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "zero-copy";
    match facts.features {
        Some(features) if features.zero_copy() => area.ok(CHECK, "AF_XDP sockets share their frames with the hardware"),
        Some(_) if facts.is_veth() => area.ok(CHECK, "not on veth: each frame is copied once"),
        None => area.ok(CHECK, "unknown: kernels before 6.3 do not tell"),
        Some(_) => area.warning(
            CHECK,
            "the driver copies each frame",
            "expect about 1 Mpps for each queue; for more, use a driver with xsk-zerocopy (ixgbe, i40e, ice, igc, \
             mlx5, ...)",
        ),
    }
}

fn program(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "xdp-program";
    match &facts.program {
        Ok(None) => area.ok(CHECK, "none"),
        Ok(Some(occupant)) if occupant.is_leadline() && occupant.mode == Mode::Native => {
            area.ok(CHECK, format!("Leadline's own, which the next measurement joins: {occupant}"))
        }
        Ok(Some(occupant)) => area.problem(CHECK, occupant.to_string(), occupant.advice(&facts.interface.name)),
        Err(error) => area.warning(
            CHECK,
            error.to_string(),
            "run as root: only then can it be seen whether a program is in the way, and whose",
        ),
    }
}

fn queues(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "queues";
    let Interface { name, receive_queues, transmit_queues, .. } = &facts.interface;
    let cpus = facts.online_cpus;
    let seen = format!("{receive_queues} receive, {transmit_queues} transmit, {cpus} CPUs");
    if cpus > 0 && *receive_queues as usize > cpus {
        return area.warning(
            CHECK,
            seen,
            format!("each receive queue wants a CPU of its own: `ethtool --set-channels {name} combined {cpus}`"),
        );
    }
    if receive_queues > transmit_queues {
        return area.warning(
            CHECK,
            seen,
            format!(
                "replies that arrive on a queue leave on the one of the same number: give {name} as many transmit as \
                 receive queues"
            ),
        );
    }
    area.ok(CHECK, seen)
}

fn mtu(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "mtu";
    /// A page of 4096 octets, less 256 in front of the frame and 320 behind it for the kernel's own use, less
    /// Ethernet header and two VLAN tags.
    const ONE_PAGE: u32 = 4096 - 256 - 320 - 22;
    let mtu = facts.interface.mtu;
    if mtu <= ONE_PAGE || facts.features.is_none_or(XdpFeatures::scattered_frames) {
        return area.ok(CHECK, mtu.to_string());
    }
    area.warning(
        CHECK,
        format!("{mtu}, and the driver has XDP only for frames of one buffer"),
        format!("the program may be refused: `ip link set {} mtu {ONE_PAGE}` or less", facts.interface.name),
    )
}

fn receive_timestamp(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "hardware-timestamp";
    if facts.is_veth() {
        return area.ok(CHECK, "none on veth: times are taken in the XDP program");
    }
    match (facts.features, facts.stamps_arrivals) {
        (Some(features), _) if features.receive_timestamp() => {
            area.ok(CHECK, "XDP programs can read when the hardware received a frame")
        }
        (_, Some(true)) => area.ok(CHECK, "the hardware stamps arriving frames, but for sockets only, not for XDP"),
        (None, _) => area.ok(CHECK, "unknown: kernels before 6.3 do not tell"),
        _ => area.ok(CHECK, "none: times are taken in the XDP program, after the interrupt"),
    }
}

fn interrupt_affinity(area: &Area, facts: &Facts) -> Finding {
    const CHECK: &str = "interrupt-affinity";
    let count = facts.interrupts.len();
    if count == 0 {
        return area.ok(CHECK, "no interrupts of its own are seen");
    }
    let cpus: BTreeSet<u32> = facts.interrupts.iter().flat_map(|interrupt| interrupt.cpus.iter().copied()).collect();
    let seen = format!("{count} interrupts, served by CPUs {}", format_list(&cpus));
    if facts.interface.receive_queues > 1 && cpus.len() == 1 && facts.online_cpus > 1 {
        return area.warning(
            CHECK,
            seen,
            "all queues share one CPU: spread them, `echo CPU > /proc/irq/NUMBER/smp_affinity_list`",
        );
    }
    area.ok(CHECK, seen)
}

fn offloads(area: &Area, facts: &Facts) -> Vec<Finding> {
    let name = &facts.interface.name;
    let Some(offloads) = facts.offloads else {
        return vec![area.ok("offloads", "unknown: the driver does not tell")];
    };
    const MERGED: &str = "segments are merged before XDP sees them, and some drivers refuse XDP because of it";
    let hardware_merging = facts.active.as_ref().is_some_and(|active| active.contains("rx-gro-hw"));
    let check = |check, on: bool, harmful: bool, effect: &str, switch: &str| {
        if on && harmful {
            return area.warning(check, format!("on: {effect}"), format!("`ethtool -K {name} {switch} off`"));
        }
        area.ok(check, if on { "on" } else { "off" })
    };
    vec![
        check(
            "gro",
            offloads.generic_receive,
            facts.is_veth(),
            "frames that a program at the other end sends back may be lost",
            "gro",
        ),
        check("lro", offloads.large_receive, true, MERGED, "lro"),
        check("gro-hw", hardware_merging, true, MERGED, "rx-gro-hw"),
        check(
            "rx-vlan-offload",
            offloads.receive_vlan,
            !facts.is_veth(),
            "the hardware takes VLAN tags away before XDP sees them, so tagged test packets are not recognised",
            "rxvlan",
        ),
        check(
            "tx-checksum",
            offloads.transmit_checksum,
            facts.is_veth(),
            "packets from UDP sockets reach the other end's XDP program with half a checksum and are not answered",
            "tx",
        ),
    ]
}

/// Bits per second in the largest unit that leaves a whole number.
fn bits(speed: u64) -> String {
    match speed {
        1_000_000_000.. if speed.is_multiple_of(1_000_000_000) => format!("{} Gbps", speed / 1_000_000_000),
        1_000_000.. => format!("{} Mbps", speed / 1_000_000),
        _ => format!("{speed} bps"),
    }
}

#[cfg(test)]
mod tests;
