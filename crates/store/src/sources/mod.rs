//! Data sources: one file each, one line in [`SourceSettings::read`].

use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::source::DataSource;

/// Reads a source's own settings type from wherever the caller has its table.
pub trait ReadSettings {
    /// What goes wrong (diagnostics with places).
    type Error;
    /// Reads it.
    fn read<T: DeserializeOwned>(&mut self) -> Result<T, Self::Error>;
}

/// A source's settings: equal ones are the same source, which then stays open over a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSettings {}

impl SourceSettings {
    /// The kinds that this binary knows: `sqlite`, and whether its driver was built in.
    pub const KINDS: &'static [(&'static str, bool)] = &[];

    /// Reads the settings of the source kind `kind`; `None` where there is no such kind.
    pub fn read<R: ReadSettings>(kind: &str, reader: &mut R) -> Option<Result<SourceSettings, R::Error>> {
        let _ = (kind, reader);
        unimplemented!()
    }

    /// Whether its records are seen by this node alone.
    pub fn node_local(&self) -> bool {
        unimplemented!()
    }

    /// Makes the source, without any I/O. Relative paths are relative to `base`.
    pub fn build(&self, name: &str, base: &Path) -> Arc<dyn DataSource> {
        let _ = (name, base);
        unimplemented!()
    }
}
