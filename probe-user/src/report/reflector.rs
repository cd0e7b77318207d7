//! What a reflector tells: its counters on a line that refreshes while it runs, and in full when it ends.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::Style;
use super::text::{grouped, significant};

/// A reflector's counters at one moment, `leadline.reflector/1`, in the order in which they are told. The first is that
/// of the requests answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReflectorCounters {
    /// Always `leadline.reflector/1`.
    pub schema: ReflectorSchema,
    /// The interface it runs on.
    pub interface: String,
    /// Every counter, those at 0 included.
    pub counters: Vec<Counter>,
}

/// One counter of a reflector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// A name for programs: lower case, with underscores.
    pub name: String,
    /// What it counts, for people: `replies sent`, `requests from outside the allow-list`.
    pub description: String,
    /// Packets since the reflector began.
    pub count: u64,
}

/// The name and version of the counters' form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReflectorSchema {
    /// The first version.
    #[default]
    #[serde(rename = "leadline.reflector/1")]
    Reflector1,
}

impl ReflectorCounters {
    /// The counters of the reflector on `interface`, as (name, description, count).
    pub fn new<'a>(interface: &str, counters: impl IntoIterator<Item = (&'a str, &'a str, u64)>) -> Self {
        let counter = |(name, description, count): (&str, &str, u64)| Counter {
            name: name.to_owned(),
            description: description.to_owned(),
            count,
        };
        Self {
            schema: ReflectorSchema::default(),
            interface: interface.to_owned(),
            counters: counters.into_iter().map(counter).collect(),
        }
    }

    /// The summary: every counter that counted anything, and always the first.
    pub fn render(&self, style: Style) -> String {
        let mut text = format!("{}\n", style.bold(&format!("Reflector on {}", self.interface)));
        for counter in self.counters.iter().take(1).chain(self.nonzero()) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>15}  {}", grouped(counter.count), counter.description);
        }
        text
    }

    /// One line: the first counter with its rate since `earlier` (counters, and how long ago), then what else counted.
    pub fn line(&self, earlier: Option<(&Self, Duration)>) -> String {
        let count = |counters: &Self| counters.counters.first().map_or(0, |counter| counter.count);
        let mut line = self
            .counters
            .first()
            .map_or_else(String::new, |first| format!("{} {}", grouped(first.count), first.description));
        if let Some((earlier, ago)) = earlier.filter(|(_, ago)| !ago.is_zero()) {
            let rate = count(self).saturating_sub(count(earlier)) as f64 / ago.as_secs_f64();
            let _ = write!(line, " ({} pps)", significant(rate, 3, 0));
        }
        for counter in self.nonzero() {
            let _ = write!(line, ", {} {}", grouped(counter.count), counter.description);
        }
        line
    }

    /// What counted anything, the first counter aside.
    fn nonzero(&self) -> impl Iterator<Item = &Counter> {
        self.counters.iter().skip(1).filter(|counter| counter.count > 0)
    }
}

/// The line that refreshes, on a terminal's standard error; it is cleared when dropped.
#[derive(Debug)]
pub struct ReflectorLine {
    bar: ProgressBar,
}

impl ReflectorLine {
    /// A line on standard error if that is a terminal, or one that shows nothing.
    pub fn on_stderr() -> Self {
        let visible = io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("the template is a constant, and right"));
        Self { bar }
    }

    /// Shows a line of [`ReflectorCounters::line`], cut to the terminal's width.
    pub fn show(&self, line: String) {
        self.bar.set_message(line);
    }
}

impl Drop for ReflectorLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(answered: u64, refused: u64) -> ReflectorCounters {
        ReflectorCounters::new(
            "probe1",
            [
                ("reflected", "replies sent", answered),
                ("fragment", "fragments", 0),
                ("not_allowed", "requests from outside the allow-list", refused),
            ],
        )
    }

    #[test]
    fn the_line_has_the_rate_and_what_was_refused() {
        let earlier = counters(1_000, 0);
        let line = counters(201_000, 7).line(Some((&earlier, Duration::from_secs(2))));
        assert_eq!(line, "201,000 replies sent (100000 pps), 7 requests from outside the allow-list");
        assert_eq!(counters(0, 0).line(None), "0 replies sent");
    }

    #[test]
    fn the_summary_leaves_out_what_never_happened() {
        let expected = "Reflector on probe1\n        201,000  replies sent\n              7  requests from outside the allow-list\n";
        assert_eq!(counters(201_000, 7).render(Style::PLAIN), expected);
    }

    #[test]
    fn the_document_keeps_every_counter() {
        let document = serde_json::to_value(counters(5, 0)).unwrap();
        assert_eq!(document["schema"], "leadline.reflector/1");
        assert_eq!(document["counters"].as_array().unwrap().len(), 3);
    }
}
