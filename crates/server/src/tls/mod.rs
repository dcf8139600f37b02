//! TLS of listeners: certificates, who they are for, and whom clients prove to be. Everything here is made when files are loaded, and
//! swapped with their generation: a certificate that is renewed is a file that changed.

mod challenges;
mod client;
mod pem;
mod server;
mod sni;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

pub(crate) use challenges::{ACME_TLS, Challenges};
pub(crate) use client::client_certificate;
pub(crate) use pem::{certificates, private_key, revocation_lists};
pub(crate) use server::{ClientAuth, ServerTls, ServerTlsParts};
pub(crate) use sni::CertifiedName;

/// The one implementation of TLS's algorithms, shared by all that use it.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}
