//! One target under libFuzzer: the one that FUZZ_TARGET names. With FUZZ_SEEDS, writes the seeds of all targets below that folder and ends.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use portcullis_fuzz::{TARGETS, seeds, target};

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    if let Ok(folder) = std::env::var("FUZZ_SEEDS") {
        for (name, _) in TARGETS {
            seeds::write(name, &Path::new(&folder).join(name));
        }
        std::process::exit(0);
    }
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("FUZZ_TARGET is one of: {}", known.join(" "));
        std::process::exit(2);
    })
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
