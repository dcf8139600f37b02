//! A log-in elsewhere in the middle of a visit: the browser leaves for another provider and comes back to where it was. What the visit asks of
//! the log-in goes along, and a browser that comes back without it is not sent a second time.

use std::sync::Arc;

use ::oauth::{Error, ErrorCode};
use policy::attribute::Slot;
use policy::{BuildContext, Diagnostics, Exchange, ReasonCode};
use store::seal::Sealer;

use super::attributes::{AUTHORIZE, Authorization, VISIT, Visit};
use super::authorize::redirected;
use super::live::unix_seconds;
use super::resume::{self, Step};
use super::stop::Stop;
use crate::StoreExt;

/// What a filter needs that sends browsers elsewhere.
pub(crate) struct Away {
    visit: Slot<Visit>,
    authorization: Slot<Authorization>,
    sealer: Arc<Sealer>,
}

/// How a browser leaves a visit.
pub(crate) struct Leaving {
    /// Where it goes on here: a path.
    pub(crate) return_to: String,
    /// What the other provider is to be asked: `prompt`, `max_age`.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Away {
    pub(crate) fn build(cx: &mut BuildContext<'_>) -> Result<Away, Diagnostics> {
        cx.fails_rarely(&[ReasonCode::new(ErrorCode::LoginRequired.as_str())]);
        let (visit, authorization) = (cx.reads_if_set(&VISIT), cx.reads_if_set(&AUTHORIZE));
        Ok(Away { visit, authorization, sealer: cx.sealer()? })
    }

    /// How the browser leaves; none where it is on no visit.
    pub(crate) fn leave(&self, exchange: &mut Exchange) -> Result<Option<Leaving>, Stop> {
        let Some(visit) = exchange.share(self.visit) else { return Ok(None) };
        let authorization = exchange.share(self.authorization);
        let mut parameters = Vec::new();
        // On whatever page: a provider that says no at once would be asked without end.
        let came_back = visit.form == Some(Step::Away);
        let in_vain = Error::new(ErrorCode::LoginRequired, "The user came back without the log-in that is asked for");
        if authorization.is_none() && came_back {
            return Err(in_vain.into());
        }
        if let Some(Authorization { target, asked, issuer }) = authorization.as_deref() {
            if asked.prompt.none {
                let error = Error::new(ErrorCode::LoginRequired, "The user must log in");
                return Err(redirected(target, error, issuer).into());
            }
            if came_back {
                return Err(redirected(target, in_vain, issuer).into());
            }
            let wants = [
                ("prompt", asked.prompt.login.then(|| "login".to_owned())),
                ("max_age", asked.max_age.map(|seconds| seconds.to_string())),
            ];
            parameters.extend(wants.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        let now = unix_seconds(exchange);
        let sealed = resume::seal(exchange, &self.sealer, visit.kept(), visit.began, Step::Away, now)?;
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(resume::FIELD, &sealed).finish();
        Ok(Some(Leaving { return_to: format!("{}?{query}", exchange.request.path), parameters }))
    }
}
