//! One stream of test packets: the options that describe it, and the same once validated.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::number::parse_whole_number;
use super::{
    ConfigurationError, DurationText, Interval, MAXIMUM_IP_LENGTH, Rate, STAMP_PORT, Target, ValueError,
    parse_duration, smallest_ip_length,
};

const DEFAULT_RATE: Rate = Rate::packets_per_second(100);
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// A standard-formed packet's TTL is sufficient or 255 (RFC 8468); with 255 the far end can count the hops.
const DEFAULT_TTL: u64 = 255;
/// The most packets of one stream: almost a year of 10 Mpps.
const MAXIMUM_COUNT: u64 = 1 << 48;

/// How a stream's departures are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Equal intervals from a random start (RFC 3432).
    #[default]
    Periodic,
    /// Exponentially distributed intervals (RFC 2330 section 11.1.1).
    Poisson,
}

impl FromStr for Schedule {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "periodic" => Ok(Self::Periodic),
            "poisson" => Ok(Self::Poisson),
            _ => Err(ValueError::new("there is no such schedule", "give periodic or poisson")),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Periodic => "periodic",
            Self::Poisson => "poisson",
        })
    }
}

/// When a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// After this time: what departs before its end is sent.
    Duration(Duration),
    /// After this many packets.
    Count(u64),
}

/// A stream as it is asked for: what is `None` takes the shared option's value, and then the default.
///
/// It reads the text of `--stream`: comma-separated `KEY=VALUE` pairs, the keys being the options' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// `--schedule`.
    pub schedule: Option<Schedule>,
    /// `--rate`.
    pub rate: Option<Rate>,
    /// `--duration`.
    pub duration: Option<Duration>,
    /// `--count`, packets.
    pub count: Option<u64>,
    /// `--size`, octets of the IP packet.
    pub size: Option<u64>,
    /// `--dscp`, 0 to 63.
    pub dscp: Option<u64>,
    /// `--ttl`, 1 to 255.
    pub ttl: Option<u64>,
    /// `--port`, 1 to 65535.
    pub port: Option<u64>,
    /// `--seed`.
    pub seed: Option<u64>,
}

const KEYS: &str = "schedule, rate, duration, count, size, dscp, ttl, port, seed";

impl FromStr for StreamOptions {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut options = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for pair in text.split(',') {
            let help = || format!("write KEY=VALUE,..., as in schedule=poisson,rate=10kpps; keys: {KEYS}");
            let (key, value) = pair
                .trim()
                .split_once('=')
                .ok_or_else(|| ValueError::new(format!("{pair:?} is not KEY=VALUE"), help()))?;
            if seen.contains(&key) {
                return Err(ValueError::new(format!("{key} is given twice"), "give every key once"));
            }
            seen.push(key);
            options.set(key, value).map_err(|refusal| match refusal {
                None => ValueError::new(format!("{key:?} is not a key"), help()),
                Some(error) => ValueError::new(format!("{key}={value}: {error}"), error.help()),
            })?;
        }
        Ok(options)
    }
}

impl StreamOptions {
    /// Sets one option; `Err(None)` says that there is no such key.
    fn set(&mut self, key: &str, value: &str) -> Result<(), Option<ValueError>> {
        match key {
            "schedule" => self.schedule = Some(value.parse()?),
            "rate" => self.rate = Some(value.parse()?),
            "duration" => self.duration = Some(parse_duration(value)?),
            "count" => self.count = Some(parse_whole_number(value)?),
            "size" => self.size = Some(parse_whole_number(value)?),
            "dscp" => self.dscp = Some(parse_whole_number(value)?),
            "ttl" => self.ttl = Some(parse_whole_number(value)?),
            "port" => self.port = Some(parse_whole_number(value)?),
            "seed" => self.seed = Some(parse_whole_number(value)?),
            _ => return Err(None),
        }
        Ok(())
    }

