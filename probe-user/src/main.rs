//! The `leadline` program: all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    probe_user::cli::run()
}
