//! Intermediate results on their way from the worker to the controller: whole intervals change hands, and their
//! memory comes back.

use crossbeam_queue::ArrayQueue;
use probe_metrics::accumulator::IntervalAccumulator;

/// What one stream did between two moments.
#[derive(Clone, Debug)]
pub struct ClosedInterval {
    /// Index of the stream.
    pub stream: usize,
    /// When the interval began, TAI nanoseconds.
    pub start_ns: i64,
    /// When it ended, TAI nanoseconds.
    pub end_ns: i64,
    /// Counts and delay.
    pub metrics: IntervalAccumulator,
}

/// Two queues of fixed length: closed intervals to the controller, empty ones back.
#[derive(Debug)]
pub struct IntervalExchange {
    closed: ArrayQueue<Box<ClosedInterval>>,
    empty: ArrayQueue<Box<ClosedInterval>>,
}

impl IntervalExchange {
    /// An exchange for so many streams, with four intervals for each: a controller that falls further behind gets
    /// longer intervals, and none is lost.
    #[must_use]
    pub fn new(streams: usize) -> Self {
        let length = (streams * 4).max(1);
        let (closed, empty) = (ArrayQueue::new(length), ArrayQueue::new(length));
        for _ in 0..length {
            let blank = ClosedInterval { stream: 0, start_ns: 0, end_ns: 0, metrics: IntervalAccumulator::new() };
            // The queue is as long as there are intervals.
            let _ = empty.push(Box::new(blank));
        }
        Self { closed, empty }
    }

    /// Shows the controller every interval that was closed since it last asked.
    pub fn take(&self, mut show: impl FnMut(&ClosedInterval)) {
        while let Some(interval) = self.closed.pop() {
            show(&interval);
            let _ = self.empty.push(interval);
        }
    }

    /// True when there are so many empty intervals; they cannot become fewer but by [`Self::blank`].
    pub(super) fn has_blanks(&self, count: usize) -> bool {
        self.empty.len() >= count
    }

    /// An empty interval to be filled, unless the controller has all of them.
    pub(super) fn blank(&self) -> Option<Box<ClosedInterval>> {
        self.empty.pop()
    }

    /// Hands a filled interval over.
    pub(super) fn close(&self, interval: Box<ClosedInterval>) {
        let _ = self.closed.push(interval);
    }
}
