//! What the filters share that hold a name and a password against the store of users.

use http::StatusCode;

use ::oauth::Secret;
use policy::{BuildContext, Exchange, Reason, ReasonCode, Request};
use store::{Proof, StoreError, Users};

use crate::oauth::{Subject, unix_seconds};

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

/// The name and the password that stand in the fields of these names of the request's form.
pub(super) fn typed<'a>(request: &'a Request, name: &str, password: &str) -> Result<(&'a str, &'a str), Reason> {
    let form = request.form()?;
    let field = |name: &str| match form.repeated(name) {
        true => Err(Reason::bad_request(format!("the field `{name}` is repeated"))),
        false => Ok(form.get(name)),
    };
    match (field(name)?, field(password)?) {
        (Some(name), Some(password)) => Ok((name, password)),
        _ => Err(absent("the form has no name and password")),
    }
}

/// The user whose name and password these are; else why not. What is answered says only that they are nobody's.
pub(super) async fn prove(
    users: &Users,
    name: &str,
    password: &Secret,
    exchange: &Exchange,
) -> Result<Result<Subject, Reason>, StoreError> {
    let now = unix_seconds(exchange);
    Ok(match users.authenticate(name, password, now).await? {
        Proof::Right(user) => Ok(Subject::proved(&user.name, now, PASSWORD)),
        Proof::Wrong => Err(Reason::new(WRONG_CREDENTIALS, "the name and the password are nobody's")),
        Proof::Locked(_) => Err(Reason::new(LOCKED, "too many passwords were wrong under this name")),
    })
}

/// There is nothing that could be held against the store.
pub(super) fn absent(message: &'static str) -> Reason {
    Reason::new(NO_CREDENTIALS, message).with_absent()
}

/// With the status of a request that lacks what would let it in, and how to bring it.
pub(super) fn challenged(reason: Reason, challenge: &http::HeaderValue) -> Reason {
    reason.with_status(StatusCode::UNAUTHORIZED).with_challenge(challenge.clone())
}
