//! What is settled before the first packet: who is meant, by which way, and how its packets look.

use std::net::{IpAddr, ToSocketAddrs as _};

use probe_wire::frame::{Addresses, Endpoints, TypeP};

use crate::configuration::{MeasurementConfiguration, StreamConfiguration, Target};
use crate::net::{Interface, Path, path};
use crate::port::StreamWire;
use crate::report::advice::Failure;

/// A stream whose target is known and reachable.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) configuration: StreamConfiguration,
    pub(super) address: IpAddr,
    pub(super) path: Path,
    pub(super) ip_length: u16,
    pub(super) seed: u64,
    pub(super) ssid: u16,
}

impl Prepared {
    /// The stream on the wire, from a port of ours.
    pub(super) fn wire(&self, source_port: u16) -> StreamWire {
        let addresses = match (self.path.source, self.address) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4(source.octets(), destination.octets()),
            (source, destination) => Addresses::V6(octets(source), octets(destination)),
        };
        let endpoints = Endpoints {
            source_mac: self.path.source_mac,
            destination_mac: self.path.next_hop_mac,
            addresses,
            source_port,
            destination_port: self.configuration.port,
        };
        let type_p = TypeP { dscp: self.configuration.dscp, ttl: self.configuration.ttl };
        StreamWire { endpoints, type_p, ip_length: self.ip_length }
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Finds every stream's target and way, and refuses what the interface cannot carry.
pub(super) fn prepare(
    configuration: &MeasurementConfiguration,
    interface: &Interface,
) -> Result<Vec<Prepared>, Failure> {
    let mut streams = Vec::with_capacity(configuration.streams.len());
    let first_ssid: u16 = rand::random_range(1..0x4000);
    for (index, stream) in configuration.streams.iter().enumerate() {
        let address = address_of(&stream.target, configuration.source)?;
        let path = path::resolve(address, interface, configuration.source)?;
        let ip_length = stream.ip_length(address)?;
        stream.check_mtu(ip_length, path.mtu)?;
        streams.push(Prepared {
            configuration: stream.clone(),
            address,
            path,
            ip_length,
            // Short enough to be typed again, and exact in every reader of JSON.
            seed: stream.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            ssid: first_ssid + index as u16,
        });
    }
    if let Some(speed) = interface.link_speed_bps {
        let lengths: Vec<u16> = streams.iter().map(|stream| stream.ip_length).collect();
        configuration.check_link_speed(&lengths, speed)?;
    }
    Ok(streams)
}

/// The address of a target: its own, or the first of its name that the source address can reach.
fn address_of(target: &Target, source: Option<IpAddr>) -> Result<IpAddr, Failure> {
    let name = match target {
        Target::Address(address) => return Ok(*address),
        Target::Name(name) => name,
    };
    let found = (name.as_str(), 0).to_socket_addrs().map_err(|error| Failure {
        causes: vec![error.to_string()],
        help: Some("check the name, or give the reflector's address".to_owned()),
        ..Failure::new(format!("cannot resolve {name}"))
    })?;
    found
        .map(|address| address.ip())
        .find(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()))
        .ok_or_else(|| Failure {
            help: Some("give an address of the same version as --source".to_owned()),
            ..Failure::new(format!("{name} has no address that can be reached from the source address"))
        })
}
