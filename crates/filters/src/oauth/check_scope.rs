//! `oauth.check-scope`: grants, or refuses, by scope. At an OAuth endpoint it decides which scopes a token will have
//! (`invalid_scope`, RFC 6749, section 3.3); on a protected resource it decides whether the token's scopes do
//! (`insufficient_scope`, RFC 6750, section 3.1). In Oracle API Gateway: the scope settings of the token filters, and
//! of Validate Access Token.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"
//!
//! [[filter]]
//! use     = "oauth.check-scope"
//! by      = "${request.method}"
//! asked   = { GET = ["orders:read"], POST = ["orders:write"] }
//! allowed = "${token.scopes}"
//! ```

use std::sync::Arc;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::Challenge;
use ::oauth::scope::{Match, grant, suffices};
use ::oauth::{Error, ErrorCode, Scopes};
use policy::attribute::Slot;
use policy::filter::Effects;
use policy::settings::{Literal, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Value};

use super::attributes::{GRANT, Grant, Granted, SCOPES};
use super::stop::{Stop, refused, refuses, settle};

/// `use = "oauth.check-scope"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The scopes that are asked for: a list, text with spaces, or a selector. With `by`, a table of them. Where none
    /// is asked at an endpoint, the grant's default scopes are granted.
    asked: Spanned<Literal>,
    /// What picks the entry of the table `asked`. A value without an entry is refused; `HEAD` without one uses that of
    /// `GET`.
    by: Option<Dynamic<Arc<str>>>,
    /// `all`: every scope asked must be allowed. `any`: one is enough, and only what is allowed is granted. Default:
    /// `all`.
    #[schemars(extend("enum" = ["all", "any"]))]
    r#match: Option<Spanned<String>>,
    /// The scopes that may be had: `${grant.scopes}` at an endpoint, `${token.scopes}` on a protected resource.
    allowed: Dynamic<Value>,
}

/// The fact that these scopes are asked for; one for each of them. Where what is asked is computed, its value is no text.
const ASKED_SCOPE: &str = "asked-scope";

/// The scopes that a filter asks for by name.
pub(super) fn asked_scopes(effects: &Effects) -> impl Iterator<Item = &str> {
    facts(effects).filter_map(|value| value.as_text())
}

/// Whether a filter computes what it asks of a token.
pub(super) fn asks_anything(effects: &Effects) -> bool {
    facts(effects).any(|value| value.as_text().is_none())
}

fn facts(effects: &Effects) -> impl Iterator<Item = &Value> {
    effects.facts.iter().filter(|(name, _)| *name == ASKED_SCOPE).map(|(_, value)| value)
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.check-scope";
    type Filter = CheckScope;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<CheckScope, Diagnostics> {
        cx.authorizes();
        let asked = match &self.by {
            Some(by) => Question::Table(cx.dynamic(by)?, table(&self.asked, cx)?),
            None => Question::One(Asked::compile(&self.asked, cx)?),
        };
        asked.publish(cx);
        refuses(cx, &[ErrorCode::InvalidScope, ErrorCode::InsufficientScope]);
        Ok(CheckScope {
            asked,
            rule: rule(&self.r#match, cx)?,
            allowed: cx.dynamic(&self.allowed)?,
            grant: cx.reads_if_set(&GRANT),
            scopes: cx.writes(&SCOPES),
            spare: Asked::Fixed(Arc::new(Granted { asked: Scopes::NONE, granted: Scopes::NONE })),
        })
    }
}

/// The compiled filter.
pub(crate) struct CheckScope {
    asked: Question,
    rule: Match,
    allowed: Getter<Value>,
    grant: Slot<Grant>,
    scopes: Slot<Granted>,
    /// Nothing asked: what a mutant puts in the place of a list of the table.
    spare: Asked,
}

enum Question {
    One(Asked),
    Table(Getter<Arc<str>>, Vec<(Arc<str>, Asked)>),
}

impl Question {
    /// Tells lints what is asked.
    fn publish(&self, cx: &mut BuildContext<'_>) {
        let all: Vec<&Asked> = match self {
            Question::One(asked) => vec![asked],
            Question::Table(_, table) => table.iter().map(|(_, asked)| asked).collect(),
        };
        for asked in all {
            match asked {
                Asked::Fixed(fixed) => {
                    fixed.asked.iter().for_each(|scope| cx.publish(ASKED_SCOPE, Value::Text(scope.clone())))
                }
                Asked::Computed(_) => cx.publish(ASKED_SCOPE, Value::Bool(true)),
            }
        }
    }
}

/// Scopes known when the policy is loaded, in the form in which they are granted, or those of the request.
enum Asked {
    Fixed(Arc<Granted>),
    Computed(Getter<Value>),
}

impl Filter for CheckScope {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.check(exchange))
    }

    fn weaknesses(&self) -> Vec<String> {
        match &self.asked {
            Question::Table(_, table) => table.iter().map(|(name, _)| format!("asked {name} emptied")).collect(),
            // Nothing asked of a token is the same as without the filter.
            Question::One(_) => Vec::new(),
        }
    }

    fn weaken(&mut self, weakness: usize) {
        if let Question::Table(_, table) = &mut self.asked
            && let Some((_, asked)) = table.get_mut(weakness)
        {
            std::mem::swap(asked, &mut self.spare);
        }
    }
}

