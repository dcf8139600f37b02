//! The people who may log in.

use serde::Serialize;
use store::access_tokens::Whose;
use store::kps::Columns;
use store::oauth::{ClientId, Secret, credential};
use store::{User, Users};

use super::{Records, Stores, failed};
use crate::admin::api::users::{AddUser, SetPassword, SetUser, UserAdded, UserList, UserView};
use crate::admin::api::{Done, Refusal, RefusalKind};
use crate::admin::{Client as AdminClient, ClientError};

/// A shorter password is found by trying.
const SHORTEST_PASSWORD: usize = 8;

/// More than this is a mistake, and a way to make the hash take long.
const LONGEST_PASSWORD: usize = 1_024;

/// What tokens say of themselves, and no user can be given (RFC 7519, section 4.1; OpenID Connect Core, section 2).
const RESERVED: [&str; 12] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "acr", "amr", "azp", "auth_time"];

impl Stores {
    pub(crate) async fn add_user(&self, request: &AddUser) -> Result<UserAdded, Refusal> {
        check_user_name(&request.name)?;
        self.audit.change("user add", &request.name, self.insert_user(request)).await
    }

    async fn insert_user(&self, request: &AddUser) -> Result<UserAdded, Refusal> {
        self.check_users_writable()?;
        check_claims(&request.claims)?;
        // RFC 9700, section 4.15: whoever sees a `sub` must know whether it is a client's or a user's.
        if self.clients.get(&ClientId::new(request.name.as_str())).await.map_err(failed)?.is_some() {
            let message = format!("there is a client `{}`: nobody could tell its tokens from the user's", request.name);
            return Err(Refusal { kind: RefusalKind::Exists, message, help: Some("take another name".into()) });
        }
        let (made, hash) = self.password(request.password.as_deref()).await?;
        let claims = request.claims.clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let (name, created_at) = (request.name.clone(), self.now());
        let user = User { name, enabled: true, password: Some(hash), claims, created_at };
        if !self.users.add(&user).await.map_err(failed)? {
            return Err(Refusal {
                kind: RefusalKind::Exists,
                message: format!("there is a user `{}` already", user.name),
                help: Some(format!("`portcullis user set-password {}` gives another password", user.name)),
            });
        }
        Ok(UserAdded { user: self.user_view(user).await?, password: made })
    }

    pub(crate) async fn list_users(&self, after: Option<&str>, limit: usize) -> Result<UserList, Refusal> {
        let mut users = self.users.list(after, limit.saturating_add(1)).await.map_err(failed)?;
        let more = users.len() > limit;
        users.truncate(limit);
        let next = users.last().filter(|_| more).map(|user| user.name.clone());
        let mut views = Vec::with_capacity(users.len());
        for user in users {
            views.push(self.user_view(user).await?);
        }
        Ok(UserList { users: views, next })
    }

    pub(crate) async fn show_user(&self, name: &str) -> Result<UserView, Refusal> {
        match self.users.get(name).await.map_err(failed)? {
            Some(user) => self.user_view(user).await,
            None => Err(unknown(name)),
        }
    }

    pub(crate) async fn set_user(&self, name: &str, request: &SetUser) -> Result<UserView, Refusal> {
        let work = async {
            check_claims(&request.claims)?;
            let change = |user: &mut User| {
                for (claim, value) in &request.claims {
                    match value.is_null() {
                        true => user.claims.remove(claim),
                        false => user.claims.insert(claim.clone(), value.clone()),
                    };
                }
            };
            self.update_user(name, change).await
        };
        self.audit.change("user set", name, work).await
    }

    /// Another password ends what the one before began, and is not locked by what was wrong with that one.
    pub(crate) async fn set_password(&self, name: &str, request: &SetPassword) -> Result<UserAdded, Refusal> {
        let work = async {
            self.check_users_writable()?;
            self.show_user(name).await?;
            let (made, hash) = self.password(request.password.as_deref()).await?;
            self.update_user(name, |user| user.password = Some(hash.clone())).await?;
            self.end_sessions(name).await?;
            self.users.unlock(name).await.map_err(failed)?;
            Ok(UserAdded { user: self.show_user(name).await?, password: made })
        };
        self.audit.change("user set-password", name, work).await
    }

