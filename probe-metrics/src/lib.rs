//! The mathematics of the measurement: observations in, IP performance metrics out.
//!
//! This crate exists so that every number of a report can be checked without a network: it reads no clock, does no
//! input or output, and knows nothing of wire formats or eBPF. Each metric family has a file of its own and bounded
//! memory, chosen at construction; nothing that takes an observation allocates. [`accumulator`] puts the families
//! together for one stream.
//!
//! Times are nanoseconds of `CLOCK_TAI` and delays are nanoseconds, both `i64`. What is undefined is `None`, never
//! zero, infinity or NaN.
#![forbid(unsafe_code)]

pub mod accumulator;
pub mod direction;
pub mod distribution;
pub mod observation;
pub mod reception;
pub mod reordering;
pub mod sequence;

pub use accumulator::{
    ConfigurationError, Counts, IntervalAccumulator, StreamAccumulator, StreamConfiguration, StreamResult,
};
pub use direction::{DirectionalLoss, Directions, Numbering};
pub use distribution::{Distribution, Summary};
pub use observation::Observation;
pub use reception::{Arrival, Reception};
pub use reordering::{Extent, Reordering, ReorderingSummary};
pub use sequence::Unwrapper;
