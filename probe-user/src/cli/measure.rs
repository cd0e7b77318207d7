//! The options of `leadline measure`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::arguments::OutputArguments;
use crate::configuration::{
    ConfigurationError, InterfaceName, LogConfiguration, MeasurementBuilder, MeasurementConfiguration, Rate, Schedule,
    StreamOptions, Target, TimestampFormat, Via, parse_address, parse_duration, parse_socket_address,
    parse_whole_number,
};

#[derive(Debug, Args)]
pub(super) struct MeasureArguments {
    /// Address or host name of a reflector; several get a stream each
    #[arg(required = true, value_name = "TARGET", value_parser = Target::from_str)]
    targets: Vec<Target>,

    /// Interface where packets leave and replies arrive
    #[arg(long, value_name = "IF", value_parser = InterfaceName::from_str)]
    interface: InterfaceName,

    #[command(flatten)]
    shared: StreamArguments,

    /// Send such a stream, as schedule=poisson,rate=10kpps,size=200,dscp=46 (repeatable)
    ///
    /// Each --stream is a stream of its own to each target, all at the same time; what it does not say, the options
    /// above say. Keys: schedule, rate, duration, count, size, dscp, ttl, port, seed.
    #[arg(long = "stream", value_name = "KEY=VALUE,...", value_parser = StreamOptions::from_str, help_heading = "Streams")]
    streams: Vec<StreamOptions>,

    /// How long to wait for a packet before it counts as lost [default: 3s]
    ///
    /// The wait ends as soon as nothing is outstanding: a long one costs time only when packets are lost.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Waiting and stopping")]
    wait: Option<Duration>,

    /// Stop a stream whose reflector is silent for so long [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Waiting and stopping")]
    stop_after: Option<Duration>,

    /// Send although nobody answers
    ///
    /// Before a stream above 1 kpps, a few probes must be answered, and --stop-after ends it when the answers cease, so
    /// that nobody is flooded by mistake. This overrides both.
    #[arg(long, help_heading = "Waiting and stopping")]
    force: bool,

    /// How to send and receive: xdp or socket [default: xdp]
    ///
    /// xdp uses AF_XDP rings and an XDP program, with zero-copy where the driver has it. socket is for interfaces
    /// without native XDP: a UDP socket with the kernel's receive timestamps, slower and less exact.
    #[arg(long, value_name = "WAY", value_parser = Via::from_str, default_value = "xdp", hide_default_value = true, help_heading = "Sending and receiving")]
    via: Via,

    /// Use so many queues of the interface [default: all]
    #[arg(long, value_name = "N", value_parser = parse_whole_number, allow_negative_numbers = true, help_heading = "Sending and receiving")]
    queues: Option<u64>,

    /// Send from this address [default: the route's]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, help_heading = "Sending and receiving")]
    source: Option<IpAddr>,

    /// Timestamps in test packets: ntp or ptp [default: ntp]
    #[arg(long, value_name = "FORMAT", value_parser = TimestampFormat::from_str, default_value = "ntp", hide_default_value = true, help_heading = "Sending and receiving")]
    timestamp_format: TimestampFormat,

    /// Read the reflector's own counters here, before and after
    ///
    /// It must be a leadline reflector with --counters. What it lost itself is then no longer taken for the network's
    /// loss.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_socket_address, help_heading = "Sending and receiving")]
    reflector_counters: Option<SocketAddr>,

    /// Give intermediate results so often, as 1s [default: never]
    ///
    /// With --format table they are rows on standard output. With --format json they are JSON lines on standard error,
    /// since standard output carries exactly one document.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Output")]
    interval: Option<Duration>,

    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// The options that all streams of a run share.
#[derive(Debug, Args)]
#[command(next_help_heading = "Streams")]
struct StreamArguments {
    /// Rate in pps, kpps, Mpps, or in IP bits: bps, kbps, Mbps, Gbps [default: 100pps]
    #[arg(long, value_name = "RATE", value_parser = Rate::from_str)]
    rate: Option<Rate>,

