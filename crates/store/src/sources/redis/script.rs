//! The scripts: one a verb, their text made once a table. And the keys that they touch.
//!
//! The server runs a script whole, with nothing between, and writes its effects to its log and to its replicas as one
//! transaction. A script is refused before it begins where memory is full, so none stops half-way; those that only delete say
//! `allow-oom`, since they are what helps.
//!
//! Row and index keys are not all known before a script runs (an index entry that a `replace` takes out is named by the row that
//! is there), so scripts make them from the base, which holds the hash tag: in a cluster they are in the same slot as the keys that
//! are announced.

use crate::source::{Row, Table};

/// The fields of each row's hash, before those of the index columns, in the order that everybody reads them. A field whose
/// column is null is not there.
pub(super) const FIELDS: [&str; 3] = ["version", "expires_at", "record"];

/// How long a row is still kept after its expiry where nobody sweeps, in seconds: more than clocks should differ. A sweep comes
/// first, a minute after the expiry, where a node runs.
const KEPT: i64 = 3600;

/// The scores of sorted sets are floating-point numbers, whole up to here: further expiries, in 285 million years, count as this.
const SCORES: i64 = 1 << 53;

/// Expiries after this (the year 9999) set no time to live: the server has no number for some of them.
const LAST: i64 = 253_402_300_799;

/// What all of them begin with. A *note* is what the set of expiries holds: the key and the index values of a row, each behind its
/// length. So a row that has gone by itself, which nobody told of, can still be taken out of its indexes.
const COMMON: &str = r#"
local rows, expiry, base = KEYS[1], KEYS[2], ARGV[1]
local columns = {{columns}}

local function row_key(key) return base .. ':row:' .. key end
local function index_key(number, value) return base .. ':by:' .. columns[number] .. ':' .. value end

