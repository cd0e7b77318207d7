//! A whole `measure` run: its streams and what they share.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ConfigurationError, DurationText, FRAME_OVERHEAD_OCTETS, InterfaceName, LogConfiguration, StreamConfiguration,
    StreamOptions, Target, ValueError,
};

/// The waiting time of most entries of the registry (RFC 8912).
const DEFAULT_WAIT: Duration = Duration::from_secs(3);
const DEFAULT_STOP_AFTER: Duration = Duration::from_secs(5);

/// How frames leave and arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// AF_XDP rings and an XDP program at the driver hook.
    #[default]
    Xdp,
    /// A UDP socket with the kernel's receive timestamps.
    Socket,
}

impl FromStr for Via {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "xdp" => Ok(Self::Xdp),
            "socket" => Ok(Self::Socket),
            _ => Err(ValueError::new("there is no such way to send and receive", "give xdp or socket")),
        }
    }
}

/// The form of a timestamp on the wire (RFC 8762 section 4.2.1, RFC 8186).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// The 64-bit NTP format: UTC, a 2^-32 second resolution.
    #[default]
    Ntp,
    /// The truncated PTPv2 format: TAI, a nanosecond resolution.
    Ptp,
}

impl FromStr for TimestampFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "ntp" => Ok(Self::Ntp),
            "ptp" => Ok(Self::Ptp),
            _ => Err(ValueError::new("there is no such timestamp format", "give ntp or ptp")),
        }
    }
}

/// A validated measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasurementConfiguration {
    /// The streams, at least one, all at the same time.
    pub streams: Vec<StreamConfiguration>,
    /// Where they leave and their replies arrive.
    pub interface: InterfaceName,
    /// The address they leave from; `None`: the one that the route asks for. Of the family of every address among the
    /// targets.
    pub source: Option<IpAddr>,
    /// Tmax, above 0: how long a packet is waited for before it counts as lost (RFC 6673 section 4).
    pub wait: Duration,
    /// How often intermediate results are given, above 0; `None`: never.
    pub report_interval: Option<Duration>,
    /// Sends although nobody has answered the first probes, and goes on when the reflector falls silent.
    pub force: bool,
    /// How long the reflector may be silent before the stream stops, above 0.
    pub stop_after: Duration,
    /// How frames leave and arrive.
    pub via: Via,
    /// The form of T1 on the wire.
    pub timestamp_format: TimestampFormat,
    /// Where our own reflector offers its counters.
    pub reflector_counters: Option<SocketAddr>,
    /// How many queues of the interface are used; `None`: all.
    pub queues: Option<NonZeroU32>,
    /// Which diagnostics are told.
    pub log: LogConfiguration,
}

