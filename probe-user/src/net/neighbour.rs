//! The MAC address of a next hop: read from the kernel's neighbour table, and put there if it is not known yet.

use std::{net::IpAddr, time::Duration};

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourState},
    },
};
use tokio::time::{Instant, sleep};

use super::NetError;

/// The kernel asks three times, one second apart (RFC 4861 section 10, and the same for ARP), before it gives up.
const PATIENCE: Duration = Duration::from_millis(3500);

/// How often the table is read while the kernel asks.
const PAUSE: Duration = Duration::from_millis(10);

/// The MAC address of `next_hop` on the interface, or `None` when it does not answer.
pub(super) async fn resolve(handle: &Handle, index: u32, next_hop: IpAddr) -> Result<Option<[u8; 6]>, NetError> {
    let entry = lookup(handle, index, next_hop).await?;
    match entry.state {
        state if is_certain(state) => return Ok(entry.mac),
        // An address that was good once. The kernel would verify it when a packet of its own stack uses it; frames
        // that pass by the stack never make it do so.
        NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
            provoke(handle, index, next_hop, NeighbourState::Probe, NeighbourFlags::empty()).await?;
            if let Some(mac) = answer(handle, index, next_hop).await? {
                return Ok(Some(mac));
            }
            // Only the old address was asked, and the host may have another card by now: ask everybody.
        }
        _ => {}
    }
    provoke(handle, index, next_hop, NeighbourState::None, NeighbourFlags::Use).await?;
    answer(handle, index, next_hop).await
}

/// Waits for the kernel to be certain, one way or the other.
async fn answer(handle: &Handle, index: u32, next_hop: IpAddr) -> Result<Option<[u8; 6]>, NetError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let entry = lookup(handle, index, next_hop).await?;
        match entry.state {
            state if is_certain(state) => return Ok(entry.mac),
            NeighbourState::Failed => return Ok(None),
            _ => sleep(PAUSE).await,
        }
    }
    Ok(None)
}

fn is_certain(state: NeighbourState) -> bool {
    matches!(state, NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp)
}

struct Entry {
    state: NeighbourState,
    mac: Option<[u8; 6]>,
}

async fn lookup(handle: &Handle, index: u32, address: IpAddr) -> Result<Entry, NetError> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let mut neighbours = Box::pin(handle.neighbours().get().set_address_family(family).execute());
    let wanted = NeighbourAttribute::Destination(NeighbourAddress::from(address));
    let mut found = Entry { state: NeighbourState::None, mac: None };
    // Read the dump to its end: what is left unread would be mixed into the next answer.
    while let Some(neighbour) =
        neighbours.try_next().await.map_err(|error| NetError::netlink("read the neighbour table", &error))?
    {
        if neighbour.header.ifindex == index && neighbour.attributes.contains(&wanted) {
            let mac = neighbour.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(octets) => octets.as_slice().try_into().ok(),
                _ => None,
            });
            found = Entry { state: neighbour.header.state, mac };
        }
    }
    Ok(found)
}

/// Makes the kernel ask for the address, without a packet of ours that the far end would have to wonder about.
async fn provoke(
    handle: &Handle,
    index: u32,
    address: IpAddr,
    state: NeighbourState,
    flags: NeighbourFlags,
) -> Result<(), NetError> {
    let request = handle.neighbours().add(index, address).state(state).flags(flags).replace();
    request.execute().await.map_err(|error| NetError::netlink(format!("have {address} resolved"), &error))
}
