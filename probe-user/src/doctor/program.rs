//! Whose XDP program it is that sits on an interface.

use std::collections::BTreeSet;

use aya::programs::loaded_programs;

use super::machine::Machine;
use crate::net::interface::{AttachedXdp, XdpMode};

/// The name of Leadline's own program.
const OWN: &str = "leadline";

/// An XDP program on an interface and those who keep it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The kernel's number for it, 0 where there are several.
    pub(super) number: u32,
    pub(super) mode: XdpMode,
    /// The name of its function, cut by the kernel at 15 octets; `None` where the kernel does not tell.
    pub(super) name: Option<String>,
    /// Processes that hold the program or its link, as number and name.
    pub(super) holders: BTreeSet<(u32, String)>,
}

impl Program {
    /// Adds name and holders to what the interface says of its program.
    pub(super) fn identify(machine: &Machine, attached: AttachedXdp) -> Self {
        let name = loaded_programs()
            .filter_map(Result::ok)
            .find(|program| program.id() == attached.program_id)
            .and_then(|program| program.name_as_str().map(str::to_owned));
        Self {
            number: attached.program_id,
            mode: attached.mode,
            name: name.filter(|name| !name.is_empty()),
            holders: holders(machine, attached.program_id),
        }
    }

    /// Whether it is Leadline's, which the next measurement joins.
    pub(super) fn is_own(&self) -> bool {
        self.mode == XdpMode::Native && self.name.as_deref() == Some(OWN)
    }

    /// What it is and whose, in words.
    pub(super) fn describe(&self) -> String {
        let mode = match self.mode {
            XdpMode::Native => "in the driver",
            XdpMode::Generic => "in generic mode",
            XdpMode::Hardware => "on the network card",
            XdpMode::Several => return "several programs in several modes".to_owned(),
        };
        let name = self.name.as_deref().unwrap_or("without a name");
        let holders: Vec<_> =
            self.holders.iter().map(|(process, name)| format!("{name} (process {process})")).collect();
        let holders = if holders.is_empty() { "no process".to_owned() } else { holders.join(", ") };
        format!("program {} `{name}` {mode}, held by {holders}", self.number)
    }
}

/// The processes that hold a program or a link to it open, by what `/proc` says of their open files.
fn holders(machine: &Machine, program: u32) -> BTreeSet<(u32, String)> {
    machine
        .processes()
        .into_iter()
        .filter(|(process, _)| {
            let folder = format!("proc/{process}/fdinfo");
            machine.names(&folder).into_iter().any(|file| {
                machine.read(format!("{folder}/{file}")).is_some_and(|text| {
                    text.lines()
                        .filter_map(|line| line.strip_prefix("prog_id:"))
                        .any(|number| number.trim().parse() == Ok(program))
                })
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::machine::fixture;

    #[test]
    fn a_program_belongs_to_those_who_hold_it_or_its_link() {
        let link = "pos:\t0\nflags:\t02\nlink_type:\txdp\nlink_id:\t4\nprog_tag:\t0\nprog_id:\t17\nifindex:\t3\n";
        let (_root, machine) = fixture::machine(&[
            ("proc/40/comm", "cilium-agent\n"),
            ("proc/40/fdinfo/9", link),
            ("proc/41/comm", "bash\n"),
            ("proc/41/fdinfo/0", "pos:\t0\nflags:\t02\n"),
            ("proc/42/comm", "katran\n"),
            ("proc/42/fdinfo/3", "prog_type:\t6\nprog_id:\t170\n"),
        ]);
        assert_eq!(holders(&machine, 17), BTreeSet::from([(40, "cilium-agent".to_owned())]));
        assert_eq!(holders(&machine, 170), BTreeSet::from([(42, "katran".to_owned())]));
        assert_eq!(holders(&machine, 1), BTreeSet::new());
    }

    #[test]
    fn a_description_says_whose_it_is() {
        let mut program = Program {
            number: 17,
            mode: XdpMode::Native,
            name: Some("balance".to_owned()),
            holders: BTreeSet::from([(40, "katran".to_owned())]),
        };
        assert_eq!(program.describe(), "program 17 `balance` in the driver, held by katran (process 40)");
        assert!(!program.is_own());
        program.holders.clear();
        assert!(program.describe().ends_with("held by no process"));
        program.name = Some("leadline".to_owned());
        assert!(program.is_own());
        program.mode = XdpMode::Generic;
        assert!(!program.is_own(), "Leadline never attaches in generic mode");
    }
}
