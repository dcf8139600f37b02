//! Replays what was found and saved, and the seeds, then a fixed number of random changes of them: the same at every run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use portcullis_fuzz::{TARGETS, seeds};

/// Random inputs for each target; FUZZ_ITERATIONS asks for more.
const ITERATIONS: usize = 1_000;

/// A small generator (splitmix64), the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % most.max(1) as u64) as usize
    }

    /// A piece of one input.
    fn piece<'a>(&mut self, of: &'a [u8]) -> &'a [u8] {
        let start = self.below(of.len() + 1);
        let length = self.below(24).min(of.len() - start);
        &of[start..start + length]
    }

    /// One input with some pieces taken out, put in from another one, doubled or overwritten.
    fn changed(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            let other = &inputs[self.below(inputs.len())];
            let piece = self.piece(other).to_vec();
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(24)).min(bytes.len());
            match self.below(4) {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, piece)),
                2 => drop(bytes.splice(at..end, piece)),
                _ => {
                    let doubled = bytes[at..end].to_vec();
                    let times = 1 + self.below(40);
                    bytes.splice(at..at, doubled.repeat(times));
                }
            }
        }
        bytes
    }
}

fn run(name: &str, target: fn(&[u8]), what: &str, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let shown = String::from_utf8_lossy(bytes);
        eprintln!("--- {name}, {what}: save this below tests/fuzz/corpus/{name}/\n{shown}\n---");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn saved_inputs_and_seeds_break_nothing() {
    for (name, target) in TARGETS {
        for (path, bytes) in seeds::saved(name) {
            run(name, *target, &path.display().to_string(), &bytes);
        }
        let seeds = seeds::of(name);
        assert!(seeds.len() > 5, "{name} has {} seeds: are they still where they are looked for?", seeds.len());
        for (number, seed) in seeds.iter().enumerate() {
            run(name, *target, &format!("seed {number}"), seed.as_bytes());
        }
    }
}

#[test]
fn random_changes_break_nothing() {
    let iterations = std::env::var("FUZZ_ITERATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(ITERATIONS);
    for (name, target) in TARGETS {
        let seeds = seeds::of(name).into_iter().map(String::into_bytes);
        let inputs: Vec<Vec<u8>> = seeds.chain(seeds::saved(name).into_iter().map(|(_, bytes)| bytes)).collect();
        for number in 0..iterations {
            let bytes = Dice(number as u64).changed(&inputs);
            run(name, *target, &format!("random input {number}"), &bytes);
        }
    }
}
