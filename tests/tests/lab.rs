//! The lab is made, used, broken in every way that a killed process or a clumsy hand can break it, and repaired.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use leadline_tests::require;
use probe_user::lab::{
    Lab, LabError, LabOptions, LabStatus, Layout, Namespace, NamespaceError, Origin, Reflector, Trace,
};

#[test]
fn both_ends_reach_each_other_at_once_over_both_versions() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(place.options()).expect("up");
    assert_eq!(*lab.origin(), Origin::New);
    // Duplicate address detection would make the first IPv6 packets fail.
    for target in ["fd00:6c64::2", "198.18.0.2"] {
        assert_eq!(run(&lab, &["ping", "-q", "-c", "3", "-i", "0.01", "-W", "1", target]), 0, "{target}");
    }
    let back = lab.reflector().enter(|| output(&["ping", "-c", "1", "-W", "1", "198.18.0.1"]));
    assert!(back.expect("enter").contains(" 0% packet loss"));
}

#[test]
fn people_can_use_the_namespaces_by_name() {
    let Some(place) = Place::new() else {
        return;
    };
    let _lab = Lab::up(place.options()).expect("up");
    let addresses = output(&["ip", "-n", &place.layout.sender_namespace, "-br", "address"]);
    assert!(addresses.contains("198.18.0.1/24") && addresses.contains("fd00:6c64::1/64"), "{addresses}");
    let inside = ["ip", "netns", "exec", &place.layout.reflector_namespace, "ping", "-c", "1", "198.18.0.1"];
    assert!(output(&inside).contains(" 0% packet loss"));
}

#[test]
fn the_link_is_set_as_a_measurement_needs_it() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(LabOptions { queues: 3, mtu: 3000, ..place.options() }).expect("up");
    for (namespace, interface) in [(lab.sender(), "probe0"), (lab.reflector(), "probe1")] {
        let (features, queues, disciplines, link) = namespace
            .enter(|| {
                (
                    output(&["ethtool", "-k", interface]),
                    output(&["ethtool", "-l", interface]),
                    output(&["tc", "qdisc", "show", "dev", interface]),
                    output(&["ip", "-d", "link", "show", interface]),
                )
            })
            .expect("enter");
        for off in [
            "tx-checksumming: off",
            "tx-tcp-segmentation: off\n",
            "tx-tcp6-segmentation: off\n",
            "generic-segmentation-offload: off",
            "generic-receive-offload: off",
        ] {
            assert!(features.contains(off), "{interface}: {off} in\n{features}");
        }
        assert_eq!(disciplines.matches("qdisc pfifo ").count(), 3, "{disciplines}");
        assert_eq!(disciplines.matches("limit 1000p").count(), 3, "{disciplines}");
        let in_use = queues.split("Current hardware settings").nth(1).expect("ethtool's two parts");
        assert!(in_use.contains("RX:\t\t3") && in_use.contains("TX:\t\t3"), "{queues}");
        assert!(link.contains("mtu 3000"), "{link}");
    }
}

#[test]
fn one_queue_is_held_back_too() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(LabOptions { queues: 1, ..place.options() }).expect("up");
    let discipline = lab.sender().enter(|| output(&["tc", "qdisc", "show", "dev", "probe0"])).expect("enter");
    assert!(discipline.contains("qdisc pfifo ") && discipline.contains("root"), "{discipline}");
}

#[test]
fn a_command_gets_its_own_sys_and_gives_its_own_status() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(place.options()).expect("up");
    assert_eq!(run(&lab, &["sh", "-c", "exit 7"]), 7);
    assert_eq!(run(&lab, &["test", "-e", "/sys/class/net/probe0"]), 0);
    assert_ne!(run(&lab, &["test", "-e", "/sys/class/net/eth0"]), 0, "the host's interfaces must not show");
    assert_eq!(run(&lab, &["sh", "-c", "test $(stat -f -c %T /sys/fs/bpf) = bpf_fs"]), 0);
    let here = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(!here.contains("/sys/class"), "mounts of the command must not show outside");

    assert!(matches!(lab.run(&[]), Err(LabError::NoCommand)));
    let missing = lab.run(&[OsString::from("no-such-program")]).expect_err("there is no such program");
    assert!(missing.to_string().starts_with("cannot run `no-such-program` in the lab: No such file"), "{missing}");
}

