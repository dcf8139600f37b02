//! `portcullis user`: the people who may log in.

use server::Records;
use server::admin::ClientError;
use server::admin::api::users::{AddUser, SetPassword, SetUser, UserAdded, UserView};

use crate::args::{ClaimArgs, Global, OneUser, PasswordArgs, SetPasswordArgs, SetUserArgs, UserArgs, UserCommand};
use crate::output::{Failure, Output, shown, table, time};
use crate::outside::{from_file, from_stdin};
use crate::{Ended, block_on, on_records};

/// How many users one request asks for.
const PAGE: usize = 500;

pub(crate) fn run(global: &Global, command: UserCommand, output: Output) -> Ended {
    if let UserCommand::Hash(args) = command {
        return hash(args, output);
    }
    // What is wrong with the command line is said before any store is opened.
    let work = Work::prepare(command)?;
    on_records(global, output, async |records| work.run(records, output).await)
}

/// A command whose options are read.
enum Work {
    Add { request: AddUser, quiet: bool },
    SetPassword { name: String, request: SetPassword, quiet: bool },
    Set { name: String, request: SetUser },
    List,
    Show(String),
    Enable(String, bool),
    Unlock(String),
    Delete(String),
}

impl Work {
    fn prepare(command: UserCommand) -> Result<Work, Failure> {
        Ok(match command {
            UserCommand::Add(UserArgs { user, claims, password, quiet }) => {
                let request = AddUser { name: user, password: chosen(password)?, claims: known(claims) };
                Work::Add { request, quiet }
            }
            UserCommand::SetPassword(SetPasswordArgs { user, password, quiet }) => {
                Work::SetPassword { name: user, request: SetPassword { password: chosen(password)? }, quiet }
            }
            UserCommand::Set(SetUserArgs { user, claims }) => {
                let claims = known(claims);
                if claims.is_empty() {
                    return Err(Failure::usage("there is nothing to set: `--email`, `--name` or `--claim`"));
                }
                Work::Set { name: user, request: SetUser { claims } }
            }
            UserCommand::List => Work::List,
            UserCommand::Show(OneUser { user }) => Work::Show(user),
            UserCommand::Enable(OneUser { user }) => Work::Enable(user, true),
            UserCommand::Disable(OneUser { user }) => Work::Enable(user, false),
            UserCommand::Unlock(OneUser { user }) => Work::Unlock(user),
            UserCommand::Delete(OneUser { user }) => Work::Delete(user),
            UserCommand::Hash(_) => return Err(Failure::wrong("`user hash` needs no records")),
        })
    }

    async fn run(self, records: &Records, output: Output) -> Ended {
        match self {
            Work::Add { request, quiet } => told(&records.add_user(&request).await?, quiet, output),
            Work::SetPassword { name, request, quiet } => {
                told(&records.set_password(&name, &request).await?, quiet, output);
            }
            Work::Set { name, request } => show(&records.set_user(&name, &request).await?, output),
            Work::List => list(records, output).await?,
            Work::Show(name) => show(&records.show_user(&name).await?, output),
            Work::Enable(name, enabled) => {
                let word = match enabled {
                    true => "enabled",
                    false => "disabled: no more log-in, the sessions are ended and the tokens revoked",
                };
                is(&records.enable_user(&name, enabled).await?, word, output);
            }
            Work::Unlock(name) => is(&records.unlock_user(&name).await?, "not locked", output),
            Work::Delete(name) => {
                let done = records.delete_user(&name).await?;
                output.json(&done);
                output.line(shown(&done.done));
            }
        }
        Ok(0)
    }
}

/// A password's hash: it needs no store.
fn hash(args: PasswordArgs, output: Output) -> Ended {
    let chosen = chosen(args)?;
    let hashed = block_on(server::hash_password(chosen.as_deref()))?.map_err(ClientError::Refused)?;
    output.json(&hashed);
    let password = hashed.password.map(|password| vec![String::from("password"), password]);
    let hash = vec![String::from("password_hash"), hashed.password_hash];
    output.line(table(&password.into_iter().chain([hash]).collect::<Vec<_>>()));
    Ok(0)
}

/// The password that somebody chose, if any. None stands on the command line, where others on the machine see it.
fn chosen(args: PasswordArgs) -> Result<Option<String>, Failure> {
    let text = match args {
        PasswordArgs { password_stdin: true, .. } => from_stdin()?,
        PasswordArgs { password_file: Some(file), .. } => from_file(&file)?,
        PasswordArgs { .. } => return Ok(None),
    };
    match text.is_empty() {
        true => Err(Failure::usage("the password is empty")),
        false => Ok(Some(text)),
    }
}

/// The claims by their names; the one that is named last holds.
fn known(args: ClaimArgs) -> serde_json::Map<String, serde_json::Value> {
    let named = [("name", args.name), ("email", args.email)];
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    named.chain(args.claims).collect()
}

fn told(added: &UserAdded, quiet: bool, output: Output) {
    if quiet {
        output.line(added.password.as_deref().unwrap_or_default());
        return;
    }
    output.json(added);
    let mut rows = rows(&added.user);
    if let Some(password) = &added.password {
        rows.insert(1, vec![String::from("password"), password.clone()]);
    }
    output.line(table(&rows));
    if added.password.is_some() {
        output.line("The password is shown this once: only a hash of it is kept.");
    }
}

fn show(user: &UserView, output: Output) {
    output.json(user);
    output.line(table(&rows(user)));
}

fn is(user: &UserView, word: &str, output: Output) {
    output.json(user);
    output.line(format_args!("user `{}` is {word}", shown(&user.name)));
}

async fn list(records: &Records, output: Output) -> Result<(), Failure> {
    let mut users = Vec::new();
    let mut after = None;
    loop {
        let page = records.list_users(after.as_deref(), PAGE).await?;
        users.extend(page.users);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    output.json(&users);
    if users.is_empty() {
        output.line("there are no users");
        return Ok(());
    }
    let text = |user: &UserView, claim: &str| {
        shown(user.claims.get(claim).and_then(|value| value.as_str()).unwrap_or_default())
    };
    let mut rows = vec![["USER", "STATE", "EMAIL", "NAME"].map(String::from).to_vec()];
    rows.extend(users.iter().map(|user| vec![shown(&user.name), state(user), text(user, "email"), text(user, "name")]));
    output.line(table(&rows));
    Ok(())
}

fn rows(user: &UserView) -> Vec<Vec<String>> {
    let mut rows = vec![(String::from("user"), user.name.clone()), (String::from("state"), state(user))];
    if !user.has_password {
        rows.push((String::from("password"), String::from("none")));
    }
    rows.extend(
        user.claims
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
    );
    // One who is written in a file says nothing of it.
    if user.created_at > 0 {
        rows.push((String::from("created"), time(user.created_at)));
    }
    rows.into_iter().map(|(name, value)| vec![shown(&name), shown(&value)]).collect()
}

fn state(user: &UserView) -> String {
    match user.locked_until {
        _ if !user.enabled => String::from("disabled"),
        Some(until) => format!("locked until {}", time(until)),
        None => String::from("enabled"),
    }
}
