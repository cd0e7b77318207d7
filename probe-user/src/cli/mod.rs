//! The command line: arguments become a validated configuration, and one call into the library does the work. Standard
//! output carries the result and nothing else. The exit status is 0 when all went well, 1 when the run failed (a
//! measurement that nobody answered included), and 2 when the command line was at fault.

mod arguments;
mod dispatch;
mod measure;
mod reflect;
mod usage;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::report::advice::Failure;

/// Runs the program with the process's arguments and says how it ended.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match arguments::Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return answer(&error),
    };
    arguments.run().unwrap_or_else(|failure| fail(&failure))
}

/// Shows what was asked for instead of a run (help, version), or tells what is wrong with the command line.
fn answer(error: &clap::Error) -> ExitCode {
    let status = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        // `leadline` alone: its help says best what is missing, on standard error.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::from(2),
        _ => return fail(&usage::failure(error)),
    };
    // A reader of the help that has gone away is no failure.
    let _ = error.print();
    status
}

/// Tells the failure on standard error and gives the exit status that belongs to it.
fn fail(failure: &Failure) -> ExitCode {
    // Where standard error cannot be written, the exit status is all that is left to say.
    let _ = write!(std::io::stderr(), "{failure}");
    if failure.is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// The definition of the command line, for manuals and completions.
pub fn command() -> clap::Command {
    <arguments::Arguments as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_consistent() {
        super::command().debug_assert();
    }
}
