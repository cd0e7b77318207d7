//! Work that a driver takes over from the kernel, as far as it changes what a measurement sees.

use std::fmt;

use super::{
    NetError,
    ethtool_ioctl::{self, ValueCommands},
};

/// An offload that can spoil a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Transmit checksums are left to the hardware. On veth there is none: a UDP packet then reaches XDP with a
    /// partial checksum.
    TransmitChecksum,
    /// Generic segmentation offload: long segments travel through the stack as one and are cut up last.
    GenericSegmentation,
    /// TCP segmentation offload: the driver cuts up long segments.
    TcpSegmentation,
    /// Generic receive offload (GRO): arriving packets are joined, which delays and hides them.
    GenericReceive,
    /// Large receive offload (LRO): the same in hardware, and without a way back.
    LargeReceive,
    /// Receive VLAN offload: the tag is gone before XDP sees the frame.
    ReceiveVlan,
}

/// The offloads of one interface. What a driver does not have is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// [`Offload::TransmitChecksum`]
    pub transmit_checksum: bool,
    /// [`Offload::GenericSegmentation`]
    pub generic_segmentation: bool,
    /// [`Offload::TcpSegmentation`]
    pub tcp_segmentation: bool,
    /// [`Offload::GenericReceive`]
    pub generic_receive: bool,
    /// [`Offload::LargeReceive`]
    pub large_receive: bool,
    /// [`Offload::ReceiveVlan`]
    pub receive_vlan: bool,
}

/// Reads the offloads of an interface.
///
/// # Errors
///
/// [`NetError::Refused`] when there is no such interface.
pub fn read(interface: &str) -> Result<Offloads, NetError> {
    let get = |offload| get(interface, offload);
    Ok(Offloads {
        transmit_checksum: get(Offload::TransmitChecksum)?,
        generic_segmentation: get(Offload::GenericSegmentation)?,
        tcp_segmentation: get(Offload::TcpSegmentation)?,
        generic_receive: get(Offload::GenericReceive)?,
        large_receive: get(Offload::LargeReceive)?,
        receive_vlan: get(Offload::ReceiveVlan)?,
    })
}

/// Reads one offload.
///
/// # Errors
///
/// [`NetError::Refused`] when there is no such interface.
pub fn get(interface: &str, offload: Offload) -> Result<bool, NetError> {
    Ok(word(interface, offload)? & offload.mask() != 0)
}

/// Turns one offload on or off and gives the value that it had, for the caller to restore.
///
/// # Errors
///
/// [`NetError::OffloadRefused`] when the driver does not follow, [`NetError::Refused`] when there is no such interface
/// or CAP_NET_ADMIN is missing.
pub fn set(interface: &str, offload: Offload, on: bool) -> Result<bool, NetError> {
    let before = word(interface, offload)?;
    let was_on = before & offload.mask() != 0;
    if was_on == on {
        return Ok(was_on);
    }
    let refused = || NetError::OffloadRefused { interface: interface.to_owned(), offload, wanted: on };
    let wanted = if on { before | offload.bit() } else { before & !offload.mask() };
    ethtool_ioctl::set_value(interface, offload.commands(), wanted).map_err(|error| match error.raw_os_error() {
        Some(nix::libc::EOPNOTSUPP | nix::libc::EINVAL) => refused(),
        _ => NetError::refused(format!("set {offload} of `{interface}`"), error),
    })?;
    if get(interface, offload)? == on { Ok(was_on) } else { Err(refused()) }
}

fn word(interface: &str, offload: Offload) -> Result<u32, NetError> {
    ethtool_ioctl::value(interface, offload.commands())
        .map_err(|error| NetError::refused(format!("read {offload} of `{interface}`"), error))
}

impl Offload {
    /// The ethtool commands that read and write it.
    fn commands(self) -> ValueCommands {
        /// Several features in one word, `ETHTOOL_GFLAGS` and `ETHTOOL_SFLAGS`.
        const FLAGS: ValueCommands = ValueCommands { get: 0x25, set: 0x26 };
        match self {
            Self::TransmitChecksum => ValueCommands { get: 0x16, set: 0x17 },
            Self::TcpSegmentation => ValueCommands { get: 0x1e, set: 0x1f },
            Self::GenericSegmentation => ValueCommands { get: 0x23, set: 0x24 },
            Self::GenericReceive => ValueCommands { get: 0x2b, set: 0x2c },
            Self::LargeReceive | Self::ReceiveVlan => FLAGS,
        }
    }

    /// The bits that mean "on" when read.
    fn mask(self) -> u32 {
        match self {
            Self::LargeReceive | Self::ReceiveVlan => self.bit(),
            _ => u32::MAX,
        }
    }

    /// The bit to write for "on".
    fn bit(self) -> u32 {
        match self {
            Self::ReceiveVlan => 1 << 8,
            Self::LargeReceive => 1 << 15,
            _ => 1,
        }
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TransmitChecksum => "transmit checksum offload",
            Self::GenericSegmentation => "generic segmentation offload",
            Self::TcpSegmentation => "TCP segmentation offload",
            Self::GenericReceive => "generic receive offload",
            Self::LargeReceive => "large receive offload",
            Self::ReceiveVlan => "receive VLAN offload",
        })
    }
}
