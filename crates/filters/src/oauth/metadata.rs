//! `oauth.metadata`: tells clients where the endpoints are and what they offer (RFC 8414, OpenID Connect Discovery). Derived from the policies
//! that are loaded, so that it never lies; the issuer comes from `policies/oauth/server.toml`.
//!
//! It answers only at the issuer's own paths: for `https://login.example.com/tenant` these are
//! `/.well-known/oauth-authorization-server/tenant`, `/tenant/.well-known/openid-configuration` and, as RFC 8414 would have it,
//! `/.well-known/openid-configuration/tenant`. The document is the same.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.metadata"
//! ```

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::Issuer;
use ::oauth::metadata::Metadata as Document;
use ::oauth::openid;
use policy::engine::Program;
use policy::filter::{Answers, Role};
use policy::outcome::NOT_FOUND;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Response, Value};

use super::answers::ENDPOINT;
use super::authenticate_client::{AUTH_ALGORITHM, AUTH_METHOD};
use super::check_login::ACR;
use super::client_credentials::GRANT_TYPE;
use super::id_token::ID_TOKEN_ALGORITHM;
use super::server::Server;

/// The fact that a policy is an endpoint: `token_endpoint`, as the document names it.
pub(super) const ENDPOINT_FACT: &str = "endpoint";

/// The endpoints where clients authenticate (RFC 8414, section 2).
const CLIENTS_AUTHENTICATE: [&str; 3] = ["token_endpoint", "introspection_endpoint", "revocation_endpoint"];

/// `use = "oauth.metadata"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.metadata";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = Metadata;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Metadata, Diagnostics> {
        cx.answers(Answers::Always);
        cx.fails(&[NOT_FOUND]);
        let server = Server::read(cx)?;
        let issuer = server.issuer(cx)?;
        let [after, before] = issuer.openid_paths();
        Ok(Metadata {
            paths: [issuer.metadata_path(), after, before],
            issuer,
            scopes: server.scopes(),
            document: OnceLock::new(),
        })
    }
}

/// The compiled filter. It lives as long as its generation, and so does the document.
pub(crate) struct Metadata {
    issuer: Issuer,
    paths: [String; 3],
    scopes: Vec<String>,
    document: OnceLock<Bytes>,
}

impl Filter for Metadata {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        if !self.paths.contains(&exchange.request.path) {
            let reason = Reason::new(NOT_FOUND, "this is not the path of the issuer's metadata")
                .with_status(StatusCode::NOT_FOUND);
            return Ok(Outcome::Failure(reason));
        }
        let document =
            self.document.get_or_init(|| write(&self.issuer, &self.scopes, &Facts::of(exchange.program()))).clone();
        let mut response = Response::new(StatusCode::OK)
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .with_header(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        response.body = document.into();
        exchange.answer(response)
    }
}

