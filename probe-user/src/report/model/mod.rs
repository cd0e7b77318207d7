//! The one versioned form of a result, `leadline.measurement/1`, which every renderer and every reader of `--format
//! json` knows. Times are nanoseconds, counts are packets, instants are UTC. What is undefined is `null`, and
//! [`Measurement::undefined`] says why where a reason helps; nothing is ever 0, infinite or not a number in its place.
//! The JSON Schema is `schema/leadline.measurement-1.schema.json`: what the two must say alike, a test holds together.

mod delay;
mod interval;
mod packets;
mod run;
mod set;
mod stream;
mod validity;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::configuration::{Schedule, TimestampFormat, Via};
pub use delay::{DelayStatistics, Delays};
pub use interval::{IntervalResult, IntervalSchema};
pub use packets::{DropPlace, Packets, Reordering, TesterDrops};
pub use run::{Host, NextHop, Path, Program, Run, XdpMode};
pub use set::{MeasurementSet, Report, SetSchema};
pub use stream::{CounterReadings, Reflector, ReflectorKind, Sending, Stream, Timestamps};
pub use validity::{Validity, Verdict};

/// The result of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Always `leadline.measurement/1`.
    pub schema: Schema,
    /// When, by what and on which machine it was measured.
    pub run: Run,
    /// What was sent to whom (Type-P and stream parameters, RFC 2330 section 13).
    pub stream: Stream,
    /// What became of the packets.
    pub packets: Packets,
    /// Round-trip loss ratio, 0 to 1: packets that did not come back intact before Tmax, over packets sent (RFC 6673; an
    /// errored packet is lost, RFC 7680). `null` when nothing was sent.
    pub loss_ratio: Option<f64>,
    /// The same with errored packets left out of the numerator, as ITU-T Y.1540 has it.
    pub loss_ratio_y1540: Option<f64>,
    /// How long they took. Conditional on arrival (RFC 6703).
    pub delay: Delays,
    /// How far the replies' order departed from the order of sending (RFC 4737).
    pub reordering: Reordering,
    /// How well the sender kept to its schedule.
    pub sending: Sending,
    /// Where the four timestamps were taken, and how far they can be trusted.
    pub timestamps: Timestamps,
    /// The local end of the path.
    pub path: Path,
    /// The far end.
    pub reflector: Reflector,
    /// What the tester itself lost, place by place: never the network's loss.
    pub tester_drops: TesterDrops,
    /// Why a value is `null`: from its path (`packets.lost_forward`) to the reason in words.
    #[serde(default)]
    pub undefined: BTreeMap<String, String>,
    /// Whether the result may be believed, and why not.
    pub validity: Validity,
}

/// The name and version of the measurement's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schema {
    /// The first version.
    #[default]
    #[serde(rename = "leadline.measurement/1")]
    Measurement1,
}
