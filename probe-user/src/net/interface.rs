//! One network interface, as the kernel describes it.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        address::AddressAttribute,
        link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
    },
};

use super::{NetError, ethtool_ioctl, netlink};

/// A network interface at the moment of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// The kernel's number for it, unique within the network namespace.
    pub index: u32,
    /// Its Ethernet address; all zero where the interface has none.
    pub mac: [u8; 6],
    /// Whether frames on it are Ethernet frames.
    pub ethernet: bool,
    /// The longest IP packet that it carries, in octets.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether the other end of the link is there.
    pub carrier: bool,
    /// The driver's name, such as `veth` or `ixgbe`; empty where the driver does not tell.
    pub driver: String,
    /// Number of receive queues in use, at least 1.
    pub receive_queues: u32,
    /// Number of transmit queues in use, at least 1.
    pub transmit_queues: u32,
    /// The addresses configured on it.
    pub addresses: Vec<InterfaceAddress>,
    /// Link speed in bits per second; `None` where the driver does not know it.
    pub link_speed_bps: Option<u64>,
    /// The XDP program that sits on it, if any.
    pub xdp: Option<AttachedXdp>,
}

/// An address of an interface and the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address itself, not the network's.
    pub address: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub prefix_length: u8,
}

/// An XDP program that is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's number for the program; 0 where several programs are attached in different modes.
    pub program_id: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// The place where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before the kernel makes a socket buffer: "native".
    Native,
    /// After the socket buffer was made: "generic" or "SKB".
    Generic,
    /// On the network card itself.
    Hardware,
    /// Several programs in several places.
    Several,
}

impl Interface {
    /// Finds an interface of the current network namespace by its name.
    ///
    /// # Errors
    ///
    /// [`NetError::UnknownInterface`], which lists what exists and suggests what looks alike, or
    /// [`NetError::Refused`] when the kernel does not answer.
    pub fn find(name: &str) -> Result<Self, NetError> {
        let mut interface = netlink::ask(async |handle| match link(&handle, name).await? {
            Some(message) => {
                let mut interface = Self::from_message(&message);
                interface.addresses = addresses(&handle, Some(interface.index)).await?;
                Ok(interface)
            }
            None => Err(unknown(name, names_over(&handle).await?)),
        })?;
        interface.ask_driver();
        Ok(interface)
    }

    /// Holds when frames can be sent: up, and with a carrier.
    ///
    /// # Errors
    ///
    /// [`NetError::InterfaceDown`] or [`NetError::NoCarrier`].
    pub fn require_up(&self) -> Result<(), NetError> {
        if !self.up {
            return Err(NetError::InterfaceDown { name: self.name.clone() });
        }
        if !self.carrier {
            return Err(NetError::NoCarrier { name: self.name.clone() });
        }
        Ok(())
    }

    /// Whether `address` is configured on this interface.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.address == address)
    }

    fn from_message(message: &LinkMessage) -> Self {
        let mut interface = Self {
            name: String::new(),
            index: message.header.index,
            mac: [0; 6],
            ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            carrier: message.header.flags.contains(LinkFlags::LowerUp),
            driver: String::new(),
            receive_queues: 1,
            transmit_queues: 1,
            addresses: Vec::new(),
            link_speed_bps: None,
            xdp: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::Address(octets) => interface.mac = octets.as_slice().try_into().unwrap_or([0; 6]),
                LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
                LinkAttribute::NumRxQueues(count) => interface.receive_queues = *count,
                LinkAttribute::NumTxQueues(count) => interface.transmit_queues = *count,
                LinkAttribute::Xdp(xdp) => interface.xdp = attached_xdp(xdp),
                _ => {}
            }
        }
        interface
    }

    /// Adds what only the driver knows. A driver that does not answer leaves the general values in place: the link
    /// message gives the queues that were made, which is all of them where the driver cannot use fewer.
    fn ask_driver(&mut self) {
        self.driver = ethtool_ioctl::driver_name(&self.name).unwrap_or_default();
        self.link_speed_bps = ethtool_ioctl::link_speed_bps(&self.name).ok().flatten();
        if let Ok(Some((receive, transmit))) = ethtool_ioctl::queues(&self.name) {
            self.receive_queues = receive;
            self.transmit_queues = transmit;
        }
    }
}

/// The names of all interfaces of the current network namespace, in the kernel's order.
///
/// # Errors
///
/// [`NetError::Refused`] when the kernel does not answer.
pub fn names() -> Result<Vec<String>, NetError> {
    netlink::ask(async |handle| names_over(&handle).await)
}