    /// These options, completed by `shared` where they say nothing. A duration or a count of its own replaces either.
    pub(super) fn or(&self, shared: &Self) -> Self {
        let has_extent = self.duration.is_some() || self.count.is_some();
        Self {
            schedule: self.schedule.or(shared.schedule),
            rate: self.rate.or(shared.rate),
            duration: if has_extent { self.duration } else { shared.duration },
            count: if has_extent { self.count } else { shared.count },
            size: self.size.or(shared.size),
            dscp: self.dscp.or(shared.dscp),
            ttl: self.ttl.or(shared.ttl),
            port: self.port.or(shared.port),
            seed: self.seed.or(shared.seed),
        }
    }

    /// Checks the options, fills in the defaults, and makes them the stream to `target`. `prefix` is what stands before
    /// an option's name when an error blames it: `--`, or `--stream ` for one of several.
    pub(super) fn validate(&self, target: &Target, prefix: &str) -> Result<StreamConfiguration, ConfigurationError> {
        let name = |option: &str| match prefix {
            "--" => format!("--{option}"),
            _ => format!("{prefix}{option}="),
        };
        let within = |option: &str, value: u64, range: std::ops::RangeInclusive<u64>, why: &str| {
            if range.contains(&value) {
                return Ok(value);
            }
            let help = format!("give {} to {}", range.start(), range.end());
            Err(ConfigurationError::new(name(option), value, ValueError::new(why, help)))
        };

        let rate = self.rate.unwrap_or(DEFAULT_RATE);
        if rate.is_zero() {
            let reason = ValueError::new("nothing would ever be sent", "give a rate above 0, as in 100pps");
            return Err(ConfigurationError::new(name("rate"), rate, reason));
        }
        let extent = match (self.duration, self.count) {
            (Some(duration), Some(_)) => {
                let reason =
                    ValueError::new("--duration and --count both say when the stream ends", "give one of them");
                return Err(ConfigurationError::new(name("duration"), DurationText(duration), reason));
            }
            (Some(Duration::ZERO), None) => {
                let reason = ValueError::new("nothing would ever be sent", "give a longer duration, as in 10s");
                return Err(ConfigurationError::new(name("duration"), "0s", reason));
            }
            (Some(duration), None) => Extent::Duration(duration),
            (None, Some(0)) => {
                let reason = ValueError::new("nothing would ever be sent", "give a count of 1 or more");
                return Err(ConfigurationError::new(name("count"), 0, reason));
            }
            (None, Some(count)) => {
                within("count", count, 1..=MAXIMUM_COUNT, "no run sends so many packets").map(Extent::Count)?
            }
            (None, None) => Extent::Duration(DEFAULT_DURATION),
        };
        let stream = StreamConfiguration {
            target: target.clone(),
            schedule: self.schedule.unwrap_or_default(),
            rate,
            extent,
            size: None,
            dscp: within("dscp", self.dscp.unwrap_or(0), 0..=63, "a DSCP has six bits (RFC 2474)")? as u8,
            ttl: within("ttl", self.ttl.unwrap_or(DEFAULT_TTL), 1..=255, "no packet with this TTL can be forwarded")?
                as u8,
            port: within("port", self.port.unwrap_or(STAMP_PORT.into()), 1..=65535, "there is no such UDP port")?
                as u16,
            seed: self.seed,
            size_option: name("size"),
        };
        let Some(size) = self.size else {
            return Ok(stream);
        };
        if size > u64::from(MAXIMUM_IP_LENGTH) {
            let reason = ValueError::new("no IP packet is so long", format!("give at most {MAXIMUM_IP_LENGTH}"));
            return Err(ConfigurationError::new(name("size"), size, reason));
        }
        let stream = StreamConfiguration { size: Some(size as u16), ..stream };
        // Of a name, the family is not known yet: what is too small for IPv4 is too small for both.
        let address = target.address().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        stream.ip_length(address).map(|_| stream)
    }
}

/// One validated stream: whom it is sent to, when, and how its packets look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfiguration {
    /// The reflector.
    pub target: Target,
    /// How departures are spaced.
    pub schedule: Schedule,
    /// How fast; never 0.
    pub rate: Rate,
    /// When the stream ends; neither 0 nor empty.
    pub extent: Extent,
    /// The IP packet's length as asked for, in octets; see [`StreamConfiguration::ip_length`].
    size: Option<u16>,
    /// The differentiated services code point, 0 to 63 (RFC 2474).
    pub dscp: u8,
    /// The TTL or Hop Limit that packets leave with, 1 to 255.
    pub ttl: u8,
    /// The reflector's UDP port, 1 to 65535.
    pub port: u16,
    /// The seed of this stream's randomness (start of a periodic stream, gaps of a Poisson one); `None`: draw one.
    pub seed: Option<u64>,
    /// How an error names the size.
    size_option: String,
}

