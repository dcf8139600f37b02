//! TLS of one listener.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::{ClientCertVerifierBuilder, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::sni::ByName;
use super::{ACME_TLS, CertifiedName, Challenges, provider};
use crate::acme::AcmeSettings;

/// TLS of a listener. Equal where it is made of the same: then what is there already goes on, with the tickets that it gave out.
#[derive(Clone)]
pub(crate) struct ServerTls {
    made_of: u64,
    admits: u64,
    config: Arc<ServerConfig>,
    acme: Option<(Arc<AcmeSettings>, Arc<Challenges>)>,
}

/// What it is made of.
pub(crate) struct ServerTlsParts {
    /// For names that no other has; nothing as long as it is yet to be got by ACME.
    pub(crate) first: Option<CertifiedName>,
    /// For the names that they have.
    pub(crate) more: Vec<CertifiedName>,
    /// Nothing older than TLS 1.3.
    pub(crate) only_13: bool,
    /// Whether HTTP/1.1 is spoken, and HTTP/2.
    pub(crate) http: (bool, bool),
    /// Certificates of clients.
    pub(crate) clients: Option<ClientAuth>,
    /// Where the first one comes from, if it does not stand in files of the operator's.
    pub(crate) acme: Option<AcmeSettings>,
    /// A hash of everything that was read for it.
    pub(crate) made_of: u64,
}

/// How clients prove themselves.
#[derive(Hash)]
pub(crate) struct ClientAuth {
    /// The authorities whose certificates count.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// What they took back. Where there is any, each certificate of a chain must be in the reach of one that has not run out.
    pub(crate) revoked: Vec<CertificateRevocationListDer<'static>>,
    /// Whether a client without a certificate is refused.
    pub(crate) required: bool,
}

impl ServerTls {
    /// Puts it together; what is wrong is told for people.
    pub(crate) fn new(parts: ServerTlsParts) -> Result<ServerTls, String> {
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
        let versions = if parts.only_13 { NEW } else { BOTH };
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(versions).map_err(|why| why.to_string())?;
        let asks_for_certificates = parts.clients.is_some();
        let mut admits = DefaultHasher::new();
        (parts.only_13, &parts.clients).hash(&mut admits);
        let builder = match parts.clients {
            Some(clients) => {
                builder.with_client_cert_verifier(clients.verifier()?.build().map_err(|why| why.to_string())?)
            }
            None => builder.with_no_client_auth(),
        };
        let challenges = Arc::<Challenges>::default();
        let by_name = ByName::new(parts.first.as_ref(), &parts.more, challenges.clone());
        let mut config = builder.with_cert_resolver(Arc::new(by_name));
        let (http1, http2) = parts.http;
        config.alpn_protocols = [(http2, &b"h2"[..]), (http1, b"http/1.1"), (parts.acme.is_some(), ACME_TLS)]
            .into_iter()
            .filter(|(spoken, _)| *spoken)
            .map(|(_, name)| name.to_vec())
            .collect();
        if asks_for_certificates {
            // Whoever goes on with a session is believed to be who it was, whatever has run out since: its certificate, a list, an authority.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|why| why.to_string())?;
        }
        let mut hasher = DefaultHasher::new();
        (parts.made_of, parts.only_13, parts.http).hash(&mut hasher);
        let acme = parts.acme.map(|settings| (Arc::new(settings), challenges));
        Ok(ServerTls { made_of: hasher.finish(), admits: admits.finish(), config: Arc::new(config), acme })
    }

    /// Of what decides who is let in: where two differ, whoever was let in by the one may not be by the other.
    pub(crate) fn admits(&self) -> u64 {
        self.admits
    }

    /// Who makes its certificate, and what that asks; nothing where files of the operator's have it.
    pub(crate) fn acme(&self) -> Option<(&AcmeSettings, &Challenges)> {
        self.acme.as_ref().map(|(settings, challenges)| (&**settings, &**challenges))
    }

    /// For handshakes.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

impl ClientAuth {
    fn verifier(self) -> Result<ClientCertVerifierBuilder, String> {
        let mut roots = RootCertStore::empty();
        for authority in self.authorities {
            roots.add(authority).map_err(|why| format!("a certificate of an authority cannot be used: {why}"))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        // A list that has run out says nothing of who was revoked since.
        let builder = builder.with_crls(self.revoked).enforce_revocation_expiration();
        Ok(if self.required { builder } else { builder.allow_unauthenticated() })
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.made_of == other.made_of
    }
}

impl Eq for ServerTls {}

/// Nothing of the key.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{certificates, private_key};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection};

    /// How the second of two handshakes of one client goes.
    fn second_handshake(asks_for_certificates: bool, version: &'static SupportedProtocolVersion) -> HandshakeKind {
        let made = rcgen::generate_simple_self_signed([String::from("a.example")]).unwrap();
        let chain = certificates(made.cert.pem().as_bytes()).unwrap();
        let key = private_key(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let clients = asks_for_certificates.then(|| ClientAuth {
            authorities: chain.clone(),
            revoked: Vec::new(),
            required: false,
        });
        let server = ServerTls::new(ServerTlsParts {
            first: Some(CertifiedName::new(chain.clone(), key).unwrap()),
            more: Vec::new(),
            only_13: false,
            http: (true, false),
            clients,
            acme: None,
            made_of: 0,
        })
        .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        let handshake = || {
            let mut client = ClientConnection::new(client.clone(), ServerName::try_from("a.example").unwrap()).unwrap();
            let mut server = ServerConnection::new(server.config()).unwrap();
            while client.wants_write() || server.wants_write() {
                let mut wire = Vec::new();
                client.write_tls(&mut wire).unwrap();
                server.read_tls(&mut &*wire).unwrap();
                server.process_new_packets().unwrap();
                wire.clear();
                server.write_tls(&mut wire).unwrap();
                client.read_tls(&mut &*wire).unwrap();
                client.process_new_packets().unwrap();
            }
            server.handshake_kind().unwrap()
        };
        handshake();
        handshake()
    }

    #[test]
    fn sessions_go_on_but_not_where_a_certificate_may_have_run_out_since() {
        for version in [&TLS12, &TLS13] {
            assert_eq!(second_handshake(false, version), HandshakeKind::Resumed, "{version:?}");
            assert_eq!(second_handshake(true, version), HandshakeKind::Full, "{version:?}");
        }
    }
}
