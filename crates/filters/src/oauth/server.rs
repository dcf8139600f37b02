//! `policies/oauth/server.toml`: what is the authorization server's as a whole, the same on all nodes. All of it may be
//! left out.
//!
//! ```toml
//! issuer = "https://login.example.com"
//!
//! [maximum_lifetime]
//! access_token = "24h"
//!
//! [keys]
//! algorithms = ["ES256"]
//! rotate     = "30d"
//!
//! [lockout]
//! tries = 5
//!
//! [scopes]
//! "orders:read" = "Read your orders"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::jose::Algorithm;
use ::oauth::keys_uri::KeysUri;
use ::oauth::metadata::ISSUER_RULE;
use ::oauth::{Issuer, Scopes};
use policy::compile::Shared;
use policy::diagnostic::{Place, Problem, Span, codes};
use policy::lint::AllowTable;
use policy::settings::{Duration, FromOutside, Spanned};
use policy::{BuildContext, Diagnostics};
use store::signing_keys::schedule::Schedule;
use store::users::Lockout;

use super::registration::RegistrationSettings;
use crate::entries::Entries;

/// The file, below `policies/`.
pub const FILE: &str = "oauth/server.toml";

/// How long a key signs, and how long it is published before, seconds.
const ROTATE: u64 = 30 * 86_400;
const PUBLISH: u64 = 86_400;
/// The bounds of `[lockout]`: NIST SP 800-63B, section 5.2.2, has no more than 100 tries.
const MOST_TRIES: u32 = 100;
const DAY: u64 = 86_400;

/// The issuer of nobody (RFC 2606, section 2).
const STAND_IN: &str = "https://issuer.invalid";

/// The profile that refuses what OAuth 2.1 has no more (D96).
const OAUTH_2_1: &str = "oauth-2.1";

const PROFILES: [&str; 2] = ["default", OAUTH_2_1];

/// The settings in it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Who this authorization server is (RFC 8414): an https URL without query and fragment; http on loopback only.
    /// Default: the URL of the listener, where the node has one only and that is on loopback.
    issuer: Option<Spanned<FromOutside>>,
    /// `oauth-2.1`: what OAuth 2.1 has no more is an error in whatever policy it stands: `without_pkce` of `oauth.authorize`, `query` in
    /// `from` of `oauth.validate-token`. All else of it holds with `default` too, which is the default.
    #[schemars(extend("enum" = ["default", "oauth-2.1"]))]
    profile: Option<Spanned<String>>,
    /// Upper bounds of lifetimes, whatever a policy says.
    #[serde(default)]
    maximum_lifetime: MaximumLifetime,
    /// The keys that sign tokens.
    #[serde(default)]
    keys: KeysSettings,
    /// When wrong passwords of users lock a name.
    #[serde(default)]
    lockout: LockoutSettings,
    /// The scopes there are, each with what it permits, for people. They are published (`scopes_supported`), and `check` tells of a
    /// policy that asks for another one, and of one that no policy asks for. Default: not declared, so nothing is compared.
    #[serde(default)]
    scopes: Entries<Spanned<String>>,
    /// From where the keys of clients are fetched that have a `jwks_uri`: the origin of that, such as `https://keys.example.com`, and the
    /// upstream through which it is reached. Nothing is fetched from anywhere else. Default: nothing is fetched.
    #[serde(default)]
    client_keys: Entries<Spanned<String>>,
    /// What clients that register themselves may have, where that is open (`oauth/register`).
    registration: Option<RegistrationSettings>,
    /// Lints that are silent in this file, each with the reason.
    #[expect(dead_code, reason = "the engine reads it; here it is for the schema")]
    allow: Option<AllowTable>,
}

/// `[maximum_lifetime]`
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaximumLifetime {
    /// Of access tokens. Default: none.
    access_token: Option<Duration>,
    /// Of refresh tokens, from the grant on. Default: none.
    refresh_token: Option<Duration>,
    /// Of authorization codes, at most `10m` in any case. Default: `10m`.
    code: Option<Duration>,
}

