//! Time sources, and how good they are.
//!
//! Every time inside Leadline is nanoseconds of International Atomic Time since 1970, because that scale never jumps for
//! a leap second and the kernel can read it from an eBPF program too. A reading is worth no more than its error, so
//! this room also says how far the kernel believes its clock to be from UTC, whether it knows the distance from UTC to
//! TAI at all, and what one reading costs.

mod kernel;
mod reading;
mod source;
mod state;

pub use reading::{CLOCK_SOURCE_FOLDER, ReadCost, clock_source, measure_read_cost, utc};
pub use source::{Clock, ManualClock, TaiClock};
pub use state::{ClockState, ClockStateError, tai_utc_offset};
