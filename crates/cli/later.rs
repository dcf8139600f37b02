//! Words of commands that a later version has: said plainly, not "unknown".

use std::ffi::OsString;

use crate::output::Failure;

/// Command, and what helps until it is there.
const LATER: &[(&str, &str)] = &[
    ("graph", "`portcullis check` names every path that is wrong"),
    ("trace", "the access log has each request's decision"),
    ("diff", "`portcullis reload` prints what changed"),
    ("plan", "`portcullis check` says what is wrong, `portcullis reload` what changed"),
    ("top", "`portcullis status`, and /metrics on the admin address"),
    ("key", "this version signs nothing"),
    ("user", "this version has clients only"),
    ("store verify", "`portcullis cluster verify`"),
];

/// What to say to a command line whose command words are these of a later version.
pub(crate) fn refuse(args: &[OsString]) -> Option<Failure> {
    let word = |at: usize| args.get(at).and_then(|arg| arg.to_str()).unwrap_or_default();
    let two = format!("{} {}", word(0), word(1));
    let (name, help) = LATER.iter().find(|(later, _)| *later == word(0) || *later == two)?;
    Some(Failure::usage(format!("`{name}` is not there yet")).with_help(*help))
}
