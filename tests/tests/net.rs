//! What `net` says about interfaces, paths and counters is held against what `ip`, `ethtool` and `tc` say.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use leadline_tests::require;
use probe_user::{
    lab::{Lab, LabOptions, Layout, Namespace, REFLECTOR_MAC, SENDER_MAC},
    net::{
        Interface, NetError, Path,
        offload::{self, Offload},
        path, statistics,
    },
    report::advice::Advice as _,
};
use serde_json::Value;

#[test]
fn an_interface_is_what_ip_says_it_is() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        let found = Interface::find("probe0").expect("it is there");
        let told = &json(&["ip", "-j", "-d", "address", "show", "probe0"])[0];
        assert_eq!(Value::from(found.index), told["ifindex"]);
        assert_eq!(Value::from(found.mtu), told["mtu"]);
        assert_eq!(Value::from(text(found.mac)), told["address"]);
        assert_eq!((found.up, found.carrier, found.ethernet), (true, true, true));
        assert_eq!(found.driver, "veth");
        assert_eq!((found.receive_queues, found.transmit_queues), (2, 2));
        let speed = output(&["ethtool", "probe0"]);
        assert_eq!(found.link_speed_bps, Some(10_000_000_000), "{speed}");
        assert!(speed.contains("Speed: 10000Mb/s"), "{speed}");
        let told: Vec<(&str, u64)> = told["addr_info"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|info| (info["local"].as_str().expect("text"), info["prefixlen"].as_u64().expect("a number")))
            .collect();
        let found: Vec<(String, u64)> =
            found.addresses.iter().map(|own| (own.address.to_string(), own.prefix_length.into())).collect();
        assert_eq!(found.len(), 3, "IPv4, IPv6 and link-local: {found:?}");
        for (address, length) in told {
            assert!(found.contains(&(address.to_owned(), length)), "{address} in {found:?}");
        }
    });
}

#[test]
fn an_unknown_interface_suggests_and_lists() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        let error = Interface::find("prob0").expect_err("a slip").help().expect("there is something to do");
        assert!(error.contains("did you mean `probe0`?") && error.contains("lo, probe0"), "{error}");
        for name in ["", "a-name-that-is-far-too-long-for-any-interface"] {
            assert!(matches!(Interface::find(name), Err(NetError::UnknownInterface { .. })), "{name:?}");
        }
    });
}

#[test]
fn down_and_without_carrier_are_told_apart() {
    let Some(link) = Link::new() else {
        return;
    };
    let check = || Interface::find("probe0").expect("it is there").require_up();
    link.at_sender(|| assert!(check().is_ok()));
    link.at_reflector(|| output(&["ip", "link", "set", "probe1", "down"]));
    link.at_sender(|| assert!(matches!(check(), Err(NetError::NoCarrier { .. }))));
    link.at_sender(|| output(&["ip", "link", "set", "probe0", "down"]));
    link.at_sender(|| assert!(matches!(check(), Err(NetError::InterfaceDown { .. }))));
}

#[test]
fn a_neighbour_on_the_link_is_reached_directly() {
    let Some(link) = Link::new() else {
        return;
    };
    assert_eq!(text(REFLECTOR_MAC), link.reflectors_mac(), "the lab's own constant");
    let far_link_local = link.at_reflector(|| {
        let interface = Interface::find("probe1").expect("it is there");
        let is_link_local = |own: &IpAddr| matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
        let mut own = interface.addresses.into_iter().map(|own| own.address);
        own.find(is_link_local).expect("every IPv6 interface has one")
    });
    link.at_sender(|| {
        for (target, source) in [("198.18.0.2", "198.18.0.1"), ("fd00:6c64::2", "fd00:6c64::1")] {
            let target = address(target);
            let expected = Path {
                source: address(source),
                source_mac: SENDER_MAC,
                next_hop: target,
                next_hop_mac: REFLECTOR_MAC,
                mtu: 1500,
            };
            assert_eq!(resolve(target, None).expect("reachable"), expected);
            assert_eq!(resolve(target, Some(address(source))).expect("known by now"), expected);
        }
        let path = resolve(far_link_local, None).expect("reachable");
        assert_eq!(path.next_hop_mac, REFLECTOR_MAC);
        assert!(path.source.to_string().starts_with("fe80::"), "{path:?}");
    });
}

#[test]
fn a_target_behind_a_gateway_goes_to_the_gateway() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        output(&["ip", "route", "add", "203.0.113.0/24", "via", "198.18.0.2", "mtu", "1400"]);
        output(&["ip", "-6", "route", "add", "2001:db8::/32", "via", "fd00:6c64::2"]);
        output(&["ip", "route", "add", "192.0.2.0/24", "via", "inet6", "fd00:6c64::2"]);
        for (target, gateway, mtu) in [
            ("203.0.113.9", "198.18.0.2", 1400),
            ("2001:db8::9", "fd00:6c64::2", 1500),
            ("192.0.2.9", "fd00:6c64::2", 1500),
        ] {
            let path = resolve(address(target), None).expect("reachable");
            assert_eq!((path.next_hop, path.mtu), (address(gateway), mtu), "{target}");
            assert_eq!(path.next_hop_mac, REFLECTOR_MAC, "{target}");
            assert_eq!(path.source.is_ipv4(), address(target).is_ipv4(), "{target}");
        }
    });
}

