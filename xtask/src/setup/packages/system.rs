//! Which Linux this is, as far as its package manager goes.

use std::fs;

/// Systems that share a package manager and its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Debian,
    Fedora,
    Arch,
    Other,
}

/// The system that this runs on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) family: Family,
    /// As it calls itself.
    pub(crate) name: String,
}

impl System {
    /// Reads `/etc/os-release`; a system without that file is of no known family.
    pub(crate) fn here() -> Self {
        Self::from_os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn from_os_release(text: &str) -> Self {
        let field = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find_map(|(name, value)| (name == key).then(|| value.trim().trim_matches(['"', '\''])))
        };
        let family =
            [field("ID"), field("ID_LIKE")].into_iter().flatten().flat_map(str::split_whitespace).find_map(|word| {
                match word {
                    "debian" | "ubuntu" => Some(Family::Debian),
                    "fedora" | "rhel" => Some(Family::Fedora),
                    "arch" => Some(Family::Arch),
                    _ => None,
                }
            });
        Self { family: family.unwrap_or(Family::Other), name: field("PRETTY_NAME").unwrap_or("this system").to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(text: &str) -> Family {
        System::from_os_release(text).family
    }

    #[test]
    fn the_family_comes_from_the_identity_or_its_likes() {
        assert_eq!(family("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"), Family::Debian);
        assert_eq!(family("ID=ubuntu\nID_LIKE=debian\n"), Family::Debian);
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Family::Debian);
        assert_eq!(family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Family::Fedora);
        assert_eq!(family("ID=manjaro\nID_LIKE=arch\n"), Family::Arch);
    }

    #[test]
    fn an_unknown_system_is_other_and_keeps_its_name() {
        let system = System::from_os_release("NAME=Void\nPRETTY_NAME='Void Linux'\nID=void\n");
        assert_eq!(system, System { family: Family::Other, name: "Void Linux".to_owned() });
        assert_eq!(System::from_os_release("").name, "this system");
    }

    #[test]
    fn a_key_that_only_ends_alike_is_not_taken() {
        assert_eq!(family("BUILD_ID=debian\nVARIANT_ID=arch\n"), Family::Other);
    }
}
