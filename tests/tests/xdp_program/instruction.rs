//! The instruction that numbers replies. In Rust for this target an atomic add that looks the same in the source can compile
//! to one that answers with its addend; what was emitted can be seen in the object alone.

use object::{Object as _, ObjectSection as _, SectionKind};
use probe_user::attach::objects::LEADLINE_XDP;

/// BPF_STX | BPF_ATOMIC with BPF_W and with BPF_DW (RFC 9669, section 5.3).
const ATOMIC: [u8; 2] = [0xc3, 0xdb];
/// The bit of the immediate that asks for the value from before the addition.
const FETCH: i32 = 0x01;
/// An addition: the immediate without FETCH is zero.
const ADD: i32 = 0x00;
/// A 64-bit immediate load, the one instruction of 16 octets.
const WIDE: u8 = 0x18;

#[test]
fn every_atomic_addition_in_the_object_fetches() {
    let atomics = atomics(LEADLINE_XDP);
    assert!(atomics.contains(&(ATOMIC[0], ADD | FETCH)), "no 32-bit fetch-and-add among {atomics:02x?}");
    for (code, immediate) in atomics {
        assert!(immediate & FETCH != 0, "an atomic {code:#04x} without a result: {immediate:#x}");
    }
}

/// Code and immediate of every atomic instruction.
fn atomics(elf: &[u8]) -> Vec<(u8, i32)> {
    let object = object::File::parse(elf).expect("an ELF object");
    let mut atomics = Vec::new();
    for section in object.sections().filter(|section| section.kind() == SectionKind::Text) {
        let mut instructions = section.data().expect("the section's octets").chunks_exact(8);
        while let Some(instruction) = instructions.next() {
            let code = instruction[0];
            if code == WIDE {
                instructions.next();
            } else if ATOMIC.contains(&code) {
                atomics.push((code, i32::from_le_bytes(instruction[4..8].try_into().expect("4 octets"))));
            }
        }
    }
    atomics
}
