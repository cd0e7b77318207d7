//! Checks of the machine and its kernel: whether the programs can be loaded at all, and what makes times noisy.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    machine::{Machine, format_list},
    model::{Area, Finding},
    privileges,
};

const HOST: Area = Area::Host;
const CPUS: &str = "sys/devices/system/cpu";

/// All checks of the machine.
pub(super) fn examine(machine: &Machine) -> Vec<Finding> {
    vec![
        kernel(machine),
        btf(machine),
        privileges::capabilities(machine),
        privileges::locked_memory(machine),
        compiler(machine),
        sockets(machine),
        cpus(machine),
        isolation(machine),
        governor(machine),
        idle_states(machine),
        virtualisation(machine),
        interrupt_balancing(machine),
    ]
}

/// `bpf_ktime_get_tai_ns` came with 6.1, XDP links with 5.9.
fn kernel(machine: &Machine) -> Finding {
    const CHECK: &str = "kernel";
    const LINKS: (u32, u32) = (5, 9);
    const TAI: (u32, u32) = (6, 1);
    let Some(release) = machine.read("proc/sys/kernel/osrelease") else {
        return HOST.warning(CHECK, "unknown: /proc is not there", "mount /proc");
    };
    let Some(version) = version(&release) else {
        return HOST.warning(CHECK, format!("{release} is no version"), "Leadline needs Linux 6.1 or later");
    };
    let seen = format!("Linux {release}");
    if version >= TAI {
        return HOST.ok(CHECK, seen);
    }
    let lacking = if version < LINKS {
        "XDP links (5.9) and the TAI clock in eBPF programs (6.1)"
    } else {
        "the TAI clock in eBPF programs (6.1)"
    };
    HOST.problem(CHECK, seen, format!("install Linux 6.1 or later: this one lacks {lacking}"))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn btf(machine: &Machine) -> Finding {
    if machine.has("sys/kernel/btf/vmlinux") {
        return HOST.ok("btf", "the kernel describes its types (/sys/kernel/btf/vmlinux)");
    }
    HOST.warning(
        "btf",
        "/sys/kernel/btf/vmlinux is not there",
        "hardware receive timestamps need it: use a kernel built with CONFIG_DEBUG_INFO_BTF, or mount /sys",
    )
}

/// The just-in-time compiler for eBPF programs. Its switches are shown in the first network namespace only.
fn compiler(machine: &Machine) -> Finding {
    const CHECK: &str = "bpf-jit";
    let enabled = machine.number("proc/sys/net/core/bpf_jit_enable");
    let hardening = machine.number("proc/sys/net/core/bpf_jit_harden");
    match (enabled, hardening) {
        (Some(0), _) => HOST.warning(
            CHECK,
            "eBPF programs are interpreted",
            "each packet takes many times as long: `sysctl net.core.bpf_jit_enable=1`",
        ),
        (_, Some(2)) => HOST.warning(
            CHECK,
            "eBPF programs are compiled, with constants blinded for everybody",
            "this costs rate: `sysctl net.core.bpf_jit_harden=1` blinds those of unprivileged users alone",
        ),
        (Some(_), _) => HOST.ok(CHECK, "eBPF programs are compiled"),
        (None, _) => HOST.ok(CHECK, "unknown: not shown in this network namespace"),
    }
}

/// The kernel lists `XDP` among its protocols exactly if it was built with CONFIG_XDP_SOCKETS.
fn sockets(machine: &Machine) -> Finding {
    const CHECK: &str = "af-xdp";
    let Some(protocols) = machine.read("proc/net/protocols") else {
        return HOST.ok(CHECK, "unknown: /proc/net is not there");
    };
    if protocols.lines().any(|line| line.split_whitespace().next() == Some("XDP")) {
        return HOST.ok(CHECK, "the kernel has AF_XDP sockets");
    }
    HOST.problem(
        CHECK,
        "the kernel has no AF_XDP sockets",
        "use a kernel built with CONFIG_XDP_SOCKETS; until then `leadline measure --via socket` works",
    )
}

fn cpus(machine: &Machine) -> Finding {
    const CHECK: &str = "cpus";
    let online = machine.online_cpus();
    let hyperthreads =
        if machine.number(format!("{CPUS}/smt/active")) == Some(1) { ", hyperthreads among them" } else { "" };
    let seen = match online.len() {
        0 => return HOST.ok(CHECK, "unknown: /sys is not there"),
        1 => "1 CPU".to_owned(),
        count => format!("{count} CPUs{hyperthreads}"),
    };
    if online.len() > 1 {
        return HOST.ok(CHECK, seen);
    }
    HOST.warning(
        CHECK,
        seen,
        "sending, receiving and everything else take turns on it: expect late departures, and use a lower rate",
    )
}

fn isolation(machine: &Machine) -> Finding {
    const CHECK: &str = "cpu-isolation";
    let isolated = machine.numbers(format!("{CPUS}/isolated")).unwrap_or_default();
    if isolated.is_empty() {
        return HOST.ok(CHECK, "none: the scheduler may put other work on a sending CPU");
    }
    HOST.ok(CHECK, format!("CPUs {} are kept free of other work", format_list(&isolated)))
}

fn governor(machine: &Machine) -> Finding {
    const CHECK: &str = "cpu-governor";
    let mut governors: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for cpu in machine.online_cpus() {
        if let Some(governor) = machine.read(format!("{CPUS}/cpu{cpu}/cpufreq/scaling_governor")) {
            governors.entry(governor).or_default().insert(cpu);
        }
    }
    if governors.is_empty() {
        return HOST.ok(CHECK, "unknown: the kernel does not set the CPU frequency here, as in most virtual machines");
    }
    let seen: Vec<_> =
        governors.iter().map(|(governor, cpus)| format!("{governor} on CPUs {}", format_list(cpus))).collect();
    if governors.keys().all(|governor| governor == "performance") {
        return HOST.ok(CHECK, seen.join(", "));
    }
    HOST.warning(
        CHECK,
        seen.join(", "),
        "the CPU slows down between packets, which shows as delay: `cpupower frequency-set --governor performance`",
    )
}

/// A CPU in a deep idle state takes as long to wake as some networks take to deliver.
fn idle_states(machine: &Machine) -> Finding {
    const CHECK: &str = "idle-states";
    const SLOW_US: u64 = 20;
    let mut deepest: Option<(u64, String)> = None;
    for cpu in machine.online_cpus() {
        let folder = format!("{CPUS}/cpu{cpu}/cpuidle");
        for state in machine.names(&folder) {
            let latency = machine.number(format!("{folder}/{state}/latency"));
            let disabled = machine.number(format!("{folder}/{state}/disable")) == Some(1);
            if let Some(latency) = latency.filter(|_| !disabled) {
                let name = machine.read(format!("{folder}/{state}/name")).unwrap_or(state);
                deepest = deepest.max(Some((latency, name)));
            }
        }
    }
    let Some((latency, name)) = deepest else {
        return HOST.ok(CHECK, "unknown: the kernel does not choose idle states here, as in most virtual machines");
    };
    let seen = format!("{name} is the deepest in use and takes {latency} us to wake from");
    if latency <= SLOW_US {
        return HOST.ok(CHECK, seen);
    }
    HOST.warning(
        CHECK,
        seen,
        format!(
            "that time shows as delay at low rates: `cpupower idle-set --disable-by-latency {SLOW_US}` for the run"
        ),
    )
}

fn virtualisation(machine: &Machine) -> Finding {
    const CHECK: &str = "virtualisation";
    let Some(hypervisor) = hypervisor(machine) else {
        return HOST.ok(CHECK, "none seen");
    };
    HOST.warning(
        CHECK,
        format!("a virtual machine ({hypervisor})"),
        "the hypervisor takes the CPU away at times, which shows as delay and late departures: for absolute figures \
         measure on bare metal, or give this machine CPUs of its own",
    )
}

/// What this virtual machine runs on, or `None` where nothing says that it is one.
fn hypervisor(machine: &Machine) -> Option<String> {
    let flagged = machine.read("proc/cpuinfo").is_some_and(|text| {
        text.lines().any(|line| line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "hypervisor"))
    });
    let named = machine.read("sys/hypervisor/type").or_else(|| {
        machine.read("proc/device-tree/hypervisor/compatible").map(|text| text.trim_matches('\0').to_owned())
    });
    let clock = machine.read("sys/devices/system/clocksource/clocksource0/available_clocksource").and_then(|sources| {
        let known = [("kvm-clock", "KVM"), ("hyperv_clocksource_tsc_page", "Hyper-V"), ("xen", "Xen")];
        let (_, name) = known.into_iter().find(|(source, _)| sources.split_whitespace().any(|word| word == *source))?;
        Some(name.to_owned())
    });
    let vendor = machine.read("sys/class/dmi/id/sys_vendor").filter(|vendor| {
        ["QEMU", "VMware", "Xen", "innotek", "Parallels", "Bochs"].iter().any(|known| vendor.contains(known))
    });
    let unnamed = || flagged.then(|| machine.read("sys/class/dmi/id/sys_vendor").unwrap_or("unnamed".to_owned()));
    named.or(clock).or(vendor).or_else(unnamed)
}

