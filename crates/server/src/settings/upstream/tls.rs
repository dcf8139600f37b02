//! `tls` of an upstream: files are read here, so that what is wrong with them is told, and their change is a change.

use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{Problem, Severity, Span, codes};
use policy::reader::{Keys, NodeKind, SecretError};
use policy::settings::Spanned;
use rustls::pki_types::{CertificateDer, ServerName};
use store::oauth::Secret;

use super::{Within, wrong};
use crate::upstream::{HttpVersion, Identity, TlsSettings, Wrong};

/// Reads it. `used`: whether a target is reached over TLS, where that is known.
pub(super) fn read(
    keys: &mut Keys<'_>,
    within: Within<'_>,
    used: Option<bool>,
    diagnostics: &mut Diagnostics,
) -> Option<TlsSettings> {
    let Some(table) = keys.table("tls") else {
        // The machine that checks need not be the one that runs.
        if used == Some(true) && within.outside.strict() {
            let targets = keys.node("targets").map(|node| node.span);
            if let (Err(Wrong::Authorities(why) | Wrong::Identity(why)), Some(span)) =
                (TlsSettings::default().config(HttpVersion::One), targets)
            {
                let help = String::from(
                    "install them (`ca-certificates`), or name the upstream's own: tls = { ca = \"tls/ca.pem\" }",
                );
                wrong(keys, span, why, help);
            }
        }
        return None;
    };
    if used == Some(false) {
        let help = String::from("write `https` in `targets`, or take `tls` out");
        wrong(keys, table.span, String::from("no target is reached over TLS"), help);
    }
    let inner = within.inner(table.value);
    let mut keys = Keys::new(within.file, table.value);
    let settings = TlsSettings {
        authorities: authorities(&mut keys, inner),
        server_name: server_name(&mut keys),
        identity: identity(&mut keys, inner).map(Arc::new),
    };
    let (ca, certificate) = (keys.node("ca").map(|node| node.span), keys.node("certificate").map(|node| node.span));
    match settings.config(HttpVersion::One) {
        Ok(_) => {}
        // Without `ca` it is the machine's that are not there.
        Err(Wrong::Authorities(_)) if ca.is_none() && !within.outside.strict() => {}
        Err(Wrong::Authorities(why)) => {
            let help = "`ca` names a PEM file of certificate authorities; without it the machine's are trusted";
            wrong(&mut keys, ca.unwrap_or(table.span), why, String::from(help));
        }
        Err(Wrong::Identity(why)) => {
            let message = format!("the certificate and the key do not make a client: {why}");
            let help = "`certificate` is a PEM file, its own first, and `key` is the key it was made with";
            wrong(&mut keys, certificate.unwrap_or(table.span), message, String::from(help));
        }
    }
    super::super::finish(keys, diagnostics);
    Some(settings)
}

/// `ca`: the certificates in a file, or in several. Nothing where none is named, or where a file is missing that need not be there.
pub(crate) fn authorities(keys: &mut Keys<'_>, within: Within<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let node = keys.node("ca")?;
    let files = match node.kind {
        NodeKind::List(_) => keys.texts("ca")?,
        _ => vec![keys.text("ca")?],
    };
    let mut found = Vec::new();
    for file in files {
        found.extend(certificates(keys, within, &file)?);
    }
    if found.is_empty() {
        wrong(keys, node.span, String::from("`ca` names no certificate"), String::from("ca = \"tls/ca.pem\""));
        return None;
    }
    Some(found)
}

fn certificates(keys: &mut Keys<'_>, within: Within<'_>, file: &Spanned<&str>) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = content(keys, within, file)?;
    let found = crate::tls::certificates(&bytes);
    found
        .map_err(|why| {
            let help = String::from("`-----BEGIN CERTIFICATE-----` begins one");
            wrong(keys, file.span, format!("`{}` holds {why}", file.value), help);
        })
        .ok()
}

fn server_name(keys: &mut Keys<'_>) -> Option<ServerName<'static>> {
    let name = keys.text("server_name")?;
    let parsed = ServerName::try_from(name.value.to_owned()).ok();
    if parsed.is_none() {
        let help = String::from("a name or an address, without scheme and port");
        wrong(keys, name.span, format!("`{}` is no name of a server", name.value), help);
    }
    parsed
}

fn identity(keys: &mut Keys<'_>, within: Within<'_>) -> Option<Identity> {
    let (certificate, key) = (keys.text("certificate"), keys.node("key").map(|node| node.span));
    for (name, here, there) in [
        ("key", certificate.as_ref().map(|text| text.span), key),
        ("certificate", key, certificate.as_ref().map(|text| text.span)),
    ] {
        if let (Some(_), None) = (here, there) {
            let problem = Problem::error(codes::MISSING_KEY, format!("`{name}` is missing"));
            let help = "a client certificate needs both: certificate = \"tls/client.pem\", key = { file = \"tls/client.key\" }";
            keys.push(problem.with_help(help).at(keys.place()));
        }
    }
    let secret = keys.deserialize::<Secret>("key", within.outside);
    let chain = certificates(keys, within, &certificate?)?;
    let (secret, span) = (secret?, key?);
    if secret.expose().is_empty() && !within.outside.strict() {
        return None;
    }
    let key = crate::tls::private_key(secret.expose().as_bytes()).map_err(|why| {
        let help = "key = { file = \"tls/client.key\" }; `openssl pkey -in KEY -out PLAIN` takes a passphrase off";
        wrong(keys, span, format!("the key holds {why}"), String::from(help));
    });
    Some(Identity { chain, key: key.ok()? })
}

/// A file that a setting names.
fn content(keys: &mut Keys<'_>, within: Within<'_>, file: &Spanned<&str>) -> Option<Vec<u8>> {
    let why = match within.outside.content(file.value) {
        Ok(bytes) => return Some(bytes),
        Err(SecretError::Missing) => String::from("does not exist"),
        Err(SecretError::Unreadable(why)) => format!("cannot be read: {why}"),
    };
    let mut problem = Problem::error(codes::MISSING_OUTSIDE, format!("the file `{}` {why}", file.value));
    if !within.outside.strict() {
        problem.severity = Severity::Warning;
    }
    let at: Span = file.span;
    keys.push(problem.with_help("its path is relative to the configuration folder").at(keys.place_of(at)));
    None
}
