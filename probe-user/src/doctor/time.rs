//! Checks of the clock: whether its times can be compared with those of another machine, and what a reading costs.

use super::{
    machine::Machine,
    model::{Area, Finding},
};
use crate::clock::{CLOCK_SOURCE_FOLDER, ClockState, ClockStateError, ReadCost};

const CLOCK: Area = Area::Clock;

/// What was learnt of the clock without files.
#[derive(Debug)]
pub(super) struct ClockFacts {
    pub(super) state: Result<ClockState, ClockStateError>,
    pub(super) cost: ReadCost,
}

/// All checks of the clock.
pub(super) fn examine(machine: &Machine, facts: &ClockFacts) -> Vec<Finding> {
    let mut findings = match &facts.state {
        Ok(state) => vec![synchronisation(machine, *state), tai_offset(*state)],
        Err(error) => vec![CLOCK.warning(
            "synchronisation",
            error.to_string(),
            "allow adjtimex with no modes set; until then timestamps are marked as unsynchronised",
        )],
    };
    findings.extend([clock_source(machine), read_cost(facts.cost)]);
    findings
}

fn synchronisation(machine: &Machine, state: ClockState) -> Finding {
    const DAEMONS: [&str; 7] = ["chronyd", "ptp4l", "phc2sys", "timemaster", "ntpd", "ntpd-rs", "systemd-timesyncd"];
    let running = machine.running(&DAEMONS).join(", ");
    if state.synchronised {
        let by = if running.is_empty() { String::new() } else { format!(" (running: {running})") };
        let within = microseconds(state.maximum_error_ns);
        let about = microseconds(state.estimated_error_ns);
        return CLOCK.ok("synchronisation", format!("synchronised to UTC within {within}, probably {about}{by}"));
    }
    let advice = if running.is_empty() {
        "round-trip figures hold, one-way ones do not: run chrony, or ptp4l with phc2sys where the network has PTP"
            .to_owned()
    } else {
        format!("one-way figures do not hold until {running} has found its source; see `chronyc tracking` or its log")
    };
    CLOCK.warning("synchronisation", "the clock is not synchronised to UTC", advice)
}

fn tai_offset(state: ClockState) -> Finding {
    if state.tai_offset_set {
        return CLOCK.ok("tai-offset", format!("TAI is {} s ahead of UTC", state.tai_offset_s));
    }
    CLOCK.warning(
        "tai-offset",
        "nobody told the kernel the distance from UTC to TAI, so its TAI clock shows UTC",
        "one-way figures against a peer that knows it are wrong by 37 s in PTP timestamps: put `leapsectz right/UTC` \
         into chrony.conf, or let phc2sys set it",
    )
}

fn clock_source(machine: &Machine) -> Finding {
    const CHECK: &str = "clock-source";
    let folder = CLOCK_SOURCE_FOLDER.trim_start_matches('/');
    let Some(current) = machine.read(format!("{folder}/current_clocksource")) else {
        return CLOCK.ok(CHECK, "unknown: the kernel does not show it here");
    };
    match current.as_str() {
        "tsc" | "arch_sys_counter" | "kvm-clock" | "hyperv_clocksource_tsc_page" => CLOCK.ok(CHECK, current),
        _ => {
            let available = machine.read(format!("{folder}/available_clocksource")).unwrap_or_default();
            let advice = if available.split_whitespace().any(|name| name == "tsc") {
                "each reading goes to a slow device: `echo tsc > /sys/devices/system/clocksource/clocksource0/\
                 current_clocksource`, and see in dmesg why the kernel left it"
                    .to_owned()
            } else {
                format!("each reading goes to a slow device, which limits the rate; available here: {available}")
            };
            CLOCK.warning(CHECK, current, advice)
        }
    }
}

fn read_cost(cost: ReadCost) -> Finding {
    /// A reading through the vDSO takes 15 to 60 ns, one by a system call from 100 ns on, one of a device 1000 ns.
    const SLOW_NS: f64 = 150.0;
    let seen = format!("{:.0} ns a reading, {} ns the smallest step seen", cost.read_ns, cost.step_ns);
    if cost.read_ns < SLOW_NS && cost.resolution_ns < 1_000 {
        return CLOCK.ok("clock-reading", seen);
    }
    CLOCK.warning(
        "clock-reading",
        seen,
        "every packet is stamped at least twice: use a clock source that can be read without a system call (see \
         clock-source), and a machine that nothing else keeps busy",
    )
}

fn microseconds(ns: u64) -> String {
    format!("{:.1} us", ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{machine::fixture, model::Status};

    const STEERED: ClockState = ClockState {
        synchronised: true,
        maximum_error_ns: 250_400,
        estimated_error_ns: 7_000,
        tai_offset_s: 37,
        tai_offset_set: true,
    };
    const QUICK: ReadCost = ReadCost { read_ns: 22.4, step_ns: 20, resolution_ns: 1 };

    fn find<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.check == check).expect("the check was made")
    }

    #[test]
    fn a_well_kept_clock_is_fine() {
        let (_root, machine) = fixture::machine(&[
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
            ("proc/400/comm", "chronyd\n"),
        ]);
        let findings = examine(&machine, &ClockFacts { state: Ok(STEERED), cost: QUICK });
        assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:?}");
        assert_eq!(
            find(&findings, "synchronisation").seen,
            "synchronised to UTC within 250.4 us, probably 7.0 us (running: chronyd)"
        );
        assert_eq!(find(&findings, "tai-offset").seen, "TAI is 37 s ahead of UTC");
        assert_eq!(find(&findings, "clock-reading").seen, "22 ns a reading, 20 ns the smallest step seen");
    }

    #[test]
    fn a_lost_clock_says_what_still_holds() {
        let (_root, machine) = fixture::machine(&[]);
        let state = ClockState { synchronised: false, tai_offset_s: 0, tai_offset_set: false, ..STEERED };
        let findings = examine(&machine, &ClockFacts { state: Ok(state), cost: QUICK });
        let synchronisation = find(&findings, "synchronisation");
        assert_eq!(synchronisation.status, Status::Warning);
        assert!(synchronisation.advice.as_deref().is_some_and(|advice| advice.contains("round-trip figures hold")));
        assert_eq!(find(&findings, "tai-offset").status, Status::Warning);
        assert_eq!(find(&findings, "clock-source").status, Status::Ok);
    }

    #[test]
    fn a_running_daemon_without_a_source_is_named() {
        let (_root, machine) = fixture::machine(&[("proc/9/comm", "systemd-timesyn\n")]);
        let state = ClockState { synchronised: false, ..STEERED };
        let finding = synchronisation(&machine, state);
        assert!(finding.advice.is_some_and(|advice| advice.contains("systemd-timesyncd")));
    }

    #[test]
    fn a_slow_clock_source_points_to_the_time_stamp_counter() {
        let (_root, machine) = fixture::machine(&[
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
            ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm\n"),
        ]);
        let finding = clock_source(&machine);
        assert_eq!((finding.status, finding.seen.as_str()), (Status::Warning, "hpet"));
        assert!(finding.advice.is_some_and(|advice| advice.contains("echo tsc")));
        assert_eq!(read_cost(ReadCost { read_ns: 900.0, ..QUICK }).status, Status::Warning);
        assert_eq!(read_cost(ReadCost { resolution_ns: 4_000_000, ..QUICK }).status, Status::Warning);
    }
}
