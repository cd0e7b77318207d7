//! The commands and the options that they share.

use std::ffi::OsString;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};

use super::dispatch;
use super::measure::MeasureArguments;
use super::reflect::ReflectArguments;
use crate::configuration::{InterfaceName, LogConfiguration, LogDirective, OutputFormat};
use crate::report::advice::Failure;

/// Measure delay, loss and reordering of IP paths at line rate.
///
/// Test packets are STAMP packets (RFC 8762). At both ends eBPF programs timestamp them at the driver hook, and the far
/// end reflects them there; AF_XDP rings send and receive them. Any STAMP or TWAMP Light reflector can answer a
/// measurement, and `leadline reflect` answers any STAMP sender.
#[derive(Debug, Parser)]
#[command(name = "leadline", version, max_term_width = 100, infer_long_args = false)]
#[command(subcommand_required = true, disable_help_subcommand = true)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct Arguments {
    /// Tell diagnostics of a part of the program on standard error, as ebpf=debug (repeatable)
    ///
    /// Targets: ebpf. Levels: error, warn, info, debug, trace.
    #[arg(long, global = true, value_name = "TARGET=LEVEL", value_parser = LogDirective::from_str, help_heading = "Output")]
    log: Vec<LogDirective>,

    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  all went well
  1  the run failed, or nobody answered
  2  the command line was at fault

`leadline COMMAND --help` tells more about a command.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer test packets that arrive at an interface
    ///
    /// Runs until it is stopped. On a terminal a line on standard error shows the counters as they grow; a summary comes
    /// on standard output at the end.
    Reflect(ReflectArguments),
    /// Send test packets to reflectors and report what became of them
    ///
    /// Sends one or several streams, waits for what is outstanding, and reports. Ctrl-C ends the sending early and
    /// reports what was measured until then.
    #[command(after_long_help = super::measure::EXAMPLES)]
    Measure(Box<MeasureArguments>),
    /// Try it all on this machine, between two network namespaces
    ///
    /// The namespaces leadline-sender (198.18.0.1, fd00:6c64::1) and leadline-reflector (198.18.0.2, fd00:6c64::2) are
    /// joined by a pair of virtual interfaces, probe0 and probe1; a reflector runs in the second. Nothing else on the
    /// machine is touched.
    #[command(subcommand)]
    Lab(LabCommand),
    /// Check what this machine needs for good measurements, and say what to do
    ///
    /// Every line is ok, a warning or a problem, with what to do about it.
    Doctor(DoctorArguments),
}

/// What to do with the lab.
#[derive(Debug, Subcommand)]
pub(super) enum LabCommand {
    /// Make the lab, clearing away what an interrupted one left behind
    Up,
    /// Remove the lab and everything in it
    Down,
    /// Run a command where the sender is, and exit with its status
    Run {
        /// The command and its arguments, best after --
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct DoctorArguments {
    /// Look at this interface, too
    #[arg(long, value_name = "IF", value_parser = InterfaceName::from_str)]
    interface: Option<InterfaceName>,

    #[command(flatten)]
    output: OutputArguments,
}

/// How results are printed.
#[derive(Debug, Args)]
pub(super) struct OutputArguments {
    /// Form of the result on standard output: table or json
    ///
    /// json prints exactly one JSON document.
    #[arg(long, value_name = "FORMAT", value_parser = OutputFormat::from_str, default_value = "table", help_heading = "Output")]
    pub(super) format: OutputFormat,
}

impl Arguments {
    /// Validates the configuration and does what was asked for.
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let log = LogConfiguration(self.log);
        match self.command {
            Command::Reflect(arguments) => {
                let format = arguments.output.format;
                dispatch::reflect(arguments.configuration(log)?, format)
            }
            Command::Measure(arguments) => {
                let format = arguments.output.format;
                dispatch::measure(arguments.configuration(log)?, format)
            }
            Command::Lab(LabCommand::Up) => dispatch::lab_up(),
            Command::Lab(LabCommand::Down) => dispatch::lab_down(),
            Command::Lab(LabCommand::Run { command }) => dispatch::lab_run(&command),
            Command::Doctor(arguments) => dispatch::doctor(arguments.interface.as_ref(), arguments.output.format),
        }
    }
}
