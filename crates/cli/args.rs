//! The command line: every command word and option, with its help. What they do stands in one file a command.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::shipped::Template;

/// A policy-driven API gateway and OAuth 2.0 authorization server.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    arg_required_else_help = true,
    after_help = "\
A configuration is a folder: policies/, stores/, perhaps node.toml.
Options may stand before or after the command words.
Exit codes: 0 done, 1 the thing asked about is wrong, 2 wrong usage (reload also: no node).

Examples:
  portcullis init gateway                          a configuration of your own
  portcullis -c gateway check                      is it right?
  portcullis -c gateway run                        a node on 127.0.0.1:8080
  portcullis -c gateway client add --grant client_credentials --scope orders:read
  portcullis -c gateway reload --wait              take the files up as they stand now"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The configuration folder; relative paths in its files are relative to it
    #[arg(short = 'c', long = "config", value_name = "DIR", default_value = ".", global = true)]
    pub(crate) dir: PathBuf,

    /// Whether the folder was named.
    #[arg(skip)]
    pub(crate) dir_named: bool,

    /// Print JSON, and nothing else, on standard output; warnings go to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The admin address: for `run` the one to listen on, else that of a running node
    ///
    /// `reload` and `status` find it in node.toml otherwise, or where that cannot be read in var/admin.address. Commands on records
    /// (client, user, token, kps, store check, store purge) open the stores themselves unless it is given; then the node does the work.
    /// A node's credential is read from var/admin.token in the configuration folder.
    #[arg(long, value_name = "ADDR", global = true, value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,

    /// A file laid over the `[values]` of node.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) values: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until SIGTERM or Ctrl-C, then drain it
    #[command(after_help = "\
SIGHUP loads the files at once, like `portcullis reload`; saved files are taken up by themselves.
What is logged: `[log]` in node.toml, or PORTCULLIS_LOG (`debug`, `info,server=debug`), on standard error.

Examples:
  portcullis run                                   the folder you stand in
  portcullis -c gateway run --listen 0.0.0.0:8080  one plain listener instead of those of node.toml
  portcullis run --listen 127.0.0.1:0 --admin 127.0.0.1:0 --json
                                                   free ports; the first line says which")]
    Run(RunArgs),

    /// Check all files, and run the policies' own tests: everything that is wrong, at once
    #[command(after_help = "\
Opens no data source. Exit code 1 on errors; warnings alone are 0.

Examples:
  portcullis -c gateway check
  portcullis check --deny warnings                 for a build server
  portcullis check --json | jq '.diagnostics[].code'
  portcullis -c gateway check --format sarif > portcullis.sarif
                                                   for a code host; paths are relative to the current folder")]
    Check(CheckArgs),

    /// Run the policies' own tests, the [[test]]s
    #[command(after_help = "\
Each runs in a world of its own: stores in memory, a clock that only the test moves, upstreams that answer what the test says.
Nothing is sent over a network, and no file is written but the one that `--junit` names.
Exit code 1 where a test failed, or the files are refused.

Examples:
  portcullis test                                  all of them
  portcullis test orders oauth/token               those of two policies
  portcullis test --filter \"wrong secret\"          those whose name has these words
  portcullis test orders --watch                   again whenever a file changes
  portcullis test --junit results.xml              for a build server
  portcullis test --coverage --min 100             which outcomes no test reaches
  portcullis test --mutants orders                 which filters could be lost without a test noticing")]
    Test(TestArgs),

    /// Write the files in their one style: comments, order and meaning stay
    #[command(after_help = "\
Without FILE: all files of the configuration folder. A file with a syntax error is left as it is, and told.
Exit code 1 where a file is no TOML, and with --check where one would change.

Examples:
  portcullis fmt                                   the folder you stand in
  portcullis fmt --check                           for a build server: what would change, and nothing is written
  portcullis fmt - < orders.toml                   to standard output: for an editor")]
    Fmt(FmtArgs),

    /// Explain a filter, attribute, setting, selector, diagnostic, or a policy of this configuration
    #[command(after_help = "\
Without WORD: everything that can be asked about. What is said of filters, settings and diagnostics is also in docs/reference/.

Examples:
  portcullis explain oauth.check-scope             a filter
  portcullis explain oauth.check-scope.match       one of its settings
  portcullis explain token.scopes                  an attribute
  portcullis explain 'upstream.timeouts'           a setting of node.toml, stores.toml or server.toml
  portcullis explain '${request.form.x ?? y}'      a selector
  portcullis explain P0107                         a diagnostic
  portcullis explain policies/oauth/token.toml     a policy, in plain words")]
    Explain(ExplainArgs),

    /// Print the JSON Schemas of the files, for editors
    #[command(after_help = "\
