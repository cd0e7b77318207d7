//! The program on an interface and those who share it: attached, joined, left, killed. The truth is what `ip` shows and
//! what the kernel has in its maps, not what the code under test says of itself.

mod holder;
mod maps;
mod network;

use std::fs;
use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use nix::net::if_::if_nametoindex;
use probe_user::attach::{AttachError, AttachOptions, Attachment, Host, Mode, objects};
use probe_user::report::advice::{Advice as _, Failure};
use probe_wire::shared::{ABI_VERSION, Counter, PortEntry, Role};

use crate::holder::Holder;
use crate::maps::SharedMaps;
use crate::network::{INTERFACE, Network, eventually};

const REFLECT: PortEntry =
    PortEntry { role: Role::REFLECT.0, slot: 0, flags: 0, reserved: 0, error_estimate: 1, reserved_too: 0 };
const PORT: u16 = 862;

fn open(interface: &str) -> Result<Attachment, AttachError> {
    Attachment::open(interface, &Host::default(), &AttachOptions::default())
}

#[test]
fn the_first_attaches_by_link_in_the_driver_and_leaves_nothing() {
    let Some(network) = Network::new("first") else { return };
    network.enter();
    let attachment = open(INTERFACE).unwrap();
    assert!(!attachment.joined());
    assert_eq!(attachment.mode(), Mode::Native);
    assert!(attachment.is_attached().unwrap());
    let seen = network.program().expect("ip shows a program");
    assert_eq!(seen.id, attachment.program_id());
    assert!(seen.native);
    // A netlink attachment would have no link at all.
    let links: Vec<String> = fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .filter_map(|file| fs::read_to_string(file.unwrap().path()).ok())
        .filter(|text| text.contains("link_type:\txdp") && text.contains(&format!("prog_id:\t{}\n", seen.id)))
        .collect();
    assert_eq!(links.len(), 1, "{links:?}");

    drop(attachment);
    eventually("the program is gone", || network.program().is_none());
}

#[test]
fn the_program_outlives_whoever_attached_it_and_goes_with_the_last() {
    let Some(network) = Network::new("outlive") else { return };
    let first = Holder::start(&network, &[]);
    assert!(!first.joined);
    let second = Holder::start(&network, &[]);
    assert!(second.joined);
    assert_eq!(second.program, first.program);
    assert_ne!(second.slot, first.slot);

    first.kill();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(network.program().map(|program| program.id), Some(second.program));

    second.leave();
    eventually("the program is gone", || network.program().is_none());
}

#[test]
fn nothing_stays_after_the_only_holder_is_killed() {
    let Some(network) = Network::new("killed") else { return };
    let holder = Holder::start(&network, &["862"]);
    let program = holder.program;
    assert_eq!(network.program().map(|program| program.id), Some(program));
    holder.kill();
    eventually("the program is gone", || network.program().is_none());
    eventually("the kernel has unloaded it", || !network::is_loaded(program));
    // And the next has everything to itself.
    let next = Holder::start(&network, &["862"]);
    assert!(!next.joined);
    next.leave();
}

#[test]
fn the_living_clean_up_after_the_dead() {
    let Some(network) = Network::new("reap") else { return };
    network.enter();
    let dead = Holder::start(&network, &["862", "192.0.2.9"]);
    let attachment = open(INTERFACE).unwrap();
    assert!(attachment.joined());
    let own = attachment.register_port(863, &REFLECT).unwrap();
    own.allow(&["198.51.100.0/24".parse().unwrap()]).unwrap();
    let maps = SharedMaps::of(attachment.program_id());
    let before = (maps.port(PORT), maps.addresses(), maps.allowed(), maps.slots_taken());
    assert_eq!(before.0[..2], [Role::REFLECT.0, u8::try_from(dead.slot).unwrap()]);
    assert_eq!(before.1.len(), 1, "the address of the other: {:?}", before.1);
    assert_eq!(before.2.len(), 2, "a prefix each: {:?}", before.2);
    assert_eq!(before.3, [dead.slot, attachment.slot()]);

    assert_eq!(attachment.reap().unwrap(), [0; 0], "nobody is dead");
    assert_eq!(before, (maps.port(PORT), maps.addresses(), maps.allowed(), maps.slots_taken()));

    let process = dead.kill();
    eventually("the dead is found", || attachment.reap().unwrap() == [process]);
    assert_eq!(maps.port(PORT), [0; 8], "the port has no role");
    assert_eq!(maps.addresses(), [] as [[u8; 16]; 0]);
    assert_eq!(maps.allowed().len(), 1);
    assert_eq!(maps.slots_taken(), [attachment.slot()]);
    assert_eq!(maps.port(own.port())[0], Role::REFLECT.0, "ours is as it was");
    assert_eq!(attachment.reap().unwrap(), [0; 0], "once is enough");
}