    pub(crate) async fn enable_user(&self, name: &str, enabled: bool) -> Result<UserView, Refusal> {
        let change = if enabled { "user enable" } else { "user disable" };
        let work = async {
            let user = self.update_user(name, |user| user.enabled = enabled).await?;
            if !enabled {
                self.cast_out(name).await?;
            }
            Ok(user)
        };
        self.audit.change(change, name, work).await
    }

    pub(crate) async fn unlock_user(&self, name: &str) -> Result<UserView, Refusal> {
        let work = async {
            self.show_user(name).await?;
            self.users.unlock(name).await.map_err(failed)?;
            self.show_user(name).await
        };
        self.audit.change("user unlock", name, work).await
    }

    pub(crate) async fn delete_user(&self, name: &str) -> Result<Done, Refusal> {
        let work = async {
            self.check_users_writable()?;
            // Whoever gets the name next must not get these. First, and also where there is no such user: a second try after one
            // that failed half-way then does what is left.
            self.cast_out(name).await?;
            if !self.users.delete(name).await.map_err(failed)? {
                return Err(unknown(name));
            }
            self.users.unlock(name).await.map_err(failed)?;
            // And what was issued meanwhile.
            self.cast_out(name).await?;
            // Whoever gets the name next has agreed to nothing.
            self.forget_consents(&Whose::Subject(name.to_owned())).await?;
            let done = format!("user `{name}` is deleted, the sessions are ended and the tokens revoked");
            Ok(Done { done })
        };
        self.audit.change("user delete", name, work).await
    }

    async fn update_user(&self, name: &str, change: impl Fn(&mut User) + Send) -> Result<UserView, Refusal> {
        self.check_users_writable()?;
        match self.users.update(name, change).await.map_err(failed)? {
            Some(user) => self.user_view(user).await,
            None => Err(unknown(name)),
        }
    }

