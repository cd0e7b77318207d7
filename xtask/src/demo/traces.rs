//! What Leadline could have left on a machine. An XDP program lives as long as its interface, a process that holds
//! it, or a pin does: where none of the three is left, no program is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Everything on this machine that bears Leadline's names, told in words.
pub(crate) fn look() -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    for name in entries("/run/netns").filter(|name| name.starts_with("leadline-")) {
        traces.insert(format!("namespace {name}"));
    }
    for name in entries("/sys/class/net").filter(|name| name == "probe0" || name == "probe1") {
        traces.insert(format!("interface {name}"));
    }
    for name in entries("/sys/fs/bpf").filter(|name| name.starts_with("leadline")) {
        traces.insert(format!("pinned BPF object {name}"));
    }
    for process in entries("/proc").filter(|name| is_leadline(name)) {
        traces.insert(format!("process {process} (leadline)"));
    }
    traces
}

fn is_leadline(process: &str) -> bool {
    let folder = Path::new("/proc").join(process);
    process.bytes().all(|digit| digit.is_ascii_digit())
        && fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim_end() == "leadline")
        // One that has ended has no file any more; its number goes when its parent has looked.
        && folder.join("exe").read_link().is_ok()
}

/// The names in a folder; none if it is not there.
fn entries(folder: &str) -> impl Iterator<Item = String> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok())
}
