//! `portcullis client`: the client application registry.

use std::io::Read;
use std::path::Path;

use server::Records;
use server::admin::ClientError;
use server::admin::api::{AddClient, ClientAdded, ClientView, RotateClient};

use crate::args::{AddArgs, ClientCommand, Global, OneClient, RotateArgs, SecretArgs};
use crate::output::{Failure, Output, shown, table, time};
use crate::outside::without_end;
use crate::{Ended, block_on, on_records};

/// How many clients one request asks for.
const PAGE: usize = 500;

pub(crate) fn run(global: &Global, command: ClientCommand, output: Output) -> Ended {
    if let ClientCommand::Hash(args) = command {
        return hash(args, output);
    }
    // What is wrong with the command line is said before any store is opened.
    let work = Work::prepare(command, output)?;
    on_records(global, output, async |records| work.run(records, output).await)
}

/// A command whose options are read.
enum Work {
    Add { request: AddClient, quiet: bool },
    Rotate { id: String, request: RotateClient, quiet: bool },
    List,
    Show(String),
    Enable(String, bool),
    Delete(String),
}

impl Work {
    fn prepare(command: ClientCommand, output: Output) -> Result<Work, Failure> {
        Ok(match command {
            ClientCommand::Add(args) => Work::Add { quiet: args.quiet, request: add(args, output)? },
            ClientCommand::Rotate(args) => {
                let RotateArgs { id, keep, secret, quiet } = args;
                let request = RotateClient { client_secret: chosen(secret, output)?, keep_old_seconds: keep.as_secs() };
                Work::Rotate { id, request, quiet }
            }
            ClientCommand::List => Work::List,
            ClientCommand::Show(OneClient { id }) => Work::Show(id),
            ClientCommand::Enable(OneClient { id }) => Work::Enable(id, true),
            ClientCommand::Disable(OneClient { id }) => Work::Enable(id, false),
            ClientCommand::Delete(OneClient { id }) => Work::Delete(id),
            ClientCommand::Hash(_) => return Err(Failure::wrong("`client hash` needs no records")),
        })
    }

    async fn run(self, records: &Records, output: Output) -> Ended {
        match self {
            Work::Add { request, quiet } => added(&records.add_client(&request).await?, quiet, output),
            Work::Rotate { id, request, quiet } => added(&records.rotate_client(&id, &request).await?, quiet, output),
            Work::List => list(records, output).await?,
            Work::Show(id) => {
                let client = records.show_client(&id).await?;
                output.json(&client);
                output.line(table(&rows(&client)));
            }
            Work::Enable(id, enabled) => {
                let client = records.enable_client(&id, enabled).await?;
                output.json(&client);
                let word =
                    if client.enabled { "enabled" } else { "disabled: no new token, and its tokens are refused" };
                output.line(format_args!("client `{}` is {word}", shown(&client.client_id)));
            }
            Work::Delete(id) => {
                let done = records.delete_client(&id).await?;
                output.json(&done);
                output.line(shown(&done.done));
            }
        }
        Ok(0)
    }
}

/// A secret and its hash: it needs no store.
fn hash(args: SecretArgs, output: Output) -> Ended {
    let chosen = chosen(args, output)?;
    let hashed = block_on(server::hash_secret(chosen.as_deref()))?.map_err(ClientError::Refused)?;
    output.json(&hashed);
    let secret = hashed.client_secret.map(|secret| vec![String::from("client_secret"), secret]);
    let hash = vec![String::from("secret_hash"), hashed.secret_hash];
    output.line(table(&secret.into_iter().chain([hash]).collect::<Vec<_>>()));
    Ok(0)
}

