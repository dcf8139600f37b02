//! The tables: one a kind of record, the same in every source and in every file of `stores/schema/`.
//!
//! Each has the columns `key`, `version`, `expires_at`, its index columns in the order given here, and `record`.

use crate::source::Table;

/// Access tokens; the key is the expiry and the SHA-256 of the token.
pub static ACCESS_TOKEN: Table = Table { name: "access_token", indexes: &["client_id", "subject", "grant_id"] };

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
pub static ALL: [&Table; 6] = [&ACCESS_TOKEN, &EPOCH, &CLIENT, &LEASE, &NODE, &KPS];

/// What to do where a table or a column is missing that was there: what it held is gone with it, so nothing is made anew unasked.
pub(crate) const LACKS: &str = "it was dropped or altered: `portcullis store check` says what is missing. Restore it from a backup; \
                                `portcullis store schema` prints what makes it anew, empty";

/// Whether changes of its rows are told to those who may remember them ([`crate::watch`]).
pub fn is_told(table: &Table) -> bool {
    [&ACCESS_TOKEN, &KPS].iter().any(|told| std::ptr::eq(*told, table))
}

/// The place of a table in [`ALL`]: sources keep their statements by it.
pub fn position(table: &'static Table) -> Option<usize> {
    ALL.iter().position(|known| std::ptr::eq(*known, table))
}
