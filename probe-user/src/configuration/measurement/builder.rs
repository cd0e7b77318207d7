//! How a measurement is put together and checked.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::{MeasurementConfiguration, TimestampFormat, Via};
use crate::configuration::{
    ConfigurationError, DurationText, InterfaceName, LogConfiguration, StreamConfiguration, StreamOptions, Target,
    ValueError,
};

/// The waiting time of most entries of the registry (RFC 8912).
const DEFAULT_WAIT: Duration = Duration::from_secs(3);
const DEFAULT_STOP_AFTER: Duration = Duration::from_secs(5);
/// The most streams of one run: each has frames, a port and some MiB of metrics of its own.
const MOST_STREAMS: usize = 256;

/// Collects the options of a measurement; [`MeasurementBuilder::build`] checks them.
#[derive(Debug, Clone)]
pub struct MeasurementBuilder {
    interface: InterfaceName,
    targets: Vec<Target>,
    shared: StreamOptions,
    streams: Vec<StreamOptions>,
    source: Option<IpAddr>,
    wait: Duration,
    report_interval: Option<Duration>,
    force: bool,
    stop_after: Duration,
    via: Via,
    timestamp_format: TimestampFormat,
    reflector_counters: Option<SocketAddr>,
    queues: Option<u64>,
    log: LogConfiguration,
}

impl MeasurementBuilder {
    pub(super) fn new(interface: InterfaceName) -> Self {
        Self {
            interface,
            targets: Vec::new(),
            shared: StreamOptions::default(),
            streams: Vec::new(),
            source: None,
            wait: DEFAULT_WAIT,
            report_interval: None,
            force: false,
            stop_after: DEFAULT_STOP_AFTER,
            via: Via::default(),
            timestamp_format: TimestampFormat::default(),
            reflector_counters: None,
            queues: None,
            log: LogConfiguration::default(),
        }
    }

    /// Adds a reflector.
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// The options that all streams share.
    pub fn shared(mut self, options: StreamOptions) -> Self {
        self.shared = options;
        self
    }

    /// Adds a stream to every target that differs from the shared options in these. Without any, there is one stream
    /// to each target.
    pub fn stream(mut self, options: StreamOptions) -> Self {
        self.streams.push(options);
        self
    }

    /// `--source`.
    pub fn source(mut self, source: Option<IpAddr>) -> Self {
        self.source = source;
        self
    }

    /// `--wait`; 3 s when never called.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// `--interval`.
    pub fn report_interval(mut self, interval: Option<Duration>) -> Self {
        self.report_interval = interval;
        self
    }

    /// `--force`.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// `--stop-after`; 5 s when never called.
    pub fn stop_after(mut self, stop_after: Duration) -> Self {
        self.stop_after = stop_after;
        self
    }

    /// `--via`.
    pub fn via(mut self, via: Via) -> Self {
        self.via = via;
        self
    }

    /// `--timestamp-format`.
    pub fn timestamp_format(mut self, format: TimestampFormat) -> Self {
        self.timestamp_format = format;
        self
    }

    /// `--reflector-counters`.
    pub fn reflector_counters(mut self, address: Option<SocketAddr>) -> Self {
        self.reflector_counters = address;
        self
    }

    /// `--queues`.
    pub fn queues(mut self, queues: Option<u64>) -> Self {
        self.queues = queues;
        self
    }

    /// `--log`.
    pub fn log(mut self, log: LogConfiguration) -> Self {
        self.log = log;
        self
    }

    /// Checks everything that can be checked without the kernel.
    ///
    /// # Errors
    /// The first option that cannot be as given.
    pub fn build(self) -> Result<MeasurementConfiguration, ConfigurationError> {
        above_zero("--wait", self.wait, "no reply could ever be in time", "3s")?;
        above_zero("--stop-after", self.stop_after, "the stream would stop before it began", "5s")?;
        if let Some(interval) = self.report_interval {
            above_zero("--interval", interval, "results cannot come without a pause", "1s")?;
        }
        if let Some(address) = self.reflector_counters.filter(|address| address.port() == 0) {
            let reason = ValueError::new("there is no port 0", "give the ADDRESS:PORT that the reflector was given");
            return Err(ConfigurationError::new("--reflector-counters", address, reason));
        }
        let queues = self.queues.map(queue_count).transpose()?;
        self.check_source()?;
        Ok(MeasurementConfiguration {
            streams: self.validated_streams()?,
            interface: self.interface,
            source: self.source,
            wait: self.wait,
            report_interval: self.report_interval,
            force: self.force,
            stop_after: self.stop_after,
            via: self.via,
            timestamp_format: self.timestamp_format,
            reflector_counters: self.reflector_counters,
            queues,
            log: self.log,
        })
    }

    fn check_source(&self) -> Result<(), ConfigurationError> {
        let Some(source) = self.source else {
            return Ok(());
        };
        let refuse =
            |why: String, help: &str| Err(ConfigurationError::new("--source", source, ValueError::new(why, help)));
        if source.is_unspecified() || source.is_multicast() {
            return refuse("no packet can come from this address".to_owned(), "give an address of the interface");
        }
        let other_family =
            |target: &&Target| target.address().is_some_and(|address| address.is_ipv6() != source.is_ipv6());
        match self.targets.iter().find(other_family) {
            None => Ok(()),
            Some(target) => refuse(
                format!("the target {target} is of the other IP version"),
                "give a source of the target's IP version, or leave it out for the route's own",
            ),
        }
    }

    fn validated_streams(&self) -> Result<Vec<StreamConfiguration>, ConfigurationError> {
        if self.targets.is_empty() {
            let reason = ValueError::new("there is nobody to send to", "give the address or name of a reflector");
            return Err(ConfigurationError::new("TARGET", "", reason));
        }
        let alone = [StreamOptions::default()];
        let (specifications, prefix) = match self.streams.as_slice() {
            [] => (alone.as_slice(), "--"),
            several => (several, "--stream "),
        };
        let count = self.targets.len().saturating_mul(specifications.len());
        if count > MOST_STREAMS {
            let reason =
                ValueError::new(format!("one run has at most {MOST_STREAMS} streams"), "measure in several runs");
            return Err(ConfigurationError::new("TARGET", format!("for {count} streams"), reason));
        }
        let pairs = self.targets.iter().flat_map(|target| specifications.iter().map(move |options| (target, options)));
        // Every stream draws from a seed of its own, or all would start together.
        pairs
            .zip(0u64..)
            .map(|((target, options), index)| {
                let seed = options.seed.or_else(|| self.shared.seed.map(|seed| seed.wrapping_add(index)));
                StreamOptions { seed, ..options.or(&self.shared) }.validate(target, prefix)
            })
            .collect()
    }
}

fn above_zero(option: &str, duration: Duration, why: &str, example: &str) -> Result<(), ConfigurationError> {
    if duration > Duration::ZERO {
        return Ok(());
    }
    let reason = ValueError::new(why, format!("give a time above 0, as in {example}"));
    Err(ConfigurationError::new(option, DurationText(duration), reason))
}

fn queue_count(queues: u64) -> Result<NonZeroU32, ConfigurationError> {
    u32::try_from(queues).ok().and_then(NonZeroU32::new).ok_or_else(|| {
        let reason = ValueError::new(
            "an interface has one queue at least and a few thousand at most",
            "give how many of the interface's queues to use, or leave it out for all",
        );
        ConfigurationError::new("--queues", queues, reason)
    })
}
