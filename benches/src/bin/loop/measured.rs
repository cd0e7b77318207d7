//! A whole measurement: `measure` as the command line calls it, through the real reflector.
//!
//! It is asked for far more than it can send, and so sends flat out. When nothing is lost at that, the rate that it
//! reaches is its highest loss-free one; else it is asked for less, step by step, until nothing is lost.

use std::net::IpAddr;
use std::time::Duration;

use nix::time::ClockId;
use probe_user::attach::{AttachOptions, Attachment, Host, PortGuard};
use probe_user::clock::ClockState;
use probe_user::configuration::{MeasurementConfiguration, Rate, STAMP_PORT, StreamOptions, Target};
use probe_user::lab::{REFLECTOR_INTERFACE, REFLECTOR_IPV4, SENDER_INTERFACE};
use probe_user::net::Interface;
use probe_user::report::model::{IntervalResult, Measurement};
use probe_user::report::progress::Progress;
use probe_user::session::{Observer, measure};
use probe_wire::shared::{PortEntry, Role};
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use crate::machine::cpu_ns;
use crate::stage::Stage;
use crate::{Outcome, Run};

/// More than one thread can send, and less than veth states as its link speed.
const FLAT_OUT_PPS: u32 = 5_000_000;
/// What is asked for after a loss, in parts of what was achieved with it.
const LESS: f64 = 0.9;
/// Fewer packets a second than these are no result.
const LEAST_PPS: u32 = 1_000;

/// Measures with so many packets, at the highest rate at which none is lost.
///
/// # Errors
/// The reflector or the measurement fails, or packets are lost at any rate.
pub(crate) fn run(stage: &Stage, packets: u64) -> Outcome<Run> {
    let _reflector = stage.far(reflector)?;
    let mut rate = FLAT_OUT_PPS;
    while rate >= LEAST_PPS {
        let run = stage.near(|| at(rate, packets))?;
        if run.lost == 0 {
            return Ok(run);
        }
        rate = (run.pps * LESS) as u32;
    }
    Err("packets are lost at any rate".into())
}

/// What `leadline reflect` sets up, as long as the value lives.
fn reflector() -> Outcome<(Attachment, PortGuard)> {
    let interface = Interface::find(REFLECTOR_INTERFACE)?;
    let host = Host {
        mac: interface.mac,
        addresses: interface.addresses.iter().map(|address| address.address).collect(),
        tai_utc_offset: ClockState::read()?.tai_offset_s,
    };
    let attachment = Attachment::open(REFLECTOR_INTERFACE, &host, &AttachOptions::default())?;
    let estimate = ErrorEstimate::covering(1_000, false, TimestampFormat::Ntp);
    let entry = PortEntry { role: Role::REFLECT.0, error_estimate: estimate.0, ..PortEntry::default() };
    let port = attachment.register_port(STAMP_PORT, &entry)?;
    Ok((attachment, port))
}

fn at(rate: u32, packets: u64) -> Outcome<Run> {
    let options =
        StreamOptions { rate: Some(Rate::packets_per_second(rate)), count: Some(packets), ..StreamOptions::default() };
    let configuration = MeasurementConfiguration::builder(SENDER_INTERFACE.parse()?)
        .target(Target::Address(IpAddr::V4(REFLECTOR_IPV4)))
        .shared(options)
        .wait(Duration::from_millis(500))
        .build()?;
    let mut watch = Watch::default();
    let report = measure(&configuration, &mut watch).map_err(|failure| failure.to_string())?;
    match report.measurements() {
        [measurement] => figures(measurement, watch.cpu_ns()),
        _ => Err("the report is not of one stream".into()),
    }
}

fn figures(measurement: &Measurement, cpu_ns: Option<f64>) -> Outcome<Run> {
    let packets = &measurement.packets;
    let pps = measurement.sending.achieved_pps.ok_or("nothing was sent")?;
    let gaps = packets.sent.saturating_sub(1) as f64;
    Ok(Run::new(packets.sent, packets.received, Duration::from_secs_f64(gaps / pps), cpu_ns))
}

/// Watches how much CPU time the process takes while packets come back: of its threads, the worker alone does much.
#[derive(Default)]
struct Watch {
    /// Packets received, and CPU time in nanoseconds.
    first: Option<(u64, f64)>,
    last: Option<(u64, f64)>,
}

impl Watch {
    /// CPU time of a round trip, in nanoseconds.
    fn cpu_ns(&self) -> Option<f64> {
        let ((received, start), (received_at_last, end)) = self.first.zip(self.last)?;
        (received_at_last > received).then(|| (end - start) / (received_at_last - received) as f64)
    }
}

impl Observer for Watch {
    fn progress(&mut self, progress: &Progress) {
        let now = cpu_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(|cpu| (progress.received, cpu));
        self.first = self.first.or(now.filter(|(received, _)| *received > 0));
        self.last = now;
    }

    fn interval(&mut self, _: &IntervalResult) {}

    fn note(&mut self, note: &str) {
        eprintln!("note: {note}");
    }
}
