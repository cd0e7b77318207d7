//! A session-reflector: the program at the driver hook does the work; this side gives it its ports and tells what it
//! counted.

use std::time::{Duration, Instant};

use probe_wire::shared::{Counter, PortEntry, Role};
use probe_wire::timestamp::TimestampFormat;
use tokio::net::TcpListener;

use super::control::{EndSignals, runtime};
use super::counters::{self, CounterDocument};
use super::measure::error_estimate;
use crate::attach::{AttachOptions, Attachment, Host, LogGuard, Mode, PortGuard};
use crate::clock::ClockState;
use crate::configuration::{self, LogConfiguration, LogLevel, ReflectConfiguration, ReplyFormat};
use crate::net::{Interface, statistics};
use crate::report::advice::Failure;
use crate::report::reflector::ReflectorCounters;

/// How often the counters are told and the dead are cleaned up after.
const TICK: Duration = Duration::from_secs(1);
/// How often the interface's addresses, the TAI offset and the clock's error are looked at.
const REFRESH: Duration = Duration::from_secs(5);

/// Whoever watches a reflector.
pub trait ReflectObserver {
    /// The reflector is ready: requests are answered from now on.
    fn ready(&mut self, description: &str);

    /// The counters now, once a second.
    fn counters(&mut self, counters: &ReflectorCounters);
}

/// Reflects until a signal ends it, and gives the counters at the end.
///
/// # Errors
/// What stands in the way, with what to do about it; or that the program was taken off the interface meanwhile.
pub fn reflect(
    configuration: &ReflectConfiguration,
    observer: &mut impl ReflectObserver,
) -> Result<ReflectorCounters, Failure> {
    let interface = Interface::find(configuration.interface.as_str())?;
    interface.require_up()?;
    let attachment = Attachment::open(&interface.name, &host(&interface), &AttachOptions { mode: Mode::Native })?;
    let _log = start_log(&attachment, &configuration.log)?;
    for address in &configuration.addresses {
        attachment.add_address(*address)?;
    }
    let ports = register_ports(configuration, &attachment)?;
    let errors_before = transmit_errors(&interface);
    let read = || counters(&attachment, &interface, errors_before);

    runtime()?.block_on(async {
        let listener = match configuration.counters {
            None => None,
            Some(address) => Some(TcpListener::bind(address).await.map_err(|error| Failure {
                causes: vec![error.to_string()],
                help: Some("give an address of this host and a TCP port that is free".to_owned()),
                ..Failure::new(format!("cannot offer the counters at {address}"))
            })?),
        };
        let mut signals = EndSignals::catch()?;
        observer.ready(&description(configuration, &attachment));
        let server = async {
            match listener {
                Some(listener) => counters::serve(listener, || document(&attachment, &interface).ok()).await,
                None => std::future::pending().await,
            }
        };
        let watch = async {
            let mut refreshed = Instant::now();
            while !signals.within(TICK).await {
                attachment.reap()?;
                if !attachment.is_attached()? {
                    return Err(Failure {
                        help: Some("see who did it (`ip link show`), and start the reflector again".to_owned()),
                        ..Failure::new(format!("the program was taken off {}", interface.name))
                    });
                }
                if refreshed.elapsed() >= REFRESH {
                    refreshed = Instant::now();
                    refresh(&attachment, &interface.name).await;
                    let entry = entry(configuration);
                    ports.iter().try_for_each(|port| port.change(&entry))?;
                }
                observer.counters(&read()?);
            }
            Ok(())
        };
        tokio::select! {
            () = server => Ok(()),
            ended = watch => ended,
        }
    })?;
    read()
}

fn host(interface: &Interface) -> Host {
    Host {
        mac: interface.mac,
        addresses: interface.addresses.iter().map(|address| address.address).collect(),
        tai_utc_offset: ClockState::read().map_or(0, |clock| clock.tai_offset_s),
    }
}

/// Tells the program of addresses that came or went. It is asked again soon, should it fail.
async fn refresh(attachment: &Attachment, interface: &str) {
    let name = interface.to_owned();
    // The question has a runtime of its own, which must not run within another.
    if let Ok(Ok(interface)) = tokio::task::spawn_blocking(move || Interface::find(&name)).await {
        let _ = attachment.refresh(&host(&interface));
    }
}

/// How the reflector's ports play their role, with the clock as it is now.
fn entry(configuration: &ReflectConfiguration) -> PortEntry {
    let mut flags = 0;
    if configuration.stateless {
        flags |= PortEntry::STATELESS;
    }
    if !configuration.allow.is_empty() {
        flags |= PortEntry::ALLOW_LIST;
    }
    flags |= match configuration.timestamp_format {
        ReplyFormat::AsRequested => 0,
        ReplyFormat::Always(configuration::TimestampFormat::Ntp) => PortEntry::NTP_ALWAYS,
        ReplyFormat::Always(configuration::TimestampFormat::Ptp) => PortEntry::PTP_ALWAYS,
    };
    let estimate = error_estimate(ClockState::read().ok(), TimestampFormat::Ntp);
    PortEntry { role: Role::REFLECT.0, flags, error_estimate: estimate.0, ..PortEntry::default() }
}

