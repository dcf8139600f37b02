//! What is said over the admin address: requests and answers as JSON. The command line prints the answers with `--json`.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /health/live`, `/health/ready`, `/metrics` | | text; open, all else asks for `Authorization: Bearer` |
//! | `GET /status` | | [`Status`] |
//! | `POST /reload` | | [`Reloaded`] (200 also where the files are refused) |
//! | `GET /log`, `DELETE /log` | | [`LogLevels`]; back to what the settings say |
//! | `POST /log` | [`AskLogLevel`] | [`LogLevels`] |
//! | `GET /clients?after=ID&limit=N` | | [`ClientList`] |
//! | `POST /clients` | [`AddClient`] | [`ClientAdded`] |
//! | `GET /clients/ID` | | [`ClientView`] |
//! | `PATCH /clients/ID` | members of [`ClientSettings`]: what changes, null for what is taken off | [`ClientView`] |
//! | `POST /clients/ID/rotate` | [`RotateClient`] | [`ClientAdded`] |
//! | `POST /clients/ID/enable`, `/disable` | | [`ClientView`] |
//! | `DELETE /clients/ID` | | [`Done`] |
//! | `POST /reencrypt/clients` | | [`Sealed`] |
//! | `GET /transfer/clients?after=ID&limit=N`, `/transfer/with-secrets` | | [`ExportedClients`]; with their secrets' hashes, sealed |
//! | `POST /transfer/clients` | [`ImportClients`] | list of [`ImportedClient`] |
//! | `POST /tokens/inspect` | [`InspectToken`] | [`TokenView`] |
//! | `POST /tokens/revoke` | [`RevokeTokens`] | [`Done`] |
//! | `/users...` | | see [`users`] |
//! | `/keys...` | | see [`keys`] |
//! | `/held...` | | see [`held`] |
//! | `/kps...` | | see [`kps`] |
//! | `POST /stores/check` | | list of [`SourceCheck`] |
//! | `POST /stores/purge` | | list of [`PurgedSource`] |
//!
//! Everything that is refused is a [`Refusal`] with its status. What holds a secret or a token has no `Debug`: it cannot slip into a
//! log.

mod clients;
pub mod held;
pub mod keys;
pub mod kps;
pub mod users;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::{Resealed, StoreError};

pub use self::clients::{
    AddClient, ClientAdded, ClientList, ClientSettings, ClientView, ExportedClients, ImportClients, ImportFate,
    ImportedClient, KeptClient, RotateClient,
};

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// One sentence.
    pub message: String,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Refusal {
    /// What is asked for is malformed, or cannot be.
    pub(crate) fn invalid(message: impl Into<String>, help: impl Into<String>) -> Refusal {
        Refusal { kind: RefusalKind::Invalid, message: message.into(), help: Some(help.into()) }
    }

    /// A store could not do it.
    pub(crate) fn failed(error: &StoreError, help: impl Into<String>) -> Refusal {
        let kind = match error {
            StoreError::Unavailable(_) => RefusalKind::Unavailable,
            StoreError::Broken(_) => RefusalKind::Internal,
        };
        Refusal { kind, message: error.to_string(), help: Some(help.into()) }
    }
}

/// Kinds of refusal, each with its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// 400: the request is malformed or asks for what cannot be.
    Invalid,
    /// 401: no credential, or a wrong one.
    Unauthorized,
    /// 404: there is no such thing.
    NotFound,
    /// 405: another method.
    MethodNotAllowed,
    /// 409: there is one already.
    Exists,
    /// 503: the source behind it is down.
    Unavailable,
    /// 500.
    Internal,
}

/// What was sealed anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Records with something sealed that were looked at.
    pub records: u64,
    /// Of these, how many were changed.
    pub sealed: u64,
    /// Those that no key of this node opens, and why. They stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<NotSealed>,
}

/// A record that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotSealed {
    /// Which.
    pub record: String,
    /// Why.
    pub refused: String,
}

