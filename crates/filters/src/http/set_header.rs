//! `set-header`: sets headers of the request that goes to the upstream, or of the answer. In Oracle API Gateway: Add HTTP
//! Header.
//!
//! A request header that a policy sets is the gateway's word alone: what a client sends under that name is dropped before
//! the policy runs, whether or not this filter is reached. (Not so for the fields that are a client's to say, such as
//! `Accept`, `Authorization` and `Content-Type`: those stay until this filter replaces them.)
//!
//! ```toml
//! [[filter]]
//! use = "set-header"
//! set = { x-tenant = "${request.query.tenant ?? none}", x-gateway = "portcullis" }
//!
//! [[filter]]
//! use = "set-header"
//! of  = "response"
//! set = { cache-control = "private" }
//! add = { vary = "authorization" }
//! ```

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::diagnostic::{Problem, codes};
use policy::exchange::{HeaderEdit, remove_alike};
use policy::filter::INJECTED_HEADER;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome, Value};

use super::fields::{self, FieldValue, Side};
use crate::entries::Entries;

/// Request headers whose value is a secret.
const CREDENTIALS: &[&str] = &["authorization", "x-api-key"];

/// `use = "set-header"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Which message: `request` (default) or `response`. Headers of a response that is not there yet are set on whatever
    /// answer there will be, refusals included.
    #[serde(default)]
    of: Side,
    /// Name and value; replaces all values that are there. A value that is absent on purpose (`${x ??}`) leaves the header out.
    #[serde(default)]
    set: Entries<Dynamic<String>>,
    /// Name and value; added to the values that are there, the client's included.
    #[serde(default)]
    add: Entries<Dynamic<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "set-header";
    type Filter = SetHeader;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SetHeader, Diagnostics> {
        if self.of == Side::Response {
            cx.edits_headers();
        }
        if self.set.0.is_empty() && self.add.0.is_empty() {
            let help = "write `set = { x-name = \"value\" }`, or `add` to keep the values that are there";
            return Err(cx.error(cx.own_place().span, "`set-header` sets nothing", help).into());
        }
        let mut problems = Diagnostics::new();
        let mut fields = Vec::new();
        for (replaces, table) in [(true, &self.set), (false, &self.add)] {
            for (written, value) in &table.0 {
                match field(self.of, written, value, cx) {
                    Ok((name, value)) => fields.push(Field { name, value, replaces }),
                    Err(more) => problems.extend(more),
                }
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let replaced = fields.iter().filter(|field| field.replaces && self.of == Side::Request);
        let names = replaced.map(|field| field.name.clone());
        let (replaced, injected): (Vec<_>, Vec<_>) = names.partition(fields::is_the_clients);
        for name in injected {
            cx.publish(INJECTED_HEADER, Value::text(name.as_str()));
        }
        Ok(SetHeader { of: self.of, fields, replaced })
    }
}

fn field(
    side: Side,
    written: &Spanned<String>,
    value: &Dynamic<String>,
    cx: &mut BuildContext<'_>,
) -> Result<(HeaderName, FieldValue), Diagnostics> {
    let name = fields::name(written, side, cx)?;
    let has_selector = cx.file().text.get(value.span().start..value.span().end).is_some_and(|text| text.contains("${"));
    if side == Side::Request && CREDENTIALS.contains(&name.as_str()) && !has_selector {
        let help = "put it outside the files: `[values] upstream_key = { env = \"UPSTREAM_KEY\" }` in `node.toml`, and `${values.upstream_key}` here";
        let problem = Problem::error(codes::CLEAR_SECRET, "a credential stands here in clear text").with_help(help);
        return Err(problem.at(cx.place(value.span())).into());
    }
    Ok((name, FieldValue::compile(value, cx)?))
}

struct Field {
    name: HeaderName,
    value: FieldValue,
    replaces: bool,
}

/// The compiled filter.
pub(crate) struct SetHeader {
    of: Side,
    fields: Vec<Field>,
    /// Those that are a client's to say, and replaced: what the client said goes in every spelling. All others went before the
    /// policy ran.
    replaced: Vec<HeaderName>,
}

impl Filter for SetHeader {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        // All values first: a filter that fails has set nothing.
        let mut edits = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            match field.value.get(exchange) {
                Ok(Some(value)) if field.replaces => edits.push(HeaderEdit::Set(field.name.clone(), value)),
                Ok(Some(value)) => edits.push(HeaderEdit::Append(field.name.clone(), value)),
                Ok(None) if field.replaces => edits.push(HeaderEdit::Remove(field.name.clone())),
                Ok(None) => {}
                Err(reason) => return Ok(Outcome::Failure(reason)),
            }
        }
        match self.of {
            Side::Response => edits.into_iter().for_each(|edit| exchange.edit_response_header(edit)),
            Side::Request => {
                let headers = &mut exchange.request.headers;
                remove_alike(headers, &self.replaced);
                edits.into_iter().for_each(|edit| edit.apply(headers));
            }
        }
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{get, policy, sent, told};

    const PROXY: &str = "\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n";

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'set-header'\n{settings}\n{PROXY}"))
    }

    #[test]
    fn what_a_policy_sets_is_the_gateways_word_alone() {
        let forged = [("x-user", "admin"), ("X-User", "root"), ("connection", "x-user"), ("x-other", "1")];
        let seen = sent(&tested("set = { X-User = 'ann ${request.method}' }").run(get("/x", &forged)));
        assert_eq!(seen["headers"]["x-user"], json!("ann GET"));
        assert_eq!(seen["headers"]["x-other"], json!("1"));
    }

    #[test]
    fn a_forgery_is_dropped_where_the_filter_is_not_reached() {
        let text = "when = 'request.path == \"/elsewhere\"'\nset = { x-user = 'ann' }";
        let seen = sent(&tested(text).run(get("/x", &[("x-user", "admin"), ("x_user", "admin")])));
        assert_eq!((&seen["headers"]["x-user"], &seen["headers"]["x_user"]), (&json!(null), &json!(null)));
    }

    #[test]
    fn a_field_that_is_replaced_does_not_stay_in_another_spelling() {
        let seen =
            sent(&tested("set = { content-type = 'text/plain', if-match = '${request.query.none ??}' }").run(get(
                "/x",
                &[
                    ("content-type", "a"),
                    ("content_type", "b"),
                    ("if-match", "c"),
                    ("if_match", "d"),
                    ("if_range", "e"),
                ],
            )));
        let headers = &seen["headers"];
        assert_eq!((&headers["content-type"], &headers["content_type"]), (&json!("text/plain"), &json!(null)));
        assert_eq!((&headers["if-match"], &headers["if_match"]), (&json!(null), &json!(null)));
        assert_eq!(headers["if_range"], json!("e"));
    }

    /// A policy that says `x_user` means the field that upstreams take for `x-user`.
    #[test]
    fn a_forgery_is_the_same_in_both_directions() {
        let seen =
            sent(&tested("set = { x_user = 'ann' }").run(get("/x", &[("x-user", "admin"), ("x_user", "admin")])));
        assert_eq!((&seen["headers"]["x-user"], &seen["headers"]["x_user"]), (&json!(null), &json!("ann")));
    }

    #[test]
    fn what_is_a_clients_to_say_stays_until_it_is_replaced() {
        let text = "when = 'request.path == \"/elsewhere\"'\nset = { accept = 'text/plain' }";
        let seen = sent(&tested(text).run(get("/x", &[("accept", "application/json")])));
        assert_eq!(seen["headers"]["accept"], json!("application/json"));
    }

    #[test]
    fn add_keeps_what_is_there() {
        let seen = sent(&tested("add = { x-tag = 'b' }").run(get("/x", &[("x-tag", "a")])));
        assert_eq!(seen["headers"]["x-tag"], json!("a, b"));
    }

    #[test]
    fn headers_of_an_answer_that_is_yet_to_come_reach_it_and_refusals_too() {
        let tested = policy(
            "[[filter]]\nuse = 'set-header'\nof = 'response'\nset = { cache-control = 'private' }\nadd = { vary = 'accept' }\n\n[[filter]]\nuse = 'fail'",
        );
        let ran = tested.run(get("/x", &[]));
        assert_eq!((ran.status, ran.header("cache-control"), ran.header("vary")), (403, "private", "accept"));
    }

    #[test]
    fn a_filter_that_fails_has_set_nothing() {
        let text = "set = { x-a = '1', x-b = '${request.query.no}' }\non_failure = 'continue'";
        let seen = sent(&tested(text).run(get("/x", &[])));
        assert_eq!(seen["headers"]["x-a"], json!(null));
    }

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        let ran = tested("set = { x-a = '${request.query.a}' }").run(get("/x?a=1%0ax-admin:%20yes", &[]));
        assert_eq!(told(&ran), "400 bad-header-value");
    }

    #[test]
    fn what_is_not_a_policys_to_write_is_refused_at_load() {
        for name in [
            "connection",
            "Content-Length",
            "content_length",
            "transfer-encoding",
            "te",
            "host",
            "Proxy-Authorization",
            "proxy-authenticate",
            "HTTP2-Settings",
            "x-forwarded-for",
            "x_real-ip",
            "x-request-id",
        ] {
            let problems = tested(&format!("set = {{ {name} = 'a' }}")).problems();
            assert!(
                problems.len() == 1 && problems[0].contains("is not for a policy to write"),
                "{name}: {problems:#?}"
            );
        }
        assert!(tested("").problems()[0].contains("`set-header` sets nothing"));
    }

    #[test]
    fn a_credential_in_clear_text_is_refused_at_load() {
        let problems = tested("set = { authorization = 'Basic eDp5' }").problems();
        assert!(problems.len() == 1 && problems[0].contains("error[P0005]"), "{problems:#?}");
        assert_eq!(tested("set = { authorization = 'Bearer ${request.query.t}' }").problems(), Vec::<String>::new());
    }
}