#[test]
fn without_a_route_over_this_interface_there_is_no_path() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        // A second interface has the only route: it is not the one asked for.
        output(&["ip", "link", "add", "netlab-x", "type", "veth", "peer", "name", "netlab-y"]);
        output(&["ip", "link", "set", "netlab-y", "up"]);
        output(&["ip", "link", "set", "netlab-x", "up"]);
        output(&["ip", "route", "add", "203.0.113.0/24", "dev", "netlab-x"]);
        output(&["ip", "-6", "route", "add", "2001:db8::/32", "dev", "netlab-x"]);
        output(&["ip", "route", "add", "blackhole", "192.0.2.0/24"]);
        output(&["ip", "route", "add", "prohibit", "198.51.100.0/24"]);
        for target in ["10.9.8.7", "2001:4860::1", "203.0.113.9", "2001:db8::9", "192.0.2.9", "198.51.100.9"] {
            let outcome = resolve(address(target), None);
            assert!(matches!(outcome, Err(NetError::NoRoute { .. })), "{target}: {outcome:?}");
        }
        let with_source = resolve(address("2001:db8::9"), Some(address("fd00:6c64::1")));
        assert!(matches!(with_source, Err(NetError::NoRoute { .. })), "{with_source:?}");
    });
}

#[test]
fn silence_is_reported_in_time_and_in_the_right_words() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        output(&["ip", "route", "add", "203.0.113.0/24", "via", "198.18.0.98"]);
        for (target, words) in [
            ("198.18.0.99", "no answer to ARP from 198.18.0.99 on `probe0`"),
            ("fd00:6c64::99", "no answer to neighbor discovery from fd00:6c64::99 on `probe0`"),
            ("203.0.113.9", "no answer to ARP from 198.18.0.98 on `probe0`, the gateway to 203.0.113.9"),
        ] {
            let begin = Instant::now();
            let error = resolve(address(target), None).expect_err("nobody is there").to_string();
            assert!(error.starts_with(words), "{error}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        }
    });
}

#[test]
fn a_neighbour_that_failed_once_is_asked_again() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_reflector(|| output(&["ip", "address", "delete", "198.18.0.2/24", "dev", "probe1"]));
    link.at_sender(|| assert!(resolve(address("198.18.0.2"), None).is_err()));
    link.at_reflector(|| output(&["ip", "address", "add", "198.18.0.2/24", "dev", "probe1"]));
    link.at_sender(|| assert!(resolve(address("198.18.0.2"), None).is_ok()));
}

#[test]
fn a_stale_address_is_verified() {
    let Some(link) = Link::new() else {
        return;
    };
    let target = address("198.18.0.2");
    let make_stale = || {
        let lladdr = text(REFLECTOR_MAC);
        output(&["ip", "neigh", "replace", "198.18.0.2", "lladdr", &lladdr, "dev", "probe0", "nud", "stale"])
    };
    link.at_sender(|| {
        make_stale();
        assert_eq!(resolve(target, None).expect("it is right").next_hop_mac, REFLECTOR_MAC);
        let entry = output(&["ip", "neigh", "show", "198.18.0.2"]);
        assert!(entry.contains("REACHABLE"), "{entry}");
    });
    // The far end gets another card.
    let other = [0x02, 0x6c, 0x64, 0, 0, 0x77];
    link.at_reflector(|| output(&["ip", "link", "set", "probe1", "address", &text(other)]));
    link.at_sender(|| {
        make_stale();
        assert_eq!(resolve(target, None).expect("it still answers").next_hop_mac, other);
    });
}

#[test]
fn what_can_never_be_a_path_is_refused() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        for own in ["198.18.0.1", "fd00:6c64::1", "127.0.0.1"] {
            let outcome = resolve(address(own), None);
            assert!(matches!(outcome, Err(NetError::OwnAddress { .. })), "{own}: {outcome:?}");
        }
        let broadcast = resolve(address("198.18.0.255"), None);
        assert!(matches!(broadcast, Err(NetError::NotUnicast { .. })), "{broadcast:?}");
        let foreign = resolve(address("198.18.0.2"), Some(address("198.18.0.7")))
            .expect_err("not ours")
            .help()
            .expect("there is");
        assert!(foreign.contains("interface `probe0` has 198.18.0.1, fd00:6c64::1"), "{foreign}");
        let loopback = Interface::find("lo").expect("always there");
        assert!(matches!(path::resolve(address("198.18.0.2"), &loopback, None), Err(NetError::NotEthernet { .. })));
    });
}

