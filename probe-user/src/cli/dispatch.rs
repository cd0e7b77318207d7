//! One call into the library for each command. The configurations are validated; whatever goes wrong from here on is a
//! failure of the run.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::configuration::{InterfaceName, MeasurementConfiguration, OutputFormat, ReflectConfiguration};
use crate::doctor;
use crate::lab::{self, LabOptions, Origin};
use crate::report::advice::Failure;
use crate::report::model::IntervalResult;
use crate::report::progress::{Progress, ProgressLine};
use crate::report::reflector::{ReflectorCounters, ReflectorLine};
use crate::report::{self, Style, json, table};
use crate::session::{self, Observer, ReflectObserver};

pub(super) fn reflect(configuration: ReflectConfiguration, format: OutputFormat) -> Result<ExitCode, Failure> {
    let mut observer = Watch { line: ReflectorLine::on_stderr(), earlier: None };
    let counters = session::reflect(&configuration, &mut observer)?;
    drop(observer);
    let text = match format {
        OutputFormat::Table => counters.render(Style::for_stdout()),
        OutputFormat::Json => json::lines(&counters),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn measure(configuration: MeasurementConfiguration, format: OutputFormat) -> Result<ExitCode, Failure> {
    let mut observer = Console { format, line: ProgressLine::on_stderr(), has_header: false };
    let report = session::measure(&configuration, &mut observer)?;
    drop(observer);
    let text = match format {
        OutputFormat::Table => table::render(&report, Style::for_stdout()),
        OutputFormat::Json => json::render(&report),
    };
    print(&text)?;
    let silent: Vec<&str> = report
        .measurements()
        .iter()
        .filter(|measurement| measurement.packets.sent > 0 && measurement.packets.lost == measurement.packets.sent)
        .map(|measurement| measurement.stream.target.as_str())
        .collect();
    if silent.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    // The report stands; this says what to do about it.
    Err(Failure {
        help: Some(
            "check that a STAMP reflector listens on that port, and that no filter on the way drops UDP to or from it"
                .to_owned(),
        ),
        ..Failure::new(format!("no reply from {}", silent.join(", ")))
    })
}

pub(super) fn lab_up() -> Result<ExitCode, Failure> {
    let lab = lab::up(LabOptions::standard()?)?;
    let what = match lab.origin() {
        Origin::New => "the lab is up".to_owned(),
        Origin::Existing => "the lab was up already".to_owned(),
        Origin::Repaired(traces) => {
            let cleared: Vec<String> = traces.iter().map(ToString::to_string).collect();
            format!("the lab is up again; cleared first: {}", cleared.join(", "))
        }
    };
    tell(&format!(
        "{what}: 198.18.0.1 on probe0 in leadline-sender, 198.18.0.2 on probe1 in leadline-reflector\n\
         try: leadline lab run -- leadline measure 198.18.0.2 --interface probe0 --rate 10kpps --duration 3s"
    ));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn lab_down() -> Result<ExitCode, Failure> {
    let traces = lab::down()?;
    if traces.is_empty() {
        tell("there was no lab");
    } else {
        for trace in traces {
            tell(&format!("removed {trace}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Exits with the command's own status.
pub(super) fn lab_run(command: &[OsString]) -> Result<ExitCode, Failure> {
    match lab::exec(command)? {}
}

pub(super) fn doctor(interface: Option<&InterfaceName>, format: OutputFormat) -> Result<ExitCode, Failure> {
    let report = doctor::run(interface.map(InterfaceName::as_str))?;
    let text = match format {
        OutputFormat::Table => doctor::render::table(&report, Style::for_stdout()),
        OutputFormat::Json => doctor::render::json(&report),
    };
    print(&text)?;
    Ok(ExitCode::from(report.exit_status()))
}

fn print(text: &str) -> Result<(), Failure> {
    report::write_to_stdout(text).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new("cannot write the result to standard output")
    })
}

/// Tells something on standard error. Where that cannot be written, nobody listens.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A measurement on the console: progress on a terminal, intervals as rows or as lines of JSON.
struct Console {
    format: OutputFormat,
    line: ProgressLine,
    has_header: bool,
}

impl Observer for Console {
    fn progress(&mut self, progress: &Progress) {
        self.line.show(progress);
    }

    fn interval(&mut self, interval: &IntervalResult) {
        // Standard output holds exactly one document of JSON, so that the lines go beside it.
        self.line.suspend(|| match self.format {
            OutputFormat::Json => {
                let _ = std::io::stderr().write_all(json::render_interval(interval).as_bytes());
            }
            OutputFormat::Table => {
                if !self.has_header {
                    let _ = report::write_to_stdout(&report::interval::header());
                }
                let _ = report::write_to_stdout(&report::interval::render(interval));
            }
        });
        self.has_header = true;
    }

    fn note(&mut self, note: &str) {
        self.line.suspend(|| tell(&format!("note: {note}")));
    }
}

/// A reflector on the console.
struct Watch {
    line: ReflectorLine,
    earlier: Option<(ReflectorCounters, Instant)>,
}

impl ReflectObserver for Watch {
    fn ready(&mut self, description: &str) {
        tell(description);
    }

    fn counters(&mut self, counters: &ReflectorCounters) {
        let earlier: Option<(&ReflectorCounters, Duration)> =
            self.earlier.as_ref().map(|(counters, at)| (counters, at.elapsed()));
        self.line.show(counters.line(earlier));
        self.earlier = Some((counters.clone(), Instant::now()));
    }
}
