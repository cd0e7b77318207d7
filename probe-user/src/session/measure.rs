//! A measurement: prepared, tried with a few probes, run, and told.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use probe_metrics::accumulator::StreamConfiguration as MetricsConfiguration;
use probe_wire::shared::{Counter, PortEntry, Role};
use probe_wire::timestamp::{ErrorEstimate, TimestampFormat};

use super::assemble::{Parts, measurement, next_hop, planned, statistics};
use super::control::{EndSignals, runtime};
use super::counters::{self, CounterDocument};
use super::ledger::{InterfaceReading, OwnDrop, own_drops, since};
use super::prepare::{Prepared, prepare};
use super::verdict::Uncharged;
use crate::attach::{AttachOptions, Attachment, Host, Mode, PortGuard, advice_for_sending};
use crate::clock::{Clock as _, ClockState, TaiClock, clock_source, utc};
use crate::configuration::{self, MeasurementConfiguration, Schedule, Via};
use crate::engine::{
    self, ClosedInterval, Gauges, IntervalExchange, Preflight, ReflectorKind, Settings, StreamOutcome, StreamPlan,
    Worker, preflight,
};
use crate::net::Interface;
use crate::port::socket::SocketPort;
use crate::port::xsk::{self, XskOptions, XskPort};
use crate::port::{Port, PortError, Side};
use crate::report::advice::Failure;
use crate::report::model::{
    self, CounterReadings, DropPlace, IntervalResult, IntervalSchema, Measurement, Path, Program, Report, Run, XdpMode,
};
use crate::report::progress::Progress;

/// A departure later than this after its time counts as late.
pub(super) const LATE_DEPARTURE_NS: i64 = 10_000;
/// Streams above this many packets a second start only when the reflector has answered.
const DENSE_PPS: f64 = 1_000.0;
/// How long the probes before a stream are waited for, or the wait of the stream if that is shorter.
const PREFLIGHT_PATIENCE: Duration = Duration::from_secs(1);
/// How often the controller looks, unless intervals come oftener.
const TICK: Duration = Duration::from_millis(100);
/// How often it looks at most.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// Numbers that are remembered of each stream at most: more than 51 s at 10 Mpps, in at most 128 MiB.
const MOST_OUTSTANDING: u64 = 1 << 29;

/// Whoever watches a measurement.
pub trait Observer {
    /// How far the run is, a few times a second.
    fn progress(&mut self, progress: &Progress);

    /// An intermediate result.
    fn interval(&mut self, interval: &IntervalResult);

    /// Something that whoever started the run should know at once.
    fn note(&mut self, note: &str);
}

/// Measures as configured and gives the report, one measurement for each stream.
///
/// # Errors
/// What stands in the way, with what to do about it. Loss is not a failure, not even of everything.
pub fn measure(configuration: &MeasurementConfiguration, observer: &mut impl Observer) -> Result<Report, Failure> {
    let interface = Interface::find(configuration.interface.as_str())?;
    interface.require_up()?;
    let prepared = prepare(configuration, &interface)?;
    let clock = ClockState::read().ok();
    let session = Session { configuration, interface: &interface, prepared: &prepared, clock };
    match configuration.via {
        Via::Xdp => session.over_xdp(observer),
        Via::Socket => session.over_sockets(observer),
    }
}

/// What every step of a measurement needs.
struct Session<'a> {
    configuration: &'a MeasurementConfiguration,
    interface: &'a Interface,
    prepared: &'a [Prepared],
    clock: Option<ClockState>,
}

/// What a port is, for the report.
struct PortFacts {
    source_ports: Vec<u16>,
    mode: XdpMode,
    zero_copy: bool,
    queues: u32,
}

