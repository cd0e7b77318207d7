//! The slow side of a run: the user's signals, the clock on the wall, and what is done once a second.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::report::advice::Failure;

/// A runtime on the calling thread, for timers, signals and servers.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new("cannot set up timers and signals")
    })
}

/// The wishes of whoever runs the program to end it.
pub(super) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    /// Catches SIGINT and SIGTERM from now on. To be called within a runtime.
    pub(super) fn catch() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind).map_err(|error| Failure {
                causes: vec![error.to_string()],
                ..Failure::new("cannot catch signals")
            })
        };
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    /// Waits for a signal or for a time; true when it was a signal.
    pub(super) async fn within(&mut self, time: Duration) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}
