//! `auth.certificate`: lets in whoever proved itself with a certificate over mutual TLS, and sets `subject.*`. In Oracle API Gateway: SSL
//! Authentication, with Validate Certificate and Certificate Attributes.
//!
//! The listener has checked the certificate before: its chain to an authority of `tls.clients.ca`, its dates, the revocation lists
//! (node.md, "TLS"). With `verify = "optional"` there, a request without a certificate comes this far, and this filter decides. The rules
//! here say who of those that an authority signed is meant; all that are written must hold.
//!
//! ```toml
//! [[filter]]
//! use    = "auth.certificate"
//! issuer = ["CN=Partner CA,O=Partner"]
//! names  = ["*.partner.example"]
//! ```
//!
//! `request.cert.*` has what the certificate says, for other rules. It came over this connection: what a proxy before the gateway says of
//! another one's certificate in a header is no certificate.

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::exchange::ClientCertificate;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use crate::oauth::{SUBJECT, Subject};

/// The client has proved itself with none.
const NO_CERTIFICATE: ReasonCode = ReasonCode::new("no-certificate");
/// With one that the rules do not mean.
const WRONG_CERTIFICATE: ReasonCode = ReasonCode::new("wrong-certificate");

/// `use = "auth.certificate"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The distinguished names (RFC 4514) of the issuers that are meant: `"CN=Partner CA,O=Partner"`. Default: every authority that the
    /// listener trusts.
    issuer: Option<Spanned<Vec<String>>>,
    /// The distinguished names (RFC 4514) of the subjects that are meant. Default: all.
    subject: Option<Spanned<Vec<String>>>,
    /// Alternative names of which the certificate has one: of hosts, URIs, addresses of mail, IP addresses. `*.` at the beginning stands for
    /// one label of a host's name, `*` at the end for the rest of a URI. Default: any, or none.
    names: Option<Spanned<Vec<String>>>,
    /// SHA-256 of the certificates that are meant: 64 hexadecimal digits, with or without colons. Default: all.
    sha256: Option<Spanned<Vec<String>>>,
    /// What of the certificate becomes `subject.id`. Default: `common-name`.
    #[serde(default)]
    identity: Identity,
}

/// What of a certificate says who its holder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Identity {
    /// The subject's one common name.
    #[default]
    CommonName,
    /// The subject's distinguished name.
    Subject,
    /// The one name of a host among the alternative names.
    Dns,
    /// The one URI among the alternative names (SPIFFE).
    Uri,
    /// The one address of mail among the alternative names.
    Email,
    /// SHA-256 of the certificate.
    Sha256,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.certificate";
    type Filter = Certificate;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Certificate, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_CERTIFICATE, WRONG_CERTIFICATE]);
        let rules =
            [("issuer", &self.issuer), ("subject", &self.subject), ("names", &self.names), ("sha256", &self.sha256)];
        for (name, rule) in rules {
            if let Some(rule) = rule.as_ref().filter(|rule| rule.value.is_empty()) {
                let help = "leave it out where any will do";
                return Err(cx.error(rule.span, format!("nobody is let in: `{name}` is empty"), help).into());
            }
        }
        for rule in [&self.issuer, &self.subject] {
            let Some(rule) = rule else { continue };
            if let Some(text) = rule.value.iter().find(|text| !is_written_as_it_is_read(text)) {
                let help = "the last part first and no blanks, `CN=app,O=Partner`; `Email` for mail: `request.cert.subject` has it";
                return Err(cx.error(rule.span, format!("no certificate's name is written `{text}`"), help).into());
            }
        }
        let sha256 = self.sha256.as_ref().map(|all| thumbprints(all, cx)).transpose()?;
        let texts = |rule: &Option<Spanned<Vec<String>>>| rule.as_ref().map(|rule| rule.value.clone());
        Ok(Certificate {
            issuer: texts(&self.issuer),
            subject: texts(&self.subject),
            names: texts(&self.names),
            sha256,
            identity: self.identity,
            slot: cx.writes(&SUBJECT),
        })
    }
}

/// Whether a certificate's name can look like this: names are compared as text (RFC 4514), and another way to write one would mean nobody.
fn is_written_as_it_is_read(name: &str) -> bool {
    let mut escapes = false;
    let parts = name.split(|c| {
        let splits = !escapes && (c == ',' || c == '+');
        escapes = !escapes && c == '\\';
        splits
    });
    parts.into_iter().all(|part| {
        let Some((kind, value)) = part.split_once('=') else { return false };
        let is_other = |known: &&str| kind.eq_ignore_ascii_case(known) && kind != *known;
        let is_known_otherwise = KINDS.iter().any(is_other) || kind.eq_ignore_ascii_case("emailAddress") || kind == "S";
        let has_blanks = value.starts_with(' ') || value.ends_with(' ') && !value.ends_with("\\ ");
        !kind.is_empty() && !kind.contains(' ') && !is_known_otherwise && !has_blanks
    })
}

