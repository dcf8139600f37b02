//! Tokens that the gateway holds as a client of others. The tokens themselves are in no answer.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /held/list` | [`ListHeld`] | [`HeldList`] |
//! | `POST /held/delete` | [`WhichHeld`] | [`Done`](super::Done) |
//! | `POST /reencrypt/held` | | [`Sealed`](super::Sealed) |

use serde::{Deserialize, Serialize};

/// Which: all that fits what is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichHeld {
    /// From this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// As this client there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// For this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// For the gateway itself; not together with `subject`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// All of them: where nothing else is named, it must be said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Lists what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListHeld {
    /// Which.
    #[serde(default)]
    pub which: WhichHeld,
    /// Where to go on: `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// The provider, by its name here.
    pub provider: String,
    /// Who the gateway is there.
    pub client_id: String,
    /// The user; none = the gateway itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was asked for.
    pub scope: String,
    /// What was granted.
    pub granted: String,
    /// Unix seconds.
    pub obtained_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Until when it can be renewed, Unix seconds; none = it has no refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_until: Option<u64>,
    /// The store it is in.
    pub store: String,
}

/// A part of what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldList {
    /// By store; fewer than fit where others lie between.
    pub held: Vec<HeldView>,
    /// Where to go on: `after` of the next request; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
