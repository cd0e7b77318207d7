//! `cargo xtask bench loop`: what Leadline keeps of the speed that AF_XDP has on this machine.
//!
//! Two round trips on one veth pair, in turns and on one CPU: a bare loop, whose frames are constant, untimed and
//! uncounted, through a reflector that only swaps link addresses; and a whole `measure` through the real reflector.
//! Their ratio says what timestamps, sequence numbers, checksums and metrics cost. Neither figure means much by itself:
//! machines differ, and so does what else they do.

mod bare;
mod figures;
mod machine;
mod measured;
mod stage;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::figures::{Figures, Round, Run};
use crate::machine::Machine;
use crate::stage::Stage;

/// What goes wrong here is told and not handled.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Compare a whole measurement with a bare AF_XDP loop, side by side on one veth pair.
#[derive(Debug, Parser)]
#[command(name = "loop")]
struct Arguments {
    /// Rounds of both, in turns
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Round trips of each in a round
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    packets: u64,

    /// CPU to run on
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    cpu: u32,

    /// Run one of the two alone, for a profiler
    #[arg(long, value_enum, value_name = "WHICH")]
    only: Option<Which>,

    /// Fail if the median ratio is below this
    #[arg(long, value_name = "RATIO", conflicts_with = "only")]
    least: Option<f64>,

    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Bare,
    Leadline,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Some errors end with a line feed of their own.
            eprintln!("{}", error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<ExitCode> {
    let mut output = std::io::stdout().lock();
    let machine = Machine::look();
    if let Some(warning) = machine.warning() {
        eprintln!("warning: {warning}");
    }
    if !arguments.json {
        write!(output, "{machine}, on CPU {}\n\n", arguments.cpu)?;
    }
    let stage = Stage::set(arguments.cpu)?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let bare = arguments.has(Which::Bare).then(|| bare::run(&stage, arguments.packets)).transpose()?;
        let leadline = arguments.has(Which::Leadline).then(|| measured::run(&stage, arguments.packets)).transpose()?;
        let round = Round::new(bare, leadline);
        if !arguments.json {
            writeln!(output, "round {number}: {round}")?;
        }
        rounds.push(round);
    }
    drop(stage);

    let figures = Figures::new(machine, arguments.cpu, rounds);
    if arguments.json {
        serde_json::to_writer_pretty(&mut output, &figures)?;
        writeln!(output)?;
    } else {
        write!(output, "\n{figures}")?;
    }
    let is_enough = arguments.least.is_none_or(|least| figures.ratio.is_some_and(|ratio| ratio >= least));
    Ok(if is_enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    fn has(&self, which: Which) -> bool {
        self.only.is_none_or(|only| only == which)
    }
}
