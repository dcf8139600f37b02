//! Diagnostics as a person reads them, with the source line and the word underlined; and as JSON.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};

use super::shown::{is_invisible, visible};
use super::{Count, Diagnostic, Diagnostics, Place, Severity, SourceFile, Span, codes};

/// A longer line is cut around the word: nobody reads a line of a megabyte.
const LONGEST_LINE: usize = 240;

/// What stands in place of a secret that somebody wrote in clear.
const MASK: &str = "\"***\"";

/// Stands for the path until the text is rendered: the renderer counts columns in what it is shown, and a line may be cut. Nothing else
/// that is shown has these characters in it, since they are invisible.
const PATH: &str = "\u{e000}\u{e001}";

/// As text for a terminal (`color`) or a log; ends with a line that counts errors and warnings. Nothing at all where there
/// are none.
pub fn render(diagnostics: &Diagnostics, color: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let secrets = Secrets::of(diagnostics);
    let mut text = String::new();
    for diagnostic in diagnostics.iter() {
        text.push_str(&one(diagnostic, &secrets, &renderer));
        text.push_str("\n\n");
    }
    if diagnostics.hidden().all() > 0 {
        text.push_str(&format!("not shown: {} more\n", counted(diagnostics.hidden())));
    }
    text.push_str(&counted(diagnostics.count()));
    text.push('\n');
    text
}

/// One of them as text, without a count.
pub fn render_one(diagnostic: &Diagnostic) -> String {
    one(diagnostic, &Secrets::of(&Diagnostics::from(diagnostic.clone())), &Renderer::plain())
}

/// As JSON: a list of `{code, severity, message, help, file, line, column, end_line, end_column, label, related, notes}`.
pub fn to_json(diagnostics: &Diagnostics) -> Json {
    diagnostics.iter().map(json_of).collect()
}

fn one(diagnostic: &Diagnostic, secrets: &Secrets, renderer: &Renderer) -> String {
    let level = match diagnostic.problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.problem.message.as_str()).id(diagnostic.problem.code.as_str());
    let mut group = Group::with_title(title);
    if let Some(place) = &diagnostic.place {
        let label = diagnostic.label.as_deref();
        group = shown(group, place, AnnotationKind::Primary, label, secrets);
    }
    for (place, word) in &diagnostic.related {
        group = shown(group, place, AnnotationKind::Context, Some(word), secrets);
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(visible(note)));
    }
    if let Some(help) = &diagnostic.problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let places = diagnostic.place.iter().chain(diagnostic.related.iter().map(|(place, _)| place));
    with_places(&renderer.render(&[group]), places)
}