impl From<Resealed> for Sealed {
    fn from(done: Resealed) -> Sealed {
        let refused = done.refused.into_iter();
        let refused = refused.map(|(record, why)| NotSealed { record, refused: why.to_string() }).collect();
        Sealed { records: done.records, sealed: done.sealed, refused }
    }
}

impl Sealed {
    /// How it ended, for the audit log.
    pub(crate) fn word(&self) -> &'static str {
        if self.refused.is_empty() { "done" } else { "failed" }
    }
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// In force, unchanged or refused.
    pub outcome: ReloadOutcome,
    /// The generation that serves now.
    pub generation: u64,
    /// What changed against the generation before; empty where nothing did.
    pub changes: Vec<Change>,
    /// Errors and warnings, as `policy::diagnostic::to_json` writes them.
    pub diagnostics: serde_json::Value,
    /// The same as text for a terminal, without colours; empty where there are none.
    pub text: String,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadOutcome {
    /// The files are a new generation, which serves.
    Loaded,
    /// The files are those of the generation that serves.
    Unchanged,
    /// The files are refused; the generation before serves on.
    Refused,
}

/// One thing that a reload changed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `policies`, `stores`, `node`.
    pub section: String,
    /// What: a policy's name, `store.access-token`, `upstream.orders`.
    pub what: String,
    /// `added`, `removed`, `changed`, or more: `now on source oauth-db`.
    pub how: String,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// `serving` or `draining`.
    pub state: String,
    /// Whether it takes traffic: `/health/ready`.
    pub ready: bool,
    /// The generation that serves.
    pub generation: GenerationView,
    /// Listeners and their addresses.
    pub listeners: Vec<ListenerView>,
    /// Sources in use.
    pub sources: Vec<SourceView>,
    /// Upstreams, and how their targets are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamView>,
    /// Stores in use and their sources.
    pub stores: BTreeMap<String, String>,
    /// Stores that move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<MoveView>,
    /// The last load that was refused, where it came after the generation that serves: its files are on disk now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedView>,
}

/// An upstream, in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamView {
    /// Its name; `provider.NAME` where it belongs to one.
    pub name: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// Its targets, an entry for each address that is known.
    pub targets: Vec<TargetView>,
}

/// An address of a target, in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// The target, as the settings write it.
    pub target: String,
    /// The address.
    pub address: String,
    /// `well`, `down` (health checks say so) or `left out` (for what it answered).
    pub state: String,
    /// Open connections.
    pub connections: u64,
    /// Requests in flight.
    pub in_flight: u64,
}

/// A store that moves from one data source to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveView {
    /// The store.
    pub store: String,
    /// `next` or `previous`.
    pub step: String,
    /// The source that has the records.
    pub from: String,
    /// The source that gets them.
    pub to: String,
    /// Whether nothing counts any more in the source that had them: `previous` can be taken out.
    pub empty: bool,
}

/// What came of copying one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedTable {
    /// The store.
    pub store: String,
    /// The table.
    pub table: String,
    /// Whether both sides agree, and nothing is left that was to be handed over.
    pub ok: bool,
    /// Rows that were written.
    pub copied: u64,
    /// Copies that were taken away, since what they were of is gone.
    pub dropped: u64,
    /// Rows that the new source has as its own.
    pub own: u64,
    /// Rows that were handed over, where the store moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<u64>,
    /// Rows that still count in the source that had them, though all were to be handed over.
    pub left: u64,
    /// What was compared, in the source that had the records.
    pub from: TableSum,
    /// The same in the one that got them.
    pub to: TableSum,
    /// Rows that differ.
    pub differ: u64,
    /// The first of them, by their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
}

/// A backup that was made, or put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// The source.
    pub source: String,
    /// The file that was made.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// The version of the schema in it.
    pub schema: u32,
}

/// How many rows were compared, and their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// Rows.
    pub rows: u64,
    /// SHA-256 over key, expiry, index columns and record of each, in the order of the keys.
    pub digest: String,
}