fn register_ports(configuration: &ReflectConfiguration, attachment: &Attachment) -> Result<Vec<PortGuard>, Failure> {
    let entry = entry(configuration);
    configuration
        .ports
        .iter()
        .map(|port| {
            // Nobody is allowed before the list is there: the flag is set with the role, the list filled right after.
            let guard = attachment.register_port(*port, &entry)?;
            guard.allow(&configuration.allow)?;
            Ok(guard)
        })
        .collect()
}

/// Shows the programs' diagnostics on standard error, if they are wished.
pub(super) fn start_log(attachment: &Attachment, log: &LogConfiguration) -> Result<Option<LogGuard>, Failure> {
    /// One of so many packets, so that a dense stream does not drown the reader; `trace` shows every packet.
    const SAMPLED: u32 = 1_000;
    let one_of = match log.level("ebpf") {
        Some(LogLevel::Trace) => 1,
        Some(LogLevel::Debug) => SAMPLED,
        _ => return Ok(None),
    };
    Ok(Some(attachment.start_logging(one_of, |line| eprintln!("{line}"))?))
}

fn description(configuration: &ReflectConfiguration, attachment: &Attachment) -> String {
    let ports: Vec<String> = configuration.ports.iter().map(ToString::to_string).collect();
    let joined = if attachment.joined() { ", sharing the program with another process" } else { "" };
    format!(
        "reflecting on {}, UDP port {}{joined}, XDP in {} mode; Ctrl-C ends it",
        attachment.interface(),
        ports.join(", "),
        attachment.mode()
    )
}

/// The name of the count of [`transmit_errors`].
const TX_ERRORS: &str = "xdp_tx_errors";

/// Counters of the interface as a whole: what never came as far as a port.
const AT_LARGE: [Counter; 4] = [Counter::PASSED, Counter::FRAGMENT, Counter::OPTIONS, Counter::MALFORMED];

/// Counters that are not told one by one: the first two are told together, the others are a session-sender's.
const NOT_TOLD: [Counter; 5] =
    [Counter::REFLECTED, Counter::STATELESS, Counter::CAPTURED, Counter::NO_SOCKET, Counter::NO_METADATA];

/// Replies that the driver did not send.
fn transmit_errors(interface: &Interface) -> u64 {
    let counters = statistics::driver_counters(&interface.name).unwrap_or_default();
    statistics::sum_of(&counters, "rx_queue_", "_xdp_tx_errors")
}

fn counters(attachment: &Attachment, interface: &Interface, errors_before: u64) -> Result<ReflectorCounters, Failure> {
    let own = attachment.counters()?;
    let shared = attachment.interface_counters()?;
    let answered = count_of(&own, Counter::REFLECTED) + count_of(&own, Counter::STATELESS);
    let first = ("reflected", "requests answered at the driver hook", answered);
    let is_at_large = |counter: &Counter| AT_LARGE.contains(counter);
    let refused = Counter::ALL.iter().filter(|(counter, ..)| !is_at_large(counter) && !NOT_TOLD.contains(counter));
    let at_large = Counter::ALL.iter().filter(|(counter, ..)| is_at_large(counter));
    let last = (
        TX_ERRORS,
        "replies that the interface could not send (its xdp_tx_errors)",
        transmit_errors(interface).saturating_sub(errors_before),
    );
    let told = std::iter::once(first)
        .chain(refused.map(|(counter, name, description)| (*name, *description, count_of(&own, *counter))))
        .chain(at_large.map(|(counter, name, description)| (*name, *description, count_of(&shared, *counter))))
        .chain(std::iter::once(last));
    Ok(ReflectorCounters::new(&interface.name, told))
}

fn count_of(counted: &[(Counter, u64)], wished: Counter) -> u64 {
    counted.iter().find(|(counter, _)| *counter == wished).map_or(0, |(_, count)| *count)
}

/// The counters for those who read them from afar.
fn document(attachment: &Attachment, interface: &Interface) -> Result<CounterDocument, Failure> {
    let own = attachment.counters()?;
    let named = Counter::ALL.iter().map(|(counter, name, _)| ((*name).to_owned(), count_of(&own, *counter)));
    let errors = (format!("interface.{TX_ERRORS}"), transmit_errors(interface));
    Ok(CounterDocument::new(named.chain(std::iter::once(errors)).collect()))
}
