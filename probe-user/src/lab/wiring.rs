//! The link of the lab: a veth pair, set so that packets are lost only where a counter says so.

use std::{fs, io, net::IpAddr, os::fd::AsRawFd, path::Path};

use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_route::{
        address::{AddressAttribute, AddressFlags, AddressHeaderFlags},
        link::{InfoData, InfoVeth, LinkAttribute, LinkMessage},
    },
};

use super::{LabError, layout, layout::LabOptions, namespace::Namespace, queueing};
use crate::net::{
    Interface, NetError, interface, netlink,
    offload::{self, Offload},
};

/// One end of the link.
struct End {
    interface: &'static str,
    mac: [u8; 6],
    addresses: [(IpAddr, u8); 2],
}

impl End {
    /// All addresses, less those of an IP version that this kernel does not have.
    fn usable_addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let ipv6 = ipv6_is_there();
        self.addresses.into_iter().filter(move |(address, _)| address.is_ipv4() || ipv6)
    }
}

fn sender_end() -> End {
    End {
        interface: layout::SENDER_INTERFACE,
        mac: layout::SENDER_MAC,
        addresses: [
            (layout::SENDER_IPV4.into(), layout::IPV4_PREFIX_LENGTH),
            (layout::SENDER_IPV6.into(), layout::IPV6_PREFIX_LENGTH),
        ],
    }
}

fn reflector_end() -> End {
    End {
        interface: layout::REFLECTOR_INTERFACE,
        mac: layout::REFLECTOR_MAC,
        addresses: [
            (layout::REFLECTOR_IPV4.into(), layout::IPV4_PREFIX_LENGTH),
            (layout::REFLECTOR_IPV6.into(), layout::IPV6_PREFIX_LENGTH),
        ],
    }
}

/// Joins the two namespaces and makes the link ready for use.
pub(super) fn join(sender: &Namespace, reflector: &Namespace, options: &LabOptions) -> Result<(), LabError> {
    sender.enter(|| make_pair(reflector, options))??;
    sender.enter(|| configure(&sender_end(), options))??;
    reflector.enter(|| configure(&reflector_end(), options))??;
    Ok(())
}

/// Removes the end of the link that is in this namespace, if there is one. The other end goes with it.
pub(super) fn part(namespace: &Namespace) -> Result<(), LabError> {
    let removed = namespace.enter(|| {
        netlink::ask(async |handle| {
            for name in [layout::SENDER_INTERFACE, layout::REFLECTOR_INTERFACE] {
                if let Some(link) = interface::link(&handle, name).await? {
                    let request = handle.link().del(link.header.index);
                    request.execute().await.map_err(|error| NetError::netlink(format!("remove `{name}`"), &error))?;
                }
            }
            Ok(())
        })
    })?;
    Ok(removed?)
}

/// Whether both ends are there, up, and have the addresses, MTU and queues that they should have.
pub(super) fn is_whole(sender: &Namespace, reflector: &Namespace, mtu: u32, queues: u32) -> bool {
    let end_is_whole = |namespace: &Namespace, end: End| {
        let Ok(Ok(found)) = namespace.enter(|| Interface::find(end.interface)) else {
            return false;
        };
        found.require_up().is_ok()
            && (found.mtu, found.receive_queues, found.transmit_queues) == (mtu, queues, queues)
            && end.usable_addresses().all(|(address, _)| found.has_address(address))
    };
    end_is_whole(sender, sender_end()) && end_is_whole(reflector, reflector_end())
}

/// Makes both ends at once, each in its own namespace: neither ever exists elsewhere.
fn make_pair(reflector: &Namespace, options: &LabOptions) -> Result<(), LabError> {
    let near = sender_end();
    let far = reflector_end();
    let peer = end_attributes(LinkMessageBuilder::<LinkUnspec>::default().name(far.interface), &far, options)
        .setns_by_fd(reflector.file().as_raw_fd())
        .build();
    let pair: LinkMessage = end_attributes(LinkVeth::new(near.interface, far.interface), &near, options)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    netlink::ask(async |handle| {
        handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(|error| NetError::netlink(format!("make the veth pair `{}`", near.interface), &error))
    })?;
    Ok(())
}

fn end_attributes<T>(builder: LinkMessageBuilder<T>, end: &End, options: &LabOptions) -> LinkMessageBuilder<T> {
    builder
        .address(end.mac.to_vec())
        .mtu(options.mtu)
        .append_extra_attribute(LinkAttribute::NumTxQueues(options.queues))
        .append_extra_attribute(LinkAttribute::NumRxQueues(options.queues))
}

/// Sets up one end, from inside its namespace.
fn configure(end: &End, options: &LabOptions) -> Result<(), LabError> {
    let name = end.interface;
    if ipv6_is_there() {
        // Addresses would wait a second for duplicate address detection (RFC 4862 section 5.4); there is nobody else.
        write_setting(&format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "0")?;
        write_setting(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0")?;
        // Nor is there a router to solicit: one packet less that is not the measurement's.
        write_setting(&format!("/proc/sys/net/ipv6/conf/{name}/accept_ra"), "0")?;
    }
    set_offloads(name)?;
    netlink::ask(async |handle| {
        let refused = |operation: &str, error| NetError::netlink(format!("{operation} of `{name}`"), &error);
        let loopback = LinkUnspec::new_with_name("lo").up().build();
        handle.link().change(loopback).execute().await.map_err(|error| NetError::netlink("bring up `lo`", &error))?;
        let up = LinkUnspec::new_with_name(name).up().build();
        handle.link().change(up).execute().await.map_err(|error| refused("bring up the link", error))?;

        let index = index_of(&handle, name).await?;
        for (address, prefix_length) in end.usable_addresses() {
            let mut request = handle.address().add(index, address, prefix_length);
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            request.execute().await.map_err(|error| refused(&format!("set address {address}"), error))?;
        }
        queueing::hold_back(&handle, index, options.queues)
            .await
            .map_err(|error| refused("set the queue discipline", error))
    })?;
    Ok(())
}

async fn index_of(handle: &Handle, name: &str) -> Result<u32, NetError> {
    let link = interface::link(handle, name).await?;
    link.map(|link| link.header.index)
        .ok_or_else(|| NetError::refused(format!("find `{name}`"), io::Error::from_raw_os_error(nix::libc::ENODEV)))
}

/// Packets of sockets would reach XDP with half a checksum, or as segments longer than any packet, where the driver is
/// trusted to finish them. Joined on receipt, they would not be the packets that were sent.
fn set_offloads(interface: &str) -> Result<(), LabError> {
    // Checksums last: without them the kernel turns segmentation off by itself, yet would turn it on again with them.
    for spoiler in
        [Offload::TcpSegmentation, Offload::GenericSegmentation, Offload::GenericReceive, Offload::TransmitChecksum]
    {
        offload::set(interface, spoiler, false)?;
    }
    Ok(())
}

fn ipv6_is_there() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// `/proc/sys/net`, other than `/sys`, always shows the namespace of the thread that looks.
fn write_setting(path: &str, value: &str) -> Result<(), LabError> {
    match fs::write(path, value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LabError::refused(format!("write {value} to {path}"), error))
        }
        _ => Ok(()),
    }
}
