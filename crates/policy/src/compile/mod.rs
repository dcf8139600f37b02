//! From files to a [`Program`](crate::engine::Program): parse, link, check along every path, build.
//!
//! `check`, `run`, reloads and tests all use [`compile`]; they differ only in the [`Resources`] they give.

mod layout;
mod shared;

pub use layout::Layout;
pub use shared::{ListenerFacts, NodeFacts, Shared};

use std::sync::Arc;

use crate::diagnostic::Diagnostics;
use crate::engine::Program;
use crate::filter::{Keeper, Library};
use crate::ports::Resources;
use crate::reader::{Files, Outside};

/// What a compilation needs.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// All files; those below `policies/` are read here.
    pub files: &'a Files,
    /// The filters there are.
    pub library: Library,
    /// Stores, upstreams and the like.
    pub resources: &'a dyn Resources,
    /// State kept over reloads.
    pub keeper: &'a Keeper,
    /// Environment variables and secret files.
    pub outside: &'a dyn Outside,
    /// The node.
    pub node: &'a NodeFacts,
    /// The number of the generation to be.
    pub generation: u64,
}

/// What a compilation gave.
pub struct Compiled {
    /// The program; none where there was an error.
    pub program: Option<Arc<Program>>,
    /// All problems of all files, sorted.
    pub diagnostics: Diagnostics,
}

/// Compiles all policies: pure, no I/O but what `outside` does.
pub fn compile(input: Input<'_>) -> Compiled {
    let _ = input;
    unimplemented!()
}
