//! How a failure is told: what failed, why, and what to do about it, in the same form everywhere.

use std::error::Error;
use std::fmt;

/// An error that can say what a person should do about it. Its `Display` says what failed, its sources say why.
pub trait Advice: Error {
    /// What would help, as an instruction: `give 72 or more`.
    fn help(&self) -> Option<String> {
        None
    }

    /// Whether the command line itself is at fault (exit status 2) and not the run (exit status 1).
    fn is_usage(&self) -> bool {
        false
    }
}

/// A failure ready to be shown; every error that gives [`Advice`] turns into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed.
    pub what: String,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether the command line itself is at fault.
    pub is_usage: bool,
}

impl Failure {
    /// A failure of the run with neither causes nor help; the fields are open for both.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), causes: Vec::new(), help: None, is_usage: false }
    }
}

impl<E: Advice> From<E> for Failure {
    fn from(error: E) -> Self {
        let what = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        for source in std::iter::successors(error.source(), |&source| source.source()) {
            let cause = source.to_string();
            // Many errors repeat their cause in their own words.
            if !std::iter::once(&what).chain(&causes).any(|told| told.contains(&cause)) {
                causes.push(cause);
            }
        }
        Self { what, causes, help: error.help(), is_usage: error.is_usage() }
    }
}

impl fmt::Display for Failure {
    /// The form in which failures go to standard error, with a line feed after every line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "error: {}", self.what)?;
        for cause in self.causes.iter().flat_map(|cause| cause.lines()) {
            writeln!(formatter, "  {cause}")?;
        }
        for (index, line) in self.help.iter().flat_map(|help| help.lines()).enumerate() {
            writeln!(formatter, "  {}{line}", if index == 0 { "help: " } else { "      " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot bind the socket")]
    struct Bind(#[source] std::io::Error);

    impl Advice for Bind {
        fn help(&self) -> Option<String> {
            Some("stop the other process,\nor take another port".to_owned())
        }
    }

    #[test]
    fn says_what_why_and_what_to_do() {
        let failure = Failure::from(Bind(std::io::Error::other("the port is in use")));
        let expected = "error: cannot bind the socket\n  the port is in use\n  help: stop the other process,\n        or take another port\n";
        assert_eq!(failure.to_string(), expected);
        assert!(!failure.is_usage);
        assert_eq!(Failure::new("it broke").to_string(), "error: it broke\n");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the table: {source}")]
    struct Talkative {
        source: std::io::Error,
    }

    impl Advice for Talkative {}

    #[test]
    fn tells_a_cause_once() {
        let failure = Failure::from(Talkative { source: std::io::Error::other("out of memory") });
        assert_eq!(failure.to_string(), "error: cannot read the table: out of memory\n");
    }
}
