//! What stands in PEM files (RFC 7468). Errors are for people: what the text holds instead, never the text itself.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The certificates of a text, at least one, in their order.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    all(text, "certificate")
}

/// The revocation lists of a text, at least one.
pub(crate) fn revocation_lists(text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    all(text, "certificate revocation list (`-----BEGIN X509 CRL-----`)")
}

/// The private key of a text: PKCS #8, PKCS #1 or SEC 1.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text)
        .map_err(|_| String::from("no private key in PEM that is not encrypted: PKCS #8, PKCS #1 or SEC 1"))
}

fn all<T: PemObject>(text: &[u8], what: &str) -> Result<Vec<T>, String> {
    let found = T::pem_slice_iter(text).collect::<Result<Vec<T>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("no {what} in PEM")),
        Err(_) => Err(format!("a {what} in PEM that is cut off or malformed")),
    }
}
