//! The name of a network interface, and the form of a result.

use std::fmt;
use std::str::FromStr;

use super::ValueError;

/// The longest name of a Linux interface, in octets: IFNAMSIZ less the terminating zero.
const LONGEST_NAME: usize = 15;

/// A name that a Linux interface can have. Whether there is one of that name, only the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let help = "`ip link` lists the interfaces";
        let why = if text.is_empty() || text == "." || text == ".." {
            "no interface can have this name"
        } else if text.len() > LONGEST_NAME {
            "the name of an interface has at most 15 octets"
        } else if text.chars().any(|character| character == '/' || character.is_whitespace() || character.is_control())
        {
            "the name of an interface has no slash and no blank"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(ValueError::new(why, help))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// How a result is printed on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

impl FromStr for OutputFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err(ValueError::new("there is no such format", "give table or json")),
        }
    }
}
