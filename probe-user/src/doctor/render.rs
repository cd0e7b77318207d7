//! A report for a person, or for a program.

use std::fmt::Write;

use super::model::{Area, Finding, Report, SUMMARY, Status};
use crate::report::{
    Style, json as json_text,
    text::{counted, wrapped},
};

/// The report as one JSON document, with a line feed at its end.
#[must_use]
pub fn json(report: &Report) -> String {
    json_text::lines(report)
}

/// The report as lines in groups: status, check, what was seen; below it, what to do. The last line counts.
#[must_use]
pub fn table(report: &Report, style: Style) -> String {
    const STATUS_WIDTH: usize = "problem".len();
    const LINE_WIDTH: usize = 110;
    let subject_width = report.findings.iter().map(|finding| subject(finding).len()).max().unwrap_or(0);
    let margin = STATUS_WIDTH + subject_width + 6;
    let mut text = String::new();
    let mut last: Option<&Area> = None;
    for finding in &report.findings {
        if let Some(heading) = heading(finding, last) {
            let gap = if last.is_some() { "\n" } else { "" };
            line(&mut text, format_args!("{gap}{}", style.bold(&heading)));
        }
        last = Some(&finding.area);
        // The width is made up before the colour's own characters come in.
        let status = match finding.status {
            Status::Ok => style.green(&format!("{:STATUS_WIDTH$}", "ok")),
            Status::Warning => style.yellow(&format!("{:STATUS_WIDTH$}", "warning")),
            Status::Problem => style.red(&format!("{:STATUS_WIDTH$}", "problem")),
        };
        let seen = wrapped(&finding.seen, LINE_WIDTH, margin);
        line(&mut text, format_args!("  {status}  {:subject_width$}  {seen}", subject(finding)));
        if let Some(advice) = &finding.advice {
            let advice = wrapped(advice, LINE_WIDTH, margin + 3);
            line(&mut text, format_args!("{:margin$}-> {advice}", ""));
        }
    }
    let problems = counted(report.count(Status::Problem) as u64, "problem");
    let warnings = counted(report.count(Status::Warning) as u64, "warning");
    line(&mut text, format_args!("\n{problems}, {warnings}"));
    text
}

/// What stands over a finding, unless it is what stood over the last one. Interfaces that have one line each stand
/// together.
fn heading(finding: &Finding, last: Option<&Area>) -> Option<String> {
    if is_summary(finding) {
        return (!matches!(last, Some(Area::Interface(_)))).then(|| "interfaces".to_owned());
    }
    (last != Some(&finding.area)).then(|| finding.area.to_string())
}

/// What a line is about: the check, or the interface where its one line says everything.
fn subject(finding: &Finding) -> &str {
    match &finding.area {
        Area::Interface(name) if is_summary(finding) => name,
        _ => finding.check,
    }
}

fn is_summary(finding: &Finding) -> bool {
    finding.check == SUMMARY
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes all that is written to it");
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
        assert_eq!(table(&report(), Style::PLAIN), expected);
    }

    #[test]
    fn an_interface_that_was_asked_for_has_a_heading() {
        let area = Area::Interface("eth0".to_owned());
        let report = Report::new(vec![area.problem("link", "down", "bring it up"), area.ok("mtu", "1500")]);
        let text = table(&report, Style::PLAIN);
        assert!(text.starts_with("interface eth0\n  problem  link  down\n"), "{text}");
        assert!(text.ends_with("\n1 problem, 0 warnings\n"), "{text}");
    }

    #[test]
    fn long_advice_is_broken_between_words() {
        let advice = "word ".repeat(60);
        let report = Report::new(vec![Area::Host.warning("cpus", "1 CPU", advice.trim())]);
        let text = table(&report, Style::PLAIN);
        assert!(text.lines().all(|line| line.len() <= 110), "{text}");
        assert_eq!((text.matches("word").count(), text.matches("->").count()), (60, 1));
    }

    #[test]
    fn colours_change_no_alignment() {
        let coloured = table(&report(), Style::COLOUR);
        assert!(coloured.contains("\x1b[1;33mwarning\x1b[0m  cpus "));
        let mut plain = coloured;
        for tint in ["1", "1;31", "1;32", "1;33", "0"] {
            plain = plain.replace(&format!("\x1b[{tint}m"), "");
        }
        assert_eq!(plain, table(&report(), Style::PLAIN));
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