fn interrupt_balancing(machine: &Machine) -> Finding {
    if machine.running(&["irqbalance"]).is_empty() {
        return HOST.ok("irqbalance", "not running: interrupts stay where they are");
    }
    HOST.warning(
        "irqbalance",
        "irqbalance is running and may move a queue's interrupts during a run",
        "stop it for the run (`systemctl stop irqbalance`), or keep it off the queues' CPUs (IRQBALANCE_BANNED_CPULIST)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{machine::fixture, model::Status};

    const ONLINE: (&str, &str) = ("sys/devices/system/cpu/online", "0-1\n");

    fn outcome(check: fn(&Machine) -> Finding, files: &[(&str, &str)]) -> (Status, String) {
        let (_root, machine) = fixture::machine(files);
        let finding = check(&machine);
        assert_eq!(finding.advice.is_some(), finding.status != Status::Ok, "advice belongs to what is not ok");
        (finding.status, finding.seen)
    }

    #[test]
    fn the_kernel_must_be_able_to_read_tai() {
        let status = |release: &str| outcome(kernel, &[("proc/sys/kernel/osrelease", release)]).0;
        assert_eq!(status("6.1.0-28-amd64\n"), Status::Ok);
        assert_eq!(status("10.0-rc1\n"), Status::Ok);
        assert_eq!(status("6.0.19\n"), Status::Problem);
        assert_eq!(status("5.15.0-91-generic\n"), Status::Problem);
        assert_eq!(status("unreadable\n"), Status::Warning);
        let (_root, machine) = fixture::machine(&[("proc/sys/kernel/osrelease", "5.4.0\n")]);
        assert!(kernel(&machine).advice.is_some_and(|advice| advice.contains("XDP links")));
    }

    #[test]
    fn type_information_is_wanted() {
        assert_eq!(outcome(btf, &[("sys/kernel/btf/vmlinux", "")]).0, Status::Ok);
        assert_eq!(outcome(btf, &[]).0, Status::Warning);
    }

    #[test]
    fn the_compiler_may_be_off_blinded_or_out_of_sight() {
        let enable = "proc/sys/net/core/bpf_jit_enable";
        let harden = "proc/sys/net/core/bpf_jit_harden";
        assert_eq!(outcome(compiler, &[(enable, "1\n"), (harden, "1\n")]).0, Status::Ok);
        assert_eq!(outcome(compiler, &[(enable, "0\n")]).0, Status::Warning);
        assert_eq!(outcome(compiler, &[(enable, "1\n"), (harden, "2\n")]).0, Status::Warning);
        assert!(outcome(compiler, &[]).1.starts_with("unknown"));
    }

    #[test]
    fn af_xdp_is_a_protocol_of_the_kernel() {
        let listed = "protocol  size sockets\nXDP       1088      0\nUDP 1 2\n";
        assert_eq!(outcome(sockets, &[("proc/net/protocols", listed)]).0, Status::Ok);
        assert_eq!(outcome(sockets, &[("proc/net/protocols", "protocol  size\nUDP 1\n")]).0, Status::Problem);
    }

    #[test]
    fn one_cpu_is_few() {
        assert_eq!(outcome(cpus, &[ONLINE]), (Status::Ok, "2 CPUs".to_owned()));
        assert_eq!(outcome(cpus, &[("sys/devices/system/cpu/online", "0\n")]).0, Status::Warning);
        let isolated = [ONLINE, ("sys/devices/system/cpu/isolated", "1\n")];
        assert_eq!(outcome(isolation, &isolated), (Status::Ok, "CPUs 1 are kept free of other work".to_owned()));
    }

    #[test]
    fn a_governor_that_saves_power_is_warned_of() {
        let first = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let second = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
        let (status, seen) = outcome(governor, &[ONLINE, (first, "performance\n"), (second, "powersave\n")]);
        assert_eq!((status, seen.as_str()), (Status::Warning, "performance on CPUs 0, powersave on CPUs 1"));
        assert_eq!(outcome(governor, &[ONLINE, (first, "performance\n"), (second, "performance\n")]).0, Status::Ok);
        assert!(outcome(governor, &[ONLINE]).1.starts_with("unknown"));
    }

    #[test]
    fn a_deep_idle_state_counts_unless_it_is_disabled() {
        let state = |disable| {
            [
                ONLINE,
                ("sys/devices/system/cpu/cpu1/cpuidle/state1/name", "C1E\n"),
                ("sys/devices/system/cpu/cpu1/cpuidle/state1/latency", "10\n"),
                ("sys/devices/system/cpu/cpu1/cpuidle/state2/name", "C6\n"),
                ("sys/devices/system/cpu/cpu1/cpuidle/state2/latency", "133\n"),
                ("sys/devices/system/cpu/cpu1/cpuidle/state2/disable", disable),
            ]
        };
        let deep = (Status::Warning, "C6 is the deepest in use and takes 133 us to wake from".to_owned());
        assert_eq!(outcome(idle_states, &state("0\n")), deep);
        let shallow = (Status::Ok, "C1E is the deepest in use and takes 10 us to wake from".to_owned());
        assert_eq!(outcome(idle_states, &state("1\n")), shallow);
        assert!(outcome(idle_states, &[ONLINE]).1.starts_with("unknown"));
    }

    #[test]
    fn a_virtual_machine_gives_itself_away() {
        let sources = "sys/devices/system/clocksource/clocksource0/available_clocksource";
        assert_eq!(outcome(virtualisation, &[(sources, "tsc hpet\n")]).0, Status::Ok);
        let kvm = (Status::Warning, "a virtual machine (KVM)".to_owned());
        assert_eq!(outcome(virtualisation, &[(sources, "tsc kvm-clock\n")]), kvm);
        let flags = "model name\t: CPU\nflags\t\t: fpu hypervisor avx\n";
        assert_eq!(outcome(virtualisation, &[("proc/cpuinfo", flags)]).0, Status::Warning);
        assert_eq!(outcome(virtualisation, &[("sys/class/dmi/id/sys_vendor", "Dell Inc.\n")]).0, Status::Ok);
        assert_eq!(outcome(virtualisation, &[("sys/class/dmi/id/sys_vendor", "QEMU\n")]).0, Status::Warning);
    }

    #[test]
    fn irqbalance_moves_interrupts() {
        assert_eq!(outcome(interrupt_balancing, &[("proc/8/comm", "irqbalance\n")]).0, Status::Warning);
        assert_eq!(outcome(interrupt_balancing, &[("proc/8/comm", "bash\n")]).0, Status::Ok);
    }
}
