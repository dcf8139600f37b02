//! What is said of the people who may log in.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /users?after=NAME&limit=N` | | [`UserList`] |
//! | `POST /users` | [`AddUser`] | [`UserAdded`] |
//! | `GET /users/NAME` | | [`UserView`] |
//! | `POST /users/NAME` | [`SetUser`] | [`UserView`] |
//! | `POST /users/NAME/password` | [`SetPassword`] | [`UserAdded`] |
//! | `POST /users/NAME/enable`, `/disable`, `/unlock` | | [`UserView`] |
//! | `DELETE /users/NAME` | | [`Done`](super::Done) |

use serde::{Deserialize, Serialize};
use store::kps::Columns;

/// Adds somebody who may log in. It may hold a password, so that it has no `Debug`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// The name to log in with.
    pub name: String,
    /// The password; one is made where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What is known of the user, by the names of OpenID Connect Core, section 5.1.
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    pub claims: Columns,
}

/// Changes what is known of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUser {
    /// What is given is set, what is null is taken off, all else stays.
    pub claims: Columns,
}

/// Gives a user another password.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password; one is made where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A user who was added, or has another password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UserAdded {
    /// The user.
    #[serde(flatten)]
    pub user: UserView,
    /// The password that was made, this once; whoever chose one knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserView {
    /// The name to log in with, which is the subject of sessions and tokens.
    pub name: String,
    /// Who is disabled cannot log in.
    pub enabled: bool,
    /// Whether there is a password to log in with.
    pub has_password: bool,
    /// Unix seconds until which nobody gets in under this name, since too many passwords were wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<u64>,
    /// What is known of the user.
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    pub claims: Columns,
    /// Unix seconds.
    pub created_at: u64,
}

/// Users in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserList {
    /// The users.
    pub users: Vec<UserView>,
    /// Where to go on: `after` of the next request; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
