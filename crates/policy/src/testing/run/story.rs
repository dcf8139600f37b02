//! What came, and the way it took beside the lines of the files, for whoever reads a failure.

use super::Run;
use super::came::Came;
use crate::engine::ExplainedStep;

/// So much of a body is shown, and so many of its lines.
const LONGEST: usize = 600;
const MOST_LINES: usize = 12;

/// So much of a line of a file is shown, and so many steps.
const WIDEST: usize = 64;
const MOST_STEPS: usize = 40;

/// The notes of a failure.
pub(super) fn notes(run: &Run<'_>, came: &Came) -> Vec<String> {
    let mut notes = vec![answer(came), way(run, came)];
    notes.extend(upstreams(came));
    notes
}

fn answer(came: &Came) -> String {
    let mut text = format!("what came: {}", came.status);
    let body = String::from_utf8_lossy(&came.body);
    let shown: String = body.chars().take(LONGEST).collect();
    let mut lines = shown.lines();
    for line in lines.by_ref().take(MOST_LINES) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if lines.next().is_some() || shown.len() < body.len() {
        text.push_str("\n  ...");
    }
    text
}

fn upstreams(came: &Came) -> Option<String> {
    let mut text = String::new();
    for (upstream, received) in &came.received {
        for request in received {
            text.push_str(&format!("\n  {upstream}: {} {} -> {}", request.method, request.target, request.met));
        }
    }
    (!text.is_empty()).then(|| format!("what reached upstreams:{text}"))
}

/// The steps that ran, under the file of each, with the number and the text of its line.
fn way(run: &Run<'_>, came: &Came) -> String {
    if came.decision.steps.is_empty() {
        return String::from("no filter ran");
    }
    let lines: Vec<Line<'_>> = came.decision.steps.iter().take(MOST_STEPS).map(|step| Line::new(run, step)).collect();
    let digits = lines.iter().map(|line| line.number.len()).max().unwrap_or(0);
    let width = lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0);
    let mut text = String::from("the way it took:");
    let mut file = "";
    for line in &lines {
        if line.file != file {
            file = line.file;
            text.push_str(&format!("\n  {file}"));
        }
        text.push_str(&format!("\n  {:>digits$} | {:width$}  {}", line.number, line.text, line.outcome));
    }
    if came.decision.steps.len() > lines.len() {
        text.push_str(&format!("\n  ... and {} more", came.decision.steps.len() - lines.len()));
    }
    text
}

struct Line<'a> {
    file: &'a str,
    number: &'a str,
    text: String,
    outcome: String,
}

impl<'a> Line<'a> {
    fn new(run: &Run<'_>, step: &'a ExplainedStep) -> Self {
        let (file, number) = step.place.rsplit_once(':').unwrap_or((&step.place, ""));
        let source = run.files.files.get(file).zip(number.parse().ok());
        let source = source.map_or("", |(file, number): (_, usize)| file.line(number).trim());
        let mut text = "  ".repeat(usize::from(step.depth.min(8)));
        text.extend(source.chars().take(WIDEST));
        if source.chars().nth(WIDEST).is_some() {
            text.push_str("...");
        }
        // A step of that name is what tests and logs say; the line says it where it has no other.
        if !source.contains(step.filter.as_str()) {
            text.push_str(&format!("  # {}", step.filter));
        }
        let outcome = match &step.reason {
            Some(reason) => format!("{} ({reason})", step.outcome),
            None => step.outcome.to_owned(),
        };
        Line { file, number, text, outcome }
    }
}
