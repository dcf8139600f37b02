//! `oauth.validate-token`: lets in who has a good access token (RFC 6750). In Oracle API Gateway: Validate Access
//! Token.
//!
//! The token must be known, neither expired nor revoked, its client enabled, and for one of the audiences that are
//! asked for. Scopes are `oauth.check-scope`'s. Before the request goes on, the credential is taken off, so that no
//! upstream can use it.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"
//! ```

use std::sync::Arc;

use http::HeaderValue;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::{self, Attempt, Missing, Place};
use ::oauth::{Error, ErrorCode};
use policy::attribute::Slot;
use policy::diagnostic::codes;
use policy::exchange::{HeaderEdit, RequestBody};
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Request};
use store::{AccessToken, Client};

use super::answers::RESOURCE;
use super::attributes::{CLIENT, SUBJECT, Subject, TOKEN};
use super::live::{Live, unix_seconds};
use super::realm::{NO_TOKEN, Realm};
use super::request::{access_token, authorization, one_content_type, without_access_token};
use super::server::Server;
use super::stop::{Stop, refuses, settle};

/// `use = "oauth.validate-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the token may stand: `header`, `form` (in the body, which is then read into memory), `query` (where logs
    /// and histories keep it; not with the profile `oauth-2.1`). Default: `["header"]`.
    #[schemars(extend("items" = { "type": "string", "enum": ["header", "form", "query"] }))]
    from: Option<Vec<Spanned<String>>>,
    /// The token must be for one of these; one that is for anybody does not do. Default: any.
    #[serde(default)]
    audience: Vec<String>,
    /// Whether the token stays on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
    /// The realm of the challenge. Default: `api`.
    realm: Option<String>,
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    clients: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.validate-token";
    const ROLE: Role = Role::Resource(&RESOURCE);
    type Filter = ValidateToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ValidateToken, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_TOKEN]);
        refuses(cx, &[ErrorCode::InvalidToken, ErrorCode::InvalidRequest]);
        let places = match &self.from {
            Some(from) => from.iter().map(|place| known(place, cx)).collect::<Result<_, _>>()?,
            None => vec![Place::Header],
        };
        if let Some(query) = self.from.iter().flatten().find(|place| place.value == "query") {
            let told = String::from("a token is taken from the query");
            Server::read(cx)?.refuse_lax(std::iter::once((query, told)), cx)?;
            let help = "logs, histories and `Referer` keep what stands in a URL: take it from the header";
            cx.lint(codes::CREDENTIALS_IN_QUERY, query.span, "a token is taken from the query", help);
        }
        if places.contains(&Place::Form) {
            cx.reads_request_body();
        }
        Ok(ValidateToken {
            places,
            audience: self.audience.clone(),
            spare: Vec::new(),
            keep_credential: self.keep_credential,
            realm: Realm::new(&self.realm),
            live: Live::build(&self.store, &self.clients, cx)?,
            token: cx.writes(&TOKEN),
            client: cx.writes(&CLIENT),
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct ValidateToken {
    places: Vec<Place>,
    audience: Vec<String>,
    /// None: what a mutant puts in the place of the audience.
    spare: Vec<String>,
    keep_credential: bool,
    realm: Realm,
    live: Live,
    token: Slot<AccessToken>,
    client: Slot<Client>,
    subject: Slot<Subject>,
}

impl Filter for ValidateToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.validate(exchange).await)
    }

    fn weaknesses(&self) -> Vec<String> {
        if self.audience.is_empty() { Vec::new() } else { vec![String::from("audience emptied")] }
    }

    fn weaken(&mut self, _: usize) {
        std::mem::swap(&mut self.audience, &mut self.spare);
    }
}

impl ValidateToken {
    async fn validate(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let now = unix_seconds(exchange);
        let (found, place) = self.find(&exchange.request, now).await?;
        let Some((token, client)) = found.filter(|(token, _)| self.is_for_us(token)) else {
            return Err(self
                .realm
                .refuse(Error::new(ErrorCode::InvalidToken, "The access token is unknown, expired or revoked"))
                .into());
        };
        if !self.keep_credential {
            take_off(&mut exchange.request, place);
        }
        if place == Place::Query {
            // RFC 6750, section 2.3: an answer to a URL with a token in it is nobody else's.
            exchange.edit_response_header(HeaderEdit::Append(CACHE_CONTROL, HeaderValue::from_static("private")));
        }
        exchange.set(self.subject, Subject::of(&token));
        exchange.set(self.token, token);
        exchange.set(self.client, client);
        Ok(Outcome::Success)
    }

    async fn find(&self, request: &Request, now: u64) -> Result<(Option<Good>, Place), Stop> {
        let in_query = access_token(request.query.as_deref().unwrap_or_default().as_bytes())
            .map_err(|error| self.realm.refuse(error))?;
        let in_form = self.in_form(request)?;
        let mut room = [&[][..]; 2];
        let attempt = Attempt {
            authorization: authorization(&request.headers, &mut room),
            form: in_form.as_deref(),
            query: in_query.as_deref(),
        };
        let (token, place) = bearer::find(attempt, &self.places).map_err(|missing| self.missing(missing))?;
        Ok((self.live.find(token, now).await?, place))
    }

    fn in_form(&self, request: &Request) -> Result<Option<String>, Reason> {
        if !self.places.contains(&Place::Form) {
            return Ok(None);
        }
        let content_type = one_content_type(request).map_err(|error| self.realm.refuse(error))?;
        match request.body_bytes() {
            Some(body) if bearer::form_counts(request.method.as_str(), content_type.as_deref()) => {
                access_token(body).map_err(|error| self.realm.refuse(error))
            }
            _ => Ok(None),
        }
    }

    fn is_for_us(&self, token: &AccessToken) -> bool {
        self.audience.is_empty() || token.audience.iter().any(|of| self.audience.contains(of))
    }

    fn missing(&self, missing: Missing) -> Reason {
        match missing {
            Missing::Refused(error) => self.realm.refuse(error),
            Missing::Absent => self.realm.absent("the request has no access token"),
        }
    }
}

/// A token that is good now, and its client.
type Good = (Arc<AccessToken>, Arc<Client>);

/// Takes the token off the request, from where it was found.
fn take_off(request: &mut Request, place: Place) {
    match place {
        Place::Header => {
            request.headers.remove(AUTHORIZATION);
        }
        Place::Query => {
            let rest = without_access_token(request.query.as_deref().unwrap_or_default().as_bytes());
            // Whole parameters were cut out of text at `&`: what is left is text.
            request.query = String::from_utf8(rest).ok().filter(|query| !query.is_empty());
        }
        Place::Form => {
            let rest = without_access_token(request.body_bytes().map_or(&[][..], |body| body));
            if request.headers.contains_key(CONTENT_LENGTH) {
                request.headers.insert(CONTENT_LENGTH, rest.len().into());
            }
            request.body = RequestBody::Buffered(rest.into());
        }
    }
}

fn known(place: &Spanned<String>, cx: &BuildContext<'_>) -> Result<Place, Diagnostics> {
    match place.value.as_str() {
        "header" => Ok(Place::Header),
        "form" => Ok(Place::Form),
        "query" => Ok(Place::Query),
        other => Err(cx
            .error(place.span, format!("`{other}` is no place for a token"), "use `header`, `form` or `query`")
            .into()),
    }
}