/// `[keys]`
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysSettings {
    /// The algorithms there are keys for: `ES256`, `EdDSA` (Ed25519), `RS256` (2048 bits). Tokens are signed by the first one, unless a
    /// policy names another one of them. Default: `["ES256"]`.
    #[schemars(extend("items" = { "type": "string", "enum": ["ES256", "EdDSA", "RS256"] }))]
    algorithms: Option<Spanned<Vec<Spanned<String>>>>,
    /// How long a key signs before the next one does. Default: `30d`.
    rotate: Option<Spanned<Duration>>,
    /// How long a key is published before it signs: longer than anybody keeps the key set without reading it anew. Default: `1d`.
    publish: Option<Spanned<Duration>>,
}

/// `[lockout]`: after so many wrong passwords nobody gets in under a name for a while, on any node (`auth.password`, `auth.basic`).
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockoutSettings {
    /// Wrong passwords after which nobody gets in: 1 to 100. Default: 10.
    #[schemars(range(min = 1, max = 100))]
    tries: Option<Spanned<u32>>,
    /// For how long a wrong password counts, from the first one on: a second to a day. Default: `15m`.
    within: Option<Spanned<Duration>>,
    /// For how long nobody gets in: a second to a day. Default: `15m`.
    lasts: Option<Spanned<Duration>>,
}

impl LockoutSettings {
    /// What is wrong, and where.
    fn problems(&self) -> Vec<(Span, Problem)> {
        let mut problems = Vec::new();
        let mut wrong = |span, message: &str, help: &str| {
            problems.push((span, Problem::error(codes::BAD_VALUE, message).with_help(help)));
        };
        if let Some(tries) = self.tries.as_ref().filter(|tries| !(1..=MOST_TRIES).contains(&tries.value)) {
            wrong(tries.span, "so many tries lock nobody out in time, or everybody at once", "from 1 to 100");
        }
        let times = [&self.within, &self.lasts].into_iter().flatten();
        for time in times.filter(|time| !(1..=DAY).contains(&time.value.0.as_secs())) {
            wrong(time.span, "that is no time to lock a name for", "a second to a day: `15m`");
        }
        problems
    }

    fn lockout(&self) -> Lockout {
        let seconds =
            |time: &Option<Spanned<Duration>>, default| time.as_ref().map_or(default, |time| time.value.0.as_secs());
        Lockout {
            tries: self.tries.as_ref().map_or(Lockout::DEFAULT.tries, |tries| tries.value),
            within: seconds(&self.within, Lockout::DEFAULT.within),
            lasts: seconds(&self.lasts, Lockout::DEFAULT.lasts),
        }
    }
}

impl KeysSettings {
    /// What is wrong, and where.
    fn problems(&self) -> Vec<(Span, Problem)> {
        let mut problems = Vec::new();
        let mut wrong = |span, message: String, help: &str| {
            problems.push((span, Problem::error(codes::BAD_VALUE, message).with_help(help)));
        };
        if let Some(algorithms) = &self.algorithms {
            if algorithms.value.is_empty() {
                wrong(algorithms.span, "no algorithm is left to sign with".into(), "leave it out for `[\"ES256\"]`");
            }
            for (index, name) in algorithms.value.iter().enumerate() {
                if algorithm(&name.value).is_none() {
                    let message = format!("tokens are not signed with `{}`", name.value);
                    wrong(name.span, message, "use `ES256`, `EdDSA` or `RS256`");
                }
                if algorithms.value[..index].iter().any(|before| before.value == name.value) {
                    wrong(name.span, format!("`{}` stands here twice", name.value), "name each algorithm once");
                }
            }
        }
        let Schedule { rotate, publish, .. } = self.schedule();
        if publish == 0 || publish >= rotate {
            let span =
                self.publish.as_ref().or(self.rotate.as_ref()).map_or_else(Span::default, |setting| setting.span);
            let message = "a key is published for as long as it signs, or not at all before".to_owned();
            wrong(span, message, "`publish` is shorter than `rotate`, and a second at least");
        }
        problems
    }

    fn schedule(&self) -> Schedule {
        let seconds = |setting: &Option<Spanned<Duration>>, default| {
            setting.as_ref().map_or(default, |setting| setting.value.0.as_secs())
        };
        let named = |listed: &Spanned<Vec<Spanned<String>>>| {
            listed.value.iter().filter_map(|name| algorithm(&name.value)).collect()
        };
        Schedule {
            algorithms: self.algorithms.as_ref().map_or_else(|| vec![Algorithm::Es256], named),
            rotate: seconds(&self.rotate, ROTATE),
            publish: seconds(&self.publish, PUBLISH),
        }
    }
}

