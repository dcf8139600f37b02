//! What the filters share that hold a name and a password against the store of users.

use std::sync::Arc;

use http::StatusCode;

use ::oauth::Secret;
use policy::attribute::Slot;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Exchange, Reason, ReasonCode};
use store::users::Lockout;
use store::{Proof, StoreError, Users};

use crate::StoreExt;
use crate::oauth::{Subject, VISIT, Visit, lockout, unix_seconds};

/// The request has no name and password.
pub(super) const NO_CREDENTIALS: ReasonCode = ReasonCode::new("no-credentials");
/// They are nobody's.
pub(super) const WRONG_CREDENTIALS: ReasonCode = ReasonCode::new("wrong-credentials");
/// Too many were wrong under this name.
pub(super) const LOCKED: ReasonCode = ReasonCode::new("locked");

/// RFC 8176, section 2: password-based authentication.
pub(super) const PASSWORD: &str = "pwd";

/// States the ends that a filter of this kind can come to.
pub(super) fn fails(cx: &mut BuildContext<'_>) {
    cx.authorizes();
    cx.fails(&[NO_CREDENTIALS, WRONG_CREDENTIALS]);
    // It takes many wrong ones.
    cx.fails_rarely(&[LOCKED]);
}

/// Where a form has a name and a password.
pub(super) struct LoginForm {
    username: String,
    password: String,
    /// Set on pages of ours.
    visit: Slot<Visit>,
}

impl LoginForm {
    /// With these fields, where the policy says so.
    pub(super) fn build(username: &Option<String>, password: &Option<String>, cx: &mut BuildContext<'_>) -> LoginForm {
        cx.reads_request_body();
        LoginForm {
            username: username.clone().unwrap_or_else(|| "username".to_owned()),
            password: password.clone().unwrap_or_else(|| "password".to_owned()),
            visit: cx.reads_if_set(&VISIT),
        }
    }

    /// The name and the password. On pages of ours they come with the form of the log-in page: a page of another site could log its visitor
    /// in as somebody else (login cross-site request forgery).
    pub(super) fn typed<'a>(&self, exchange: &'a Exchange) -> Result<(&'a str, &'a str), Reason> {
        let form = exchange.request.form()?;
        let field = |name: &str| match form.repeated(name) {
            true => Err(Reason::bad_request(format!("the field `{name}` is repeated"))),
            false => Ok(form.get(name)),
        };
        let ours = exchange.get(self.visit).is_none_or(Visit::is_log_in);
        match (field(&self.username)?, field(&self.password)?) {
            (Some(name), Some(password)) if ours => Ok((name, password)),
            (Some(_), Some(_)) => {
                Err(absent("the name and the password did not come with the form of the log-in page"))
            }
            _ => Err(absent("the form has no name and password")),
        }
    }
}

/// The users, and how wrong passwords lock their names.
pub(super) struct People {
    users: Arc<Users>,
    lockout: Lockout,
}

impl People {
    /// Those of the store of this name.
    pub(super) fn build(store: &Option<Spanned<String>>, cx: &mut BuildContext<'_>) -> Result<People, Diagnostics> {
        Ok(People { users: cx.store(store)?, lockout: lockout(cx)? })
    }

    /// The user whose name and password these are; else why not. What is answered says only that they are nobody's, and so does its time.
    pub(super) async fn prove(
        &self,
        name: &str,
        password: &Secret,
        exchange: &mut Exchange,
    ) -> Result<Result<Subject, Reason>, StoreError> {
        let (now, began) = (unix_seconds(exchange), exchange.environment().clock.monotonic_nanos());
        let refused = match self.users.authenticate(name, password, self.lockout, now).await? {
            Proof::Right(user) => return Ok(Ok(Subject::proved(&user.name, now, PASSWORD))),
            Proof::Wrong => Reason::new(WRONG_CREDENTIALS, "the name and the password are nobody's"),
            Proof::Locked(_) => Reason::new(LOCKED, "too many passwords were wrong under this name"),
        };
        exchange.hold_since(began);
        Ok(Err(refused))
    }
}

/// There is nothing that could be held against the store.
pub(super) fn absent(message: &'static str) -> Reason {
    Reason::new(NO_CREDENTIALS, message).with_absent()
}

/// With the status of a request that lacks what would let it in, and how to bring it.
pub(super) fn challenged(reason: Reason, challenge: &http::HeaderValue) -> Reason {
    reason.with_status(StatusCode::UNAUTHORIZED).with_challenge(challenge.clone())
}
