//! The kernel's own count of UDP packets that found no room, over all sockets of the network namespace.

use std::fs;
use std::io;

/// Where the kernel shows its counters: those of this thread's network namespace.
pub(super) const FOLDER: &str = "/proc/thread-self/net";

/// Packets for any UDP socket, of either version of IP, that the kernel threw away for want of room.
pub(super) fn without_room() -> io::Result<u64> {
    let four = fs::read_to_string(format!("{FOLDER}/snmp"))?;
    // Absent where IPv6 is switched off.
    let six = fs::read_to_string(format!("{FOLDER}/snmp6")).unwrap_or_default();
    Ok(of_version_4(&four) + of_version_6(&six))
}

/// A line of names stands above a line of values, both beginning with `Udp:`.
fn of_version_4(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .filter(|(name, _)| matches!(*name, "RcvbufErrors" | "MemErrors"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

/// Each line has a name and a value.
fn of_version_6(snmp6: &str) -> u64 {
    snmp6
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .filter(|(name, _)| matches!(*name, "Udp6RcvbufErrors" | "Udp6MemErrors"))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_found_by_name() {
        let snmp = "Tcp: RcvbufErrors MemErrors\nTcp: 1000 1000\n\
                    Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors MemErrors\n\
                    Udp: 90 80 70 60 5 40 30 2\n";
        assert_eq!(of_version_4(snmp), 7);
        let snmp6 = "Udp6InDatagrams                 	9\nUdp6RcvbufErrors                	4\nUdp6MemErrors                   	1\n";
        assert_eq!(of_version_6(snmp6), 5);
    }

    #[test]
    fn the_kernel_has_these_counters() {
        let snmp = fs::read_to_string(format!("{FOLDER}/snmp")).expect("/proc is there");
        assert!(snmp.lines().any(|line| line.starts_with("Udp:") && line.contains("RcvbufErrors")), "{snmp}");
    }
}
