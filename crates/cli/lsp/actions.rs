//! What can be done about a diagnostic at once: taking the name that was meant.

use std::collections::HashMap;

use gen_lsp_types::{CodeAction, CodeActionKind, CodeActionParams, Diagnostic, Message, TextEdit, WorkspaceEdit};

use super::ground::Ground;

/// The actions for the diagnostics that the client asks about.
pub(super) fn actions(ground: &Ground<'_>, params: CodeActionParams) -> Vec<CodeAction> {
    params.context.diagnostics.into_iter().filter_map(|told| meant(ground, told)).collect()
}

/// "did you mean `x`?" as an edit.
fn meant(ground: &Ground<'_>, told: Diagnostic) -> Option<CodeAction> {
    let message = match &told.message {
        Message::String(text) => text,
        Message::MarkupContent(content) => &content.value,
    };
    let (_, meant) = message.rsplit_once("did you mean `")?;
    let (meant, _) = meant.split_once("`?")?;
    let span = ground.lines(&ground.file).span(told.range);
    let old = ground.file.text.get(span.start..span.end)?;
    // `vars.x` may be meant where only the `x` is wrong.
    let before = &ground.file.text[..span.start];
    let name = match meant.rsplit_once('.') {
        Some((root, last)) if before.ends_with(&format!("{root}.")) => last,
        _ => meant,
    };
    let new_text = match old.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{name}{quote}"),
        _ => name.to_owned(),
    };
    let edit = TextEdit { range: told.range, new_text };
    Some(CodeAction {
        title: format!("write `{name}`"),
        kind: Some(CodeActionKind::QuickFix),
        diagnostics: Some(vec![told]),
        is_preferred: Some(true),
        edit: Some(WorkspaceEdit {
            changes: Some(HashMap::from([(ground.uri(&ground.path), vec![edit])])),
            ..WorkspaceEdit::default()
        }),
        ..CodeAction::default()
    })
}
