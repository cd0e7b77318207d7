//! The way from this host to a target: what a frame's headers must say to get there.

use std::{io, net::IpAddr};

use futures_util::TryStreamExt;
use nix::libc;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteType, RouteVia},
    },
};

use super::{Interface, NeighbourProtocol, NetError, interface, neighbour, netlink};

/// The first hop towards a target, and the address to send from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The address of this host that replies come back to.
    pub source: IpAddr,
    /// The Ethernet address of the interface.
    pub source_mac: [u8; 6],
    /// The target itself, or the gateway to it; of the other IP version where the route says so (RFC 5549).
    pub next_hop: IpAddr,
    /// The Ethernet address of the next hop.
    pub next_hop_mac: [u8; 6],
    /// The longest IP packet that goes this way, in octets, as far as this host knows.
    pub mtu: u32,
}

/// Asks the kernel how packets to `target` would leave by `interface`, from `source` if one is given.
///
/// Waits up to 3.5 s for the next hop to tell its MAC address, and twice that where it had told another one before.
///
/// # Errors
///
/// [`NetError::NotUnicast`], [`NetError::OwnAddress`], [`NetError::MixedVersions`], [`NetError::ForeignSource`],
/// [`NetError::NotEthernet`], [`NetError::NoRoute`], [`NetError::NoSourceAddress`] and [`NetError::NoNeighbour`] say
/// what stands in the way; [`NetError::Refused`] that the kernel does not answer or CAP_NET_ADMIN is missing.
pub fn resolve(target: IpAddr, interface: &Interface, source: Option<IpAddr>) -> Result<Path, NetError> {
    check_target(target, source)?;
    if !interface.ethernet {
        return Err(NetError::NotEthernet { name: interface.name.clone() });
    }
    netlink::ask(async |handle| {
        check_addresses(&handle, target, interface, source).await?;
        let route = route(&handle, target, interface, source).await?;
        let source =
            route.source.ok_or_else(|| NetError::NoSourceAddress { interface: interface.name.clone(), target })?;
        let next_hop = route.gateway.unwrap_or(target);
        let next_hop_mac =
            neighbour::resolve(&handle, interface.index, next_hop).await?.ok_or_else(|| NetError::NoNeighbour {
                next_hop,
                target,
                interface: interface.name.clone(),
                protocol: NeighbourProtocol::of(next_hop),
            })?;
        let mtu = route.mtu.map_or(interface.mtu, |mtu| mtu.min(interface.mtu));
        Ok(Path { source, source_mac: interface.mac, next_hop, next_hop_mac, mtu })
    })
}

/// Refuses what can be refused without asking the kernel.
fn check_target(target: IpAddr, source: Option<IpAddr>) -> Result<(), NetError> {
    let broadcast = matches!(target, IpAddr::V4(address) if address.is_broadcast());
    if target.is_multicast() || target.is_unspecified() || broadcast {
        return Err(NetError::NotUnicast { target });
    }
    if target.is_loopback() {
        return Err(NetError::OwnAddress { target });
    }
    match source {
        Some(source_address) if source_address.is_ipv4() != target.is_ipv4() => {
            Err(NetError::MixedVersions { source_address, target })
        }
        _ => Ok(()),
    }
}

/// Holds when the target is another host's address and the source is this host's.
async fn check_addresses(
    handle: &Handle,
    target: IpAddr,
    interface: &Interface,
    source: Option<IpAddr>,
) -> Result<(), NetError> {
    let own = interface::addresses(handle, None).await?;
    if own.iter().any(|own| own.address == target) {
        return Err(NetError::OwnAddress { target });
    }
    match source {
        Some(source_address) if !own.iter().any(|own| own.address == source_address) => Err(NetError::ForeignSource {
            source_address,
            interface: interface.name.clone(),
            own: interface.addresses.iter().map(|own| own.address).collect(),
        }),
        _ => Ok(()),
    }
}