#[test]
fn who_takes_the_slot_of_the_dead_finds_it_clean() {
    let Some(network) = Network::new("heir") else { return };
    network.enter();
    let witness = open(INTERFACE).unwrap();
    let maps = SharedMaps::of(witness.program_id());
    let dead = Holder::start(&network, &["862", "192.0.2.9"]);
    maps.count(Counter::REFLECTED.index(dead.slot), 7);
    let slot = dead.slot;
    dead.kill();

    let heir = open(INTERFACE).unwrap();
    assert_eq!(heir.slot(), slot);
    assert_eq!(maps.port(PORT), [0; 8]);
    assert_eq!(maps.addresses(), [] as [[u8; 16]; 0]);
    assert!(heir.counters().unwrap().iter().all(|(_, value)| *value == 0));
    let guard = heir.register_port(PORT, &REFLECT).unwrap();
    assert_eq!(witness.reap().unwrap(), [0; 0]);
    assert_eq!(maps.port(PORT)[0], Role::REFLECT.0);
    drop(guard);
    assert_eq!(maps.port(PORT), [0; 8]);
}

#[test]
fn counters_are_summed_over_processors_for_the_slot_and_for_the_interface() {
    let Some(network) = Network::new("count") else { return };
    network.enter();
    let attachment = open(INTERFACE).unwrap();
    let maps = SharedMaps::of(attachment.program_id());
    let processors = u64::try_from(aya::util::nr_cpus().unwrap()).unwrap();
    maps.count(Counter::REFLECTED.index(attachment.slot()), 5);
    maps.count(Counter::FRAGMENT.index(0), 3);
    let of = |counters: Vec<(Counter, u64)>, counter| counters.into_iter().find(|(one, _)| *one == counter).unwrap().1;
    assert_eq!(of(attachment.counters().unwrap(), Counter::REFLECTED), 5 * processors);
    assert_eq!(of(attachment.counters().unwrap(), Counter::FRAGMENT), 0);
    assert_eq!(of(attachment.interface_counters().unwrap(), Counter::FRAGMENT), 3 * processors);
}

#[test]
fn those_who_start_at_once_share_one_program() {
    let Some(network) = Network::new("race") else { return };
    let starting: Vec<_> = (0..6).map(|_| Holder::spawn(&network, &[])).collect();
    let holders: Vec<Holder> = starting.into_iter().map(holder::Starting::ready).collect();
    assert_eq!(holders.iter().filter(|holder| !holder.joined).count(), 1, "one attached, the others joined");
    assert!(holders.iter().all(|holder| holder.program == holders[0].program));
    let mut slots: Vec<u32> = holders.iter().map(|holder| holder.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, [1, 2, 3, 4, 5, 6]);
    for holder in holders {
        holder.kill();
    }
    eventually("the program is gone", || network.program().is_none());
}

#[test]
fn those_who_come_while_others_go_find_their_way() {
    let Some(network) = Network::new("churn") else { return };
    for _ in 0..10 {
        let old = Holder::start(&network, &[]);
        let starting = Holder::spawn(&network, &[]);
        old.kill();
        let new = starting.ready();
        assert_eq!(network.program().map(|program| program.id), Some(new.program));
        new.kill();
    }
}

