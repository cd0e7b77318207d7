//! A whole `reflect` run.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use super::{ConfigurationError, InterfaceName, LogConfiguration, STAMP_PORT, TimestampFormat, ValueError};

/// The form of the timestamps in replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReplyFormat {
    /// As the Z bit of the request's error estimate says (RFC 8762 section 4.2.1).
    #[default]
    AsRequested,
    /// This one, whatever the request has.
    Always(TimestampFormat),
}

impl FromStr for ReplyFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "request" => Ok(Self::AsRequested),
            "ntp" => Ok(Self::Always(TimestampFormat::Ntp)),
            "ptp" => Ok(Self::Always(TimestampFormat::Ptp)),
            _ => Err(ValueError::new("there is no such timestamp format", "give request, ntp or ptp")),
        }
    }
}

/// A validated reflector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReflectConfiguration {
    /// Where requests arrive and replies leave.
    pub interface: InterfaceName,
    /// The UDP ports that are answered: at least one, none twice.
    pub ports: Vec<u16>,
    /// Copies the sender's sequence numbers instead of counting its own (RFC 8762 section 4.3).
    pub stateless: bool,
    /// Whose requests are answered; empty: everybody's.
    pub allow: Vec<IpNet>,
    /// Addresses that are answered besides the interface's own; unicast.
    pub addresses: Vec<IpAddr>,
    /// The form of the timestamps in replies.
    pub timestamp_format: ReplyFormat,
    /// Where senders may read the counters, over TCP; `None`: nowhere.
    pub counters: Option<SocketAddr>,
    /// Which diagnostics are told.
    pub log: LogConfiguration,
}

impl ReflectConfiguration {
    /// Begins the configuration of a reflector on `interface`.
    pub fn builder(interface: InterfaceName) -> ReflectBuilder {
        ReflectBuilder {
            interface,
            ports: Vec::new(),
            stateless: false,
            allow: Vec::new(),
            addresses: Vec::new(),
            timestamp_format: ReplyFormat::default(),
            counters: None,
            log: LogConfiguration::default(),
        }
    }
}

/// Collects the options of a reflector; [`ReflectBuilder::build`] checks them.
#[derive(Debug, Clone)]
pub struct ReflectBuilder {
    interface: InterfaceName,
    ports: Vec<u64>,
    stateless: bool,
    allow: Vec<IpNet>,
    addresses: Vec<IpAddr>,
    timestamp_format: ReplyFormat,
    counters: Option<SocketAddr>,
    log: LogConfiguration,
}

impl ReflectBuilder {
    /// Adds a UDP port; 862 when never called.
    pub fn port(mut self, port: u64) -> Self {
        self.ports.push(port);
        self
    }

    /// `--stateless`.
    pub fn stateless(mut self, stateless: bool) -> Self {
        self.stateless = stateless;
        self
    }

    /// Adds a network whose requests are answered.
    pub fn allow(mut self, network: IpNet) -> Self {
        self.allow.push(network);
        self
    }

    /// Adds an address that is answered besides the interface's own.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// `--timestamp-format`.
    pub fn timestamp_format(mut self, format: ReplyFormat) -> Self {
        self.timestamp_format = format;
        self
    }

    /// `--counters`.
    pub fn counters(mut self, address: Option<SocketAddr>) -> Self {
        self.counters = address;
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
    pub fn build(self) -> Result<ReflectConfiguration, ConfigurationError> {
        for address in &self.addresses {
            if address.is_unspecified() || address.is_multicast() || is_broadcast(*address) {
                let reason = ValueError::new(
                    "a reflector never answers for an address of no host or of several",
                    "give a unicast address",
                );
                return Err(ConfigurationError::new("--address", address, reason));
            }
        }
        if let Some(counters) = self.counters.filter(|address| address.port() == 0) {
            let reason = ValueError::new("senders must know the port", "give a port from 1 to 65535");
            return Err(ConfigurationError::new("--counters", counters, reason));
        }
        Ok(ReflectConfiguration {
            ports: validated_ports(&self.ports)?,
            interface: self.interface,
            stateless: self.stateless,
            allow: self.allow.iter().map(IpNet::trunc).collect(),
            addresses: self.addresses,
            timestamp_format: self.timestamp_format,
            counters: self.counters,
            log: self.log,
        })
    }
}

fn validated_ports(given: &[u64]) -> Result<Vec<u16>, ConfigurationError> {
    let mut ports = Vec::with_capacity(given.len().max(1));
    for &port in given {
        let refuse = |why: &str, help: &str| Err(ConfigurationError::new("--port", port, ValueError::new(why, help)));
        match u16::try_from(port) {
            Err(_) | Ok(0) => return refuse("there is no such UDP port", "give 1 to 65535"),
            Ok(port) if ports.contains(&port) => {
                return refuse("the port is given twice", "give every port once");
            }
            Ok(port) => ports.push(port),
        }
    }
    if ports.is_empty() {
        ports.push(STAMP_PORT);
    }
    Ok(ports)
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ReflectBuilder {
        ReflectConfiguration::builder("probe1".parse().unwrap())
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let configuration = builder().build().unwrap();
        assert_eq!(configuration.ports, [862]);
        assert_eq!(configuration.timestamp_format, ReplyFormat::AsRequested);
        assert!(!configuration.stateless && configuration.allow.is_empty() && configuration.counters.is_none());
    }

    #[test]
    fn networks_lose_their_host_bits() {
        let configuration = builder().allow("198.18.0.1/15".parse().unwrap()).build().unwrap();
        assert_eq!(configuration.allow, ["198.18.0.0/15".parse::<IpNet>().unwrap()]);
    }

    #[test]
    fn a_reflector_that_cannot_be_is_refused() {
        for (refused, blamed) in [
            (builder().port(0), "--port 0"),
            (builder().port(65536), "--port 65536"),
            (builder().port(862).port(862), "--port 862"),
            (builder().address("224.0.0.1".parse().unwrap()), "--address 224.0.0.1"),
            (builder().address("255.255.255.255".parse().unwrap()), "--address 255.255.255.255"),
            (builder().address("::".parse().unwrap()), "--address ::"),
            (builder().counters("127.0.0.1:0".parse().ok()), "--counters 127.0.0.1:0"),
        ] {
            assert_eq!(refused.build().unwrap_err().to_string(), format!("{blamed} cannot be used"));
        }
        assert_eq!(builder().port(862).port(4000).build().unwrap().ports, [862, 4000]);
    }
}
