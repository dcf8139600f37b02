//! TLS: whom the gateway trusts, whom it expects, and who it is.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority, and what it issued.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn issues(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let issued = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (vec![issued.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// A server of this name; it asks for certificates of this authority where one is given.
    pub(super) fn server(&self, name: &str, clients: Option<&Authority>, protocols: &[&str]) -> TlsAcceptor {
        let provider = crate::tls::provider();
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = self.issues(name);
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn over(settings: &mut UpstreamSettings, http: HttpVersion, tls: TlsSettings) {
    settings.targets[0].way = Arc::new(Way { http, tls: Some(tls) });
    settings.timeouts.first_byte = Duration::from_secs(5);
}

/// What comes of two requests to such a server, and over how many connections.
async fn answered(server: TlsAcceptor, tls: TlsSettings) -> (Result<String, String>, usize) {
    let scripted = Scripted::with(|settings| over(settings, HttpVersion::One, tls)).await;
    let mut connections = 0;
    let serves = async {
        loop {
            let stream = scripted.accept().await;
            connections += 1;
            let Ok(mut stream) = server.accept(stream).await else { continue };
            let mut text = Vec::new();
            while stream.read_buf(&mut text).await.is_ok_and(|read| read > 0) {
                if String::from_utf8_lossy(&text).ends_with("\r\n\r\n") {
                    let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                    stream.write_all(head.as_bytes()).await.unwrap();
                    text.clear();
                }
            }
        }
    };
    let asks = async {
        let mut last = Ok(String::new());
        for _ in 0..2 {
            last = match scripted.upstream.send(get("/")).await {
                Ok(answer) => Ok(text(answer).await),
                Err(error) => Err(error.to_string()),
            };
        }
        last
    };
    let last = tokio::select! {
        last = asks => last,
        () = serves => unreachable!("it serves on"),
    };
    (last, connections)
}

#[tokio::test]
async fn who_is_not_whom_the_gateway_expects_gets_no_request() {
    let (own, other) = (Authority::new(), Authority::new());
    let trusts = |authority: &Authority| TlsSettings {
        authorities: Some(vec![authority.certificate()]),
        ..TlsSettings::default()
    };
    // An address has no SNI.
    assert_eq!(answered(own.server("127.0.0.1", None, &[]), trusts(&own)).await, (Ok(String::new()), 1));
    let (stranger, _) = answered(own.server("127.0.0.1", None, &[]), trusts(&other)).await;
    assert!(stranger.clone().unwrap_err().contains("invalid peer certificate"), "{stranger:?}");
    let (misnamed, _) = answered(own.server("orders.internal", None, &[]), trusts(&own)).await;
    assert!(misnamed.clone().unwrap_err().contains("certificate not valid for name"), "{misnamed:?}");
    let named = TlsSettings { server_name: ServerName::try_from("orders.internal").ok(), ..trusts(&own) };
    let (found, _) = answered(own.server("orders.internal", None, &[]), named).await;
    assert_eq!(found, Ok(String::from("orders.internal")));
}

#[tokio::test]
async fn the_gateway_says_who_it_is() {
    let (own, clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let trusts = TlsSettings { authorities: Some(vec![own.certificate()]), ..TlsSettings::default() };
    let known_as = |authority: &Authority| {
        let (chain, key) = authority.issues("gateway");
        TlsSettings { identity: Some(Arc::new(Identity { chain, key })), ..trusts.clone() }
    };
    let server = || own.server("127.0.0.1", Some(&clients), &[]);
    assert_eq!(answered(server(), known_as(&clients)).await.0, Ok(String::new()));
    assert!(answered(server(), known_as(&other)).await.0.is_err());
    assert!(answered(server(), trusts.clone()).await.0.is_err());
    let ((chain, _), (_, key)) = (clients.issues("gateway"), clients.issues("gateway"));
    let mixed = TlsSettings { identity: Some(Arc::new(Identity { chain, key })), ..trusts };
    assert!(matches!(mixed.config(HttpVersion::One), Err(Wrong::Identity(_))), "another certificate's key");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_unreachable() {
    let scripted = Scripted::with(|settings| over(settings, HttpVersion::One, TlsSettings::default())).await;
    let server = async {
        let mut stream = scripted.accept().await;
        stream.write_all(OK).await.unwrap();
    };
    let (answer, ()) = tokio::join!(scripted.upstream.send(get("/")), server);
    assert!(matches!(&answer, Err(UpstreamError::Unreachable(why)) if why.starts_with("TLS: ")), "{:?}", answer.err());
}