impl CheckScope {
    fn check(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let granted = match exchange.get(self.grant) {
            Some(of) => self.grant(of, exchange)?,
            None => self.require(exchange)?,
        };
        exchange.set(self.scopes, granted);
        Ok(Outcome::Success)
    }

    /// At an endpoint: what a token will have.
    fn grant(&self, of: &Grant, exchange: &Exchange) -> Result<Arc<Granted>, Stop> {
        let asked = match self.asked(exchange)? {
            Some(Asked::Fixed(fixed)) => fixed.asked.clone(),
            Some(Asked::Computed(getter)) => asked_now(getter, exchange)?,
            None => return Err(Error::new(ErrorCode::InvalidScope, "Nothing may be asked for here").into()),
        };
        let granted = grant(&asked, Some(&of.default_scopes), &self.allowed(exchange)?, self.rule)?;
        Ok(Arc::new(Granted { asked, granted }))
    }

    /// On a protected resource: whether the token's scopes do.
    fn require(&self, exchange: &Exchange) -> Result<Arc<Granted>, Stop> {
        let needed = match self.asked(exchange)? {
            Some(Asked::Fixed(fixed)) => fixed.clone(),
            Some(Asked::Computed(getter)) => {
                let asked = asked_now(getter, exchange)?;
                // A list that is written empty is meant; one that turns out empty lets nobody in.
                if asked.is_empty() {
                    return Err(insufficient(None));
                }
                Arc::new(Granted { granted: asked.clone(), asked })
            }
            None => return Err(insufficient(None)),
        };
        let allowed = self.allowed(exchange)?;
        if !suffices(&allowed, &needed.asked, self.rule) {
            return Err(insufficient(Some(&needed.asked)));
        }
        Ok(match self.rule {
            Match::All => needed,
            Match::Any => Arc::new(Granted { asked: needed.asked.clone(), granted: needed.asked.common(&allowed) }),
        })
    }

    /// What is asked; `None` where the table has no entry.
    fn asked(&self, exchange: &Exchange) -> Result<Option<&Asked>, Stop> {
        let (by, table) = match &self.asked {
            Question::One(asked) => return Ok(Some(asked)),
            Question::Table(by, table) => (by.get(exchange)?, table),
        };
        let entry = |name: &str| table.iter().find(|(of, _)| &**of == name).map(|(_, asked)| asked);
        Ok(entry(&by).or_else(|| entry("GET").filter(|_| &*by == "HEAD")))
    }

    fn allowed(&self, exchange: &Exchange) -> Result<Scopes, Stop> {
        let allowed = self.allowed.get_optional(exchange)?;
        Ok(allowed.and_then(|value| scopes(&value)).unwrap_or_default())
    }
}

impl Asked {
    fn compile(literal: &Spanned<Literal>, cx: &mut BuildContext<'_>) -> Result<Asked, Diagnostics> {
        let getter = cx.dynamic(&Dynamic::<Value>::new(literal.clone()))?;
        let Some(constant) = getter.constant() else {
            return Ok(Asked::Computed(getter));
        };
        let Some(asked) = scopes(constant) else {
            let help = "write a list of scopes, each without spaces, quotes and backslashes; a table needs `by`";
            return Err(cx.error(literal.span, "these are no scopes", help).into());
        };
        Ok(Asked::Fixed(Arc::new(Granted { granted: asked.clone(), asked })))
    }
}

fn table(literal: &Spanned<Literal>, cx: &mut BuildContext<'_>) -> Result<Vec<(Arc<str>, Asked)>, Diagnostics> {
    let Literal::Table(entries) = &literal.value else {
        let help = "write a table: `asked = { GET = [\"orders:read\"], POST = [\"orders:write\"] }`, or leave `by` out";
        return Err(cx.error(literal.span, "with `by`, `asked` is a table", help).into());
    };
    entries.iter().map(|(name, _, asked)| Ok((Arc::from(name.as_str()), Asked::compile(asked, cx)?))).collect()
}

fn rule(setting: &Option<Spanned<String>>, cx: &BuildContext<'_>) -> Result<Match, Diagnostics> {
    let Some(setting) = setting else { return Ok(Match::All) };
    match setting.value.as_str() {
        "all" => Ok(Match::All),
        "any" => Ok(Match::Any),
        other => Err(cx.error(setting.span, format!("`{other}` is no way to match"), "use `all` or `any`").into()),
    }
}

/// What this request asks for; characters that no scope has are `invalid_scope`.
fn asked_now(getter: &Getter<Value>, exchange: &Exchange) -> Result<Scopes, Stop> {
    let Some(value) = getter.get_optional(exchange)? else { return Ok(Scopes::NONE) };
    scopes(&value)
        .ok_or_else(|| Error::new(ErrorCode::InvalidScope, "A scope has a character that is not allowed").into())
}

fn scopes(value: &Value) -> Option<Scopes> {
    match value {
        Value::Text(text) => Scopes::parse(text),
        Value::List(items) => {
            let names = items.iter().filter_map(|item| match item {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            });
            Scopes::of(names).filter(|_| items.iter().all(|item| matches!(item, Value::Text(_))))
        }
        _ => None,
    }
}

fn insufficient(needed: Option<&Scopes>) -> Stop {
    let error = Error::new(ErrorCode::InsufficientScope, "The access token does not have the scope that this needs");
    let challenge = Challenge { realm: None, error: Some(&error), scope: needed }.to_string();
    let mut reason = refused(error);
    reason.challenges.extend(HeaderValue::from_str(&challenge).ok());
    reason.into()
}
