//! What `query-rules` and `header-rules` share: names that are allowed, and what their values may be.

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics};

use crate::entries::Entries;

/// What comes of a name that is not among those that are allowed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unknown {
    /// The message is refused.
    Refuse,
    /// It is taken off.
    Remove,
    /// It stays.
    Keep,
}

/// One name, and what its value may be.
pub(super) struct Rule<N> {
    pub(super) name: N,
    pattern: Regex,
    pub(super) required: bool,
    pub(super) repeated: bool,
}

impl<N> Rule<N> {
    /// Whether the whole of the value is what it may be.
    pub(super) fn takes(&self, value: &str) -> bool {
        self.pattern.is_match(value)
    }
}

/// Compiles the rules; `name` makes a name of what is written. Whatever is required or may be repeated must be allowed.
pub(super) fn compile<N>(
    allow: &Entries<Spanned<String>>,
    required: &[Spanned<String>],
    repeated: &[Spanned<String>],
    cx: &mut BuildContext<'_>,
    name: impl Fn(&Spanned<String>, &BuildContext<'_>) -> Result<N, Diagnostics>,
) -> Result<Vec<Rule<N>>, Diagnostics>
where
    N: PartialEq,
{
    let mut problems = Diagnostics::new();
    let mut rules: Vec<Rule<N>> = Vec::new();
    for (written, pattern) in &allow.0 {
        // The whole value: a pattern that is found somewhere in it says nothing of the rest.
        let compiled = Regex::new(&format!(r"\A(?:{})\z", pattern.value));
        match (name(written, cx), compiled) {
            (Ok(name), Ok(pattern)) => rules.push(Rule { name, pattern, required: false, repeated: false }),
            (Err(more), _) => problems.extend(more),
            (_, Err(why)) => {
                let help =
                    "the whole value is matched, in linear time: no look-around and no back-references; `.*` takes any";
                problems.push(cx.error(pattern.span, format!("this is no pattern: {why}"), help));
            }
        }
    }
    for (names, is_required) in [(required, true), (repeated, false)] {
        for written in names {
            match name(written, cx) {
                Err(more) => problems.extend(more),
                Ok(wanted) => match rules.iter_mut().find(|rule| rule.name == wanted) {
                    Some(rule) if is_required => rule.required = true,
                    Some(rule) => rule.repeated = true,
                    // One whose pattern is none was told of already.
                    None if problems.has_errors() => {}
                    None => {
                        let help = "say under `allow` what its value may be; `.*` takes any";
                        problems.push(cx.error(written.span, format!("`{}` is not allowed", written.value), help));
                    }
                },
            }
        }
    }
    if problems.has_errors() { Err(problems) } else { Ok(rules) }
}
