//! Parts to lines, and lines to text.

use unicode_width::UnicodeWidthStr;

use super::WIDTH;
use super::tree::{Comment, Entry, Group, Part, Value};

/// A longer name is not waited for: its `=` stands one blank behind it, and the others' where they would be without it.
const LONGEST_NAME: usize = 40;

/// Deeper by so much stand the entries of a list that is written over lines.
const STEP: usize = 4;

/// The text of a file.
pub(super) fn text(parts: &[Part]) -> String {
    let mut writer = Writer { lines: Vec::new() };
    writer.block(parts, 0, "");
    align_comments(&mut writer.lines);
    let mut text = String::new();
    for line in &writer.lines {
        text.push_str(&line.content);
        if let Some((column, comment)) = &line.comment {
            text.extend(std::iter::repeat_n(' ', column.saturating_sub(line.width())));
            text.push_str(comment);
        }
        text.push('\n');
    }
    text
}

/// A line; a text of several lines makes its content have several, too.
#[derive(Default)]
struct Line {
    content: String,
    /// What stands behind it, and in which column.
    comment: Option<(usize, String)>,
    /// Where its content would begin.
    indent: usize,
}

impl Line {
    fn width(&self) -> usize {
        self.content.rsplit('\n').next().map_or(0, UnicodeWidthStr::width)
    }
}

/// Comments at the ends of lines that follow each other stand in one column: the furthest that one of them was put in, or right
/// behind the longest line.
fn align_comments(lines: &mut [Line]) {
    let long = |line: &Line| line.width() > WIDTH;
    let mut at = 0;
    while at < lines.len() {
        let run = match &lines[at..] {
            [first, ..] if first.comment.is_none() || long(first) => 1,
            rest => rest.iter().take_while(|line| line.comment.is_some() && !long(line)).count(),
        };
        let lines = &mut lines[at..at + run];
        at += run;
        // It goes on with a comment whose line has become too long to stand together with it.
        if lines[0].content.is_empty()
            && let Some((_, comment)) = lines[0].comment.take()
        {
            lines[0].content = " ".repeat(lines[0].indent) + &comment;
            at -= run - 1;
            continue;
        }
        let behind = lines.iter().map(|line| line.width() + 1).max().unwrap_or_default();
        let stood = lines.iter().filter_map(|line| line.comment.as_ref()).map(|(column, _)| *column);
        let column = stood.filter(|column| *column <= WIDTH).max().unwrap_or_default().max(behind);
        for line in lines {
            if let Some((at, _)) = &mut line.comment {
                *at = column;
            }
        }
    }
}

struct Writer {
    lines: Vec<Line>,
}

impl Writer {
    /// Each part on a line of its own, `comma` behind each entry.
    fn block(&mut self, parts: &[Part], indent: usize, comma: &str) {
        let parts = spaced(parts);
        for (part, width) in parts.iter().zip(name_widths(&parts)) {
            let Some(part) = part else {
                self.lines.push(Line::default());
                continue;
            };
            self.lines.push(Line { content: " ".repeat(indent), comment: None, indent });
            match part {
                Part::Blank => {}
                Part::Comment(comment) if comment.continues => {
                    self.line().content.clear();
                    self.comment(comment);
                }
                Part::Comment(comment) => self.push(&comment.text),
                Part::Header { text, comment } => {
                    self.push(text);
                    comment.iter().for_each(|comment| self.comment(comment));
                }
                Part::Entry(entry) => {
                    if let Some(key) = &entry.key {
                        self.push(key);
                        self.push(&" ".repeat(width.saturating_sub(key.width())));
                        self.push(" = ");
                    }
                    self.value(&entry.value, indent, true);
                    self.push(comma);
                    entry.comment.iter().for_each(|comment| self.comment(comment));
                }
            }
        }
    }

