//! Rows of key property stores.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::reader::did_you_mean;
use store::Kps;
use store::kps::{Columns, Found, KpsError, Mode, Put};
use store::source::StoreError;

use super::{Records, Stores, failed};
use crate::admin::api::kps::{KpsView, PutMode, PutRows, Reencrypt, Reencrypted, RowDone, RowList, RowView};
use crate::admin::api::{Done, Refusal, RefusalKind};
use crate::admin::{Client as AdminClient, ClientError};

/// Rows that are sealed anew at a time.
const PAGE: usize = 200;

/// The key property stores of a mapping, by their own names, each with the name of its source.
pub(crate) type KpsStores = BTreeMap<String, (Arc<Kps>, String)>;

impl Stores {
    /// The store with this name.
    pub(crate) fn kps(&self, name: &str) -> Result<&Arc<Kps>, Refusal> {
        self.kps.get(name).map(|(kps, _)| kps).ok_or_else(|| {
            let help = match did_you_mean(name, self.kps.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare `[kps.{name}]` in stores/stores.toml"),
            };
            let message = format!("there is no key property store `{name}`");
            Refusal { kind: RefusalKind::NotFound, message, help: Some(help) }
        })
    }

    pub(crate) fn list_kps(&self) -> Vec<KpsView> {
        let view = |(name, (kps, source)): (&String, &(Arc<Kps>, String))| {
            let settings = kps.settings();
            let columns = settings.columns.iter();
            KpsView {
                name: name.clone(),
                source: source.clone(),
                table: settings.table.clone(),
                key: settings.key.clone(),
                second_key: settings.second_key.clone(),
                columns: columns.map(|(name, column)| (name.clone(), column.of.word().to_owned())).collect(),
                encrypted: settings.encrypted().map(str::to_owned).collect(),
                auto_id: settings.auto_id,
                ttl_seconds: settings.ttl.map(|ttl| ttl.as_secs()),
            }
        };
        self.kps.iter().map(view).collect()
    }

