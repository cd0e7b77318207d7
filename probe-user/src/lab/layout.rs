//! What the lab is made of: names, addresses and settings.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use nix::unistd::{SysconfVar, sysconf};

use super::LabError;

/// The sender's end of the link.
pub const SENDER_INTERFACE: &str = "probe0";
/// The reflector's end of the link.
pub const REFLECTOR_INTERFACE: &str = "probe1";

/// The sender's IPv4 address, from the range for benchmarks (RFC 2544 appendix C.2.2).
pub const SENDER_IPV4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The reflector's IPv4 address.
pub const REFLECTOR_IPV4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// Prefix length of the IPv4 network, in bits.
pub const IPV4_PREFIX_LENGTH: u8 = 24;

/// The sender's IPv6 address, a unique local one (RFC 4193).
pub const SENDER_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x6c64, 0, 0, 0, 0, 0, 1);
/// The reflector's IPv6 address.
pub const REFLECTOR_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x6c64, 0, 0, 0, 0, 0, 2);
/// Prefix length of the IPv6 network, in bits.
pub const IPV6_PREFIX_LENGTH: u8 = 64;

/// The sender's Ethernet address: locally administered, and easy to see in a capture.
pub const SENDER_MAC: [u8; 6] = [0x02, 0x6c, 0x64, 0, 0, 1];
/// The reflector's Ethernet address.
pub const REFLECTOR_MAC: [u8; 6] = [0x02, 0x6c, 0x64, 0, 0, 2];

/// Where a lab leaves its traces, and nowhere else. Two labs with different layouts do not see each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name of the namespace in which commands run.
    pub sender_namespace: String,
    /// Name of the namespace in which the reflector runs.
    pub reflector_namespace: String,
    /// Holds the record of the lab and the reflector's log.
    pub state_folder: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            sender_namespace: "leadline-sender".to_owned(),
            reflector_namespace: "leadline-reflector".to_owned(),
            state_folder: PathBuf::from("/run/leadline/lab"),
        }
    }
}

impl Layout {
    /// A layout with names of its own, for a lab beside the one that everybody uses.
    pub fn named(name: &str) -> Self {
        Self {
            sender_namespace: format!("{name}-sender"),
            reflector_namespace: format!("{name}-reflector"),
            state_folder: PathBuf::from(format!("/run/leadline/{name}")),
        }
    }
}

/// How to make a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabOptions {
    /// Where.
    pub layout: Layout,
    /// MTU of the link in octets, 1280 (the least for IPv6, RFC 8200 section 5) to 65535. Native XDP on veth takes
    /// programs without fragment support up to about 3500 only.
    pub mtu: u32,
    /// Number of queues at each end, 1 to 4096.
    pub queues: u32,
    /// What answers in the second namespace; `None` for nothing at all.
    pub reflector: Option<Reflector>,
}

/// The program that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflector {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Whether it is ready only when an XDP program of its own sits on [`REFLECTOR_INTERFACE`]. Where it is not, it
    /// counts as ready once it runs.
    pub attaches_program: bool,
}

impl LabOptions {
    /// The lab of `leadline lab up`: an MTU of 1500 octets, a queue for every CPU, and this very program as reflector
    /// on the STAMP port (RFC 8762 section 4.1).
    ///
    /// # Errors
    ///
    /// [`LabError::Refused`] when the path of this program is not to be had.
    pub fn standard() -> Result<Self, LabError> {
        let program =
            std::env::current_exe().map_err(|source| LabError::refused("find this program's file", source))?;
        let arguments = ["reflect", "--interface", REFLECTOR_INTERFACE, "--port", "862"];
        let command = std::iter::once(program.into_os_string()).chain(arguments.map(OsString::from)).collect();
        Ok(Self { reflector: Some(Reflector { command, attaches_program: true }), ..Self::without_reflector() })
    }

    /// The same without a reflector.
    pub fn without_reflector() -> Self {
        Self { layout: Layout::default(), mtu: 1500, queues: online_cpus(), reflector: None }
    }

    pub(super) fn check(&self) -> Result<(), LabError> {
        let out_of_range = |option, value, least, most| LabError::OutOfRange { option, value, least, most };
        if !(1280..=65535).contains(&self.mtu) {
            return Err(out_of_range("mtu", self.mtu, 1280, 65535));
        }
        if !(1..=4096).contains(&self.queues) {
            return Err(out_of_range("queues", self.queues, 1, 4096));
        }
        Ok(())
    }
}

/// All that are online, not only those that this process may use: the sending CPU chooses the queue.
fn online_cpus() -> u32 {
    let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1).clamp(1, 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mtu_too_small_for_ipv6_is_refused_by_name() {
        let options = LabOptions { mtu: 1279, ..LabOptions::without_reflector() };
        let error = options.check().expect_err("too small");
        assert_eq!(error.to_string(), "lab option mtu is 1279; it must be between 1280 and 65535");
        assert!(LabOptions { mtu: 1280, ..options }.check().is_ok());
    }

    #[test]
    fn labs_of_different_names_share_nothing() {
        let (one, other) = (Layout::default(), Layout::named("other"));
        assert_ne!(one.sender_namespace, other.sender_namespace);
        assert_ne!(one.reflector_namespace, other.reflector_namespace);
        assert_ne!(one.state_folder, other.state_folder);
    }
}
