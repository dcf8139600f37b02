//! The tables: one a kind of record, the same in every source and in every file of `stores/schema/`.
//!
//! Each has the columns `key`, `version`, `expires_at`, its index columns in the order given here, and `record`.

use crate::source::Table;

/// Access tokens; the key is the expiry and the SHA-256 of the token.
pub static ACCESS_TOKEN: Table = Table { name: "access_token", indexes: &["client_id", "subject", "grant_id"] };

/// What clients were granted; the key is the grant's identifier. A token of a grant counts only as long as its row does.
pub static TOKEN_GRANT: Table = Table { name: "token_grant", indexes: &["client_id", "subject"] };

/// Refresh tokens; the key is the expiry and the SHA-256 of the token.
pub static REFRESH_TOKEN: Table = Table { name: "refresh_token", indexes: &[] };

/// Authorization codes; the key is the expiry and the SHA-256 of the code.
pub static AUTHZ_CODE: Table = Table { name: "authz_code", indexes: &[] };

/// Device codes; the key is the expiry and the SHA-256 of the code. What the user types is `user_code`.
pub static DEVICE_CODE: Table = Table { name: "device_code", indexes: &["user_code"] };

/// The people who may log in; the key is the user's name.
pub static USER_ACCOUNT: Table = Table { name: "user_account", indexes: &[] };

/// Sessions of browsers; the key is the expiry and the SHA-256 of the cookie's token.
pub static USER_SESSION: Table = Table { name: "user_session", indexes: &["subject"] };

/// What users have agreed to; the key is the client's identifier, a zero byte, and the subject.
pub static CONSENT: Table = Table { name: "consent", indexes: &["client_id", "subject"] };

/// The keys that sign tokens; the key is their `kid`.
pub static SIGNING_KEY: Table = Table { name: "signing_key", indexes: &[] };

/// Tokens that the gateway holds as a client of others; the key is the SHA-256 of provider, application, subject and scopes.
pub static CLIENT_ACCESS_TOKEN: Table = Table { name: "client_access_token", indexes: &["provider", "subject"] };

/// Identifiers that may be used once, until they expire; the key is the SHA-256 of who issued it and of what it is.
pub static REPLAY: Table = Table { name: "replay", indexes: &[] };

/// What rate limits and quotas have counted; the key is the SHA-256 of which limit it is, and of whose requests.
pub static TRAFFIC_COUNTER: Table = Table { name: "traffic_counter", indexes: &[] };

/// Epochs of clients and subjects: what was issued under an earlier one is refused.
pub static EPOCH: Table = Table { name: "epoch", indexes: &[] };

/// The client application registry; the key is the client's identifier.
pub static CLIENT: Table = Table { name: "client", indexes: &[] };

/// Leases: what one node of a cluster does for all.
pub static LEASE: Table = Table { name: "lease", indexes: &[] };

/// The heartbeats of the nodes that share a source; the key is a node's name.
pub static NODE: Table = Table { name: "node", indexes: &[] };

/// Rows of key property stores; the key is the name of the store, a zero byte, and the row's key. The index `second_key` holds
/// `NAME/VALUE`, so that a value is looked for in one store alone.
pub static KPS: Table = Table { name: "kps", indexes: &["name", "second_key"] };

/// All of them. A source knows these and no other.
pub static ALL: [&Table; 17] = [
    &ACCESS_TOKEN,
    &EPOCH,
    &CLIENT,
    &LEASE,
    &NODE,
    &KPS,
    &TOKEN_GRANT,
    &REFRESH_TOKEN,
    &AUTHZ_CODE,
    &DEVICE_CODE,
    &USER_ACCOUNT,
    &USER_SESSION,
    &CONSENT,
    &SIGNING_KEY,
    &CLIENT_ACCESS_TOKEN,
    &REPLAY,
    &TRAFFIC_COUNTER,
];

/// Whether its keys begin with a time (8 bytes, big-endian, Unix milliseconds), so that rows are appended and go together.
pub fn is_timed(table: &Table) -> bool {
    is_one_of(table, &[&ACCESS_TOKEN, &TOKEN_GRANT, &REFRESH_TOKEN, &AUTHZ_CODE, &DEVICE_CODE, &USER_SESSION])
}

/// Whether a row is only ever inserted by whoever made its key of random bytes. Grants are not: one that is revoked before it began is
/// inserted by whoever revokes it; nor are refresh tokens, whose rows a retry inserts where a node died before it had.
pub fn is_minted(table: &Table) -> bool {
    is_one_of(table, &[&ACCESS_TOKEN, &AUTHZ_CODE, &DEVICE_CODE, &USER_SESSION])
}

/// Whether rows are never taken away: they are changed, and expire.
pub fn is_kept(table: &Table) -> bool {
    is_one_of(table, &[&ACCESS_TOKEN, &TOKEN_GRANT, &REFRESH_TOKEN, &AUTHZ_CODE, &DEVICE_CODE])
}

fn is_one_of(table: &Table, tables: &[&Table]) -> bool {
    tables.iter().any(|one| std::ptr::eq(*one, table))
}

/// What to do where a table or a column is missing that was there: what it held is gone with it, so nothing is made anew unasked.
pub(crate) const LACKS: &str = "it was dropped or altered: `portcullis store check` says what is missing. Restore it from a backup; \
                                `portcullis store schema` prints what makes it anew, empty";

/// Whether changes of its rows are told to those who may remember them ([`crate::watch`]).
pub fn is_told(table: &Table) -> bool {
    is_one_of(table, &[&ACCESS_TOKEN, &TOKEN_GRANT, &KPS])
}

/// The place of a table in [`ALL`]: sources keep their statements by it.
pub fn position(table: &'static Table) -> Option<usize> {
    ALL.iter().position(|known| std::ptr::eq(*known, table))
}
