//! Who gets tokens, keeps them and renews them.
//!
//! On this node one piece of work a holding, whoever waits for it; in the cluster one node at a time, by the claim of the store. A token
//! near its end is still used while another one is got behind the requests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;

use ::oauth::Secret;
use ::oauth::provider::answer::Tokens;
use ::oauth::provider::{Provider, request};
use policy::ports::{BoxFuture, Environment, PROVIDER, Reached};
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Exchange, Reason};
use store::ClientAccessTokens;
use store::client_access_tokens::{Claim, Claimed, Holding, HoldingKey, Lease};

use super::age::{Age, age};
use super::calls::{Calls, Found, Refused};
use super::{AUTHORIZATION_NEEDED, PROVIDER_MALFORMED, PROVIDER_REFUSES, PROVIDER_UNAVAILABLE};
use crate::StoreExt;
use crate::flights::Flights;
use crate::stop::Stop;

/// Seconds beyond a call in which a claim holds: discovery, and the source.
const BESIDE_THE_CALL: u64 = 10;
/// Seconds for which nothing is renewed behind requests after that failed: they have a token that is good.
const REST: u64 = 5;
/// Seconds after which a token that is refused may be a token that was good: one that is refused at once will be refused again.
const YOUNG: u64 = 10;
/// So many keys rest at a time; those that have rested are looked for then.
const RESTING: usize = 1_024;

/// How a token may be got where none is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// In the gateway's own name.
    ClientCredentials,
    /// Only with its user, who is sent to the provider.
    AuthorizationCode,
}

/// What is wanted.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Whose token, from where, for what.
    pub(crate) holding: Holding,
    /// How it may be got.
    pub(crate) grant: Grant,
    /// Seconds before its end in which it is renewed.
    pub(crate) renew_before: u64,
    /// Any but this one, which is no good.
    not: Option<Secret>,
}

/// Gets, keeps and renews the tokens of one provider.
pub(crate) struct Holder {
    /// The provider.
    pub(crate) calls: Calls,
    /// Where they are kept.
    pub(crate) store: Arc<ClientAccessTokens>,
    reached: Arc<Reached<Provider>>,
    kept: Arc<Kept>,
}

/// What all filters of a provider share.
#[derive(Default)]
struct Kept {
    /// By store, and holding.
    flights: Arc<Flights<(usize, HoldingKey), Result<Tokens, Stop>>>,
    found: Arc<Found>,
    /// Until when nothing is renewed behind requests, Unix seconds.
    rests: Mutex<HashMap<HoldingKey, u64>>,
}

impl Asked {
    /// A token for this holding.
    pub(crate) fn new(holding: Holding, grant: Grant, renew_before: u64) -> Self {
        Asked { holding, grant, renew_before, not: None }
    }

    /// Another token than this one.
    pub(crate) fn other_than(&self, access: &Secret) -> Asked {
        Asked { not: Some(access.clone()), ..self.clone() }
    }

    fn is_other(&self, tokens: &Tokens) -> bool {
        self.not.as_ref().is_none_or(|not| tokens.access != *not)
    }

    fn age(&self, tokens: &Tokens, now: u64) -> Age {
        if self.is_other(tokens) { age(tokens, now, self.renew_before) } else { Age::Over }
    }
}

impl Holder {
    /// For the provider of this name and the store of this one; what it can end in is stated.
    pub(crate) fn new(
        provider: &Spanned<String>,
        store: &Option<Spanned<String>>,
        cx: &mut BuildContext<'_>,
    ) -> Result<Arc<Holder>, Diagnostics> {
        let reached: Arc<Reached<Provider>> = cx.resource(PROVIDER, provider)?;
        cx.aborts(&[PROVIDER_UNAVAILABLE, PROVIDER_REFUSES]);
        cx.aborts_rarely(&[PROVIDER_MALFORMED]);
        let kept: Arc<Kept> = reached.learned();
        let store = cx.store(store)?;
        Ok(Arc::new(Holder { calls: Calls::new(reached.clone(), kept.found.clone()), store, reached, kept }))
    }

    /// A token that can be used now.
    pub(crate) async fn get(self: &Arc<Self>, asked: Asked, exchange: &Exchange) -> Result<Tokens, Stop> {
        let environment = exchange.environment();
        let now = seconds(environment);
        if let Some(tokens) = self.store.find(&asked.holding).await? {
            match asked.age(&tokens, now) {
                Age::Fresh => return Ok(tokens),
                Age::Ageing => {
                    if asked.grant == Grant::ClientCredentials || tokens.refresh.is_some() {
                        self.renew_behind(asked, exchange);
                    }
                    return Ok(tokens);
                }
                Age::Over => {}
            }
        }
        self.renew(asked, exchange).await
    }

    /// Gets the tokens for a code that a person has brought.
    pub(crate) async fn redeem(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
        holding: &Holding,
        now: u64,
    ) -> Result<Tokens, Stop> {
        let grant = request::Grant::Code { code, redirect_uri, verifier };
        self.calls.token(&grant, &holding.scopes, &holding.scopes, now).await.map_err(|refused| match refused {
            Refused::Broken(abort) => abort.into(),
            Refused::Grant => needed(holding).into(),
        })
    }

    /// Gets another one, or waits for whoever is at it.
    pub(crate) async fn renew(self: &Arc<Self>, asked: Asked, exchange: &Exchange) -> Result<Tokens, Stop> {
        let tokens = self.flight(&asked, exchange.environment(), Age::Ageing).await?;
        if asked.is_other(&tokens) {
            return Ok(tokens);
        }
        // What was under way began before this token was found to be no good.
        self.flight(&asked, exchange.environment(), Age::Ageing).await
    }

