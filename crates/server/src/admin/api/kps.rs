//! Rows of key property stores.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /kps` | | list of [`KpsView`] |
//! | `GET /kps/NAME?after=KEY&limit=N` | | [`RowList`] |
//! | `POST /kps/NAME` | [`PutRows`] | list of [`RowDone`], in the order of the rows |
//! | `POST /kps/NAME/restore` | list of [`RowView`] | list of [`RowDone`] |
//! | `POST /kps/NAME/reencrypt` | [`Reencrypt`] | [`Reencrypted`] |
//! | `GET /kps/NAME/KEY?second=true&open=true` | | [`RowView`] |
//! | `DELETE /kps/NAME/KEY` | | [`Done`](super::Done) |
//!
//! `/api/kps` has the shapes that Oracle API Gateway has there: see `admin/oag.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::kps::Columns;

/// A key property store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KpsView {
    /// Its name.
    pub name: String,
    /// The data source that its rows are in.
    pub source: String,
    /// The table of the database that they are in, where it is one of somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The column that rows are found by.
    pub key: String,
    /// Another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_key: Option<String>,
    /// The columns with the words for their types; empty = any.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// The columns that are kept sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypted: Vec<String>,
    /// Whether a row without a key gets one.
    pub auto_id: bool,
    /// Seconds that a row lives, where whoever puts it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// A row. It may hold what nobody is to see, so that it has no `Debug`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowView {
    /// Its key.
    pub key: String,
    /// Its columns. What is sealed is sealed here too, unless it was asked for in clear.
    pub columns: Columns,
    /// Unix seconds; none = it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// Rows in the order of their keys.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RowList {
    /// The rows.
    pub rows: Vec<RowView>,
    /// Where to go on: `after` of the next request; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Puts rows, one after the other.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutRows {
    /// The columns of each.
    pub rows: Vec<Columns>,
    /// What happens to a row that is there.
    #[serde(default)]
    pub mode: PutMode,
    /// Seconds that they live; none = as the store says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Only says whether they fit.
    #[serde(default)]
    pub check_only: bool,
}

/// What happens to a row that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PutMode {
    /// The new row takes its place.
    #[default]
    Replace,
    /// The new one is refused.
    Insert,
    /// The columns that are given are changed (null: taken off), the others stay.
    Merge,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDone {
    /// Its key; none where it has none, or gets one only when it is put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether there was none with this key.
    #[serde(default)]
    pub created: bool,
    /// Why it was not put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Seals rows anew, a page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reencrypt {
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What was sealed anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reencrypted {
    /// Rows looked at.
    pub rows: u64,
    /// Of these, how many were changed.
    pub sealed: u64,
    /// Those with a sealed value that no key of this node opens. They stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RowDone>,
    /// Where to go on; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