Draft 7, which Taplo and VS Code know. Without FILE and --out: which there are. docs/editors.md says how editors find them.

Examples:
  portcullis schema policy                         to standard output
  portcullis schema --out .schemas                 all of them, where .taplo.toml expects them")]
    Schema(JsonSchemaArgs),

    /// Serve an editor: diagnostics, completion, definitions, renaming (the Language Server Protocol)
    #[command(after_help = "\
Speaks over standard input and output; docs/editors.md says how editors start it.
The configuration is the nearest folder above an opened file that has it among its files, or the one that -c names.
It opens no data source and writes nothing; a policy's own tests run when it is saved.

Example:
  portcullis lsp                                   by the editor, not by hand")]
    Lsp,

    /// Make a configuration: the shipped OAuth policies, stores on embedded SQLite, and what the template adds
    #[command(after_help = "\
Asks nothing and overwrites nothing: where one of its files is there already, nothing is written at all.

Examples:
  portcullis init gateway && portcullis -c gateway run
  portcullis init gateway --template protect-an-api")]
    Init(InitArgs),

    /// Let a running node take up the files as they stand now, and say what came of it
    #[command(after_help = "\
Exit codes: 0 in force or unchanged, 1 refused (with what is wrong), 2 no node reachable.
A refused load changes nothing: the node serves on with what it had.

Example:
  portcullis -c gateway reload --wait")]
    Reload(ReloadArgs),

    /// What a running node is doing: generation, addresses, sources, the last load
    #[command(after_help = "\
Example:
  portcullis status --admin 127.0.0.1:8090 --json")]
    Status,

    /// Client applications: who may ask for tokens
    #[command(subcommand)]
    Client(ClientCommand),

    /// People: who may log in
    #[command(subcommand)]
    User(UserCommand),

    /// Tokens: look at one, revoke one or all of a client; those that the gateway holds for its own calls
    #[command(subcommand)]
    Token(TokenCommand),

    /// The keys that sign tokens: list, rotate, retire
    #[command(subcommand)]
    Key(KeyCommand),

    /// Data sources: check, migrate, purge; the schema for a DBA
    #[command(subcommand)]
    Store(StoreCommand),

    /// Key property stores: rows that policies look up
    #[command(subcommand)]
    Kps(KpsCommand),

    /// The nodes that share the stores: which there are, and whether they do
    #[command(subcommand)]
    Cluster(ClusterCommand),

    /// How much a running node logs: look, and change it for a while
    #[command(subcommand)]
    Log(LogCommand),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Listen here, plain, instead of on the listeners of node.toml; also after reloads
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,

    /// Do not run the policies' own tests when files change
    #[arg(long)]
    pub(crate) no_tests: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Count warnings as errors
    #[arg(long, value_name = "WHAT", value_parser = ["warnings"])]
    pub(crate) deny: Option<String>,

    /// Do not run the policies' own tests
    #[arg(long)]
    pub(crate) no_tests: bool,

    /// In which form [default: human]; `json` is what `--json` means
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<CheckFormat>,
}

/// The forms of what `check` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// Text, with the lines of the files.
    Human,
    /// One object with a list of what was found.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only the tests of these policies: `orders`, `oauth/token`
    #[arg(value_name = "POLICY")]
    pub(crate) policies: Vec<String>,

    /// Only tests whose name has this text
    #[arg(long, value_name = "TEXT", alias = "name")]
    pub(crate) filter: Option<String>,

    /// Go on, and run the tests again whenever a file changes
    #[arg(long)]
    pub(crate) watch: bool,

    /// Write the results to this file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Tell which outcomes, cases and chains of the policies no test reaches
    #[arg(long)]
    pub(crate) coverage: bool,

    /// Write the coverage to this file, as an LCOV tracefile
    #[arg(long, value_name = "FILE")]
    pub(crate) coverage_lcov: Option<PathBuf>,

    /// Exit with 1 where the coverage is less than this
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) min: Option<f64>,

    /// Change one thing in the policies at a time, and tell which changes no test notices
    #[arg(long, conflicts_with_all = ["watch", "junit", "coverage", "coverage_lcov", "min"])]
    pub(crate) mutants: bool,
}

/// 0 to 100.
fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| String::from("this is no number"))?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err(String::from("a percentage is 0 to 100")) }
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// What to explain
    #[arg(value_name = "WORD")]
    pub(crate) word: Option<String>,
}

