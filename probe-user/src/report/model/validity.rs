//! Whether a result may be believed.

use serde::{Deserialize, Serialize};

/// The verdict on a result. It speaks of the measurement, never of the network: a path that loses everything can be
/// measured validly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// Whether the numbers stand.
    pub verdict: Verdict,
    /// Why they do not, or what is to be known when reading them; sentences.
    pub reasons: Vec<String>,
}

/// Whether the numbers stand; the worst compares highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They do.
    Valid,
    /// Some loss cannot be laid at anyone's door.
    Unattributable,
    /// The tester spoiled the measurement.
    Invalid,
}

impl Validity {
    /// The worst verdict of several, with every stream's reasons under its index.
    pub(super) fn of_all<'a>(validities: impl IntoIterator<Item = (u32, &'a Self)>) -> Self {
        let mut all = Self { verdict: Verdict::Valid, reasons: Vec::new() };
        for (stream, validity) in validities {
            all.verdict = all.verdict.max(validity.verdict);
            all.reasons.extend(validity.reasons.iter().map(|reason| format!("stream {stream}: {reason}")));
        }
        all
    }
}
