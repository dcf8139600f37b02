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
    let allow = lint::ALLOW;
    let dotted =
        sketch.sections[0].entries.iter().find(|entry| entry.key.first().is_some_and(|key| key.value == allow));
    let (at, new_text) = match (sketch.sections.iter().find(is_allow), dotted, sketch.sections.get(1)) {
        (Some(table), ..) => (line_end(text, table.span.end), format!("\n{name} = \"\"")),
        (None, Some(dotted), _) if dotted.key.len() > 1 => {
            (line_end(text, dotted.span.end), format!("\n{allow}.{name} = \"\""))
        }
        // In an inline table it is for a person to write.
        (None, Some(_), _) => return None,
        // Before the first table: what stands without one is before that.
        (None, None, Some(first)) => (comment_above(text, first.span.start), format!("[{allow}]\n{name} = \"\"\n\n")),
        (None, None, None) => (text.len(), format!("\n[{allow}]\n{name} = \"\"\n")),
    };
    let edit = TextEdit { range: ground.range(Span { start: at, end: at }), new_text };
    Some(fix(ground, format!("allow `{name}` in this file, with a reason"), told, edit))
}

/// The end of the line that a place stands in: behind its comment.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(['\n', '\r']).map_or(text.len(), |end| at + end)
}

/// Where the comment begins that stands right above a table, or the table itself.
fn comment_above(text: &str, at: usize) -> usize {
    let lines = text[..at].split_inclusive('\n').rev();
    at - lines.take_while(|line| line.starts_with('#')).map(str::len).sum::<usize>()
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
