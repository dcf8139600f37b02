//! Whether a secret is a client's.
//!
//! Secrets that we generated have a fast hash: there is nothing to guess. Those that a person chose have Argon2id, which runs
//! on a bounded lane, with a limit on failures for each client, and a short memory of pairs that were right, so that a client
//! that asks often does not pay for it each time.
//!
//! An unknown client costs the same work as one with a wrong secret: a hash that fails, slow where this registry was seen to
//! have slow ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oauth::credential::verify_generated;
use oauth::{ClientId, Secret};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::lane::verify_chosen;
use crate::record::{Client, ClientSecret};
use crate::source::StoreError;

/// For how long a pair that was right is remembered. What ends it earlier: another secret of the client, since
/// the pair is remembered with its hash.
const REMEMBER_PAIR: Duration = Duration::from_secs(60);
/// Pairs that are remembered.
const PAIRS: usize = 10_000;
/// Slow checks that may fail within [`WINDOW`] before a client is refused unchecked.
const FAILURES: u64 = 10;
/// See [`FAILURES`].
const WINDOW: Duration = Duration::from_secs(60);
/// Clients whose failures are counted.
const COUNTED: usize = 10_000;

/// The hash of no secret, with the parameters of ours: its salt and its output are zeros.
const NOBODY_SLOW: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The same for the fast hash.
const NOBODY_FAST: &str = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(super) struct Verifier {
    /// A client with a slow hash was seen.
    slow: AtomicBool,
    /// Pairs that were right: a digest under a key of this process, and when.
    pairs: Cache<[u8; 32], Instant>,
    key: [u8; 32],
    failures: Cache<Arc<str>, Arc<Failures>>,
}

/// Failures of a client since the start of a window.
#[derive(Default)]
struct Failures(Mutex<Window>);

#[derive(Default)]
struct Window {
    since: Option<Instant>,
    count: u64,
}

impl Verifier {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without randomness the key is known, and what it protects is a digest in this process's own memory for a minute.
        if let Err(error) = getrandom::fill(&mut key) {
            tracing::error!("the system gives no random bytes: {error}");
        }
        Verifier { slow: AtomicBool::new(false), pairs: Cache::new(PAIRS), key, failures: Cache::new(COUNTED) }
    }

    /// Notes what kind of hashes this registry has.
    pub(super) fn saw(&self, client: &Client) {
        if client.secrets.iter().any(is_slow) && !self.slow.load(Ordering::Relaxed) {
            self.slow.store(true, Ordering::Relaxed);
        }
    }

    /// Whether one of the client's valid secrets is this one. Every secret is compared, right or wrong.
    pub(super) async fn verify(
        &self,
        id: &ClientId,
        client: Option<&Client>,
        secret: &Secret,
        now: u64,
    ) -> Result<bool, StoreError> {
        let Some(client) = client else {
            let _ = verify_generated(NOBODY_FAST, secret);
            if self.slow.load(Ordering::Relaxed) {
                self.verify_slow(id, NOBODY_SLOW, secret).await?;
            }
            return Ok(false);
        };
        let mut right = false;
        for kept in client.secrets.iter().filter(|kept| kept.expires_at.is_none_or(|at| at > now)) {
            right |= match is_slow(kept) {
                true => self.verify_slow(id, &kept.hash, secret).await?,
                false => verify_generated(&kept.hash, secret).unwrap_or(false),
            };
        }
        Ok(right)
    }

    async fn verify_slow(&self, id: &ClientId, hash: &str, secret: &Secret) -> Result<bool, StoreError> {
        let pair = self.pair(hash, secret);
        if self.pairs.get(&pair).is_some_and(|at| at.elapsed() < REMEMBER_PAIR) {
            return Ok(true);
        }
        // Counted before the check and taken back where it was right, so that guesses at once are counted as well.
        let failures = self.failures(id);
        if !failures.admit() {
            tracing::warn!(client = %id, "more than {FAILURES} wrong secrets within a minute: refused without a check");
            return Ok(false);
        }
        let right = match verify_chosen(hash, secret).await {
            Ok(right) => right,
            Err(error) => {
                failures.take_back();
                return Err(error);
            }
        };
        if right {
            failures.take_back();
            self.pairs.insert(pair, Instant::now());
        }
        Ok(right)
    }

    fn failures(&self, id: &ClientId) -> Arc<Failures> {
        let made = self.failures.get_or_insert_with(&id.shared(), || Ok::<_, std::convert::Infallible>(Arc::default()));
        made.unwrap_or_else(|never| match never {})
    }

    /// The hash stands in it: with another one, the pair is another one.
    fn pair(&self, hash: &str, secret: &Secret) -> [u8; 32] {
        let digest = Sha256::new().chain_update(self.key).chain_update((hash.len() as u64).to_be_bytes());
        digest.chain_update(hash).chain_update(secret.expose()).finalize().into()
    }
}

impl Failures {
    /// Counts a check; `false` where too many have failed.
    fn admit(&self) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            *window = Window { since: Some(Instant::now()), count: 0 };
        }
        let admitted = window.count < FAILURES;
        window.count += u64::from(admitted);
        admitted
    }

    fn take_back(&self) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.count = window.count.saturating_sub(1);
    }
}

/// A PHC string: a hash of a secret that a person chose.
fn is_slow(secret: &ClientSecret) -> bool {
    secret.hash.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_nobody_cost_what_ours_cost() {
        use argon2::Params;
        let hash = argon2::password_hash::phc::PasswordHash::new(NOBODY_SLOW).unwrap();
        let params = Params::try_from(&hash).unwrap();
        let ours = Params::default();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (ours.m_cost(), ours.t_cost(), ours.p_cost()));
        assert_eq!(verify_generated(NOBODY_FAST, &Secret::new("x".into())), Some(false));
    }

    #[test]
    fn a_pair_is_bound_to_hash_and_secret() {
        let verifier = Verifier::new();
        let secret = |text: &str| Secret::new(text.into());
        let pair = verifier.pair("ab", &secret("c"));
        assert_eq!(pair, verifier.pair("ab", &secret("c")));
        for (hash, text) in [("a", "bc"), ("abc", ""), ("ab", "d"), ("ac", "c")] {
            assert_ne!(pair, verifier.pair(hash, &secret(text)), "{hash} {text}");
        }
        assert_ne!(pair, Verifier::new().pair("ab", &secret("c")), "the key is the same in another process");
    }
}
