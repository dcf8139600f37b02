//! `auth.password`: lets in who sends the name and the password of a user in a form, and sets `subject.*`. In Oracle API Gateway:
//! Attribute Authentication, HTML Form based Authentication.
//!
//! After ten wrong passwords within a quarter of an hour nobody gets in under that name for a quarter of an hour, on any node and
//! with the right password neither; `portcullis user unlock` ends it, and `[lockout]` of `oauth/server.toml` has other numbers. An unknown or disabled user, a wrong password and a locked
//! name are answered alike; the decision record tells them apart. Behind it, `session.start` lets the browser stay logged in.
//!
//! ```toml
//! [[filter]]
//! use      = "auth.password"
//! username = "login"                # the form's fields
//! password = "secret"
//!
//! [[filter]]
//! use = "session.start"
//! ```
//!
//! A page of another site can send a form too, though not one with the right password of somebody else: a log-in that was not meant is
//! an attacker's own account. Behind `oauth.authorize` and `oauth.open-form` a name and a password count only in the form of our log-in
//! page, which keeps that out with a value of its own in it; a page that you make for another policy should do so too.

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::Secret;
use policy::attribute::Slot;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};

use super::people::{self, LoginForm, People};
use crate::oauth::{SUBJECT, Stop, Subject, settle};

/// `use = "auth.password"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the form that holds the name. Default: `username`.
    username: Option<String>,
    /// The field of the form that holds the password. Default: `password`.
    password: Option<String>,
    /// The store of the kind `users`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.password";
    type Filter = Password;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Password, Diagnostics> {
        people::fails(cx);
        Ok(Password {
            form: LoginForm::build(&self.username, &self.password, cx),
            people: People::build(&self.store, cx)?,
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct Password {
    form: LoginForm,
    people: People,
    subject: Slot<Subject>,
}

impl Filter for Password {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl Password {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let (name, password) = self.form.typed(exchange)?;
        let (name, password) = (name.to_owned(), Secret::new(password.to_owned()));
        let subject = self.people.prove(&name, &password, exchange).await??;
        exchange.set(self.subject, subject);
        Ok(Outcome::Success)
    }
}
