//! Answers that are remembered for a short time, by what was asked.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use policy::ports::UpstreamError;
use policy::{BuildContext, Diagnostics, Exchange, Getter, Reason};

use super::settings::CacheSettings;
use super::{Answer, Call};
use crate::flights::Flights;
use crate::weighed::weighed;

/// What was asked, hashed: what keys are made of may be a credential.
pub(super) type Key = [u8; 32];

/// What an answer weighs that is still to find room.
const LARGEST: u64 = 1 << 20;

type Asking = Flights<Key, Result<Arc<Answer>, UpstreamError>>;

/// Finds answers, and keeps them.
pub(super) struct Remembered {
    key: Option<Getter<String>>,
    memory: Arc<Memory>,
}

/// It outlives a reload.
pub(super) struct Memory {
    answers: Cache<Key, Kept, ByWeight>,
    flights: Arc<Asking>,
    max_age: u64,
}

#[derive(Clone)]
struct Kept {
    answer: Arc<Answer>,
    /// By the monotonic clock.
    until: u64,
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Kept> for ByWeight {
    fn weight(&self, _: &Key, kept: &Kept) -> u64 {
        kept.answer.weight
    }
}

impl Remembered {
    pub(super) fn compile(
        settings: &CacheSettings,
        shape: &str,
        cx: &mut BuildContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let (max_age, size) = settings.checked(cx)?;
        let key = settings.key.as_ref().map(|key| cx.dynamic(key)).transpose()?;
        let memory = cx.keep((shape, max_age, size), || Memory {
            answers: weighed(size, LARGEST, ByWeight),
            flights: Arc::default(),
            max_age,
        });
        Ok(Remembered { key, memory })
    }

    /// Under what the answer is kept: by default whatever is sent, so that nothing can be answered with what was meant for another.
    pub(super) fn key(&self, call: &Call, exchange: &Exchange) -> Result<Key, Reason> {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        match &self.key {
            Some(key) => part(key.get(exchange)?.as_bytes()),
            None => {
                part(call.method.as_str().as_bytes());
                part(call.target.to_string().as_bytes());
                for (name, value) in &call.headers {
                    part(name.as_str().as_bytes());
                    part(value.as_bytes());
                }
                part(&call.body);
            }
        }
        Ok(hash.finalize().into())
    }

    pub(super) fn find(&self, key: Key, now: u64) -> Option<Arc<Answer>> {
        self.memory.find(key, now)
    }

    pub(super) fn flights(&self) -> &Arc<Asking> {
        &self.memory.flights
    }

    pub(super) fn memory(&self) -> Arc<Memory> {
        self.memory.clone()
    }
}

impl Memory {
    pub(super) fn find(&self, key: Key, now: u64) -> Option<Arc<Answer>> {
        let kept = self.answers.get(&key)?;
        if now < kept.until {
            return Some(kept.answer);
        }
        self.answers.remove(&key);
        None
    }

    pub(super) fn keep(&self, key: Key, answer: Arc<Answer>, now: u64) {
        self.answers.insert(key, Kept { answer, until: now.saturating_add(self.max_age) });
    }
}
