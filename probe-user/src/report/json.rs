//! The model as JSON.

use serde::Serialize;

use super::model::{IntervalResult, Report};

/// The report as one JSON document over several lines, with a line feed at its end.
pub fn render(report: &Report) -> String {
    lines(report)
}

/// An intermediate result as one line of JSON with its line feed.
pub fn render_interval(result: &IntervalResult) -> String {
    let mut line = serde_json::to_string(result).expect(ALWAYS);
    line.push('\n');
    line
}

/// Any other serialisable result of the program (a doctor's findings, a reflector's counters), as [`render`] has it.
pub fn lines(result: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(result).expect(ALWAYS);
    text.push('\n');
    text
}

/// Serialisation fails only on maps whose keys are not text and on writers that fail: the program's types have no such
/// map, and a string takes all that is written to it.
const ALWAYS: &str = "results have text for keys";
