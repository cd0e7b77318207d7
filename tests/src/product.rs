//! The program under test, started in a namespace, watched and cleared away.

use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::fixed_verdict::{FixedVerdict, Verdict};
use crate::namespace::Namespace;
use crate::network::{Network, SENDER_INTERFACE};
use crate::plain::PlainSender;

/// A running `leadline`, killed on drop.
#[derive(Debug)]
pub struct Leadline {
    child: Child,
    command: String,
    standard_output: NamedTempFile,
    standard_error: NamedTempFile,
}

/// How a run of `leadline` ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was run.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub standard_output: String,
    /// What it wrote to standard error.
    pub standard_error: String,
}

impl Leadline {
    /// Starts `leadline` with these arguments, words parted by blanks, in the namespace.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn start(namespace: &Namespace, arguments: &str) -> Self {
        let standard_output = NamedTempFile::new().expect("a temporary file");
        let standard_error = NamedTempFile::new().expect("a temporary file");
        let mut command = Command::new(crate::binary());
        command
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(standard_output.reopen().expect("a second descriptor"))
            .stderr(standard_error.reopen().expect("a second descriptor"));
        let child = namespace.spawn(&mut command);
        Self { child, command: format!("leadline {arguments}"), standard_output, standard_error }
    }

    /// Starts `leadline reflect` in the reflector's namespace and returns when it answers a probe that a plain sender sends.
    ///
    /// # Panics
    /// When it ends, or has not answered after 15 seconds.
    pub fn start_reflector(network: &Network, arguments: &str, target: SocketAddr) -> Self {
        let mut reflector = Self::start(&network.reflector, &format!("reflect {arguments}"));
        let deadline = Instant::now() + Duration::from_secs(15);
        // Without a wire between, replies from an XDP program need one here too; gone before anybody measures.
        let needed = network.wire.is_none() && xdp_program(&network.sender, SENDER_INTERFACE).is_none();
        let _program = needed.then(|| FixedVerdict::attach_in(&network.sender, SENDER_INTERFACE, Verdict::Pass));
        while PlainSender::probe(target).run(&network.sender).is_empty() {
            if reflector.has_ended() || Instant::now() > deadline {
                reflector.signal(Signal::SIGKILL);
                panic!("no answer from {target}: {}", reflector.finish(Duration::from_secs(5)));
            }
        }
        reflector
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// What it has written to standard error so far.
    pub fn standard_error_so_far(&self) -> String {
        contents(&self.standard_error)
    }

    /// Waits for its end and returns what it wrote.
    ///
    /// # Panics
    /// When it has not ended in that time; it is killed then.
    pub fn finish(mut self, within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let status = self.child.wait().expect("a child can be waited for");
                panic!("did not end within {within:?}: {}", self.outcome(status));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.outcome(status)
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop as Ctrl-C does, and returns what it wrote.
    ///
    /// # Panics
    /// When it has not ended after 10 seconds.
    pub fn interrupt(self) -> Outcome {
        self.signal(Signal::SIGINT);
        self.finish(Duration::from_secs(10))
    }

    fn outcome(&self, status: ExitStatus) -> Outcome {
        Outcome {
            command: self.command.clone(),
            status,
            standard_output: contents(&self.standard_output),
            standard_error: contents(&self.standard_error),
        }
    }
}

impl Drop for Leadline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// The one JSON document on standard output.
    ///
    /// # Panics
    /// When standard output is anything else.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.standard_output).unwrap_or_else(|error| panic!("no JSON document ({error}): {self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, standard_output, standard_error } = self;
        write!(
            out,
            "`{command}` ended with {status}\nstandard output:\n{standard_output}\nstandard error:\n{standard_error}"
        )
    }
}

/// The id of the XDP program on an interface in the namespace, if there is one.
///
/// # Panics
/// When the interface does not exist.
pub fn xdp_program(namespace: &Namespace, interface: &str) -> Option<u64> {
    let links: Value = serde_json::from_str(&namespace.run(&format!("ip -j -d link show dev {interface}")))
        .expect("ip -j prints JSON");
    links.pointer("/0/xdp/prog/id").and_then(Value::as_u64)
}

fn contents(file: &NamedTempFile) -> String {
    std::fs::read(file.path())
        .map_or_else(|error| format!("(unreadable: {error})"), |octets| String::from_utf8_lossy(&octets).into_owned())
}
