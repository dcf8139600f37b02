//! `portcullis client`: the client application registry.

mod transfer;

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use server::Records;
use server::admin::ClientError;
use server::admin::api::{AddClient, ClientAdded, ClientView, RotateClient};

use crate::args::{AddArgs, ClientArgs, ClientCommand, ClientField, Global, OneClient, RotateArgs, SecretArgs};
use crate::output::{Failure, Output, shown, table, time};
use crate::outside::without_end;
use crate::{Ended, block_on, on_records, sealed};

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
    Add { request: Box<AddClient>, quiet: bool },
    Set { id: String, changes: Map<String, Value> },
    Rotate { id: String, request: RotateClient, quiet: bool },
    List,
    Show(String),
    Enable(String, bool),
    Delete(String),
    Reencrypt,
    Transfer(transfer::Work),
}

impl Work {
    fn prepare(command: ClientCommand, output: Output) -> Result<Work, Failure> {
        Ok(match command {
            ClientCommand::Add(args) => Work::Add { quiet: args.quiet, request: Box::new(add(*args, output)?) },
            ClientCommand::Set(args) => Work::Set { id: args.id, changes: changes(args.said, &args.unset)? },
            ClientCommand::Rotate(args) => {
                let RotateArgs { id, keep, auth_method, secret, quiet } = args;
                let request = RotateClient {
                    client_secret: chosen(secret, output)?,
                    keep_old_seconds: keep.as_secs(),
                    token_endpoint_auth_method: auth_method,
                };
                Work::Rotate { id, request, quiet }
            }
            ClientCommand::List => Work::List,
            ClientCommand::Show(OneClient { id }) => Work::Show(id),
            ClientCommand::Enable(OneClient { id }) => Work::Enable(id, true),
            ClientCommand::Disable(OneClient { id }) => Work::Enable(id, false),
            ClientCommand::Delete(OneClient { id }) => Work::Delete(id),
            ClientCommand::Reencrypt => Work::Reencrypt,
            ClientCommand::Export(args) => Work::Transfer(transfer::Work::export(args, output)?),
            ClientCommand::Import(args) => Work::Transfer(transfer::Work::import(args)?),
            ClientCommand::Hash(_) => return Err(Failure::wrong("`client hash` needs no records")),
        })
    }

    async fn run(self, records: &Records, output: Output) -> Ended {
        match self {
            Work::Add { request, quiet } => {
                let registered = records.add_client(&request).await?;
                warn(&registered.client, output);
                added(&registered, quiet, output);
            }
            Work::Set { id, changes } => {
                let client = records.set_client(&id, &changes).await?;
                warn(&client, output);
                output.json(&client);
                output.line(table(&rows(&client)));
            }
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
            Work::Reencrypt => {
                return Ok(sealed::tell(
                    &records.reencrypt_clients().await?,
                    "clients that sign by their secrets",
                    output,
                ));
            }
            Work::Transfer(work) => return work.run(records, output).await,
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
    let said = &args.said;
    let public = said.auth_method.as_deref() == Some("none");
    if said.grants.is_empty() && said.introspect.is_empty() {
        output.note("note: without `--grant` the client gets no token");
    }
    let client_secret = chosen(args.secret, output)?;
    if public && client_secret.is_some() {
        return Err(Failure::usage("a public client (`--auth-method none`) has no secret"));
    }
    let settings = serde_json::from_value(Value::Object(said_of(args.said)?));
    let settings = settings.map_err(|why| Failure::usage(why.to_string()))?;
    Ok(AddClient { client_id: args.id, client_secret, settings })
}

/// What changes: what is said, and null for what is taken off.
fn changes(said: ClientArgs, unset: &[ClientField]) -> Result<Map<String, Value>, Failure> {
    let mut changes = said_of(said)?;
    for field in unset {
        if changes.insert(name(*field).to_owned(), Value::Null).is_some() {
            return Err(Failure::usage(format!("`{}` is both set and unset", name(*field))));
        }
    }
    if changes.is_empty() {
        let help = "`portcullis client set --help` lists what can be";
        return Err(Failure::usage("there is nothing to change").with_help(help));
    }
    Ok(changes)
}

/// What the options say of a client, by the names of RFC 7591.
fn said_of(args: ClientArgs) -> Result<Map<String, Value>, Failure> {
    let jwks = args.jwks.map(|file| {
        let text = from_file(&file)?;
        serde_json::from_str::<Value>(&text)
            .map_err(|why| Failure::usage(format!("`{}` is no JSON: {why}", file.display())))
    });
    let list = |list: Vec<String>| (!list.is_empty()).then(|| Value::from(list));
    let scopes = |list: Vec<String>| (!list.is_empty()).then(|| Value::from(list.join(" ")));
    let text = |text: Option<String>| text.map(Value::from);
    let tags: Map<String, Value> = args.tags.into_iter().map(|(name, value)| (name, value.into())).collect();
    let said = [
        (ClientField::Name, text(args.name)),
        (ClientField::Grants, list(args.grants)),
        (ClientField::Scope, scopes(args.scope)),
        (ClientField::DefaultScope, scopes(args.default_scope)),
        (ClientField::AuthMethod, text(args.auth_method)),
        (ClientField::Introspect, list(args.introspect)),
        (ClientField::RedirectUris, list(args.redirect_uris)),
        (ClientField::PostLogoutRedirectUris, list(args.post_logout_redirect_uris)),
        (ClientField::ApplicationType, text(args.application_type)),
        (ClientField::ClientUri, text(args.client_uri)),
        (ClientField::LogoUri, text(args.logo_uri)),
        (ClientField::TosUri, text(args.tos_uri)),
        (ClientField::PolicyUri, text(args.policy_uri)),
        (ClientField::Contacts, list(args.contacts)),
        (ClientField::Jwks, jwks.transpose()?),
        (ClientField::JwksUri, text(args.jwks_uri)),
        (ClientField::SoftwareId, text(args.software_id)),
        (ClientField::SoftwareVersion, text(args.software_version)),
        (ClientField::Description, text(args.description)),
        (ClientField::Owner, text(args.owner)),
        (ClientField::Tags, (!tags.is_empty()).then_some(Value::Object(tags))),
    ];
    Ok(said.into_iter().filter_map(|(field, value)| Some((name(field).to_owned(), value?))).collect())
}

/// The name of RFC 7591, where there is one.
fn name(field: ClientField) -> &'static str {
    match field {
        ClientField::Name => "client_name",
        ClientField::Grants => "grant_types",
        ClientField::Scope => "scope",
        ClientField::DefaultScope => "default_scope",
        ClientField::AuthMethod => "token_endpoint_auth_method",
        ClientField::Introspect => "introspect",
        ClientField::RedirectUris => "redirect_uris",
        ClientField::PostLogoutRedirectUris => "post_logout_redirect_uris",
        ClientField::ApplicationType => "application_type",
        ClientField::ClientUri => "client_uri",
        ClientField::LogoUri => "logo_uri",
        ClientField::TosUri => "tos_uri",
        ClientField::PolicyUri => "policy_uri",
        ClientField::Contacts => "contacts",
        ClientField::Jwks => "jwks",
        ClientField::JwksUri => "jwks_uri",
        ClientField::SoftwareId => "software_id",
        ClientField::SoftwareVersion => "software_version",
        ClientField::Description => "description",
        ClientField::Owner => "owner",
        ClientField::Tags => "tags",
    }
}

/// What is allowed, and probably not what was meant.
fn warn(client: &ClientView, output: Output) {
    let said = &client.settings;
    let public = said.token_endpoint_auth_method.as_deref() == Some("none");
    // Devices need none (RFC 8628).
    let device = said.grant_types.iter().any(|grant| grant.ends_with(":device_code"));
    if public && said.metadata.redirect_uris.is_empty() && !device {
        output.note("warning: a public client without a redirect URI gets no code, and so no token: `--redirect-uri`");
    }
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
            dash(client.settings.grant_types.join(",")),
            dash(client.settings.scope.clone()),
            shown(client.settings.client_name.as_deref().unwrap_or_default()),
        ]
    }));
    output.line(table(&rows));
    Ok(())
}

