//! The `device-code` store: codes of devices that wait for their users (RFC 8628).
//!
//! A row has the expiry and the SHA-256 of the device's code as its key, and the code that the user types in an index. It is changed by
//! compare and swap only: by the device that asks, by the user who decides, and by whoever redeems it, which one does.

use std::sync::Arc;

use oauth::device::{self, State};
use oauth::token::{Token, TokenKind};
use oauth::{ClientId, GrantId, Scopes};
use serde::{Deserialize, Serialize};

use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::record::{Authentication, EpochsThen};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::DEVICE_CODE;

/// The place of the user's code among the table's index columns.
const USER_CODE: usize = 0;

/// A device code's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceCode {
    /// The client whose device it is.
    pub client_id: ClientId,
    /// What it asks for.
    pub scope: Scopes,
    /// What the user types, without its hyphen.
    pub user_code: String,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Seconds between two questions of the device.
    pub interval: u64,
    /// When it asked last, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<u64>,
    /// What the user decided.
    pub decision: Decision,
}

/// What a user decided of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Nothing yet.
    Pending,
    /// It may.
    Allowed(Allowed),
    /// It may not.
    Denied,
    /// It may, and has its tokens.
    Used(GrantId),
}

/// What a user allowed a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allowed {
    /// The user.
    pub subject: String,
    /// What.
    pub scope: Scopes,
    /// The grant that begins with it.
    pub grant_id: GrantId,
    /// Unix seconds.
    pub granted_at: u64,
    /// How the user was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// The epochs of the client and the user at that time.
    #[serde(flatten)]
    pub epochs: EpochsThen,
}

/// A code as it was read.
#[derive(Debug)]
pub struct FoundDevice {
    row: Row,
    /// Its record.
    pub record: DeviceCode,
}

/// Device codes over a data source. Kept of the device's own: SHA-256 only.
pub struct DeviceCodes {
    source: Arc<dyn DataSource>,
    successor: Successor<DeviceCodes>,
}

impl Succeeded for DeviceCodes {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

impl DeviceCodes {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        DeviceCodes { source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Keeps a code that was just minted; `false` where another device has the same code for its user to type.
    pub async fn insert(&self, code: &Token, record: &DeviceCode, now: u64) -> Result<bool, StoreError> {
        if code.kind() != TokenKind::Device || code.expires_at() != record.expires_at {
            return Err(StoreError::Broken("a code and its record say different things of it".into()));
        }
        if self.find(&record.user_code, now).await?.is_some() {
            return Ok(false);
        }
        let row = Row {
            key: code.key().to_bytes().to_vec(),
            version: 1,
            expires_at: Some(seconds(record.expires_at)),
            indexes: vec![Some(record.user_code.clone())],
            record: encode(&DEVICE_CODE, record)?,
        };
        self.latest().source.insert(&DEVICE_CODE, row).await
    }

    /// The code that a user typed, where a device waits with it. Two that made the same one at once are nobody's.
    pub async fn find(&self, user_code: &str, now: u64) -> Result<Option<FoundDevice>, StoreError> {
        let rows = self.latest().source.find(&DEVICE_CODE, USER_CODE, user_code, None, 9).await?;
        let mut live = Vec::new();
        for row in rows {
            let record: DeviceCode = decode(&DEVICE_CODE, &row)?;
            if record.expires_at > now {
                live.push(FoundDevice { row, record });
            }
        }
        Ok(if live.len() == 1 { live.pop() } else { None })
    }

    /// A device asks: what the user allowed, or where its code is. That it asked is noted.
    pub async fn ask(&self, code: &str, client: &ClientId, now: u64) -> Result<Result<FoundDevice, State>, StoreError> {
        let Some(code) = Token::parse(code).filter(|code| code.kind() == TokenKind::Device) else {
            return Ok(Err(State::Unknown));
        };
        for _ in 0..SWAPS {
            let store = self.latest();
            let Some(row) = store.source.get(&DEVICE_CODE, &code.key().to_bytes()).await? else {
                // One that is purged has expired; only the device that was given it can say when that was.
                return Ok(Err(if code.expires_at() <= now { State::Expired } else { State::Unknown }));
            };
            let record: DeviceCode = decode(&DEVICE_CODE, &row)?;
            if record.client_id != *client {
                return Ok(Err(State::Unknown));
            }
            if record.expires_at <= now {
                return Ok(Err(State::Expired));
            }
            match record.decision {
                Decision::Denied => return Ok(Err(State::Denied)),
                Decision::Used(_) => return Ok(Err(State::Unknown)),
                Decision::Allowed(_) => return Ok(Ok(FoundDevice { row, record })),
                Decision::Pending => {}
            }
            let (interval, too_often) = device::interval(record.interval, record.asked_at, now);
            let asked = DeviceCode { interval, asked_at: Some(now), ..record };
            let version = row.version;
            let row = Row { record: encode(&DEVICE_CODE, &asked)?, ..row };
            if store.source.replace(&DEVICE_CODE, row, version).await? {
                return Ok(Err(if too_often { State::TooOften } else { State::Pending }));
            }
        }
        Err(too_busy(&DEVICE_CODE))
    }

