//! A process of its own that holds the interface's program: this test binary, started again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::IpAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::network::{INTERFACE, Network};
use crate::{REFLECT, open};

/// Set for the process that shall hold the program: what to register, apart by commas.
const WISHES: &str = "LEADLINE_TEST_HOLDER";
const READY: &str = "holder-ready";
const FAILED: &str = "holder-failed";

/// A process on its way.
pub(crate) struct Starting {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// A process that holds the program.
pub(crate) struct Holder {
    child: Child,
    pub(crate) program: u32,
    pub(crate) slot: u32,
    pub(crate) joined: bool,
}

impl Holder {
    /// Starts a process that attaches or joins, and registers ports and addresses.
    pub(crate) fn start(network: &Network, wishes: &[&str]) -> Self {
        Self::spawn(network, wishes).ready()
    }

    /// The same, without waiting for it.
    pub(crate) fn spawn(network: &Network, wishes: &[&str]) -> Starting {
        Starting::new(network, &[], wishes)
    }

    /// The same, with these capabilities alone, as `setpriv` writes them.
    pub(crate) fn start_with_capabilities(network: &Network, capabilities: &str, wishes: &[&str]) -> Self {
        Starting::new(network, &Self::setpriv(capabilities), wishes).ready()
    }

    /// What a process with these capabilities says when it cannot attach or join.
    pub(crate) fn refused(network: &Network, capabilities: &str) -> String {
        let mut starting = Starting::new(network, &Self::setpriv(capabilities), &[]);
        let line = starting.line();
        starting.child.wait().unwrap();
        line.strip_prefix(FAILED).unwrap_or_else(|| panic!("it was not refused: {line}")).trim().to_owned()
    }

    fn setpriv(capabilities: &str) -> [String; 2] {
        ["setpriv".to_owned(), format!("--bounding-set={capabilities}")]
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning. Returns its number.
    pub(crate) fn kill(mut self) -> u32 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child.id()
    }

    /// Has it let go and end.
    pub(crate) fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It has ended unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Starting {
    fn new(network: &Network, prefix: &[String], wishes: &[&str]) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", network.name()])
            .args(prefix)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "holder::hold", "--ignored", "--nocapture", "--test-threads=1"])
            .env(WISHES, wishes.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits until it holds the program.
    pub(crate) fn ready(mut self) -> Holder {
        let line = self.line();
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some(READY), "{line}");
        let mut number = || words.next().unwrap().parse::<u32>().unwrap();
        let (program, slot, joined) = (number(), number(), number() == 1);
        // Nobody reads on: what the test harness says at the end must not stop the process.
        std::thread::spawn(move || std::io::copy(&mut self.output, &mut std::io::sink()));
        Holder { child: self.child, program, slot, joined }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended without a word");
            if let Some(start) = line.find(READY).or_else(|| line.find(FAILED)) {
                return line[start..].trim().to_owned();
            }
        }
    }
}

/// What the process does. It ends when its input does.
#[test]
#[ignore = "run by the other tests as a process of its own"]
fn hold() {
    let Ok(wishes) = std::env::var(WISHES) else { return };
    let say = |line: &str| writeln!(std::io::stdout(), "{line}").unwrap();
    let attachment = match open(INTERFACE) {
        Ok(attachment) => attachment,
        Err(error) => return say(&format!("{FAILED} {error}")),
    };
    let mut guards = Vec::new();
    for wish in wishes.split(',').filter(|wish| !wish.is_empty()) {
        if let Ok(port) = wish.parse() {
            let guard = attachment.register_port(port, &REFLECT).unwrap();
            guard.allow(&["203.0.113.0/24".parse().unwrap()]).unwrap();
            guards.push(guard);
        } else {
            attachment.add_address(wish.parse::<IpAddr>().unwrap()).unwrap();
        }
    }
    let (program, slot, joined) = (attachment.program_id(), attachment.slot(), u8::from(attachment.joined()));
    say(&format!("{READY} {program} {slot} {joined}"));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
