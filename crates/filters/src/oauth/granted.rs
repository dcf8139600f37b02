//! `oauth.granted`: the page on which a user sees which applications may do what, and takes it back: the consent is forgotten, and every grant
//! of that application for that user is revoked with its tokens. In Oracle API Gateway: the page of authorized applications.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.open-form"
//!
//! [[filter]]
//! use = "auth.session"
//!
//! [[filter]]
//! use = "oauth.granted"
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use ::oauth::ClientId;
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};
use store::seal::Sealer;
use store::{AccessTokens, Clients, Consents};

use super::answers::AUTHORIZATION;
use super::attributes::{SUBJECT, Subject, VISIT, Visit};
use super::live::unix_seconds;
use super::pages::{self, Page};
use super::resume::{self, Step};
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;

/// Grants that are read in one step.
const PAGE: usize = 200;

/// `use = "oauth.granted"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A template of your own, relative to the configuration folder. Default: the page that ships.
    template: Option<Spanned<String>>,
    /// The store of the kind `consents`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `access-token`, in which grants are revoked. Default: the one of that name.
    tokens: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    clients: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.granted";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = GrantedPage;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<GrantedPage, Diagnostics> {
        cx.reads_request_body();
        cx.answers(Answers::Always);
        Ok(GrantedPage {
            page: Page::build("granted.html", &self.template, cx)?,
            descriptions: Server::read(cx)?.descriptions(),
            consents: cx.store(&self.store)?,
            tokens: cx.store(&self.tokens)?,
            clients: cx.store(&self.clients)?,
            sealer: cx.sealer()?,
            visit: cx.reads(&VISIT),
            subject: cx.reads(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct GrantedPage {
    page: Page,
    descriptions: Vec<(String, String)>,
    consents: Arc<Consents>,
    tokens: Arc<AccessTokens>,
    clients: Arc<Clients>,
    sealer: Arc<Sealer>,
    visit: Slot<Visit>,
    subject: Slot<Subject>,
}

/// An application as the page shows it.
#[derive(Serialize)]
struct Application {
    id: String,
    name: String,
    scopes: Vec<String>,
}

impl Filter for GrantedPage {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.show(exchange).await)
    }
}

impl GrantedPage {
    async fn show(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let visit = exchange.needs_shared(self.visit)?;
        let subject = exchange.needs_shared(self.subject)?;
        let now = unix_seconds(exchange);
        let mut withdrawn = None;
        let chosen = exchange.request.form().ok().and_then(|form| form.get("withdraw")).map(ClientId::new);
        if let (Some(Step::Withdraw(of)), Some(client)) = (&visit.form, chosen)
            && **of == *subject.id
        {
            self.withdraw(&client, &subject.id, now).await?;
            withdrawn = Some(self.name(&client).await?);
        }
        let applications = self.applications(&subject.id, now).await?;
        let step = Step::Withdraw(subject.id.to_string());
        let resume = resume::seal(exchange, &self.sealer, Vec::new(), now, step, now)?;
        let values = json!({
            "action": exchange.request.path,
            "resume": resume,
            "subject": &*subject.id,
            "applications": applications,
            "withdrawn": withdrawn,
        });
        let page = self.page.show(StatusCode::OK, values, None)?;
        Ok(exchange.answer(page)?)
    }

    /// The consent goes first: a grant that begins meanwhile has asked anew.
    async fn withdraw(&self, client: &ClientId, subject: &str, now: u64) -> Result<(), Stop> {
        self.consents.withdraw(client, subject).await?;
        let mut after = None;
        loop {
            let (page, last) = self.tokens.grants_page(subject, after.as_ref(), PAGE, now).await?;
            for (id, _) in page.iter().filter(|(_, grant)| grant.client_id == *client) {
                self.tokens.revoke_grant(id, now).await?;
            }
            match last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// What was agreed to, and what was granted without being asked.
    async fn applications(&self, subject: &str, now: u64) -> Result<Vec<Application>, Stop> {
        let mut scopes: BTreeMap<ClientId, Vec<Arc<str>>> = BTreeMap::new();
        let mut add = |client: ClientId, granted: &::oauth::Scopes| {
            let known = scopes.entry(client).or_default();
            known.extend(granted.iter().filter(|scope| !known.contains(scope)).cloned().collect::<Vec<_>>());
        };
        for consent in self.consents.of_subject(subject, PAGE).await? {
            add(consent.client_id, &consent.scope);
        }
        for (_, grant) in self.tokens.grants_page(subject, None, PAGE, now).await?.0 {
            add(grant.client_id, &grant.scope);
        }
        let mut applications = Vec::with_capacity(scopes.len());
        for (client, scopes) in scopes {
            let described = |scope: &Arc<str>| pages::permits(&self.descriptions, scope).to_owned();
            let name = self.name(&client).await?;
            applications.push(Application {
                id: client.to_string(),
                name,
                scopes: scopes.iter().map(described).collect(),
            });
        }
        Ok(applications)
    }

    async fn name(&self, client: &ClientId) -> Result<String, Stop> {
        let known = self.clients.get(client).await?;
        Ok(known.and_then(|client| client.client_name.clone()).unwrap_or_else(|| client.to_string()))
    }
}
