//! `[provider.NAME]`: another authorization server, of which the gateway is a client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::diagnostic::{Problem, Span, codes};
use policy::reader::{Document, Keys, Node, did_you_mean};
use policy::settings::{ByteSize, FromOutside, Spanned};
use policy::{Diagnostic, Diagnostics};
use store::oauth::client_auth::Method;
use store::oauth::metadata::ISSUER_RULE;
use store::oauth::provider::discovery::{is_endpoint, origin};
use store::oauth::provider::{Endpoints, Provider};
use store::oauth::{ClientId, Issuer, Scopes, Secret};

use super::upstream::{authorities, is_admin, url};
use super::{Within, not_yet};
use crate::upstream::{HttpVersion, Retries, Timeouts, TlsSettings, UpstreamSettings, Way as Spoken, Wrong};

/// The methods by which the gateway can prove who it is.
const METHODS: [Method; 3] = [Method::ClientSecretBasic, Method::ClientSecretPost, Method::None];
/// A provider that is there connects in milliseconds.
const CONNECT: Duration = Duration::from_secs(3);
/// What can be done where it is reached in a way that is not there.
const BY_UPSTREAM: &str = "name an `upstream` through which it is reached";

/// A provider, and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProviderSettings {
    /// What filters may know of it.
    pub(crate) provider: Arc<Provider>,
    /// How it is called.
    pub(crate) way: Way,
}

/// How a provider is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Way {
    /// Through `[upstream.NAME]`.
    Upstream(String),
    /// By connections of its own.
    Own(Box<UpstreamSettings>),
}

impl ProviderSettings {
    /// What stands in for a provider whose settings are wrong, so that policies that name it can be checked. Never called.
    pub(crate) fn nowhere(name: &str) -> Self {
        let provider = Provider {
            name: name.to_owned(),
            issuer: None,
            endpoints: Endpoints::default(),
            client_id: ClientId::new(""),
            client_secret: None,
            auth_method: Method::None,
            scopes: Scopes::default(),
            elsewhere: false,
            token_lifetime: 0,
            refresh_lifetime: 0,
            timeout: 0,
            answer_limit: 0,
        };
        ProviderSettings { provider: Arc::new(provider), way: Way::Own(Box::new(UpstreamSettings::nowhere())) }
    }
}

/// Reads one; nothing where something is wrong with it, which is told. Other providers are reached through these upstreams.
pub(super) fn read(
    name: &str,
    within: Within<'_>,
    admin: SocketAddr,
    upstreams: &BTreeMap<String, Option<UpstreamSettings>>,
    diagnostics: &mut Diagnostics,
) -> Option<ProviderSettings> {
    let mut reader = Reader { keys: Keys::new(within.file, within.table), within, unknown: false };
    let issuer = reader.issuer();
    let mut urls = Vec::new();
    let endpoints = Endpoints {
        authorization: reader.endpoint("authorization_endpoint", &mut Vec::new()),
        token: reader.endpoint("token_endpoint", &mut urls),
        revocation: reader.endpoint("revocation_endpoint", &mut urls),
        jwks: reader.endpoint("jwks_uri", &mut urls),
        says_iss: false,
    };
    if issuer.is_none() && endpoints.token.is_none() && !reader.unknown {
        let problem = Problem::error(codes::MISSING_KEY, "a provider needs an `issuer` or a `token_endpoint`");
        let help = "with `issuer = \"https://...\"` the endpoints are looked up there (RFC 8414)";
        reader.keys.push(problem.with_help(help).at(reader.keys.place()));
    }
    let client_id = reader.keys.required("client_id").and_then(|_| reader.text("client_id"));
    let auth_method = reader.auth_method();
    let client_secret = reader.client_secret(auth_method);
    let scopes = reader.scopes();
    let token_lifetime = reader.seconds("token_lifetime", 3_600, 1..=86_400 * 366);
    let refresh_lifetime = reader.seconds("refresh_lifetime", 30 * 86_400, 60..=86_400 * 3_660);
    let timeout = reader.seconds("timeout", 10, 1..=60);
    let answer_limit = reader.answer_limit();
    let urls = issuer.iter().map(|issuer| (issuer.span, issuer.value.as_str().to_owned())).chain(urls).collect();
    let way = reader.way(urls, Duration::from_secs(timeout), admin, upstreams);
    super::finish(reader.keys, diagnostics);
    let way = way?;
    let provider = Provider {
        name: name.to_owned(),
        issuer: issuer.map(|issuer| issuer.value),
        endpoints,
        client_id: ClientId::new(client_id?.value),
        client_secret,
        auth_method: auth_method?,
        scopes,
        elsewhere: matches!(way, Way::Upstream(_)),
        token_lifetime,
        refresh_lifetime,
        timeout,
        answer_limit,
    };
    Some(ProviderSettings { provider: Arc::new(provider), way })
}

