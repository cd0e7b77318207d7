//! What people and programs read. The [`model`] is the one versioned form of a result; the renderers ([`table`],
//! [`json`], [`interval`]) know it and nothing else of the program, so that no number is computed on its way to the
//! reader. Beside it live what is shown while a run goes on ([`progress`]), what a reflector tells ([`reflector`]), and
//! the form in which failures are told ([`advice`]).

pub mod advice;
#[cfg(test)]
mod fixture;
pub mod interval;
pub mod json;
pub mod model;
pub mod progress;
pub mod reflector;
#[cfg(test)]
mod schema_test;
mod style;
pub mod table;
pub(crate) mod text;

use std::io::{self, Write};

use advice::Failure;
pub use style::Style;

/// Writes a finished result to standard output, which carries nothing else. That its reader has gone (as `head` does) is
/// no failure.
///
/// # Errors
/// When standard output cannot be written.
pub fn write_to_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure {
            causes: vec![error.to_string()],
            ..Failure::new("the result cannot be written to standard output")
        }),
        _ => Ok(()),
    }
}
