//! What the filters here tell alike: named values, redacted; who; and where the filter stands.

use std::sync::Arc;

use policy::ports::{OBSERVER, Observer, ObserverHandle};
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Dynamic, Exchange, Getter, Reason, Value};
use serde_json::{Map, Value as Json};

use super::redact::{REDACTED, Redactor, scrub};
use crate::entries::Entries;

/// Named values.
pub(super) struct Fields {
    fields: Vec<Field>,
    redactor: Redactor,
}

struct Field {
    name: Arc<str>,
    value: Getter<Value>,
    /// Kept back as a whole.
    hidden: bool,
}

impl Fields {
    /// Of the settings `fields`, `secret` and `redact`.
    pub(super) fn new(
        fields: &Entries<Dynamic<Value>>,
        (secret, redact): (&[String], &[Spanned<String>]),
        cx: &mut BuildContext<'_>,
    ) -> Result<Fields, Diagnostics> {
        let mut problems = Diagnostics::new();
        let redactor = match Redactor::new(secret, redact, cx) {
            Ok(redactor) => Some(redactor),
            Err(more) => {
                problems.extend(more);
                None
            }
        };
        let mut compiled = Vec::with_capacity(fields.0.len());
        for (name, value) in &fields.0 {
            let hidden = redactor.as_ref().is_none_or(|redactor| redactor.hides(&name.value, &format!("{value:?}")));
            match cx.dynamic(value) {
                Ok(getter) => compiled.push(Field { name: Arc::from(name.value.as_str()), value: getter, hidden }),
                Err(more) => problems.extend(more),
            }
        }
        match redactor {
            Some(redactor) if !problems.has_errors() => Ok(Fields { fields: compiled, redactor }),
            _ => Err(problems),
        }
    }

    /// Their values, as they may be told. What is absent on purpose (`${x ??}`) is left out.
    pub(super) fn told(&self, exchange: &Exchange) -> Result<Vec<(&Arc<str>, Json)>, Reason> {
        let mut told = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let Some(value) = field.value.get_optional(exchange)? else { continue };
            let value = if field.hidden { REDACTED.into() } else { self.redactor.told(&value) };
            told.push((&field.name, value));
        }
        Ok(told)
    }

    /// The same as an object.
    pub(super) fn object(&self, exchange: &Exchange) -> Result<Map<String, Json>, Reason> {
        Ok(self.told(exchange)?.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }
}

/// Text that may be told.
pub(super) fn text(setting: &Getter<String>, exchange: &Exchange) -> Result<String, Reason> {
    setting.get(exchange).map(|text| scrub(&text).into_owned())
}

/// Where things are told.
pub(super) fn observer(cx: &BuildContext<'_>) -> Result<Arc<dyn Observer>, Diagnostics> {
    Ok(cx.of_node::<ObserverHandle>(OBSERVER)?.0.clone())
}

/// `FILE:LINE` of the filter.
pub(super) fn place(cx: &BuildContext<'_>) -> Arc<str> {
    let place = cx.own_place().to_string();
    place.rsplit_once(':').map_or(place.as_str(), |(line, _)| line).into()
}
