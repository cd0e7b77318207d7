//! What sits on an interface: its XDP program, and whose it is.

use std::fmt;
use std::io;
use std::time::SystemTime;

use aya::programs::{ProgramInfo, loaded_programs};
use jiff::{Timestamp, Unit};
use libbpf_rs::query::{LinkInfoIter, LinkTypeInfo};
use probe_wire::shared::PROGRAM;

use super::processes::{ProcessName, holders_of, list};
use super::{AttachError, Mode, link_fd};

/// The XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// The kernel's number for the program.
    pub program_id: u32,
    /// The program's name, at most 15 characters.
    pub program_name: String,
    /// Where it runs.
    pub mode: Mode,
    /// The link that holds it on the interface; `None` when it was attached through netlink and stays until removed.
    pub link_id: Option<u32>,
    /// The user who loaded it.
    pub loaded_by_user: Option<u32>,
    /// When it was loaded.
    pub loaded_at: Option<SystemTime>,
    /// The processes that hold the program or its link, as far as they can be seen.
    pub holders: Vec<ProcessName>,
}

impl Occupant {
    /// Looks at an interface of the current network namespace, by index. `None` when it has no XDP program.
    ///
    /// # Errors
    ///
    /// [`AttachError::UnknownInterface`], [`AttachError::NotPermitted`] without CAP_SYS_ADMIN when there is a program,
    /// and [`AttachError::System`] when the kernel cannot be asked.
    pub fn of(interface: u32) -> Result<Option<Self>, AttachError> {
        Ok(Self::without_holders(interface)?.map(Self::with_holders))
    }

    /// The same without the search for the holders, which reads a file for every descriptor on the host.
    pub(super) fn without_holders(interface: u32) -> Result<Option<Self>, AttachError> {
        let Some((program_id, mode)) = program_on(interface)? else { return Ok(None) };
        // A program that is gone by now left the interface meanwhile.
        let Some(program) = program(program_id)? else { return Ok(None) };
        Ok(Some(Self {
            program_id,
            program_name: String::from_utf8_lossy(program.name()).into_owned(),
            mode,
            link_id: link_of(interface, program_id),
            loaded_by_user: program.created_by_uid(),
            loaded_at: program.loaded_at(),
            holders: Vec::new(),
        }))
    }

    /// Looks for the processes that hold the program.
    pub(super) fn with_holders(self) -> Self {
        Self { holders: holders_of(self.program_id), ..self }
    }

    /// True when the program carries Leadline's name.
    #[must_use]
    pub fn is_leadline(&self) -> bool {
        self.program_name == PROGRAM
    }

    /// What to do when the program is in the way.
    pub(crate) fn advice(&self, interface: &str) -> String {
        match (self.link_id, self.holders.first()) {
            (Some(_), Some(holder)) => format!("stop {holder}, or use another interface"),
            (Some(link), None) => {
                format!(
                    "if nobody needs it, remove it with `bpftool link detach id {link}`; else use another interface"
                )
            }
            (None, _) => format!(
                "if nobody needs it, remove it with `ip link set dev {interface} xdp off`; else use another interface"
            ),
        }
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\" (id {}, {} mode", self.program_name, self.program_id, self.mode)?;
        match self.link_id {
            Some(link) => write!(formatter, ", attached by link {link}")?,
            None => write!(formatter, ", attached through netlink")?,
        }
        if let Some(user) = self.loaded_by_user {
            write!(formatter, ", loaded by user {user}")?;
        }
        if let Some(time) = self.loaded_at.and_then(whole_second) {
            write!(formatter, " at {time}")?;
        }
        match self.holders.as_slice() {
            [] => write!(formatter, ", held by no process that can be seen)"),
            holders => write!(formatter, ", held by {})", list(holders)),
        }
    }
}

/// The number of the program that an interface runs, and where it runs it.
pub(super) fn program_on(interface: u32) -> Result<Option<(u32, Mode)>, AttachError> {
    let programs = link_fd::programs_on(interface).map_err(|source| match source.raw_os_error() {
        Some(libc::ENODEV) => AttachError::UnknownInterface { interface: format!("with index {interface}") },
        _ => AttachError::System { operation: "ask the interface for its XDP program", source },
    })?;
    let places =
        [(programs.native, Mode::Native), (programs.hardware, Mode::Hardware), (programs.generic, Mode::Generic)];
    Ok(places.into_iter().find(|(id, _)| *id != 0))
}

/// A loaded program by its number; `None` when it is gone.
pub(super) fn program(id: u32) -> Result<Option<ProgramInfo>, AttachError> {
    for program in loaded_programs() {
        match program {
            Ok(program) if program.id() == id => return Ok(Some(program)),
            Ok(_) => {}
            // Others come and go while we look.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(AttachError::sight("look whose XDP program is on the interface", error)),
        }
    }
    Ok(None)
}

fn is_gone(error: &aya::programs::ProgramError) -> bool {
    matches!(error, aya::programs::ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::NotFound)
}

fn link_of(interface: u32, program: u32) -> Option<u32> {
    LinkInfoIter::default()
        .find(|link| {
            link.prog_id == program && matches!(&link.info, LinkTypeInfo::Xdp(xdp) if xdp.ifindex == interface)
        })
        .map(|link| link.id)
}

fn whole_second(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()?.round(Unit::Second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::advice::Advice as _;

    fn occupant() -> Occupant {
        Occupant {
            program_id: 12,
            program_name: "xdp_firewall".to_owned(),
            mode: Mode::Native,
            link_id: Some(3),
            loaded_by_user: Some(0),
            loaded_at: Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_400)),
            holders: vec![ProcessName { number: 77, name: "firewalld".to_owned() }],
        }
    }

    #[test]
    fn a_foreign_program_is_described_with_all_that_is_known() {
        let error = AttachError::Foreign { interface: "eth1".to_owned(), occupant: Box::new(occupant()) };
        assert_eq!(
            error.to_string(),
            "eth1 has an XDP program already that is not Leadline's: \"xdp_firewall\" (id 12, native mode, attached by \
             link 3, loaded by user 0 at 2023-11-14T22:13:20Z, held by process 77 (firewalld))"
        );
        assert_eq!(error.help().as_deref(), Some("stop process 77 (firewalld), or use another interface"));
    }

    #[test]
    fn advice_follows_the_way_of_attachment() {
        let by_netlink = Occupant { link_id: None, holders: Vec::new(), ..occupant() };
        assert!(by_netlink.advice("eth1").contains("ip link set dev eth1 xdp off"));
        let by_pinned_link = Occupant { holders: Vec::new(), ..occupant() };
        assert!(by_pinned_link.advice("eth1").contains("bpftool link detach id 3"));
    }
}
