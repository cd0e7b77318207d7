//! What the kernel knows about the network that a measurement runs over: interfaces, routes, neighbours, offloads and
//! counters.
//!
//! A measurement writes whole Ethernet frames, so it must know beforehand what the kernel would have filled in for it:
//! source address, next hop, MAC addresses, MTU. It must also tell its own loss from the network's, for which it reads
//! the counters of the interface and of its driver. Everything here asks over netlink or the ethtool interface and
//! never reads `/sys`, because a thread that has entered another network namespace still sees the old namespace there.
//!
//! All functions are synchronous, act in the network namespace of the calling thread, and may be called from inside
//! an asynchronous runtime as well as outside of one.

mod error;
mod ethtool_ioctl;
pub mod interface;
mod neighbour;
pub(crate) mod netlink;
pub mod offload;
pub mod path;
pub mod statistics;

pub use error::{NeighbourProtocol, NetError};
pub use interface::Interface;
pub use path::Path;