/// Kinds of parts of a name, as they are written.
const KINDS: [&str; 8] = ["CN", "C", "L", "ST", "O", "OU", "DC", "Email"];

/// Lower-case digits without colons.
fn thumbprints(all: &Spanned<Vec<String>>, cx: &BuildContext<'_>) -> Result<Vec<String>, Diagnostics> {
    let thumbprint = |text: &String| {
        let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let good = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        good.then_some(digits).ok_or_else(|| {
            let help = "64 hexadecimal digits: `openssl x509 -noout -fingerprint -sha256 -in FILE` prints them";
            Diagnostics::from(cx.error(all.span, format!("`{text}` is no SHA-256"), help))
        })
    };
    all.value.iter().map(thumbprint).collect()
}

/// The compiled filter.
pub(crate) struct Certificate {
    issuer: Option<Vec<String>>,
    subject: Option<Vec<String>>,
    names: Option<Vec<String>>,
    sha256: Option<Vec<String>>,
    identity: Identity,
    slot: Slot<Subject>,
}

impl Filter for Certificate {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let Some(certificate) = exchange.request.certificate.clone() else {
            let reason = Reason::new(NO_CERTIFICATE, "the client has proved itself with no certificate");
            return Ok(Outcome::Failure(reason.with_status(StatusCode::UNAUTHORIZED).with_absent()));
        };
        let identity = self.means(&certificate).then(|| self.identity.of(&certificate)).flatten();
        let Some(id) = identity.filter(|id| store::Users::is_name(id)) else {
            let reason = Reason::new(WRONG_CERTIFICATE, "the client's certificate is not one of those that are meant");
            return Ok(Outcome::Failure(reason.with_status(StatusCode::FORBIDDEN)));
        };
        let id = Arc::from(id);
        let subject = Subject { id, is_client: false, authenticated_at: None, methods: Vec::new(), acr: None };
        exchange.set(self.slot, subject);
        Ok(Outcome::Success)
    }
}

impl Certificate {
    /// Whether the rules hold.
    fn means(&self, certificate: &ClientCertificate) -> bool {
        let one_of =
            |rule: &Option<Vec<String>>, has: &str| rule.as_ref().is_none_or(|all| all.iter().any(|one| one == has));
        let named = |rule: &Vec<String>| rule.iter().any(|pattern| has_name(certificate, pattern));
        one_of(&self.issuer, &certificate.issuer)
            && one_of(&self.subject, &certificate.subject)
            && one_of(&self.sha256, &certificate.sha256)
            && self.names.as_ref().is_none_or(named)
    }
}

/// Whether one of its alternative names is meant.
fn has_name(certificate: &ClientCertificate, pattern: &str) -> bool {
    let host = |name: &String| match pattern.strip_prefix("*.") {
        Some(rest) => {
            name.split_once('.').is_some_and(|(label, of)| !label.is_empty() && of.eq_ignore_ascii_case(rest))
        }
        None => name.eq_ignore_ascii_case(pattern),
    };
    let uri = |name: &String| match pattern.strip_suffix('*') {
        Some(beginning) => !beginning.is_empty() && name.starts_with(beginning),
        None => name == pattern,
    };
    let same = |name: &String| name == pattern;
    certificate.dns_names.iter().any(host)
        || certificate.uris.iter().any(uri)
        || certificate.emails.iter().any(same)
        || certificate.ip_addresses.iter().any(same)
}

impl Identity {
    /// Who its holder is; `None` where it does not say, or says several.
    fn of(self, certificate: &ClientCertificate) -> Option<&str> {
        match self {
            Identity::CommonName => certificate.common_name.as_deref(),
            Identity::Subject => Some(&certificate.subject),
            Identity::Sha256 => Some(&certificate.sha256),
            Identity::Dns => only(&certificate.dns_names),
            Identity::Uri => only(&certificate.uris),
            Identity::Email => only(&certificate.emails),
        }
    }
}