impl Session<'_> {
    fn over_xdp(&self, observer: &mut impl Observer) -> Result<Report, Failure> {
        self.check_lengths()?;
        let attachment = self.attach()?;
        let _log = super::reflect::start_log(&attachment, &self.configuration.log)?;
        let entry = PortEntry { role: Role::CAPTURE.0, ..PortEntry::default() };
        let guards: Vec<PortGuard> =
            self.prepared.iter().map(|_| attachment.register_free_port(&entry)).collect::<Result<_, _>>()?;
        let wires: Vec<_> =
            self.prepared.iter().zip(&guards).map(|(prepared, guard)| prepared.wire(guard.port())).collect();
        let available = NonZeroU32::new(self.interface.receive_queues).unwrap_or(NonZeroU32::MIN);
        let queues = self.configuration.queues.map_or(available, |wished| wished.min(available));
        let options = XskOptions { interface: &self.interface.name, queues, mtu: self.interface.mtu };
        let port = XskPort::open(&options, &wires, TaiClock)?;
        for (queue, socket) in port.sockets() {
            attachment.set_socket(queue, &socket)?;
        }
        let facts = PortFacts {
            source_ports: guards.iter().map(PortGuard::port).collect(),
            mode: XdpMode::Native,
            zero_copy: port.is_zero_copy()?,
            queues: queues.get(),
        };
        let attachment = Some(attachment);
        self.run(port, &facts, attachment.as_ref(), observer)
    }

    /// Refuses packets that one AF_XDP frame does not hold.
    fn check_lengths(&self) -> Result<(), Failure> {
        let most = xsk::LONGEST_PACKET;
        match self.prepared.iter().map(|prepared| prepared.ip_length).max() {
            Some(longest) if u32::from(longest) > most => Err(Failure {
                help: Some(format!("give at most {most} with --size, or measure with --via socket")),
                is_usage: true,
                ..Failure::new(format!("packets of {longest} octets do not fit an AF_XDP frame, which holds {most}"))
            }),
            _ => Ok(()),
        }
    }

    fn attach(&self) -> Result<Attachment, Failure> {
        let host = Host {
            mac: self.interface.mac,
            addresses: self.interface.addresses.iter().map(|address| address.address).collect(),
            tai_utc_offset: self.tai_utc_offset(),
        };
        Ok(Attachment::open(&self.interface.name, &host, &AttachOptions { mode: Mode::Native })?)
    }

    fn over_sockets(&self, observer: &mut impl Observer) -> Result<Report, Failure> {
        observer.note("via UDP sockets: departures are timed before the system call and arrivals by the kernel's stack, so that delays hold what the two add");
        // A veth delivers what its peer sends by XDP_TX only while it has a program itself.
        let _program = if self.interface.driver == "veth" { self.attach().ok() } else { None };
        let wires: Vec<_> = self.prepared.iter().map(|prepared| prepared.wire(0)).collect();
        let port = SocketPort::open(&self.interface.name, &wires, TaiClock)?;
        let facts = PortFacts {
            source_ports: (0..wires.len()).map(|stream| port.local_port(stream)).collect(),
            mode: XdpMode::None,
            zero_copy: false,
            queues: self.interface.receive_queues,
        };
        self.run(port, &facts, None, observer)
    }

    /// Runs all streams over a port.
    fn run<P: Port + Send>(
        &self,
        mut port: P,
        facts: &PortFacts,
        attachment: Option<&Attachment>,
        observer: &mut impl Observer,
    ) -> Result<Report, Failure> {
        let found = self.preflight(&mut port, observer)?;
        let fetch = |address| counters::fetch(address).map(|document| (address, document));
        let counters_before = self.configuration.reflector_counters.map(fetch).transpose()?;
        let port_before = port.drops()?;
        let interface_before = InterfaceReading::now(self.interface)?;
        let no_socket_before = no_socket(attachment)?;

        let start_ns = TaiClock.now();
        let (port, outcomes) = self.run_worker(port, &found, attachment, observer)?;
        let end_ns = TaiClock.now();

        let interface_after = InterfaceReading::now(self.interface)?;
        let no_socket_count = no_socket(attachment)?.saturating_sub(no_socket_before);
        let port_drops = since(&port_before, port.drops()?);
        let mut drops =
            own_drops(&self.interface.name, &interface_before, &interface_after, &port_drops, no_socket_count);
        let counters = match counters_before.map(|(address, before)| (before, counters::fetch(address))) {
            None => None,
            Some((before, Ok(after))) => {
                drops.extend(reflector_drops(&before, &after));
                Some(CounterReadings { before: before.counters, after: after.counters })
            }
            // What was measured stands without them.
            Some((_, Err(failure))) => {
                observer.note(&format!("{}: what the reflector lost itself is not known", failure.what));
                None
            }
        };
        let told = Told { facts, found: &found, outcomes: &outcomes, drops: &drops, counters };
        Ok(self.tell(&told, start_ns, end_ns))
    }

    /// Sends the first probes and refuses to flood somebody who does not answer.
    fn preflight<P: Port>(&self, port: &mut P, observer: &mut impl Observer) -> Result<Vec<Preflight>, Failure> {
        let probes: Vec<preflight::Probes> = self
            .prepared
            .iter()
            .map(|prepared| preflight::Probes {
                ssid: prepared.ssid,
                format: self.format(),
                error_estimate: self.error_estimate(),
                tai_utc_offset: self.tai_utc_offset(),
            })
            .collect();
        let patience = self.configuration.wait.clamp(Duration::from_millis(100), PREFLIGHT_PATIENCE);
        let found = preflight::run(port, &TaiClock, &probes, patience)?;
        for (prepared, found) in self.prepared.iter().zip(&found) {
            let asked = &prepared.configuration;
            let is_dense = asked.rate.in_packets_per_second(prepared.ip_length) > DENSE_PPS;
            if found.answered == 0 && is_dense && !self.configuration.force {
                return Err(Failure {
                    causes: vec![format!("{} probes were sent to UDP port {}", found.sent, asked.port)],
                    help: Some(format!(
                        "check that a STAMP reflector listens there (`leadline reflect --port {}`) and that no filter is in between, or force the stream with --force",
                        asked.port
                    )),
                    ..Failure::new(format!("{} does not answer, so that no dense stream is sent to it", asked.target))
                });
            }
            if found.answered == 0 {
                observer.note(&format!("{} has not answered the first probes", asked.target));
            }
            if found.kind == Some(ReflectorKind::Stateless) {
                observer.note(&format!(
                    "{} copies sequence numbers: on which way packets are lost cannot be told",
                    asked.target
                ));
            }
        }
        Ok(found)
    }

    fn run_worker<P: Port + Send>(
        &self,
        port: P,
        found: &[Preflight],
        attachment: Option<&Attachment>,
        observer: &mut impl Observer,
    ) -> Result<(P, Vec<StreamOutcome>), Failure> {
        let plans = self.prepared.iter().zip(found).map(|(prepared, found)| self.plan(prepared, found)).collect();
        let gauges = Arc::new(Gauges::default());
        let intervals = Arc::new(IntervalExchange::new(self.prepared.len()));
        let forever = Duration::from_nanos(i64::MAX.unsigned_abs());
        let stop_after = if self.configuration.force { forever } else { self.configuration.stop_after };
        let settings = Settings {
            stop_after_ns: nanoseconds(stop_after),
            report_interval_ns: self.configuration.report_interval.map(nanoseconds),
        };
        let worker = Worker::new(port, TaiClock, settings, plans, Arc::clone(&gauges), Arc::clone(&intervals))
            .map_err(|error| Failure::new(error.to_string()))?;
        let runtime = runtime()?;
        let planned = self.prepared.iter().filter_map(planned).max().unwrap_or_default();
        let tick = self.configuration.report_interval.map_or(TICK, |interval| interval.clamp(SHORTEST_TICK, TICK));
        let offset = self.tai_utc_offset();
        std::thread::scope(|scope| {
            let worker = std::thread::Builder::new()
                .name("leadline-worker".to_owned())
                .spawn_scoped(scope, || worker.run())
                .map_err(|error| Failure::new(format!("cannot start the worker: {error}")))?;
            runtime
                .block_on(async {
                    let mut signals = EndSignals::catch()?;
                    let start = Instant::now();
                    let mut reaped = Instant::now();
                    while !worker.is_finished() {
                        if signals.within(tick).await {
                            gauges.stop();
                        }
                        intervals.take(|closed| observer.interval(&interval_result(closed, offset)));
                        let reading = gauges.read();
                        observer.progress(&Progress {
                            elapsed: start.elapsed(),
                            planned,
                            sent: reading.sent,
                            received: reading.received,
                            outstanding_or_lost: reading.outstanding,
                            round_trip_ns: reading.round_trip_ns,
                        });
                        if let Some(attachment) = attachment
                            && reaped.elapsed() >= Duration::from_secs(1)
                        {
                            reaped = Instant::now();
                            attachment.reap()?;
                        }
                    }
                    Ok::<(), Failure>(())
                })
                .inspect_err(|_| {
                    gauges.stop();
                    gauges.stop();
                })?;
            let done = worker.join().map_err(|_| Failure::new("the worker panicked"))?;
            intervals.take(|closed| observer.interval(&interval_result(closed, offset)));
            Ok(done?)
        })
    }

    fn plan(&self, prepared: &Prepared, found: &Preflight) -> StreamPlan {
        let asked = &prepared.configuration;
        let interval = asked.interval(prepared.ip_length);
        let schedule = match asked.schedule {
            Schedule::Periodic => engine::Schedule::periodic(interval, asked.extent, prepared.seed),
            Schedule::Poisson => engine::Schedule::poisson(interval, asked.extent, prepared.seed),
        };
        let tmax_ns = nanoseconds(self.configuration.wait);
        let mut metrics = MetricsConfiguration::new(tmax_ns, outstanding(prepared, self.configuration.wait));
        metrics.stateful = found.kind == Some(ReflectorKind::Stateful);
        metrics.late_departure_ns = LATE_DEPARTURE_NS;
        if !found.has_sessions {
            metrics.reflector_sequence_start = u64::from(found.next_number);
        }
        StreamPlan {
            schedule,
            ssid: prepared.ssid,
            format: self.format(),
            error_estimate: self.error_estimate(),
            tai_utc_offset: self.tai_utc_offset(),
            metrics,
        }
    }

    fn tell(&self, told: &Told<'_>, start_ns: i64, end_ns: i64) -> Report {
        let offset = self.tai_utc_offset();
        let run = Run {
            start: utc(start_ns, offset),
            end: utc(end_ns, offset),
            tmax_ns: nanoseconds(self.configuration.wait),
            ended_early: told.outcomes.iter().any(|outcome| outcome.ending != engine::Ending::Complete),
            program: Program::this(),
            host: model::Host {
                kernel: kernel_release(),
                cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
                clock_source: clock_source(),
                tai_utc_offset_s: self.clock.map(|clock| clock.tai_offset_s),
            },
        };
        let with_loss = told.outcomes.iter().filter(|outcome| outcome.result.lost > 0).count();
        let uncharged = Uncharged::new(told.drops, with_loss);
        let measurements: Vec<Measurement> = (0..self.prepared.len())
            .map(|index| {
                let (prepared, outcome) = (&self.prepared[index], &told.outcomes[index]);
                measurement(&Parts {
                    index,
                    configuration: self.configuration,
                    prepared,
                    source_port: told.facts.source_ports[index],
                    preflight: &told.found[index],
                    outcome,
                    causes: uncharged.charge(&outcome.result),
                    drops: told.drops,
                    run: run.clone(),
                    path: self.path(prepared, told.facts),
                    clock: self.clock,
                    counters: told.counters.clone(),
                })
            })
            .collect();
        Report::new(run, measurements)
    }

    fn path(&self, prepared: &Prepared, facts: &PortFacts) -> Path {
        Path {
            interface: self.interface.name.clone(),
            driver: Some(self.interface.driver.clone()),
            xdp_mode: facts.mode,
            zero_copy: facts.zero_copy,
            queues: facts.queues,
            via: self.configuration.via,
            mtu: Some(prepared.path.mtu),
            next_hop: Some(next_hop(prepared.path.next_hop, prepared.path.next_hop_mac)),
        }
    }

    const fn format(&self) -> TimestampFormat {
        match self.configuration.timestamp_format {
            configuration::TimestampFormat::Ntp => TimestampFormat::Ntp,
            configuration::TimestampFormat::Ptp => TimestampFormat::Ptp,
        }
    }

    fn error_estimate(&self) -> ErrorEstimate {
        error_estimate(self.clock, self.format())
    }

    fn tai_utc_offset(&self) -> i32 {
        self.clock.map_or(0, |clock| clock.tai_offset_s)
    }
}