#[test]
fn counters_are_those_of_ip_and_ethtool() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        let index = Interface::find("probe0").expect("it is there").index;
        let before = statistics::interface_counters(index).expect("counters");
        output(&["ping", "-c", "20", "-i", "0.002", "198.18.0.2"]);
        let after = statistics::interface_counters(index).expect("counters");
        assert!(after.rx_packets - before.rx_packets >= 20 && after.tx_packets - before.tx_packets >= 20);

        output(&["ip", "link", "set", "probe0", "down"]); // nothing moves from here on
        let found = statistics::interface_counters(index).expect("counters");
        let told = &json(&["ip", "-j", "-s", "link", "show", "probe0"])[0]["stats64"];
        for (name, side, count) in [
            ("packets", "rx", found.rx_packets),
            ("packets", "tx", found.tx_packets),
            ("bytes", "rx", found.rx_bytes),
            ("bytes", "tx", found.tx_bytes),
            ("dropped", "rx", found.rx_dropped),
            ("dropped", "tx", found.tx_dropped),
            ("errors", "rx", found.rx_errors),
            ("errors", "tx", found.tx_errors),
        ] {
            assert_eq!(told[side][name], Value::from(count), "{side} {name}");
        }

        let told: BTreeMap<String, u64> = output(&["ethtool", "-S", "probe0"])
            .lines()
            .filter_map(|line| line.trim().split_once(": "))
            .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
            .collect();
        let found = statistics::driver_counters("probe0").expect("counters");
        assert!(found.contains_key("peer_ifindex") && found.contains_key("rx_queue_1_xdp_tx_errors"), "{found:?}");
        assert_eq!(found, told);
        assert_eq!(statistics::driver_counters("lo").expect("none"), BTreeMap::new());
        assert!(statistics::driver_counters("nowhere").is_err());
        assert!(statistics::interface_counters(9999).is_err());
    });
}

#[test]
fn offloads_are_set_and_the_old_value_is_given_back() {
    let Some(link) = Link::new() else {
        return;
    };
    link.at_sender(|| {
        let told = |line: &str| output(&["ethtool", "-k", "probe0"]).contains(line);
        let all_off = offload::read("probe0").expect("read");
        assert!(!all_off.transmit_checksum && !all_off.generic_receive && !all_off.large_receive);
        assert_eq!(all_off.receive_vlan, told("rx-vlan-offload: on"));

        for (switch, on, off) in [
            (Offload::TransmitChecksum, "tx-checksum-ip-generic: on", "tx-checksum-ip-generic: off"),
            (Offload::GenericReceive, "generic-receive-offload: on", "generic-receive-offload: off"),
            (Offload::ReceiveVlan, "rx-vlan-offload: on", "rx-vlan-offload: off"),
        ] {
            offload::set("probe0", switch, false).expect("off");
            assert!(!offload::set("probe0", switch, true).expect("on"), "it was off");
            assert!(told(on), "{on}");
            assert!(offload::get("probe0", switch).expect("read"));
            assert!(offload::set("probe0", switch, true).expect("on again"), "it was on");
            assert!(offload::set("probe0", switch, false).expect("off"), "it was on");
            assert!(told(off), "{off}");
        }
        let refused = offload::set("probe0", Offload::LargeReceive, true).expect_err("veth has none");
        assert_eq!(refused.to_string(), "the driver of `probe0` does not let large receive offload be turned on");
    });
}

/// A lab without a reflector: two namespaces and a link, gone at the end of the test.
struct Link {
    lab: Option<Lab>,
}

impl Link {
    /// `None` when the test cannot run.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !require::network_namespaces() {
            return None;
        }
        let name = format!("netlab-n{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let options = LabOptions { layout: Layout::named(&name), queues: 2, ..LabOptions::without_reflector() };
        Some(Self { lab: Some(Lab::up(options).expect("up")) })
    }

    fn at_sender<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.at(Lab::sender, work)
    }

    fn at_reflector<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.at(Lab::reflector, work)
    }

    fn at<R: Send>(&self, end: fn(&Lab) -> &Namespace, work: impl FnOnce() -> R + Send) -> R {
        end(self.lab.as_ref().expect("until it is dropped")).enter(work).expect("enter")
    }

    fn reflectors_mac(&self) -> String {
        let told = self.at_reflector(|| json(&["ip", "-j", "link", "show", "probe1"]));
        told[0]["address"].as_str().expect("text").to_owned()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.lab.take().map(Lab::down) {
            eprintln!("a test's lab could not be removed: {error}");
        }
    }
}

fn resolve(target: IpAddr, source: Option<IpAddr>) -> Result<Path, NetError> {
    path::resolve(target, &Interface::find("probe0").expect("it is there"), source)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("the test writes addresses")
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn json(command: &[&str]) -> Value {
    serde_json::from_str(&output(command)).expect("JSON")
}

/// What a command writes; it must succeed.
fn output(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the command starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
