//! Colour, where it is wanted.

use std::io::{self, IsTerminal};

/// How a text is emphasised: with escape sequences on a terminal, not at all elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No emphasis.
    pub const PLAIN: Self = Self { colour: false };
    /// Bold and colours, as ECMA-48 escape sequences.
    pub const COLOUR: Self = Self { colour: true };

    /// What suits standard output: colour on a terminal, unless `NO_COLOR` is set to anything or the terminal is dumb.
    pub fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: io::stdout().is_terminal() && !refused && !dumb }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.escape("1", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.escape("1;32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.escape("1;33", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.escape("1;31", text)
    }

    fn escape(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
