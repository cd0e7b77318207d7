use super::*;
use crate::doctor::model::Status;

/// A port of which nothing can be complained.
fn good() -> Facts {
    Facts {
        interface: Interface {
            name: "eth0".to_owned(),
            index: 2,
            mac: [2, 0, 0, 0, 0, 1],
            ethernet: true,
            mtu: 1500,
            up: true,
            carrier: true,
            driver: "ice".to_owned(),
            receive_queues: 4,
            transmit_queues: 4,
            addresses: Vec::new(),
            link_speed_bps: Some(100_000_000_000),
            xdp: None,
        },
        features: Some(XdpFeatures::made_up(0b110_1111, 0b1)),
        offloads: Some(Offloads {
            transmit_checksum: true,
            generic_segmentation: true,
            tcp_segmentation: true,
            generic_receive: true,
            large_receive: false,
            receive_vlan: false,
        }),
        active: Some(BTreeSet::new()),
        stamps_arrivals: Some(true),
        program: Ok(None),
        interrupts: Vec::new(),
        online_cpus: 8,
    }
}

fn find(facts: &Facts, check: &str) -> Finding {
    judge(facts).into_iter().find(|finding| finding.check == check).expect("the check was made")
}

/// The findings that are not ok must be exactly these, and each must say what to do.
fn complains_of(facts: &Facts, expected: &[(&str, Status)]) {
    let bad: Vec<_> = judge(facts)
        .into_iter()
        .filter(|finding| finding.status != Status::Ok)
        .inspect(|finding| assert!(finding.advice.is_some(), "{finding:?}"))
        .map(|finding| (finding.check, finding.status))
        .collect();
    assert_eq!(bad, expected);
}

#[test]
fn a_good_port_is_fine() {
    complains_of(&good(), &[]);
    assert_eq!(find(&good(), "link").seen, "up, 100 Gbps");
    assert_eq!(
        find(&good(), "driver").seen,
        "ice, XDP features basic, redirect, ndo-xmit, xsk-zerocopy, rx-sg, ndo-xmit-sg"
    );
}

#[test]
fn each_check_is_made_once() {
    let mut names: Vec<_> = judge(&good()).into_iter().map(|finding| finding.check).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_link_that_carries_nothing_is_a_problem() {
    let mut facts = good();
    facts.interface.carrier = false;
    complains_of(&facts, &[("link", Status::Problem)]);
    facts.interface.up = false;
    assert_eq!(find(&facts, "link").advice.as_deref(), Some("`ip link set eth0 up`"));
}

#[test]
fn a_driver_without_xdp_is_a_problem_and_one_that_copies_a_warning() {
    let mut facts = good();
    facts.features = Some(XdpFeatures::made_up(0b110_0111, 0b1));
    complains_of(&facts, &[("zero-copy", Status::Warning)]);
    facts.features = Some(XdpFeatures::default());
    complains_of(&facts, &[("native-xdp", Status::Problem), ("zero-copy", Status::Warning)]);
    facts.features = None;
    complains_of(&facts, &[]);
    assert!(find(&facts, "native-xdp").seen.starts_with("unknown"));
}

#[test]
fn somebody_elses_program_is_a_problem_but_our_own_is_not() {
    let foreign = Occupant {
        program_id: 17,
        program_name: "balance".to_owned(),
        mode: Mode::Native,
        link_id: None,
        loaded_by_user: Some(0),
        loaded_at: None,
        holders: Vec::new(),
    };
    let mut facts = good();
    facts.program = Ok(Some(foreign.clone()));
    complains_of(&facts, &[("xdp-program", Status::Problem)]);
    assert!(find(&facts, "xdp-program").seen.contains("balance"));
    facts.program = Ok(Some(Occupant { program_name: "leadline".to_owned(), ..foreign.clone() }));
    complains_of(&facts, &[]);
    facts.program = Ok(Some(Occupant { program_name: "leadline".to_owned(), mode: Mode::Generic, ..foreign }));
    complains_of(&facts, &[("xdp-program", Status::Problem)]);
    facts.program = Err(AttachError::NotPermitted { operation: "look whose it is", missing: vec!["CAP_SYS_ADMIN"] });
    complains_of(&facts, &[("xdp-program", Status::Warning)]);
}

#[test]
fn queues_are_held_against_cpus() {
    let mut facts = good();
    facts.online_cpus = 2;
    complains_of(&facts, &[("queues", Status::Warning)]);
    assert_eq!(find(&facts, "queues").seen, "4 receive, 4 transmit, 2 CPUs");
    facts.online_cpus = 8;
    facts.interface.transmit_queues = 1;
    complains_of(&facts, &[("queues", Status::Warning)]);
}

#[test]
fn long_frames_need_a_driver_that_scatters() {
    let mut facts = good();
    facts.interface.mtu = 9000;
    complains_of(&facts, &[]);
    facts.features = Some(XdpFeatures::made_up(0b1111, 0b1));
    complains_of(&facts, &[("mtu", Status::Warning)]);
    facts.interface.mtu = 1500;
    complains_of(&facts, &[]);
}

#[test]
fn offloads_that_hide_or_merge_are_warned_of() {
    let mut facts = good();
    let offloads = facts.offloads.as_mut().expect("made up");
    (offloads.large_receive, offloads.receive_vlan) = (true, true);
    facts.active = Some(BTreeSet::from(["rx-gro-hw".to_owned()]));
    complains_of(
        &facts,
        &[("lro", Status::Warning), ("gro-hw", Status::Warning), ("rx-vlan-offload", Status::Warning)],
    );
}

#[test]
fn on_veth_other_things_matter() {
    let mut facts = good();
    facts.interface.driver = "veth".to_owned();
    facts.features = Some(XdpFeatures::made_up(0b110_0011, 0b111));
    facts.offloads.as_mut().expect("made up").receive_vlan = true;
    complains_of(&facts, &[("gro", Status::Warning), ("tx-checksum", Status::Warning)]);
    assert!(find(&facts, "hardware-timestamp").seen.starts_with("none on veth"));
}

#[test]
fn interrupts_of_many_queues_on_one_cpu_are_warned_of() {
    let mut facts = good();
    let on = |number, cpu| Interrupt { number, cpus: BTreeSet::from([cpu]) };
    facts.interrupts = vec![on(30, 1), on(31, 1)];
    complains_of(&facts, &[("interrupt-affinity", Status::Warning)]);
    facts.interrupts = vec![on(30, 1), on(31, 2)];
    complains_of(&facts, &[]);
    assert_eq!(find(&facts, "interrupt-affinity").seen, "2 interrupts, served by CPUs 1-2");
}

#[test]
fn a_summary_says_it_in_one_line() {
    assert_eq!(summary(&good()).seen, "ice, up, MTU 1500, queues 4 receive 4 transmit, native XDP, zero-copy");
    let mut facts = good();
    facts.interface.up = false;
    facts.features = Some(XdpFeatures::default());
    assert_eq!(summary(&facts).seen, "ice, down, MTU 1500, queues 4 receive 4 transmit, no native XDP");
}

#[test]
fn speeds_read_well() {
    assert_eq!(bits(2_500_000_000), "2500 Mbps");
    assert_eq!(bits(10_000_000_000), "10 Gbps");
    assert_eq!(bits(56_000), "56000 bps");
}
