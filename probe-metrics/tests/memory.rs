//! All memory is taken at construction: the hot path allocates nothing, whatever comes in.

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use probe_metrics::{IntervalAccumulator, Numbering, Observation, StreamAccumulator, StreamConfiguration};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// The process aborts on an allocation inside of `assert_no_alloc` (debug builds).
#[test]
fn observing_allocates_nothing() {
    let configuration = StreamConfiguration {
        direction_window: 1024,
        remembered_discontinuities: 100,
        ..StreamConfiguration::new(1_000_000, 10_000)
    };
    let mut stream = StreamAccumulator::new(&configuration).unwrap();
    let mut closed = IntervalAccumulator::new();
    assert_no_alloc(|| {
        stream.on_sent(16);
        for turn in 0..99_984_u64 {
            stream.on_sent(1);
            stream.departure(turn as i64 % 20_000);
            // Back in blocks of 16, backwards; one of three lost forward and one of seven backward.
            let sequence = turn ^ 0xf;
            if sequence % 3 == 0 || sequence % 7 == 5 {
                continue;
            }
            // What reached the reflector did so in swapped pairs.
            let reply = Observation {
                sequence,
                reflector_sequence: (sequence - sequence / 3 - 1) ^ 1,
                received_ns: (sequence as i64).pow(3) % 1_100_000,
                has_reflector_times: true,
                ..Observation::default()
            };
            stream.observe(&reply);
            if sequence % 10 == 1 {
                stream.observe(&reply);
            }
            if sequence % 1000 == 1 {
                stream.close_interval(&mut closed);
                stream.corrupted();
                stream.foreign();
            }
        }
        stream.observe_sentinel(&Observation {
            sequence: 100_000,
            reflector_sequence: 66_700,
            ..Observation::default()
        });
    });
    let result = stream.finish();
    assert!(result.counts.late > 1000 && result.counts.reordered > 1000);
    let directions = result.directions.unwrap();
    assert_eq!(directions.numbering, Numbering::Continuous);
    assert!(directions.duplicates_backward > 1000 && directions.forward > 1000);
}
