//! What can be done about a diagnostic at once: taking the name that was meant, allowing a lint.

use std::collections::HashMap;

use gen_lsp_types::{Code, CodeAction, CodeActionKind, CodeActionParams, Diagnostic, Message, TextEdit, WorkspaceEdit};
use policy::diagnostic::Span;
use policy::lint::{self, LINTS};
use policy::reader::{Section, Sketch};

use super::ground::Ground;

/// The actions for the diagnostics that the client asks about.
pub(super) fn actions(ground: &Ground<'_>, params: CodeActionParams) -> Vec<CodeAction> {
    let one = |told: Diagnostic| [meant(ground, told.clone()), allowed(ground, told)];
    params.context.diagnostics.into_iter().flat_map(one).flatten().collect()
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
    Some(CodeAction { is_preferred: Some(true), ..fix(ground, format!("write `{name}`"), told, edit) })
}

/// The lint in the file's `[allow]`. Its reason is left empty, which is an error: nobody but a person knows it.
fn allowed(ground: &Ground<'_>, told: Diagnostic) -> Option<CodeAction> {
    let Some(Code::String(code)) = &told.code else { return None };
    let (_, name) = LINTS.iter().find(|(lint, _)| lint.as_str() == code)?;
    let text = &ground.file.text;
    let sketch = Sketch::of(text);
    let is_allow = |section: &&Section| matches!(section.header.as_slice(), [only] if only.value == lint::ALLOW);
    let (at, new_text) = match (sketch.sections.iter().find(is_allow), sketch.sections.get(1)) {
        (Some(allow), _) => (allow.span.end, format!("\n{name} = \"\"")),
        // Before the first table: what stands without one is before that.
        (None, Some(first)) => (first.span.start, format!("[{}]\n{name} = \"\"\n\n", lint::ALLOW)),
        (None, None) => (text.len(), format!("\n[{}]\n{name} = \"\"\n", lint::ALLOW)),
    };
    let edit = TextEdit { range: ground.range(Span { start: at, end: at }), new_text };
    Some(fix(ground, format!("allow `{name}` in this file, with a reason"), told, edit))
}

fn fix(ground: &Ground<'_>, title: String, told: Diagnostic, edit: TextEdit) -> CodeAction {
    CodeAction {
        title,
        kind: Some(CodeActionKind::QuickFix),
        diagnostics: Some(vec![told]),
        edit: Some(WorkspaceEdit {
            changes: Some(HashMap::from([(ground.uri(&ground.path), vec![edit])])),
            ..WorkspaceEdit::default()
        }),
        ..CodeAction::default()
    }
}
