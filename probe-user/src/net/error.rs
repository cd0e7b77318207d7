//! What can go wrong while asking the kernel about the network.

use std::{fmt, io, net::IpAddr};

use super::offload::Offload;
use crate::report::advice::Advice;

/// A question about the network that has no good answer. Each message names the interface or address concerned;
/// [`Advice::help`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// No interface has this name in the current network namespace.
    #[error("there is no interface `{name}` here")]
    UnknownInterface {
        /// The name asked for.
        name: String,
        /// Existing names that look like it, the nearest first.
        suggestions: Vec<String>,
        /// Every interface that exists.
        existing: Vec<String>,
    },

    /// The interface is administratively down.
    #[error("interface `{name}` is down")]
    InterfaceDown {
        /// The interface.
        name: String,
    },

    /// The interface is up, yet has no carrier.
    #[error("interface `{name}` has no carrier")]
    NoCarrier {
        /// The interface.
        name: String,
    },

    /// Frames on the interface are not Ethernet frames.
    #[error("interface `{name}` does not carry Ethernet frames")]
    NotEthernet {
        /// The interface.
        name: String,
    },

    /// The routing table leads to the target over another interface, or not at all.
    #[error("no route to {target} over interface `{interface}`")]
    NoRoute {
        /// Where the packets were to go.
        target: IpAddr,
        /// The interface that they were to leave by.
        interface: String,
    },

    /// The target is this host itself: packets to it never reach an interface.
    #[error("{target} is an address of this host; packets to it never leave, so there is nothing to measure")]
    OwnAddress {
        /// The address asked for.
        target: IpAddr,
    },

    /// The target is a group, a broadcast address or no address at all.
    #[error("{target} is not a unicast address; a measurement has one far end")]
    NotUnicast {
        /// The address asked for.
        target: IpAddr,
    },

    /// Source and target are of different IP versions.
    #[error("source {source_address} and target {target} are of different IP versions")]
    MixedVersions {
        /// The source asked for.
        source_address: IpAddr,
        /// The target asked for.
        target: IpAddr,
    },

    /// The source address is not configured on this host.
    #[error("{source_address} is not an address of this host, so no reply would come back")]
    ForeignSource {
        /// The source asked for.
        source_address: IpAddr,
        /// The interface in use.
        interface: String,
        /// The interface's own addresses.
        own: Vec<IpAddr>,
    },

    /// The interface has no address from which packets to the target could be sent.
    #[error("interface `{interface}` has no address to send from to {target}")]
    NoSourceAddress {
        /// The interface in use.
        interface: String,
        /// Where the packets were to go.
        target: IpAddr,
    },

    /// The next hop did not tell its MAC address.
    #[error("no answer to {protocol} from {next_hop} on `{interface}`{}", on_the_way(*next_hop, *target))]
    NoNeighbour {
        /// The target itself, or the gateway to it.
        next_hop: IpAddr,
        /// Where the packets were to go.
        target: IpAddr,
        /// The interface asked on.
        interface: String,
        /// How it was asked.
        protocol: NeighbourProtocol,
    },

    /// The driver took the setting without an error and did not follow it.
    #[error("the driver of `{interface}` does not let {offload} be turned {}", if *wanted { "on" } else { "off" })]
    OffloadRefused {
        /// The interface.
        interface: String,
        /// The setting.
        offload: Offload,
        /// The value that was to be.
        wanted: bool,
    },

    /// The kernel refused a request.
    #[error("cannot {operation}: {source}")]
    Refused {
        /// What was asked for, as the end of "cannot ...".
        operation: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl NetError {
    /// A refused netlink request.
    pub(crate) fn netlink(operation: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other.to_string()),
        };
        Self::Refused { operation: operation.into(), source }
    }

    /// A refused system call.
    pub(crate) fn refused(operation: impl Into<String>, source: io::Error) -> Self {
        Self::Refused { operation: operation.into(), source }
    }
}

/// How a next hop is asked for its MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourProtocol {
    /// Address Resolution Protocol, RFC 826, for IPv4.
    Arp,
    /// Neighbor Discovery, RFC 4861, for IPv6.
    NeighborDiscovery,
}

impl NeighbourProtocol {
    /// The protocol that resolves this address.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Arp } else { Self::NeighborDiscovery }
    }
}

impl fmt::Display for NeighbourProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp => "ARP",
            Self::NeighborDiscovery => "neighbor discovery",
        })
    }
}

fn near_names(suggestions: &[String], existing: &[String]) -> String {
    let existing = format!("the interfaces here are {}", existing.join(", "));
    match suggestions {
        [] => existing,
        names => format!("did you mean `{}`? {existing}", names.join("` or `")),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".to_owned();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn on_the_way(next_hop: IpAddr, target: IpAddr) -> String {
    if next_hop == target { String::new() } else { format!(", the gateway to {target}") }
}

impl Advice for NetError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::UnknownInterface { suggestions, existing, .. } => near_names(suggestions, existing),
            Self::InterfaceDown { name } => format!("bring it up with `ip link set {name} up`"),
            Self::NoCarrier { .. } => "check the cable, or that the other end is up".to_owned(),
            Self::NotEthernet { .. } => "choose an Ethernet interface".to_owned(),
            Self::NoRoute { target, interface } => {
                format!("see `ip route get {target} oif {interface}`, and add a route or name another interface")
            }
            Self::OwnAddress { .. } | Self::NotUnicast { .. } => "give the address of a reflector".to_owned(),
            Self::MixedVersions { .. } => "give a source of the target's IP version, or none".to_owned(),
            Self::ForeignSource { interface, own, .. } => {
                format!("give an address of this host; interface `{interface}` has {}", list(own))
            }
            Self::NoSourceAddress { interface, .. } => {
                format!("add one with `ip address add ADDRESS/LENGTH dev {interface}`")
            }
            Self::NoNeighbour { interface, .. } => format!(
                "check that it is up and on this link, and that the address and prefix length of `{interface}` are right"
            ),
            Self::Refused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "this needs CAP_NET_ADMIN: run as root, or give it to the program with setcap".to_owned()
            }
            Self::OffloadRefused { .. } | Self::Refused { .. } => return None,
        })
    }
}