fn add(args: AddArgs, output: Output) -> Result<AddClient, Failure> {
    let public = args.auth_method.as_deref() == Some("none");
    if args.grants.is_empty() && args.introspect.is_empty() {
        output.note("note: without `--grant` the client gets no token");
    }
    let client_secret = chosen(args.secret, output)?;
    if public && client_secret.is_some() {
        return Err(Failure::usage("a public client (`--auth-method none`) has no secret"));
    }
    Ok(AddClient {
        client_id: args.id,
        client_name: args.name,
        grant_types: args.grants,
        scope: args.scope.join(" "),
        client_secret,
        token_endpoint_auth_method: args.auth_method,
        introspect: args.introspect,
    })
}

/// The secret that somebody chose, if any.
fn chosen(args: SecretArgs, output: Output) -> Result<Option<String>, Failure> {
    let text = match args {
        SecretArgs { secret: Some(secret), .. } => {
            output.note("warning: others on this machine can see a secret on the command line; rather --secret-stdin or --secret-file");
            secret
        }
        SecretArgs { secret_stdin: true, .. } => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|why| Failure::usage(format!("standard input: {why}")))?;
            text
        }
        SecretArgs { secret_file: Some(file), .. } => from_file(&file)?,
        SecretArgs { .. } => return Ok(None),
    };
    match without_end(&text) {
        "" => Err(Failure::usage("the chosen secret is empty")),
        secret => Ok(Some(secret.to_owned())),
    }
}

fn from_file(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|why| Failure::usage(format!("`{}`: {why}", file.display())))
}

fn added(added: &ClientAdded, quiet: bool, output: Output) {
    if quiet {
        output.line(added.client_secret.as_deref().unwrap_or_default());
        return;
    }
    output.json(added);
    let mut rows = rows(&added.client);
    if let Some(secret) = &added.client_secret {
        rows.insert(1, vec![String::from("client_secret"), secret.clone()]);
    }
    output.line(table(&rows));
    if added.client_secret.is_some() {
        output.line("The secret is shown this once: only a hash of it is kept.");
    }
    if let Some(until) = added.old_secrets_expire_at {
        output.line(format_args!("The secrets before stay valid until {}.", time(until)));
    }
}

async fn list(records: &Records, output: Output) -> Result<(), Failure> {
    let mut clients = Vec::new();
    let mut after = None;
    loop {
        let page = records.list_clients(after.as_deref(), PAGE).await?;
        clients.extend(page.clients);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    output.json(&clients);
    if clients.is_empty() {
        output.line("there are no clients");
        return Ok(());
    }
    let mut rows = vec![["CLIENT", "STATE", "GRANTS", "SCOPE", "NAME"].map(String::from).to_vec()];
    rows.extend(clients.iter().map(|client| {
        vec![
            shown(&client.client_id),
            state(client).to_owned(),
            dash(client.grant_types.join(",")),
            dash(client.scope.clone()),
            shown(client.client_name.as_deref().unwrap_or_default()),
        ]
    }));
    output.line(table(&rows));
    Ok(())
}

fn rows(client: &ClientView) -> Vec<Vec<String>> {
    let mut rows = vec![("client_id", client.client_id.clone())];
    rows.extend(client.client_name.clone().map(|name| ("name", name)));
    rows.push(("state", state(client).to_owned()));
    rows.push(("grants", dash(client.grant_types.join(" "))));
    rows.push(("scope", dash(client.scope.clone())));
    rows.push((
        "auth_method",
        client.token_endpoint_auth_method.clone().unwrap_or_else(|| String::from("as the policy lists")),
    ));
    rows.push((
        "introspect",
        if client.introspect.is_empty() { String::from("its own tokens") } else { client.introspect.join(" ") },
    ));
    rows.push(("secrets", format!("{} valid", client.secrets)));
    // One that is written in a file says nothing of it.
    if client.client_id_issued_at > 0 {
        rows.push(("created", time(client.client_id_issued_at)));
    }
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), shown(&value)]).collect()
}

fn state(client: &ClientView) -> &'static str {
    if client.enabled { "enabled" } else { "disabled" }
}

fn dash(text: String) -> String {
    if text.is_empty() { String::from("-") } else { shown(&text) }
}