    /// Send for so long, in ns, us, ms, s, min or h [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,

    /// Send so many packets, instead of --duration
    #[arg(long, value_name = "N", value_parser = parse_whole_number, allow_negative_numbers = true)]
    count: Option<u64>,

    /// Spacing of departures: periodic or poisson [default: periodic]
    ///
    /// periodic starts at a random moment and keeps equal intervals (RFC 3432). poisson draws exponential intervals
    /// (RFC 2330), so that no periodic event of the network is favoured or missed.
    #[arg(long, value_name = "SCHEDULE", value_parser = Schedule::from_str)]
    schedule: Option<Schedule>,

    /// Length of the IP packet in octets [default: the smallest, 72 for IPv4, 92 for IPv6]
    #[arg(long, value_name = "OCTETS", value_parser = parse_whole_number, allow_negative_numbers = true)]
    size: Option<u64>,

    /// Differentiated services code point, 0 to 63 [default: 0]
    #[arg(long, value_name = "N", value_parser = parse_whole_number, allow_negative_numbers = true)]
    dscp: Option<u64>,

    /// TTL or Hop Limit, 1 to 255 [default: 255]
    #[arg(long, value_name = "N", value_parser = parse_whole_number, allow_negative_numbers = true)]
    ttl: Option<u64>,

    /// UDP port of the reflector, 1 to 65535 [default: 862]
    #[arg(long, value_name = "PORT", value_parser = parse_whole_number, allow_negative_numbers = true)]
    port: Option<u64>,

    /// Seed of the random start and spacing: the same seed gives the same departures [default: random]
    ///
    /// Stream n takes the seed plus n.
    #[arg(long, value_name = "N", value_parser = parse_whole_number, allow_negative_numbers = true)]
    seed: Option<u64>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  Does anybody answer? A thousand packets in ten seconds:
      leadline measure 192.0.2.7 --interface eth0

  A dense stream at an exact rate, counted, with the report as JSON:
      leadline measure 192.0.2.7 --interface eth0 --rate 1Mpps --count 10000000 --format json

  50 Mbit/s of IP as large packets in the expedited forwarding class, with a result every second:
      leadline measure 192.0.2.7 --interface eth0 --rate 50Mbps --size 1500 --dscp 46 --interval 1s

  A periodic and a Poisson stream at the same time:
      leadline measure 192.0.2.7 --interface eth0 \\
          --stream schedule=periodic,rate=100kpps --stream schedule=poisson,rate=10kpps

  Loss in the long run, as RFC 6703 would have it waited for:
      leadline measure 192.0.2.7 --interface eth0 --rate 10pps --duration 24h --wait 51s

Exit status:
  0  all went well
  1  the run failed, or nobody answered
  2  the command line was at fault";

impl MeasureArguments {
    pub(super) fn configuration(self, log: LogConfiguration) -> Result<MeasurementConfiguration, ConfigurationError> {
        let mut builder = MeasurementConfiguration::builder(self.interface)
            .shared(self.shared.into())
            .report_interval(self.interval)
            .force(self.force)
            .via(self.via)
            .queues(self.queues)
            .source(self.source)
            .timestamp_format(self.timestamp_format)
            .reflector_counters(self.reflector_counters)
            .log(log);
        if let Some(wait) = self.wait {
            builder = builder.wait(wait);
        }
        if let Some(stop_after) = self.stop_after {
            builder = builder.stop_after(stop_after);
        }
        let builder = self.targets.into_iter().fold(builder, MeasurementBuilder::target);
        let builder = self.streams.into_iter().fold(builder, MeasurementBuilder::stream);
        builder.build()
    }
}

impl From<StreamArguments> for StreamOptions {
    fn from(arguments: StreamArguments) -> Self {
        Self {
            schedule: arguments.schedule,
            rate: arguments.rate,
            duration: arguments.duration,
            count: arguments.count,
            size: arguments.size,
            dscp: arguments.dscp,
            ttl: arguments.ttl,
            port: arguments.port,
            seed: arguments.seed,
        }
    }
}
