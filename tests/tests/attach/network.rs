//! A namespace with an interface of ours, and its peer in another. Both are gone when the value is dropped.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::programs::{Xdp, loaded_programs};
use libbpf_rs::XdpFlags;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;
use probe_user::attach::objects;

pub(crate) const INTERFACE: &str = "probe0";
const PEER_INTERFACE: &str = "probe1";

/// The names go on with the number of the process, so that runs side by side do not meet.
const PREFIX: &str = "attach-";
static CLEARED: Once = Once::new();

pub(crate) struct Network {
    name: String,
    peer: String,
}

/// An XDP program as `ip` shows it.
pub(crate) struct Shown {
    pub(crate) id: u32,
    pub(crate) native: bool,
}

impl Network {
    /// Makes the namespaces. `None`, and loudly so, when this process may not.
    pub(crate) fn new(name: &str) -> Option<Self> {
        if !Uid::effective().is_root() {
            assert!(std::env::var_os("CI").is_none(), "this test needs root, and in CI none is skipped");
            eprintln!("SKIPPED: {name}: needs root");
            return None;
        }
        CLEARED.call_once(clear_leftovers);
        let own = format!("{PREFIX}{}-{name}", std::process::id());
        let network = Self { peer: format!("{own}-peer"), name: own };
        for namespace in [&network.name, &network.peer] {
            run("ip", &["netns", "add", namespace]);
            run("ip", &["-n", namespace, "link", "set", "lo", "up"]);
        }
        let peer = ["peer", "name", PEER_INTERFACE, "netns", &network.peer];
        network.ip(&[&["link", "add", INTERFACE, "type", "veth"], peer.as_slice()].concat());
        network.ip(&["address", "add", "198.18.77.1/24", "dev", INTERFACE]);
        network.ip(&["link", "set", INTERFACE, "up"]);
        run("ip", &["-n", &network.peer, "address", "add", "198.18.77.2/24", "dev", PEER_INTERFACE]);
        run("ip", &["-n", &network.peer, "link", "set", PEER_INTERFACE, "up"]);
        Some(network)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread into the namespace.
    pub(crate) fn enter(&self) {
        enter(&self.name);
    }

    /// Runs `ip` in the namespace.
    pub(crate) fn ip(&self, arguments: &[&str]) -> String {
        run("ip", &[&["-n", &self.name], arguments].concat())
    }

    /// Adds another pair, both ends within the namespace.
    pub(crate) fn add_pair(&self, one: &str, other: &str) {
        self.ip(&["link", "add", one, "type", "veth", "peer", "name", other]);
        self.ip(&["link", "set", one, "up"]);
        self.ip(&["link", "set", other, "up"]);
    }

    /// The XDP program on the interface.
    pub(crate) fn program(&self) -> Option<Shown> {
        let shown = self.ip(&["-details", "-json", "link", "show", "dev", INTERFACE]);
        let links: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let xdp = links[0].get("xdp")?;
        let id = xdp["prog"]["id"].as_u64().expect("a program has a number");
        // linux/if_link.h: XDP_ATTACHED_DRV is 1.
        Some(Shown { id: u32::try_from(id).unwrap(), native: xdp["mode"] == 1 })
    }

    /// Sends a UDP packet from the peer's namespace to the interface.
    pub(crate) fn send_from_peer(&self, port: u16) {
        let peer = self.peer.clone();
        thread::spawn(move || {
            enter(&peer);
            let socket = UdpSocket::bind("198.18.77.2:0").unwrap();
            socket.send_to(&[0; 44], ("198.18.77.1", port)).unwrap();
        })
        .join()
        .unwrap();
    }

    fn delete(&self) {
        for namespace in [&self.name, &self.peer] {
            // A drop must not panic.
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.delete();
    }
}

/// Attaches one of the lab's programs to the interface in a way that nobody needs to hold.
pub(crate) fn attach_through_netlink(name: &str) {
    let mut object = Ebpf::load(objects::LAB_XDP).unwrap();
    let program: &mut Xdp = object.program_mut(name).unwrap().try_into().unwrap();
    program.load().unwrap();
    let index = i32::try_from(if_nametoindex(INTERFACE).unwrap()).unwrap();
    libbpf_rs::Xdp::new(program.fd().unwrap().as_fd()).attach(index, XdpFlags::DRV_MODE).unwrap();
}

/// True while the kernel has a program of this number.
pub(crate) fn is_loaded(program: u32) -> bool {
    loaded_programs().filter_map(Result::ok).any(|loaded| loaded.id() == program)
}

/// Waits for what the kernel does a moment later, at most a second.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a second: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Deletes the namespaces of runs that were killed.
fn clear_leftovers() {
    let Ok(namespaces) = fs::read_dir("/run/netns") else { return };
    for name in namespaces.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            run("ip", &["netns", "delete", &name]);
        }
    }
}

fn enter(namespace: &str) {
    let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
    setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => panic!("{program} is not installed"),
        Err(error) => panic!("{program}: {error}"),
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
