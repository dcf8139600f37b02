//! The `users` store: the people who may log in.
//!
//! A wrong password counts, and after so many of them within a while nobody gets in under that name for a while, with the right
//! one neither. The count stands in the store, so that all nodes share it, in a row beside the user's, by the hash of the name:
//! what is typed where a name belongs is at times a password. Names that nobody has are counted, locked and held against a slow
//! hash as well, so that neither the answers nor their times tell who is there.

use std::sync::Arc;

use oauth::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use self::failures::Failures;
use self::password::Passwords;
use crate::codec::{SWAPS, decode, encode, too_busy};
use crate::lane::{hash_chosen, is_outdated};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::USER_ACCOUNT;

mod failures;
mod password;

pub use self::failures::Lockout;

/// The longest name (OpenID Connect Core, section 2: `sub`).
const LONGEST_NAME: usize = 255;
/// Before every name, and behind the counts of failures.
const BEFORE_NAMES: &[u8] = b"\x01";

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The name to log in with, which is the subject of sessions and tokens.
    pub name: String,
    /// Who is disabled cannot log in.
    pub enabled: bool,
    /// The hash of the password, a PHC string; none = there is no password to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What is known of them, by the names of OpenID Connect Core, section 5.1: `name`, `email`, `email_verified`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Json>,
    /// Unix seconds.
    pub created_at: u64,
}

/// What came of a name and a password.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// They are this user's.
    Right(Box<User>),
    /// They are nobody's: there is no such user, or the user is disabled, or the password is another one.
    Wrong,
    /// Too many were wrong: nobody gets in under that name until this Unix second, whether or not it is anybody's.
    Locked(u64),
}

/// People over a data source.
pub struct Users {
    source: Arc<dyn DataSource>,
    failures: Failures,
    passwords: Passwords,
    successor: Successor<Users>,
}

impl Succeeded for Users {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

impl Users {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Users {
            failures: Failures::new(source.clone()),
            source,
            passwords: Passwords::new(),
            successor: Successor::default(),
        }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Whether a user can be called so: from 1 to 255 visible ASCII characters, as `sub` of OpenID Connect has them.
    pub fn is_name(name: &str) -> bool {
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Whether this is a user who may do nothing any more. Of whoever is not here a directory or another provider may know.
    pub async fn is_disabled(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.get(name).await?.is_some_and(|user| !user.enabled))
    }

    /// The user of this name, enabled or not.
    pub async fn get(&self, name: &str) -> Result<Option<User>, StoreError> {
        loop {
            let store = self.latest();
            let found = store.get_here(name).await?;
            // What it said where another took its place meanwhile may be of neither.
            if std::ptr::eq(store, self.latest()) {
                return Ok(found);
            }
        }
    }

    async fn get_here(&self, name: &str) -> Result<Option<User>, StoreError> {
        if !Users::is_name(name) {
            return Ok(None);
        }
        let Some(row) = self.source.get(&USER_ACCOUNT, name.as_bytes()).await? else { return Ok(None) };
        let user: User = decode(&USER_ACCOUNT, &row)?;
        if user.name != name {
            return Err(another(name));
        }
        self.saw(&user);
        Ok(Some(user))
    }

    fn saw(&self, user: &User) {
        user.password.iter().for_each(|hash| self.passwords.saw(hash));
    }

    /// Whose name and password these are at `now` (Unix seconds), where wrong ones lock a name so. A password whose hash is weaker than those that are made today
    /// gets another one.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &Secret,
        lockout: Lockout,
        now: u64,
    ) -> Result<Proof, StoreError> {
        loop {
            let store = self.latest();
            let proof = store.authenticate_here(name, password, lockout, now).await?;
            if matches!(proof, Proof::Right(_)) || std::ptr::eq(store, self.latest()) {
                return Ok(proof);
            }
        }
    }

    async fn authenticate_here(
        &self,
        name: &str,
        password: &Secret,
        lockout: Lockout,
        now: u64,
    ) -> Result<Proof, StoreError> {
        if let Some(until) = self.failures.locked_until(name, now).await? {
            return Ok(Proof::Locked(until));
        }
        // A disabled one is as unknown.
        let user = self.get_here(name).await?.filter(|user| user.enabled);
        let hash = user.as_ref().and_then(|user| user.password.as_deref());
        let right = self.passwords.verify(name, hash, password).await?;
        let Some(user) = user.filter(|_| right) else {
            return Ok(match self.failures.count(name, lockout, now).await? {
                Some(until) => Proof::Locked(until),
                None => Proof::Wrong,
            });
        };
        // While this one was checked, others may have been wrong once too often.
        if let Some(until) = self.failures.forgive(name, lockout, now).await? {
            return Ok(Proof::Locked(until));
        }
        self.strengthen(&user, password).await;
        Ok(Proof::Right(Box::new(user)))
    }

