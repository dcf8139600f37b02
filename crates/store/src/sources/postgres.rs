//! PostgreSQL.

use std::sync::Arc;

use serde::Deserialize;

use crate::source::DataSource;

/// `[source.NAME] type = "postgres"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// Makes the source, without any I/O.
pub fn build(name: &str, settings: &Settings) -> Arc<dyn DataSource> {
    let _ = (name, settings);
    unimplemented!()
}
