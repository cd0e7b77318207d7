//! The files in which Linux describes a machine, under a root that a test can put elsewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// `/proc` and `/sys` of this machine, or of one that a test made up.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The machine that this process runs on.
    pub(super) fn this() -> Self {
        Self::at("/")
    }

    /// The machine whose `/proc` and `/sys` lie below `root`.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The text of a file without white space at its ends; `None` where it cannot be read.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let octets = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&octets).trim().to_owned())
    }

    /// A file that holds one number.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    /// A file that holds a list of numbers such as `0-3,8`; `None` where it cannot be read, empty where it is empty.
    pub(super) fn numbers(&self, path: impl AsRef<Path>) -> Option<BTreeSet<u32>> {
        Some(parse_list(&self.read(path)?))
    }

    /// Whether a file or folder is there.
    pub(super) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.root.join(path).exists()
    }

    /// The names in a folder, sorted; none where it cannot be read.
    pub(super) fn names(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<_> =
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
        names.sort();
        names
    }

    /// The CPUs that are in use.
    pub(super) fn online_cpus(&self) -> BTreeSet<u32> {
        self.numbers("sys/devices/system/cpu/online").unwrap_or_default()
    }

    /// The processes, as number and name. The kernel cuts a name at 15 octets.
    pub(super) fn processes(&self) -> Vec<(u32, String)> {
        self.names("proc")
            .into_iter()
            .filter_map(|name| {
                let process: u32 = name.parse().ok()?;
                Some((process, self.read(format!("proc/{process}/comm"))?))
            })
            .collect()
    }

    /// Which of `wanted` run as processes, in the order of `wanted`.
    pub(super) fn running<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        let running: BTreeSet<String> = self.processes().into_iter().map(|(_, name)| name).collect();
        wanted.iter().copied().filter(|&name| running.contains(&name[..name.len().min(15)])).collect()
    }
}

/// Reads a list such as `0-3,8`, the form in which the kernel writes sets of CPUs. What is no number is left out.
pub(super) fn parse_list(list: &str) -> BTreeSet<u32> {
    list.split(',')
        .filter_map(|part| {
            let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
        })
        .flatten()
        .collect()
}

/// Writes a set in the form that [`parse_list`] reads.
pub(super) fn format_list(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts: Vec<_> = ranges
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    texts.join(",")
}

#[cfg(test)]
pub(super) mod fixture {
    use super::*;

    /// A machine made of the given files, which lives as long as the folder that is returned with it.
    pub(crate) fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let machine = Machine::at(root.path());
        (root, machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_reads_and_writes() {
        assert_eq!(parse_list("0-3,8,10-11"), BTreeSet::from([0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse_list(""), BTreeSet::new());
        for list in ["", "0", "0-3,8,10-11", "1,3,5"] {
            assert_eq!(format_list(&parse_list(list)), list);
        }
    }

    #[test]
    fn processes_are_known_by_their_cut_names() {
        let (_root, machine) = fixture::machine(&[
            ("proc/1/comm", "systemd\n"),
            ("proc/77/comm", "systemd-timesyn\n"),
            ("proc/self/comm", "ptp4l\n"),
            ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ]);
        assert_eq!(machine.running(&["ptp4l", "systemd-timesyncd", "systemd"]), ["systemd-timesyncd", "systemd"]);
        assert_eq!(machine.processes().len(), 2);
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        let (_root, machine) = fixture::machine(&[]);
        assert_eq!(machine.read("proc/version"), None);
        assert_eq!(machine.names("sys"), Vec::<String>::new());
        assert!(machine.online_cpus().is_empty());
    }
}