    /// Gives a password a hash of today's strength. Where that cannot be, the one that it has stays, and the user is in.
    async fn strengthen(&self, user: &User, password: &Secret) {
        let Some(weak) = user.password.as_deref().filter(|hash| is_outdated(hash)) else { return };
        if self.source.capabilities().read_only {
            return;
        }
        let strengthened = async {
            let strong = hash_chosen(password).await?;
            let change = |user: &mut User| {
                if user.password.as_deref() == Some(weak) {
                    user.password = Some(strong.clone());
                }
            };
            self.update(&user.name, change).await
        };
        if let Err(why) = strengthened.await {
            tracing::warn!(user = user.name, "the weak hash of a password stays for now: {why}");
        }
    }

    /// Until when nobody gets in under this name, where that is so at `now` (Unix seconds).
    pub async fn locked_until(&self, name: &str, now: u64) -> Result<Option<u64>, StoreError> {
        self.latest().failures.locked_until(name, now).await
    }

    /// Counts a code of a device that this user types, known here or not. Until when none counts, where that was one too many.
    pub async fn typed_code(&self, subject: &str, limit: Lockout, now: u64) -> Result<Option<u64>, StoreError> {
        self.latest().failures.typed(subject, limit, now).await
    }

    /// Forgets what was wrong under this name; `false` where nothing was.
    pub async fn unlock(&self, name: &str) -> Result<bool, StoreError> {
        self.latest().failures.forget(name).await
    }

    /// Adds a user; `false` where the name is taken.
    pub async fn add(&self, user: &User) -> Result<bool, StoreError> {
        if !Users::is_name(&user.name) {
            return Err(StoreError::Broken("no user can be called so".into()));
        }
        let store = self.latest();
        store.saw(user);
        store.source.insert(&USER_ACCOUNT, Users::row(user)?).await
    }

    /// Changes a user by compare and swap, as often as it takes; `None` where there is none. The name stays what it is.
    pub async fn update(&self, name: &str, change: impl Fn(&mut User) + Send) -> Result<Option<User>, StoreError> {
        for _ in 0..SWAPS {
            let store = self.latest();
            let found = match Users::is_name(name) {
                true => store.source.get(&USER_ACCOUNT, name.as_bytes()).await?,
                false => None,
            };
            let Some(found) = found else {
                if std::ptr::eq(store, self.latest()) {
                    return Ok(None);
                }
                continue;
            };
            let mut user: User = decode(&USER_ACCOUNT, &found)?;
            change(&mut user);
            user.name = name.to_owned();
            if store.source.replace(&USER_ACCOUNT, Users::row(&user)?, found.version).await? {
                return Ok(Some(user));
            }
        }
        Err(too_busy(&USER_ACCOUNT))
    }

    /// Deletes a user; `false` where there is none. End the sessions and revoke the tokens as well (`Sessions::end_all`,
    /// `AccessTokens::revoke_all`), or whoever gets the name next gets them too.
    pub async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        if !Users::is_name(name) {
            return Ok(false);
        }
        loop {
            let store = self.latest();
            let deleted = store.source.take(&USER_ACCOUNT, name.as_bytes()).await?.is_some();
            if deleted || std::ptr::eq(store, self.latest()) {
                return Ok(deleted);
            }
        }
    }

    /// Users in the order of their names, after `after`, at most `limit`.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>, StoreError> {
        let after = after.map_or(BEFORE_NAMES, str::as_bytes).max(BEFORE_NAMES);
        let rows = self.latest().source.list(&USER_ACCOUNT, Some(after), limit).await?;
        rows.iter().map(|row| decode(&USER_ACCOUNT, row)).collect()
    }

    /// A user as it stands in a data source.
    pub fn row(user: &User) -> Result<Row, StoreError> {
        let key = user.name.as_bytes().to_vec();
        Ok(Row { key, version: 1, expires_at: None, indexes: Vec::new(), record: encode(&USER_ACCOUNT, user)? })
    }

    /// Whether a row of the table is a user's, and no count of failures.
    pub fn is_user(row: &Row) -> bool {
        row.key.as_slice() > BEFORE_NAMES
    }
}

/// The other one's password would do.
fn another(name: &str) -> StoreError {
    StoreError::Broken(format!(
        "the record of user `{name}` says that it is another one: it was copied from there by hand perhaps"
    ))
}

#[cfg(test)]
mod tests;
