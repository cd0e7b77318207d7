//! What one observation costs on the hot path: the whole accumulator, and each metric family alone. Each figure is for
//! [`OBSERVATIONS`] replies; the throughput is in observations a second and core.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use probe_metrics::{
    DirectionalLoss, Distribution, Observation, Reception, Reordering, StreamAccumulator, StreamConfiguration,
};
use std::hint::black_box;

const OBSERVATIONS: u64 = 1 << 18;
const TMAX_NS: i64 = 3_000_000_000;
/// Three seconds at ten million packets a second.
const OUTSTANDING: u64 = 30_000_000;

fn whole_stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements(OBSERVATIONS));
    for (name, lost_per_thousand) in [("no loss", 0), ("loss of 1 % each way", 10)] {
        let replies = replies(lost_per_thousand);
        let accumulator = || {
            let configuration = StreamConfiguration::new(TMAX_NS, OUTSTANDING);
            StreamAccumulator::new(&configuration).expect("the configuration is in range")
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                accumulator,
                |stream| {
                    let mut sent = 0;
                    for reply in &replies {
                        // Departures come in batches of 64, well before their replies.
                        while reply.sequence + 1024 > sent {
                            stream.on_sent(64);
                            sent += 64;
                        }
                        black_box(stream.observe(reply));
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn each_family(criterion: &mut Criterion) {
    let replies = replies(10);
    let mut group = criterion.benchmark_group("family");
    group.throughput(Throughput::Elements(replies.len() as u64));
    group.bench_function("distribution", |bencher| {
        let record = |delays: &mut Distribution| {
            for reply in &replies {
                delays.record(reply.round_trip_total_ns());
            }
        };
        bencher.iter_batched_ref(Distribution::new, record, BatchSize::PerIteration);
    });
    group.bench_function("reception", |bencher| {
        let books = || {
            let mut books = Reception::new(OUTSTANDING);
            books.on_sent(OBSERVATIONS);
            books
        };
        let arrive = |books: &mut Reception| {
            for reply in &replies {
                black_box(books.arrive(reply.sequence, reply.round_trip_total_ns(), TMAX_NS));
            }
        };
        bencher.iter_batched_ref(books, arrive, BatchSize::PerIteration);
    });
    group.bench_function("reordering", |bencher| {
        let observe = |reordering: &mut Reordering| {
            for reply in &replies {
                black_box(reordering.observe(reply.sequence));
            }
        };
        bencher.iter_batched_ref(|| Reordering::new(1 << 14), observe, BatchSize::PerIteration);
    });
    group.bench_function("direction", |bencher| {
        let finder = || DirectionalLoss::new(DirectionalLoss::DEFAULT_WINDOW, 0);
        let observe = |finder: &mut DirectionalLoss| {
            for reply in &replies {
                finder.observe(reply.sequence, reply.reflector_sequence, true);
            }
        };
        bencher.iter_batched_ref(finder, observe, BatchSize::PerIteration);
    });
    group.finish();
}

/// Replies to a stream of one packet each 100 ns, with so many lost in either direction.
fn replies(lost_per_thousand: u64) -> Vec<Observation> {
    let mut reflector_sequence = 0;
    let mut replies = vec![];
    for sequence in 0..OBSERVATIONS {
        let noise = noise(sequence);
        let fate = noise % 1000;
        if fate < lost_per_thousand {
            continue;
        }
        if fate >= 2 * lost_per_thousand {
            replies.push(reply(sequence, reflector_sequence, noise));
        }
        reflector_sequence += 1;
    }
    replies
}

fn reply(sequence: u64, reflector_sequence: u64, noise: u64) -> Observation {
    let jitter = |bits: u32, shift: u32| ((noise >> shift) & ((1 << bits) - 1)) as i64;
    let sent_ns = sequence as i64 * 100;
    let reflector_received_ns = sent_ns + 5_000 + jitter(12, 10);
    let reflector_sent_ns = reflector_received_ns + 200 + jitter(8, 22);
    Observation {
        sequence,
        sent_ns,
        reflector_received_ns,
        reflector_sent_ns,
        received_ns: reflector_sent_ns + 5_000 + jitter(13, 30),
        reflector_sequence,
        has_reflector_times: true,
        ..Observation::default()
    }
}

/// The same disorder in every run: a bijective mixing of the number's bits.
fn noise(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 3
}

criterion_group!(benches, whole_stream, each_family);
criterion_main!(benches);
