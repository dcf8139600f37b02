//! Whether a password is a user's.
//!
//! The slow hash runs on a bounded lane. What was right is remembered for a short while, so that somebody who presents the same
//! password with every request (`auth.basic`) does not pay for it each time, and requests that present it at once share one check.
//! Whoever is refused costs slow work: a name that nobody has is held against a hash that nobody has. Not so where all passwords that
//! were seen are ones that we generated, whose hash is fast: then nothing is to be told apart.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oauth::Secret;
use oauth::credential::verify_generated;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::lane::{NOBODY, verify_chosen};
use crate::source::StoreError;

/// For how long a password that was right is remembered. What ends it earlier: another password of the user, since it is
/// remembered with the hash.
const REMEMBER: Duration = Duration::from_secs(60);
/// Passwords that are remembered.
const RIGHT: usize = 10_000;

pub(super) struct Passwords {
    /// Those that were right: a digest of the question under a key of this process, and when it was answered.
    right: Cache<[u8; 32], Instant>,
    key: [u8; 32],
    /// A slow hash was seen.
    slow: AtomicBool,
    /// A fast one was.
    fast: AtomicBool,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without randomness the key is known, and what it protects is a digest in this process's own memory for a minute.
        if let Err(error) = getrandom::fill(&mut key) {
            tracing::error!("the system gives no random bytes: {error}");
        }
        Passwords { right: Cache::new(RIGHT), key, slow: AtomicBool::new(false), fast: AtomicBool::new(false) }
    }

    /// Notes what kind of hashes there are.
    pub(super) fn saw(&self, hash: &str) {
        let is_fast = verify_generated(hash, &Secret::new(String::new())).is_some();
        let seen = if is_fast { &self.fast } else { &self.slow };
        if !seen.load(Ordering::Relaxed) {
            seen.store(true, Ordering::Relaxed);
        }
    }

    /// No, after the work that a right one costs.
    async fn wrong(&self, password: &Secret) -> Result<bool, StoreError> {
        if self.slow.load(Ordering::Relaxed) || !self.fast.load(Ordering::Relaxed) {
            verify_chosen(NOBODY, password).await?;
        }
        Ok(false)
    }

    /// Whether the password is the one of this hash. Equal questions at once wait for one answer, where that is yes.
    pub(super) async fn verify(&self, name: &str, hash: Option<&str>, password: &Secret) -> Result<bool, StoreError> {
        let Some(hash) = hash else { return self.wrong(password).await };
        let question = self.question(name, hash, password);
        let answered = loop {
            match self.right.get_value_or_guard_async(&question).await {
                Ok(at) if at.elapsed() < REMEMBER => return Ok(true),
                Ok(_) => drop(self.right.remove_if(&question, |at| at.elapsed() >= REMEMBER)),
                Err(ours) => break ours,
            }
        };
        let right = match verify_generated(hash, password) {
            Some(true) => true,
            Some(false) => self.wrong(password).await?,
            None => verify_chosen(hash, password).await?,
        };
        if right {
            // Where it was forgotten meanwhile, it is checked again.
            let _ = answered.insert(Instant::now());
        }
        Ok(right)
    }

    /// The hash stands in it: with another one, it is another question.
    fn question(&self, name: &str, hash: &str, password: &Secret) -> [u8; 32] {
        let mut digest = Sha256::new().chain_update(self.key);
        for part in [name, hash, password.expose()] {
            digest = digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part);
        }
        digest.finalize().into()
    }
}