/// What is being done while records are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyStep {
    /// Rows are copied.
    Copy,
    /// Both sides are compared.
    Verify,
    /// Rows are handed over.
    HandOver,
}

/// Asks for another level of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskLogLevel {
    /// `error`, `warn`, `info`, `debug`, `trace`, in any case of the letters.
    pub level: String,
    /// Of lines with this target, and those below it, alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// After so many seconds the level is what the settings say again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// How much is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevels {
    /// From this level on.
    pub level: String,
    /// Other levels, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, String>,
    /// Whether some of that was asked for, and is not what the settings say.
    pub asked: bool,
    /// Until when, Unix seconds; absent where it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// A generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationView {
    /// Its number, counted from 1 since the start.
    pub number: u64,
    /// The hash of its files, hexadecimal: equal on nodes with equal files.
    pub hash: String,
    /// When it was taken up, Unix seconds.
    pub since: u64,
    /// Its policies.
    pub policies: Vec<String>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerView {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Open connections.
    pub connections: u64,
}

/// A data source in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Its type: `sqlite`.
    pub kind: String,
    /// Whether it answers.
    pub up: bool,
    /// Why not, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A load that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// When, Unix seconds.
    pub at: u64,
    /// The diagnostics, as text.
    pub text: String,
}

/// Asks what is known of a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectToken {
    /// The token.
    pub token: String,
}

/// What is known of a token, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Whether it would be accepted now.
    pub active: bool,
    /// In words: `active`, `expired`, `revoked`, `its client is disabled` ...
    pub state: String,
    /// The client it was issued to.
    pub client_id: String,
    /// The resource owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its scopes.
    pub scope: String,
    /// The grant it came from.
    pub grant_type: String,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
}

/// Revokes one token, or all of a client or subject. Exactly one of the three.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeTokens {
    /// One token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// All of this client, until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// All of this subject, until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// It is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// One sentence: what.
    pub done: String,
}

/// What `store check` found of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCheck {
    /// Its name.
    pub source: String,
    /// Its type.
    pub kind: String,
    /// Whether everything is as it should be.
    pub ok: bool,
    /// Its findings, in the order they were made.
    pub lines: Vec<SourceLine>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// What was looked at: `connects`, `version`, `schema`, `rights`, `clock`, `round trip`.
    pub what: String,
    /// Whether that is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What would help, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What a purge took from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedSource {
    /// Its name.
    pub source: String,
    /// Rows deleted, by table.
    pub rows: BTreeMap<String, u64>,
    /// Why it broke off, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl RefusalKind {
    /// The status that it is answered with.
    pub(crate) fn status(self) -> http::StatusCode {
        use http::StatusCode;
        match self {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::Unauthorized => StatusCode::UNAUTHORIZED,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            RefusalKind::Exists => StatusCode::CONFLICT,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::marker::PhantomData;

    struct Probe<T>(PhantomData<T>);
    impl<T: Debug> Probe<T> {
        fn prints(&self) -> bool {
            true
        }
    }
    /// What is called where the one above is not there.
    trait Silent {
        fn prints(&self) -> bool {
            false
        }
    }
    impl<T> Silent for Probe<T> {}

    #[test]
    fn what_holds_a_secret_is_not_printed() {
        assert!(Probe::<ClientView>(PhantomData).prints() && Probe::<ClientSettings>(PhantomData).prints());
        assert!(!Probe::<AddClient>(PhantomData).prints());
        assert!(!Probe::<RotateClient>(PhantomData).prints());
        assert!(!Probe::<KeptClient>(PhantomData).prints() && !Probe::<ImportClients>(PhantomData).prints());
        assert!(!Probe::<ClientAdded>(PhantomData).prints());
        assert!(!Probe::<InspectToken>(PhantomData).prints());
        assert!(!Probe::<RevokeTokens>(PhantomData).prints());
    }
}
