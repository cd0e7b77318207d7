//! How fast we are: side by side with a bare loop on the same link, and in parts.

use std::ffi::OsString;

use clap::Subcommand;

use crate::command::{cargo, run, say};
use crate::error::Error;
use crate::{setup, workspace};

/// The benches.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// A bare AF_XDP loop and a loss-free `measure`, side by side on one veth pair, and their ratio (needs root)
    Loop {
        /// Options of the bench, after `--`: see `cargo xtask bench loop -- --help`
        #[arg(last = true)]
        options: Vec<OsString>,
    },
    /// The parts of the hot path, each by itself (criterion)
    Micro,
}

/// Runs one of them.
pub(crate) fn bench(bench: &Bench) -> Result<(), Error> {
    setup::prepare()?;
    match bench {
        Bench::Loop { options } => {
            if !workspace::is_root() {
                return Err(Error::ByHand {
                    why: "this bench makes network namespaces, for which it needs root. Please run it so:".to_owned(),
                    commands: vec![workspace::as_root("bench loop")],
                });
            }
            say("measuring the bare loop and leadline side by side");
            run(cargo(["run", "--release", "--package", "leadline-benches", "--bin", "loop", "--"]).args(options))
        }
        Bench::Micro => {
            say("measuring the parts of the hot path");
            run(&mut cargo(["bench", "--package", "leadline-benches"]))
        }
    }
}