impl StreamConfiguration {
    /// The length of the stream's IP packets in octets, now that the target's address is known: the size asked for, or
    /// the smallest STAMP packet (72 for IPv4, 92 for IPv6).
    ///
    /// # Errors
    /// When the size asked for is smaller than that.
    pub fn ip_length(&self, destination: IpAddr) -> Result<u16, ConfigurationError> {
        let smallest = smallest_ip_length(destination);
        match self.size {
            None => Ok(smallest),
            Some(size) if size >= smallest => Ok(size),
            Some(size) => {
                let version = if destination.is_ipv6() { "IPv6" } else { "IPv4" };
                let why = format!("the smallest STAMP packet over {version} has {smallest} octets (RFC 8762)");
                let reason = ValueError::new(why, format!("give {smallest} or more, or leave it out for the smallest"));
                Err(ConfigurationError::new(&self.size_option, size, reason))
            }
        }
    }

    /// Whether packets of `ip_length` octets fit the interface's `mtu` (octets of the IP packet), unfragmented.
    ///
    /// # Errors
    /// When they do not.
    pub fn check_mtu(&self, ip_length: u16, mtu: u32) -> Result<(), ConfigurationError> {
        if u32::from(ip_length) <= mtu {
            return Ok(());
        }
        let why = format!("the interface takes {mtu} octets (its MTU), and fragments are not measured");
        let help = format!("give at most {mtu}, or raise the MTU");
        Err(ConfigurationError::new(&self.size_option, ip_length, ValueError::new(why, help)))
    }

    /// The exact time between departures of packets of `ip_length` octets: the interval of a periodic stream, the mean
    /// of a Poisson one.
    pub fn interval(&self, ip_length: u16) -> Interval {
        // A validated rate is not 0, and no rate leaves the range of Interval.
        self.rate.interval(ip_length).expect("a rate above 0 has an interval")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> StreamOptions {
        text.parse().unwrap()
    }

    #[test]
    fn a_specification_names_what_differs() {
        let poisson = options("schedule=poisson,rate=10kpps, size=200,dscp=46");
        assert_eq!(poisson.schedule, Some(Schedule::Poisson));
        assert_eq!(poisson.rate, Some(Rate::packets_per_second(10_000)));
        assert_eq!((poisson.size, poisson.dscp, poisson.port), (Some(200), Some(46), None));
        let shared = StreamOptions { port: Some(4000), dscp: Some(10), ..StreamOptions::default() };
        let merged = poisson.or(&shared);
        assert_eq!((merged.port, merged.dscp), (Some(4000), Some(46)));
    }

    #[test]
    fn an_extent_of_its_own_replaces_the_shared_one() {
        let shared = StreamOptions { count: Some(5), ..StreamOptions::default() };
        let merged = options("duration=1s").or(&shared);
        assert_eq!((merged.duration, merged.count), (Some(Duration::from_secs(1)), None));
        assert_eq!(options("dscp=1").or(&shared).count, Some(5));
    }

    #[test]
    fn a_specification_says_which_key_is_wrong() {
        for (text, why) in [
            ("fast", "\"fast\" is not KEY=VALUE"),
            ("speed=1pps", "\"speed\" is not a key"),
            ("rate=10", "rate=10: a rate needs a unit"),
            ("dscp=ef", "dscp=ef: this is not a whole number"),
            ("dscp=1,dscp=2", "dscp is given twice"),
            ("schedule=burst", "schedule=burst: there is no such schedule"),
            ("", "\"\" is not KEY=VALUE"),
        ] {
            assert_eq!(text.parse::<StreamOptions>().map_err(|error| error.to_string()), Err(why.to_owned()));
        }
    }
}