    pub(crate) async fn list_rows(&self, name: &str, after: Option<&str>, limit: usize) -> Result<RowList, Refusal> {
        let rows = self.kps(name)?.list(after, limit.saturating_add(1), self.now()).await;
        let mut rows: Vec<RowView> = rows.map_err(failed)?.into_iter().map(view).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.key.clone());
        Ok(RowList { rows, next })
    }

    pub(crate) async fn get_row(&self, name: &str, key: &str, second: bool, open: bool) -> Result<RowView, Refusal> {
        let (kps, now) = (self.kps(name)?, self.now());
        if second && kps.settings().second_key.is_none() {
            return Err(Refusal::invalid(format!("`kps.{name}` has no second key"), "ask by the key"));
        }
        let found = match (second, open) {
            (false, false) => kps.get_kept(key, now).await,
            (false, true) => kps.get(key, now).await,
            (true, false) => kps.get_second_kept(key, now).await,
            (true, true) => kps.get_second(key, now).await,
        };
        found.map_err(failed)?.map(view).ok_or_else(|| no_row(name, key))
    }

    pub(crate) async fn put_rows(&self, name: &str, request: &PutRows) -> Result<Vec<RowDone>, Refusal> {
        let kps = self.kps(name)?;
        kps.check_writable().map_err(refusal)?;
        let mut done = Vec::with_capacity(request.rows.len());
        for columns in &request.rows {
            let outcome = match request.check_only {
                true => check(kps, columns.clone()),
                false => self.put_row(kps, columns.clone(), request.mode.into(), request.ttl_seconds).await,
            };
            done.push(told(outcome)?);
        }
        Ok(done)
    }

    pub(crate) async fn put_row(
        &self,
        kps: &Kps,
        columns: Columns,
        mode: Mode,
        ttl_seconds: Option<u64>,
    ) -> Result<RowDone, Refusal> {
        let put = Put { mode, ttl: ttl_seconds.map(Duration::from_secs), now: self.now(), id: self.random() };
        let of = whole_name(kps, kps.key_to_be(&columns, put.id).as_deref());
        let work = async { kps.put(columns, &put).await.map_err(refusal) };
        let written = self.audit.change("kps put", &of, work).await?;
        Ok(RowDone { key: Some(written.key), created: written.created, refused: None })
    }

    pub(crate) async fn delete_row(&self, name: &str, key: &str) -> Result<Done, Refusal> {
        let kps = self.kps(name)?;
        let work = async {
            match kps.delete(key, self.now()).await.map_err(refusal)? {
                true => Ok(Done { done: format!("row `{key}` of `kps.{name}` is deleted") }),
                false => Err(no_row(name, key)),
            }
        };
        let asked = kps.settings().asked_key(key);
        self.audit.change("kps delete", &whole_name(kps, asked.as_deref().or(Some(key))), work).await
    }

    pub(crate) async fn restore_rows(&self, name: &str, rows: Vec<RowView>) -> Result<Vec<RowDone>, Refusal> {
        let kps = self.kps(name)?;
        kps.check_writable().map_err(refusal)?;
        let mut done = Vec::with_capacity(rows.len());
        for RowView { key, columns, expires_at } in rows {
            let of = whole_name(kps, kps.settings().asked_key(columns.get(&kps.settings().key).cloned()).as_deref());
            let work = async {
                let restored = kps.restore(Found { key: key.clone(), columns, expires_at }, self.now()).await;
                restored.map(|()| RowDone { key: Some(key), created: true, refused: None }).map_err(refusal)
            };
            done.push(told(self.audit.change("kps restore", &of, work).await)?);
        }
        Ok(done)
    }

    pub(crate) async fn reencrypt_rows(&self, name: &str, request: &Reencrypt) -> Result<Reencrypted, Refusal> {
        let kps = self.kps(name)?;
        if kps.settings().encrypted().next().is_none() {
            return Err(Refusal::invalid(format!("`kps.{name}` has no encrypted column"), "there is nothing to do"));
        }
        let now = self.now();
        let rows = kps.list(request.after.as_deref(), PAGE, now).await.map_err(failed)?;
        let work = async {
            let (mut sealed, mut refused) = (0, Vec::new());
            for row in &rows {
                match kps.reencrypt(&row.key, now).await {
                    Ok(changed) => sealed += u64::from(changed),
                    // One that does not open keeps no other from being sealed anew.
                    Err(KpsError::Store(StoreError::Broken(why))) => {
                        refused.push(RowDone { key: Some(row.key.clone()), created: false, refused: Some(why) });
                    }
                    Err(why) => return Err(refusal(why)),
                }
            }
            Ok((sealed, refused))
        };
        let (sealed, refused) = self.audit.change("kps reencrypt", &whole_name(kps, None), work).await?;
        let next = rows.last().filter(|_| rows.len() == PAGE).map(|row| row.key.clone());
        Ok(Reencrypted { rows: rows.len() as u64, sealed, refused, next })
    }
}

impl Records {
    /// The key property stores there are.
    pub async fn list_kps(&self) -> Result<Vec<KpsView>, ClientError> {
        match self {
            Records::Stores(stores) => Ok(stores.list_kps()),
            Records::Node(node) => node.get("/kps").await,
        }
    }

    /// Rows in the order of their keys, after `after`, at most `limit`.
    pub async fn list_rows(&self, name: &str, after: Option<&str>, limit: usize) -> Result<RowList, ClientError> {
        match self {
            Records::Stores(stores) => stores.list_rows(name, after, limit).await.map_err(ClientError::Refused),
            Records::Node(node) => {
                let after = after.map_or_else(String::new, |key| format!("&after={}", AdminClient::encoded(key)));
                node.get(&format!("/kps/{}?limit={limit}{after}", AdminClient::encoded(name))).await
            }
        }
    }

