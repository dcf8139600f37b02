//! `[mutants]` of a policy: mutants that no test can notice, each with the reason.

use crate::compile::policy_name;
use crate::diagnostic::Place;
use crate::reader::{Files, parse};

/// Why no test can notice a mutant.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The policy.
    pub policy: String,
    /// The mutant: `rate-limit:removed`.
    pub key: String,
    /// The reason.
    pub reason: String,
    /// Where the key stands.
    pub place: Place,
}

/// All explanations of all policies. What is wrong with them, compiling tells.
pub fn explanations(files: &Files) -> Vec<Explanation> {
    let mut explanations = Vec::new();
    for (path, file) in &files.files {
        let Some(policy) = policy_name(path) else { continue };
        let Ok(document) = parse(file) else { continue };
        let table = document.root.get("mutants").and_then(|node| node.as_table());
        for entry in table.iter().flat_map(|table| &table.entries) {
            let place = document.place(entry.name_span);
            let (policy, key) = (policy.to_owned(), entry.name.clone());
            let reason = entry.value.as_text().unwrap_or_default().to_owned();
            explanations.push(Explanation { policy, key, reason, place });
        }
    }
    explanations
}
