//! Checks of what this process may do.

use super::{
    machine::Machine,
    model::{Area, Finding},
};

const HOST: Area = Area::Host;

/// A capability, by its number in the kernel's masks (`include/uapi/linux/capability.h`).
struct Capability {
    number: u32,
    name: &'static str,
    purpose: &'static str,
}

/// Without one of these nothing works.
const NEEDED: [Capability; 4] = [
    Capability { number: 12, name: "CAP_NET_ADMIN", purpose: "to attach programs to interfaces" },
    Capability { number: 13, name: "CAP_NET_RAW", purpose: "to open AF_XDP sockets" },
    Capability { number: 38, name: "CAP_PERFMON", purpose: "to load programs that compute with packet pointers" },
    Capability { number: 39, name: "CAP_BPF", purpose: "to load programs and make maps" },
];

/// It stands for CAP_BPF and CAP_PERFMON too, which were parts of it (capabilities(7)).
const ADMINISTRATION: Capability = Capability {
    number: 21,
    name: "CAP_SYS_ADMIN",
    purpose: "to share an interface with another Leadline process, and to see whose program is in the way",
};

const LOCK_MEMORY: u32 = 14;
const SYSTEM_RESOURCES: u32 = 24;

/// The capabilities of this process.
#[derive(Clone, Copy)]
struct Capabilities(u64);

impl Capabilities {
    fn read(machine: &Machine) -> Option<Self> {
        let status = machine.read("proc/self/status")?;
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }

    fn has(self, number: u32) -> bool {
        self.0 & 1 << number != 0
    }

    fn allows(self, capability: &Capability) -> bool {
        let part_of_administration = matches!(capability.number, 38 | 39);
        self.has(capability.number) || (part_of_administration && self.has(ADMINISTRATION.number))
    }
}

/// Whether this process may load and attach programs and open sockets.
pub(super) fn capabilities(machine: &Machine) -> Finding {
    const CHECK: &str = "capabilities";
    let Some(own) = Capabilities::read(machine) else {
        return HOST.ok(CHECK, "unknown: /proc/self/status does not tell");
    };
    let missing: Vec<_> = NEEDED.iter().filter(|capability| !own.allows(capability)).collect();
    if !missing.is_empty() {
        let seen: Vec<_> =
            missing.iter().map(|capability| format!("{} ({})", capability.name, capability.purpose)).collect();
        let names: Vec<_> = missing.iter().map(|capability| capability.name.to_lowercase()).collect();
        return HOST.problem(
            CHECK,
            format!("missing: {}", seen.join(", ")),
            format!("run as root, or once `setcap {}+ep` on the leadline binary", names.join(",")),
        );
    }
    if !own.allows(&ADMINISTRATION) {
        let Capability { name, purpose, .. } = ADMINISTRATION;
        return HOST.warning(
            CHECK,
            format!("missing: {name} ({purpose})"),
            "run as root where `reflect` and `measure` are to share an interface",
        );
    }
    let names: Vec<_> = NEEDED.iter().chain([&ADMINISTRATION]).map(|capability| capability.name).collect();
    HOST.ok(CHECK, names.join(", "))
}

/// Programs and maps count against the cgroup since Linux 5.11, but the memory of an AF_XDP socket still counts against
/// RLIMIT_MEMLOCK unless the process has CAP_IPC_LOCK.
pub(super) fn locked_memory(machine: &Machine) -> Finding {
    const CHECK: &str = "locked-memory";
    /// The frames of a few queues.
    const PLENTY: u64 = 64 << 20;
    if let Some(own) = Capabilities::read(machine) {
        if own.has(LOCK_MEMORY) {
            return HOST.ok(CHECK, "no limit for this process (CAP_IPC_LOCK)");
        }
        if own.has(SYSTEM_RESOURCES) {
            return HOST.ok(CHECK, "this process may raise its limit (CAP_SYS_RESOURCE)");
        }
    }
    let limits = machine.read("proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    let Some(limit) = limit else {
        return HOST.ok(CHECK, "unknown: /proc/self/limits does not tell");
    };
    match limit.parse::<u64>() {
        Ok(octets) if octets < PLENTY => HOST.warning(
            CHECK,
            format!("limited to {} KiB, and neither CAP_IPC_LOCK nor CAP_SYS_RESOURCE is there", octets >> 10),
            "the frames of an AF_XDP socket may not fit: `ulimit -l unlimited`, LimitMEMLOCK=infinity in a systemd \
             unit, or CAP_IPC_LOCK",
        ),
        Ok(octets) => HOST.ok(CHECK, format!("limited to {} MiB", octets >> 20)),
        Err(_) => HOST.ok(CHECK, "no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{machine::fixture, model::Status};

    fn with(effective: u64, limits: &str) -> (tempfile::TempDir, Machine) {
        let status = format!("Name:\tleadline\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective:016x}\n");
        fixture::machine(&[("proc/self/status", &status), ("proc/self/limits", limits)])
    }

    #[test]
    fn each_missing_capability_is_named_with_its_purpose() {
        let (_root, machine) = with(1 << 12 | 1 << 38, "");
        let finding = capabilities(&machine);
        assert_eq!(finding.status, Status::Problem);
        assert_eq!(
            finding.seen,
            "missing: CAP_NET_RAW (to open AF_XDP sockets), CAP_BPF (to load programs and make maps)"
        );
        assert!(finding.advice.is_some_and(|advice| advice.contains("setcap cap_net_raw,cap_bpf+ep")));
    }

    #[test]
    fn administration_includes_those_for_ebpf() {
        let status = |effective| {
            let (_root, machine) = with(effective, "");
            capabilities(&machine).status
        };
        assert_eq!(status(1 << 12 | 1 << 13 | 1 << 21), Status::Ok);
        assert_eq!(status(1 << 12 | 1 << 13 | 1 << 38 | 1 << 39), Status::Warning, "it cannot join");
        assert_eq!(status(1 << 12 | 1 << 13 | 1 << 39), Status::Problem);
    }

    #[test]
    fn the_limit_counts_only_without_the_capabilities() {
        let low = "Max locked memory         8388608              8388608              bytes     \n";
        let none = "Max locked memory         unlimited            unlimited            bytes     \n";
        let outcome = |effective, limits| {
            let (_root, machine) = with(effective, limits);
            locked_memory(&machine).status
        };
        assert_eq!(outcome(0, low), Status::Warning);
        assert_eq!(outcome(0, none), Status::Ok);
        assert_eq!(outcome(1 << 14, low), Status::Ok);
        assert_eq!(outcome(1 << 24, low), Status::Ok);
    }
}
