//! `policies/oauth/server.toml`: what is the authorization server's as a whole, the same on all nodes. All of it may be
//! left out.
//!
//! ```toml
//! issuer = "https://login.example.com"
//!
//! [maximum_lifetime]
//! access_token = "24h"
//!
//! [scopes]
//! "orders:read" = "Read your orders"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::metadata::ISSUER_RULE;
use ::oauth::{Issuer, Scopes};
use policy::compile::Shared;
use policy::diagnostic::{Place, Problem, Span, codes};
use policy::lint::AllowTable;
use policy::settings::{Duration, FromOutside, Spanned};
use policy::{BuildContext, Diagnostics};

use crate::entries::Entries;

/// The file, below `policies/`.
pub const FILE: &str = "oauth/server.toml";

/// The issuer of nobody (RFC 2606, section 2).
const STAND_IN: &str = "https://issuer.invalid";

/// The settings in it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Who this authorization server is (RFC 8414): an https URL without query and fragment; http on loopback only.
    /// Default: the URL of the listener, where the node has one only and that is on loopback.
    issuer: Option<Spanned<FromOutside>>,
    /// A set of stricter rules. There is only `default` yet.
    #[schemars(extend("enum" = ["default"]))]
    profile: Option<Spanned<String>>,
    /// Upper bounds of lifetimes, whatever a policy says.
    #[serde(default)]
    maximum_lifetime: MaximumLifetime,
    /// The scopes there are, each with what it permits, for people. They are published (`scopes_supported`), and `check` tells of a
    /// policy that asks for another one, and of one that no policy asks for. Default: not declared, so nothing is compared.
    #[serde(default)]
    scopes: Entries<Spanned<String>>,
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
        if let Some(profile) = self.profile.as_ref().filter(|profile| profile.value != "default") {
            let problem = Problem::error(codes::NOT_YET, format!("the profile `{}` is not there yet", profile.value));
            problems.push(problem.with_help("leave `profile` out").at(place(profile.span)));
        }
        for scope in self.scopes().filter(|scope| Scopes::of([Arc::from(scope.value.as_str())]).is_none()) {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no scope", scope.value));
            let help = "a scope is visible ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)";
            problems.push(problem.with_help(help).at(place(scope.span)));
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
