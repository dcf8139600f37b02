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
    ("store verify", "`portcullis cluster verify`"),
];

/// What to say to a command line whose command words are these of a later version.
pub(crate) fn refuse(args: &[OsString]) -> Option<Failure> {
    let word = |at: usize| args.get(at).and_then(|arg| arg.to_str()).unwrap_or_default();
    let two = format!("{} {}", word(0), word(1));
    let (name, help) = LATER.iter().find(|(later, _)| *later == word(0) || *later == two)?;
    Some(Failure::usage(format!("`{name}` is not there yet")).with_help(*help))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_is_there_is_not_refused() {
        let commands = Cli::command();
        for (later, _) in LATER {
            let mut at = Some(&commands);
            for word in later.split(' ') {
                at = at.and_then(|command| command.get_subcommands().find(|sub| sub.get_name() == word));
            }
            assert!(at.is_none(), "`{later}` is a command");
        }
    }
}
