//! When keys are made and retired: pure functions of the keys there are and of the time, the same on every node.
//!
//! ```text
//!          publish          rotate              the longest token
//! made ─────────────► signs ─────────► retired ─────────────────► gone
//! └───────────────────────── published ─────────────────────────┘
//! ```

use std::time::{Duration, UNIX_EPOCH};

use oauth::jose::Algorithm;

use crate::record::SigningKey;

/// Under this name the policies in force say which keys of which store there are to be, and a node keeps that schedule: `store`,
/// `algorithms`, `rotate` and `publish` (seconds).
pub const FACT: &str = "signing-keys";

/// `[keys]` of `policies/oauth/server.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Each has a key that signs.
    pub algorithms: Vec<Algorithm>,
    /// How long a key signs, seconds.
    pub rotate: u64,
    /// How long a key is published before it signs, seconds.
    pub publish: u64,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key is to be made.
    Make {
        /// For this algorithm.
        algorithm: Algorithm,
        /// From when on it signs, Unix seconds.
        active_from: u64,
    },
    /// A key signs no more.
    Retire {
        /// Which.
        kid: String,
        /// Since when, Unix seconds.
        at: u64,
    },
}

/// The identifier of a key: `es256-20261128T190500Z`. It follows from when the key begins to sign, so that nodes that make the same key at
/// once make it under one name, and a store that was emptied gives no name away for a second time.
pub fn kid(algorithm: Algorithm, active_from: u64) -> String {
    // Within the years that can be written; beyond them, all keys are of the last day.
    let at = UNIX_EPOCH + Duration::from_secs(active_from.min(253_402_300_799));
    let time = humantime::format_rfc3339_seconds(at).to_string().replace(['-', ':'], "");
    format!("{}-{time}", algorithm.as_str().to_ascii_lowercase())
}

/// The second with which this minute began.
pub(super) fn minute(now: u64) -> u64 {
    now - now % 60
}

/// The key that signs by this algorithm: of those that have begun and are not retired, the one that began last.
pub fn active<'a>(keys: impl IntoIterator<Item = &'a SigningKey>, alg: &str, now: u64) -> Option<&'a SigningKey> {
    keys.into_iter().filter(|key| key.alg == alg && key.signs(now)).max_by_key(|key| (key.active_from, &key.kid))
}

/// What is due at `now`, Unix seconds.
pub fn due(keys: &[SigningKey], schedule: &Schedule, now: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    for algorithm in &schedule.algorithms {
        let of = |key: &&SigningKey| key.alg == algorithm.as_str();
        let Some(current) = active(keys, algorithm.as_str(), now) else {
            steps.push(Step::Make { algorithm: *algorithm, active_from: minute(now) });
            continue;
        };
        let ends = current.active_from.saturating_add(schedule.rotate);
        let follows = keys.iter().filter(of).any(|key| key.active_from > now && key.retired_at.is_none());
        if !follows && now.saturating_add(schedule.publish) >= ends {
            // One that is late is published for as long as any other, and begins when the others would let it begin too.
            let step = schedule.publish.clamp(1, 60);
            let late = now.saturating_add(schedule.publish).div_ceil(step).saturating_mul(step);
            steps.push(Step::Make { algorithm: *algorithm, active_from: ends.max(late) });
        }
        let replaced = keys.iter().filter(of).filter(|key| key.signs(now) && key.kid != current.kid);
        steps.extend(replaced.map(|key| Step::Retire { kid: key.kid.clone(), at: now }));
    }
    // An algorithm that is no longer wanted: its key serves its time, since another node may still be told to use it.
    let unwanted = |key: &&SigningKey| !schedule.algorithms.iter().any(|wanted| wanted.as_str() == key.alg);
    let over = |key: &&SigningKey| key.signs(now) && now >= key.active_from.saturating_add(schedule.rotate);
    let over = keys.iter().filter(unwanted).filter(over);
    steps.extend(over.map(|key| Step::Retire { kid: key.kid.clone(), at: now }));
    steps
}

impl SigningKey {
    /// Whether it may sign.
    pub fn signs(&self, now: u64) -> bool {
        self.active_from <= now && self.retired_at.is_none_or(|at| at > now) && self.lives(now)
    }