/// The helper of the test below: becomes a command in the lab that its environment names.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn become_a_command() {
    let Ok(name) = std::env::var("LEADLINE_TEST_EXEC") else { return };
    let lab = Lab::find(&Layout::named(&name)).expect("it is up");
    let command = ["sh", "-c", "test -e /sys/class/net/probe0 && echo $$ && exit 7"].map(OsString::from);
    let Err(error) = lab.exec(&command);
    panic!("{error}");
}

#[test]
fn this_process_can_become_a_command_in_the_lab() {
    let Some(place) = Place::new() else { return };
    let _lab = Lab::up(place.options()).expect("up");
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "become_a_command", "--ignored", "--nocapture"])
        .env("LEADLINE_TEST_EXEC", place.name())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test runs");
    let pid = child.id().to_string();
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(7));
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(written.lines().any(|line| line == pid), "process {pid} wrote {written}");
}

#[test]
fn down_leaves_nothing() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(place.with_reflector()).expect("up");
    let LabStatus::Up { reflector: Some(reflector), .. } = Lab::status(&place.layout).expect("status") else {
        panic!("the lab has a reflector");
    };
    lab.down().expect("down");
    place.assert_nothing_left();
    assert!(!Path::new(&format!("/proc/{}", reflector.pid)).exists());
    assert_eq!(Lab::clear(&place.layout).expect("down again"), []);
}

#[test]
fn a_command_that_still_runs_does_not_keep_the_link() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(place.options()).expect("up");
    let held = Namespace::open(&place.layout.sender_namespace).expect("open");
    lab.down().expect("down");
    place.assert_nothing_left();
    let links = held.enter(|| output(&["ip", "-br", "link"])).expect("enter");
    assert!(!links.contains("probe0"), "{links}");
}

#[test]
fn the_second_up_finds_the_first() {
    let Some(place) = Place::new() else {
        return;
    };
    let first = Lab::up(place.with_reflector()).expect("up");
    let before = Lab::status(&place.layout).expect("status");
    let second = Lab::up(place.with_reflector()).expect("up again");
    assert_eq!((first.origin(), second.origin()), (&Origin::New, &Origin::Existing));
    assert_eq!(Lab::status(&place.layout).expect("status"), before, "the same reflector goes on");

    let other = Lab::up(LabOptions { mtu: 2000, ..place.with_reflector() });
    assert!(matches!(other, Err(LabError::OtherSettings { mtu: 1500, reflector: true, .. })), "{other:?}");
}

#[test]
fn two_at_once_make_one_lab() {
    let Some(place) = Place::new() else {
        return;
    };
    let origins = thread::scope(|scope| {
        let ups = [(); 2].map(|()| scope.spawn(|| Lab::up(place.options()).expect("up").origin().clone()));
        ups.map(|up| up.join().expect("no panic"))
    });
    assert!(origins.contains(&Origin::New) && origins.contains(&Origin::Existing), "{origins:?}");
}

#[test]
fn a_reflector_that_fails_is_heard_and_nothing_stays() {
    let Some(place) = Place::new() else {
        return;
    };
    let failing = place.options_with(&["sh", "-c", "echo no such luck; exit 3"]);
    let error = Lab::up(failing).expect_err("the reflector fails").to_string();
    assert!(error.contains("exit status: 3") && error.contains("no such luck"), "{error}");
    place.assert_nothing_left();

    let missing = Lab::up(place.options_with(&["/no/such/reflector"])).expect_err("there is none").to_string();
    assert!(missing.contains("cannot run `/no/such/reflector`"), "{missing}");
    place.assert_nothing_left();
}

#[test]
fn a_dead_reflector_makes_the_lab_anew() {
    let Some(place) = Place::new() else {
        return;
    };
    let lab = Lab::up(place.with_reflector()).expect("up");
    let LabStatus::Up { reflector: Some(first), .. } = Lab::status(&place.layout).expect("status") else {
        panic!("the lab has a reflector");
    };
    output(&["kill", "-9", &first.pid.to_string()]);
    wait_until("the reflector is gone", || matches!(Lab::status(&place.layout).expect("status"), LabStatus::Broken(_)));
    drop(lab);
    let repaired = Lab::up(place.with_reflector()).expect("up");
    assert!(matches!(repaired.origin(), Origin::Repaired(_)));
    assert!(matches!(Lab::status(&place.layout), Ok(LabStatus::Up { reflector: Some(second), .. }) if second != first));
}

