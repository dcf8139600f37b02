//! `unset`: takes variables off. In Oracle API Gateway: Remove Attribute.
//!
//! ```toml
//! [[filter]]
//! use  = "unset"
//! vars = ["draft", "total"]
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Slot, Value};

/// `use = "unset"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The variables' names, without `vars.`. One that is not set is left alone.
    vars: Spanned<Vec<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "unset";
    type Filter = Unset;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Unset, Diagnostics> {
        if self.vars.value.is_empty() {
            return Err(cx
                .error(self.vars.span, "`unset` takes nothing off", "name a variable, or take the filter out")
                .into());
        }
        Ok(Unset(self.vars.value.iter().map(|name| cx.removes_var(name)).collect()))
    }
}

/// The compiled filter.
pub(crate) struct Unset(Vec<Slot<Value>>);

impl Filter for Unset {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        for slot in &self.0 {
            exchange.unset(*slot);
        }
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy};

    #[test]
    fn what_is_taken_off_is_gone() {
        let text = "[[filter]]\nuse = 'set'\nvars = { a = 'a', b = 'b' }\n\n[[filter]]\nuse = 'unset'\nvars = ['a', 'c']\n\n[[filter]]\nuse = 'respond'\ntext = '${vars.a ?? gone} ${vars.b}'";
        assert_eq!(policy(text).run(get("/x", &[])).text(), "gone b");
    }
}
