//! How many rows a batch has, so that nobody notices it.
//!
//! A batch shares a commit, a processor and a disk with those who write at the same time, and each of them waits for what it adds. What
//! may be added depends on what a write takes here and now: 1 ms alone on a good disk, 50 ms among many on a poor one. So every
//! fourth batch is of the least size and tells that, and the others grow while they take at most a quarter longer, and shrink where
//! they took more. Single batches vary by far more than that, so every step is small, and up and down are alike: the batch in the
//! middle is what counts, and a disk that stalls once changes nothing.

use std::time::Duration;

/// Rows of a batch: at least, and to begin with; at most. SQLite deletes a row in some 10 microseconds, so the least adds a sixth of a
/// millisecond to a commit.
pub(super) const SIZE: (usize, usize) = (16, 8_192);
/// One batch in so many is of the least size.
const MEASURE: u32 = 4;
/// How much longer a batch may take than one of the least size.
const LONGER: f64 = 1.25;
/// And at most, where the purge does not come to its end.
const LONGEST: f64 = 40.0;
/// How much what is thought to be right changes with each batch.
const STEP: f64 = 1.05;

/// The size of the batches of one source.
pub(super) struct Pace {
    size: f64,
    /// The seconds that a batch of the least size takes: as many take longer as do not.
    usual: Option<f64>,
    batches: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace { size: LEAST, usual: None, batches: 0 }
    }

    /// The size of the next batch.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is kept within SIZE")]
    pub(super) fn next(&self) -> usize {
        if self.measures() { SIZE.0 } else { self.size as usize }
    }

    /// The batch was as large as `next` said, and took so long. `urgency` counts how often it was seen that more expires than goes:
    /// each time a batch may take twice as long as before, since a table that grows for ever is worse than a write that waits.
    pub(super) fn took(&mut self, time: Duration, urgency: u32) {
        let longer = (LONGER * 2_f64.powi(urgency.min(16).cast_signed())).min(LONGEST);
        let time = time.as_secs_f64();
        let usual = self.usual.unwrap_or(time);
        self.usual = Some(if !self.measures() {
            let step = if time > usual * longer { 1.0 / STEP } else { STEP };
            self.size = (self.size * step).clamp(LEAST, MOST);
            usual
        } else if time > usual {
            usual * STEP
        } else {
            // Never so little that it could not grow again.
            (usual / STEP).max(1e-6)
        });
        self.batches = self.batches.wrapping_add(1);
    }

    fn measures(&self) -> bool {
        self.batches.is_multiple_of(MEASURE)
    }
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
const LEAST: f64 = SIZE.0 as f64;
#[allow(clippy::cast_precision_loss, reason = "some thousands")]
const MOST: f64 = SIZE.1 as f64;

#[cfg(test)]
mod tests {
    use super::*;

    /// A source where a write takes `write` microseconds, and ten times as long now and then, and each row of a batch adds `row`. The
    /// mean size of the last of many batches.
    fn size(pace: &mut Pace, write: u64, row: u64) -> u64 {
        let mut sizes = Vec::new();
        for batch in 0..4_000 {
            let size = pace.next() as u64;
            let stalls = if batch % 10 == 0 { 10 } else { 1 };
            // Up to a tenth more or less.
            let write = write * stalls * (90 + batch * 7 % 21) / 100;
            pace.took(Duration::from_micros(write + row * size), 0);
            sizes.push(size);
        }
        sizes[3_000..].iter().sum::<u64>() / 1_000
    }

    #[test]
    fn a_batch_takes_a_quarter_longer_than_a_small_one() {
        for (write, row) in [(1_000, 10), (4_000, 10), (20_000, 5), (20_000, 20), (200_000, 20)] {
            let size = size(&mut Pace::new(), write, row);
            let longer = (write + row * size) as f64 / (write + row * SIZE.0 as u64) as f64;
            assert!((1.1..1.3).contains(&longer), "{write}, {row}: {size} rows, {longer} times as long");
        }
    }

    #[test]
    fn where_each_row_is_dear_batches_are_of_the_least_size() {
        let size = size(&mut Pace::new(), 1_000, 500);
        assert!(size <= SIZE.0 as u64 * 3 / 2, "{size}");
    }

    #[test]
    fn where_rows_cost_nothing_a_batch_is_as_large_as_may_be() {
        let mut pace = Pace::new();
        size(&mut pace, 3_000, 0);
        assert!((0..MEASURE).any(|_| {
            let largest = pace.next() > SIZE.1 / 2;
            pace.took(Duration::from_millis(3), 0);
            largest
        }));
    }

    #[test]
    fn what_is_usual_is_learned_anew() {
        let mut pace = Pace::new();
        let busy = size(&mut pace, 100_000, 20);
        let quiet = size(&mut pace, 5_000, 20);
        let again = size(&mut pace, 100_000, 20);
        assert!(busy > quiet * 4 && again > quiet * 4, "{busy}, {quiet}, {again}");
    }

    #[test]
    fn the_more_urgent_it_is_the_longer_a_batch_may_take() {
        let mut pace = Pace::new();
        let mut before = 0;
        for urgency in [0, 1, 3, 5, 99] {
            for _ in 0..4_000 {
                let size = pace.next() as u64;
                pace.took(Duration::from_micros(5_000 + 20 * size), urgency);
            }
            let size = (0..MEASURE).map(|_| {
                let size = pace.next();
                pace.took(Duration::from_micros(5_000 + 20 * size as u64), urgency);
                size
            });
            let size = size.max().unwrap_or(0);
            assert!(size > before * 3 / 2 || size > SIZE.1 * 9 / 10, "{urgency}: {size} rows after {before}");
            before = size;
        }
        assert!(before > SIZE.1 * 9 / 10, "{before}");
    }
}