/// What a run gave, for telling.
struct Told<'a> {
    facts: &'a PortFacts,
    found: &'a [Preflight],
    outcomes: &'a [StreamOutcome],
    drops: &'a [OwnDrop],
    counters: Option<CounterReadings>,
}

/// The error estimate of this host's clock; of one whose state is not known, that of one which is not synchronised.
pub(super) fn error_estimate(clock: Option<ClockState>, format: TimestampFormat) -> ErrorEstimate {
    const UNKNOWN_ERROR_NS: u64 = 16_000_000_000;
    clock.map_or_else(|| ErrorEstimate::covering(UNKNOWN_ERROR_NS, false, format), |clock| clock.error_estimate(format))
}

/// How many packets of a stream can be outstanding at once.
fn outstanding(prepared: &Prepared, wait: Duration) -> u64 {
    let pps = prepared.configuration.rate.in_packets_per_second(prepared.ip_length);
    let waited = (pps * wait.as_secs_f64() * 1.25) as u64 + 4096;
    let sent = match prepared.configuration.extent {
        configuration::Extent::Count(count) => count,
        configuration::Extent::Duration(_) => u64::MAX,
    };
    waited.min(sent).clamp(1, MOST_OUTSTANDING)
}

/// Replies that the program could not hand over since their queue had no socket.
fn no_socket(attachment: Option<&Attachment>) -> Result<u64, Failure> {
    let Some(attachment) = attachment else { return Ok(0) };
    let counters = attachment.counters()?;
    Ok(counters.iter().filter(|(counter, _)| *counter == Counter::NO_SOCKET).map(|(_, count)| *count).sum())
}

