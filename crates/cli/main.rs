//! The program `portcullis`: its command line, one file a command. What a command does to a configuration or a node stands in
//! `server`; here it is asked for, shown, and turned into an exit code.
//!
//! This is the only crate that may read the environment, print, and exit.

mod args;
mod check;
mod client;
mod cluster;
mod explain;
mod fmt;
mod init;
mod key;
mod kps;
mod later;
mod log;
mod log_json;
mod log_lines;
mod logs;
mod lsp;
mod output;
mod outside;
mod paths;
mod permute;
mod reload;
mod run;
mod schema;
mod sealed;
mod shipped;
mod status;
mod store_admin;
mod store_copy;
mod test;
mod token;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

use args::{CheckFormat, Cli, Command, Global};
use output::{Failure, Output};
use server::Records;
use server::admin::{Client, ClientError};

/// What a command ends in: its exit code, or what went wrong.
type Ended = Result<u8, Failure>;

fn main() -> ExitCode {
    let mut given = std::env::args_os();
    let name = given.next().unwrap_or_else(|| OsString::from("portcullis"));
    let permuted = permute::permute(given.collect(), &Cli::command());
    if let Some(failure) = later::refuse(&permuted) {
        let output = Output::new(permuted.iter().any(|arg| arg == "--json"));
        return ExitCode::from(output.failure(&failure));
    }
    let cli = Cli::command().try_get_matches_from(std::iter::once(name).chain(permuted)).and_then(|matches| {
        let mut cli = Cli::from_arg_matches(&matches)?;
        cli.global.dir_named = matches.value_source("dir") == Some(ValueSource::CommandLine);
        Ok(cli)
    });
    match cli {
        Ok(cli) => {
            let output = Output::new(cli.global.json || cli.command.prints_json());
            let ended = dispatch(cli, output);
            ExitCode::from(ended.unwrap_or_else(|failure| output.failure(&failure)))
        }
        // clap prints help on standard output (0) and wrong usage on standard error (2).
        Err(why) => {
            let _ = why.print();
            ExitCode::from(u8::try_from(why.exit_code()).unwrap_or(2))
        }
    }
}

fn dispatch(cli: Cli, output: Output) -> Ended {
    let global = &cli.global;
    match cli.command {
        Command::Run(args) => run::run(global, &args, output),
        Command::Check(args) => check::run(global, &args, output),
        Command::Test(args) => test::run(global, &args, output),
        Command::Explain(args) => explain::run(global, &args, output),
        Command::Schema(args) => schema::run(global, &args, output),
        Command::Fmt(args) => fmt::run(global, &args, output),
        Command::Lsp => lsp::run(global),
        Command::Init(args) => init::run(global, &args, output),
        Command::Reload(args) => reload::run(global, &args, output),
        Command::Status => status::run(global, output),
        Command::Client(command) => client::run(global, command, output),
        Command::User(command) => user::run(global, command, output),
        Command::Token(command) => token::run(global, command, output),
        Command::Key(command) => key::run(global, command, output),
        Command::Cluster(command) => cluster::run(global, command, output),
        Command::Log(command) => log::run(global, &command, output),
        Command::Store(command) => store_admin::run(global, command, output),
        Command::Kps(command) => kps::run(global, command, output),
    }
}

impl Command {
    /// Whether its own options say that standard output is JSON.
    fn prints_json(&self) -> bool {
        matches!(self, Command::Check(args) if args.format == Some(CheckFormat::Json))
    }
}

impl Global {
    /// What the node's code needs to know.
    fn options(&self) -> server::Options {
        server::Options {
            dir: self.dir.clone(),
            values: self.values.clone(),
            library: filters::LIBRARY,
            listen: None,
            admin: self.admin,
            tests: true,
            outside: std::sync::Arc::new(outside::Machine::new(&self.dir)),
        }
    }

    /// For commands that speak to no node.
    fn refuse_admin(&self) -> Result<(), Failure> {
        match self.admin {
            Some(_) => Err(Failure::usage("this command speaks to no running node: leave `--admin` out")),
            None => Ok(()),
        }
    }

    /// For commands that do not read the values.
    fn refuse_values(&self, why: &str) -> Result<(), Failure> {
        match self.values {
            Some(_) => Err(Failure::usage(format!("`--values` has no meaning here: {why}"))),
            None => Ok(()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        use ClientError::{NoAddress, NoToken, Refused, Unreachable};
        let failure = Failure::wrong(error.to_string());
        match error {
            Unreachable { .. } => {
                failure.with_help("start it with `portcullis run`, or name its admin address with `--admin`")
            }
            NoToken { .. } => {
                failure.with_help("name the node's configuration folder with `-c`; its first start makes the file")
            }
            NoAddress { .. } => failure.with_help("mend the file, or name the node's admin address with `--admin`"),
            Refused(refusal) => {
                let invalid = refusal.kind == server::admin::api::RefusalKind::Invalid;
                let failure = if invalid { failure.with_code(2) } else { failure };
                match refusal.help {
                    Some(help) => failure.with_help(help),
                    None => failure,
                }
            }
        }
    }
}

/// Runs a command that does one thing after another.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    logs::for_commands();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure::wrong(format!("no runtime: {why}")))?;
    Ok(runtime.block_on(work))
}

/// Runs a command that works on records: with the node, where `--admin` names one, else in the stores themselves.
fn on_records(global: &Global, output: Output, work: impl AsyncFnOnce(&Records) -> Ended) -> Ended {
    block_on(async {
        match node(global)? {
            Some(node) => work(&Records::Node(node)).await,
            None => match server::open_stores(&global.options()).await {
                Ok((stores, down)) => {
                    output.diagnostics_aside(&down);
                    work(&Records::Stores(Box::new(stores))).await
                }
                Err(diagnostics) => Ok(output.refused(&diagnostics)),
            },
        }
    })?
}

/// The running node, where `--admin` names one.
fn node(global: &Global) -> Result<Option<Client>, Failure> {
    let Some(address) = global.admin else { return Ok(None) };
    global.refuse_values("a running node has its own values")?;
    Ok(Some(Client::new(&global.dir, Some(address))?))
}
