//! Lanes for slow work: only so much of it runs at once, and only so much waits. That of slow hashes is here: Argon2id takes some 15 ms
//! and 19 MiB.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params};
use oauth::Secret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::source::StoreError;

/// Hashes that run or wait at most.
const PLACES: usize = 32;

/// The hash of no secret, with the parameters of ours: its salt and its output are zeros.
pub(crate) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// One for the process: its processors and its memory are what is bounded.
static LANE: LazyLock<Lane> = LazyLock::new(|| {
    // Half of the processors: requests without a slow hash go on beside it.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Lane::new("secrets are being checked by a slow hash", PLACES, (processors / 2).max(1))
});

/// Bounds work that takes the processor for long.
pub(crate) struct Lane {
    /// What there is too much of, where it is full.
    what: &'static str,
    places: Semaphore,
    running: Arc<Semaphore>,
}

impl Lane {
    /// With so many places, of which so many run.
    pub(crate) fn new(what: &'static str, places: usize, running: usize) -> Self {
        Lane { what, places: Semaphore::new(places), running: Arc::new(Semaphore::new(running)) }
    }

    /// Runs the work on a thread for blocking work; a full lane is unavailable.
    #[allow(clippy::disallowed_methods, reason = "this is the lane of slow work: bounded")]
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let full = |_| StoreError::Unavailable(format!("too many {}", self.what));
        let _place = self.places.try_acquire().map_err(full)?;
        #[cfg(test)]
        WORKED.set(WORKED.get() + 1);
        let ended = || StoreError::Unavailable(format!("it broke off while {}", self.what));
        let permit = self.running.clone().acquire_owned().await.map_err(|_| ended())?;
        let worked = spawn_blocking(move || {
            let _permit = permit; // Until the work is done, even where nobody waits for it any more.
            work()
        });
        worked.await.map_err(|_| ended())
    }
}

/// The hash that is kept of a secret that a person chose: Argon2id with a salt of its own, as a PHC string.
pub async fn hash_chosen(secret: &Secret) -> Result<String, StoreError> {
    let secret = secret.clone();
    let hash =
        LANE.run(move || Argon2::default().hash_password(secret.expose().as_bytes()).map(|hash| hash.to_string()));
    hash.await?.map_err(|error| StoreError::Broken(format!("a secret cannot be hashed: {error}")))
}

/// The strongest parameters of other systems' hashes: those beyond would let whoever imports them keep the lane busy.
const BCRYPT_COST: u32 = 15;
const PBKDF2_ROUNDS: u32 = 2_000_000;

/// The slow hashes that there are.
enum Slow<'a> {
    Argon2(PasswordHash),
    /// Of another system: accepted, and replaced when its secret is next seen.
    Bcrypt(&'a str),
    /// The same, as a PHC string.
    Pbkdf2(PasswordHash),
}

impl Slow<'_> {
    fn read(hash: &str) -> Option<Slow<'_>> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|form| hash.starts_with(form)) {
            let parts: bcrypt::HashParts = hash.parse().ok()?;
            return (parts.get_cost() <= BCRYPT_COST).then_some(Slow::Bcrypt(hash));
        }
        let phc = PasswordHash::new(hash).ok()?;
        match phc.algorithm.as_str() {
            "pbkdf2-sha256" | "pbkdf2-sha512" => {
                let rounds = pbkdf2::Params::try_from(&phc).ok()?.rounds();
                (rounds <= PBKDF2_ROUNDS).then_some(Slow::Pbkdf2(phc))
            }
            name => name.starts_with("argon2").then_some(Slow::Argon2(phc)),
        }
    }

    /// Whether the secret is the one that was hashed, by the parameters that stand in the hash.
    fn verify(&self, secret: &[u8]) -> bool {
        match self {
            Slow::Argon2(hash) => Argon2::default().verify_password(secret, hash).is_ok(),
            // It reads no more than 72 bytes, nor one of them that is zero.
            Slow::Bcrypt(hash) => bcrypt::verify(secret, hash).unwrap_or(false),
            Slow::Pbkdf2(hash) => pbkdf2::Pbkdf2::default().verify_password(secret, hash).is_ok(),
        }
    }
}

/// Whether this is a hash that a secret can be held against: one of a generated secret, or of one that a person chose.
pub fn known_hash(hash: &str) -> bool {
    // What a secret is held against does not matter: the form decides.
    let generated = oauth::credential::verify_generated(hash, &Secret::new(String::new()));
    generated.is_some() || Slow::read(hash).is_some()
}

