//! `audit`: notes who did what, in the audit log of policies: `var/audit-policies.log`, one line of JSON a record, and in the node's log,
//! target `audit`. In Oracle API Gateway: Log Message to audit, Set Service Context.
//!
//! The request goes on once its record is on the disk. Where it cannot be written the filter ends in the fault `audit-unavailable` (503):
//! what must be noted does not happen unnoted. `on_abort = "continue"` says otherwise. Secrets are kept out as by `log`.
//!
//! ```toml
//! [[filter]]
//! use    = "audit"
//! action = "order placed"
//! of     = "orders/${request.path}"
//! fields = { total = "${request.json:$.total ??}" }
//! ```

use std::sync::Arc;

use http::StatusCode;
use policy::ports::{AuditRecord, Observer};
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Slot, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::told::{self, Fields};
use crate::entries::Entries;
use crate::oauth::{CLIENT, SUBJECT, Subject};

/// The record cannot be written.
const UNAVAILABLE: ReasonCode = ReasonCode::new("audit-unavailable");

/// Who it was where nobody said who they are.
const NOBODY: &str = "anonymous";

/// `use = "audit"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What was done: `"order placed"`.
    action: Dynamic<String>,
    /// To what: `"orders/${path.id}"`. Default: it is not said.
    of: Option<Dynamic<String>>,
    /// Who did it. Default: `subject.id`, else `client.id`, else `anonymous`.
    who: Option<Dynamic<String>>,
    /// What belongs to it: name and value, which keeps its type. A value that is absent on purpose (`${x ??}`) is left out.
    #[serde(default)]
    fields: Entries<Dynamic<Value>>,
    /// JSONPaths of what is not to be told in values of `fields`.
    #[serde(default)]
    redact: Vec<Spanned<String>>,
    /// More names whose values are not to be told, in any case of their letters.
    #[serde(default)]
    secret: Vec<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "audit";
    type Filter = Audit;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Audit, Diagnostics> {
        cx.shapes_nothing();
        cx.aborts_rarely(&[UNAVAILABLE]);
        Ok(Audit {
            action: cx.dynamic(&self.action)?,
            of: self.of.as_ref().map(|of| cx.dynamic(of)).transpose()?,
            who: self.who.as_ref().map(|who| cx.dynamic(who)).transpose()?,
            subject: cx.reads_if_set(&SUBJECT),
            client: cx.reads_if_set(&CLIENT),
            fields: Fields::new(&self.fields, (&self.secret, &self.redact), cx)?,
            observer: told::observer(cx)?,
            place: told::place(cx),
        })
    }
}

/// The compiled filter.
pub(crate) struct Audit {
    action: Getter<String>,
    of: Option<Getter<String>>,
    who: Option<Getter<String>>,
    subject: Slot<Subject>,
    client: Slot<store::Client>,
    fields: Fields,
    observer: Arc<dyn Observer>,
    place: Arc<str>,
}

impl Filter for Audit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let record = match self.record(exchange) {
            Ok(record) => record,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        match self.observer.audit(record).await {
            Ok(()) => Ok(Outcome::Success),
            Err(why) => Err(Abort::new(UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE, why)),
        }
    }
}

impl Audit {
    fn record(&self, exchange: &Exchange) -> Result<AuditRecord, Reason> {
        let client = exchange.get(self.client).map(|client| client.client_id.to_string());
        let who = match &self.who {
            Some(who) => told::text(who, exchange)?,
            None => match exchange.get(self.subject) {
                Some(subject) => subject.id.to_string(),
                None => client.clone().unwrap_or_else(|| String::from(NOBODY)),
            },
        };
        Ok(AuditRecord {
            at: exchange.environment().clock.unix_millis(),
            id: exchange.request.id.clone(),
            place: self.place.clone(),
            who,
            client,
            action: told::text(&self.action, exchange)?,
            of: self.of.as_ref().map(|of| told::text(of, exchange)).transpose()?,
            fields: self.fields.object(exchange)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, recorded, told};

    const RESPOND: &str = "\n\n[[filter]]\nuse = 'respond'";

    #[test]
    fn a_record_says_who_did_what() {
        let text = "[[filter]]\nuse = 'audit'\naction = 'looked'\nof = 'things${request.path}'\nfields = { token = 'x', n = 1 }";
        let (fixture, recorder) = recorded(&format!("{text}{RESPOND}"));
        assert_eq!(told(&fixture.run(get("/7", &[]))), "200");
        let [record] = &recorder.records()[..] else { panic!("one record") };
        assert_eq!(
            (record.who.as_str(), record.action.as_str(), record.of.as_deref()),
            ("anonymous", "looked", Some("things/7"))
        );
        assert_eq!(serde_json::json!(record.fields), serde_json::json!({ "token": "[redacted]", "n": 1 }));
        let (fixture, recorder) =
            recorded(&format!("[[filter]]\nuse = 'audit'\naction = 'a'\nwho = '${{request.query.who}}'{RESPOND}"));
        assert_eq!(told(&fixture.run(get("/?who=ann", &[]))), "200");
        assert_eq!(recorder.records()[0].who, "ann");
        assert_eq!(told(&fixture.run(get("/", &[]))), "400 missing-value");
    }

    #[test]
    fn what_cannot_be_noted_does_not_happen() {
        let (fixture, recorder) = recorded(&format!("[[filter]]\nuse = 'audit'\naction = 'a'{RESPOND}"));
        recorder.break_down();
        assert_eq!(told(&fixture.run(get("/", &[]))), "503 audit-unavailable");
    }
}