local function note(key, row)
  local parts = {#key .. ':' .. key}
  for i = 1, #columns do
    local value = row[3 + i]
    parts[#parts + 1] = value and #value .. ':' .. value or '-'
  end
  return table.concat(parts)
end

local function read_note(text)
  local at = 1
  local function part()
    if string.sub(text, at, at) == '-' then at = at + 1; return false end
    local colon = string.find(text, ':', at, true)
    local last = colon + tonumber(string.sub(text, at, colon - 1))
    at = last + 1
    return string.sub(text, colon + 1, last)
  end
  local key, values = part(), {}
  for i = 1, #columns do values[i] = part() end
  return key, values
end

-- version, expires_at, record, index columns; the first is false where there is no such row
local function read(key)
  return redis.call('HMGET', row_key(key), 'version', 'expires_at', 'record', unpack(columns))
end

local function delete(key, row)
  for i = 1, #columns do
    if row[3 + i] then redis.call('ZREM', index_key(i, row[3 + i]), key) end
  end
  if row[2] then redis.call('ZREM', expiry, note(key, row)) end
  redis.call('ZREM', rows, key)
  redis.call('DEL', row_key(key))
end
"#;

/// Writes the row that the values from `ARGV[first]` on tell: key, version, expiry, its score, the time to live, record, and the
/// index columns, each `=value`, or empty where it is null. What was written after its expiry lives as long as if it had just expired.
const WRITE: &str = r#"
local function write(first)
  local key, expires, live = ARGV[first], ARGV[first + 2], ARGV[first + 4]
  local row = {ARGV[first + 1], expires ~= '' and expires, ARGV[first + 5]}
  local fields = {'version', row[1], 'record', row[3]}
  if row[2] then fields[5], fields[6] = 'expires_at', expires end
  for i = 1, #columns do
    local told = ARGV[first + 5 + i]
    row[3 + i] = told ~= '' and string.sub(told, 2)
    if row[3 + i] then
      fields[#fields + 1], fields[#fields + 2] = columns[i], row[3 + i]
      redis.call('ZADD', index_key(i, row[3 + i]), 0, key)
    end
  end
  redis.call('HSET', row_key(key), unpack(fields))
  redis.call('ZADD', rows, 0, key)
  if not row[2] then
    -- A row of this key and these values may have gone by itself and left its note.
    redis.call('ZREM', expiry, note(key, row))
    return
  end
  redis.call('ZADD', expiry, ARGV[first + 3], note(key, row))
  if live ~= '' then
    local soonest = tonumber(redis.call('TIME')[1]) + {kept}
    redis.call('EXPIREAT', row_key(key), string.format('%.0f', math.max(tonumber(live), soonest)))
  end
end
"#;

const INSERT: &str = r#"
if read(ARGV[2])[1] then return 0 end
write(2)
return 1
"#;

/// Compare and swap. Versions are compared as text: Lua's numbers are not whole beyond 2^53.
const REPLACE: &str = r#"
local found = read(ARGV[3])
if found[1] ~= ARGV[2] then return 0 end
delete(ARGV[3], found)
write(3)
return 1
"#;

const TAKE: &str = r#"
local found = read(ARGV[2])
if found[1] then delete(ARGV[2], found) end
return found
"#;

/// `find`, and `list` where no index is named. It looks at no more keys than it is told, and ends with 4 MiB of records; it
/// answers the rows, the last key that it looked at, and whether there may be more after that. An index entry counts only where
/// the row says the same.
const FIND: &str = r#"
local index, value, from, count = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local set = index and index_key(index, value) or rows
local keys = redis.call('ZRANGEBYLEX', set, from, '+', 'LIMIT', 0, count)
local found, last, size = {}, '', 0
for i, key in ipairs(keys) do
  local row = read(key)
  if (row[1] or row[3]) and (not index or row[3 + index] == value) then
    found[#found + 1] = {key, row}
    size = size + #(row[3] or '')
  end
  last = key
  if size > 4194304 then return {found, last, i < #keys and 1 or (#keys == count and 1 or 0)} end
end
return {found, last, #keys == count and 1 or 0}
"#;

/// Answers how many rows it deleted, and whether there may be more. An entry whose row says something else goes.
const REMOVE: &str = r#"
local index, value, count = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local set, deleted = index_key(index, value), 0
local keys = redis.call('ZRANGEBYLEX', set, '-', '+', 'LIMIT', 0, count)
for _, key in ipairs(keys) do
  local row = read(key)
  if row[1] and row[3 + index] == value then
    delete(key, row)
    deleted = deleted + 1
  else
    redis.call('ZREM', set, key)
  end
end
return {deleted, #keys == count and 1 or 0}
"#;

/// As `REMOVE`. A note without its row: the row went by itself, and counts. A note whose key has a row that it does not tell of is
/// that of an earlier life: only what the row does not say goes. Somebody else's key in the place of a row, and a note that none of ours
/// can be, must not keep all that comes after them from going: such a row is left alone and out of the lists.
const SWEEP: &str = r#"
local notes = redis.call('ZRANGEBYSCORE', expiry, '-inf', '(' .. ARGV[2], 'LIMIT', 0, tonumber(ARGV[3]))
local deleted = 0
for _, text in ipairs(notes) do
  local readable, key, values = pcall(read_note, text)
  local row = {}
  if readable then
    row = redis.pcall('HMGET', row_key(key), 'version', 'expires_at', 'record', unpack(columns))
    if row.err and not string.find(row.err, 'WRONGTYPE', 1, true) then return row end
  end
  if not readable then
    redis.call('ZREM', expiry, text)
  elseif row[1] and row[2] and note(key, row) == text then
    delete(key, row)
    deleted = deleted + 1
  else
    for i = 1, #columns do
      if values[i] and row[3 + i] ~= values[i] then redis.call('ZREM', index_key(i, values[i]), key) end
    end
    redis.call('ZREM', expiry, text)
    if not row[1] then
      redis.call('ZREM', rows, key)
      deleted = deleted + 1
    end
  end
end
return {deleted, #notes == tonumber(ARGV[3]) and 1 or 0}
"#;

/// Whether a command may be sent a second time when its connection was lost and nobody knows whether it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It only reads.
    Yes,
    /// It writes: a second `insert` would find its own row and say that the key exists.
    No,
}

/// A script with what is needed to run it.
pub(super) struct Script {
    text: String,
    hash: String,
    pub(super) again: Again,
}

impl Script {
    fn new(table: &Table, flags: &str, parts: &[&str]) -> Self {
        let columns: Vec<String> = table.indexes.iter().map(|column| format!("'{column}'")).collect();
        let body = parts.concat().replace("{columns}", &columns.join(", ")).replace("{kept}", &KEPT.to_string());
        let text = format!("#!lua{flags}{body}");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        let again = if flags.contains("no-writes") { Again::Yes } else { Again::No };
        Script { text, hash, again }
    }

    /// With its text, for a server that does not know it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its SHA-1, by which the server knows it.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

/// All scripts of one table. `get` needs none: it is one `HMGET`.
pub(super) struct Scripts {
    pub(super) insert: Script,
    pub(super) replace: Script,
    pub(super) take: Script,
    pub(super) find: Script,
    pub(super) remove: Script,
    pub(super) sweep: Script,
}

impl Scripts {
    pub(super) fn new(table: &Table) -> Self {
        Scripts {
            insert: Script::new(table, "", &[COMMON, WRITE, INSERT]),
            replace: Script::new(table, "", &[COMMON, WRITE, REPLACE]),
            take: Script::new(table, " flags=allow-oom", &[COMMON, TAKE]),
            find: Script::new(table, " flags=no-writes", &[COMMON, FIND]),
            remove: Script::new(table, " flags=allow-oom", &[COMMON, REMOVE]),
            sweep: Script::new(table, " flags=allow-oom", &[COMMON, SWEEP]),
        }
    }
}

/// The keys of one table.
pub(super) struct Keys {
    /// What all of them begin with: the hash tag, which keeps them in one slot of a cluster.
    pub(super) base: String,
    /// All keys of rows, in order.
    pub(super) rows: String,
    /// The notes of rows that expire, by expiry.
    pub(super) expiry: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, table: &str) -> Self {
        let base = format!("{{{prefix}:{table}}}");
        Keys { rows: format!("{base}:rows"), expiry: format!("{base}:expiry"), base }
    }

    /// The key of a row's hash.
    pub(super) fn row(&self, key: &[u8]) -> Vec<u8> {
        [self.base.as_bytes(), b":row:", key].concat()
    }
}

/// An expiry as the score of a sorted set.
pub(super) fn score(at: i64) -> Vec<u8> {
    at.clamp(-SCORES, SCORES).to_string().into_bytes()
}

/// A row as the values that `WRITE` reads.
pub(super) fn values(row: &Row, version: i64) -> Vec<Vec<u8>> {
    let expires = |value: fn(i64) -> Vec<u8>| row.expires_at.map_or_else(Vec::new, value);
    let live = |at: i64| if at > LAST { Vec::new() } else { at.saturating_add(KEPT).to_string().into_bytes() };
    let mut values = vec![
        row.key.clone(),
        version.to_string().into_bytes(),
        expires(|at| at.to_string().into_bytes()),
        expires(score),
        expires(live),
        row.record.clone().into_bytes(),
    ];
    let index = |value: &Option<String>| value.as_ref().map_or_else(Vec::new, |value| format!("={value}").into_bytes());
    values.extend(row.indexes.iter().map(index));
    values
}
