//! `tls` of a `[[listener]]`.

use std::hash::{DefaultHasher, Hash, Hasher};

use policy::Diagnostics;
use policy::diagnostic::{Problem, Severity, Span, codes};
use policy::reader::{Keys, SecretError, Table};
use policy::settings::Spanned;
use store::oauth::Secret;

use super::{Within, acme};
use crate::acme::{AcmeSettings, There};
use crate::tls::{
    CertifiedName, ClientAuth, ServerTls, ServerTlsParts, certificates, client_certificate, private_key,
    revocation_lists,
};

/// Reads the table. `None` where something in it is wrong, or is not there on the machine that only checks: both was told.
pub(super) fn read(
    within: Within<'_>,
    listener: Option<&str>,
    http: (bool, bool),
    diagnostics: &mut Diagnostics,
) -> Option<ServerTls> {
    let mut tls =
        Reader { within, keys: Keys::new(within.file, within.table), made_of: DefaultHasher::new(), whole: true };
    let acme = tls.keys.table("acme").map(|table| tls.acme(table.value, listener, diagnostics));
    let first = match &acme {
        Some(acme) => acme.as_ref().and_then(|acme| tls.got(acme)),
        None => tls.certified(within.table, diagnostics),
    };
    let tables = tls.keys.tables("more").unwrap_or_default();
    let more = tables.iter().filter_map(|table| tls.certified(table.value, diagnostics)).collect();
    let only_13 = tls.only_13();
    let clients = tls.keys.table("clients").and_then(|table| tls.clients(table.value, diagnostics));
    let Reader { keys, made_of, whole, .. } = tls;
    let place = within.place(within.table.span);
    super::finish(keys, diagnostics);
    let acme = acme.flatten();
    if !whole || (first.is_none() && acme.is_none()) {
        return None;
    }
    let made = ServerTls::new(ServerTlsParts { first, more, only_13, http, clients, acme, made_of: made_of.finish() });
    made.map_err(|why| {
        let problem = Problem::error(codes::BAD_VALUE, format!("this cannot be TLS: {why}"));
        diagnostics.push(problem.with_help("look at the files that it names").at(place));
    })
    .ok()
}

/// From when to when the first certificate of a text holds, and for which names.
fn there(text: &[u8]) -> Option<There> {
    let chain = certificates(text).ok()?;
    let read = client_certificate(chain.first()?)?;
    Some(There { not_before: read.not_before, not_after: read.not_after, names: read.dns_names })
}

struct Reader<'a> {
    within: Within<'a>,
    keys: Keys<'a>,
    /// Of all that was read.
    made_of: DefaultHasher,
    /// Nothing is missing, and nothing was wrong.
    whole: bool,
}

impl<'a> Reader<'a> {
    /// A certificate and its key, named in this table.
    fn certified(&mut self, table: &'a Table, diagnostics: &mut Diagnostics) -> Option<CertifiedName> {
        // The keys of the outer table are noted in its own reader.
        let own = std::ptr::eq(table, self.within.table);
        let mut inner = Keys::new(self.within.file, table);
        let (certificate, key) = {
            let keys = if own { &mut self.keys } else { &mut inner };
            let certificate = keys.required_text("certificate");
            let span = keys.required("key").map(|node| node.span);
            (certificate, keys.deserialize::<Secret>("key", self.within.outside).zip(span))
        };
        let named = certificate.as_ref().map(|path| path.span);
        let chain = certificate.and_then(|path| self.pem(&path, certificates));
        let key = key.and_then(|(secret, span)| self.key(&secret, span));
        if !own {
            super::finish(inner, diagnostics);
        }
        let (Some(chain), Some(key), Some(named)) = (chain, key, named) else {
            self.whole = false;
            return None;
        };
        let certified = CertifiedName::new(chain, key);
        certified.map_err(|why| self.wrong(named, why, "name the key that the certificate was made for")).ok()
    }

