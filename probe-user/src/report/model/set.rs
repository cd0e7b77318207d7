//! The result of a run: one measurement, or a set of them.

use serde::{Deserialize, Serialize};

use super::{Measurement, Run, Validity};

/// What a run prints: the plain document of its only stream, or the set of several. One JSON document in either case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Report {
    /// The measurement of the only stream.
    One(Box<Measurement>),
    /// The measurements of all streams.
    Set(Box<MeasurementSet>),
}

impl Report {
    /// The report of a run's streams in the order of their indices.
    pub fn new(run: Run, measurements: Vec<Measurement>) -> Self {
        match <[Measurement; 1]>::try_from(measurements) {
            Ok([measurement]) => Self::One(Box::new(measurement)),
            Err(measurements) => Self::Set(Box::new(MeasurementSet::new(run, measurements))),
        }
    }

    /// The measurements, one for each stream.
    pub fn measurements(&self) -> &[Measurement] {
        match self {
            Self::One(measurement) => std::slice::from_ref(measurement),
            Self::Set(set) => &set.measurements,
        }
    }

    /// The run that all streams share.
    pub fn run(&self) -> &Run {
        match self {
            Self::One(measurement) => &measurement.run,
            Self::Set(set) => &set.run,
        }
    }

    /// The verdict on the whole run.
    pub fn validity(&self) -> &Validity {
        match self {
            Self::One(measurement) => &measurement.validity,
            Self::Set(set) => &set.validity,
        }
    }
}

/// The measurements of streams that ran at the same time, `leadline.measurement-set/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurementSet {
    /// Always `leadline.measurement-set/1`.
    pub schema: SetSchema,
    /// The run that all streams share.
    pub run: Run,
    /// A complete `leadline.measurement/1` document for each stream.
    pub measurements: Vec<Measurement>,
    /// The worst of the streams' verdicts.
    pub validity: Validity,
}

impl MeasurementSet {
    /// The set of a run's measurements.
    pub fn new(run: Run, measurements: Vec<Measurement>) -> Self {
        let validities = measurements.iter().map(|measurement| (measurement.stream.index, &measurement.validity));
        let validity = Validity::of_all(validities);
        Self { schema: SetSchema::default(), run, measurements, validity }
    }
}

/// The name and version of the set's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetSchema {
    /// The first version.
    #[default]
    #[serde(rename = "leadline.measurement-set/1")]
    MeasurementSet1,
}
