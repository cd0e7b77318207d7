//! What clap finds wrong with a command line, told in the form of all failures.

use std::error::Error;

use clap::error::{ContextKind, ContextValue};

use crate::configuration::{ConfigurationError, ValueError};
use crate::report::advice::Failure;

/// The failure that clap's error amounts to.
pub(super) fn failure(error: &clap::Error) -> Failure {
    refused_value(error).map_or_else(|| from_text(&error.render().to_string()), Failure::from)
}

/// A value that one of our own parsers refused.
fn refused_value(error: &clap::Error) -> Option<ConfigurationError> {
    let reason = error.source()?.downcast_ref::<ValueError>()?;
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // `--rate <RATE>` is the option --rate, `<TARGET>...` the argument TARGET.
    let option = text(ContextKind::InvalidArg);
    let option = option.split_once(' ').map_or(option, |(name, _)| name);
    let option = option.trim_end_matches("...").trim_start_matches(['<', '[']).trim_end_matches(['>', ']']);
    Some(ConfigurationError::new(option, text(ContextKind::InvalidValue), reason.clone()))
}

/// Everything else: clap's text, whose first line says what, whose tips say what to do, and whose end is the usage.
fn from_text(text: &str) -> Failure {
    let (message, usage) = text.split_once("Usage:").unwrap_or((text, ""));
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or("the command line is not understood");
    let (tips, causes): (Vec<_>, Vec<_>) =
        lines.filter(|line| !line.starts_with("For more information")).partition(|line| line.starts_with("tip:"));
    let tips: Vec<_> = tips.iter().map(|tip| tip.trim_start_matches("tip:").trim()).collect();
    let help =
        if tips.is_empty() { format!("`{} --help` tells what there is", command(usage)) } else { tips.join("\n") };
    Failure {
        what: what.trim_start_matches("error:").trim().trim_end_matches(':').to_owned(),
        causes: causes.into_iter().map(str::to_owned).collect(),
        help: Some(help),
        is_usage: true,
    }
}

/// The command that a line of usage is about: `leadline measure` of `leadline measure [OPTIONS] <TARGET>`.
fn command(usage: &str) -> String {
    let words = usage.split_whitespace().take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
    let command = words.collect::<Vec<_>>().join(" ");
    if command.is_empty() { "leadline".to_owned() } else { command }
}
