//! TLS to upstreams: whom the gateway trusts, whom it expects to meet, and who it says it is. There is no way to switch the check off.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::settings::HttpVersion;

/// `tls` of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Certificate authorities that are trusted; the machine's where none are named.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The name that is asked for and that the certificate must be for; the target's host where none is named.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// Who the gateway is there.
    pub(crate) identity: Option<Arc<Identity>>,
}

/// A client certificate.
#[derive(PartialEq, Eq)]
pub(crate) struct Identity {
    /// The certificate, and those that lead to its authority.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(crate) key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// What is wrong with settings of TLS.
pub(crate) enum Wrong {
    /// With the authorities.
    Authorities(String),
    /// With the client certificate and its key.
    Identity(String),
}

impl TlsSettings {
    /// What the connections are made with.
    pub(crate) fn config(&self, http: HttpVersion) -> Result<Arc<ClientConfig>, Wrong> {
        let roots = match &self.authorities {
            None => machine()?,
            Some(named) => {
                let mut roots = RootCertStore::empty();
                for one in named {
                    roots.add(one.clone()).map_err(|why| Wrong::Authorities(why.to_string()))?;
                }
                Arc::new(roots)
            }
        };
        let builder = ClientConfig::builder_with_provider(crate::tls::provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|why| Wrong::Authorities(why.to_string()))?.with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
                .map_err(|why| Wrong::Identity(why.to_string()))?,
        };
        let protocols: &[&[u8]] = match http {
            HttpVersion::One => &[b"http/1.1"],
            HttpVersion::Two => &[b"h2"],
            HttpVersion::Auto => &[b"h2", b"http/1.1"],
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// The name that the other side must prove to have.
    pub(crate) fn name(&self, host: &str) -> Option<ServerName<'static>> {
        self.server_name.clone().or_else(|| ServerName::try_from(host.to_owned()).ok())
    }
}

/// The machine's authorities, read once: they change with the machine.
fn machine() -> Result<Arc<RootCertStore>, Wrong> {
    static MACHINE: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = MACHINE.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    match roots.is_empty() {
        true => Err(Wrong::Authorities(String::from("this machine has no certificate authorities"))),
        false => Ok(roots.clone()),
    }
}
