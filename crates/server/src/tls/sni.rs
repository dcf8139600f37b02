//! Which certificate a client gets: the one that has the name it asks for (SNI, RFC 6066, section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{ACME_TLS, Challenges};

/// A certificate with its key, and the names that it is for.
#[derive(Debug)]
pub(crate) struct CertifiedName {
    key: Arc<CertifiedKey>,
    /// In lower case; one that begins with `*.` stands for one label more.
    names: Vec<String>,
}

impl CertifiedName {
    /// A chain, the server's own certificate first, and its private key.
    pub(crate) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, String> {
        let names = chain.first().map(|own| names(own)).unwrap_or_default();
        let key = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|why| match why {
            rustls::Error::InconsistentKeys(_) => String::from("the key is not the certificate's"),
            other => format!("the certificate and its key cannot be used: {other}"),
        })?;
        Ok(CertifiedName { key: Arc::new(key), names })
    }
}

/// The alternative names that are names of hosts.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(name).collect()
}

/// All certificates of a listener.
#[derive(Debug)]
pub(super) struct ByName {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For names that no certificate has, and for clients that ask for none; nothing as long as it is yet to be got by ACME.
    first: Option<Arc<CertifiedKey>>,
    /// What an authority asks.
    challenges: Arc<Challenges>,
}

impl ByName {
    /// The first is for whatever none of them has.
    pub(super) fn new(first: Option<&CertifiedName>, more: &[CertifiedName], challenges: Arc<Challenges>) -> ByName {
        let mut by_name = HashMap::new();
        for certified in first.into_iter().chain(more) {
            for name in &certified.names {
                by_name.entry(name.clone()).or_insert_with(|| certified.key.clone());
            }
        }
        ByName { by_name, first: first.map(|first| first.key.clone()), challenges }
    }

    fn named(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, rest) = name.split_once('.')?;
            self.by_name.get(&format!("*.{rest}"))
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_TLS)) {
            return self.challenges.name(name?);
        }
        name.and_then(|name| self.named(name)).or(self.first.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{certificates, private_key};

    fn certified(names: &[&str]) -> CertifiedName {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let chain = certificates(made.cert.pem().as_bytes()).unwrap();
        CertifiedName::new(chain, private_key(made.signing_key.serialize_pem().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_name_decides_and_the_first_is_for_the_rest() {
        let all = [certified(&["a.example"]), certified(&["B.example", "*.b.example"]), certified(&["*.example"])];
        let [first, second, third] = &all;
        let by_name = ByName::new(Some(first), &[], Arc::default());
        assert!(by_name.named("b.example").is_none());
        let [first, second, third] = [&first.key, &second.key, &third.key];
        let (one, more) = all.split_first().unwrap();
        let by_name = ByName::new(Some(one), more, Arc::default());
        for (name, expected) in [
            ("a.example", Some(first)),
            ("A.Example", Some(first)),
            ("b.example", Some(second)),
            ("x.b.example", Some(second)),
            ("c.example", Some(third)),
            ("x.y.b.example", None),
            ("example", None),
            ("other.test", None),
        ] {
            let found = by_name.named(name);
            assert_eq!(found.map(Arc::as_ptr), expected.map(Arc::as_ptr), "{name}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let one = rcgen::generate_simple_self_signed([String::from("a.example")]).unwrap();
        let other = rcgen::generate_simple_self_signed([String::from("a.example")]).unwrap();
        let chain = certificates(one.cert.pem().as_bytes()).unwrap();
        let key = private_key(other.signing_key.serialize_pem().as_bytes()).unwrap();
        assert_eq!(CertifiedName::new(chain, key).unwrap_err(), "the key is not the certificate's");
    }
}
