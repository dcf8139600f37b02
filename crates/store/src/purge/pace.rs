//! How many rows a batch has, so that nobody notices it.
//!
//! A batch shares a commit, a processor and a disk with those who write at the same time, and each of them waits for what it adds. What
//! may be added depends on what a write takes here and now: 2 ms alone on a good disk, 50 ms among many on a poor one. So every
//! eighth batch is of the least size and tells that, and the others grow while they take at most a quarter longer, and shrink where
//! they took more.

/// Rows of a batch: at least, and to begin with; at most.
pub(super) const SIZE: (usize, usize) = (64, 8_192);
/// One batch in so many is of the least size.
const MEASURE: u32 = 8;
/// How much longer a batch may take than one of the least size.
const LONGER: f64 = 1.25;
/// The latest measurement's part of what is usual.
const LATEST: f64 = 0.125;

/// The size of the batches of one source.
pub(super) struct Pace {
    size: usize,
    /// The milliseconds that a batch of the least size takes, a moving mean.
    usual: Option<f64>,
    batches: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace { size: SIZE.0, usual: None, batches: 0 }
    }

    /// The size of the next batch.
    pub(super) fn next(&self) -> usize {
        if self.measures() { SIZE.0 } else { self.size }
    }

    /// The batch was as large as `next` said, and took so many milliseconds.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a batch are few")]
    pub(super) fn took(&mut self, millis: u64) {
        let millis = millis as f64;
        if self.measures() {
            let before = self.usual.unwrap_or(millis);
            self.usual = Some(before + (millis - before) * LATEST);
        } else {
            // A clock of whole milliseconds: less than one cannot be told from none.
            let most = self.usual.map_or(0.0, |usual| (usual * LONGER).max(1.0));
            let size = if millis > most { self.size * 4 / 5 } else { self.size * 5 / 4 };
            self.size = size.clamp(SIZE.0, SIZE.1);
        }
        self.batches = self.batches.wrapping_add(1);
    }

    fn measures(&self) -> bool {
        self.batches.is_multiple_of(MEASURE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source where a write takes `write` microseconds and each row of a batch adds `row`; rests of a millisecond are not lost, as
    /// with a clock that goes on between batches. The sizes of the last of many batches.
    fn sizes(pace: &mut Pace, write: u64, row: u64) -> Vec<usize> {
        let mut micros = 0;
        let mut sizes = Vec::new();
        for _ in 0..2_000 {
            let size = pace.next();
            let end = micros + write + row * size as u64;
            pace.took(end / 1000 - micros / 1000);
            micros = end;
            sizes.push(size);
        }
        sizes.split_off(1_900)
    }

    #[test]
    fn a_batch_takes_a_quarter_longer_than_a_small_one() {
        for (write, row) in [(4_000, 5), (20_000, 5), (20_000, 20), (200_000, 20), (50_000, 500)] {
            let sizes = sizes(&mut Pace::new(), write, row);
            let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
            let least = write as f64 + (row * SIZE.0 as u64) as f64;
            let longer = (write as f64 + row as f64 * mean) / least;
            assert!(longer < 1.4, "{write}, {row}: {mean} rows, {longer} times as long");
            assert!(mean > SIZE.0 as f64 * 1.2 || row == 500, "{write}, {row}: {mean} rows");
        }
    }

    #[test]
    fn where_rows_cost_nothing_a_batch_is_as_large_as_may_be() {
        assert!(sizes(&mut Pace::new(), 3_000, 0).contains(&SIZE.1));
    }

    #[test]
    fn what_is_usual_is_learned_anew() {
        let mut pace = Pace::new();
        let mean = |sizes: Vec<usize>| sizes.iter().sum::<usize>() / sizes.len();
        let busy = mean(sizes(&mut pace, 100_000, 20));
        let quiet = mean(sizes(&mut pace, 5_000, 20));
        let again = mean(sizes(&mut pace, 100_000, 20));
        assert!(busy > quiet * 4 && again > quiet * 4, "{busy}, {quiet}, {again}");
    }
}
