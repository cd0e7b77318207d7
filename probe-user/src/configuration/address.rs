//! Addresses and networks, with refusals that say what would do.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::ValueError;

/// Reads an IPv4 or IPv6 address.
///
/// # Errors
/// Anything else.
pub fn parse_address(text: &str) -> Result<IpAddr, ValueError> {
    text.parse().map_err(|_| ValueError::new("this is not an IP address", "give one as 192.0.2.7 or 2001:db8::7"))
}

/// Reads an address and a port.
///
/// # Errors
/// Anything else.
pub fn parse_socket_address(text: &str) -> Result<SocketAddr, ValueError> {
    let help = "give one as 192.0.2.7:4000 or [2001:db8::7]:4000";
    text.parse().map_err(|_| ValueError::new("this is not an address and a port", help))
}

/// Reads a network as `192.0.2.0/24`; an address alone is the network of that one host.
///
/// # Errors
/// Anything else.
pub fn parse_network(text: &str) -> Result<IpNet, ValueError> {
    let help = "give one as 192.0.2.0/24, 2001:db8::/32 or a single address";
    let host = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| host()).map_err(|_| ValueError::new("this is not a network", help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_network_too() {
        assert_eq!(parse_network("192.0.2.7"), Ok("192.0.2.7/32".parse().unwrap()));
        assert_eq!(parse_network("2001:db8::/32"), Ok("2001:db8::/32".parse().unwrap()));
        assert!(parse_network("192.0.2.0/33").is_err());
        assert!(parse_address("192.0.2").is_err());
        assert!(parse_socket_address("192.0.2.7").is_err());
        assert!(parse_socket_address("[2001:db8::7]:4000").is_ok());
    }
}
