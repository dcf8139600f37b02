//! `trace-point`: notes values on the request's span, where traces are sent (`[telemetry]` in node.toml).
//!
//! A name that is noted again has the later value; a request notes at most 64. Secrets are kept out as by `log`. Names by OpenTelemetry's
//! habit have dots: `app.partner`.
//!
//! ```toml
//! [[filter]]
//! use = "trace-point"
//! set = { "app.tenant" = "${request.header[\"x-tenant\"] ?? none}", "app.agent" = "${request.header.user-agent ??}" }
//! ```

use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::told::Fields;
use crate::entries::Entries;

/// `use = "trace-point"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Name and value, which keeps its type. A value that is absent on purpose (`${x ??}`) is left out.
    set: Entries<Dynamic<Value>>,
    /// JSONPaths of what is not to be told in values of `set`.
    #[serde(default)]
    redact: Vec<Spanned<String>>,
    /// More names whose values are not to be told, in any case of their letters.
    #[serde(default)]
    secret: Vec<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "trace-point";
    type Filter = TracePoint;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<TracePoint, Diagnostics> {
        cx.shapes_nothing();
        let mut problems = Diagnostics::new();
        for (name, _) in self.set.0.iter().filter(|(name, _)| !is_name(&name.value)) {
            let help = "letters, digits, `.`, `_` and `-`, at most 128: `app.partner`";
            problems.push(cx.error(name.span, format!("`{}` is no name of an attribute", name.value), help));
        }
        if problems.has_errors() {
            return Err(problems);
        }
        Ok(TracePoint(Fields::new(&self.set, (&self.secret, &self.redact), cx)?))
    }
}

fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The compiled filter.
pub(crate) struct TracePoint(Fields);

impl Filter for TracePoint {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let told = match self.0.told(exchange) {
            Ok(told) => told,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        for (name, value) in told {
            if let Some(value) = Value::from_json(&value) {
                exchange.mark(name, value);
            }
        }
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use policy::testing::block_on;

    use crate::fixture::{get, policy};

    #[test]
    fn values_are_noted_and_the_later_one_counts() {
        let text = "[[filter]]\nuse = 'trace-point'\nset = { \"app.n\" = 1, a = '${request.query.a ??}', password = 'x' }\n\n[[filter]]\nuse = 'trace-point'\nset = { \"app.n\" = 2 }\n\n[[filter]]\nuse = 'respond'";
        let fixture = policy(text);
        let served = block_on(fixture.program().serve(&fixture.environment(), get("/", &[])));
        let marks: Vec<_> = served.attributes.marks.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(marks, ["app.n=2", "password=[redacted]"]);
    }

    #[test]
    fn names_are_checked() {
        let problems =
            policy("[[filter]]\nuse = 'trace-point'\nset = { 'a b' = 1 }\n\n[[filter]]\nuse = 'respond'").problems();
        assert!(problems.len() == 1 && problems[0].contains("no name of an attribute"), "{problems:#?}");
    }
}