/// Providers where several nodes have no key in common: none of them could seal a token that they hold.
pub(super) fn refuse_unsealed(node: &Document) -> impl Iterator<Item = Diagnostic> {
    let providers = node.root.get("provider").and_then(Node::as_table).into_iter().flat_map(|table| &table.entries);
    providers.map(|entry| {
        let message =
            format!("tokens of the provider `{}` are kept sealed, and several nodes have no key in common", entry.name);
        let help =
            "add `[encryption]`, `keys = [{ id = \"2026\", file = \"secrets/2026.key\" }]`, the same file on all nodes";
        Problem::error(codes::MISSING_KEY, message).with_help(help).at(node.place(entry.name_span))
    })
}

struct Reader<'a> {
    keys: Keys<'a>,
    within: Within<'a>,
    /// Something is wrong, or named by a variable that is not set, where that is but a warning: what it says is not known.
    unknown: bool,
}

impl<'a> Reader<'a> {
    /// A text, perhaps from a variable.
    fn text(&mut self, name: &'a str) -> Option<Spanned<String>> {
        let text = self.keys.deserialize::<Spanned<FromOutside>>(name, self.within.outside)?;
        if text.value.0.is_empty() && !self.within.outside.strict() {
            self.unknown = true;
            return None;
        }
        Some(Spanned { span: text.span, value: text.value.0 })
    }

    fn wrong(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem::error(codes::BAD_VALUE, message).with_help(help);
        self.keys.push(problem.at(self.keys.place_of(span)));
    }

    fn issuer(&mut self) -> Option<Spanned<Issuer>> {
        let text = self.text("issuer")?;
        let issuer = Issuer::parse(&text.value);
        if issuer.is_none() {
            self.unknown = true;
            let problem = Problem::error(codes::ISSUER, "this is no issuer").with_help(ISSUER_RULE);
            self.keys.push(problem.at(self.keys.place_of(text.span)));
        }
        issuer.map(|issuer| Spanned { span: text.span, value: issuer })
    }

    fn endpoint(&mut self, name: &'a str, called: &mut Vec<(Span, String)>) -> Option<String> {
        let url = self.text(name)?;
        if !is_endpoint(&url.value) {
            self.unknown = true;
            // RFC 6749, sections 3.1 and 3.2: credentials and tokens travel to it.
            let help = "an https URL without user and fragment (http for localhost, 127.0.0.1 and [::1] only); with `upstream` too it is \
                        the URL by which others know it";
            self.wrong(url.span, format!("`{name}` is no endpoint"), help);
            return None;
        }
        called.push((url.span, url.value.clone()));
        Some(url.value)
    }

    fn auth_method(&mut self) -> Option<Method> {
        let Some(word) = self.keys.text("auth_method") else { return Some(Method::ClientSecretBasic) };
        match Method::parse(word.value) {
            Some(method) if METHODS.contains(&method) => Some(method),
            Some(method) => {
                let instead = "use `client_secret_basic` or `client_secret_post`";
                let problem = not_yet(&format!("`{}` at a provider", method.as_str()), instead);
                self.keys.push(problem.at(self.keys.place_of(word.span)));
                None
            }
            None => {
                let near = did_you_mean(word.value, METHODS.iter().map(|method| method.as_str()));
                let help = near.map_or_else(
                    || METHODS.map(|method| format!("`{}`", method.as_str())).join(", "),
                    |near| format!("did you mean `{near}`?"),
                );
                self.wrong(word.span, format!("`{}` is no way to authenticate", word.value), help);
                None
            }
        }
    }

    fn client_secret(&mut self, method: Option<Method>) -> Option<Secret> {
        let span = self.keys.node("client_secret").map(|node| node.span);
        let secret = self.keys.deserialize::<Secret>("client_secret", self.within.outside);
        match (method, span) {
            (Some(Method::None), Some(span)) => {
                self.wrong(span, "a public client has no secret", "take it out, or take `auth_method = \"none\"` out");
            }
            (Some(Method::ClientSecretBasic | Method::ClientSecretPost), None) => {
                let problem = Problem::error(codes::MISSING_KEY, "`client_secret` is missing");
                let help = "client_secret = { env = \"NAME\" } or { file = \"PATH\" }; a public client says `auth_method = \"none\"`";
                self.keys.push(problem.with_help(help).at(self.keys.place()));
            }
            _ => {}
        }
        secret
    }

