//! What stands where in a file, for editors: its chains and filters, and every name of something (a chain, a policy, a store),
//! where it is declared and where it is used.
//!
//! It is read off a [`Sketch`], so that it is there for a file that somebody is in the middle of writing. What the names
//! lead to, and whether they do, is the compiler's affair.

mod leaves;
mod names;

pub use leaves::{Leaf, LeafKind, Segment, leaves};
pub use names::{Mention, Pattern, Thing, mentions, policy_mentions};

use crate::compile::policy::ENTERED;
use crate::diagnostic::Span;
use crate::reader::{Section, Sketch, SketchEntry};
use crate::settings::Spanned;

/// A filter of a policy, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The chain it stands in, as it is written: `filter`, `chain.code`, `on_failure`.
    pub chain: String,
    /// Its place in the chain, from 0.
    pub index: usize,
    /// What stands behind `use`.
    pub uses: Option<Spanned<String>>,
    /// Its `name`.
    pub name: Option<Spanned<String>>,
    /// Its header.
    pub header: Span,
    /// From the header to the next one that is not its own.
    pub whole: Span,
    /// The section that it begins.
    pub section: usize,
}

/// The filters that stand under headers of their own (`[[filter]]`, `[[chain.code]]`), in the order of the file.
pub fn steps(sketch: &Sketch) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, section) in sketch.sections.iter().enumerate() {
        match chain_of(section) {
            Some(chain) if section.list => {
                let index = steps.iter().filter(|step| step.chain == chain).count();
                steps.push(Step {
                    index,
                    uses: text(&section.entries, "use"),
                    name: text(&section.entries, "name"),
                    header: section.span,
                    whole: Span { start: section.span.start, end: section.end },
                    section: number,
                    chain,
                });
            }
            // `[filter.case]` belongs to the filter above it.
            _ => {
                if let Some(step) = steps.last_mut()
                    && belongs(section, &step.chain)
                {
                    step.whole.end = section.end;
                }
            }
        }
    }
    steps
}

/// The step whose lines this byte stands in, a header of its own tables (`[filter.case]`) included.
pub fn step_at(steps: &[Step], at: usize) -> Option<&Step> {
    steps.iter().rev().find(|step| step.whole.start <= at && at <= step.whole.end)
}

/// The chain that a header names: `filter`, `chain.NAME` and the like.
fn chain_of(section: &Section) -> Option<String> {
    match section.header.as_slice() {
        [one] if ENTERED.contains(&one.value.as_str()) => Some(one.value.clone()),
        [chain, name] if chain.value == "chain" => Some(format!("chain.{}", name.value)),
        _ => None,
    }
}

/// Whether a table's header is below that of a chain's filter.
fn belongs(section: &Section, chain: &str) -> bool {
    let words: Vec<&str> = section.header.iter().map(|word| word.value.as_str()).collect();
    match (chain.strip_prefix("chain."), words.as_slice()) {
        (Some(name), ["chain", own, _, ..]) => name == *own,
        (None, [own, _, ..]) => chain == *own,
        _ => false,
    }
}

/// The text behind a key of these entries.
pub fn text(entries: &[SketchEntry], key: &str) -> Option<Spanned<String>> {
    let entry = entries.iter().find(|entry| matches!(entry.key.as_slice(), [only] if only.value == key))?;
    let value = entry.value.as_ref()?;
    Some(Spanned::new(value.span, value.as_text()?.to_owned()))
}

#[cfg(test)]
mod tests;