    /// Whether it is published.
    pub fn lives(&self, now: u64) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }

    /// Notes how long what it signs lives, seconds; whether that is news.
    pub(super) fn outlive(&mut self, longest: u64) -> bool {
        if longest <= self.longest {
            return false;
        }
        // One that was retired meanwhile, and not withdrawn, stays for what it is about to sign.
        if let (Some(retired_at), Some(expires_at)) = (self.retired_at, &mut self.expires_at)
            && *expires_at > retired_at
        {
            *expires_at = expires_at.saturating_add(longest - self.longest);
        }
        self.longest = longest;
        true
    }

    /// It signs no more, and is published for as long as what it signed lives; whether that is news.
    pub(super) fn retire(&mut self, at: u64, margin: u64) -> bool {
        if self.retired_at.is_some() {
            return false;
        }
        self.retired_at = Some(at);
        self.expires_at = Some(at.saturating_add(self.longest).saturating_add(margin));
        true
    }

    /// It signs no more, and is not published; whether that is news.
    pub(super) fn withdraw(&mut self, at: u64) -> bool {
        if !self.lives(at) {
            return false;
        }
        self.retired_at = Some(self.retired_at.map_or(at, |retired_at| retired_at.min(at)));
        self.expires_at = self.retired_at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn schedule() -> Schedule {
        Schedule { algorithms: vec![Algorithm::Es256], rotate: 30 * DAY, publish: DAY }
    }

    fn key(alg: &str, active_from: u64) -> SigningKey {
        SigningKey {
            kid: format!("{alg}-{active_from}"),
            alg: alg.to_owned(),
            public: serde_json::Value::Null,
            private: String::new(),
            created_at: 0,
            active_from,
            longest: 0,
            retired_at: None,
            expires_at: None,
        }
    }

    fn make(active_from: u64) -> Step {
        Step::Make { algorithm: Algorithm::Es256, active_from }
    }

    #[test]
    fn identifiers_follow_from_the_time() {
        assert_eq!(kid(Algorithm::Es256, 1_795_892_700), "es256-20261128T190500Z");
        assert_eq!(kid(Algorithm::EdDsa, 0), "eddsa-19700101T000000Z");
        assert_eq!(kid(Algorithm::Rs256, u64::MAX), "rs256-99991231T235959Z");
    }

    #[test]
    fn the_first_key_signs_at_once() {
        assert_eq!(due(&[], &schedule(), 125), [make(120)]);
        // Another algorithm's is none of it; nor one that is to come, is retired or withdrawn.
        let mut gone = [key("ES256", 10), key("ES256", 20), key("RS256", 30), key("ES256", 500)];
        gone[0].retire(100, 300);
        gone[1].withdraw(100);
        assert_eq!(due(&gone, &schedule(), 125), [make(120)]);
    }

    #[test]
    fn the_next_key_is_published_before_it_signs() {
        let first = key("ES256", 1_000 * 60);
        let ends = 1_000 * 60 + 30 * DAY;
        let all = [first.clone()];
        assert_eq!(due(&all, &schedule(), ends - DAY - 1), []);
        assert_eq!(due(&all, &schedule(), ends - DAY), [make(ends)]);
        // Late: it is published for a day all the same, and begins with a minute.
        assert_eq!(due(&all, &schedule(), ends + 1), [make(ends + DAY + 60)]);

        let both = [first.clone(), key("ES256", ends)];
        assert_eq!(due(&both, &schedule(), ends - 1), [], "one is enough");
        assert_eq!(active(&both, "ES256", ends - 1), Some(&both[0]));
        assert_eq!(active(&both, "ES256", ends), Some(&both[1]));
        assert_eq!(due(&both, &schedule(), ends + 5), [Step::Retire { kid: first.kid, at: ends + 5 }]);
    }

    #[test]
    fn a_retired_key_is_published_until_its_tokens_are_gone() {
        let mut key = key("ES256", 0);
        assert!(key.outlive(3_600) && !key.outlive(3_600) && !key.outlive(60));
        assert!(key.retire(1_000, 300) && !key.retire(2_000, 300));
        assert_eq!((key.retired_at, key.expires_at), (Some(1_000), Some(4_900)));
        assert!(key.lives(4_899) && !key.lives(4_900) && key.signs(999) && !key.signs(1_000));
        // A node that did not know it yet signs something that lives longer.
        assert!(key.outlive(7_200));
        assert_eq!(key.expires_at, Some(8_500));
    }

    #[test]
    fn a_withdrawn_key_is_gone_at_once() {
        let mut one = key("ES256", 0);
        one.outlive(3_600);
        assert!(one.withdraw(1_000) && !one.withdraw(2_000));
        assert!(!one.lives(1_000) && !one.signs(1_000));
        one.outlive(7_200);
        assert!(!one.lives(1_000), "nothing brings it back");
        let mut retired = key("ES256", 0);
        retired.outlive(3_600);
        retired.retire(1_000, 300);
        assert!(retired.withdraw(2_000));
        assert!(!retired.lives(2_000));
    }

    #[test]
    fn an_algorithm_that_is_not_wanted_any_more_serves_its_time() {
        let other = key("RS256", 60);
        let keys = [other.clone(), key("ES256", 30 * DAY)];
        assert_eq!(due(&keys, &schedule(), 60 + 30 * DAY - 1), []);
        assert_eq!(due(&keys, &schedule(), 60 + 30 * DAY), [Step::Retire { kid: other.kid, at: 60 + 30 * DAY }]);
    }

    #[test]
    fn of_two_that_began_at_once_every_node_takes_the_same() {
        let mut other = key("ES256", 60);
        other.kid.push('x');
        let (one, two) = ([key("ES256", 60), other.clone()], [other.clone(), key("ES256", 60)]);
        assert_eq!(active(&one, "ES256", 70), active(&two, "ES256", 70));
        assert_eq!(due(&one, &schedule(), 70), due(&two, &schedule(), 70));
    }
}