    /// What the user decides, once; `false` where that was decided before.
    pub async fn decide(&self, user_code: &str, decision: &Decision, now: u64) -> Result<bool, StoreError> {
        for _ in 0..SWAPS {
            let Some(found) = self.find(user_code, now).await? else { return Ok(false) };
            if found.record.decision != Decision::Pending {
                return Ok(false);
            }
            let record = DeviceCode { decision: decision.clone(), ..found.record };
            let row = Row { record: encode(&DEVICE_CODE, &record)?, ..found.row.clone() };
            if self.latest().source.replace(&DEVICE_CODE, row, found.row.version).await? {
                return Ok(true);
            }
        }
        Err(too_busy(&DEVICE_CODE))
    }

    /// Uses a code that was allowed, as it was found; of several callers one does.
    pub async fn redeem(&self, found: &FoundDevice) -> Result<bool, StoreError> {
        let Decision::Allowed(allowed) = &found.record.decision else { return Ok(false) };
        let record = DeviceCode { decision: Decision::Used(allowed.grant_id.clone()), ..found.record.clone() };
        let row = Row { record: encode(&DEVICE_CODE, &record)?, ..found.row.clone() };
        self.latest().source.replace(&DEVICE_CODE, row, found.row.version).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::memory::Memory;

    const NOW: u64 = 1_800_000_000;

    fn minted(number: u8, user_code: &str) -> (Token, DeviceCode) {
        let record = DeviceCode {
            client_id: ClientId::new("tv"),
            scope: Scopes::parse("a b").unwrap(),
            user_code: user_code.into(),
            issued_at: NOW,
            expires_at: NOW + 600,
            interval: 5,
            asked_at: None,
            decision: Decision::Pending,
        };
        (Token::mint(TokenKind::Device, NOW + 600, [number; 32]), record)
    }

    fn allowed() -> Decision {
        Decision::Allowed(Allowed {
            subject: "ann".into(),
            scope: Scopes::parse("a").unwrap(),
            grant_id: GrantId::mint(NOW * 1000, [7; 16]),
            granted_at: NOW + 20,
            authentication: None,
            epochs: EpochsThen::default(),
        })
    }

    async fn state(store: &DeviceCodes, code: &Token, client: &str, now: u64) -> Result<Decision, State> {
        let asked = store.ask(code.expose(), &ClientId::new(client), now).await.unwrap();
        asked.map(|found| found.record.decision)
    }

    /// D82, D83, D85.
    #[tokio::test]
    async fn rfc8628_3_5_a_device_asks_until_its_user_has_decided() {
        let store = DeviceCodes::new(Arc::new(Memory::new()));
        let (code, record) = minted(1, "BCDFGHJK");
        assert_eq!(store.insert(&code, &record, NOW).await, Ok(true));
        assert_eq!(state(&store, &code, "tv", NOW).await, Err(State::Pending));
        assert_eq!(state(&store, &code, "tv", NOW + 4).await, Err(State::TooOften));
        assert_eq!(state(&store, &code, "tv", NOW + 13).await, Err(State::TooOften), "ten seconds now");
        assert_eq!(state(&store, &code, "tv", NOW + 28).await, Err(State::Pending), "and fifteen");
        assert_eq!(state(&store, &code, "other", NOW + 50).await, Err(State::Unknown));
        assert_eq!(store.decide("BCDFGHJK", &allowed(), NOW + 50).await, Ok(true));
        assert_eq!(store.decide("BCDFGHJK", &Decision::Denied, NOW + 50).await, Ok(false), "once");
        assert_eq!(state(&store, &code, "tv", NOW + 51).await, Ok(allowed()));
        let one = store.ask(code.expose(), &ClientId::new("tv"), NOW + 52).await.unwrap().unwrap();
        let two = store.ask(code.expose(), &ClientId::new("tv"), NOW + 52).await.unwrap().unwrap();
        assert_eq!((store.redeem(&one).await, store.redeem(&two).await), (Ok(true), Ok(false)));
        assert_eq!(state(&store, &code, "tv", NOW + 60).await, Err(State::Unknown));
    }

    #[tokio::test]
    async fn a_code_expires_is_denied_and_is_no_other_token() {
        let store = DeviceCodes::new(Arc::new(Memory::new()));
        let (code, record) = minted(1, "BCDFGHJK");
        store.insert(&code, &record, NOW).await.unwrap();
        assert_eq!(store.insert(&minted(2, "BCDFGHJK").0, &record, NOW).await, Ok(false), "somebody else's code");
        assert_eq!(state(&store, &code, "tv", NOW + 600).await, Err(State::Expired));
        assert!(store.find("BCDFGHJK", NOW + 600).await.unwrap().is_none());
        assert!(store.find("BCDFGHJL", NOW).await.unwrap().is_none());
        assert_eq!(store.decide("BCDFGHJK", &Decision::Denied, NOW).await, Ok(true));
        assert_eq!(state(&store, &code, "tv", NOW).await, Err(State::Denied));
        let other = Token::mint(TokenKind::Access, NOW + 600, [1; 32]);
        assert_eq!(state(&store, &other, "tv", NOW).await, Err(State::Unknown));
        let gone = Token::mint(TokenKind::Device, NOW - 1, [1; 32]);
        assert_eq!(state(&store, &gone, "tv", NOW).await, Err(State::Expired));
        let rows = store.source().list(&DEVICE_CODE, None, 9).await.unwrap();
        assert!(!rows[0].record.contains(&code.expose()[8..20]));
    }
}