/// What the reflector itself lost of its replies.
fn reflector_drops(before: &CounterDocument, after: &CounterDocument) -> Vec<OwnDrop> {
    const PLACES: [(&str, &str); 2] = [
        ("reflector's interface on sending back (XDP_TX)", "interface.xdp_tx_errors"),
        ("reflector could not keep the session", "no_session"),
    ];
    let grown = |name: &str| {
        let read = |document: &CounterDocument| document.counters.get(name).copied().unwrap_or_default();
        read(after).saturating_sub(read(before))
    };
    PLACES
        .iter()
        .map(|(place, counter)| OwnDrop {
            side: if *counter == "no_session" { Side::Sending } else { Side::Receiving },
            place: DropPlace {
                place: (*place).to_owned(),
                counter: format!("reflector's {counter}"),
                count: grown(counter),
            },
        })
        .filter(|drop| drop.place.count > 0)
        .collect()
}

fn interval_result(closed: &ClosedInterval, tai_utc_offset: i32) -> IntervalResult {
    let counts = closed.metrics.counts;
    IntervalResult {
        schema: IntervalSchema::default(),
        stream: closed.stream as u32,
        start: utc(closed.start_ns, tai_utc_offset),
        end: utc(closed.end_ns, tai_utc_offset),
        sent: counts.sent,
        received: counts.received,
        duplicates: counts.duplicates,
        reordered: counts.reordered,
        round_trip: statistics(&closed.metrics.round_trip),
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn kernel_release() -> String {
    nix::sys::utsname::uname().map_or_else(|_| String::new(), |name| name.release().to_string_lossy().into_owned())
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        let help = match error.source.raw_os_error() {
            Some(libc::EBUSY) => Some(
                "another process has an AF_XDP socket on this queue, and a queue takes one: end it first".to_owned(),
            ),
            Some(libc::EPERM) => Some(advice_for_sending()),
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                Some("raise the limit of locked memory (`ulimit -l`), or give the program CAP_IPC_LOCK".to_owned())
            }
            Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => {
                Some("the interface went down or away during the run".to_owned())
            }
            _ => None,
        };
        Self { causes: vec![error.source.to_string()], help, ..Self::new(format!("failed {error}")) }
    }
}
