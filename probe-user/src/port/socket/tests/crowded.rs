//! A queue that is shorter than what is sent: a veth pair in a namespace of its own, behind a token bucket.

use std::process::Command;

use super::*;
use crate::lab::Namespace;

const COUNT: u32 = 200;

#[test]
fn a_queue_without_room_delays_packets_and_loses_none() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "a network namespace needs root");
        eprintln!("SKIPPED: a network namespace needs root");
        return;
    }
    let namespace = Namespace::unnamed().expect("root may make a namespace");
    namespace.enter(send_through_a_short_queue).expect("root may enter it");
}

fn send_through_a_short_queue() {
    // So that IPv6 sends nothing of its own. The file is missing where there is no IPv6.
    let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    run("ip link add ports-a type veth peer name ports-b");
    run("ip address add 198.18.5.1/24 dev ports-a");
    run("ip link set ports-a up");
    run("ip link set ports-b up");
    run("ip neighbour add 198.18.5.2 lladdr 02:00:00:00:00:02 dev ports-a nud permanent");
    // Room for three packets, one of which leaves every millisecond.
    run("tc qdisc add dev ports-a root tbf rate 8mbit burst 1500 limit 3000");

    let mut wire = wire(V4, 862, 986);
    wire.endpoints.addresses = Addresses::V4([198, 18, 5, 1], [198, 18, 5, 2]);
    let mut port = SocketPort::open("ports-a", &[wire], TaiClock).expect("the address is there");
    assert_eq!(packets_received("ports-b"), 0);
    send_all(&mut port, 0, 0..COUNT);
    let start = Instant::now();
    while packets_received("ports-b") < u64::from(COUNT) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(packets_received("ports-b"), u64::from(COUNT));
    assert!(port.tried_again_count() > 0, "the queue was never full: nothing has been tested");
    assert_eq!(port.drops().expect("counters").iter().map(|drop| drop.count).sum::<u64>(), 0);
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let output = Command::new(words.next().expect("a command has a name")).args(words).output();
    let output = output.expect("iproute2 is installed");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

fn packets_received(interface: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").expect("/proc is there");
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(interface)).expect("it has a line");
    line.split_whitespace().nth(2).expect("octets, packets").parse().expect("a number")
}
