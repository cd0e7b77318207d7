//! One call into the library for each command. The configurations are validated; whatever goes wrong from here on is a
//! failure of the run.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::configuration::{InterfaceName, MeasurementConfiguration, OutputFormat, ReflectConfiguration};
use crate::report::advice::Failure;

pub(super) fn reflect(_configuration: ReflectConfiguration, _format: OutputFormat) -> Result<ExitCode, Failure> {
    Err(missing("reflect"))
}

pub(super) fn measure(_configuration: MeasurementConfiguration, _format: OutputFormat) -> Result<ExitCode, Failure> {
    Err(missing("measure"))
}

pub(super) fn lab_up() -> Result<ExitCode, Failure> {
    Err(missing("lab up"))
}

pub(super) fn lab_down() -> Result<ExitCode, Failure> {
    Err(missing("lab down"))
}

/// Exits with the command's own status.
pub(super) fn lab_run(_command: &[OsString]) -> Result<ExitCode, Failure> {
    Err(missing("lab run"))
}

pub(super) fn doctor(_interface: Option<&InterfaceName>, _format: OutputFormat) -> Result<ExitCode, Failure> {
    Err(missing("doctor"))
}

fn missing(command: &str) -> Failure {
    Failure::new(format!("{command} is not in this build"))
}