/// The link of that name, if there is one.
pub(crate) async fn link(handle: &Handle, name: &str) -> Result<Option<LinkMessage>, NetError> {
    // The kernel refuses a name of 16 octets or more as malformed, which would hide that it is merely unknown.
    if name.is_empty() || name.len() >= nix::libc::IFNAMSIZ {
        return Ok(None);
    }
    match handle.link().get().match_name(name).execute().try_next().await {
        Ok(found) => Ok(found),
        Err(rtnetlink::Error::NetlinkError(message)) if message.to_io().raw_os_error() == Some(nix::libc::ENODEV) => {
            Ok(None)
        }
        Err(error) => Err(NetError::netlink(format!("ask for interface `{name}`"), &error)),
    }
}

/// The addresses of one interface, or of all.
pub(crate) async fn addresses(handle: &Handle, index: Option<u32>) -> Result<Vec<InterfaceAddress>, NetError> {
    let mut request = handle.address().get();
    if let Some(index) = index {
        request = request.set_link_index_filter(index);
    }
    let messages: Vec<_> =
        request.execute().try_collect().await.map_err(|error| NetError::netlink("list addresses", &error))?;
    Ok(messages
        .iter()
        .filter_map(|message| {
            // On a point-to-point link `Address` is the far end and `Local` is ours; elsewhere they agree, and
            // IPv6 often has `Address` alone.
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
            let plain = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            let address = local.or(plain)?;
            Some(InterfaceAddress { address, prefix_length: message.header.prefix_len })
        })
        .collect())
}

async fn names_over(handle: &Handle) -> Result<Vec<String>, NetError> {
    let links: Vec<_> = handle
        .link()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|error| NetError::netlink("list interfaces", &error))?;
    Ok(links
        .into_iter()
        .flat_map(|link| link.attributes)
        .filter_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })
        .collect())
}

fn attached_xdp(attributes: &[LinkXdp]) -> Option<AttachedXdp> {
    let mode = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(XdpMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(XdpMode::Generic),
        LinkXdp::Attached(XdpAttached::Hardware) => Some(XdpMode::Hardware),
        LinkXdp::Attached(XdpAttached::Multiple) => Some(XdpMode::Several),
        _ => None,
    })?;
    let program_id = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    });
    Some(AttachedXdp { program_id: program_id.unwrap_or(0), mode })
}

fn unknown(name: &str, existing: Vec<String>) -> NetError {
    NetError::UnknownInterface { name: name.to_owned(), suggestions: near(name, &existing), existing }
}

/// Names that a slip of the finger could have turned into `name`, the nearest first.
fn near(name: &str, existing: &[String]) -> Vec<String> {
    const ALIKE: f64 = 0.8;
    let mut near: Vec<(f64, &String)> = existing
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::advice::Advice as _;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let existing = strings(&["lo", "eth0", "enp3s0f1", "probe0"]);
        assert_eq!(near("ehh0", &existing), ["eth0"]);
        assert_eq!(near("enp3s0f0", &existing), ["enp3s0f1"]);
        assert_eq!(near("PROBE0", &existing), ["probe0"]);
    }

    #[test]
    fn nothing_alike_suggests_nothing_and_still_lists_what_exists() {
        let error = unknown("wlan7", strings(&["lo", "eth0"]));
        assert_eq!(error.to_string(), "there is no interface `wlan7` here");
        assert_eq!(error.help().as_deref(), Some("the interfaces here are lo, eth0"));
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let error = unknown("probe", strings(&["probe10", "probe0", "lo"]));
        let help = error.help().expect("there is something to do");
        assert_eq!(help, "did you mean `probe0` or `probe10`? the interfaces here are probe10, probe0, lo");
    }

    #[test]
    fn a_link_without_a_program_has_none() {
        assert_eq!(attached_xdp(&[LinkXdp::Attached(XdpAttached::None)]), None);
        assert_eq!(
            attached_xdp(&[LinkXdp::Attached(XdpAttached::SocketBuffer), LinkXdp::ProgId(7)]),
            Some(AttachedXdp { program_id: 7, mode: XdpMode::Generic })
        );
    }

    #[test]
    fn an_interface_that_cannot_send_says_why() {
        let mut interface = Interface::from_message(&LinkMessage::default());
        interface.name = "eth9".to_owned();
        assert!(matches!(interface.require_up(), Err(NetError::InterfaceDown { name }) if name == "eth9"));
        interface.up = true;
        assert!(matches!(interface.require_up(), Err(NetError::NoCarrier { .. })));
        interface.carrier = true;
        assert!(interface.require_up().is_ok());
    }
}
