//! The two errors of this room: of a value by itself, and of a value in its option.

use crate::report::advice::Advice;

/// A text that is not a value of the kind asked for: why, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ValueError {
    why: String,
    help: String,
}

impl ValueError {
    /// An error that says `why` the text is refused and, in `help`, what would do.
    pub fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { why: why.into(), help: help.into() }
    }

    /// What would do instead.
    pub fn help(&self) -> &str {
        &self.help
    }
}

/// An option that cannot be as it was given: the option, the value, why, and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be used", self.given())]
pub struct ConfigurationError {
    option: String,
    value: String,
    #[source]
    reason: ValueError,
}

impl ConfigurationError {
    /// Blames `value` of `option` (as typed: `--rate`, `TARGET`) for `reason`.
    pub fn new(option: impl Into<String>, value: impl ToString, reason: ValueError) -> Self {
        Self { option: option.into(), value: value.to_string(), reason }
    }

    /// The option as a person types it, such as `--rate`.
    pub fn option(&self) -> &str {
        &self.option
    }

    /// The value as it was given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Why the value is refused, and what would do.
    pub fn reason(&self) -> &ValueError {
        &self.reason
    }

    fn given(&self) -> String {
        match (self.option.ends_with('='), self.value.is_empty()) {
            (_, true) => self.option.clone(),
            (true, false) => format!("{}{}", self.option, self.value),
            (false, false) => format!("{} {}", self.option, self.value),
        }
    }
}

impl Advice for ConfigurationError {
    fn help(&self) -> Option<String> {
        (!self.reason.help.is_empty()).then(|| self.reason.help.clone())
    }

    fn is_usage(&self) -> bool {
        true
    }
}
