//! What the settings of calls have in common.

use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::{ByteSize, Duration, Spanned};
use policy::{BuildContext, Diagnostics, Dynamic, Exchange, Getter, Reason, Value};

use crate::entries::is_variable;

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// `cache = { max_age = "10s" }`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CacheSettings {
    /// How long an answer is used again, `1s` to `1h`.
    max_age: Spanned<Duration>,
    /// Under what an answer is kept. Whoever has the same key gets the same answer: it has to name all that the answer depends on, such as
    /// the caller. Default: all that is sent (method, path, query, headers and body).
    pub(super) key: Option<Dynamic<String>>,
    /// How much memory answers may take, `64KiB` to `1GiB`; beyond, the ones least used go. Default: `8MiB`.
    size: Option<Spanned<ByteSize>>,
}

impl CacheSettings {
    /// How long in nanoseconds, and how many bytes.
    pub(super) fn checked(&self, cx: &BuildContext<'_>) -> Result<(u64, u64), Diagnostics> {
        let max_age = self.max_age.value.0;
        if max_age < SECOND || max_age > 3_600 * SECOND {
            let help = "an answer is used again for 1s to 1h";
            return Err(cx.error(self.max_age.span, format!("`{}` is out of bounds", self.max_age.value), help).into());
        }
        let size = match &self.size {
            None => 8 << 20,
            Some(size) if (64 << 10..=1 << 30).contains(&size.value.0) => size.value.0,
            Some(size) => {
                let help = "remembered answers take 64KiB to 1GiB";
                return Err(cx.error(size.span, format!("`{}` is out of bounds", size.value), help).into());
            }
        };
        Ok((u64::try_from(max_age.as_nanos()).unwrap_or(u64::MAX), size))
    }
}

/// How long a call may take, and how many bytes its answer may have.
pub(crate) struct Bounds<'a> {
    pub(crate) timeout: &'a Option<Spanned<Duration>>,
    pub(crate) answer_limit: &'a Option<Spanned<ByteSize>>,
}

impl Bounds<'_> {
    pub(super) fn checked(&self, cx: &BuildContext<'_>) -> Result<(std::time::Duration, usize), Diagnostics> {
        let timeout = match self.timeout {
            None => 5 * SECOND,
            Some(timeout) if timeout.value.0 <= 60 * SECOND => timeout.value.0,
            Some(timeout) => {
                let help = "the client waits meanwhile: a call may take 1ms to 60s";
                return Err(cx.error(timeout.span, format!("`{}` is out of bounds", timeout.value), help).into());
            }
        };
        let limit = match self.answer_limit {
            None => 256 << 10,
            Some(limit) if (1..=16 << 20).contains(&limit.value.0) => limit.value.0,
            Some(limit) => {
                let help = "the whole answer is held in memory: it may have 1 byte to 16MiB";
                return Err(cx.error(limit.span, format!("`{}` is out of bounds", limit.value), help).into());
            }
        };
        Ok((timeout, usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

/// The name of the variable that an answer goes to.
pub(crate) fn variable(name: &Spanned<String>, cx: &BuildContext<'_>) -> Result<String, Diagnostics> {
    if is_variable(&name.value) {
        return Ok(name.value.clone());
    }
    let help = "use letters, digits and `_`, not beginning with a digit: selectors read it as `${vars.NAME}`";
    Err(cx.error(name.span, format!("`{}` is no name of a variable", name.value), help).into())
}

/// Names and values as a form or a query has them. A list gives its name several times; what is absent on purpose is left out.
pub(crate) fn form(pairs: &[(String, Getter<Value>)], exchange: &Exchange) -> Result<String, Reason> {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, getter) in pairs {
        match getter.get_optional(exchange)? {
            None => {}
            Some(Value::List(items)) => items.iter().for_each(|item| {
                out.append_pair(name, &item.to_string());
            }),
            Some(value) => {
                out.append_pair(name, &value.to_string());
            }
        }
    }
    Ok(out.finish())
}
