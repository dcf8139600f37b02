//! The time that a quota is for: a calendar's hour, day, week, month or year, or the last so many days from whenever it is asked.
//!
//! A rolling window counts in 24 parts. What was counted in a part goes when the whole part is as old as the window is long, so never
//! is more let through in any time of that length; what was counted stays up to a twenty-fourth longer.

use std::fmt;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::leases::{Ask, Grant};
use super::limits::SECOND;

/// The parts of a rolling window.
const PARTS: u64 = 24;

/// Seconds by which a node's clock may be ahead: what is written for a later time was written by one that is wrong.
const AHEAD: u64 = 86_400;

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Calendar(Unit, Tz),
    /// The last so many seconds.
    Rolling(u64),
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Hour,
    Day,
    /// From Monday (ISO 8601).
    Week,
    Month,
    Year,
}

/// What a key's row says: how many were counted, by the Unix second in which the part of time began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    used: Vec<(u64, u64)>,
}

impl Unit {
    pub(super) fn named(name: &str) -> Option<Unit> {
        Some(match name {
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            "week" => Unit::Week,
            "month" => Unit::Month,
            "year" => Unit::Year,
            _ => return None,
        })
    }

    /// As many seconds as it has at most, for what is told of it.
    fn seconds(self) -> u64 {
        match self {
            Unit::Hour => 3_600,
            Unit::Day => 86_400,
            Unit::Week => 7 * 86_400,
            Unit::Month => 31 * 86_400,
            Unit::Year => 366 * 86_400,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Calendar(unit, _) => write!(f, "{}", format!("{unit:?}").to_lowercase()),
            Window::Rolling(seconds) => write!(f, "{seconds}s"),
        }
    }
}

impl Window {
    /// As many seconds as it has at most.
    pub(super) fn seconds(&self) -> u64 {
        match self {
            Window::Calendar(unit, _) => unit.seconds(),
            Window::Rolling(seconds) => *seconds,
        }
    }

    /// The beginning of the part that this second is in, and the second from which on what is counted in it counts no longer.
    fn part(&self, now: u64) -> (u64, u64) {
        match self {
            Window::Rolling(seconds) => {
                let length = (seconds / PARTS).max(1);
                let start = now - now % length;
                (start, start + length + seconds)
            }
            Window::Calendar(unit, zone) => calendar(*unit, *zone, now),
        }
    }

    /// Grants some of a quota.
    pub(super) fn grant(&self, row: Option<&Row>, limit: u64, ask: &Ask, now_millis: u64) -> Grant<Row> {
        let now = now_millis / 1_000;
        let counts = |start: u64| start <= now + AHEAD && self.part(start).1 > now;
        let mut used: Vec<(u64, u64)> = row.map(|row| row.used.clone()).unwrap_or_default();
        used.retain(|(start, _)| counts(*start));
        used.sort_unstable();
        // A node whose clock is a little ahead is in the next part already: nobody goes back.
        let current = used.last().map_or(0, |(start, _)| *start).max(self.part(now).0);
        if used.last().is_none_or(|(start, _)| *start != current) {
            used.push((current, 0));
        }
        let back = if self.part(ask.since / 1_000).0 == current { u64::from(ask.back) } else { 0 };
        let last = used.len() - 1;
        used[last].1 = used[last].1.saturating_sub(back);
        let sum = used.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let room = limit.saturating_sub(sum);
        let count = u32::try_from(room).unwrap_or(u32::MAX).min(ask.wanted);
        used[last].1 = used[last].1.saturating_add(count.into());
        used.retain(|(_, count)| *count > 0);
        let until = |start: u64| self.part(start).1;
        let oldest = used.first().map_or(current, |(start, _)| *start);
        let newest = used.last().map_or(current, |(start, _)| *start);
        let nanos_until =
            |second: u64| second.saturating_mul(1_000).saturating_sub(now_millis).saturating_mul(SECOND / 1_000);
        Grant {
            next: (count > 0 || back > 0).then(|| (Row { used: used.clone() }, until(newest))),
            count,
            left: room - u64::from(count),
            retry_in: if room == 0 { nanos_until(until(oldest)) } else { 0 },
            full_in: nanos_until(until(newest)),
        }
    }
}

