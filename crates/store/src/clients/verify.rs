//! Whether a secret is a client's.
//!
//! Secrets that we generated have a fast hash: there is nothing to guess. Those that a person chose have Argon2id, which runs
//! on a bounded lane, with a limit on failures for each client, and a short memory of secrets that were right, so that a client
//! that asks often does not pay for it each time. Requests that present the same secret at once share one check.
//!
//! Where this registry was seen to have slow hashes, whoever is refused costs slow work: a client that is unknown or disabled,
//! or has no slow hash of its own, is held against one that nobody has. What still can be told from the time: that a client has
//! several such hashes, during a rotation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth::credential::verify_generated;
use oauth::{ClientId, Secret};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::lane::{NOBODY, verify_chosen};
use crate::record::Client;
use crate::source::StoreError;

/// For how long a secret that was right is remembered. What ends it earlier: another secret of the client, since it is
/// remembered with the hashes.
const REMEMBER: Duration = Duration::from_secs(60);
/// Secrets that are remembered.
const RIGHT: usize = 10_000;
/// Slow checks that may fail within [`WINDOW`] before a client is refused unchecked.
const FAILURES: u64 = 10;
/// See [`FAILURES`].
const WINDOW: Duration = Duration::from_secs(60);
/// Clients whose failures are counted.
const COUNTED: usize = 10_000;

/// The hash of no secret, as `lane::NOBODY` is for slow ones.
const NOBODY_FAST: &str = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(super) struct Verifier {
    /// A client with a slow hash was seen.
    slow: AtomicBool,
    /// Secrets that were right: a digest of the question under a key of this process, and when it was answered.
    right: Cache<[u8; 32], Instant>,
    key: [u8; 32],
    failures: Cache<Arc<str>, Arc<Failures>>,
}

/// Failures of a client since the start of a window.
#[derive(Default)]
struct Failures(Mutex<Window>);

#[derive(Default)]
struct Window {
    since: Option<Instant>,
    failed: u64,
    /// Checks that have not ended; they are of no window.
    checking: u64,
}

/// The hashes of a client's secrets that are valid.
struct Hashes<'a> {
    slow: Vec<&'a str>,
    fast: Vec<&'a str>,
}

impl<'a> Hashes<'a> {
    fn valid(client: Option<&'a Client>, now: u64) -> Self {
        let secrets = client.map_or(&[][..], |client| &client.secrets);
        let valid = secrets.iter().filter(|kept| kept.expires_at.is_none_or(|at| at > now));
        let (slow, fast) = valid.map(|kept| kept.hash.as_str()).partition(|hash| is_slow(hash));
        Hashes { slow, fast }
    }

    /// Whether a fast hash is this secret's. Who has none is held against one that nobody has.
    fn has_fast(&self, secret: &Secret) -> bool {
        let mut right = verify_generated(NOBODY_FAST, secret).unwrap_or(false);
        for hash in &self.fast {
            right |= verify_generated(hash, secret).unwrap_or(false);
        }
        right
    }
}

enum Admission<'a> {
    Admitted(Checking<'a>),
    /// Too many have failed.
    Failed,
    /// Too many would have failed if those that are being made did.
    Busy,
}

/// A check that is being made. One that nobody waits for any more is no failure: it tells nobody anything.
struct Checking<'a>(&'a Failures);

impl Verifier {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without randomness the key is known, and what it protects is a digest in this process's own memory for a minute.
        if let Err(error) = getrandom::fill(&mut key) {
            tracing::error!("the system gives no random bytes: {error}");
        }
        Verifier { slow: AtomicBool::new(false), right: Cache::new(RIGHT), key, failures: Cache::new(COUNTED) }
    }

    /// Notes what kind of hashes this registry has.
    pub(super) fn saw(&self, client: &Client) {
        if client.secrets.iter().any(|kept| is_slow(&kept.hash)) && !self.slow.load(Ordering::Relaxed) {
            self.slow.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this is known, without slow work, to be one of the client's secrets that are valid at `now` (Unix seconds).
    pub(super) fn knows(&self, id: &ClientId, client: Option<&Client>, secret: &Secret, now: u64) -> bool {
        let hashes = Hashes::valid(client, now);
        hashes.has_fast(secret) || (!hashes.slow.is_empty() && self.remembers(&self.question(id, &hashes.slow, secret)))
    }

    /// Whether one of the client's secrets that are valid at `now` (Unix seconds) is this one.
    pub(super) async fn verify(
        &self,
        id: &ClientId,
        client: Option<&Client>,
        secret: &Secret,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut hashes = Hashes::valid(client, now);
        let right = hashes.has_fast(secret);
        if hashes.slow.is_empty() && self.slow.load(Ordering::Relaxed) {
            hashes.slow.push(NOBODY);
        }
        if right || hashes.slow.is_empty() {
            return Ok(right);
        }
        self.verify_slow(id, &hashes.slow, secret).await
    }

    fn remembers(&self, question: &[u8; 32]) -> bool {
        self.right.get(question).is_some_and(|at| at.elapsed() < REMEMBER)
    }

    /// Whether the secret is one of these hashes'. Equal questions at once wait for one answer, where that is yes.
    async fn verify_slow(&self, id: &ClientId, hashes: &[&str], secret: &Secret) -> Result<bool, StoreError> {
        let question = self.question(id, hashes, secret);
        let answered = loop {
            match self.right.get_value_or_guard_async(&question).await {
                Ok(at) if at.elapsed() < REMEMBER => return Ok(true),
                Ok(_) => drop(self.right.remove_if(&question, |at| at.elapsed() >= REMEMBER)),
                Err(ours) => break ours,
            }
        };
        let failures = self.failures(id);
        let checking = match failures.admit() {
            Admission::Admitted(checking) => checking,
            Admission::Failed => {
                tracing::warn!(client = %id, "{FAILURES} wrong secrets within a minute: refused without a check");
                return Ok(false);
            }
            // Nothing has failed yet: this one may be right.
            Admission::Busy => {
                return Err(StoreError::Unavailable(format!("too many secrets of client `{id}` are being checked")));
            }
        };
        for hash in hashes {
            if verify_chosen(hash, secret).await? {
                // Where it was forgotten meanwhile, it is checked again.
                let _ = answered.insert(Instant::now());
                return Ok(true);
            }
        }
        checking.failed();
        Ok(false)
    }

    fn failures(&self, id: &ClientId) -> Arc<Failures> {
        let made = self.failures.get_or_insert_with(&id.shared(), || Ok::<_, std::convert::Infallible>(Arc::default()));
        made.unwrap_or_else(|never| match never {})
    }

    /// Slow checks that failed under this id, whether or not such a client is there.
    #[cfg(test)]
    pub(super) fn slow_checks(&self, id: &ClientId) -> u64 {
        self.failures(id).window().failed
    }

    /// The hashes stand in it: with others, it is another question.
    fn question(&self, id: &ClientId, hashes: &[&str], secret: &Secret) -> [u8; 32] {
        let mut digest = Sha256::new().chain_update(self.key);
        for part in [id.as_str()].iter().chain(hashes) {
            digest = digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part);
        }
        // A length that no part has stands before the secret.
        digest.chain_update(u64::MAX.to_be_bytes()).chain_update(secret.expose()).finalize().into()
    }
}

