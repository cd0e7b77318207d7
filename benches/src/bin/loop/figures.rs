//! What was found: runs, rounds, and their medians.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::machine::Machine;

/// Round trips of one loop, and how long they took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Run {
    /// Packets that left.
    pub(crate) sent: u64,
    /// Packets that left and did not come back.
    pub(crate) lost: u64,
    /// Round trips a second.
    pub(crate) pps: f64,
    /// CPU time of a round trip in nanoseconds, the kernel's part included; `None` where it was not seen.
    pub(crate) cpu_ns: Option<f64>,
}

impl Run {
    pub(crate) fn new(sent: u64, received: u64, time: Duration, cpu_ns: Option<f64>) -> Self {
        Self { sent, lost: sent.saturating_sub(received), pps: received as f64 / time.as_secs_f64(), cpu_ns }
    }
}

/// One run of each, one right after the other, so that what else the machine does bears on both.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    bare: Option<Run>,
    leadline: Option<Run>,
    /// Leadline's rate over that of the bare loop.
    ratio: Option<f64>,
}

impl Round {
    pub(crate) fn new(bare: Option<Run>, leadline: Option<Run>) -> Self {
        let ratio = bare.zip(leadline).map(|(bare, leadline)| leadline.pps / bare.pps);
        Self { bare, leadline, ratio }
    }
}

/// All rounds. A median is not moved by the one round in which the machine did something else.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    machine: Machine,
    cpu: u32,
    rounds: Vec<Round>,
    /// Median rate of the bare loop, packets a second.
    bare_pps: Option<f64>,
    /// Median of Leadline's highest loss-free rates, packets a second.
    leadline_pps: Option<f64>,
    /// Median of the rounds' ratios.
    pub(crate) ratio: Option<f64>,
    /// The same of the CPU time that a round trip takes, the bare loop's over Leadline's: what the ratio would be if
    /// nobody else had used the CPU. It holds where the kernel charges its interrupts' work to the process that they
    /// interrupt, which is so without CONFIG_IRQ_TIME_ACCOUNTING.
    cpu_ratio: Option<f64>,
}

impl Figures {
    pub(crate) fn new(machine: Machine, cpu: u32, rounds: Vec<Round>) -> Self {
        Self {
            bare_pps: median(rounds.iter().filter_map(|round| Some(round.bare?.pps))),
            leadline_pps: median(rounds.iter().filter_map(|round| Some(round.leadline?.pps))),
            ratio: median(rounds.iter().filter_map(|round| round.ratio)),
            cpu_ratio: median(rounds.iter().filter_map(|round| Some(round.bare?.cpu_ns? / round.leadline?.cpu_ns?))),
            machine,
            cpu,
            rounds,
        }
    }
}

/// The value in the middle, or the mean of the two.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:7.1} kpps", self.pps / 1e3)?;
        if let Some(cpu_ns) = self.cpu_ns {
            write!(formatter, " at {cpu_ns:5.0} ns of CPU")?;
        }
        write!(formatter, " ({} sent, {} lost)", self.sent, self.lost)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.bare.map(|run| format!("bare {run}")),
            self.leadline.map(|run| format!("leadline {run}")),
            self.ratio.map(|ratio| format!("ratio {ratio:.3}")),
        ];
        formatter.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join("   "))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "medians of {} rounds", self.rounds.len())?;
        if let Some(pps) = self.bare_pps {
            writeln!(formatter, "  bare AF_XDP loop                 {:7.1} kpps", pps / 1e3)?;
        }
        if let Some(pps) = self.leadline_pps {
            writeln!(formatter, "  leadline measure, nothing lost   {:7.1} kpps", pps / 1e3)?;
        }
        if let Some(ratio) = self.ratio {
            writeln!(formatter, "  ratio                            {ratio:9.3}")?;
        }
        if let Some(ratio) = self.cpu_ratio {
            writeln!(formatter, "  ratio by CPU time                {ratio:9.3}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_round_divides_leadline_by_bare() {
        let run = |pps| Run { sent: 1, lost: 0, pps, cpu_ns: None };
        assert_eq!(Round::new(Some(run(10.0)), Some(run(7.0))).ratio, Some(0.7));
        assert_eq!(Round::new(Some(run(10.0)), None).ratio, None);
    }
}