    fn scopes(&mut self) -> Scopes {
        let names = self.keys.texts("scopes").unwrap_or_default();
        let mut good = Vec::new();
        for name in names {
            match Scopes::of([Arc::from(name.value)]) {
                Some(_) => good.push(Arc::from(name.value)),
                None => {
                    let help =
                        "a scope is visible ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)";
                    self.wrong(name.span, format!("`{}` is no scope", name.value), help);
                }
            }
        }
        Scopes::of(good).unwrap_or_default()
    }

    fn seconds(&mut self, name: &'a str, default: u64, bounds: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(given) = self.keys.duration(name) else { return default };
        let seconds = given.value.0.as_secs();
        if !bounds.contains(&seconds) || given.value.0.subsec_nanos() > 0 {
            let help = format!("whole seconds, from {} to {}", bounds.start(), bounds.end());
            self.wrong(given.span, format!("`{name}` is out of its bounds"), help);
        }
        seconds
    }

    fn answer_limit(&mut self) -> usize {
        let span = self.keys.node("answer_limit").map(|node| node.span);
        let given = self.keys.deserialize::<ByteSize>("answer_limit", self.within.outside);
        let (Some(span), Some(ByteSize(size))) = (span, given) else { return 64 * 1024 };
        if !(1024..=1024 * 1024).contains(&size) {
            self.wrong(span, "`answer_limit` is out of its bounds", "from 1KiB to 1MiB");
        }
        size as usize
    }

    fn way(
        &mut self,
        urls: Vec<(Span, String)>,
        timeout: Duration,
        admin: SocketAddr,
        upstreams: &BTreeMap<String, Option<UpstreamSettings>>,
    ) -> Option<Way> {
        let ca = self.keys.node("ca").map(|node| node.span);
        let trusted = authorities(&mut self.keys, self.within);
        if let Some(name) = self.keys.text("upstream") {
            if let Some(span) = ca {
                self.wrong(
                    span,
                    "whom to trust is said by the upstream",
                    "take `ca` out, and write it into the upstream's `tls`",
                );
            }
            if upstreams.contains_key(name.value) {
                return Some(Way::Upstream(name.value.to_owned()));
            }
            let problem = Problem::error(codes::UNKNOWN_UPSTREAM, format!("there is no upstream `{}`", name.value));
            let help = match did_you_mean(name.value, upstreams.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare `[upstream.{}]` in node.toml", name.value),
            };
            self.keys.push(problem.with_help(help).at(self.keys.place_of(name.span)));
            return None;
        }
        let (first_span, first) = urls.first()?;
        if let Some((span, _)) = urls.iter().find(|(_, url)| origin(url) != origin(first)) {
            self.wrong(*span, "a provider's endpoints are at one host and port", BY_UPSTREAM);
            return None;
        }
        let reached = match url(origin(first)) {
            Ok(reached) => reached,
            Err(problem) => {
                self.keys.push(problem.at(self.keys.place_of(*first_span)));
                return None;
            }
        };
        if is_admin(&reached.host, reached.port, admin) {
            let help = format!("the admin address is {admin}: policies must not reach it on anybody's behalf");
            self.wrong(*first_span, "a provider may not be at the admin address", help);
            return None;
        }
        let tls = reached.tls.then(|| TlsSettings { authorities: trusted, ..TlsSettings::default() });
        match (&tls, ca) {
            (None, Some(span)) => self.wrong(span, "it is not reached over TLS", "take `ca` out, or write `https`"),
            (Some(tls), _) if self.within.outside.strict() || ca.is_some() => {
                if let Err(Wrong::Authorities(why) | Wrong::Identity(why)) = tls.config(HttpVersion::One) {
                    let help = "`ca` names a PEM file of certificate authorities; without it the machine's are trusted";
                    self.wrong(ca.unwrap_or(*first_span), why, help);
                }
            }
            _ => {}
        }
        let timeouts = Timeouts { connect: CONNECT.min(timeout), first_byte: timeout, idle: timeout, whole: None };
        let way = Spoken { tls, ..Spoken::default() };
        let to = UpstreamSettings::to(way, &reached.host, reached.port);
        // What is said to a provider is said once: what it did the first time is not undone by an error.
        let retries = Retries { attempts: 0, ..Retries::default() };
        Some(Way::Own(Box::new(UpstreamSettings { timeouts, retries, admin: Some(admin), ..to })))
    }
}
