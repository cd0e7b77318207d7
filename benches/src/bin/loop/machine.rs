//! The machine, without which a figure says little.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What bears on the figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    kernel: String,
    processor: String,
    cpus: usize,
    /// Processes that ran or wanted to run, mean of the last minute; `None` where `/proc` does not tell.
    load: Option<f64>,
}

impl Machine {
    /// The machine as it is now.
    pub(crate) fn look() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            kernel: kernel.trim().to_owned(),
            processor: processor.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
            cpus: available_parallelism().map_or(1, usize::from),
            load: load.split_whitespace().next().and_then(|load| load.parse().ok()),
        }
    }

    /// Why the figures may be worth little.
    pub(crate) fn warning(&self) -> Option<String> {
        let load = self.load.filter(|load| *load > self.cpus as f64 / 2.0)?;
        Some(format!("the load is {load} on {} CPUs: the rates will be too low, and the ratio uncertain", self.cpus))
    }
}

/// What a clock of CPU time shows, in nanoseconds.
pub(crate) fn cpu_ns(clock: ClockId) -> Option<f64> {
    let time = clock_gettime(clock).ok()?;
    Some(time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Linux {}, {} CPUs ({})", self.kernel, self.cpus, self.processor)?;
        match self.load {
            Some(load) => write!(formatter, ", load {load}"),
            None => Ok(()),
        }
    }
}
