//! The lists beside a table, which Cassandra itself keeps by nothing but the hash of the key: all rows, the rows of a value of an
//! index column, the rows by expiry. A list is in order, and cut into buckets, so that no partition grows without bound.
//!
//! Entries are written before the row and leave after it, and whoever finds one reads the row and believes the row. So a write that
//! ends half-way leaves at worst entries that lead to nothing. A row carries a random name, its `entry`, and so do its entries, so
//! that nobody takes out what another one's write has just put there. docs/decisions/0009 has the whole of it.

use crate::source::{Row, Table};
use crate::tables;

/// How long a row outlives its expiry, where nobody sweeps it: longer than clocks differ. Seconds.
pub(super) const GRACE: i64 = 3600;
/// How long an entry outlives its row. Seconds; a write takes three.
const LONGER: i64 = 60;
/// The longest TTL that Cassandra takes, 20 years, and the last second that all its releases since 4.0 can keep (January 2038).
const LONGEST: i64 = 630_720_000;
const LAST: i64 = 2_147_483_646;
/// Marks of a bucket are for entries that end in the same hour.
const HOUR: i64 = 3600;

/// The TTL of a row, at `now`: it goes an hour after it expired, or an hour from now where it has expired already. 0 is none: a
/// row that never expires, or that Cassandra cannot count so far, and which waits to be swept.
pub(super) fn ttl(expires_at: Option<i64>, now: i64) -> i32 {
    expires_at.map_or(0, |at| until(at.max(now).saturating_add(GRACE), now))
}

/// The TTL with which something lasts until `end`.
fn until(end: i64, now: i64) -> i32 {
    let seconds = end.saturating_sub(now);
    if end > LAST || seconds > LONGEST { 0 } else { i32::try_from(seconds.max(1)).unwrap_or(0) }
}

/// The TTL of a row's entries: a little more, since they are written first.
pub(super) fn entry_ttl(row: i32) -> i32 {
    if row == 0 { 0 } else { row.saturating_add(LONGER as i32) }
}

/// A list of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List<'a> {
    /// All rows, by key.
    All,
    /// Those with a value in an index column, by key.
    Of(&'static str, &'a str),
    /// Those that expire, by when, then by key.
    Expiring,
}

impl List<'_> {
    /// What it is called in the table.
    pub(super) fn name(self) -> String {
        match self {
            List::All => "all".to_owned(),
            List::Of(column, value) => format!("{column}={value}"),
            List::Expiring => "expires_at".to_owned(),
        }
    }

    /// How many bytes of a position make its bucket; 0 where the list is one partition, which is right for some 100,000 rows. Keys of
    /// tokens begin with their expiry in milliseconds: six of eight bytes are 65 s. Expiries are seconds: seven are 256 s.
    pub(super) fn width(self, table: &'static Table) -> usize {
        match self {
            _ if !tables::is_timed(table) => 0,
            List::Expiring => 7,
            _ => 6,
        }
    }

    /// The bucket of a position. Cut positions are in the order of whole ones.
    pub(super) fn bucket(self, table: &'static Table, position: &[u8]) -> Vec<u8> {
        position[..position.len().min(self.width(table))].to_vec()
    }

    /// Whether a row that was found by an entry at this position belongs there. The row says, not the entry.
    pub(super) fn holds(self, table: &'static Table, row: &Row, position: &[u8]) -> bool {
        match self {
            List::All => true,
            List::Of(column, value) => {
                let mut indexes = table.indexes.iter().zip(&row.indexes);
                indexes.any(|(found, held)| *found == column && held.as_deref() == Some(value))
            }
            List::Expiring => row.expires_at.is_some_and(|at| position.starts_with(&ordered(at))),
        }
    }

    /// The key of the row at a position.
    pub(super) fn key(self, position: &[u8]) -> &[u8] {
        match self {
            List::Expiring => position.get(8..).unwrap_or_default(),
            _ => position,
        }
    }
}

/// An expiry as bytes that are in the order of the numbers.
pub(super) fn ordered(expires_at: i64) -> [u8; 8] {
    (expires_at ^ i64::MIN).to_be_bytes()
}

/// An entry of a row in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) list: String,
    pub(super) bucket: Vec<u8>,
    pub(super) position: Vec<u8>,
}

