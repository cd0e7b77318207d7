//! Running other programs, and saying so. All that is said goes to standard error: standard output belongs to
//! the program that is run, such as the demo's report.

use std::env;
use std::process::{Command, Stdio};

use crate::error::Error;

/// Announces the next step.
pub(crate) fn say(step: &str) {
    eprintln!("==> {step}");
}

/// Runs the command to its end and asks for success.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| Error::Start { command: shown(command), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { command: shown(command), status }) }
}

/// Whether the command can be run and succeeds. Its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a program of this name is on `PATH`.
pub(crate) fn on_path(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
}

/// The cargo that runs this task, with the arguments.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::workspace::root());
    command
}

/// The command as a person would type it, without its folder.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let words = command.get_args().map(|word| quoted(&word.to_string_lossy()));
    std::iter::once(name.into_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word as a shell would want it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/leadline");
        command.args(["lab", "run", "--", "echo", "it's two words", "rate=10kpps", ""]);
        assert_eq!(shown(&command), r"leadline lab run -- echo 'it'\''s two words' rate=10kpps ''");
    }

    #[test]
    fn failure_names_command_and_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("exit status 3 is a failure");
        assert_eq!(error.to_string(), "`sh -c 'exit 3'` failed: exit status: 3");
    }

    #[test]
    fn a_program_that_is_not_there_cannot_be_started() {
        let error = run(&mut Command::new("/nowhere/leadline-nothing")).expect_err("there is no such program");
        assert!(matches!(error, Error::Start { .. }), "{error}");
        assert!(!on_path("leadline-nothing"));
        assert!(on_path("sh"));
    }
}
