//! Options before the command words: `portcullis --listen 127.0.0.1:0 run` means `portcullis run --listen 127.0.0.1:0`.
//!
//! clap takes an option only after the word of the command it belongs to. So the command words are moved to the front, and
//! everything else keeps its order.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use clap::Command;

/// The arguments (the program's own name excluded) with the command words first. Where there is an option that no command
/// has, they stay as they are: clap then names that option.
pub(crate) fn permute(args: Vec<OsString>, root: &Command) -> Vec<OsString> {
    let mut takes_value = HashMap::from([(String::from("--help"), false), (String::from("-h"), false)]);
    takes_value.extend([(String::from("--version"), false), (String::from("-V"), false)]);
    collect(root, &mut takes_value);

    let mut words = Vec::new();
    let mut rest = Vec::new();
    let mut command = Some(root);
    let mut given = args.iter();
    while let Some(arg) = given.next() {
        match option(arg) {
            Some("--") => {
                rest.push(arg.clone());
                rest.extend(given.by_ref().cloned());
            }
            Some(name) => {
                let Some(value) = takes_value.get(name) else { return args };
                rest.push(arg.clone());
                if *value && arg.to_str() == Some(name) {
                    rest.extend(given.next().cloned());
                }
            }
            None => match command.filter(|c| c.has_subcommands()) {
                // A word that is no command goes to the front too: clap then says that it is none.
                Some(here) => {
                    words.push(arg.clone());
                    command = arg.to_str().and_then(|word| here.find_subcommand(word));
                }
                None => rest.push(arg.clone()),
            },
        }
    }
    words.extend(rest);
    words
}

/// The option's name (`--listen`, `-c`), or `None` for a plain word and for `-`.
fn option(arg: &OsStr) -> Option<&str> {
    let text = arg.to_str()?;
    if text.starts_with("--") {
        return text.split('=').next();
    }
    let letter = text.strip_prefix('-')?.chars().next()?;
    text.get(..1 + letter.len_utf8())
}

fn collect(command: &Command, takes_value: &mut HashMap<String, bool>) {
    for arg in command.get_arguments().filter(|a| !a.is_positional()) {
        let value = arg.get_action().takes_values();
        takes_value.extend(arg.get_long().map(|long| (format!("--{long}"), value)));
        takes_value.extend(arg.get_short().map(|short| (format!("-{short}"), value)));
    }
    for sub in command.get_subcommands() {
        collect(sub, takes_value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    fn permuted(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        permute(args, &Cli::command()).iter().map(|a| a.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn command_words_come_first_and_the_rest_keeps_its_order() {
        for (given, expected) in [
            ("run --listen 127.0.0.1:0", "run --listen 127.0.0.1:0"),
            ("--listen 127.0.0.1:0 run", "run --listen 127.0.0.1:0"),
            ("--listen=127.0.0.1:0 run", "run --listen=127.0.0.1:0"),
            ("-c client client list", "client list -c client"),
            ("-cclient client list", "client list -cclient"),
            ("client --id add add", "client add --id add"),
            ("--keep 1h client --json rotate app", "client rotate --keep 1h --json app"),
            ("--json token inspect -", "token inspect --json -"),
            ("client show -- --odd", "client show -- --odd"),
            ("--help client", "client --help"),
            ("--json graph x", "graph --json x"),
            ("store --json copy --from a", "store copy --json --from a"),
            ("store --json verify --against a", "store --json verify --against a"),
        ] {
            assert_eq!(permuted(given), expected, "{given}");
        }
    }

    #[test]
    fn an_unknown_option_leaves_all_as_it_is() {
        assert_eq!(permuted("--lisen 127.0.0.1:0 run"), "--lisen 127.0.0.1:0 run");
    }

    #[test]
    fn an_option_means_the_same_everywhere() {
        fn check(command: &Command, known: &mut HashMap<String, bool>) {
            let mut own = HashMap::new();
            collect(&command.clone().subcommands(Vec::<Command>::new()), &mut own);
            for (name, value) in own {
                assert_eq!(
                    *known.entry(name.clone()).or_insert(value),
                    value,
                    "{name} takes a value here and none there"
                );
            }
            command.get_subcommands().for_each(|sub| check(sub, known));
        }
        check(&Cli::command(), &mut HashMap::new());
        Cli::command().debug_assert();
    }
}
