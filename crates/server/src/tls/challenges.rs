//! What a certificate authority asks right now, to see that a name is ours (RFC 8555, section 8): whoever gets a certificate puts the
//! answers here, and listeners give them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::sign::CertifiedKey;

/// The protocol in which the question comes over TLS (RFC 8737).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// The answers of one listener.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// Over HTTP: what stands behind a token.
    tokens: HashMap<String, String>,
    /// Over TLS: the certificate for a name, in lower case.
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// Answers a token over HTTP.
    pub(crate) fn answer_token(&self, token: &str, answer: &str) {
        self.answers().tokens.insert(token.to_owned(), answer.to_owned());
    }

    /// Answers a name over TLS.
    pub(crate) fn answer_name(&self, name: &str, certificate: Arc<CertifiedKey>) {
        self.answers().names.insert(name.to_ascii_lowercase(), certificate);
    }

    /// Nothing is asked any more.
    pub(crate) fn clear(&self) {
        *self.answers() = Answers::default();
    }

    /// What stands behind a token.
    pub(crate) fn token(&self, token: &str) -> Option<String> {
        self.answers().tokens.get(token).cloned()
    }

    pub(super) fn name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.answers().names.get(&name.to_ascii_lowercase()).cloned()
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