    /// Gets another one, and nobody waits for it.
    pub(crate) fn renew_behind(self: &Arc<Self>, asked: Asked, exchange: &Exchange) {
        let (key, now) = (asked.holding.key(), seconds(exchange.environment()));
        let mut rests = self.kept.rests.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.get(&key).is_some_and(|until| *until > now) {
            return;
        }
        if rests.len() >= RESTING {
            rests.retain(|_, until| *until > now);
        }
        rests.insert(key, now + REST);
        drop(rests);
        drop(self.flight(&asked, exchange.environment(), Age::Fresh));
    }

    /// Whether a token that was refused may have been good before: one that was got just now would be refused again, and so would the next.
    pub(super) fn may_be_refused(&self, tokens: &Tokens, exchange: &Exchange) -> bool {
        seconds(exchange.environment()) >= tokens.obtained_at.saturating_add(YOUNG)
    }

    /// The work for a holding: under way, or begun now. Where the store has one that is no older than `oldest` by then, that will do.
    fn flight(
        self: &Arc<Self>,
        asked: &Asked,
        environment: &Environment,
        oldest: Age,
    ) -> impl Future<Output = Result<Tokens, Stop>> + use<> {
        let work = || -> BoxFuture<'static, Result<Tokens, Stop>> {
            let (holder, asked, environment) = (self.clone(), asked.clone(), environment.clone());
            async move { holder.claimed(&asked, &environment, oldest).await }.boxed()
        };
        let store = Arc::as_ptr(&self.store).addr();
        self.kept.flights.join((store, asked.holding.key()), &*self.reached.background, work)
    }

    /// Claims the holding and gets a token; where another node is at it, waits for that.
    async fn claimed(&self, asked: &Asked, environment: &Environment, oldest: Age) -> Result<Tokens, Stop> {
        let holds = (self.calls.provider().timeout + BESIDE_THE_CALL) * 1_000;
        // A node that died while it was at it leaves its claim for so long.
        let patience = environment.clock.unix_millis() + 2 * holds;
        loop {
            let now = environment.clock.unix_millis();
            let lease = Lease { id: id(environment), until: now + holds };
            let good = |tokens: &Tokens| match asked.age(tokens, now / 1_000) {
                Age::Fresh => true,
                Age::Ageing => oldest == Age::Ageing,
                Age::Over => false,
            };
            match self.store.claim(&asked.holding, lease, now, good).await? {
                Claim::There(tokens) => return Ok(tokens),
                Claim::Mine(claimed) => return self.fetch(&claimed, asked, environment).await,
                Claim::Others(_) if now >= patience => {
                    return Err(self.calls.unavailable("others are getting a token from it, for too long").into());
                }
                Claim::Others(waiting) => {
                    self.store.changed(&waiting, std::time::Duration::from_millis(holds)).await?;
                }
            }
        }
    }

    async fn fetch(&self, claimed: &Claimed, asked: &Asked, environment: &Environment) -> Result<Tokens, Stop> {
        match self.ask(claimed.tokens.as_ref(), asked, seconds(environment)).await {
            Ok(tokens) => {
                // Where the claim had run out, somebody else keeps what they got; this one is good all the same.
                self.store.finish(claimed, &tokens).await?;
                Ok(tokens)
            }
            Err(stop) => {
                let old = claimed.tokens.as_ref();
                let now = seconds(environment);
                let keep = match &stop {
                    Stop::Broken(_) => old.cloned(),
                    // Its refresh token is no good, or there is none: of no further use, where the access token is over as well.
                    Stop::Refused(_) => old.filter(|old| asked.age(old, now) != Age::Over).map(|old| Tokens {
                        refresh: None,
                        refresh_until: None,
                        ..old.clone()
                    }),
                };
                self.store.give_up(claimed, keep.as_ref()).await?;
                Err(stop)
            }
        }
    }

    /// By refresh token where there is one, else as the gateway itself, where that may be.
    async fn ask(&self, old: Option<&Tokens>, asked: &Asked, now: u64) -> Result<Tokens, Stop> {
        let scopes = &asked.holding.scopes;
        let refresh = old.filter(|old| old.refresh_until.is_some_and(|until| until > now));
        if let Some((old, refresh)) = refresh.and_then(|old| Some((old, old.refresh.as_ref()?))) {
            match self.calls.token(&request::Grant::Refresh(refresh), scopes, &old.granted, now).await {
                Ok(new) if new.refresh.is_some() => return Ok(new),
                // RFC 6749, section 6: the one that was used stays good.
                Ok(new) => {
                    return Ok(Tokens { refresh: old.refresh.clone(), refresh_until: old.refresh_until, ..new });
                }
                Err(Refused::Broken(abort)) => return Err(abort.into()),
                Err(Refused::Grant) => {}
            }
        }
        if asked.grant == Grant::AuthorizationCode {
            return Err(needed(&asked.holding).into());
        }
        match self.calls.token(&request::Grant::ClientCredentials, scopes, scopes, now).await {
            Ok(tokens) => Ok(tokens),
            Err(Refused::Broken(abort)) => Err(abort.into()),
            Err(Refused::Grant) => Err(self.calls.malformed("`invalid_grant` where no grant was sent").into()),
        }
    }
}

/// There is no token for this user.
pub(crate) fn needed(holding: &Holding) -> Reason {
    let message = format!("no token of provider `{}` is held for this user: they have to go there", holding.provider);
    Reason::new(AUTHORIZATION_NEEDED, message).with_absent()
}

fn seconds(environment: &Environment) -> u64 {
    environment.clock.unix_millis() / 1_000
}

/// What tells a claim from others.
fn id(environment: &Environment) -> String {
    let mut bytes = [0; 16];
    environment.random.fill(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
