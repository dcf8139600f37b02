//! Renaming chains and policies, with every reference.

use std::collections::HashMap;

use gen_lsp_types::{
    DocumentChange, Edit, OptionalVersionedTextDocumentIdentifier, PrepareRenamePlaceholder, PrepareRenameResult,
    RenameFile, TextDocumentEdit, TextDocumentIdentifier, TextEdit, WorkspaceEdit,
};
use policy::compile::policy_name;
use policy::diagnostic::Span;
use policy::outline::Thing;

use super::definition::{Named, named_at, places};
use super::ground::Ground;
use super::server::Refused;
use super::uri;

/// Words that stand where a chain's name may stand.
const NOT_A_CHAIN: &[&str] = &["continue", "fail"];

/// What would be renamed at this place.
pub(super) fn prepare(ground: &Ground<'_>, at: usize) -> Result<Option<PrepareRenameResult>, Refused> {
    let Some(named) = renamed_at(ground, at) else { return Ok(None) };
    let range = ground.range(named.span);
    Ok(Some(PrepareRenameResult::PrepareRenamePlaceholder(PrepareRenamePlaceholder { range, placeholder: named.name })))
}

/// All that is to be changed.
pub(super) fn rename(ground: &Ground<'_>, at: usize, name: &str) -> Result<WorkspaceEdit, Refused> {
    let named = renamed_at(ground, at)
        .ok_or_else(|| Refused::new("only chains and policies can be renamed, by their names"))?;
    match named.thing {
        Thing::Chain => check_chain(ground, name)?,
        _ => check_policy(ground, &named.name, name)?,
    }
    let mut edits = Vec::new();
    for (path, mentions) in places(ground, &named) {
        let Some(file) = ground.files.get(&path) else { continue };
        let lines = ground.lines(file);
        let edit = |span| TextEdit { range: lines.range(span), new_text: name.to_owned() };
        edits.push((path, mentions.iter().map(|mention| edit(mention.span)).collect::<Vec<_>>()));
    }
    let files = match named.thing {
        Thing::Policy => files(ground, &named.name, name)?,
        _ => Vec::new(),
    };
    Ok(workspace_edit(ground, edits, files))
}

/// The chain or policy that is named at this place. On the first line of a policy, where nothing else is named, it is the policy.
fn renamed_at(ground: &Ground<'_>, at: usize) -> Option<Named> {
    if let Some(named) = named_at(ground, at) {
        return matches!(named.thing, Thing::Chain | Thing::Policy).then_some(named);
    }
    let first = ground.file.text.find(['\n', '\r']).unwrap_or(ground.file.text.len());
    let name = policy_name(&ground.path).filter(|_| at <= first)?;
    Some(Named { thing: Thing::Policy, name: name.to_owned(), span: Span { start: 0, end: first } })
}

fn check_chain(ground: &Ground<'_>, name: &str) -> Result<(), Refused> {
    if !is_word(name) {
        return Err(Refused::new("a chain's name has letters, digits, `-` and `_`"));
    }
    if NOT_A_CHAIN.contains(&name) {
        return Err(Refused::new(format!("`{name}` means something where chains are named")));
    }
    let taken = |mention: &policy::outline::Mention| mention.thing == Thing::Chain && mention.name == name;
    match ground.mentions(&ground.path).iter().any(taken) {
        true => Err(Refused::new(format!("this policy names a chain `{name}` already"))),
        false => Ok(()),
    }
}

fn check_policy(ground: &Ground<'_>, old: &str, name: &str) -> Result<(), Refused> {
    if !name.split('/').all(|part| is_word(&part.replace('.', "-")) && !part.starts_with('.')) {
        return Err(Refused::new(
            "a policy's name is its path: letters, digits, `-`, `_` and `.`, with `/` between folders",
        ));
    }
    if policy_name(&format!("policies/{name}.toml")) != Some(name) {
        return Err(Refused::new(format!("`{name}` can be no policy: a file of this name is something else")));
    }
    // Names that differ only in case are one on some file systems.
    let differs = |other: &str| other != old || old == name;
    let taken = ground.policies().find(|(other, _)| differs(other) && other.eq_ignore_ascii_case(name));
    match taken {
        Some((other, _)) => Err(Refused::new(format!("there is a policy `{other}` already"))),
        None if !ground.client.renames_files => {
            let message = "this editor does not let a server rename files: rename the policy's file by hand";
            Err(Refused::new(message))
        }
        None => Ok(()),
    }
}

/// The policy's file and that of its tests, each with its new path.
fn files(ground: &Ground<'_>, old: &str, new: &str) -> Result<Vec<(String, String)>, Refused> {
    let pairs = ["toml", "test.toml"].map(|end| (format!("policies/{old}.{end}"), format!("policies/{new}.{end}")));
    let there: Vec<_> = pairs.into_iter().filter(|(old, _)| ground.files.contains_key(old)).collect();
    match there.iter().any(|(old, _)| policy_name(old).is_some()) {
        true => Ok(there),
        false => Err(Refused::new(format!("there is no policy `{old}`"))),
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn workspace_edit(
    ground: &Ground<'_>,
    edits: Vec<(String, Vec<TextEdit>)>,
    files: Vec<(String, String)>,
) -> WorkspaceEdit {
    if !ground.client.document_changes && files.is_empty() {
        let changes: HashMap<_, _> = edits.into_iter().map(|(path, edits)| (ground.uri(&path), edits)).collect();
        return WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() };
    }
    // Texts first: they go by the names that the files have until then.
    let texts = edits.into_iter().map(|(path, edits)| {
        let text_document = OptionalVersionedTextDocumentIdentifier {
            version: ground.open.get(&path).map(|(version, _)| *version),
            text_document_identifier: TextDocumentIdentifier { uri: ground.uri(&path) },
        };
        let edits = edits.into_iter().map(Edit::TextEdit).collect();
        DocumentChange::TextDocumentEdit(TextDocumentEdit { text_document, edits })
    });
    let files = files.into_iter().map(|(old, new)| {
        DocumentChange::RenameFile(RenameFile {
            old_uri: ground.uri(&old),
            new_uri: uri::of(&ground.root.join(new)),
            options: None,
            annotation_id: None,
        })
    });
    WorkspaceEdit { document_changes: Some(texts.chain(files).collect()), ..WorkspaceEdit::default() }
}
