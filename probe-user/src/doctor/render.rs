//! A report for a person, or for a program.

use std::{
    env,
    fmt::Write,
    io::{IsTerminal, stdout},
};

use super::model::{Area, Report, Status};

/// Whether standard output wants colours: it is a terminal, and `NO_COLOR` is unset or empty (<https://no-color.org>).
#[must_use]
pub fn colour_wanted() -> bool {
    stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The report as one JSON document, with a line feed at its end.
#[must_use]
pub fn json(report: &Report) -> String {
    let Ok(mut document) = serde_json::to_string_pretty(report) else {
        unreachable!("the model holds nothing but text")
    };
    document.push('\n');
    document
}

/// The report as lines in groups: status, check, what was seen; below it, what to do. The last line counts.
#[must_use]
pub fn table(report: &Report, colour: bool) -> String {
    const STATUS_WIDTH: usize = 7;
    const WIDTH: usize = 110;
    let check_width = report.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let margin = STATUS_WIDTH + check_width + 6;
    let mut text = String::new();
    let mut area: Option<&Area> = None;
    for finding in &report.findings {
        // Interfaces that have one line each follow each other without headings.
        let one_line = finding.check == "summary";
        if area != Some(&finding.area) && !(one_line && matches!(area, Some(Area::Interface(_)))) {
            let heading = if one_line { "interfaces".to_owned() } else { finding.area.to_string() };
            let gap = if area.is_some() { "\n" } else { "" };
            line(&mut text, format_args!("{gap}{}", paint(&heading, BOLD, colour)));
        }
        area = Some(&finding.area);
        let (word, tint) = match finding.status {
            Status::Ok => ("ok", GREEN),
            Status::Warning => ("warning", YELLOW),
            Status::Problem => ("problem", RED),
        };
        // Padding is counted before the colour's own characters come in.
        let status = paint(&format!("{word:STATUS_WIDTH$}"), tint, colour);
        let subject = match &finding.area {
            Area::Interface(name) if one_line => name,
            _ => finding.check,
        };
        line(&mut text, format_args!("  {status}  {subject:check_width$}  {}", finding.seen));
        if let Some(advice) = &finding.advice {
            for (number, words) in wrap(advice, WIDTH.saturating_sub(margin + 3)).into_iter().enumerate() {
                let arrow = if number == 0 { "->" } else { "" };
                line(&mut text, format_args!("{:margin$}{arrow:2} {words}", ""));
            }
        }
    }
    let problems = report.count(Status::Problem);
    let warnings = report.count(Status::Warning);
    line(&mut text, format_args!("\n{}, {}", counted(problems, "problem"), counted(warnings, "warning")));
    text
}

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

fn paint(text: &str, tint: &str, colour: bool) -> String {
    if colour { format!("\x1b[{tint}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Lines of whole words, of at most `width` characters unless a word is longer.
fn wrap(sentence: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    if writeln!(text, "{arguments}").is_err() {
        unreachable!("writing to a string cannot fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let interface = |name: &str| Area::Interface(name.to_owned());
        Report::new(vec![
            Area::Host.ok("kernel", "Linux 6.18"),
            Area::Host.warning("cpus", "1 CPU", "use a lower rate"),
            Area::Clock.ok("clock-source", "tsc"),
            interface("eth0").ok("summary", "ixgbe, up"),
            interface("eth1").ok("summary", "veth, down"),
        ])
    }

    #[test]
    fn a_person_reads_aligned_lines_with_advice_below() {
        let expected = "\
host
  ok       kernel        Linux 6.18
  warning  cpus          1 CPU
                         -> use a lower rate

clock
  ok       clock-source  tsc

interfaces
  ok       eth0          ixgbe, up
  ok       eth1          veth, down

0 problems, 1 warning
";
        assert_eq!(table(&report(), false), expected);
    }

    #[test]
    fn an_interface_that_was_asked_for_has_a_heading() {
        let area = Area::Interface("eth0".to_owned());
        let report = Report::new(vec![area.problem("link", "down", "bring it up"), area.ok("mtu", "1500")]);
        let text = table(&report, false);
        assert!(text.starts_with("interface eth0\n  problem  link  down\n"), "{text}");
        assert!(text.ends_with("\n1 problem, 0 warnings\n"), "{text}");
    }

    #[test]
    fn long_advice_is_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("indivisible", 3), ["indivisible"]);
        let advice = "word ".repeat(60);
        let text = table(&Report::new(vec![Area::Host.warning("cpus", "1 CPU", advice.trim())]), false);
        assert!(text.lines().all(|line| line.len() <= 110), "{text}");
        assert_eq!(text.matches("word").count(), 60);
        assert_eq!(text.matches("->").count(), 1);
    }

    #[test]
    fn colours_change_no_alignment() {
        let coloured = table(&report(), true);
        assert!(coloured.contains("\x1b[33mwarning\x1b[0m  cpus "));
        let mut plain = coloured;
        for tint in [BOLD, RED, GREEN, YELLOW, "0"] {
            plain = plain.replace(&format!("\x1b[{tint}m"), "");
        }
        assert_eq!(plain, table(&report(), false));
    }

    #[test]
    fn a_program_reads_one_document() {
        let document = json(&report());
        let value: serde_json::Value = serde_json::from_str(&document).expect("one document");
        assert_eq!(value["schema"], "leadline.doctor/1");
        assert_eq!(value["findings"].as_array().map(Vec::len), Some(5));
        assert!(document.ends_with("}\n"));
    }
}
