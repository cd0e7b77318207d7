//! Counters that the kernel and the driver keep for an interface: the places where a packet can vanish on this host.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::LinkAttribute;

use super::{NetError, ethtool_ioctl, netlink};

/// The kernel's counters of one interface since it was made (`struct rtnl_link_stats64`), in packets or octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets received and dropped for want of room.
    pub rx_dropped: u64,
    /// Packets dropped on their way out; on veth, those that found the peer's ring full.
    pub tx_dropped: u64,
    /// Packets that the card dropped before the driver could take them.
    pub rx_missed_errors: u64,
    /// Packets lost in the card's own queue.
    pub rx_fifo_errors: u64,
    /// Packets received with a bad frame checksum.
    pub rx_crc_errors: u64,
    /// Packets that no protocol wanted.
    pub rx_nohandler: u64,
}

/// Reads the kernel's counters of the interface with this index.
///
/// # Errors
///
/// [`NetError::Refused`] when there is no such interface.
pub fn interface_counters(index: u32) -> Result<InterfaceCounters, NetError> {
    let operation = || format!("read the counters of interface {index}");
    let link = netlink::ask(async |handle| {
        let mut answer = Box::pin(handle.link().get().match_index(index).execute());
        answer.try_next().await.map_err(|error| NetError::netlink(operation(), &error))
    })?;
    let counters = link.into_iter().flat_map(|link| link.attributes).find_map(|attribute| match attribute {
        LinkAttribute::Stats64(counters) => Some(InterfaceCounters {
            rx_packets: counters.rx_packets,
            tx_packets: counters.tx_packets,
            rx_bytes: counters.rx_bytes,
            tx_bytes: counters.tx_bytes,
            rx_errors: counters.rx_errors,
            tx_errors: counters.tx_errors,
            rx_dropped: counters.rx_dropped,
            tx_dropped: counters.tx_dropped,
            rx_missed_errors: counters.rx_missed_errors,
            rx_fifo_errors: counters.rx_fifo_errors,
            rx_crc_errors: counters.rx_crc_errors,
            rx_nohandler: counters.rx_nohandler,
        }),
        _ => None,
    });
    counters
        .ok_or_else(|| NetError::refused(operation(), std::io::Error::other("the kernel's answer holds no counters")))
}

/// Reads the driver's own counters by their names, as `ethtool -S` shows them; empty where the driver has none.
///
/// # Errors
///
/// [`NetError::Refused`] when there is no such interface.
pub fn driver_counters(interface: &str) -> Result<BTreeMap<String, u64>, NetError> {
    match ethtool_ioctl::counters(interface) {
        Ok(counters) => Ok(counters.into_iter().collect()),
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => Ok(BTreeMap::new()),
        Err(error) => Err(NetError::refused(format!("read the driver's counters of `{interface}`"), error)),
    }
}
/// The sum of the driver's counters whose names begin and end so: those of all queues, for instance.
#[must_use]
pub fn sum_of(counters: &BTreeMap<String, u64>, prefix: &str, suffix: &str) -> u64 {
    counters.iter().filter(|(name, _)| name.starts_with(prefix) && name.ends_with(suffix)).map(|(_, count)| count).sum()
}
