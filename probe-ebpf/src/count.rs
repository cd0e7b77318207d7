//! Counting.

use probe_wire::shared::Counter;

use crate::maps::COUNTERS;

/// Adds one to a slot's counter. Each CPU has its own, and a program is not interrupted by itself on one CPU.
#[inline(always)]
pub(crate) fn count(slot: u32, counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter.index(slot)) {
        // SAFETY: the pointer is to this CPU's own value of the map.
        unsafe { *value += 1 };
    }
}