/// The beginning of this unit's day, week, month or year, and of the next.
fn calendar(unit: Unit, zone: Tz, now: u64) -> (u64, u64) {
    let local = i64::try_from(now).ok().and_then(|now| DateTime::from_timestamp(now, 0));
    let Some(local) = local.map(|utc| utc.with_timezone(&zone)) else { return (now, u64::MAX) };
    let date = local.date_naive();
    if unit == Unit::Hour {
        // Not all zones are whole hours from UTC.
        let start = now - u64::from(local.minute() * 60 + local.second());
        return (start, start + 3_600);
    }
    let first = match unit {
        Unit::Hour | Unit::Day => Some(date),
        Unit::Week => date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into())),
        Unit::Month => date.with_day(1),
        Unit::Year => date.with_ordinal(1),
    };
    let first = first.unwrap_or(date);
    let next = match unit {
        Unit::Hour | Unit::Day => first.checked_add_days(Days::new(1)),
        Unit::Week => first.checked_add_days(Days::new(7)),
        Unit::Month => first.checked_add_months(Months::new(1)),
        Unit::Year => first.checked_add_months(Months::new(12)),
    };
    (midnight(first, zone), next.map_or(u64::MAX, |next| midnight(next, zone)))
}

/// The Unix second in which a day begins. Where clocks are set forward at midnight, it begins after that.
fn midnight(date: NaiveDate, zone: Tz) -> u64 {
    let midnight = date.and_time(NaiveTime::MIN);
    let begins = (0..=3)
        .find_map(|hours| zone.from_local_datetime(&midnight.checked_add_signed(TimeDelta::hours(hours))?).earliest());
    let begins = begins.map_or_else(|| midnight.and_utc().timestamp(), |begins| begins.timestamp());
    u64::try_from(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        u64::try_from(DateTime::parse_from_rfc3339(text).expect("a time").timestamp()).expect("after 1970")
    }

    #[test]
    fn the_calendar_of_a_zone() {
        let (utc, berlin, cairo) = (Tz::UTC, chrono_tz::Europe::Berlin, chrono_tz::Africa::Cairo);
        let kolkata = chrono_tz::Asia::Kolkata;
        for (unit, zone, now, first, next) in [
            (Unit::Hour, utc, "2026-02-28T23:59:59Z", "2026-02-28T23:00:00Z", "2026-03-01T00:00:00Z"),
            (Unit::Hour, kolkata, "2026-02-28T23:29:59Z", "2026-02-28T22:30:00Z", "2026-02-28T23:30:00Z"),
            (Unit::Day, utc, "2026-02-28T23:59:59Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
            (Unit::Week, utc, "2026-11-29T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Unit::Month, utc, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Unit::Year, utc, "2026-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            // Their new year comes first; the day on which clocks are set forward has 23 hours.
            (Unit::Year, berlin, "2026-12-31T23:30:00Z", "2027-01-01T00:00:00+01:00", "2028-01-01T00:00:00+01:00"),
            (Unit::Day, berlin, "2026-03-29T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
            (Unit::Month, berlin, "2026-03-29T12:00:00Z", "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00"),
            // There is no midnight on that day.
            (Unit::Day, cairo, "2026-04-24T12:00:00Z", "2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"),
        ] {
            assert_eq!(Window::Calendar(unit, zone).part(at(now)), (at(first), at(next)), "{unit:?} {zone} {now}");
        }
    }

    fn ask(wanted: u32) -> Ask {
        Ask { wanted, back: 0, since: 0 }
    }

    #[test]
    fn a_month_is_over_when_it_is_over() {
        let window = Window::Calendar(Unit::Month, Tz::UTC);
        let now = at("2026-11-29T00:00:00Z") * 1_000;
        let first = window.grant(None, 10, &ask(4), now);
        assert_eq!((first.count, first.left, first.full_in), (4, 6, 2 * 86_400 * SECOND));
        let (row, until) = first.next.expect("counted");
        assert_eq!(until, at("2026-12-01T00:00:00Z"));
        let second = window.grant(Some(&row), 10, &ask(9), now);
        assert_eq!((second.count, second.left), (6, 0));
        let (row, _) = second.next.expect("counted");
        let third = window.grant(Some(&row), 10, &ask(1), now);
        assert_eq!((third.count, third.retry_in, third.next.is_none()), (0, 2 * 86_400 * SECOND, true));
        let larger = window.grant(Some(&row), 11, &ask(5), now);
        assert_eq!(larger.count, 1, "a quota that was raised counts on");
        assert_eq!(window.grant(Some(&row), 10, &ask(5), until * 1_000).count, 5, "the next month");
    }

    #[test]
    fn what_is_given_back_is_there_again_and_not_in_another_month() {
        let window = Window::Calendar(Unit::Month, Tz::UTC);
        let now = at("2026-11-30T23:59:00Z") * 1_000;
        let row = Row { used: vec![(at("2026-11-01T00:00:00Z"), 10)] };
        let back = |now| window.grant(Some(&row), 10, &Ask { wanted: 2, back: 3, since: now }, now);
        assert_eq!((back(now).count, back(now).left), (2, 1));
        let later = window.grant(Some(&row), 10, &Ask { wanted: 2, back: 3, since: now }, now + 60_000);
        assert_eq!((later.count, later.left), (2, 8), "the next month is whole, and no more than that");
    }

    #[test]
    fn a_clock_that_is_a_little_ahead_begins_for_all_and_one_that_is_wrong_for_nobody() {
        let window = Window::Calendar(Unit::Month, Tz::UTC);
        let now = at("2026-11-30T23:59:59Z") * 1_000;
        let begun = Row { used: vec![(at("2026-12-01T00:00:00Z"), 9)] };
        assert_eq!(window.grant(Some(&begun), 10, &ask(5), now).count, 1);
        let wrong = Row { used: vec![(at("2027-12-01T00:00:00Z"), 9)] };
        assert_eq!(window.grant(Some(&wrong), 10, &ask(5), now).count, 5);
    }

    /// At whatever times requests come: never more than the quota in any time as long as the window, and at least that much in time that is
    /// a twenty-fourth longer, where there is demand.
    #[test]
    fn a_rolling_window_lets_no_more_through_in_any_time_of_its_length() {
        let (seconds, limit) = (2_400_u64, 50_u64);
        let window = Window::Rolling(seconds);
        let mut state = 11_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut now, mut row, mut passed) = (1_767_225_600_u64, None::<Row>, Vec::new());
        for _ in 0..3_000 {
            now += random(3) * random(20);
            let grant = window.grant(row.as_ref(), limit, &ask(1), now * 1_000);
            if grant.count == 1 {
                passed.push(now);
            } else {
                let again = now + grant.retry_in / SECOND;
                assert_eq!(window.grant(row.as_ref(), limit, &ask(1), again * 1_000).count, 1, "when it was told to");
            }
            if let Some((next, _)) = grant.next {
                assert!(next.used.len() as u64 <= PARTS + 2, "{next:?}");
                row = Some(next);
            }
        }
        for (first, start) in passed.iter().enumerate() {
            let within = passed.partition_point(|at| *at < start + seconds) - first;
            assert!(within as u64 <= limit, "{within} from {start}");
        }
        let whole = (passed[passed.len() - 1] - passed[0]) / (seconds + seconds / PARTS);
        assert!(passed.len() as u64 >= whole * limit, "{} in {whole} windows", passed.len());
    }
}