/// A kind of file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SchemaFile {
    /// A policy: policies/**/*.toml
    Policy,
    /// Tests beside a policy: policies/**/*.test.toml
    Tests,
    /// node.toml
    Node,
    /// stores/stores.toml
    Stores,
    /// policies/oauth/server.toml
    Server,
}

#[derive(Debug, Args)]
pub(crate) struct JsonSchemaArgs {
    /// Which file's schema
    #[arg(value_enum, value_name = "FILE")]
    pub(crate) file: Option<SchemaFile>,

    /// Write the schemas into this folder, in place of those that are there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    /// The files; `-` is standard input, to standard output
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Write nothing: name the files that would change, and show how
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder to make; it may be there already
    #[arg(value_name = "DIR")]
    pub(crate) target: PathBuf,

    /// What to begin with
    #[arg(long, value_enum, value_name = "NAME", default_value = "token-server")]
    pub(crate) template: Template,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Wait for the result. It always does: the word is for scripts that say what they rely on
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Register a client; its secret is printed this once
    #[command(after_help = "\
The scopes are both those that the client may ask for and those it gets where it asks for none.

Examples:
  portcullis client add --grant client_credentials --scope \"orders:read orders:write\"
  portcullis client add --id partner --grant client_credentials --scope orders:read --json
  portcullis client add --id orders-api --introspect any        a resource server
  portcullis client add --id shop --grant authorization_code --grant refresh_token --redirect-uri https://shop.example.com/cb
  portcullis client add --id app --grant authorization_code --auth-method none --redirect-uri com.example.app:/done
  pass partner | portcullis client add --id partner --grant client_credentials --secret-stdin")]
    Add(Box<AddArgs>),

    /// Change what is said of a client; what is not named stays as it is
    #[command(after_help = "\
An option that may be repeated gives the whole list: what was there is replaced. Tags are the exception: others stay.

Examples:
  portcullis client set partner --scope \"orders:read\"
  portcullis client set shop --redirect-uri https://shop.example.com/cb --redirect-uri http://127.0.0.1/cb
  portcullis client set orders-api --introspect https://orders.example.com
  portcullis client set shop --unset logo-uri --unset tags")]
    Set(Box<SetArgs>),

    /// All clients, a line each
    #[command(after_help = "\
Example:
  portcullis client list --json | jq -r '.[].client_id'")]
    List,

    /// One client: everything but its secrets
    Show(OneClient),

    /// Give a client a new secret, printed this once; the old one stays valid for a while
    #[command(after_help = "\
Examples:
  portcullis client rotate partner                 the old secret is good for 24 hours more
  portcullis client rotate partner --keep 0s       it is dead at once: a secret that leaked
  portcullis client rotate partner --auth-method client_secret_jwt    it signs by the new one from now on")]
    Rotate(RotateArgs),

    /// Let a disabled client in again
    Enable(OneClient),

    /// Give a client no token any more, and refuse those it has, until it is enabled again
    Disable(OneClient),

    /// Delete a client for good; its tokens are refused from then on
    Delete(OneClient),

    /// Write all clients as JSON or TOML, without their secrets unless asked for
    #[command(after_help = "\
With secrets it is their hashes, sealed: with the keys of `[encryption]`, or with that of --key-file for a registry that has others.

Examples:
  portcullis client export > clients.json
  portcullis client export --out clients.toml
  openssl rand -hex 32 > export.key && portcullis client export --key-file export.key --out clients.json")]
    Export(ClientExportArgs),

    /// Seal anew, with the first of `[encryption] keys`, the secrets of clients that sign by them (`client_secret_jwt`)
    #[command(after_help = "\
After the first of `[encryption] keys` in node.toml has changed; then the old one can be taken away.")]
    Reencrypt,

    /// Register all clients of a file. Where one does not fit, nothing is written and all that do not are listed
    #[command(after_help = "\
What `client export` writes; and of another system, `secret_hash` with hashes by Argon2, bcrypt or PBKDF2 (docs/clients.md).
Clients that are there already, as they are, are left alone: to import twice is to import once.

Examples:
  portcullis client import clients.json --dry-run        what would become of each
  portcullis client import clients.json --replace        those that differ are replaced; secrets that the file has not stay")]
    Import(ClientImportArgs),