/// What the loaded policies say of themselves: policy, its routes' paths, the fact.
struct Facts<'a> {
    endpoints: Vec<(&'a str, &'a [String], &'a str)>,
    methods: Vec<(&'a str, &'a [String], &'a str)>,
    algorithms: Vec<(&'a str, &'a [String], &'a str)>,
    grants: Vec<(&'a str, &'a [String], &'a str)>,
    id_tokens: Vec<(&'a str, &'a [String], &'a str)>,
    /// Classes of log-ins.
    classes: Vec<(&'a str, &'a [String], &'a str)>,
}

impl<'a> Facts<'a> {
    fn of(program: &'a Program) -> Facts<'a> {
        let named = |name| {
            let text =
                |(policy, paths, value): (&'a str, &'a [String], &'a Value)| Some((policy, paths, value.as_text()?));
            program.facts(name).into_iter().filter_map(text).collect()
        };
        Facts {
            endpoints: named(ENDPOINT_FACT),
            methods: named(AUTH_METHOD),
            algorithms: named(AUTH_ALGORITHM),
            grants: named(GRANT_TYPE),
            id_tokens: named(ID_TOKEN_ALGORITHM),
            classes: named(ACR),
        }
    }
}

/// What of a kind a policy says; where it says nothing itself, what policies say that are only called.
fn of_policy<'a>(facts: &[(&str, &[String], &'a str)], policy: &str) -> Vec<&'a str> {
    let own: Vec<_> = facts.iter().filter(|(of, ..)| *of == policy).map(|(.., value)| *value).collect();
    if !own.is_empty() {
        return own;
    }
    facts.iter().filter(|(_, paths, _)| paths.is_empty()).map(|(.., value)| *value).collect()
}

fn write(issuer: &Issuer, scopes: &[String], facts: &Facts<'_>) -> Bytes {
    let mut document = Document::new(issuer);
    document.list("scopes_supported", scopes.iter().map(String::as_str));
    for (policy, paths, name) in &facts.endpoints {
        // A URL in the document is one that a client can call as it stands.
        let Some(path) = paths.iter().find(|path| !path.contains(['{', '*'])) else { continue };
        if document.has(name) {
            continue;
        }
        document.endpoint(issuer, name, path);
        if CLIENTS_AUTHENTICATE.contains(name) {
            document.list(&format!("{name}_auth_methods_supported"), of_policy(&facts.methods, policy));
            document.list(&format!("{name}_auth_signing_alg_values_supported"), of_policy(&facts.algorithms, policy));
        }
    }
    if document.has("authorization_endpoint") {
        document.list("response_types_supported", ["code"]);
        document.list("response_modes_supported", ["query"]);
        document.list("code_challenge_methods_supported", ["S256"]);
        document.list("prompt_values_supported", ["none", "login", "consent", "select_account"]);
        // RFC 9207, section 3.
        document.flag("authorization_response_iss_parameter_supported", true);
        // OpenID Connect Discovery, section 3: left out, it would be true.
        document.flag("request_uri_parameter_supported", false);
    }
    if document.has("token_endpoint") {
        document.list("grant_types_supported", facts.grants.iter().map(|(.., grant)| *grant));
    }
    if !facts.id_tokens.is_empty() {
        document
            .list("id_token_signing_alg_values_supported", facts.id_tokens.iter().map(|(.., algorithm)| *algorithm));
        document.list("subject_types_supported", ["public"]);
        document.list("claims_supported", openid::claims_supported(!facts.classes.is_empty()));
        document.list("acr_values_supported", facts.classes.iter().map(|(.., class)| *class));
        if document.has("authorization_endpoint") {
            // OpenID Connect Discovery, section 3: left out, it would be false.
            document.flag("claims_parameter_supported", true);
        }
    }
    serde_json::to_vec(&document).expect("the document is an object with text for names").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| path.to_string()).collect()
    }

    fn written(facts: &Facts<'_>) -> Json {
        let issuer = Issuer::parse("https://login.example.com/tenant").expect("issuer");
        serde_json::from_slice(&write(&issuer, &["orders:read".to_owned()], facts)).expect("json")
    }

    /// D37: what no loaded policy offers is not there. D38: where assertions are taken, so are their algorithms.
    #[test]
    fn rfc8414_2_only_what_is_loaded() {
        let (token, introspect, revoke) =
            (paths(&["/api/oauth/token"]), paths(&["/x/{id}", "/introspect"]), paths(&["/revoke/{id}"]));
        let jwks = paths(&["/keys"]);
        let facts = Facts {
            endpoints: vec![
                ("oauth/introspect", &introspect, "introspection_endpoint"),
                ("oauth/revoke", &revoke, "revocation_endpoint"),
                ("oauth/token", &token, "token_endpoint"),
                ("oauth/jwks", &jwks, "jwks_uri"),
            ],
            methods: vec![
                ("common/client", &[], "client_secret_post"),
                ("oauth/token", &token, "client_secret_post"),
                ("oauth/token", &token, "client_secret_basic"),
                ("oauth/token", &token, "private_key_jwt"),
            ],
            algorithms: vec![("oauth/token", &token, "RS256"), ("oauth/token", &token, "ES256")],
            grants: vec![("oauth/token", &token, "client_credentials")],
            id_tokens: vec![],
            classes: vec![],
        };
        assert_eq!(
            written(&facts),
            json!({
                "issuer": "https://login.example.com/tenant",
                "scopes_supported": ["orders:read"],
                "token_endpoint": "https://login.example.com/api/oauth/token",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
                "grant_types_supported": ["client_credentials"],
                "jwks_uri": "https://login.example.com/keys",
                "introspection_endpoint": "https://login.example.com/introspect",
                "introspection_endpoint_auth_methods_supported": ["client_secret_post"],
            })
        );
        let nothing = Facts {
            endpoints: vec![],
            methods: vec![],
            algorithms: vec![],
            grants: facts.grants.clone(),
            id_tokens: vec![],
            classes: vec![],
        };
        assert_eq!(
            written(&nothing),
            json!({ "issuer": "https://login.example.com/tenant", "scopes_supported": ["orders:read"] })
        );
    }
}
