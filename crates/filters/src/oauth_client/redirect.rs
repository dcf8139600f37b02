//! `oauth-client.redirect`: sends the browser to the provider, where its user allows the gateway to act for them, or logs in (RFC 6749,
//! section 4.1.1; PKCE by RFC 7636). They come back to `redirect_uri`, where a policy with `oauth-client.callback` stands. In Oracle API
//! Gateway: Redirect Resource Owner to Authorization Server.
//!
//! What tells this journey from others is in a cookie of this browser, sealed, for ten minutes: the callback may be answered by another node.
//! With the scope `openid` the provider also says who the user is.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"
//!
//! [[filter]]
//! use          = "oauth-client.redirect"
//! provider     = "partner"
//! for          = "${subject.id}"
//! redirect_uri = "https://gateway.example.com/partner/callback"
//! return_to    = "/orders"
//! ```

use std::sync::Arc;

use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::provider::authorization::{OURS, Request, url};
use policy::exchange::HeaderEdit;
use policy::filter::Answers;
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, Response,
};

use super::journey::{Journey, clear_forgotten, is_local};
use super::target::Target;
use crate::entries::Entries;
use crate::oauth::Away;
use crate::stop::{Stop, settle};

/// `use = "oauth-client.redirect"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The provider: `[provider.NAME]` in `node.toml`.
    provider: Spanned<String>,
    /// What is asked for: a list, or text with spaces. Default: the provider's `scopes`.
    scopes: Option<Dynamic<Vec<Arc<str>>>>,
    /// The user whose token it is to be: `"${subject.id}"`. Default: nobody's yet; the callback says whose.
    r#for: Option<Dynamic<String>>,
    /// Where the provider sends them back to: the URL, as it is registered there, of a policy with `oauth-client.callback`.
    redirect_uri: Dynamic<String>,
    /// Where they are to go after that: a path here, for `${journey.return_to}`. Default: after `oauth.authorize` or `oauth.open-form`, back to
    /// where they were, and the provider is asked for the log-in that the request asks for (`prompt=login`, `max_age`); else none.
    return_to: Option<Dynamic<String>>,
    /// More parameters of the request: `{ prompt = "login" }`. One whose value is absent (`${x ??}`) is left out.
    #[serde(default)]
    parameters: Entries<Dynamic<String>>,
    /// The store of the kind `client-access-token`, whose keys seal the journey. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth-client.redirect";
    type Filter = Redirect;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Redirect, Diagnostics> {
        for (name, _) in &self.parameters.0 {
            if OURS.contains(&name.value.as_str()) {
                let help = "leave it out: this filter writes it";
                return Err(cx.error(name.span, format!("`{}` is not for a policy to say", name.value), help).into());
            }
        }
        cx.answers(Answers::Always);
        cx.fails_rarely(&[policy::outcome::BAD_REQUEST]);
        Ok(Redirect {
            target: Target::compile(&self.provider, &self.scopes, &self.r#for, &self.store, cx)?,
            redirect_uri: cx.dynamic(&self.redirect_uri)?,
            return_to: self.return_to.as_ref().map(|path| cx.dynamic(path)).transpose()?,
            parameters: self
                .parameters
                .0
                .iter()
                .map(|(name, value)| Ok((name.value.clone(), cx.dynamic(value)?)))
                .collect::<Result<_, Diagnostics>>()?,
            away: Away::build(cx)?,
        })
    }
}

/// The compiled filter.
pub(crate) struct Redirect {
    target: Target,
    redirect_uri: Getter<String>,
    return_to: Option<Getter<String>>,
    parameters: Vec<(String, Getter<String>)>,
    away: Away,
}

impl Filter for Redirect {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.response(exchange).await {
            Ok(response) => exchange.answer(response),
            Err(stop) => settle(Err(stop)),
        }
    }
}

impl Redirect {
    async fn response(&self, exchange: &mut Exchange) -> Result<Response, Stop> {
        let holding = self.target.holding(exchange)?;
        let holder = &self.target.holder;
        let mut journey = Journey::new(exchange, holding.scopes, self.redirect_uri.get(exchange)?);
        journey.subject = holding.subject;
        let mut more = self.parameters(exchange)?;
        journey.return_to = self.return_to(exchange)?;
        if self.return_to.is_none()
            && let Some(leaving) = self.away.leave(exchange)?
        {
            journey.return_to = Some(leaving.return_to);
            // What the policy says stands over what the visit asks.
            let said: Vec<String> = more.iter().map(|(name, _)| name.clone()).collect();
            more.extend(leaving.parameters.into_iter().filter(|(name, _)| !said.contains(name)));
        }
        journey.asks_age = more.iter().any(|(name, _)| name == "max_age");
        let endpoints = holder.calls.endpoints(exchange.now()).await?;
        let endpoint = endpoints.authorization;
        let endpoint = endpoint.ok_or_else(|| holder.calls.malformed("it has no `authorization_endpoint`"))?;
        let request = Request {
            redirect_uri: &journey.redirect_uri,
            scopes: &journey.scopes,
            state: &journey.state,
            verifier: &journey.verifier(),
            nonce: journey.nonce.as_deref(),
            more: &more,
        };
        let location = url(holder.calls.provider(), &endpoint, &request);
        let location = HeaderValue::from_str(&location)
            .map_err(|_| holder.calls.malformed("its `authorization_endpoint` is no URL"))?;
        let cookie = journey.set(&holder.calls.provider().name, &holder.store)?;
        for forgotten in clear_forgotten(&exchange.request) {
            exchange.edit_response_header(HeaderEdit::Append(SET_COOKIE, forgotten));
        }
        Ok(Response::new(StatusCode::SEE_OTHER)
            .with_header(LOCATION, location)
            .with_header(SET_COOKIE, cookie)
            .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store")))
    }

    fn parameters(&self, exchange: &Exchange) -> Result<Vec<(String, String)>, Reason> {
        let value = |(name, value): &(String, Getter<String>)| {
            Ok(value.get_optional(exchange)?.map(|value| (name.clone(), value)))
        };
        self.parameters.iter().filter_map(|parameter| value(parameter).transpose()).collect()
    }

    fn return_to(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        let path = self.return_to.as_ref().map(|path| path.get_optional(exchange)).transpose()?.flatten();
        match path {
            Some(path) if !is_local(&path) => Err(Reason::bad_request("`return_to` is no path of this host")),
            path => Ok(path),
        }
    }
}
