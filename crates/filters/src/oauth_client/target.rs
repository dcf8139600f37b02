//! Whose token a filter is about: the settings `provider`, `scopes` and `for` that all of them have.

use std::sync::Arc;

use ::oauth::Scopes;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Dynamic, Exchange, Getter, Reason};
use store::client_access_tokens::Holding;

use crate::holding::Holder;

/// Whose token, compiled.
pub(super) struct Target {
    /// The provider and the store.
    pub(super) holder: Arc<Holder>,
    scopes: Option<Getter<Vec<Arc<str>>>>,
    subject: Option<Getter<String>>,
}

impl Target {
    /// Compiles the settings.
    pub(super) fn compile(
        provider: &Spanned<String>,
        scopes: &Option<Dynamic<Vec<Arc<str>>>>,
        subject: &Option<Dynamic<String>>,
        store: &Option<Spanned<String>>,
        cx: &mut BuildContext<'_>,
    ) -> Result<Target, Diagnostics> {
        Ok(Target {
            holder: Holder::new(provider, store, cx)?,
            scopes: scopes.as_ref().map(|scopes| cx.dynamic(scopes)).transpose()?,
            subject: subject.as_ref().map(|subject| cx.dynamic(subject)).transpose()?,
        })
    }

    /// Whether it is about users.
    pub(super) fn has_subject(&self) -> bool {
        self.subject.is_some()
    }

    /// Whose token it is in this exchange. A subject that is empty is none.
    pub(super) fn holding(&self, exchange: &Exchange) -> Result<Holding, Reason> {
        let provider = self.holder.calls.provider();
        let asked = self.scopes.as_ref().map(|scopes| scopes.get_optional(exchange)).transpose()?.flatten();
        let scopes = match asked {
            None => provider.scopes.clone(),
            Some(names) => Scopes::of(names).ok_or_else(|| Reason::bad_request("`scopes` is no list of scopes"))?,
        };
        let subject = self.subject.as_ref().map(|subject| subject.get_optional(exchange)).transpose()?.flatten();
        Ok(Holding {
            provider: provider.name.clone(),
            client_id: provider.client_id.clone(),
            subject: subject.filter(|subject| !subject.is_empty()),
            scopes,
        })
    }
}
