//! What the kernel asks of a process and of itself before it lets a program onto an interface.

use std::io;

use nix::sys::utsname::uname;

/// A capability: its number (capability.h) and its name.
pub(super) type Capability = (u32, &'static str);

const NET_ADMIN: Capability = (12, "CAP_NET_ADMIN");
const NET_RAW: Capability = (13, "CAP_NET_RAW");
const IPC_LOCK: Capability = (14, "CAP_IPC_LOCK");
const SYS_ADMIN: Capability = (21, "CAP_SYS_ADMIN");
const PERFMON: Capability = (38, "CAP_PERFMON");
const BPF: Capability = (39, "CAP_BPF");

/// Needed to load the programs and to attach them.
pub(super) const FOR_ATTACHING: &[Capability] = &[BPF, PERFMON, NET_ADMIN];
/// Needed to open a program, link or map of another process by its number.
pub(super) const FOR_JOINING: &[Capability] = &[SYS_ADMIN, NET_ADMIN];

/// Needed to open an AF_XDP socket; what CAP_IPC_LOCK allows, a high limit of locked memory allows too.
pub(super) const FOR_SENDING: &[Capability] = &[NET_RAW, IPC_LOCK];

/// The first kernel that has everything the programs use.
pub(super) const NEEDED_KERNEL: &str = "6.1";

/// Those of the capabilities that the calling thread lacks.
pub(super) fn missing(needed: &[Capability]) -> io::Result<Vec<&'static str>> {
    let status = std::fs::read_to_string("/proc/thread-self/status")?;
    let effective = effective(&status).ok_or_else(|| io::Error::other("/proc/thread-self/status has no CapEff"))?;
    Ok(lacking(needed, effective))
}

/// The end of a message about missing capabilities.
pub(super) fn lacks(missing: &[&'static str]) -> String {
    match missing {
        [] => String::new(),
        some => format!(": this process lacks {}", some.join(" and ")),
    }
}

/// What to do about missing capabilities.
pub(super) const fn advice(missing: &[&'static str]) -> &'static str {
    if missing.is_empty() {
        "this process has every capability that it should take, so a security module, a lockdown or a user namespace \
         stands in the way"
    } else {
        "run it as root, or give it what it lacks with setcap"
    }
}

/// What to do when the kernel does not permit an AF_XDP socket.
pub(crate) fn advice_for_sending() -> String {
    let missing = missing(FOR_SENDING).unwrap_or_default();
    match missing.as_slice() {
        [] => advice(&missing).to_owned(),
        some => format!("this process lacks {}; {}", some.join(" and "), advice(some)),
    }
}

/// The kernel's release, if it is older than [`NEEDED_KERNEL`].
pub(super) fn kernel_too_old() -> Option<String> {
    let release = uname().ok()?.release().to_str()?.to_owned();
    let old = version(&release)? < version(NEEDED_KERNEL)?;
    old.then_some(release)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The effective capabilities of a process, from its status file: one bit each.
fn effective(status: &str) -> Option<u64> {
    let octets = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(octets.trim(), 16).ok()
}

/// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON too (capabilities(7)).
fn lacking(needed: &[Capability], effective: u64) -> Vec<&'static str> {
    let has = |(number, _): &Capability| effective & (1 << number) != 0;
    let implied = |capability: &Capability| [BPF, PERFMON].contains(capability) && has(&SYS_ADMIN);
    needed.iter().filter(|capability| !has(capability) && !implied(capability)).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        assert_eq!(effective("Name:\tx\nCapPrm:\t0\nCapEff:\t000000c000001000\nCapBnd:\t1\n"), Some(0xc0_0000_1000));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn what_is_lacking_is_named_and_sys_admin_stands_for_bpf() {
        assert_eq!(lacking(FOR_ATTACHING, 0), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(lacking(FOR_ATTACHING, 1 << 12), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(lacking(FOR_ATTACHING, 1 << 21), ["CAP_NET_ADMIN"]);
        assert_eq!(lacking(FOR_ATTACHING, 1 << 39 | 1 << 38 | 1 << 12), [""; 0]);
        assert_eq!(lacking(FOR_JOINING, 1 << 39 | 1 << 38 | 1 << 12), ["CAP_SYS_ADMIN"]);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.9"), Some((5, 9)));
        assert!(version("6.9.1") > version(NEEDED_KERNEL), "9 is less than 18, but more than 1");
        assert!(version("5.15.0-91-generic") < version(NEEDED_KERNEL));
        assert_eq!(version("unknown"), None);
    }
}
