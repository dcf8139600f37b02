//! The people who may log in.

use store::Users;

use crate::admin::api::Refusal;

/// A name that somebody can have.
pub(crate) fn check_user_name(name: &str) -> Result<(), Refusal> {
    match Users::is_name(name) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "a user's name has from 1 to 255 visible ASCII characters",
            "an e-mail address will do",
        )),
    }
}