#[test]
fn a_clumsy_hand_is_repaired() {
    let Some(place) = Place::new() else {
        return;
    };
    let sender = place.layout.sender_namespace.clone();
    let breakages: [&[&str]; 4] = [
        &["ip", "netns", "delete", &sender],
        &["ip", "-n", &sender, "link", "delete", "probe0"],
        &["ip", "-n", &sender, "link", "set", "probe0", "down"],
        &["ip", "-n", &sender, "address", "flush", "dev", "probe0"],
    ];
    for breakage in breakages {
        Lab::up(place.options()).expect("up");
        output(breakage);
        assert!(matches!(Lab::find(&place.layout), Err(LabError::NotUp)), "{breakage:?}");
        let repaired = Lab::up(place.options()).expect("up again");
        assert!(matches!(repaired.origin(), Origin::Repaired(_)), "{breakage:?}");
        ping(&repaired, &breakage);
    }
}

#[test]
fn a_lab_without_its_record_is_found_with_its_reflector() {
    let Some(place) = Place::new() else {
        return;
    };
    let _lab = Lab::up(place.with_reflector()).expect("up");
    fs::remove_dir_all(&place.layout.state_folder).expect("remove the record");
    let removed = Lab::clear(&place.layout).expect("down");
    assert!(matches!(removed[..], [Trace::Reflector(_), Trace::Namespace(_), Trace::Namespace(_)]), "{removed:?}");
    place.assert_nothing_left();
}

#[test]
fn a_process_that_got_the_reflectors_number_is_spared() {
    let Some(place) = Place::new() else {
        return;
    };
    let _lab = Lab::up(place.options()).expect("up");
    let mut bystander = Command::new("sleep").arg("60").spawn().expect("sleep");
    let record = place.layout.state_folder.join("lab.json");
    let forged = format!(r#"{{"mtu":1500,"queues":2,"reflector":{{"pid":{},"start_time":1}}}}"#, bystander.id());
    fs::write(record, forged).expect("forge");
    assert!(matches!(Lab::find(&place.layout), Err(LabError::NotUp)), "that reflector does not run any more");
    Lab::clear(&place.layout).expect("down");
    let alive = bystander.try_wait().expect("wait").is_none();
    bystander.kill().and_then(|()| bystander.wait()).expect("end our own child");
    assert!(alive);
}

/// The helper of the test below: makes the lab that its environment names, until it is killed.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn up_until_killed() {
    let Ok(name) = std::env::var("LEADLINE_TEST_UP") else {
        return;
    };
    let place = Place { layout: Layout::named(&name) };
    Lab::up(place.with_reflector()).expect("up");
    std::mem::forget(place);
}

#[test]
fn killed_at_any_moment_it_is_repaired_by_up_and_by_down() {
    let Some(place) = Place::new() else {
        return;
    };
    let name = place.name();
    let start = || {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "up_until_killed", "--ignored"])
            .env("LEADLINE_TEST_UP", &name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test runs")
    };
    // How long does it take in peace?
    let begin = Instant::now();
    assert!(start().wait().expect("wait").success());
    let whole = begin.elapsed();
    Lab::clear(&place.layout).expect("down");
    place.assert_nothing_left();

    const MOMENTS: u32 = 60;
    let mut half_made = 0;
    for moment in 0..MOMENTS {
        let mut child = start();
        thread::sleep(whole * moment / MOMENTS);
        child.kill().expect("kill -9");
        child.wait().expect("wait");
        let found = Lab::status(&place.layout).expect("status");
        half_made += u32::from(matches!(found, LabStatus::Broken(_)));
        if moment % 2 == 0 {
            let lab = Lab::up(place.with_reflector()).expect("up after a kill");
            ping(&lab, &found);
            assert_eq!(place.reflectors().len(), 1, "after {found:?}");
        }
        Lab::clear(&place.layout).expect("down after a kill");
        place.assert_nothing_left();
    }
    assert!(half_made > 5, "only {half_made} of {MOMENTS} kills left a half-made lab: this test tests too little");
}