/// An algorithm that we sign with.
fn algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::parse(name).filter(|algorithm| Algorithm::SIGNING.contains(algorithm))
}

impl ServerSettings {
    /// The names of the scopes that are declared, each with its place.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.scopes.0.iter().map(|(name, _)| name)
    }

    /// All that is wrong in it. Where something `lacks` the variable that it names and that is but a warning, it is not wrong too.
    fn problems(&self, lacks: impl Fn(Span) -> bool, place: impl Fn(Span) -> Place) -> Diagnostics {
        let mut problems = Diagnostics::new();
        if let Some(issuer) = &self.issuer
            && Issuer::parse(&issuer.value.0).is_none()
            && !lacks(issuer.span)
        {
            problems.push(no_issuer().at(place(issuer.span)));
        }
        if let Some(profile) = self.profile.as_ref().filter(|profile| !PROFILES.contains(&profile.value.as_str())) {
            let problem = Problem::error(codes::BAD_VALUE, format!("there is no profile `{}`", profile.value));
            problems.push(problem.with_help("use `oauth-2.1`, or leave `profile` out").at(place(profile.span)));
        }
        for (span, problem) in self.keys.problems().into_iter().chain(self.lockout.problems()) {
            problems.push(problem.at(place(span)));
        }
        for scope in self.scopes().filter(|scope| Scopes::of([Arc::from(scope.value.as_str())]).is_none()) {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no scope", scope.value));
            let help = "a scope is visible ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)";
            problems.push(problem.with_help(help).at(place(scope.span)));
        }
        for (origin, _) in &self.client_keys.0 {
            if !KeysUri::is_origin(&origin.value) {
                let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no origin of keys", origin.value));
                let help = "scheme, host and perhaps port, in small letters, and no path: `https://keys.example.com`";
                problems.push(problem.with_help(help).at(place(origin.span)));
            }
        }
        if let Some(registration) = &self.registration {
            problems.extend(registration.problems(&place));
        }
        problems
    }
}

/// What is wrong in the file, whether or not a filter reads it.
pub(crate) fn check(shared: &Shared<'_>) -> Diagnostics {
    match shared.settings_file::<ServerSettings>(FILE) {
        Err(problems) => problems,
        Ok(None) => Diagnostics::new(),
        Ok(Some(settings)) => {
            let place = |span| shared.settings_place(FILE, span).expect("a file that was read is there");
            settings.problems(|span| shared.settings_lack(FILE, span), place)
        }
    }
}

/// The settings, checked.
pub(crate) struct Server(Arc<ServerSettings>);

impl Server {
    /// Reads the file; what is wrong in it is told at its place there.
    pub(super) fn read(cx: &mut BuildContext<'_>) -> Result<Server, Diagnostics> {
        let settings = cx.settings_file::<ServerSettings>(FILE)?.unwrap_or_default();
        let problems = settings.problems(|span| cx.settings_lack(FILE, span), |span| in_file(span, cx));
        if problems.is_empty() { Ok(Server(settings)) } else { Err(problems) }
    }

    /// The scopes that are declared.
    pub(super) fn scopes(&self) -> Vec<String> {
        self.0.scopes().map(|scope| scope.value.clone()).collect()
    }

    /// What the declared scopes permit, by scope.
    pub(super) fn descriptions(&self) -> Vec<(String, String)> {
        self.0.scopes.0.iter().map(|(name, permits)| (name.value.clone(), permits.value.clone())).collect()
    }

    /// Which keys there are to be, and when they change.
    pub(super) fn keys(&self) -> Schedule {
        self.0.keys.schedule()
    }

    /// From where keys of clients are fetched: the origin, the upstream, and where that is named.
    pub(super) fn client_keys(&self, cx: &BuildContext<'_>) -> Vec<(String, String, Place)> {
        let entries = self.0.client_keys.0.iter();
        entries.map(|(origin, way)| (origin.value.clone(), way.value.clone(), in_file(way.span, cx))).collect()
    }