#[test]
fn interfaces_of_the_same_index_in_two_namespaces_are_two() {
    let Some(network) = Network::new("two") else { return };
    let Some(other) = Network::new("twin") else { return };
    network.enter();
    let one = open(INTERFACE).unwrap();
    let index = if_nametoindex(INTERFACE).unwrap();
    other.enter();
    assert_eq!(if_nametoindex(INTERFACE).unwrap(), index, "the test needs it so");
    let two = open(INTERFACE).unwrap();
    assert!(!two.joined());
    assert_ne!(two.program_id(), one.program_id());
    assert_eq!((one.slot(), two.slot()), (1, 1));
    assert!(matches!(one.register_port(PORT, &REFLECT), Err(AttachError::OtherNamespace)));
    assert!(matches!(one.reap(), Err(AttachError::OtherNamespace)));
}

#[test]
fn a_program_of_someone_else_is_named_and_left_alone() {
    let Some(network) = Network::new("foreign") else { return };
    network.enter();
    let mut object = Ebpf::load(objects::LAB_XDP).unwrap();
    let program: &mut Xdp = object.program_mut("pass").unwrap().try_into().unwrap();
    program.load().unwrap();
    program.attach(INTERFACE, XdpMode::Driver).unwrap();
    let id = program.info().unwrap().id();

    let error = open(INTERFACE).unwrap_err();
    assert!(matches!(error, AttachError::Foreign { .. }), "{error}");
    let message = error.to_string();
    for part in
        [INTERFACE, "\"pass\"", &format!("id {id}"), "by link", "user 0", &format!("process {}", std::process::id())]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(network.program().map(|program| program.id), Some(id));
}

