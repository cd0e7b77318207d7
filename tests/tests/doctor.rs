//! The doctor on a real interface: a veth pair in a network namespace that lives as long as the test.
#![allow(unsafe_code)]

use std::{
    ffi::c_int,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::{self, Command},
    ptr, thread,
};

use leadline_tests::require;
use libbpf_rs::libbpf_sys;
use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
};
use probe_user::{
    attach::{AttachOptions, Attachment, Host},
    doctor::{self, render},
    net::NetError,
    report::advice::Advice as _,
};
use serde_json::Value;

#[test]
fn a_veth_is_examined_and_a_foreign_program_shown() {
    in_a_namespace(|| {
        ip("link add doctor0 numrxqueues 2 numtxqueues 2 type veth peer name doctor1 numrxqueues 2 numtxqueues 2");
        ip("link set doctor0 up");
        let before = examine(Some("doctor0"));
        assert_eq!(before["schema"], "leadline.doctor/1");
        assert_eq!(finding(&before, "link")["status"], "problem", "the other end is down");

        ip("link set doctor1 up mtu 1400");
        let alone = examine(Some("doctor0"));
        assert_eq!(finding(&alone, "link")["status"], "ok");
        assert_eq!(finding(&alone, "native-xdp")["seen"], "programs run in the driver");
        assert_eq!(
            finding(&alone, "queues")["seen"].as_str().map(|seen| seen.contains("2 receive, 2 transmit")),
            Some(true)
        );
        assert_eq!(
            finding(&alone, "tx-checksum")["status"],
            "warning",
            "on by default, and it spoils checksums on veth"
        );
        assert_eq!(finding(&alone, "xdp-program")["seen"], "none");
        assert_eq!(finding(&examine(Some("doctor1")), "mtu")["seen"], "1400");

        let program = ForeignProgram::attach("doctor0");
        let occupied = examine(Some("doctor0"));
        let found = finding(&occupied, "xdp-program");
        assert_eq!(
            (&found["status"], &found["area"], &found["interface"]),
            (&Value::from("problem"), &Value::from("interface"), &Value::from("doctor0"),)
        );
        let seen = found["seen"].as_str().expect("text");
        assert!(seen.contains("\"somebody_elses\"") && seen.contains("native mode"), "{seen}");
        assert!(seen.contains(&format!("process {} ", process::id())), "{seen}");
        assert!(found["advice"].as_str().is_some_and(|advice| advice.contains("another interface")));

        drop(program);
        assert_eq!(finding(&examine(Some("doctor0")), "xdp-program")["seen"], "none");
    });
}

#[test]
fn our_own_program_is_no_obstacle() {
    in_a_namespace(|| {
        ip("link add doctor0 type veth peer name doctor1");
        ip("link set doctor0 up");
        let attachment = Attachment::open("doctor0", &Host::default(), &AttachOptions::default()).expect("it is free");
        let report = examine(Some("doctor0"));
        let found = finding(&report, "xdp-program");
        assert_eq!(found["status"], "ok");
        let seen = found["seen"].as_str().expect("text");
        assert!(seen.starts_with("Leadline's own") && seen.contains(&attachment.program_id().to_string()), "{seen}");
    });
}

#[test]
fn without_an_interface_each_gets_a_line_but_the_loopback() {
    in_a_namespace(|| {
        ip("link add doctor0 type veth peer name doctor1");
        let report = examine(None);
        let mut lines: Vec<_> = findings(&report)
            .iter()
            .filter(|finding| finding["area"] == "interface")
            .map(|finding| (finding["interface"].as_str(), finding["check"].as_str(), finding["status"].as_str()))
            .collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [(Some("doctor0"), Some("summary"), Some("ok")), (Some("doctor1"), Some("summary"), Some("ok")),]
        );
        for check in ["kernel", "capabilities", "locked-memory", "cpu-governor", "tai-offset", "synchronisation"] {
            finding(&report, check);
        }
    });
}

#[test]
fn an_unknown_interface_is_an_error_that_suggests_another() {
    in_a_namespace(|| {
        ip("link add doctor0 type veth peer name other");
        let error = doctor::run(Some("dcotor0")).expect_err("there is no such interface");
        assert!(matches!(error, NetError::UnknownInterface { .. }), "{error}");
        assert!(error.help().is_some_and(|help| help.starts_with("did you mean `doctor0`?")), "{error}");
    });
}

/// Runs the doctor and reads its JSON form, whose worst status must agree with the exit status.
fn examine(interface: Option<&str>) -> Value {
    let report = doctor::run(interface).expect("the interface exists");
    let document: Value = serde_json::from_str(&render::json(&report)).expect("one JSON document");
    let problem = findings(&document).iter().any(|finding| finding["status"] == "problem");
    assert_eq!(report.exit_status(), u8::from(problem));
    document
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().expect("a list of findings")
}

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    findings(report)
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("no check {check} in {report}"))
}

/// Runs `test` in a thread with a network namespace of its own, which the kernel takes away when the thread ends.
fn in_a_namespace(test: impl FnOnce() + Send) {
    if !require::network_namespaces() {
        return;
    }
    thread::scope(|scope| {
        let outcome = scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
                test();
            })
            .join();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip(8) is installed");
    assert!(status.success(), "ip {arguments}: {status}");
}

/// An XDP program that passes everything, on an interface as long as the value lives.
struct ForeignProgram {
    _link: OwnedFd,
}

impl ForeignProgram {
    fn attach(interface: &str) -> Self {
        const MOVE_TO_R0: u8 = 0xb7;
        const EXIT: u8 = 0x95;
        const XDP_PASS: i32 = 2;
        let instructions = [
            libbpf_sys::bpf_insn { code: MOVE_TO_R0, imm: XDP_PASS, ..Default::default() },
            libbpf_sys::bpf_insn { code: EXIT, ..Default::default() },
        ];
        // SAFETY: the strings end in zero, the instructions are as many as stated, and no options are given.
        let program = owned(unsafe {
            libbpf_sys::bpf_prog_load(
                libbpf_sys::BPF_PROG_TYPE_XDP,
                c"somebody_elses".as_ptr(),
                c"GPL".as_ptr(),
                instructions.as_ptr(),
                instructions.len() as _,
                ptr::null_mut(),
            )
        });
        let index = if_nametoindex(interface).expect("the interface exists") as c_int;
        // SAFETY: the program's descriptor is open, and no options are given.
        let link =
            owned(unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), index, libbpf_sys::BPF_XDP, ptr::null()) });
        Self { _link: link }
    }
}

fn owned(descriptor: c_int) -> OwnedFd {
    assert!(descriptor >= 0, "{}", io::Error::from_raw_os_error(-descriptor));
    // SAFETY: the kernel has just opened the descriptor for this call.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