    /// Forgets what this user has agreed to, or what was agreed to for this client.
    pub(super) async fn forget_consents(&self, whose: &Whose) -> Result<(), Refusal> {
        for store in &self.consents {
            store.withdraw_all(whose).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Ends all sessions and revokes all tokens of a user.
    pub(super) async fn cast_out(&self, name: &str) -> Result<(), Refusal> {
        self.end_sessions(name).await?;
        self.revoke_all(&Whose::Subject(name.to_owned()), self.now()).await
    }

    async fn end_sessions(&self, name: &str) -> Result<(), Refusal> {
        for store in &self.sessions {
            store.end_all(name).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Refuses what would change users that people write in a file.
    fn check_users_writable(&self) -> Result<(), Refusal> {
        if !self.users.source().capabilities().read_only {
            return Ok(());
        }
        let help = "write it in the file that the source's `path` in stores/stores.toml names; a running node takes it up when it is \
                    saved, and `portcullis user hash` makes the hash of a password";
        Err(Refusal::invalid("the users are in a data source that is read-only", help))
    }

    async fn password(&self, chosen: Option<&str>) -> Result<(Option<String>, String), Refusal> {
        password(chosen, self.random()).await
    }

    async fn user_view(&self, user: User) -> Result<UserView, Refusal> {
        let locked_until = self.users.locked_until(&user.name, self.now()).await.map_err(failed)?;
        let User { name, enabled, password, claims, created_at } = user;
        Ok(UserView { name, enabled, has_password: password.is_some(), locked_until, claims, created_at })
    }
}

impl Records {
    /// Adds a user.
    pub async fn add_user(&self, request: &AddUser) -> Result<UserAdded, ClientError> {
        match self {
            Records::Stores(stores) => stores.add_user(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/users", request).await,
        }
    }

    /// Users in the order of their names, after `after`, at most `limit`.
    pub async fn list_users(&self, after: Option<&str>, limit: usize) -> Result<UserList, ClientError> {
        match self {
            Records::Stores(stores) => stores.list_users(after, limit).await.map_err(ClientError::Refused),
            Records::Node(node) => {
                let after = after.map_or_else(String::new, |name| format!("&after={}", AdminClient::encoded(name)));
                node.get(&format!("/users?limit={limit}{after}")).await
            }
        }
    }

    /// One user.
    pub async fn show_user(&self, name: &str) -> Result<UserView, ClientError> {
        match self {
            Records::Stores(stores) => stores.show_user(name).await.map_err(ClientError::Refused),
            Records::Node(node) => node.get(&at(name, "")).await,
        }
    }

    /// Changes what is known of a user.
    pub async fn set_user(&self, name: &str, request: &SetUser) -> Result<UserView, ClientError> {
        match self {
            Records::Stores(stores) => stores.set_user(name, request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&at(name, ""), request).await,
        }
    }

    /// Gives a user another password, and ends the sessions.
    pub async fn set_password(&self, name: &str, request: &SetPassword) -> Result<UserAdded, ClientError> {
        match self {
            Records::Stores(stores) => stores.set_password(name, request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&at(name, "/password"), request).await,
        }
    }

    /// Enables or disables a user; who is disabled loses sessions and tokens.
    pub async fn enable_user(&self, name: &str, enabled: bool) -> Result<UserView, ClientError> {
        match self {
            Records::Stores(stores) => stores.enable_user(name, enabled).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&at(name, if enabled { "/enable" } else { "/disable" }), &()).await,
        }
    }

    /// Forgets wrong passwords.
    pub async fn unlock_user(&self, name: &str) -> Result<UserView, ClientError> {
        match self {
            Records::Stores(stores) => stores.unlock_user(name).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&at(name, "/unlock"), &()).await,
        }
    }

    /// Deletes a user, ends the sessions and revokes the tokens.
    pub async fn delete_user(&self, name: &str) -> Result<Done, ClientError> {
        match self {
            Records::Stores(stores) => stores.delete_user(name).await.map_err(ClientError::Refused),
            Records::Node(node) => node.delete(&at(name, "")).await,
        }
    }
}

/// The path of a user on the admin address.
fn at(name: &str, more: &str) -> String {
    format!("/users/{}{more}", AdminClient::encoded(name))
}

/// A password, and the hash of it that stands in a file of users.
#[derive(Debug, Serialize)]
pub struct HashedPassword {
    /// The password, where it was made here: whoever chose one knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Its hash.
    pub password_hash: String,
}

/// The hash of a password that somebody chose, or a strong one with its hash.
pub async fn hash_password(chosen: Option<&str>) -> Result<HashedPassword, Refusal> {
    let mut random = [0; 16];
    crate::clock::environment().random.fill(&mut random);
    let (password, password_hash) = password(chosen, random).await?;
    Ok(HashedPassword { password, password_hash })
}

/// The password, where one is made, and the hash that is kept of it.
async fn password(chosen: Option<&str>, random: [u8; 16]) -> Result<(Option<String>, String), Refusal> {
    let made = chosen.is_none().then(|| credential::password(random).expose().to_owned());
    let text = chosen.or(made.as_deref()).unwrap_or_default();
    let characters = text.chars().count();
    if characters < SHORTEST_PASSWORD || text.len() > LONGEST_PASSWORD {
        let message = format!("a password has from {SHORTEST_PASSWORD} characters to {LONGEST_PASSWORD} bytes");
        return Err(Refusal::invalid(message, "leave it out, and a strong one is made"));
    }
    let hash = store::hash_chosen(&Secret::new(text.to_owned())).await.map_err(failed)?;
    Ok((made, hash))
}

fn unknown(name: &str) -> Refusal {
    Refusal {
        kind: RefusalKind::NotFound,
        message: format!("there is no user `{name}`"),
        help: Some(String::from("`portcullis user list` shows those that there are")),
    }
}

/// A name that somebody can have.
pub(crate) fn check_user_name(name: &str) -> Result<(), Refusal> {
    match Users::is_name(name) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "a user's name has from 1 to 255 visible ASCII characters",
            "an e-mail address will do",
        )),
    }
}

/// What can be known of a user.
pub(crate) fn check_claims(claims: &Columns) -> Result<(), Refusal> {
    let bad = claims.keys().find(|name| name.is_empty() || RESERVED.contains(&name.as_str()));
    match bad {
        Some(name) => Err(Refusal::invalid(
            format!("`{name}` cannot be said of a user: tokens say it themselves"),
            "see OpenID Connect Core, section 5.1, for what can: `name`, `email`, `email_verified`",
        )),
        None => Ok(()),
    }
}
