//! `acme` of a listener's `tls`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::Diagnostics;
use policy::diagnostic::{Problem, Span, codes};
use policy::reader::Keys;
use policy::settings::Spanned;
use store::oauth::Secret;

use super::Within;
use crate::acme::{AcmeSettings, Proof};
use crate::tls::certificates;

/// Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Reads the table. Where the certificate is kept and whether one is there already is for the listener to say.
pub(super) fn read(within: Within<'_>, diagnostics: &mut Diagnostics) -> Option<AcmeSettings> {
    let mut acme = Reader { within, keys: Keys::new(within.file, within.table), whole: true };
    let settings = AcmeSettings {
        directory: acme.directory(),
        names: acme.names(),
        contact: acme.keys.texts("contact").into_iter().flatten().map(|text| text.value.to_owned()).collect(),
        ca: acme.ca(),
        proof: acme.proof(),
        external: acme.external(diagnostics),
        file: String::new(),
        there: None,
    };
    acme.agreed();
    let Reader { keys, whole, .. } = acme;
    super::finish(keys, diagnostics);
    whole.then_some(settings)
}

struct Reader<'a> {
    within: Within<'a>,
    keys: Keys<'a>,
    whole: bool,
}

impl<'a> Reader<'a> {
    fn directory(&mut self) -> String {
        let Some(directory) = self.keys.text("directory") else { return LETS_ENCRYPT.to_owned() };
        if !directory.value.starts_with("https://") {
            let help = "directory = \"https://ca.example/directory\"";
            self.wrong(directory.span, String::from("an authority's directory is an https URL"), help);
        }
        directory.value.to_owned()
    }

    fn names(&mut self) -> Vec<String> {
        let span = self.keys.required("names").map(|node| node.span);
        let names = self.keys.texts("names").unwrap_or_default();
        let host = |name: &Spanned<&str>| {
            let plain = name.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
            plain && name.value.contains(|c: char| c.is_ascii_alphanumeric())
        };
        if let Some(span) = span
            && (names.is_empty() || !names.iter().all(host))
        {
            let help = "names = [\"api.example.com\"]; one with `*` can only be proven by DNS, which is not done here";
            self.wrong(span, String::from("the names of hosts are what a certificate is for"), help);
        }
        self.whole &= span.is_some();
        names.iter().map(|name| name.value.to_ascii_lowercase()).collect()
    }

    fn ca(&mut self) -> Option<Vec<rustls::pki_types::CertificateDer<'static>>> {
        let path = self.keys.text("ca")?;
        let read = self.within.outside.content(path.value).map_err(|_| String::from("no file that can be read"));
        match read.and_then(|text| certificates(&text)) {
            Ok(found) => Some(found),
            Err(why) => {
                let help = "the authorities that signed the certificate of the directory's own server, in PEM";
                self.wrong(path.span, format!("`{}` holds {why}", path.value), help);
                None
            }
        }
    }

    fn proof(&mut self) -> Proof {
        let Some(word) = self.keys.text("proof") else { return Proof::default() };
        let known = [Proof::TlsAlpn, Proof::Http].into_iter().find(|proof| proof.word() == word.value);
        known.unwrap_or_else(|| {
            let help = "`\"tls-alpn-01\"` (the default): the authority comes to port 443; `\"http-01\"`: to port 80";
            self.wrong(word.span, format!("`{}` is no proof that is known here", word.value), help);
            Proof::default()
        })
    }

    fn agreed(&mut self) {
        let span = self.keys.required("terms_agreed").map(|node| node.span);
        let agreed = self.keys.bool("terms_agreed");
        self.whole &= agreed.is_some();
        if let (Some(span), Some(false)) = (span, agreed.map(|agreed| agreed.value)) {
            let message = "the authority makes certificates for those alone who agree to its terms";
            self.wrong(span, String::from(message), "read them, and write `terms_agreed = true`");
        }
    }

    /// Its id, and its key in base64url, as authorities give it.
    fn external(&mut self, diagnostics: &mut Diagnostics) -> Option<(String, Vec<u8>)> {
        let table = self.keys.table("external_account")?;
        let mut keys = Keys::new(self.within.file, table.value);
        let id = keys.required_text("id").map(|id| id.value.to_owned());
        let span = keys.required("key").map(|node| node.span);
        let key = keys.deserialize::<Secret>("key", self.within.outside);
        super::finish(keys, diagnostics);
        let (Some(id), Some(span), Some(key)) = (id, span, key) else {
            self.whole = false;
            return None;
        };
        match URL_SAFE_NO_PAD.decode(key.expose().trim_end_matches('=')) {
            Ok(bytes) => Some((id, bytes)),
            Err(_) => {
                let help = "as the authority gives it: letters, digits, `-` and `_`";
                self.wrong(span, String::from("this key is no base64url"), help);
                None
            }
        }
    }

    fn wrong(&mut self, span: Span, message: String, help: &str) {
        self.whole = false;
        self.keys.push(Problem::error(codes::BAD_VALUE, message).with_help(help).at(self.within.place(span)));
    }
}