impl MeasurementConfiguration {
    /// Begins a configuration of streams that leave through `interface`.
    pub fn builder(interface: InterfaceName) -> MeasurementBuilder {
        MeasurementBuilder {
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

    /// Whether a link of `bits_per_second` carries all streams at once. `ip_lengths` are those of the streams' packets,
    /// in their order ([`StreamConfiguration::ip_length`]); each frame takes [`FRAME_OVERHEAD_OCTETS`] more.
    ///
    /// # Errors
    /// When it does not: the error blames the fastest stream's rate.
    pub fn check_link_speed(&self, ip_lengths: &[u16], bits_per_second: u64) -> Result<(), ConfigurationError> {
        let on_link = |(stream, length): (&StreamConfiguration, &u16)| {
            stream.rate.link_bits_per_second(*length, FRAME_OVERHEAD_OCTETS)
        };
        let streams = || self.streams.iter().zip(ip_lengths);
        let total: u128 = streams().map(on_link).sum();
        if total <= u128::from(bits_per_second) {
            return Ok(());
        }
        let fastest = streams().max_by_key(|pair| on_link(*pair));
        let (rate, length) =
            fastest.map_or_else(Default::default, |(stream, length)| (stream.rate.to_string(), *length));
        let speed = bits_per_second as f64 / 1e6;
        let needed = total as f64 / 1e6;
        let why = match self.streams.len() {
            1 => format!(
                "this takes {needed:.0} Mbit/s on the link, headers and gaps included; {} has {speed:.0}",
                self.interface
            ),
            many => format!(
                "the {many} streams take {needed:.0} Mbit/s on the link, headers and gaps included; {} has {speed:.0}",
                self.interface
            ),
        };
        let frame_bits = (u64::from(length) + u64::from(FRAME_OVERHEAD_OCTETS)) * 8;
        let help = match self.streams.len() {
            1 => format!("give at most {}pps for packets of {length} octets", bits_per_second / frame_bits),
            _ => "lower the rates or drop a stream".to_owned(),
        };
        Err(ConfigurationError::new("--rate", rate, ValueError::new(why, help)))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Extent, Rate, Schedule};

    fn builder(targets: &[&str]) -> MeasurementBuilder {
        let builder = MeasurementConfiguration::builder("probe0".parse().unwrap());
        targets.iter().fold(builder, |builder, target| builder.target(target.parse().unwrap()))
    }

    fn shared(text: &str) -> Result<MeasurementConfiguration, ConfigurationError> {
        builder(&["198.18.0.2"]).shared(text.parse().unwrap()).build()
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let configuration = builder(&["198.18.0.2", "fd00:6c64::2", "reflector.example"]).build().unwrap();
        assert_eq!(configuration.wait, Duration::from_secs(3));
        assert_eq!(configuration.stop_after, Duration::from_secs(5));
        assert_eq!(configuration.streams.len(), 3);
        let stream = &configuration.streams[0];
        assert_eq!(stream.schedule, Schedule::Periodic);
        assert_eq!(stream.extent, Extent::Duration(Duration::from_secs(10)));
        assert_eq!((stream.dscp, stream.ttl, stream.port, stream.seed), (0, 255, 862, None));
        // The smallest STAMP frame has 90 octets over IPv4: 14 of Ethernet and 4 of check sequence around the packet.
        assert_eq!(stream.ip_length("198.18.0.2".parse().unwrap()), Ok(72));
        assert_eq!(stream.ip_length("fd00::1".parse().unwrap()), Ok(92));
    }

    #[test]
    fn streams_are_targets_times_specifications() {
        let options = |text: &str| text.parse::<StreamOptions>().unwrap();
        let configuration = builder(&["198.18.0.2", "198.18.0.3"])
            .shared(options("dscp=46,seed=7"))
            .stream(options("rate=100kpps"))
            .stream(options("schedule=poisson,rate=10kpps,seed=99"))
            .build()
            .unwrap();
        let seen: Vec<_> = configuration
            .streams
            .iter()
            .map(|stream| {
                (stream.target.to_string(), stream.schedule, stream.rate.to_string(), stream.dscp, stream.seed)
            })
            .collect();
        let expected = [
            ("198.18.0.2", Schedule::Periodic, "100kpps", 46, Some(7)),
            ("198.18.0.2", Schedule::Poisson, "10kpps", 46, Some(99)),
            ("198.18.0.3", Schedule::Periodic, "100kpps", 46, Some(9)),
            ("198.18.0.3", Schedule::Poisson, "10kpps", 46, Some(99)),
        ];
        assert_eq!(
            seen,
            expected.map(|(target, schedule, rate, dscp, seed)| (
                target.to_owned(),
                schedule,
                rate.to_owned(),
                dscp,
                seed
            ))
        );
    }

    #[test]
    fn a_stream_that_cannot_be_is_refused() {
        for (text, blamed) in [
            ("rate=0pps", "--rate 0pps"),
            ("rate=0bps", "--rate 0bps"),
            ("count=0", "--count 0"),
            ("count=18446744073709551615", "--count 18446744073709551615"),
            ("duration=0s", "--duration 0s"),
            ("duration=10s,count=5", "--duration 10s"),
            ("size=0", "--size 0"),
            ("size=71", "--size 71"),
            ("size=65536", "--size 65536"),
            ("dscp=64", "--dscp 64"),
            ("ttl=0", "--ttl 0"),
            ("ttl=256", "--ttl 256"),
            ("port=0", "--port 0"),
            ("port=65536", "--port 65536"),
        ] {
            let error = shared(text).unwrap_err();
            assert_eq!(error.to_string(), format!("{blamed} cannot be used"));
            assert!(!error.reason().to_string().is_empty() && !error.reason().help().is_empty(), "{text}");
            let error = builder(&["198.18.0.2"]).stream(text.parse().unwrap()).build().unwrap_err();
            let blamed = blamed.replacen("--", "--stream ", 1);
            let (key, value) = blamed.rsplit_once(' ').unwrap();
            assert_eq!(error.to_string(), format!("{key}={value} cannot be used"));
        }
        for text in
            ["size=72", "size=65535", "dscp=63", "ttl=1", "port=65535", "count=1", "duration=1ns", "rate=0.000001bps"]
        {
            assert!(shared(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_smallest_packet_depends_on_the_family() {
        let size = |target: &str, size: u64| {
            builder(&[target]).shared(StreamOptions { size: Some(size), ..StreamOptions::default() }).build()
        };
        assert!(size("fd00::2", 91).is_err());
        assert!(size("fd00::2", 92).is_ok());
        let named = size("reflector.example", 80).unwrap();
        assert!(named.streams[0].ip_length("198.18.0.2".parse().unwrap()).is_ok());
        let error = named.streams[0].ip_length("fd00::2".parse().unwrap()).unwrap_err();
        assert_eq!(error.reason().to_string(), "the smallest STAMP packet over IPv6 has 92 octets (RFC 8762)");
    }

    #[test]
    fn a_run_that_cannot_be_is_refused() {
        let one = || builder(&["198.18.0.2"]);
        for (refused, blamed) in [
            (builder(&[]), "TARGET"),
            (one().wait(Duration::ZERO), "--wait 0s"),
            (one().stop_after(Duration::ZERO), "--stop-after 0s"),
            (one().report_interval(Some(Duration::ZERO)), "--interval 0s"),
            (one().queues(Some(0)), "--queues 0"),
            (one().queues(Some(1 << 32)), "--queues 4294967296"),
            (one().source("::1".parse().ok()), "--source ::1"),
            (one().source("0.0.0.0".parse().ok()), "--source 0.0.0.0"),
            (one().source("224.0.0.1".parse().ok()), "--source 224.0.0.1"),
            (one().reflector_counters("198.18.0.2:0".parse().ok()), "--reflector-counters 198.18.0.2:0"),
        ] {
            assert_eq!(refused.build().unwrap_err().to_string(), format!("{blamed} cannot be used"));
        }
        assert!(one().source("198.18.0.1".parse().ok()).queues(Some(2)).build().is_ok());
    }

    #[test]
    fn the_mtu_bounds_the_packet() {
        let configuration = shared("size=1500").unwrap();
        assert!(configuration.streams[0].check_mtu(1500, 1500).is_ok());
        let error = configuration.streams[0].check_mtu(1500, 1499).unwrap_err();
        assert_eq!(error.to_string(), "--size 1500 cannot be used");
    }

    #[test]
    fn the_link_bounds_the_rate() {
        // 110 octets on the link for each 72-octet packet: 10^9 / 880 = 1136363.6 packets a second.
        let gigabit = 1_000_000_000;
        assert!(shared("rate=1136363pps").unwrap().check_link_speed(&[72], gigabit).is_ok());
        let error = shared("rate=1136364pps").unwrap().check_link_speed(&[72], gigabit).unwrap_err();
        assert_eq!(error.reason().help(), "give at most 1136363pps for packets of 72 octets");

        let half: StreamOptions = "rate=600kpps".parse().unwrap();
        let two = builder(&["198.18.0.2"]).stream(half.clone()).stream(half).build().unwrap();
        assert!(two.check_link_speed(&[72, 72], gigabit).is_err());
        assert!(two.check_link_speed(&[72, 72], 2 * gigabit).is_ok());
    }

    #[test]
    fn a_rate_has_an_exact_interval() {
        let configuration = shared("rate=3pps").unwrap();
        assert_eq!(configuration.streams[0].interval(72).departure(3), 1_000_000_000);
        assert_eq!(configuration.streams[0].rate, Rate::packets_per_second(3));
    }
}
