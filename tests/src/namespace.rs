//! Network namespaces that go when their guard goes.
//!
//! Names tell who made them: `ll-test-<pid>-<n>-<role>`. Should a test process be killed, the next one finds the dead
//! process's namespaces by that pid, ends what still runs in them, and removes them.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

const PREFIX: &str = "ll-test-";
const FOLDER: &str = "/run/netns";

/// A network namespace, removed on drop with every process in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with loopback up, after a sweep of what dead test processes left.
    ///
    /// # Panics
    /// When `ip netns add` fails.
    pub fn create(role: &str) -> Self {
        static SWEPT: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        SWEPT.call_once(sweep);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{n}-{role}", std::process::id());
        run(&format!("ip netns add {name}"));
        let namespace = Self { name };
        namespace.run("ip link set lo up");
        namespace
    }

    /// The name that `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls `action` in a thread that has entered the namespace, and returns what it returned. What the action spawns,
    /// threads and processes, is in the namespace too. `/sys` stays as it was, bpffs included, unlike under `ip netns exec`.
    ///
    /// # Panics
    /// When the namespace is gone, or when `action` panics.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.enter_for_good();
            action()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread into the namespace, for threads that live as long as they have work there.
    ///
    /// # Panics
    /// When the namespace is gone.
    pub fn enter_for_good(&self) {
        enter_by_name(&self.name);
    }

    /// Runs one command, words parted by blanks, inside; returns its standard output.
    ///
    /// # Panics
    /// When it cannot start or ends with a status other than 0.
    pub fn run(&self, command: &str) -> String {
        self.enter(|| run(command))
    }

    /// Starts a process inside.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn spawn(&self, command: &mut Command) -> Child {
        self.enter(|| command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Process ids of everything that runs inside.
    pub fn processes(&self) -> Vec<u32> {
        processes(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Moves the calling thread into the namespace of that name.
///
/// # Panics
/// When there is none.
pub fn enter_by_name(name: &str) {
    let path = Path::new(FOLDER).join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("no namespace at {}: {error}", path.display()));
    setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("cannot enter {name}: {error}"));
}

/// Runs one command, words parted by blanks; returns its standard output.
///
/// # Panics
/// When it cannot start or ends with a status other than 0.
pub fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command has a name");
    let output =
        Command::new(program).args(words).output().unwrap_or_else(|error| panic!("cannot start `{command}`: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "`{command}` ended with {}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Removes the namespaces of test processes that no longer live.
pub fn sweep() {
    let Ok(entries) = std::fs::read_dir(FOLDER) else {
        return;
    };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let maker =
            name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).and_then(|pid| pid.parse::<u32>().ok());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&name);
        }
    }
}

fn remove(name: &str) {
    for pid in processes(name) {
        if pid != std::process::id() {
            let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

fn processes(name: &str) -> Vec<u32> {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()).collect()
}
