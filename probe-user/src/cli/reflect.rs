//! The options of `leadline reflect`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::Args;
use ipnet::IpNet;

use super::arguments::OutputArguments;
use crate::configuration::{
    ConfigurationError, InterfaceName, LogConfiguration, ReflectBuilder, ReflectConfiguration, ReplyFormat,
    parse_address, parse_network, parse_socket_address, parse_whole_number,
};

#[derive(Debug, Args)]
pub(super) struct ReflectArguments {
    /// Interface where requests arrive and replies leave
    #[arg(long, value_name = "IF", value_parser = InterfaceName::from_str)]
    interface: InterfaceName,

    /// UDP port to answer, 1 to 65535 (repeatable) [default: 862]
    #[arg(long = "port", value_name = "PORT", value_parser = parse_whole_number, allow_negative_numbers = true)]
    ports: Vec<u64>,

    /// Copy the sender's sequence numbers instead of counting replies
    ///
    /// A stateful reflector numbers its replies in each session, so that a sender can tell loss on the way there from
    /// loss on the way back (RFC 8762 section 4.3). A stateless one keeps nothing.
    #[arg(long)]
    stateless: bool,

    /// Answer only requests from this network (repeatable) [default: all]
    #[arg(long = "allow", value_name = "CIDR", value_parser = parse_network)]
    allow: Vec<IpNet>,

    /// Answer requests to this address, besides the interface's own (repeatable)
    #[arg(long = "address", value_name = "ADDRESS", value_parser = parse_address)]
    addresses: Vec<IpAddr>,

    /// Timestamps in replies: request, ntp or ptp [default: request]
    ///
    /// request answers in the format that the request has (its Z bit).
    #[arg(long, value_name = "FORMAT", value_parser = ReplyFormat::from_str, default_value = "request", hide_default_value = true)]
    timestamp_format: ReplyFormat,

    /// Offer the counters to senders at this address, read-only [default: nowhere]
    ///
    /// A sender that is given the same address with --reflector-counters reads them before and after its run, and can
    /// then tell what this reflector lost from what the network lost.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_socket_address)]
    counters: Option<SocketAddr>,

    #[command(flatten)]
    pub(super) output: OutputArguments,
}

impl ReflectArguments {
    pub(super) fn configuration(self, log: LogConfiguration) -> Result<ReflectConfiguration, ConfigurationError> {
        let builder = ReflectConfiguration::builder(self.interface)
            .stateless(self.stateless)
            .timestamp_format(self.timestamp_format)
            .counters(self.counters)
            .log(log);
        let builder = self.ports.into_iter().fold(builder, ReflectBuilder::port);
        let builder = self.allow.into_iter().fold(builder, ReflectBuilder::allow);
        let builder = self.addresses.into_iter().fold(builder, ReflectBuilder::address);
        builder.build()
    }
}