    /// Make a secret and its hash, for clients that are written in a file; nothing is registered
    #[command(after_help = "\
The hash is what `secret_hash` of a `[[client]]` takes. The secret is shown this once, for whoever is to have it.

Examples:
  portcullis client hash
  pass partner | portcullis client hash --secret-stdin         the hash of a secret that there is already")]
    Hash(SecretArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ClientExportArgs {
    /// The format: json or toml (default: by the end of the file's name, else json)
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,

    /// The file (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// With the hashes of their secrets, sealed
    #[arg(long)]
    pub(crate) with_secrets: bool,

    /// The same, sealed with the key in this file: 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ClientImportArgs {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Its format: json or toml (default: by the end of its name)
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,

    /// Replace clients that are there already and differ
    #[arg(long)]
    pub(crate) replace: bool,

    /// Write nothing: only say what would become of each
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The key that the secrets were sealed with, where they were exported with one
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct OneClient {
    /// The client's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The client's id (default: a generated one)
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    #[command(flatten)]
    pub(crate) said: ClientArgs,

    #[command(flatten)]
    pub(crate) secret: SecretArgs,

    /// Print the secret alone, for `secret=$(portcullis client add -q ...)`
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The client's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) said: ClientArgs,

    /// What to take off; may be repeated
    #[arg(long = "unset", value_name = "WHAT", value_enum)]
    pub(crate) unset: Vec<ClientField>,
}

/// What is said of a client.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// A grant it may use; may be repeated
    #[arg(long = "grant", value_name = "GRANT")]
    pub(crate) grants: Vec<String>,

    /// Scopes, with a space between: allowed, and given where none is asked for; may be repeated
    #[arg(long, value_name = "\"A B\"")]
    pub(crate) scope: Vec<String>,

    /// Scopes that are given where none is asked for (default: all that are allowed); may be repeated
    #[arg(long, value_name = "\"A B\"")]
    pub(crate) default_scope: Vec<String>,

    /// A name for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,

    /// How it must authenticate (default: any way with a secret that the policy lists); `none` is a public client, and that and
    /// `private_key_jwt`, which needs --jwks or --jwks-uri, have no secret; with `client_secret_jwt` it signs by its secret, which is kept sealed
    #[arg(long, value_name = "METHOD", value_parser = AUTH_METHODS)]
    pub(crate) auth_method: Option<String>,

    /// Whose tokens it may introspect beside its own: `any`, or an audience; audiences may be repeated
    #[arg(long, value_name = "any|AUDIENCE")]
    pub(crate) introspect: Vec<String>,

    /// Where its authorization codes may go, compared as it stands; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub(crate) redirect_uris: Vec<String>,

    /// Where a browser may go after it was logged out; may be repeated
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    pub(crate) post_logout_redirect_uris: Vec<String>,

    /// `web` or `native`: the latter is installed by people, and keeps no secret
    #[arg(long, value_name = "TYPE", value_parser = ["web", "native"])]
    pub(crate) application_type: Option<String>,

    /// Its home page, for the people who are asked to consent
    #[arg(long, value_name = "URL")]
    pub(crate) client_uri: Option<String>,

    /// Its logo
    #[arg(long, value_name = "URL")]
    pub(crate) logo_uri: Option<String>,

    /// Its terms of service
    #[arg(long, value_name = "URL")]
    pub(crate) tos_uri: Option<String>,

    /// How it treats what it is told
    #[arg(long, value_name = "URL")]
    pub(crate) policy_uri: Option<String>,

    /// Whom to ask, mostly an e-mail address; may be repeated
    #[arg(long = "contact", value_name = "TEXT")]
    pub(crate) contacts: Vec<String>,

    /// A file with its public keys: a JSON Web Key Set
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,

    /// Where its public keys are, instead: fetched only where `[client_keys]` in policies/oauth/server.toml names the host
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    pub(crate) jwks_uri: Option<String>,

    /// Which software it is
    #[arg(long, value_name = "TEXT")]
    pub(crate) software_id: Option<String>,

    /// Which version of it
    #[arg(long, value_name = "TEXT")]
    pub(crate) software_version: Option<String>,

    /// What it is, in a sentence; for operators
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Whose it is: an organisation, a team
    #[arg(long, value_name = "TEXT")]
    pub(crate) owner: Option<String>,

    /// A name and value of your own; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
}

/// What can be taken off a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientField {
    Name,
    Grants,
    Scope,
    DefaultScope,
    AuthMethod,
    Introspect,
    RedirectUris,
    PostLogoutRedirectUris,
    ApplicationType,
    ClientUri,
    LogoUri,
    TosUri,
    PolicyUri,
    Contacts,
    Jwks,
    JwksUri,
    SoftwareId,
    SoftwareVersion,
    Description,
    Owner,
    Tags,
}

/// The ways to authenticate, and those with a secret.
const AUTH_METHODS: [&str; 5] =
    ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"];
const SECRET_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "client_secret_jwt"];

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The client's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// How long the secret it has now stays valid: `24h`, `7d`; `0s` for not at all
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    pub(crate) keep: std::time::Duration,

    /// How it must authenticate from now on. Of a secret that was given before only a hash is kept, and a hash signs nothing: so a client
    /// gets the method `client_secret_jwt` together with a new secret
    #[arg(long, value_name = "METHOD", value_parser = SECRET_METHODS)]
    pub(crate) auth_method: Option<String>,

    #[command(flatten)]
    pub(crate) secret: SecretArgs,

    /// Print the secret alone, for `secret=$(portcullis client rotate -q ...)`
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

