//! A measurement from its configuration to its report, and a reflector from its start to its summary.
//!
//! What is pure stands apart from what asks the kernel: [`verdict`] and [`assemble`] judge and tell what a run found,
//! and know no port and no clock.

mod assemble;
mod control;
mod counters;
mod ledger;
mod measure;
mod prepare;
mod reflect;
mod verdict;

pub use counters::CounterDocument;
pub use measure::{Observer, measure};
pub use reflect::{ReflectObserver, reflect};
