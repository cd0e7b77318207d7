//! The developer's commands: `cargo xtask setup`, `demo`, `test`, `lint`, `bench`, `ebpf`. Each installs what it
//! needs, says what it is doing, and is quick the second time. They live in a crate of their own, so that a fresh
//! clone needs nothing but cargo.

mod bench;
mod command;
mod demo;
mod ebpf;
mod error;
mod lint;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, try and test Leadline", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the build and the tests need, as far as it is missing
    Setup,
    /// Measure a path between two namespaces of this machine and print the report (needs root)
    Demo,
    /// Run every test; those that need root are skipped, and say so, without it
    Test {
        /// Arguments for `cargo test`, such as a part of the tests' names
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check formatting, and let clippy refuse every warning, in the eBPF programs too
    Lint,
    /// Measure our own speed
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Build the eBPF objects alone, and say where they are
    Ebpf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(&arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &Task) -> Result<(), Error> {
    match task {
        Task::Setup => setup::setup(),
        Task::Demo => demo::demo(),
        Task::Test { arguments } => test::test(arguments),
        Task::Lint => lint::lint(),
        Task::Bench(bench) => bench::bench(bench),
        Task::Ebpf => ebpf::build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn test_hands_hyphens_on() {
        let arguments = Arguments::parse_from(["xtask", "test", "checksum", "--", "--nocapture"]);
        let Task::Test { arguments } = arguments.task else { panic!("not the test task") };
        assert_eq!(arguments, ["checksum", "--", "--nocapture"]);
    }
}
