//! What on this machine would keep a measurement from working, or from being believed.
//!
//! A path is measured through the kernel, driver, card and clock of the machine that measures; each can refuse the work
//! or bend its figures without saying so. The doctor looks at all of them before the first packet is sent, and says of
//! each whether it is fine, what was seen, and what to do. It changes nothing.

mod driver;
mod generic_netlink;
mod host;
mod interface;
mod interrupts;
mod machine;
mod model;
mod privileges;
pub mod render;
mod time;

pub use model::{Area, Finding, Report, SCHEMA, Status};

use machine::Machine;

use crate::{
    clock::{ClockState, measure_read_cost},
    net::NetError,
};

/// Examines the machine, its clock, and `interface`; or, where none is named, gives a line to every interface but the
/// loopback. Interfaces are those of the calling thread's network namespace.
///
/// # Errors
///
/// [`NetError::UnknownInterface`], which suggests the near ones, or what the kernel refuses to tell. All else that
/// cannot be learnt is a finding.
pub fn run(interface: Option<&str>) -> Result<Report, NetError> {
    let machine = Machine::this();
    let of_interfaces = match interface {
        Some(name) => interface::examine(&machine, name)?,
        None => interface::examine_all(&machine)?,
    };
    let clock = time::ClockFacts { state: ClockState::read(), cost: measure_read_cost() };
    let mut findings = host::examine(&machine);
    findings.extend(time::examine(&machine, &clock));
    findings.extend(of_interfaces);
    Ok(Report::new(findings))
}