    /// A value behind what its line has already; `breaks` where it may be broken to keep the line short.
    fn value(&mut self, value: &Value, indent: usize, breaks: bool) {
        let is_list = matches!(value, Value::List(_));
        if let Some(flat) = flat(value)
            && !(is_list && breaks && self.line().width() + flat.width() > WIDTH)
        {
            return self.push(&flat);
        }
        match value {
            Value::Scalar(text) => self.push(text),
            Value::List(group) => self.over_lines(group, "[", "]", indent),
            Value::Table(group) if is_over_lines(group) => self.over_lines(group, "{", "}", indent),
            // One line but for a list in it.
            Value::Table(group) => {
                for (index, entry) in entries(group).enumerate() {
                    self.push(if index == 0 { "{ " } else { ", " });
                    self.push(entry.key.as_deref().unwrap_or_default());
                    self.push(" = ");
                    self.value(&entry.value, indent, false);
                }
                self.push(" }");
            }
        }
    }

    fn over_lines(&mut self, group: &Group, open: &str, close: &str, indent: usize) {
        self.push(open);
        self.block(&group.parts, indent + STEP, ",");
        self.lines.push(Line { content: " ".repeat(indent) + close, comment: None, indent });
    }

    /// The line that is being written.
    fn line(&mut self) -> &mut Line {
        if self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }

    fn push(&mut self, text: &str) {
        self.line().content.push_str(text);
    }

    fn comment(&mut self, comment: &Comment) {
        self.line().comment = Some((if comment.tight { 0 } else { comment.column }, comment.text.clone()));
    }
}

/// The parts with the blank lines that belong between them, as nothing: one at most, none at the ends and below a header, and one
/// above each header and the comments that stand right above it.
fn spaced(parts: &[Part]) -> Vec<Option<&Part>> {
    let mut spaced: Vec<Option<&Part>> = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Blank => {
                if !matches!(spaced.last(), None | Some(None | Some(Part::Header { .. }))) {
                    spaced.push(None);
                }
                continue;
            }
            Part::Header { .. } => {
                let own = |part: &&Option<&Part>| matches!(part, Some(Part::Comment(comment)) if !comment.continues);
                let above = spaced.len() - spaced.iter().rev().take_while(own).count();
                if above > 0 && spaced[above - 1].is_some() {
                    spaced.insert(above, None);
                }
            }
            Part::Comment(_) | Part::Entry(_) => {}
        }
        spaced.push(Some(part));
    }
    if let Some(None) = spaced.last() {
        spaced.pop();
    }
    spaced
}

/// How wide the names are that stand below each other, for each part: up to a blank line or a header.
fn name_widths(parts: &[Option<&Part>]) -> Vec<usize> {
    let mut widths = vec![0; parts.len()];
    let mut start = 0;
    for run in parts.split_inclusive(|part| matches!(part, None | Some(Part::Header { .. }))) {
        let names = run.iter().filter_map(|part| match part {
            Some(Part::Entry(Entry { key: Some(key), .. })) => Some(key.width()),
            _ => None,
        });
        let widest = names.filter(|width| *width <= LONGEST_NAME).max().unwrap_or_default();
        widths[start..start + run.len()].fill(widest);
        start += run.len();
    }
    widths
}

fn entries(group: &Group) -> impl Iterator<Item = &Entry> {
    group.parts.iter().filter_map(|part| match part {
        Part::Entry(entry) => Some(entry),
        _ => None,
    })
}

/// Whether it has to stand over lines: it did, or has comments, which end a line.
fn is_over_lines(group: &Group) -> bool {
    let comment = |part: &Part| match part {
        Part::Comment(_) => true,
        Part::Entry(entry) => entry.comment.is_some(),
        _ => false,
    };
    group.parts.iter().any(comment) || (group.over_lines && entries(group).next().is_some())
}

/// The value in one line, where it can stand so.
fn flat(value: &Value) -> Option<String> {
    let (group, [open, close]) = match value {
        Value::Scalar(text) => return (!text.contains('\n')).then(|| text.clone()),
        Value::List(group) => (group, ["[", "]"]),
        Value::Table(group) => (group, ["{ ", " }"]),
    };
    if is_over_lines(group) {
        return None;
    }
    let entry = |entry: &Entry| {
        let value = flat(&entry.value)?;
        Some(entry.key.as_ref().map_or(value.clone(), |key| format!("{key} = {value}")))
    };
    let entries: Vec<String> = entries(group).map(entry).collect::<Option<_>>()?;
    match entries.is_empty() {
        true => Some(format!("{open}{close}").replace(' ', "")),
        false => Some(format!("{open}{}{close}", entries.join(", "))),
    }
}
