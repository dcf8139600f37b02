//! Where a name is declared, and where it is used.

use gen_lsp_types::{DocumentHighlight, Location};
use policy::compile::policy_name;
use policy::diagnostic::Span;
use policy::outline::{Mention, Thing};

use super::folders::FileKind;
use super::ground::Ground;

/// A name, and the file whose own it is, where it is one of a policy's own (a chain, an input, a variable).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) thing: Thing,
    pub(super) name: String,
    /// Where it was asked for.
    pub(super) span: Span,
}

/// The name at a place of the file.
pub(super) fn named_at(ground: &Ground<'_>, at: usize) -> Option<Named> {
    let mentions = ground.mentions(&ground.path);
    let found = mentions.into_iter().find(|mention| mention.span.start <= at && at <= mention.span.end)?;
    Some(Named { thing: found.thing, name: found.name, span: found.span })
}

/// The place that a name leads to.
pub(super) fn definition(ground: &Ground<'_>, at: usize) -> Option<Vec<Location>> {
    let named = named_at(ground, at)?;
    if named.thing == Thing::Policy {
        let (_, path) = ground.policies().find(|(name, _)| *name == named.name)?;
        return Some(ground.locations(path, [Span::default()]));
    }
    let places = places(ground, &named);
    // The filters of a chain have one header each: the first is where it begins.
    let one = matches!(named.thing, Thing::Chain);
    let declared = places.iter().flat_map(|(path, mentions)| {
        let spans = mentions.iter().filter(|mention| mention.declares).map(|mention| mention.span);
        ground.locations(path, spans.take(if one { 1 } else { usize::MAX }))
    });
    let declared: Vec<_> = declared.collect();
    (!declared.is_empty()).then_some(declared)
}

/// All places of a name.
pub(super) fn references(ground: &Ground<'_>, at: usize, declarations: bool) -> Option<Vec<Location>> {
    // The start of a policy's file stands for the policy.
    let named = named_at(ground, at).or_else(|| {
        let name = policy_name(&ground.path).filter(|_| at == 0)?;
        Some(Named { thing: Thing::Policy, name: name.to_owned(), span: Span::default() })
    })?;
    let found = places(ground, &named).into_iter().flat_map(|(path, mentions)| {
        let wanted = mentions.iter().filter(|mention| declarations || !mention.declares);
        ground.locations(&path, wanted.map(|mention| mention.span))
    });
    Some(found.collect())
}

/// The places of a name in the file itself.
pub(super) fn highlight(ground: &Ground<'_>, at: usize) -> Option<Vec<DocumentHighlight>> {
    let named = named_at(ground, at)?;
    let own = places(ground, &named).into_iter().filter(|(path, _)| *path == ground.path);
    let spans = own.flat_map(|(_, mentions)| mentions).map(|mention| mention.span);
    Some(spans.map(|span| DocumentHighlight { range: ground.range(span), kind: None }).collect())
}

/// Every place where this thing is named, by file.
pub(super) fn places(ground: &Ground<'_>, named: &Named) -> Vec<(String, Vec<Mention>)> {
    let same = |mention: &Mention| mention.thing == named.thing && mention.name == named.name;
    let own = matches!(named.thing, Thing::Chain | Thing::Input);
    let paths = ground.files.keys().filter(|path| match own {
        true => **path == ground.path,
        false => FileKind::of(path).is_some(),
    });
    paths
        .map(|path| (path.clone(), ground.mentions(path).into_iter().filter(same).collect::<Vec<_>>()))
        .filter(|(_, mentions)| !mentions.is_empty())
        .collect()
}