    /// The origins from which keys of clients are fetched.
    pub(super) fn key_origins(&self) -> Vec<String> {
        self.0.client_keys.0.iter().map(|(origin, _)| origin.value.clone()).collect()
    }

    /// What clients that register themselves may have.
    pub(super) fn registration(&self) -> Option<&RegistrationSettings> {
        self.0.registration.as_ref()
    }

    /// Refuses a lifetime of access tokens beyond the maximum.
    pub(super) fn bound(&self, lifetime: &Spanned<Duration>, cx: &BuildContext<'_>) -> Result<(), Diagnostics> {
        bound(lifetime, self.0.maximum_lifetime.access_token, "access_token", cx)
    }

    /// The same of refresh tokens.
    pub(super) fn bound_refresh(&self, lifetime: &Spanned<Duration>, cx: &BuildContext<'_>) -> Result<(), Diagnostics> {
        bound(lifetime, self.0.maximum_lifetime.refresh_token, "refresh_token", cx)
    }

    /// The same of authorization codes.
    pub(super) fn bound_code(&self, lifetime: &Spanned<Duration>, cx: &BuildContext<'_>) -> Result<(), Diagnostics> {
        bound(lifetime, self.0.maximum_lifetime.code, "code", cx)
    }

    /// What is wrong with settings that OAuth 2.1 has no more, each where it stands with what it would let pass: nothing, without
    /// that profile.
    pub(super) fn refuse_lax<'a>(
        &self,
        lax: impl Iterator<Item = (&'a Spanned<String>, String)>,
        cx: &BuildContext<'_>,
    ) -> Result<(), Diagnostics> {
        if self.0.profile.as_ref().is_none_or(|profile| profile.value != OAUTH_2_1) {
            return Ok(());
        }
        let help = format!("take it out; or take `profile = \"{OAUTH_2_1}\"` out of `policies/{FILE}`");
        let refused = |(setting, what): (&Spanned<String>, String)| {
            cx.error(setting.span, format!("{what}, which OAuth 2.1 does not have"), &help)
        };
        let refused: Diagnostics = lax.map(refused).collect();
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// The issuer: that of the file, else that of a node with one loopback listener. Never the `Host` of a request.
    pub(super) fn issuer(&self, cx: &BuildContext<'_>) -> Result<Issuer, Diagnostics> {
        if let Some(text) = &self.0.issuer {
            let given = if cx.settings_lack(FILE, text.span) { STAND_IN } else { &text.value.0 };
            return Issuer::parse(given).ok_or_else(|| no_issuer().at(in_file(text.span, cx)).into());
        }
        cx.node().default_issuer.as_deref().and_then(Issuer::parse).ok_or_else(|| {
            let help = format!(
                "write `issuer = \"https://...\"` into `policies/{FILE}`, the same on all nodes: the URL under which \
                 clients reach them"
            );
            let problem = Problem::error(codes::ISSUER, "the authorization server has no issuer");
            problem.with_help(help).at(cx.own_place()).into()
        })
    }
}

/// When wrong passwords lock a name.
pub(crate) fn lockout(cx: &mut BuildContext<'_>) -> Result<Lockout, Diagnostics> {
    Ok(Server::read(cx)?.0.lockout.lockout())
}

fn bound(
    lifetime: &Spanned<Duration>,
    maximum: Option<Duration>,
    name: &str,
    cx: &BuildContext<'_>,
) -> Result<(), Diagnostics> {
    match maximum {
        Some(maximum) if lifetime.value > maximum => {
            let message = format!("the lifetime is beyond the maximum of {maximum}");
            let help = format!("shorten it, or raise `maximum_lifetime.{name}` in `policies/{FILE}`");
            Err(cx.error(lifetime.span, message, help).into())
        }
        _ => Ok(()),
    }
}

fn no_issuer() -> Problem {
    Problem::error(codes::ISSUER, "this is no issuer").with_help(ISSUER_RULE)
}

/// A place in the file; that of the filter where it cannot be told.
fn in_file(span: Span, cx: &BuildContext<'_>) -> Place {
    cx.settings_place(FILE, span).unwrap_or_else(|| cx.own_place())
}
