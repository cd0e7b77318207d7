//! The hot path: schedules say when packets leave, the worker sends them and takes their replies in.
//!
//! A worker owns its port, its streams and their metrics, so that nothing on the way of a packet is shared, locked or
//! allocated. The controller sees it through [`Gauges`] and through intervals that change hands whole.

mod gauge;
mod intervals;
pub mod preflight;
mod schedule;
mod stream;
#[cfg(test)]
mod tests;
mod worker;

pub use gauge::Gauges;
pub use intervals::{ClosedInterval, IntervalExchange};
pub use preflight::{Preflight, ReflectorKind, preflight_ssid};
pub use schedule::Schedule;
pub use stream::{Ending, StreamOutcome, StreamPlan};
pub use worker::{Settings, Worker};