/// Whether this hash of what a person chose is weaker than the ones that we make.
pub(crate) fn is_outdated(hash: &str) -> bool {
    let ours = Params::default();
    let weaker = |params: Params| params.m_cost() < ours.m_cost() || params.t_cost() < ours.t_cost();
    match Slow::read(hash) {
        None => false,
        Some(Slow::Bcrypt(_) | Slow::Pbkdf2(_)) => true,
        Some(Slow::Argon2(hash)) => {
            hash.algorithm.as_str() != Algorithm::Argon2id.as_str() || Params::try_from(&hash).is_ok_and(weaker)
        }
    }
}

/// Whether the secret is the one that was hashed, by the parameters that stand in the hash. One that cannot be read is wrong.
pub(crate) async fn verify_chosen(hash: &str, secret: &Secret) -> Result<bool, StoreError> {
    let (hash, secret) = (hash.to_owned(), secret.clone());
    let work = move || Slow::read(&hash).is_some_and(|hash| hash.verify(secret.expose().as_bytes()));
    LANE.run(work).await
}

#[cfg(test)]
thread_local! {
    /// Work that was begun from this thread, which is a test's own.
    static WORKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How much work was begun from this thread.
#[cfg(test)]
pub(crate) fn worked() -> u64 {
    WORKED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `correct horse`, by libxcrypt and Python's hashlib.
    const FOREIGN: [(&str, &str); 5] = [
        ("$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "correct horse"),
        ("$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "correct horse"),
        ("$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "correct horse"),
        (
            "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM",
            "correct horse",
        ),
        (
            "$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$EHLBej+uEvxlmr0QnHnceg1vM6h1wbwSP5XErh3Smiw",
            "correct horse",
        ),
    ];

    #[tokio::test]
    async fn only_the_right_secret_verifies() {
        let secret = |text: &str| Secret::new(text.into());
        let hash = hash_chosen(&secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("horse"), "{hash}");
        assert_ne!(hash, hash_chosen(&secret("correct horse")).await.unwrap(), "the salt is the same");
        assert_eq!(verify_chosen(&hash, &secret("correct horse")).await, Ok(true));
        assert_eq!(verify_chosen(&hash, &secret("correct horsf")).await, Ok(false));
        for unreadable in ["", "$argon2id$", "sha256:AAAA", "$2b$12$abc"] {
            assert_eq!(verify_chosen(unreadable, &secret("")).await, Ok(false), "{unreadable}");
        }
    }

    #[tokio::test]
    async fn a_hash_that_is_weaker_than_ours_is_outdated() {
        assert!(!is_outdated(&hash_chosen(&Secret::new("x".into())).await.unwrap()));
        let hash = |of: &str, m: u32, t: u32| format!("${of}$v=19$m={m},t={t},p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA");
        assert!(!is_outdated(&hash("argon2id", 65_536, 3)));
        assert!(is_outdated(&hash("argon2id", 4_096, 3)));
        assert!(is_outdated(&hash("argon2id", 65_536, 1)));
        assert!(is_outdated(&hash("argon2i", 65_536, 3)));
        assert!(!is_outdated("sha256:AAAA"), "nobody chose that");
    }

    /// bcrypt of OpenBSD, PHP and Spring, and PBKDF2 as a PHC string: made by other programs.
    #[tokio::test]
    async fn hashes_of_other_systems_verify_and_are_outdated() {
        let secret = |text: &str| Secret::new(text.into());
        for (hash, right) in FOREIGN {
            assert!(known_hash(hash) && is_outdated(hash), "{hash}");
            assert_eq!(verify_chosen(hash, &secret(right)).await, Ok(true), "{hash}");
            assert_eq!(verify_chosen(hash, &secret("wrong")).await, Ok(false), "{hash}");
        }
        for unknown in [
            "$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            "$2b$04$short",
            "$2z$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            "$pbkdf2-sha256$i=2000001$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
            "$pbkdf2-md5$i=1000$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
            "$1$salt$hash",
            "hunter2",
        ] {
            assert!(!known_hash(unknown) && !is_outdated(unknown), "{unknown}");
            assert_eq!(verify_chosen(unknown, &secret("")).await, Ok(false), "{unknown}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_lane_is_unavailable_and_is_free_again_afterwards() {
        let lane = Arc::new(Lane::new("tests run", 2, 1));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (first, second) = (lane.clone(), lane.clone());
        let first = tokio::spawn(async move { first.run(move || wait.recv()).await.is_ok() });
        let second = tokio::spawn(async move { second.run(|| ()).await.is_ok() });
        while lane.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(lane.run(|| ()).await, Err(StoreError::Unavailable(_))));
        release.send(()).unwrap();
        assert!(first.await.unwrap() && second.await.unwrap());
        assert_eq!(lane.run(|| 7).await, Ok(7));
    }
}