#[test]
fn a_program_attached_through_netlink_is_named_and_left_alone() {
    let Some(network) = Network::new("netlink") else { return };
    network.enter();
    network::attach_through_netlink("pass");
    let id = network.program().unwrap().id;

    let message = Failure::from(open(INTERFACE).unwrap_err()).to_string();
    for part in ["\"pass\"", &format!("id {id}"), "through netlink", "no process", "ip link set dev probe0 xdp off"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(network.program().map(|program| program.id), Some(id));
}

#[test]
fn another_version_on_the_interface_is_refused_by_both_numbers() {
    let Some(network) = Network::new("version") else { return };
    network.enter();
    let attachment = open(INTERFACE).unwrap();
    SharedMaps::of(attachment.program_id()).set_version(ABI_VERSION + 98);
    let error = open(INTERFACE).unwrap_err();
    assert!(
        matches!(error, AttachError::OtherVersion { ours, theirs, .. } if ours == ABI_VERSION && theirs == ABI_VERSION + 98),
        "{error}"
    );
    let message = error.to_string();
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
}

#[test]
fn a_port_is_one_holders_on_an_interface() {
    let Some(network) = Network::new("port") else { return };
    network.enter();
    let attachment = open(INTERFACE).unwrap();
    let other = UdpSocket::bind("127.0.0.1:862").unwrap();
    let message = attachment.register_port(PORT, &REFLECT).unwrap_err().to_string();
    assert!(message.contains("862 is in use") && message.contains(&std::process::id().to_string()), "{message}");
    let maps = SharedMaps::of(attachment.program_id());
    assert_eq!(maps.port(PORT), [0; 8], "no role without the port");
    drop(other);

    let holder = Holder::start(&network, &["862"]);
    let error = attachment.register_port(PORT, &REFLECT).unwrap_err();
    assert!(
        matches!(&error, AttachError::PortInUse { port: PORT, owners } if owners[0].number == holder.process()),
        "{error}"
    );
    assert_eq!(u32::from(maps.port(PORT)[1]), holder.slot, "the role is the holder's still");
    holder.leave();
    assert_eq!(maps.port(PORT), [0; 8], "who leaves takes the role along");
    let _guard = attachment.register_port(PORT, &REFLECT).unwrap();

    let free = attachment.register_free_port(&PortEntry { role: Role::CAPTURE.0, ..REFLECT }).unwrap();
    assert_ne!(free.port(), 0);
    assert_eq!(maps.port(free.port())[0], Role::CAPTURE.0);
}

#[test]
fn the_same_port_serves_two_interfaces() {
    let Some(network) = Network::new("both") else { return };
    network.enter();
    network.add_pair("extra0", "extra1");
    let one = open(INTERFACE).unwrap();
    let two = open("extra0").unwrap();
    let _one = one.register_port(PORT, &REFLECT).unwrap();
    let _two = two.register_port(PORT, &REFLECT).unwrap();
}

#[test]
fn an_extra_address_outlives_another_holder_of_the_same() {
    let Some(network) = Network::new("address") else { return };
    network.enter();
    let host = Host { addresses: vec!["198.18.0.1".parse().unwrap()], ..Host::default() };
    let first = Attachment::open(INTERFACE, &host, &AttachOptions::default()).unwrap();
    let second = Attachment::open(INTERFACE, &host, &AttachOptions::default()).unwrap();
    let maps = SharedMaps::of(first.program_id());
    first.add_address("192.0.2.1".parse().unwrap()).unwrap();
    second.add_address("192.0.2.1".parse().unwrap()).unwrap();
    assert_eq!(maps.addresses().len(), 2);
    drop(first);
    second.reap().unwrap();
    assert_eq!(maps.addresses().len(), 2, "the second still wants it");

    second.refresh(&Host { addresses: vec!["fd00::1".parse().unwrap()], ..Host::default() }).unwrap();
    let mut addresses = maps.addresses();
    addresses.sort_unstable();
    assert_eq!(addresses[0][10..], [0xff, 0xff, 192, 0, 2, 1]);
    assert_eq!(addresses[1][..2], [0xfd, 0]);
    assert_eq!(addresses.len(), 2, "the interface's old address is gone");
}

#[test]
fn generic_mode_is_for_those_who_ask() {
    let Some(network) = Network::new("generic") else { return };
    network.enter();
    // The loopback interface has no native XDP.
    let error = open("lo").unwrap_err();
    assert!(matches!(error, AttachError::NoNativeXdp { .. }), "{error}");
    assert!(error.help().is_some_and(|help| help.contains("--via socket")), "{error}");
    let generic = Attachment::open("lo", &Host::default(), &AttachOptions { mode: Mode::Generic }).unwrap();
    assert_eq!(generic.mode(), Mode::Generic);
    let error = open("lo").unwrap_err();
    assert!(matches!(error, AttachError::OtherMode { asked: Mode::Native, present: Mode::Generic, .. }), "{error}");
}

#[test]
fn a_deleted_interface_is_noticed() {
    let Some(network) = Network::new("deleted") else { return };
    network.enter();
    network.add_pair("extra0", "extra1");
    let attachment = open("extra0").unwrap();
    assert!(attachment.is_attached().unwrap());
    network.ip(&["link", "delete", "extra0"]);
    assert!(!attachment.is_attached().unwrap());
}

#[test]
fn who_may_not_attach_learns_which_capabilities_to_get() {
    let Some(network) = Network::new("capability") else { return };
    let message = Holder::refused(&network, "-all");
    for capability in ["CAP_BPF", "CAP_NET_ADMIN"] {
        assert!(message.contains(capability), "{message}");
    }
    let message = Holder::refused(&network, "-all,+net_admin");
    assert!(message.contains("CAP_BPF") && !message.contains("CAP_NET_ADMIN"), "{message}");
    // What the advice names is enough to attach, and to join takes one more.
    let attached = Holder::start_with_capabilities(&network, "-all,+bpf,+perfmon,+net_admin", &["5862"]);
    let message = Holder::refused(&network, "-all,+bpf,+perfmon,+net_admin");
    assert!(message.contains("CAP_SYS_ADMIN"), "{message}");
    attached.leave();
}

#[test]
fn the_programs_speak_to_one_reader_at_a_time() {
    let Some(network) = Network::new("log") else { return };
    network.enter();
    let attached = Holder::start(&network, &["862"]);
    let attachment = open(INTERFACE).unwrap();
    let (sender, lines) = mpsc::channel();
    let guard = attachment.start_logging(1, move |line| sender.send(line.to_owned()).unwrap()).unwrap();
    let maps = SharedMaps::of(attachment.program_id());
    assert_eq!(maps.log_one_of(), 1);
    assert!(matches!(attachment.start_logging(1, |_| ()), Err(AttachError::LogTaken)));

    network.send_from_peer(PORT);
    let line = lines.recv_timeout(Duration::from_secs(5)).expect("a line");
    assert!(line.starts_with("ebpf debug: ") && line.contains("862"), "{line}");

    drop(guard);
    assert_eq!(maps.log_one_of(), 0);
    drop(attachment.start_logging(1, |_| ()).unwrap());
    attached.leave();
}