#[test]
fn a_namespace_half_made_is_no_namespace_and_can_be_removed() {
    let Some(place) = Place::new() else {
        return;
    };
    let name = &place.layout.sender_namespace;
    Namespace::create(name).expect("create");
    assert!(matches!(Namespace::create(name), Err(NamespaceError::Exists { .. })));
    assert!(output(&["ip", "netns", "list"]).contains(name.as_str()));
    Namespace::remove(name).expect("remove");
    // What is left when `create` is killed between its two steps.
    fs::write(format!("/run/netns/{name}"), "").expect("write");
    assert!(matches!(Namespace::open(name), Err(NamespaceError::Missing { .. })));
    let lab = Lab::up(place.options()).expect("up");
    assert_eq!(*lab.origin(), Origin::Repaired(vec![Trace::Namespace(name.clone())]));
}

#[test]
fn an_unnamed_namespace_has_what_is_made_in_it_and_nothing_else() {
    if !require::network_namespaces() {
        return;
    }
    let namespace = Namespace::unnamed().expect("unnamed");
    let links = namespace
        .enter(|| {
            output(&["ip", "link", "add", "netlab-a", "type", "veth", "peer", "name", "netlab-b"]);
            output(&["ip", "-br", "link"])
        })
        .expect("enter");
    assert!(links.contains("netlab-a") && !links.contains("eth0"), "{links}");
    assert!(!output(&["ip", "-br", "link"]).contains("netlab-a"), "the host must not see it");
    let panicked = std::panic::catch_unwind(|| namespace.enter(|| panic!("from inside")));
    assert!(panicked.is_err(), "a panic inside must not be lost");
}

/// A lab of this test's own, gone at its end whatever happens.
struct Place {
    layout: Layout,
}

impl Place {
    /// `None` when the test cannot run.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("netlab-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        require::network_namespaces().then(|| Self { layout: Layout::named(&name) })
    }

    fn name(&self) -> String {
        let folder = self.layout.state_folder.file_name().expect("the layout has a name");
        folder.to_string_lossy().into_owned()
    }

    fn options(&self) -> LabOptions {
        LabOptions { layout: self.layout.clone(), queues: 2, ..LabOptions::without_reflector() }
    }

    fn options_with(&self, command: &[&str]) -> LabOptions {
        let command = command.iter().map(OsString::from).collect();
        LabOptions { reflector: Some(Reflector { command, attaches_program: false }), ..self.options() }
    }

    fn with_reflector(&self) -> LabOptions {
        self.options_with(&["sleep", "600"])
    }

    /// The numbers of this lab's reflectors, found by what is in their namespace rather than by their mark.
    fn reflectors(&self) -> Vec<String> {
        let pids = output(&["ip", "netns", "pids", &self.layout.reflector_namespace]);
        pids.lines().map(str::to_owned).collect()
    }

    fn assert_nothing_left(&self) {
        let namespaces = output(&["ip", "netns", "list"]);
        assert!(!namespaces.contains(&self.name()), "{namespaces}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        assert!(!mounts.contains(&self.name()), "{mounts}");
        assert!(!Path::new("/run/netns").join(&self.layout.sender_namespace).exists());
        assert!(!Path::new("/run/netns").join(&self.layout.reflector_namespace).exists());
        assert!(!self.layout.state_folder.exists());
        let marked = format!("LEADLINE_LAB={}", self.layout.state_folder.display());
        for process in fs::read_dir("/proc").expect("/proc").flatten() {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            let found = environment.split(|&octet| octet == 0).any(|variable| variable == marked.as_bytes());
            assert!(!found, "{} still runs", process.path().display());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = Lab::clear(&self.layout) {
            eprintln!("the lab {} could not be removed: {error}", self.name());
        }
    }
}

/// Runs a command in the lab and gives its exit status.
fn run(lab: &Lab, command: &[&str]) -> i32 {
    let words: Vec<OsString> = command.iter().map(OsString::from).collect();
    lab.run(&words).expect("the command starts").code().expect("the command exits")
}

/// Holds when the lab's link carries packets both ways.
fn ping(lab: &Lab, when: &impl std::fmt::Debug) {
    let ping = || output(&["ping", "-q", "-c", "1", "-W", "1", "198.18.0.2"]);
    let report = lab.sender().enter(ping).expect("enter");
    assert!(report.contains(" 0% packet loss"), "{when:?}: {report}");
}

/// What a command writes; it must succeed.
fn output(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the command starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(5), "not within 5 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
