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

use policy::exchange::HeaderEdit;
use policy::filter::INJECTED_HEADER;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome, Value};

use super::fields::{self, FieldValue, Side};
use super::forward;
use crate::entries::Entries;

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
        if self.set.0.is_empty() && self.add.0.is_empty() {
            let help = "write `set = { x-name = \"value\" }`, or `add` to keep the values that are there";
            return Err(cx.error(cx.own_place().span, "`set-header` sets nothing", help).into());
        }
        let mut problems = Diagnostics::new();
        let mut fields = Vec::new();
        for (replaces, table) in [(true, &self.set), (false, &self.add)] {
            for (written, value) in &table.0 {
                match fields::name(written, self.of, cx).and_then(|name| Ok((name, FieldValue::compile(value, cx)?))) {
                    Ok((name, value)) => fields.push(Field { name, value, replaces }),
                    Err(more) => problems.extend(more),
                }
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let replaced = fields.iter().filter(|field| field.replaces && !fields::is_the_clients(&field.name));
        for field in replaced.filter(|_| self.of == Side::Request) {
            cx.publish(INJECTED_HEADER, Value::text(field.name.as_str()));
        }
        let names = fields.iter().map(|field| field.name.clone()).collect();
        Ok(SetHeader { of: self.of, fields, names })
    }
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
    names: Vec<HeaderName>,
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
                forward::detach_from_connection(&mut exchange.request.headers, &self.names);
                edits.iter().for_each(|edit| edit.apply(&mut exchange.request.headers));
            }
        }
        Ok(Outcome::Success)
    }
}