/// A secret that somebody chose. Generated ones are better and cheaper to check.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct SecretArgs {
    /// A chosen secret (default: a generated one); others on this machine can see it: rather --secret-stdin or --secret-file
    #[arg(long = "secret", value_name = "TEXT")]
    pub(crate) secret: Option<String>,

    /// Read a chosen secret from standard input
    #[arg(long)]
    pub(crate) secret_stdin: bool,

    /// Read a chosen secret from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add somebody who may log in; where no password is given one is made, and printed this once
    #[command(after_help = "\
The name is what is typed to log in, and the subject (`sub`) of tokens. It cannot be the id of a client.

Examples:
  portcullis user add ann --email ann@example.com --name \"Ann Example\"
  pass ann | portcullis user add ann --password-stdin
  portcullis user add ann --claim email_verified=true --claim 'groups=[\"staff\"]'")]
    Add(UserArgs),

    /// All users, a line each
    #[command(after_help = "\
Example:
  portcullis user list --json | jq -r '.[].name'")]
    List,

    /// One user: everything but the password
    Show(OneUser),

    /// Give a user another password, and end the sessions that there are
    #[command(after_help = "\
Examples:
  portcullis user set-password ann                 one is made, and printed this once
  pass ann | portcullis user set-password ann --password-stdin")]
    SetPassword(SetPasswordArgs),

    /// Change what is known of a user: what is named is set, all else stays
    #[command(after_help = "\
Example:
  portcullis user set ann --email ann@example.com --claim phone_number=null
                                                   `null` takes a claim off")]
    Set(SetUserArgs),

    /// Let a disabled user log in again
    Enable(OneUser),

    /// Let a user log in no more; the sessions are ended and the tokens revoked
    Disable(OneUser),

    /// Let a user log in again after too many wrong passwords
    Unlock(OneUser),

    /// Delete a user for good; the sessions are ended and the tokens revoked
    Delete(OneUser),

    /// Make the hash of a password, for users that are written in a file; nobody is added
    #[command(after_help = "\
The hash is what `password_hash` of a `[[user]]` takes. A password that is made is shown this once.

Examples:
  portcullis user hash
  pass ann | portcullis user hash --password-stdin")]
    Hash(PasswordArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OneUser {
    /// The user's name
    #[arg(value_name = "NAME")]
    pub(crate) user: String,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// The name to log in with
    #[arg(value_name = "NAME")]
    pub(crate) user: String,

    #[command(flatten)]
    pub(crate) claims: ClaimArgs,

    #[command(flatten)]
    pub(crate) password: PasswordArgs,

    /// Print the password that was made alone, for `password=$(portcullis user add -q ...)`
    #[arg(long, short, conflicts_with_all = ["json", "password_stdin", "password_file"])]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetPasswordArgs {
    /// The user's name
    #[arg(value_name = "NAME")]
    pub(crate) user: String,

    #[command(flatten)]
    pub(crate) password: PasswordArgs,

    /// Print the password that was made alone
    #[arg(long, short, conflicts_with_all = ["json", "password_stdin", "password_file"])]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetUserArgs {
    /// The user's name
    #[arg(value_name = "NAME")]
    pub(crate) user: String,

    #[command(flatten)]
    pub(crate) claims: ClaimArgs,
}

/// What is known of a user (OpenID Connect Core, section 5.1).
#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// The whole name, for people: the claim `name`
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,

    /// The e-mail address: the claim `email`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,

    /// Another claim; may be repeated. The value is JSON, and text where it is none: `email_verified=true`, `locale=de`
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub(crate) claims: Vec<(String, serde_json::Value)>,
}

