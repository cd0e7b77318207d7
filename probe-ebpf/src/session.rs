//! The numbers that a stateful reflector gives to its replies (RFC 8762 section 4.3).

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::BPF_NOEXIST;
use probe_wire::shared::{Counter, Session, SessionKey};

use crate::count::count;
use crate::maps::SESSIONS;

/// The number of the next reply of a session, which begins with its first packet.
#[inline(always)]
pub(crate) fn next_number(key: &SessionKey, sender_sequence: u32, slot: u32) -> Option<u32> {
    if let Some(session) = SESSIONS.get_ptr_mut(key) {
        return Some(take_number(session));
    }
    // Another CPU may begin the same session at this moment: one of the two insertions fails, and both find the one.
    if SESSIONS.insert(key, Session::default(), u64::from(BPF_NOEXIST)).is_ok() {
        count(slot, Counter::SESSION_NEW);
        if sender_sequence != 0 {
            count(slot, Counter::SESSION_MIDWAY);
        }
    }
    SESSIONS.get_ptr_mut(key).map(take_number)
}

#[inline(always)]
fn take_number(session: *mut Session) -> u32 {
    // SAFETY: the pointer is to a value of the map. With any weaker ordering than this the compiler emits an add
    // without fetch and answers with the addend; a test looks at the instruction.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(&raw mut (*session).next_sequence, 1) }
}