fn rows(client: &ClientView) -> Vec<Vec<String>> {
    let said = &client.settings;
    let mut rows = vec![("client_id", client.client_id.clone())];
    rows.extend(said.client_name.clone().map(|name| ("name", name)));
    rows.push(("state", state(client).to_owned()));
    rows.push(("grants", dash(said.grant_types.join(" "))));
    rows.push(("scope", dash(said.scope.clone())));
    rows.extend(said.default_scope.clone().map(|scope| ("default_scope", dash(scope))));
    rows.push((
        "auth_method",
        said.token_endpoint_auth_method.clone().unwrap_or_else(|| String::from("as the policy lists")),
    ));
    rows.push((
        "introspect",
        if said.introspect.is_empty() { String::from("its own tokens") } else { said.introspect.join(" ") },
    ));
    let told = &said.metadata;
    rows.extend(told.redirect_uris.iter().map(|uri| ("redirect_uri", uri.clone())));
    rows.extend(told.post_logout_redirect_uris.iter().map(|uri| ("post_logout_redirect_uri", uri.clone())));
    rows.extend(told.contacts.iter().map(|contact| ("contact", contact.clone())));
    let texts = [
        ("application_type", &told.application_type),
        ("client_uri", &told.client_uri),
        ("logo_uri", &told.logo_uri),
        ("tos_uri", &told.tos_uri),
        ("policy_uri", &told.policy_uri),
        ("jwks_uri", &told.jwks_uri),
        ("software_id", &told.software_id),
        ("software_version", &told.software_version),
        ("description", &said.notes.description),
        ("owner", &said.notes.owner),
    ];
    rows.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
    let keys = told.jwks.as_ref().map(|jwks| jwks["keys"].as_array().map_or(0, Vec::len));
    rows.extend(keys.map(|keys| ("jwks", format!("{keys} public keys"))));
    rows.extend(said.notes.tags.iter().map(|(name, value)| ("tag", format!("{name}={value}"))));
    rows.push(("secrets", format!("{} valid", client.secrets)));
    // One that is written in a file says nothing of it.
    if client.client_id_issued_at > 0 {
        rows.push(("created", time(client.client_id_issued_at)));
    }
    if client.self_registered {
        rows.push(("registered", String::from("by itself")));
    }
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), shown(&value)]).collect()
}

fn state(client: &ClientView) -> &'static str {
    if client.enabled { "enabled" } else { "disabled" }
}

fn dash(text: String) -> String {
    if text.is_empty() { String::from("-") } else { shown(&text) }
}