/// A password that somebody chose.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// `NAME=VALUE`.
fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| String::from("a claim is NAME=VALUE"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value));
    Ok((name.to_owned(), value))
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Whose token it is, what it grants, and whether it is good; exit code 1 where it is not
    #[command(after_help = "\
Example:
  portcullis token inspect - < token.txt           not on the command line, where others can see it")]
    Inspect(InspectArgs),

    /// Revoke one token, or everything that was issued to a client or subject until now
    #[command(after_help = "\
Every node refuses it within a second.

Examples:
  portcullis token revoke - < token.txt
  portcullis token revoke --client partner")]
    Revoke(RevokeArgs),

    /// Tokens that the gateway holds as a client of others: list, delete, seal anew
    #[command(subcommand)]
    Held(HeldCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum HeldCommand {
    /// What is held: from which provider, for whom, for what, until when; never the tokens themselves
    #[command(after_help = "\
Examples:
  portcullis token held list
  portcullis token held list --provider partner --subject ann --json")]
    List(HeldArgs),

    /// Delete what is held; the next call gets a new token, or sends its user to the provider
    #[command(after_help = "\
Every node goes by it at once. The provider is not told: `oauth-client.delete-token` in a policy gives tokens back.

Examples:
  portcullis token held delete --provider partner --subject ann
  portcullis token held delete --provider partner --own      the gateway's own, not those for users
  portcullis token held delete --all")]
    Delete(DeleteHeldArgs),

    /// Seal what is held anew with the first of `[encryption] keys`
    #[command(after_help = "\
After the first of `[encryption] keys` in node.toml has changed; then the old one can be taken away.")]
    Reencrypt,
}

#[derive(Debug, Args)]
pub(crate) struct HeldArgs {
    /// From this provider, by its name in node.toml
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,

    /// As this client there: the application that the gateway is registered as
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,

    /// For this user
    #[arg(long, value_name = "SUBJECT", conflicts_with = "own")]
    pub(crate) subject: Option<String>,

    /// For the gateway itself, and no user
    #[arg(long)]
    pub(crate) own: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteHeldArgs {
    #[command(flatten)]
    pub(crate) which: HeldArgs,

    /// All that is held
    #[arg(long, conflicts_with_all = ["provider", "client", "subject", "own"])]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// The keys there are: which sign, which will, and which are published for what they signed
    List,

    /// Make a key that takes over from the one that signs
    #[command(after_help = "\
It is published at once, and signs after a while, when those who check tokens have read it. `[keys]` in
policies/oauth/server.toml does this by itself.

Examples:
  portcullis key rotate
  portcullis key rotate --algorithm RS256 --after 0s       at once: ten seconds, so that every node knows it")]
    Rotate(RotateKeyArgs),

    /// Let a key sign no more
    #[command(after_help = "\
It is published until what it signed has expired. Where no other key signs by its algorithm, one is made.

Examples:
  portcullis key retire es256-20261128T190500Z
  portcullis key retire es256-20261128T190500Z --withdraw  what it signed is refused by all who read the keys anew")]
    Retire(RetireKeyArgs),

    /// Seal the keys anew with the first of `[encryption] keys`
    #[command(after_help = "\
After the first of `[encryption] keys` in node.toml has changed; then the old one can be taken away.")]
    Reencrypt,
}

#[derive(Debug, Args)]
pub(crate) struct RotateKeyArgs {
    /// For which algorithm: ES256, EdDSA or RS256
    #[arg(long, value_name = "ALGORITHM", default_value = "ES256")]
    pub(crate) algorithm: String,

    /// After how long it signs: longer than anybody keeps the key set without reading it anew
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = humantime::parse_duration)]
    pub(crate) after: std::time::Duration,

    /// In which store of keys
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RetireKeyArgs {
    /// The key's identifier
    #[arg(value_name = "KID")]
    pub(crate) kid: String,

    /// It is published no more: what it signed is worth nothing
    #[arg(long)]
    pub(crate) withdraw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The token; `-` reads it from standard input
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RevokeArgs {
    /// The token; `-` reads it from standard input
    #[arg(value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// All tokens of this client
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,

    /// All tokens of this resource owner, whose sessions end too
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Is every data source there, with rights, schema and a clock that agrees? A line a check, with the remedy
    #[command(after_help = "\
Every source of stores.toml, also those that no store uses yet. Connects as a node does, so a schema that
is missing is made. Exit code 1 where a source fails, naming it.

Example:
  portcullis -c gateway store check")]
    Check,

    /// Bring the schema of every data source up to date; harmless to repeat, and while nodes run
    Migrate,

    /// Print the schema of a kind of data source, for a DBA to read and run
    #[command(after_help = "\
Examples:
  portcullis store schema                          which kinds there are
  portcullis store schema postgres | psql \"$OAUTH_DB_URL\"")]
    Schema(SchemaArgs),

    /// Delete expired records now; a node does it by itself, all the time
    Purge,

    /// Copy records from one data source to another, while nodes serve
    #[command(after_help = "\
What is there already is left alone, so it may be ended at any point and run again. Both sides are compared at the end, by count
and digest; exit code 1 where they differ, with what differs. Where stores.toml says that a store moves (`previous`), its records
are handed over to the new source as well, and nothing of it is left in the old one. docs/stores.md says how a store moves.
Progress is a bar on a terminal, and JSON lines elsewhere.

Examples:
  portcullis store copy --from local --to oauth-db              all stores
  portcullis store copy --from local --to oauth-db access-token")]
    Copy(CopyArgs),

    /// Copy a SQLite data source into a file, while nodes serve; the copy is checked
    #[command(after_help = "\
Never writes over a file. Other databases have tools of their own, which it names.

Example:
  portcullis -c gateway store backup /backup/portcullis-$(date +%F).db")]
    Backup(BackupArgs),

    /// Put a backup where a SQLite data source has its file
    #[command(after_help = "\
The file of the source must not be there: stop the nodes, and move it away with its -wal and -shm.

Example:
  portcullis -c gateway store restore /backup/portcullis-2026-11-28.db")]
    Restore(BackupArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The data source that has the records
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: String,

    /// The data source that gets them
    #[arg(long, value_name = "SOURCE")]
    pub(crate) to: String,

    /// Which stores (default: all that the mapping has on either source)
    #[arg(value_name = "STORE")]
    pub(crate) stores: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The data source (default: the `default` of stores.toml)
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,

    /// The file of the backup, relative to the current folder
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show the level of the log of a running node, or ask for another one
    #[command(after_help = "\
What is asked for goes before node.toml and the environment, and is gone when the node ends. Nothing is written to a file.

Examples:
  portcullis -c gateway log level                          # how it is
  portcullis -c gateway log level debug --for 10m          # goes back by itself
  portcullis -c gateway log level debug --target server::upstream
  portcullis -c gateway log level --back                   # what the settings say")]
    Level(LogLevelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// error, warn, info, debug or trace (default: show the level)
    #[arg(value_name = "LEVEL", ignore_case = true, value_parser = ["error", "warn", "info", "debug", "trace"], conflicts_with = "back")]
    pub(crate) level: Option<String>,

    /// Only lines of this target, and of those below it
    #[arg(long, value_name = "TARGET", requires = "level")]
    pub(crate) target: Option<String>,

    /// Go back after this time, a second to a day (default: when it is taken back, or the node ends)
    #[arg(long = "for", value_name = "TIME", requires = "level", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<std::time::Duration>,

    /// Let the node log what its settings say
    #[arg(long)]
    pub(crate) back: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the nodes by source: version, files, generation, age; and in what they differ
    #[command(after_help = "\
Reads the heartbeats that every node writes into the sources that it shares, whether or not a node runs here.
Exit code 1 where a source cannot be read.

Example:
  portcullis -c gateway cluster status")]
    Status,

    /// Prove through the stores themselves that all nodes share them
    #[command(after_help = "\
Writes a challenge into every shared source, which each node that has that same source answers within seconds.
Exit code 1 where a node does not answer, keeps a store elsewhere, or fewer answer than `[cluster] nodes` says.

Example:
  portcullis -c gateway cluster verify")]
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// A kind of data source; without one, those there are are listed
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KpsCommand {
    /// The stores there are, or all rows of one; what is encrypted stays sealed
    #[command(after_help = "\
Examples:
  portcullis kps list                              which stores there are, and what they hold
  portcullis kps list partners --json | jq -r '.[].key'")]
    List(KpsListArgs),

    /// One row
    #[command(after_help = "\
Examples:
  portcullis kps get partners acme
  portcullis kps get partners info@acme.example --second      by the second key
  portcullis kps get partners acme --open                     what is encrypted in clear")]
    Get(KpsGetArgs),

    /// Put a row; one that has the key already is replaced. Running nodes see it with their next look-up
    #[command(after_help = "\
A value is what its column's type says: `limit=10` is a number where `limit` is one.

Examples:
  portcullis kps put partners id=acme limit=10
  portcullis kps put partners id=acme limit=20 --merge        the other columns stay
  portcullis kps put partners --row '{\"id\": \"acme\", \"tags\": [\"gold\"]}'
  portcullis kps put partners --row - < acme.json             what others are not to see on the command line")]
    Put(KpsPutArgs),

    /// Delete a row, or all of them
    #[command(after_help = "\
Examples:
  portcullis kps delete partners acme
  portcullis kps delete partners --all")]
    Delete(KpsDeleteArgs),

    /// Put all rows of a file: JSON, TOML or CSV. Where one does not fit, nothing is written and all that do not are listed
    #[command(after_help = "\
Examples:
  portcullis kps import partners partners.csv
  portcullis kps import partners partners.json --check        only says whether they fit")]
    Import(KpsImportArgs),

    /// Write all rows as JSON, TOML (as a data source `file` has them) or CSV; what is encrypted stays sealed
    #[command(after_help = "\
Sealed values can be imported into the same rows again; for another store take --open, and keep the file from others.

Examples:
  portcullis kps export partners > partners.json
  portcullis kps export partners --out partners.csv")]
    Export(KpsExportArgs),

    /// Write all rows as they are kept, sealed values and expiry included, into a file
    #[command(after_help = "\
What is sealed opens only with the keys of `[encryption]`: keep those too, and elsewhere.

Example:
  portcullis kps backup partners --out partners.backup")]
    Backup(KpsBackupArgs),

    /// Put back all rows of a backup; the store must be empty
    Restore(KpsRestoreArgs),

    /// Seal what is encrypted anew with the key that `[encryption]` names first
    #[command(after_help = "\
Nodes may serve meanwhile. Once it is done for every store, the old key can be taken out.

Example:
  portcullis kps reencrypt partners")]
    Reencrypt(KpsStoreArg),
}

#[derive(Debug, Args)]
pub(crate) struct KpsStoreArg {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,
}

#[derive(Debug, Args)]
pub(crate) struct KpsListArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KpsGetArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// The row's key
    #[arg(value_name = "KEY")]
    pub(crate) key: String,

    /// KEY is the second key
    #[arg(long)]
    pub(crate) second: bool,

    /// Show what is encrypted in clear
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KpsPutArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// Columns of the row, the key among them
    #[arg(value_name = "COLUMN=VALUE")]
    pub(crate) columns: Vec<String>,

    /// The row as a JSON object; `-` reads it from standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) row: Option<String>,

    #[command(flatten)]
    pub(crate) mode: PutModeArgs,

    /// How long the row lives (default: as the store says): `24h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    pub(crate) ttl: Option<std::time::Duration>,
}

/// What happens to a row that is there.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PutModeArgs {
    /// Refuse a row that is there already
    #[arg(long)]
    pub(crate) insert: bool,

    /// Change the columns that are given (null in JSON: take off), and leave the others
    #[arg(long)]
    pub(crate) merge: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KpsDeleteArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// The row's key
    #[arg(value_name = "KEY", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) key: Option<String>,

    /// Every row of the store
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KpsImportArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Its format (default: by the end of its name)
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,

    #[command(flatten)]
    pub(crate) mode: PutModeArgs,

    /// Write nothing: only say whether the rows fit
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KpsExportArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// The format (default: by the end of the file's name, else json)
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,

    /// The file (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Write what is encrypted in clear
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KpsBackupArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// The file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct KpsRestoreArgs {
    /// The store: NAME of `[kps.NAME]`
    #[arg(value_name = "STORE")]
    pub(crate) store: String,

    /// The backup; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// A format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A list of objects.
    Json,
    /// `[[kps.NAME]]`, a table a row.
    Toml,
    /// A header, and a line a row.
    Csv,
}

/// `NAME=VALUE`
fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(String::from("expected NAME=VALUE")),
    }
}

/// A time of at least a second.
fn ttl(text: &str) -> Result<std::time::Duration, String> {
    let time = humantime::parse_duration(text).map_err(|why| why.to_string())?;
    if time.as_secs() > 0 { Ok(time) } else { Err(String::from("a row lives for at least one second")) }
}

/// An address written `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected HOST:PORT, as in 127.0.0.1:8080";
    let mut found = text.to_socket_addrs().map_err(|why| format!("{why}; {expected}"))?;
    found.next().ok_or_else(|| format!("no such host; {expected}"))
}