/// The one that there is.
fn only(names: &[String]) -> Option<&str> {
    match names {
        [only] => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{get, policy, told};
    use policy::Request;

    fn presented(change: impl FnOnce(&mut ClientCertificate)) -> Request {
        let mut certificate = ClientCertificate {
            subject: String::from("CN=app,O=Partner"),
            issuer: String::from("CN=Partner CA"),
            common_name: Some(String::from("app")),
            sha256: "ab".repeat(32),
            dns_names: vec![String::from("app.partner.example")],
            uris: vec![String::from("spiffe://partner/app")],
            ..ClientCertificate::default()
        };
        change(&mut certificate);
        let mut request = get("/", &[]);
        request.certificate = Some(Arc::new(certificate));
        request
    }

    fn asked(settings: &str, request: Request) -> String {
        let text = format!(
            "[[filter]]\nuse = 'auth.certificate'\n{settings}\n[[filter]]\nuse = 'respond'\ntext = '${{subject.id}}'"
        );
        let ran = policy(&text).run(request);
        if ran.status == 200 { ran.text().to_owned() } else { told(&ran) }
    }

    #[test]
    fn without_one_nobody_is_let_in_and_another_way_may_be_tried() {
        assert_eq!(asked("", get("/", &[])), "401 no-certificate");
        let text = "[[filter]]\nuse = 'any'\nof = ['certificate', 'nobody']\n[[filter]]\nuse = 'respond'\ntext = 'in'\n\
                    [[chain.certificate]]\nuse = 'auth.certificate'\n[[chain.nobody]]\nuse = 'require'\nthat = 'true'\n";
        assert_eq!(policy(text).run(get("/", &[])).text(), "in");
    }

    #[test]
    fn all_rules_that_are_written_hold() {
        let nothing = |_: &mut ClientCertificate| {};
        let print = "AB:".repeat(31) + "ab";
        for (settings, expected) in [
            ("", "app"),
            ("issuer = ['CN=Other', 'CN=Partner CA']", "app"),
            ("issuer = ['CN=Other']", "403 wrong-certificate"),
            ("subject = ['CN=app,O=Partner']", "app"),
            ("subject = ['CN=app']", "403 wrong-certificate"),
            ("names = ['*.partner.example']", "app"),
            ("names = ['APP.partner.example']", "app"),
            ("names = ['*.example']", "403 wrong-certificate"),
            ("names = ['spiffe://partner/*']", "app"),
            ("names = ['spiffe://partner/a']", "403 wrong-certificate"),
            ("names = ['*']", "403 wrong-certificate"),
            ("issuer = ['CN=Partner CA']\nnames = ['other.example']", "403 wrong-certificate"),
            (&format!("sha256 = ['{print}']"), "app"),
            (&format!("sha256 = ['{}']", "cd".repeat(32)), "403 wrong-certificate"),
            ("identity = 'subject'", "CN=app,O=Partner"),
            ("identity = 'dns'", "app.partner.example"),
            ("identity = 'uri'", "spiffe://partner/app"),
            ("identity = 'email'", "403 wrong-certificate"),
        ] {
            assert_eq!(asked(settings, presented(nothing)), expected, "{settings}");
        }
        let nameless = asked("", presented(|certificate| certificate.common_name = None));
        assert_eq!(nameless, "403 wrong-certificate");
        let two = |certificate: &mut ClientCertificate| certificate.uris.push(String::from("spiffe://other/app"));
        assert_eq!(asked("identity = 'uri'", presented(two)), "403 wrong-certificate", "which of the two?");
    }

    #[test]
    fn names_may_have_whatever_is_escaped_and_kinds_without_a_short_name() {
        for name in
            ["CN=\\ app#1\\ ,O=Partner\\, Inc.,C=CH", "CN=a+serialNumber=7", "2.5.4.97=#0c0161,CN=x", "CN=a = b", "CN="]
        {
            assert!(is_written_as_it_is_read(name), "{name}");
        }
    }

    #[test]
    fn rules_that_mean_nobody_are_refused_at_load() {
        for (settings, told) in [
            ("names = []", "nobody is let in: `names` is empty"),
            ("sha256 = ['ab']", "`ab` is no SHA-256"),
            ("subject = ['CN=app, O=Partner']", "no certificate's name is written `CN=app, O=Partner`"),
            ("subject = ['CN = app']", "no certificate's name is written"),
            ("subject = ['cn=app']", "no certificate's name is written"),
            ("subject = ['app']", "no certificate's name is written"),
            ("issuer = ['CN=ca', 'emailAddress=a@b.example,CN=ca']", "no certificate's name is written"),
        ] {
            let problems =
                policy(&format!("[[filter]]\nuse = 'auth.certificate'\n{settings}\n[[filter]]\nuse = 'respond'"))
                    .problems();
            assert!(problems[0].contains(told), "{problems:?}");
        }
    }
}