    /// One row, by its key or its second key; with `open`, what is sealed in clear.
    pub async fn get_row(&self, name: &str, key: &str, second: bool, open: bool) -> Result<RowView, ClientError> {
        match self {
            Records::Stores(stores) => stores.get_row(name, key, second, open).await.map_err(ClientError::Refused),
            Records::Node(node) => {
                let (name, key) = (AdminClient::encoded(name), AdminClient::encoded(key));
                node.get(&format!("/kps/{name}/{key}?second={second}&open={open}")).await
            }
        }
    }

    /// Puts rows, one after the other; what became of each.
    pub async fn put_rows(&self, name: &str, request: &PutRows) -> Result<Vec<RowDone>, ClientError> {
        match self {
            Records::Stores(stores) => stores.put_rows(name, request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&format!("/kps/{}", AdminClient::encoded(name)), request).await,
        }
    }

    /// Deletes a row.
    pub async fn delete_row(&self, name: &str, key: &str) -> Result<Done, ClientError> {
        match self {
            Records::Stores(stores) => stores.delete_row(name, key).await.map_err(ClientError::Refused),
            Records::Node(node) => {
                node.delete(&format!("/kps/{}/{}", AdminClient::encoded(name), AdminClient::encoded(key))).await
            }
        }
    }

    /// Puts rows back as they were kept, sealed values included.
    pub async fn restore_rows(&self, name: &str, rows: Vec<RowView>) -> Result<Vec<RowDone>, ClientError> {
        match self {
            Records::Stores(stores) => stores.restore_rows(name, rows).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&format!("/kps/{}/restore", AdminClient::encoded(name)), &rows).await,
        }
    }

    /// Seals a page of rows anew with the key that seals now.
    pub async fn reencrypt_rows(&self, name: &str, request: &Reencrypt) -> Result<Reencrypted, ClientError> {
        match self {
            Records::Stores(stores) => stores.reencrypt_rows(name, request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&format!("/kps/{}/reencrypt", AdminClient::encoded(name)), request).await,
        }
    }
}

impl From<PutMode> for Mode {
    fn from(mode: PutMode) -> Self {
        match mode {
            PutMode::Replace => Mode::Replace,
            PutMode::Insert => Mode::Insert,
            PutMode::Merge => Mode::Merge,
        }
    }
}

fn view(found: Found) -> RowView {
    RowView { key: found.key, columns: found.columns, expires_at: found.expires_at }
}

/// A row as the audit log names it: `kps.partners/acme`.
fn whole_name(kps: &Kps, key: Option<&str>) -> String {
    let name = &kps.settings().name;
    key.map_or_else(|| format!("kps.{name}"), |key| format!("kps.{name}/{key}"))
}

/// Whether a row would fit, by itself.
fn check(kps: &Kps, columns: Columns) -> Result<RowDone, Refusal> {
    kps.check(columns).map(|key| RowDone { key, created: false, refused: None }).map_err(refusal)
}

/// A row that is refused says so, and the others go on; a source that fails ends it.
fn told(outcome: Result<RowDone, Refusal>) -> Result<RowDone, Refusal> {
    match outcome {
        Err(Refusal { kind: RefusalKind::Invalid | RefusalKind::Exists, message, .. }) => {
            Ok(RowDone { key: None, created: false, refused: Some(message) })
        }
        outcome => outcome,
    }
}

/// Why a row was not put or deleted.
fn refusal(error: KpsError) -> Refusal {
    match error {
        KpsError::Unfit(why) => Refusal::invalid(why.to_string(), "see `[kps.*]` in stores/stores.toml"),
        KpsError::Taken(message) => Refusal { kind: RefusalKind::Exists, message, help: None },
        KpsError::ReadOnly(message) => Refusal { kind: RefusalKind::Invalid, message, help: None },
        KpsError::Store(why) => failed(why),
    }
}

fn no_row(name: &str, key: &str) -> Refusal {
    let message = format!("there is no row `{key}` in `kps.{name}`");
    let help = Some(format!("`portcullis kps list {name}` shows the keys"));
    Refusal { kind: RefusalKind::NotFound, message, help }
}
