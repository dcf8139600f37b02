//! `set`: sets variables, which later steps read as `${vars.NAME}`. In Oracle API Gateway: Set Attribute.
//!
//! All values are worked out before the first is set: the table has no order. A value that is one selector keeps its type;
//! one that is absent on purpose (`${x ??}`) takes the variable off.
//!
//! ```toml
//! [[filter]]
//! use = "set"
//!
//! [filter.vars]
//! tenant = "${request.header[\"x-tenant\"] ?? public}"
//! limits = { daily = 1000, burst = [10, 20] }
//! double = { cel = "21 * 2" }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Slot, Value};

use crate::entries::{Entries, is_variable};

/// `use = "set"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Name and value: a constant of any type, text with selectors, one selector, or `{ cel = "..." }`. Names are letters,
    /// digits and `_`.
    vars: Entries<Dynamic<Value>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "set";
    type Filter = Set;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Set, Diagnostics> {
        cx.shapes_nothing();
        let mut problems = Diagnostics::new();
        let mut vars = Vec::with_capacity(self.vars.0.len());
        for (name, value) in &self.vars.0 {
            if !is_variable(&name.value) {
                let help =
                    "use letters, digits and `_`, not beginning with a digit: selectors read it as `${vars.NAME}`";
                problems.push(cx.error(name.span, format!("`{}` is no name of a variable", name.value), help));
            }
            match cx.for_var(&name.value, |cx| cx.dynamic(value)) {
                Ok(getter) if getter.may_be_absent() => vars.push((cx.may_write_var(&name.value), getter)),
                Ok(getter) => vars.push((cx.writes_var(&name.value), getter)),
                Err(more) => problems.extend(more),
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(Set(vars)) }
    }
}

/// The compiled filter.
pub(crate) struct Set(Vec<(Slot<Value>, Getter<Value>)>);

impl Filter for Set {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let mut values = Vec::with_capacity(self.0.len());
        for (slot, getter) in &self.0 {
            match getter.get_optional(exchange) {
                Ok(value) => values.push((*slot, value)),
                Err(reason) => return Ok(Outcome::Failure(reason)),
            }
        }
        for (slot, value) in values {
            match value {
                Some(value) => exchange.set(slot, value),
                None => exchange.unset(slot),
            }
        }
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{get, policy, told};

    #[test]
    fn values_keep_their_types() {
        let ran = policy(
            r#"
            [[filter]]
            use = "set"
            [filter.vars]
            text   = "a ${request.method} b"
            number = 7
            table  = { list = [1, "${request.path}", true] }
            cel    = { cel = "21 * 2" }
            other  = "${request.query.absent ?? none}"
            [[filter]]
            use  = "respond"
            json = { text = "${vars.text}", number = "${vars.number}", table = "${vars.table}", worked_out = "${vars.cel}", other = "${vars.other}" }
            "#,
        )
        .run(get("/x", &[]));
        let table = json!({ "list": [1, "/x", true] });
        assert_eq!(
            ran.json(),
            json!({ "text": "a GET b", "number": 7, "table": table, "worked_out": 42, "other": "none" })
        );
    }

    #[test]
    fn a_missing_value_fails_and_one_that_is_absent_on_purpose_takes_the_variable_off() {
        let twice = |second: &str| {
            let text = format!(
                "[[filter]]\nuse = 'set'\nvars = {{ a = 'first' }}\n\n[[filter]]\nuse = 'set'\nvars = {{ a = '{second}' }}\n\n[[filter]]\nuse = 'respond'\ntext = '${{vars.a ?? gone}}'"
            );
            policy(&text).run(get("/x", &[]))
        };
        assert_eq!(twice("second").text(), "second");
        assert_eq!(twice("${request.query.no ??}").text(), "gone");
        assert_eq!(told(&twice("${request.query.no}")), "400 missing-value");
    }

    #[test]
    fn a_variables_name_can_be_read_back() {
        for name in ["\"a-b\"", "\"\"", "1a", "\"a b\""] {
            let problems =
                policy(&format!("[[filter]]\nuse = 'set'\nvars = {{ {name} = 1 }}\n\n[[filter]]\nuse = 'respond'"))
                    .problems();
            assert!(problems.len() == 1 && problems[0].contains("is no name of a variable"), "{name}: {problems:#?}");
        }
    }
}
