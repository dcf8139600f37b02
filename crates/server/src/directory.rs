//! Directories of people, by LDAP (RFC 4511): the entry is looked for as the gateway, and then bound to with the password.
//!
//! Each proof has a connection of its own, which ends with it: no bind of one is left for another. So many run at once, and
//! all of one takes so long at most.

use std::sync::{Arc, LazyLock};

use ldap3::result::Result as LdapResult;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, ldap_escape};
use policy::ports::{Directories, Directory, DirectoryEntry, Proving};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at once, of all directories.
const MOST: usize = 32;

/// `invalidCredentials` (RFC 4511, appendix A.1).
const INVALID_CREDENTIALS: u32 = 49;
/// `sizeLimitExceeded`: there are more entries than we want to know.
const SIZE_LIMIT: u32 = 4;
/// What a directory says of an entry that may not log in: a constraint, no rights, unwilling (locked, the password expired).
const REFUSALS: [u32; 3] = [19, 50, 53];

/// All directories: one for the process, since its connections are what is bounded.
pub(crate) fn all() -> Arc<dyn Directories> {
    static ALL: LazyLock<Arc<ByLdap>> = LazyLock::new(|| Arc::new(ByLdap { room: Semaphore::new(MOST) }));
    ALL.clone()
}

struct ByLdap {
    room: Semaphore,
}

impl Directories for ByLdap {
    fn prove<'a>(&'a self, directory: &'a Directory, name: &'a str, password: &'a str) -> Proving<'a> {
        Box::pin(async move {
            // A bind without a password is one as nobody, and succeeds (RFC 4513, section 5.1.2).
            if password.is_empty() {
                return Ok(None);
            }
            let work = async {
                let _place = self.room.acquire().await.map_err(|_| String::from("no directory is asked any more"))?;
                ask(directory, name, password).await
            };
            let late = || Err(format!("the directory {} did not answer in time", directory.url));
            timeout(directory.timeout, work).await.unwrap_or_else(|_| late())
        })
    }
}

async fn ask(directory: &Directory, name: &str, password: &str) -> Result<Option<DirectoryEntry>, String> {
    let told = |error: LdapError| format!("the directory {}: {error}", directory.url);
    let settings = LdapConnSettings::new().set_conn_timeout(directory.timeout);
    let (connection, ldap) = LdapConnAsync::with_settings(settings, &directory.url).await.map_err(told)?;
    // The connection is driven here, and by no task: it ends where nobody waits any more.
    tokio::select! {
        proved = prove(ldap, directory, name, password) => proved.map_err(told),
        ended = connection.drive() => Err(match ended {
            Ok(()) => format!("the directory {} closed the connection", directory.url),
            Err(error) => told(error),
        }),
    }
}

async fn prove(
    mut ldap: Ldap,
    directory: &Directory,
    name: &str,
    password: &str,
) -> LdapResult<Option<DirectoryEntry>> {
    if let Some((dn, secret)) = &directory.bind {
        ldap.simple_bind(dn, secret.expose()).await?.success()?;
    }
    let filter = directory.filter.replace("{name}", &ldap_escape(name));
    // Two are as good as more: nobody knows which one is meant.
    let options = SearchOptions::new().sizelimit(2);
    let found =
        ldap.with_search_options(options).search(&directory.base, Scope::Subtree, &filter, &directory.attributes);
    let found = found.await?;
    let (entries, ended) = (found.0, found.1);
    if ended.rc != SIZE_LIMIT {
        ended.success()?;
    }
    let mut entries = entries.into_iter().filter(|entry| !entry.is_ref()).map(SearchEntry::construct);
    let (entry, more) = (entries.next(), entries.next().is_some());
    if more {
        tracing::warn!(
            directory = directory.url,
            "more than one entry has a name that somebody logs in with: it is refused"
        );
    }
    // Where there is nobody, something is bound to all the same: the answer takes as long.
    let entry = entry.filter(|_| !more);
    let dn = entry.as_ref().map_or(directory.base.as_str(), |entry| entry.dn.as_str());
    let bound = ldap.simple_bind(dn, password).await?;
    let right = match bound.rc {
        0 => true,
        INVALID_CREDENTIALS => false,
        refusal if REFUSALS.contains(&refusal) => false,
        // For whoever is there, it is a fault; where nobody is, there is nothing to tell.
        _ if entry.is_none() => false,
        _ => bound.success().map(|_| true)?,
    };
    let _ = ldap.unbind().await;
    Ok(entry.filter(|_| right).map(|entry| {
        // Names of attributes are alike in whatever case (RFC 4512, section 2.5).
        let value = |asked: &String| {
            let (_, values) = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(asked))?;
            Some((asked.clone(), values.clone()))
        };
        DirectoryEntry { attributes: directory.attributes.iter().filter_map(value).collect() }
    }))
}
