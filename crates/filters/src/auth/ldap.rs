//! `auth.ldap`: lets in who sends the name and the password of somebody in an LDAP directory in a form, and sets `subject.*`. In Oracle
//! API Gateway: Attribute Authentication with an LDAP repository.
//!
//! The entry is looked for by `filter` (RFC 4515), as `bind` where that is given, and then bound to with the password. Exactly one
//! entry must be found. The subject is the entry's own attribute, not what was typed: a directory takes `ANN` for `ann`.
//!
//! ```toml
//! [[filter]]
//! use        = "auth.ldap"
//! url        = "ldap://127.0.0.1:389"
//! base       = "ou=people,dc=example,dc=com"
//! filter     = "(&(objectClass=inetOrgPerson)(uid={name}))"
//! subject    = "uid"
//! attributes = ["mail"]
//! into       = "person"             # ${vars.person.mail}
//!
//! [[filter]]
//! use = "session.start"
//! ```
//!
//! Passwords go over the connection as they are, so it must stay on this machine: for a directory elsewhere, put a tunnel that speaks
//! TLS (stunnel) beside the gateway. Whether too many wrong passwords lock an entry is the directory's to say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use http::Uri;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use ::oauth::Secret;
use policy::attribute::Slot;
use policy::ports::{DIRECTORIES, DirectoriesHandle, Directory, DirectoryEntry, Exposed};
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Value};
use store::Users;

use super::people::{self, LoginForm, NO_CREDENTIALS, WRONG_CREDENTIALS};
use crate::oauth::{SUBJECT, Stop, Subject, settle, unix_seconds};

/// The directory is down, too slow, or refuses the gateway itself.
const UNAVAILABLE: ReasonCode = ReasonCode::new("directory-unavailable");
/// What `{name}` stands for in a filter.
const NAME: &str = "{name}";
const TIMEOUT: StdDuration = StdDuration::from_secs(5);
/// No password is longer.
const LONGEST: usize = 1_024;

/// `use = "auth.ldap"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the directory is, on this machine: `ldap://127.0.0.1:389`.
    url: Spanned<String>,
    /// The entry below which people are looked for.
    base: String,
    /// How they are looked for (RFC 4515); `{name}` stands for the name that was typed, escaped. Default: `(uid={name})`.
    filter: Option<Spanned<String>>,
    /// As whom the gateway looks. Default: as nobody.
    bind: Option<Bind>,
    /// The attribute that names the subject. Default: `uid`.
    subject: Option<String>,
    /// Further attributes that are kept in the variable `into`. One with several values is a list.
    #[serde(default)]
    attributes: Vec<String>,
    /// The variable that gets `attributes`: `${vars.NAME.mail}`.
    into: Option<Spanned<String>>,
    /// The field of the form that holds the name. Default: `username`.
    username: Option<String>,
    /// The field of the form that holds the password. Default: `password`.
    password: Option<String>,
    /// How long it may take, all in all. Default: `5s`.
    timeout: Option<Spanned<Duration>>,
}

/// As whom the gateway looks for people.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bind {
    /// The distinguished name.
    dn: String,
    /// The password, a secret: `{ env = "LDAP_PASSWORD" }` or `{ file = "PATH" }`.
    #[schemars(schema_with = "secret")]
    password: Secret,
}

fn secret(_: &mut SchemaGenerator) -> Schema {
    let one = |name: &str| json_schema!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name], "additionalProperties": false });
    json_schema!({ "anyOf": [one("env"), one("file")] })
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.ldap";
    type Filter = ByLdap;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ByLdap, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_CREDENTIALS, WRONG_CREDENTIALS]);
        cx.aborts(&[UNAVAILABLE]);
        if !is_here(&self.url.value) {
            let help = "passwords would go over the network as they are: put a tunnel that speaks TLS (stunnel) beside the gateway, and \
                        name its address on this machine";
            let message = format!("`{}` is no directory on this machine", self.url.value);
            return Err(cx.error(self.url.span, message, help).into());
        }
        if let Some(filter) = self.filter.as_ref().filter(|filter| !filter.value.contains(NAME)) {
            let help = "write `{name}` where the name that is typed belongs: `(uid={name})`";
            return Err(cx.error(filter.span, "this filter finds the same entry for every name", help).into());
        }
        let subject_attribute = self.subject.clone().unwrap_or_else(|| "uid".to_owned());
        let asked = self.attributes.iter().filter(|name| **name != subject_attribute).cloned();
        let of_node = Spanned { span: cx.own_place().span, value: String::from("ldap") };
        Ok(ByLdap {
            directory: Directory {
                url: self.url.value.clone(),
                base: self.base.clone(),
                filter: self.filter.as_ref().map_or_else(|| format!("(uid={NAME})"), |filter| filter.value.clone()),
                bind: self.bind.as_ref().map(|bind| (bind.dn.clone(), Box::new(Hidden(bind.password.clone())) as _)),
                attributes: [subject_attribute.clone()].into_iter().chain(asked).collect(),
                timeout: self.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value.0),
            },
            directories: cx.resource(DIRECTORIES, &of_node)?,
            subject_attribute,
            form: LoginForm::build(&self.username, &self.password, cx),
            kept: self.attributes.clone(),
            into: self.into.as_ref().map(|into| cx.writes_var(&into.value)),
            subject: cx.writes(&SUBJECT),
        })
    }
}

struct Hidden(Secret);