/// The places of a row.
pub(super) fn places(table: &'static Table, row: &Row) -> Vec<Place> {
    let place = |list: List<'_>, position: Vec<u8>| Place {
        list: list.name(),
        bucket: list.bucket(table, &position),
        position,
    };
    let mut places = vec![place(List::All, row.key.clone())];
    let indexes = table.indexes.iter().zip(&row.indexes);
    let listed = indexes.filter_map(|(column, value)| Some(List::Of(column, value.as_deref()?)));
    places.extend(listed.map(|list| place(list, row.key.clone())));
    if let Some(at) = row.expires_at {
        places.push(place(List::Expiring, [&ordered(at), &row.key[..]].concat()));
    }
    places
}

/// That a list has a bucket is itself an entry, in the list's bucket without a name: at the bucket, under the end of the hour until
/// which it is needed. So marks of one name are all written with the same end, and none cuts another one's life short.
pub(super) fn mark(place: &Place, ttl: i32, now: i64) -> Option<(Place, [u8; 8], i32)> {
    if place.bucket.is_empty() {
        return None;
    }
    let end = match ttl {
        0 => i64::MAX,
        seconds => (now.saturating_add(seconds.into()) / HOUR + 1) * HOUR,
    };
    let lasts = if end == i64::MAX { 0 } else { until(end.saturating_add(LONGER), now) };
    let mark = Place { list: place.list.clone(), bucket: Vec::new(), position: place.bucket.clone() };
    Some((mark, end.to_be_bytes(), lasts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{ACCESS_TOKEN, CLIENT};

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_row_lasts_an_hour_longer_than_it_is_good() {
        assert_eq!(ttl(None, NOW), 0);
        assert_eq!(ttl(Some(NOW + 60), NOW), 3660);
        for past in [NOW, NOW - 1, 0, -5, i64::MIN] {
            assert_eq!(ttl(Some(past), NOW), 3600, "{past}");
        }
        // What Cassandra would refuse stays until it is swept.
        for far in [LAST, NOW + LONGEST, i64::MAX] {
            assert_eq!(ttl(Some(far), NOW), 0, "{far}");
        }
        assert_eq!((entry_ttl(0), entry_ttl(60)), (0, 120));
    }

    #[test]
    fn buckets_and_expiries_keep_the_order() {
        let keys: [&[u8]; 6] = [b"a", b"ab", b"abcdef", b"abcdefg", b"abcdeg", &[255; 9]];
        let buckets = keys.map(|key| List::All.bucket(&ACCESS_TOKEN, key));
        assert!(buckets.is_sorted());
        assert_eq!(buckets[2], buckets[3]);
        assert_eq!(List::All.bucket(&CLIENT, b"abc"), b"");
        let expiries = [i64::MIN, -5, -1, 0, 1, 255, 256, NOW, i64::MAX].map(ordered);
        assert!(expiries.is_sorted());
    }

    #[test]
    fn a_row_is_in_every_list_that_it_has_a_value_for() {
        let indexes = vec![Some("app".into()), None, Some("g".into())];
        let row = Row { key: b"key".into(), version: 1, expires_at: Some(NOW), indexes, record: "{}".into() };
        let lists: Vec<String> = places(&ACCESS_TOKEN, &row).into_iter().map(|place| place.list).collect();
        assert_eq!(lists, ["all", "client_id=app", "grant_id=g", "expires_at"]);
        let last = places(&ACCESS_TOKEN, &row).pop().unwrap();
        assert_eq!(List::Expiring.key(&last.position), b"key");
        assert_eq!(last.bucket.len(), 7);
    }

    #[test]
    fn a_mark_lasts_as_long_as_any_entry_of_its_name() {
        let place = Place { list: "all".into(), bucket: b"b".into(), position: b"b1".into() };
        let (at, name, lasts) = mark(&place, 60, NOW).unwrap();
        assert_eq!((at.bucket.as_slice(), at.position.as_slice()), (&b""[..], &b"b"[..]));
        let end = i64::from_be_bytes(name);
        assert!(end % HOUR == 0 && end > NOW + 60 && NOW + i64::from(lasts) >= end);
        // Later in that hour the name is the same and so is the end.
        let (_, later, rest) = mark(&place, 10, NOW + 20).unwrap();
        assert_eq!((later, NOW + 20 + i64::from(rest)), (name, NOW + i64::from(lasts)));
        assert_eq!(mark(&place, 0, NOW).unwrap().2, 0);
        assert_eq!(mark(&Place { bucket: Vec::new(), ..place }, 60, NOW), None);
    }
}