#[derive(Debug, Default)]
struct Route {
    source: Option<IpAddr>,
    gateway: Option<IpAddr>,
    mtu: Option<u32>,
}

async fn route(
    handle: &Handle,
    target: IpAddr,
    interface: &Interface,
    source: Option<IpAddr>,
) -> Result<Route, NetError> {
    // Asked about an interface that no route leads over, the kernel takes an IPv4 target to be on its link. Only the
    // question for the matching entry of the table tells that there is none.
    ask(handle, target, interface, source, RouteFlags::FibMatch).await?;
    let answer = ask(handle, target, interface, source, RouteFlags::empty()).await?;

    match answer.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Err(NetError::OwnAddress { target }),
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
            return Err(NetError::NotUnicast { target });
        }
        _ => return Err(no_route(target, interface)),
    }
    let mut route = Route { source, ..Route::default() };
    for attribute in answer.attributes {
        match attribute {
            RouteAttribute::Oif(index) if index != interface.index => {
                return Err(no_route(target, interface));
            }
            RouteAttribute::PrefSource(address) => route.source = route.source.or(ip(&address)),
            RouteAttribute::Gateway(address) => route.gateway = ip(&address),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some(address.into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => route.gateway = Some(address.into()),
            RouteAttribute::Metrics(metrics) => {
                route.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Ok(route)
}

async fn ask(
    handle: &Handle,
    target: IpAddr,
    interface: &Interface,
    source: Option<IpAddr>,
    flags: RouteFlags,
) -> Result<RouteMessage, NetError> {
    let mut question = RouteMessage::default();
    let (family, bits) = if target.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
    question.header.address_family = family;
    question.header.destination_prefix_length = bits;
    question.header.flags = flags;
    question.attributes.push(RouteAttribute::Destination(RouteAddress::from(target)));
    question.attributes.push(RouteAttribute::Oif(interface.index));
    if let Some(source) = source {
        question.header.source_prefix_length = bits;
        question.attributes.push(RouteAttribute::Source(RouteAddress::from(source)));
    }
    let mut answers = Box::pin(handle.route().get(question).execute());
    match answers.try_next().await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(no_route(target, interface)),
        Err(rtnetlink::Error::NetlinkError(message)) if means_no_route(&message.to_io()) => {
            Err(no_route(target, interface))
        }
        Err(error) => Err(NetError::netlink(format!("ask for the route to {target}"), &error)),
    }
}

/// `EACCES` is what a `prohibit` route answers, `EINVAL` a `blackhole` route.
fn means_no_route(error: &io::Error) -> bool {
    let no_route = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN, libc::EACCES, libc::EINVAL];
    error.raw_os_error().is_some_and(|code| no_route.contains(&code))
}

fn no_route(target: IpAddr, interface: &Interface) -> NetError {
    NetError::NoRoute { target, interface: interface.name.clone() }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, source: Option<&str>) -> Result<(), NetError> {
        let address = |text: &str| text.parse().expect("the test writes addresses");
        check_target(address(target), source.map(address))
    }

    #[test]
    fn groups_and_broadcasts_have_no_one_far_end() {
        for target in ["224.0.0.1", "ff02::1", "255.255.255.255", "0.0.0.0", "::"] {
            assert!(matches!(check(target, None), Err(NetError::NotUnicast { .. })), "{target}");
        }
    }

    #[test]
    fn loopback_is_this_host() {
        for target in ["127.0.0.1", "127.1.2.3", "::1"] {
            assert!(matches!(check(target, None), Err(NetError::OwnAddress { .. })), "{target}");
        }
    }

    #[test]
    fn source_and_target_speak_the_same_version() {
        assert!(matches!(check("192.0.2.1", Some("2001:db8::1")), Err(NetError::MixedVersions { .. })));
        assert!(check("192.0.2.1", Some("192.0.2.2")).is_ok());
        assert!(check("fe80::1", Some("2001:db8::1")).is_ok());
    }
}
