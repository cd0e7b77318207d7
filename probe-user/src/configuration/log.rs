//! Which diagnostics a person wants to see.

use std::fmt;
use std::str::FromStr;

use super::ValueError;

/// The parts of the program that keep a log.
const TARGETS: [&str; 1] = ["ebpf"];

/// How much a part of the program tells, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Failures alone.
    Error,
    /// What may spoil a result.
    Warn,
    /// What happens once in a run.
    Info,
    /// What happens now and then, sampled in the data path.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const NAMES: [(&str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// One `--log TARGET=LEVEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirective {
    /// The part of the program, such as `ebpf`.
    pub target: &'static str,
    /// How much it tells.
    pub level: LogLevel,
}

impl FromStr for LogDirective {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let help = || {
            let levels = LogLevel::NAMES.map(|(name, _)| name).join(", ");
            format!("write TARGET=LEVEL, as in ebpf=debug; targets: {}; levels: {levels}", TARGETS.join(", "))
        };
        let (target, level) = text.split_once('=').ok_or_else(|| ValueError::new("the level is missing", help()))?;
        let target = TARGETS
            .into_iter()
            .find(|known| *known == target)
            .ok_or_else(|| ValueError::new(format!("nothing called {target:?} keeps a log"), help()))?;
        let (_, level) = LogLevel::NAMES
            .into_iter()
            .find(|(name, _)| *name == level)
            .ok_or_else(|| ValueError::new(format!("{level:?} is not a level"), help()))?;
        Ok(Self { target, level })
    }
}

impl fmt::Display for LogDirective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = LogLevel::NAMES.into_iter().find(|(_, level)| *level == self.level).map_or("", |(name, _)| name);
        write!(formatter, "{}={name}", self.target)
    }
}

/// Every `--log` of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConfiguration(
    /// The directives in the order given: the last one for a target counts.
    pub Vec<LogDirective>,
);

impl LogConfiguration {
    /// How much `target` tells; `None` when it was not asked to tell anything.
    pub fn level(&self, target: &str) -> Option<LogLevel> {
        self.0.iter().rev().find(|directive| directive.target == target).map(|directive| directive.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_directive_counts() {
        let directives = ["ebpf=error", "ebpf=debug"].map(|text| text.parse().unwrap());
        let log = LogConfiguration(directives.to_vec());
        assert_eq!(log.level("ebpf"), Some(LogLevel::Debug));
        assert_eq!(log.level("engine"), None);
        assert_eq!(log.0[0].to_string(), "ebpf=error");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in ["ebpf", "ebpf=loud", "kernel=debug", "=debug"] {
            assert!(text.parse::<LogDirective>().unwrap_err().help().contains("ebpf=debug"), "{text}");
        }
    }
}
