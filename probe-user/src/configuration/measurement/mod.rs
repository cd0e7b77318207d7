//! A whole `measure` run: its streams and what they share.

mod builder;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ConfigurationError, FRAME_OVERHEAD_OCTETS, InterfaceName, LogConfiguration, StreamConfiguration, ValueError,
};

pub use builder::MeasurementBuilder;

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
    /// Tmax, above 0: how long a packet is waited for before it counts as lost (RFC 6673).
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
        MeasurementBuilder::new(interface)
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