impl Exposed for Hidden {
    fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The compiled filter.
pub(crate) struct ByLdap {
    directory: Directory,
    directories: Arc<DirectoriesHandle>,
    subject_attribute: String,
    form: LoginForm,
    kept: Vec<String>,
    into: Option<Slot<Value>>,
    subject: Slot<Subject>,
}

impl Filter for ByLdap {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl ByLdap {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let (name, password) = self.form.typed(exchange)?;
        let wrong = || Reason::new(WRONG_CREDENTIALS, "the name and the password are nobody's");
        if !Users::is_name(name) || password.len() > LONGEST {
            return Err(wrong().into());
        }
        let proved = self.directories.0.prove(&self.directory, name, password).await;
        let entry = proved.map_err(|why| Stop::Broken(Abort::unavailable(UNAVAILABLE, why)))?.ok_or_else(wrong)?;
        let named = entry.attributes.get(&self.subject_attribute).map_or(&[][..], Vec::as_slice);
        let [subject] = named else {
            let message = format!("the entry has not one `{}` that would name the subject", self.subject_attribute);
            return Err(Reason::new(WRONG_CREDENTIALS, message).into());
        };
        let subject = Subject::proved(subject, unix_seconds(exchange), people::PASSWORD);
        if let Some(into) = self.into {
            exchange.set(into, kept(&self.kept, &entry));
        }
        exchange.set(self.subject, subject);
        Ok(Outcome::Success)
    }
}

/// What is kept of an entry, by the names of its attributes.
fn kept(names: &[String], entry: &DirectoryEntry) -> Value {
    let value = |name: &String| {
        let value = match entry.attributes.get(name)?.as_slice() {
            [one] => Value::text(one.as_str()),
            several => Value::texts(several.iter().map(String::as_str)),
        };
        Some((Arc::from(name.as_str()), value))
    };
    Value::Map(Arc::new(names.iter().filter_map(value).collect::<BTreeMap<_, _>>()))
}

/// Whether this is an LDAP URL whose host is this machine.
fn is_here(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("ldap") && here && matches!(uri.path(), "" | "/") && uri.query().is_none()
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use http::Method;
    use policy::exchange::FORM;
    use policy::ports::{Directories, Proving};
    use policy::testing::{Fixture, request};

    use super::*;
    use crate::fixture::{told, world};

    /// Ann, whose password is `right`; `broken` is nobody's to answer, and `two` has no one name.
    struct Anns;

    impl Directories for Anns {
        fn prove<'a>(&'a self, directory: &'a Directory, name: &'a str, password: &'a str) -> Proving<'a> {
            assert_eq!(directory.attributes, ["uid", "mail", "member", "none"]);
            assert!(!password.is_empty());
            let entry = |uid: &[&str]| {
                let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
                let attributes =
                    [("uid", list(uid)), ("mail", list(&["ann@example.com"])), ("member", list(&["a", "b"]))];
                DirectoryEntry { attributes: attributes.map(|(name, values)| (name.to_owned(), values)).into() }
            };
            let right =
                directory.bind.as_ref().is_some_and(|(dn, secret)| dn == "cn=gateway" && secret.expose() == "s3");
            Box::pin(ready(match (name, password) {
                ("ANN", "right") if right => Ok(Some(entry(&["ann"]))),
                ("two", _) => Ok(Some(entry(&["a", "b"]))),
                ("broken", _) => Err(String::from("connection refused")),
                _ => Ok(None),
            }))
        }
    }

    fn fixture(more: &str) -> Fixture {
        let policy = format!(
            "route = '/**'\n[[filter]]\nuse = 'auth.ldap'\nurl = 'ldap://127.0.0.1:389'\nbase = 'dc=example'\n\
             attributes = ['mail', 'member', 'none']\ninto = 'person'\n{more}\n[[filter]]\nuse = 'respond'\n\
             text = '${{subject.id}} ${{subject.methods}} ${{vars.person.mail}} ${{vars.person.member}} ${{vars.person.none ?? -}}'\n"
        );
        world()
            .variable("PASSWORD", "s3")
            .resource(DIRECTORIES, "ldap", DirectoriesHandle(Arc::new(Anns)))
            .policy("tested", &policy)
    }

    const BIND: &str = "bind = { dn = 'cn=gateway', password = { env = 'PASSWORD' } }";

    #[test]
    fn whom_the_directory_knows_is_let_in_under_its_own_name() {
        let fixture = fixture(BIND);
        let form = |form: &str| fixture.run(request(Method::POST, "/", &[("content-type", FORM)], form));
        assert_eq!(form("username=ANN&password=right").text(), "ann pwd ann@example.com a b -");
        let long = format!("username=ANN&password={}", "x".repeat(LONGEST + 1));
        for (given, expected) in [
            ("username=ANN&password=wrong", "403 wrong-credentials"),
            ("username=eve&password=right", "403 wrong-credentials"),
            ("username=two&password=right", "403 wrong-credentials"),
            ("username=a%00b&password=right", "403 wrong-credentials"),
            (&long, "403 wrong-credentials"),
            ("username=ANN&password=", "403 no-credentials"),
            ("username=ANN", "403 no-credentials"),
            ("username=ANN&username=ANN&password=right", "400 bad-request"),
            ("username=broken&password=right", "503 directory-unavailable"),
        ] {
            assert_eq!(told(&form(given)), expected, "{given}");
        }
    }

    #[test]
    fn what_would_show_passwords_or_finds_anybody_is_refused_at_load() {
        let problems = fixture("filter = '(uid=ann)'").problems();
        assert!(problems.iter().any(|problem| problem.contains("the same entry for every name")), "{problems:?}");
        for here in ["ldap://127.0.0.1", "ldap://127.1.2.3:389/", "ldap://localhost:3890", "ldap://[::1]:389"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "ldap://10.0.0.1",
            "ldap://ldap.example.com:389",
            "ldaps://127.0.0.1",
            "127.0.0.1:389",
            "ldap://",
            "ldap://localhost/dc=x",
            "",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
