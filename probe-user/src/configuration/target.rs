//! Whom a stream is sent to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::ValueError;

/// The reflector of a stream, as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A unicast address.
    Address(IpAddr),
    /// A host name, to be resolved when the run begins.
    Name(String),
}

impl Target {
    /// The address, if it is known without asking the resolver.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }

    /// The address as a target, if a session can be had with it.
    ///
    /// # Errors
    /// An address that stands for no host or for several: a session has one reflector, and nobody is flooded by mistake.
    pub fn from_address(address: IpAddr) -> Result<Self, ValueError> {
        let why = if address.is_unspecified() {
            "this address stands for no host"
        } else if address.is_multicast() {
            "this is a multicast address, and a session has one reflector"
        } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
            "this is the broadcast address, and a session has one reflector"
        } else {
            return Ok(Self::Address(address.to_canonical()));
        };
        Err(ValueError::new(why, "give the unicast address of a reflector"))
    }
}

impl FromStr for Target {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::from_address(address);
        }
        if text.contains('%') {
            let help = "give the address without its zone, and the interface with --interface";
            return Err(ValueError::new("an address takes no zone here", help));
        }
        if text.contains(':') {
            let help = "give an address or a name alone, and the UDP port with --port";
            return Err(ValueError::new("this is neither an address nor a host name", help));
        }
        if is_host_name(text) {
            Ok(Self::Name(text.to_owned()))
        } else {
            let help = "give an IPv4 address, an IPv6 address or a host name";
            Err(ValueError::new("this is neither an address nor a host name", help))
        }
    }
}

/// Whether a text is a host name (RFC 1123 section 2.1; the underscore is let through, as resolvers do) and not an
/// address gone wrong: the last label of a name is not a number.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = name.rsplit('.').next().is_none_or(|label| label.bytes().all(|octet| octet.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(is_label) && !last_is_number
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => formatter.pad(&address.to_string()),
            Self::Name(name) => formatter.pad(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_and_names() {
        for text in ["198.18.0.2", "fd00:6c64::2", "reflector.example.net", "pop-7", "a1.example."] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(text.to_owned()));
        }
        let mapped = "::ffff:198.18.0.2".parse::<Target>();
        assert_eq!(mapped, Ok(Target::Address(Ipv4Addr::new(198, 18, 0, 2).into())));
    }

    #[test]
    fn refuses_what_cannot_answer() {
        for text in [
            "",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "fe80::1%eth0",
            "198.18.0.2:862",
            "[::1]",
            "198.18.0.256",
            "198.18.0",
            "-a.example",
            "a..b",
            "two words",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
