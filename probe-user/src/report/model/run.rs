//! When, by what, on which machine and over which interface was measured.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::configuration::Via;

/// One run of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// When the first packet was due; RFC 3339, UTC.
    pub start: Timestamp,
    /// When the waiting for the last packet ended; RFC 3339, UTC.
    pub end: Timestamp,
    /// Tmax: how long a packet was waited for before it counted as lost.
    pub tmax_ns: i64,
    /// Whether the run was ended before all packets were sent (by its user, or because the reflector fell silent).
    pub ended_early: bool,
    /// What measured.
    pub program: Program,
    /// What it ran on.
    pub host: Host,
}

/// The program that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// `leadline`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Program {
    /// This program.
    pub fn this() -> Self {
        Self { name: "leadline".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// What of the machine matters to a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The kernel's release, as `uname -r` gives it.
    pub kernel: String,
    /// Processors that were online.
    pub cpus: u32,
    /// The kernel's current clock source, such as `tsc`.
    pub clock_source: Option<String>,
    /// TAI less UTC in seconds as the kernel has it: 37 since 2017, 0 where nobody set it.
    pub tai_utc_offset_s: Option<i32>,
}

/// The local end of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// The interface's name.
    pub interface: String,
    /// Its driver, such as `veth`.
    pub driver: Option<String>,
    /// How the XDP program was attached.
    pub xdp_mode: XdpMode,
    /// Whether the rings share their memory with the NIC. What was got, not what was asked for.
    pub zero_copy: bool,
    /// Queues in use.
    pub queues: u32,
    /// How frames left and arrived.
    pub via: Via,
    /// The interface's MTU, octets of the IP packet.
    pub mtu: Option<u32>,
    /// Whom the frames were handed to.
    pub next_hop: Option<NextHop>,
}

/// The neighbour that frames were handed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextHop {
    /// Its IP address: the gateway's, or the target's own on its link.
    pub address: IpAddr,
    /// Its MAC address, as `02:00:00:00:00:01`.
    pub mac: Option<String>,
}

/// Where the XDP program ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// Behind the driver, in the kernel's generic code.
    Generic,
    /// There was none.
    None,
}
