//! Certificates from an authority that speaks ACME (RFC 8555): asked for, proven, fetched. When, the task says
//! ([`crate::tasks`]); the certificate is a file, and taken up as any other that changes.

mod http;
mod settings;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, ChallengeType, ExternalAccountKey, Identifier,
    NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use policy::ports::Clock;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

pub(crate) use self::settings::{AcmeSettings, Proof, There};
use crate::private_file;
use crate::tls::{Challenges, provider};

/// How long an authority is waited for, once it was told that it may look.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).timeout(Duration::from_secs(90));

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<instant_acme::Error> for Failed {
    fn from(why: instant_acme::Error) -> Self {
        Failed(why.to_string())
    }
}

/// Gets a certificate, and puts it with its key where the listener reads it from.
pub(crate) async fn obtain(
    settings: &AcmeSettings,
    challenges: &Challenges,
    folder: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<(), Failed> {
    let account = account(settings, folder, clock).await?;
    let names: Vec<Identifier> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let proven = prove(settings, challenges, &mut order).await;
    let ready = match proven {
        Ok(()) => order.poll_ready(&PATIENCE).await.map_err(Failed::from),
        Err(why) => Err(why),
    };
    if ready? != OrderStatus::Ready {
        return Err(Failed(refused(&mut order).await));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let file = folder.join(&settings.file);
    private_file::write(&file, format!("{key}{chain}").as_bytes()).map_err(|why| cannot_write(&file, &why))
}

/// Tells the authority that it may look, for each name that it does not know to be ours.
async fn prove(
    settings: &AcmeSettings,
    challenges: &Challenges,
    order: &mut instant_acme::Order,
) -> Result<(), Failed> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(Failed(format!("its proof of a name is {other:?} already"))),
        }
        let kind = match settings.proof {
            Proof::TlsAlpn => ChallengeType::TlsAlpn01,
            Proof::Http => ChallengeType::Http01,
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(Failed(format!("it does not take the proof `{}`", settings.proof.word())));
        };
        let answer = challenge.key_authorization();
        match settings.proof {
            Proof::Http => challenges.answer_token(&challenge.token, answer.as_str()),
            Proof::TlsAlpn => {
                let name = challenge.identifier().to_string();
                let certificate = question_certificate(&name, answer.digest().as_ref())?;
                challenges.answer_name(&name, certificate);
            }
        }
        challenge.set_ready().await?;
    }
    Ok(())
}

/// What the authority says of the names that it was not convinced of.
async fn refused(order: &mut instant_acme::Order) -> String {
    let mut why = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let said = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(ToString::to_string);
        why.extend(said);
    }
    format!("it was not convinced that the names are ours: {}", why.join("; "))
}

/// The certificate that answers a question over TLS (RFC 8737, section 3).
fn question_certificate(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, Failed> {
    let failed = |why: rcgen::Error| Failed(format!("the proof cannot be made: {why}"));
    let mut params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|why| Failed(why.to_owned()))?;
    let key = provider().key_provider.load_private_key(key).map_err(|why| Failed(why.to_string()))?;
    // Nobody but the authority can read it: its extension is critical, and checks of certificates know it not.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

/// The account, which is made once and kept.
async fn account(settings: &AcmeSettings, folder: &Path, clock: &Arc<dyn Clock>) -> Result<Account, Failed> {
    let file = folder.join(settings.account_file());
    let builder = || -> AccountBuilder { Account::builder_with_http(Box::new(http::Calls::new(settings, clock))) };
    match std::fs::read(&file) {
        Ok(kept) => {
            let kept: AccountCredentials = serde_json::from_slice(&kept).map_err(|why| {
                Failed(format!("`{}` is no account: {why}; take it away for a new one", file.display()))
            })?;
            return Ok(builder().from_credentials(kept).await?);
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(Failed(format!("`{}` cannot be read: {why}", file.display()))),
    }
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = settings.external.as_ref().map(|(id, key)| ExternalAccountKey::new(id.clone(), key));
    let (account, made) = builder().create(&wanted, settings.directory.clone(), external.as_ref()).await?;
    let text = serde_json::to_vec(&made).map_err(|why| Failed(why.to_string()))?;
    private_file::write(&file, &text).map_err(|why| cannot_write(&file, &why))?;
    Ok(account)
}

fn cannot_write(file: &Path, why: &io::Error) -> Failed {
    Failed(format!(
        "`{}` cannot be written: {why}; the folder must be writable for the user that runs the node",
        file.display()
    ))
}
