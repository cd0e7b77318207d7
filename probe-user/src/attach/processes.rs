//! Who holds a program or a port, as far as /proc shows it. Only for messages: nothing is decided by it.

use std::fmt;
use std::fs;
use std::path::Path;

/// A process, by number and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessName {
    /// Its number, as this process's own /proc has it.
    pub number: u32,
    /// What it is called; empty when it could not be asked.
    pub name: String,
}

impl fmt::Display for ProcessName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {} ({})", self.number, self.name)
    }
}

/// Processes for a message.
pub(super) fn list(processes: &[ProcessName]) -> String {
    if processes.is_empty() {
        return "a process that cannot be seen from here".to_owned();
    }
    processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The processes that have a descriptor of a BPF program, or of a link that holds it.
pub(super) fn holders_of(program: u32) -> Vec<ProcessName> {
    processes_with("fdinfo", |path| {
        fs::read_to_string(path).is_ok_and(|information| field(&information, "prog_id") == Some(program))
    })
}

/// The processes that have a UDP socket on a port, in this network namespace.
pub(super) fn owners_of(port: u16) -> Vec<ProcessName> {
    let sockets: Vec<String> = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_on(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    processes_with("fd", |path| {
        fs::read_link(path).is_ok_and(|target| sockets.iter().any(|socket| target == Path::new(socket)))
    })
}

/// The processes with a file in a folder of theirs that fits.
fn processes_with(folder: &str, fits: impl Fn(&Path) -> bool) -> Vec<ProcessName> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found: Vec<ProcessName> = processes
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let files = fs::read_dir(entry.path().join(folder)).ok()?;
            files.filter_map(Result::ok).any(|file| fits(&file.path())).then(|| {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                ProcessName { number, name: name.trim().to_owned() }
            })
        })
        .collect();
    found.sort();
    found
}

/// A number in a file of `fdinfo`, such as `prog_id: 12`.
fn field(information: &str, name: &str) -> Option<u32> {
    information
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
}

/// The inodes of sockets on a port, from a table such as /proc/net/udp.
fn inodes_on(table: &str, port: u16) -> Vec<u64> {
    const LOCAL_ADDRESS: usize = 1;
    const INODE: usize = 9;
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(LOCAL_ADDRESS).is_some_and(|address| address.ends_with(&suffix)))
        .filter_map(|fields| fields.get(INODE)?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_fdinfo() {
        let information = "pos:\t0\nflags:\t02000000\nlink_type:\txdp\nlink_id:\t5\nprog_id:\t67\nifindex:\t3\n";
        assert_eq!(field(information, "prog_id"), Some(67));
        assert_eq!(field(information, "link_id"), Some(5));
        assert_eq!(field(information, "id"), None);
    }

    #[test]
    fn sockets_are_found_by_local_port_only() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             12: 00000000:035E 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0\n\
             13: 0100007F:0035 0100007F:035E 01 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n";
        assert_eq!(inodes_on(table, 862), [4711]);
        assert_eq!(inodes_on(table, 53), [4712]);
        assert_eq!(inodes_on(table, 1), [0; 0]);
    }

    #[test]
    fn an_owner_of_a_port_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let owners = owners_of(socket.local_addr().unwrap().port());
        assert!(owners.iter().any(|owner| owner.number == std::process::id()), "{owners:?}");
    }
}