impl Failures {
    /// Lets a check begin. Those that have not ended count as well, so that not more than [`FAILURES`] are guessed at once.
    fn admit(&self) -> Admission<'_> {
        let mut window = self.window();
        if window.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            window.since = Some(Instant::now());
            window.failed = 0;
        }
        if window.failed >= FAILURES {
            return Admission::Failed;
        }
        if window.failed + window.checking >= FAILURES {
            return Admission::Busy;
        }
        window.checking += 1;
        Admission::Admitted(Checking(self))
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checking<'_> {
    /// The secret was wrong.
    fn failed(self) {
        self.0.window().failed += 1;
    }
}

impl Drop for Checking<'_> {
    fn drop(&mut self) {
        self.0.window().checking -= 1;
    }
}

/// A PHC string: a hash of a secret that a person chose.
fn is_slow(hash: &str) -> bool {
    hash.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_nobody_cost_what_ours_cost() {
        use argon2::Params;
        let hash = argon2::password_hash::phc::PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&hash).unwrap();
        let ours = Params::default();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (ours.m_cost(), ours.t_cost(), ours.p_cost()));
        assert_eq!(verify_generated(NOBODY_FAST, &Secret::new("x".into())), Some(false));
    }

    #[test]
    fn a_question_is_bound_to_client_hashes_and_secret() {
        let verifier = Verifier::new();
        let ask = |verifier: &Verifier, id: &str, hashes: &[&str], secret: &str| {
            verifier.question(&ClientId::new(id), hashes, &Secret::new(secret.into()))
        };
        let question = ask(&verifier, "app", &["ab", "c"], "d");
        assert_eq!(question, ask(&verifier, "app", &["ab", "c"], "d"));
        let others: [(&str, &[&str], &str); 6] = [
            ("app", &["a", "bc"], "d"),
            ("app", &["abc"], "d"),
            ("app", &["ab"], "cd"),
            ("app", &["ab", "c"], "e"),
            ("app", &["c", "ab"], "d"),
            ("ap", &["ab", "c"], "d"),
        ];
        for (id, hashes, secret) in others {
            assert_ne!(question, ask(&verifier, id, hashes, secret), "{id} {hashes:?} {secret}");
        }
        assert_ne!(question, ask(&Verifier::new(), "app", &["ab", "c"], "d"), "the key is the same in another process");
    }

    #[tokio::test]
    async fn a_check_beyond_those_that_may_fail_at_once_is_unavailable_and_not_wrong() {
        let (verifier, id, secret) = (Verifier::new(), ClientId::new("app"), Secret::new("right".into()));
        let hash = crate::hash_chosen(&secret).await.unwrap();
        let failures = verifier.failures(&id);
        let mut checking: Vec<_> = (0..FAILURES).map(|_| failures.admit()).collect();
        assert!(matches!(verifier.verify_slow(&id, &[&hash], &secret).await, Err(StoreError::Unavailable(_))));
        checking.pop();
        assert_eq!(verifier.verify_slow(&id, &[&hash], &secret).await, Ok(true));
        for admission in checking {
            let Admission::Admitted(checking) = admission else { panic!("it was admitted") };
            checking.failed();
        }
        assert_eq!(verifier.verify_slow(&id, &[&hash], &secret).await, Ok(true), "it is remembered");
        let wrong = Secret::new("wrong".into());
        assert_eq!(verifier.verify_slow(&id, &[&hash], &wrong).await, Ok(false), "the tenth failure");
        assert!(matches!(failures.admit(), Admission::Failed));
        assert_eq!(verifier.verify_slow(&id, &[&hash], &secret).await, Ok(true), "it is still remembered");
    }
}
