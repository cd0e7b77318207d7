//! The system packages: what the C libraries inside the build want, and what the lab's tests call. Each is looked
//! for by what it brings, not by its name, so that a machine which has it from elsewhere is left alone.

mod system;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use Evidence::{File, Libclang, Library, Program};
use system::{Family, System};

use crate::command::{on_path, run, say, shown, succeeds};
use crate::error::Error;
use crate::workspace;

/// One thing that must be on the machine.
struct Need {
    evidence: Evidence,
    debian: &'static str,
    fedora: &'static str,
    arch: &'static str,
}

/// How to see that it is there.
enum Evidence {
    Program(&'static str),
    File(&'static str),
    /// A C library with its headers, as pkg-config knows it.
    Library(&'static str),
    Libclang,
}

const NEEDS: [Need; 12] = [
    // Rust's linker, and libbpf's compiler.
    need(Program("cc"), "gcc", "gcc", "gcc"),
    need(File("/usr/include/stdio.h"), "libc6-dev", "glibc-devel", "glibc"),
    // libbpf-sys builds libbpf with these.
    need(Program("make"), "make", "make", "make"),
    need(Program("pkg-config"), "pkg-config", "pkgconf-pkg-config", "pkgconf"),
    need(Library("libelf"), "libelf-dev", "elfutils-libelf-devel", "libelf"),
    need(Library("zlib"), "zlib1g-dev", "zlib-devel", "zlib"),
    // libxdp-sys makes its dispatcher with m4 and clang, and its bindings with libclang.
    need(Program("m4"), "m4", "m4", "m4"),
    need(Program("clang"), "clang", "clang", "clang"),
    need(Libclang, "libclang-dev", "clang-devel", "clang"),
    // The tests call these.
    need(Program("ip"), "iproute2", "iproute", "iproute2"),
    need(Program("ethtool"), "ethtool", "ethtool", "ethtool"),
    need(Program("ping"), "iputils-ping", "iputils", "iputils"),
];

const fn need(evidence: Evidence, debian: &'static str, fedora: &'static str, arch: &'static str) -> Need {
    Need { evidence, debian, fedora, arch }
}

/// Installs the packages that are missing: with apt-get as root on Debian and its like, otherwise by telling a person.
pub(crate) fn install_missing() -> Result<(), Error> {
    let system = System::here();
    let packages = missing(system.family);
    if packages.is_empty() {
        return Ok(());
    }
    if system.family != Family::Debian || !workspace::is_root() {
        return Err(by_hand(&system, &packages));
    }
    say(&format!("installing {} Debian packages (once, about a minute): {}", packages.len(), packages.join(" ")));
    for mut command in installation(system.family, &packages) {
        run(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    match missing(system.family) {
        still if still.is_empty() => Ok(()),
        still => Err(Error::StillMissing(still)),
    }
}

/// The packages that are missing, by their names in that family.
fn missing(family: Family) -> Vec<&'static str> {
    let needs: Vec<&Need> = NEEDS.iter().filter(|need| !is_there(&need.evidence)).collect();
    names(&needs, family)
}

/// The packages' names in that family, each once.
fn names(needs: &[&Need], family: Family) -> Vec<&'static str> {
    let mut names = Vec::new();
    for need in needs {
        let name = match family {
            Family::Debian | Family::Other => need.debian,
            Family::Fedora => need.fedora,
            Family::Arch => need.arch,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The commands that install the packages; none where the package manager is not known.
fn installation(family: Family, packages: &[&str]) -> Vec<Command> {
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let mut commands = match family {
        Family::Debian => vec![
            command("apt-get", &["update", "--quiet"]),
            command("apt-get", &["install", "--quiet", "--yes", "--no-install-recommends"]),
        ],
        Family::Fedora => vec![command("dnf", &["install", "--assumeyes"])],
        Family::Arch => vec![command("pacman", &["-S", "--needed", "--noconfirm"])],
        Family::Other => vec![],
    };
    if let Some(last) = commands.last_mut() {
        last.args(packages);
    }
    commands
}

fn by_hand(system: &System, packages: &[&str]) -> Error {
    let commands = installation(system.family, packages);
    if commands.is_empty() {
        return Error::ByHand {
            why: format!(
                "these are missing, and how {} installs packages is not known here. Debian calls them:",
                system.name
            ),
            commands: vec![packages.join(" ")],
        };
    }
    let why = if system.family == Family::Debian { "only root can install packages" } else { "this is not Debian" };
    let sudo = if workspace::is_root() { "" } else { "sudo " };
    Error::ByHand {
        why: format!("packages are missing, and {why}. Please run this, and then the task again:"),
        commands: commands.iter().map(|command| format!("{sudo}{}", shown(command))).collect(),
    }
}

fn is_there(evidence: &Evidence) -> bool {
    match evidence {
        // System folders that an ordinary user's PATH may lack.
        Program(name) => {
            on_path(name) || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).is_file())
        }
        File(path) => Path::new(path).is_file(),
        Library(name) => succeeds(Command::new("pkg-config").args(["--exists", name])),
        Libclang => libclang_folders().iter().any(|folder| holds_libclang(folder)),
    }
}

/// Where bindgen looks for libclang.
fn libclang_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    folders.extend(["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    // /usr/lib/llvm-19/lib, /usr/lib/x86_64-linux-gnu
    for entry in fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        folders.push(entry.path());
        folders.push(entry.path().join("lib"));
    }
    folders
}

fn holds_libclang(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_libclang))
}

/// `libclang.so`, `libclang-14.so.1`; not `libclang-cpp.so`, which is another library.
fn is_libclang(name: &str) -> bool {
    name.strip_prefix("libclang").and_then(|rest| rest.split_once(".so")).is_some_and(|(version, _)| {
        version.trim_start_matches(['-', '.']).chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(family: Family) -> System {
        System { family, name: "Some Linux".to_owned() }
    }

    fn commands(error: Error) -> Vec<String> {
        let Error::ByHand { commands, .. } = error else { panic!("not for a person: {error}") };
        commands.into_iter().map(|command| command.trim_start_matches("sudo ").to_owned()).collect()
    }

    #[test]
    fn each_family_is_told_its_own_command() {
        let debian = commands(by_hand(&system(Family::Debian), &["m4", "clang"]));
        assert_eq!(
            debian,
            ["apt-get update --quiet", "apt-get install --quiet --yes --no-install-recommends m4 clang"]
        );
        assert_eq!(commands(by_hand(&system(Family::Fedora), &["m4"])), ["dnf install --assumeyes m4"]);
        assert_eq!(commands(by_hand(&system(Family::Arch), &["m4"])), ["pacman -S --needed --noconfirm m4"]);
    }

    #[test]
    fn an_unknown_system_is_told_the_names() {
        let error = by_hand(&system(Family::Other), &["m4", "libelf-dev"]);
        assert!(error.to_string().contains("Some Linux"), "{error}");
        assert_eq!(commands(error), ["m4 libelf-dev"]);
    }

    #[test]
    fn one_package_that_brings_two_things_is_named_once() {
        let needs: Vec<&Need> = NEEDS.iter().collect();
        let clang = names(&needs, Family::Arch).into_iter().filter(|name| *name == "clang").count();
        assert_eq!(clang, 1);
        assert_eq!(names(&needs, Family::Debian).len(), NEEDS.len());
    }

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang-14.0.6.so", "libclang.so.19.1"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclang.a", "libclangBasic.so", "libLLVM.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_missed() {
        assert!(!is_there(&Program("leadline-no-such-program")));
        assert!(!is_there(&File("/usr/include/leadline-no-such-header.h")));
        assert!(!is_there(&Library("leadline-no-such-library")));
        assert!(is_there(&Program("sh")));
    }
}