    /// `acme`: who makes the certificate.
    fn acme(
        &mut self,
        table: &'a Table,
        listener: Option<&str>,
        diagnostics: &mut Diagnostics,
    ) -> Option<AcmeSettings> {
        for name in ["certificate", "key"] {
            if let Some(entry) = self.keys.entry(name) {
                let message = format!("the certificate comes by `acme`, and `{name}` names another one");
                self.wrong(entry.name_span, message, "take one of the two out");
            }
        }
        let read = acme::read(self.within.inner(table), diagnostics);
        if let Some(read) = &read {
            read.hash_into(&mut self.made_of);
        }
        let Some((mut acme, listener)) = read.zip(listener) else {
            self.whole = false;
            return None;
        };
        if !listener.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            let message = String::from("the certificate's file has the listener's name");
            self.wrong(table.span, message, "name the listener with letters, digits, `-`, `_` and `.` alone");
        }
        acme.file = format!("var/acme/{listener}.pem");
        acme.there = self.within.outside.content(&acme.file).ok().and_then(|text| there(&text));
        Some(acme)
    }

    /// The certificate that was got, with its key in one file. One that cannot be read is got anew.
    fn got(&mut self, acme: &AcmeSettings) -> Option<CertifiedName> {
        let text = self.within.outside.content(&acme.file).ok()?;
        text.hash(&mut self.made_of);
        CertifiedName::new(certificates(&text).ok()?, private_key(&text).ok()?).ok()
    }

    fn key(&mut self, secret: &Secret, span: Span) -> Option<rustls::pki_types::PrivateKeyDer<'static>> {
        // `check`, where it is not there: that was told.
        if secret.expose().is_empty() && !self.within.outside.strict() {
            return None;
        }
        secret.expose().hash(&mut self.made_of);
        let key = private_key(secret.expose().as_bytes());
        key.map_err(|why| {
            let help = "key = { file = \"tls/server.key\" }; `openssl pkey -in KEY -out PLAIN` takes a passphrase off";
            self.wrong(span, format!("the key holds {why}"), help);
        })
        .ok()
    }

    fn only_13(&mut self) -> bool {
        let Some(version) = self.keys.text("min_version") else { return false };
        version.value.hash(&mut self.made_of);
        match version.value {
            "1.2" => false,
            "1.3" => true,
            other => {
                let help = "`\"1.2\"` (the default) or `\"1.3\"`: what is older is not spoken";
                self.wrong(version.span, format!("TLS `{other}` is not known here"), help);
                false
            }
        }
    }

    fn clients(&mut self, table: &'a Table, diagnostics: &mut Diagnostics) -> Option<ClientAuth> {
        let mut keys = Keys::new(self.within.file, table);
        let ca = keys.required_text("ca");
        let verify = keys.text("verify");
        let lists = keys.texts("crl").unwrap_or_default();
        super::finish(keys, diagnostics);
        let required = match verify {
            None => true,
            Some(word) => {
                word.value.hash(&mut self.made_of);
                match word.value {
                    "required" => true,
                    "optional" => false,
                    other => {
                        let help = "`\"required\"` (the default): no connection without a certificate; `\"optional\"`: policies decide";
                        self.wrong(word.span, format!("`{other}` is no way to ask clients for certificates"), help);
                        true
                    }
                }
            }
        };
        let revoked = lists.into_iter().filter_map(|path| self.pem(&path, revocation_lists)).flatten().collect();
        let authorities = ca.and_then(|path| self.pem(&path, certificates));
        if authorities.is_none() {
            self.whole = false;
        }
        Some(ClientAuth { authorities: authorities?, revoked, required })
    }

    /// What a PEM file holds.
    fn pem<T>(&mut self, path: &Spanned<&'a str>, read: fn(&[u8]) -> Result<T, String>) -> Option<T> {
        let text = match self.within.outside.content(path.value) {
            Ok(text) => text,
            Err(why) => {
                let message = match why {
                    SecretError::Missing => format!("the file `{}` does not exist", path.value),
                    SecretError::Unreadable(why) => format!("the file `{}` cannot be read: {why}", path.value),
                };
                let mut problem = Problem::error(codes::MISSING_OUTSIDE, message)
                    .with_help("`run` needs it; the path is relative to the configuration folder");
                // The machine that checks need not be the one that runs.
                if !self.within.outside.strict() {
                    problem.severity = Severity::Warning;
                }
                self.keys.push(problem.at(self.within.place(path.span)));
                self.whole = false;
                return None;
            }
        };
        text.hash(&mut self.made_of);
        read(&text)
            .map_err(|why| {
                let help =
                    "a text file with `-----BEGIN ...-----`; `openssl x509 -inform der -in FILE` makes one of DER";
                self.wrong(path.span, format!("`{}` holds {why}", path.value), help);
            })
            .ok()
    }

    fn wrong(&mut self, span: Span, message: String, help: &str) {
        self.whole = false;
        self.keys.push(Problem::error(codes::BAD_VALUE, message).with_help(help).at(self.within.place(span)));
    }
}