/// Puts `FILE:LINE:COL` where the renderer put its own counting.
fn with_places<'a>(text: &str, places: impl Iterator<Item = &'a Place>) -> String {
    let mut parts = text.split(PATH);
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for (part, place) in parts.zip(places) {
        placed.push_str(&visible(&place.to_string()));
        placed.push_str(part.trim_start_matches([':', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']));
    }
    placed
}

/// The place's `FILE:LINE:COL`, its line, and the word underlined.
fn shown<'a>(
    group: Group<'a>,
    place: &'a Place,
    kind: AnnotationKind,
    label: Option<&'a str>,
    secrets: &Secrets,
) -> Group<'a> {
    let (line, _) = place.line_column();
    let Line { text, word } = Line::of(place, line, secrets);
    let annotation: Annotation<'_> = kind.span(word).label(label);
    group.element(Snippet::source(text).path(PATH).line_start(line).annotation(annotation))
}

/// One line of a file as it is shown.
struct Line {
    text: String,
    /// The word in it.
    word: Range<usize>,
}

impl Line {
    fn of(place: &Place, number: usize, secrets: &Secrets) -> Line {
        let file = &place.file;
        let start = file.line_start(number);
        let text = file.line(number);
        let within = |at: usize| file.boundary(at).saturating_sub(start).min(text.len());
        let word = within(place.span.start)..within(place.span.end.max(place.span.start));
        let line = Line { text: text.to_owned(), word };
        line.masked(start, secrets.in_file(file)).without_passwords().cut().visible()
    }

    /// Without the secrets that stand in it.
    fn masked(mut self, start: usize, secrets: &[Span]) -> Line {
        let end = start + self.text.len();
        // From the last to the first, so that the earlier ones stay where they are.
        for span in secrets.iter().rev().filter(|s| s.start < end && s.end > start) {
            self.replace(span.start.max(start) - start..span.end.min(end) - start, MASK);
        }
        self
    }

    /// Without the passwords of URLs, wherever they stand: in a line that is no TOML, or behind a misspelt name.
    fn without_passwords(mut self) -> Line {
        for (at, scheme) in self.text.clone().rmatch_indices("://") {
            let from = at + scheme.len();
            let authority = self.text[from..].split(['"', '\'', ' ', '\t']).next().unwrap_or_default();
            if let Some(end) = authority.rfind('@') {
                let start = authority[..end].find(':').map_or(0, |colon| colon + 1);
                self.replace(from + start..from + end, "***");
            }
        }
        self
    }

    fn replace(&mut self, hidden: Range<usize>, by: &str) {
        self.text.replace_range(hidden.clone(), by);
        let moved = |at: usize| match at {
            at if at >= hidden.end => at - hidden.len() + by.len(),
            at if at > hidden.start => hidden.start + by.len(),
            at => at,
        };
        self.word = moved(self.word.start)..moved(self.word.end);
    }

    /// The part around the word, where the line is very long.
    fn cut(self) -> Line {
        if self.text.len() <= LONGEST_LINE {
            return self;
        }
        const DOTS: &str = "...";
        let from = self.text.floor_char_boundary(self.word.start.saturating_sub(LONGEST_LINE / 3));
        let to = self.text.floor_char_boundary((from + LONGEST_LINE).min(self.text.len()));
        let before = if from > 0 { DOTS } else { "" };
        let after = if to < self.text.len() { DOTS } else { "" };
        let word_end = self.word.end.min(to).max(self.word.start);
        let moved = |at: usize| at - from + before.len();
        Line { text: format!("{before}{}{after}", &self.text[from..to]), word: moved(self.word.start)..moved(word_end) }
    }

    /// With a sign for each character that nobody can see: so wide as one, that the columns stay. Those of ASCII have signs of
    /// the renderer's.
    fn visible(mut self) -> Line {
        let sign = |c: char| if is_invisible(c) && !c.is_ascii() { char::REPLACEMENT_CHARACTER } else { c };
        let shown = |text: &str| text.chars().map(sign).collect::<String>();
        self.word = shown(&self.text[..self.word.start]).len()..shown(&self.text[..self.word.end]).len();
        self.text = shown(&self.text);
        self
    }
}

/// Where secrets stand in clear: they are shown in no line, whatever the problem of that line is.
struct Secrets(HashMap<*const SourceFile, Vec<Span>>);

impl Secrets {
    fn of(diagnostics: &Diagnostics) -> Secrets {
        let mut spans: HashMap<_, Vec<Span>> = HashMap::new();
        let clear = diagnostics.iter().filter(|d| d.problem.code == codes::CLEAR_SECRET);
        for place in clear.filter_map(|d| d.place.as_ref()) {
            spans.entry(Arc::as_ptr(&place.file)).or_default().push(place.span);
        }
        spans.values_mut().for_each(|spans| spans.sort());
        Secrets(spans)
    }

    fn in_file(&self, file: &Arc<SourceFile>) -> &[Span] {
        self.0.get(&Arc::as_ptr(file)).map_or(&[], Vec::as_slice)
    }
}

fn counted(Count { errors, warnings }: Count) -> String {
    let words = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        more => Some(format!("{more} {word}s")),
    };
    let parts: Vec<String> = [words(errors, "error"), words(warnings, "warning")].into_iter().flatten().collect();
    parts.join(", ")
}

fn json_of(diagnostic: &Diagnostic) -> Json {
    let problem = &diagnostic.problem;
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let start = diagnostic.place.as_ref().map(Place::line_column);
    let end = diagnostic.place.as_ref().map(|p| p.file.line_column(p.span.end.max(p.span.start)));
    let related = diagnostic.related.iter().map(|(place, word)| {
        let (line, column) = place.line_column();
        json!({ "word": word, "file": place.file.path, "line": line, "column": column })
    });
    json!({
        "code": problem.code.as_str(),
        "severity": severity,
        "message": problem.message,
        "help": problem.help,
        "file": diagnostic.place.as_ref().map(|p| p.file.path.as_str()),
        "line": start.map(|(line, _)| line),
        "column": start.map(|(_, column)| column),
        "end_line": end.map(|(line, _)| line),
        "end_column": end.map(|(_, column)| column),
        "label": diagnostic.label,
        "related": related.collect::<Vec<_>>(),
        "notes": diagnostic.notes,
    })
}

#[cfg(test)]
mod tests;
