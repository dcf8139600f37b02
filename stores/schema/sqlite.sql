-- The schema of a SQLite data source.
--
-- Portcullis applies this by itself when it opens a file, each migration in one transaction of its own. It may also be run
-- by hand, whole and as often as you like: sqlite3 var/portcullis.db < sqlite.sql
--
-- One table a kind of record, the same columns in each: the key; the version, which counts the changes of the row; the Unix
-- second after which the row may be deleted; index columns; the record as JSON, for people to query:
--
--     SELECT record ->> 'client_id', datetime(expires_at, 'unixepoch') FROM access_token;
--
-- No token and no generated secret stands here, only their SHA-256.

-- migration 1, readable by 1

-- What was applied; `readable_by` is the oldest program (by the highest migration that it knows) that works with it.
CREATE TABLE IF NOT EXISTS portcullis_schema (
    version     INTEGER NOT NULL PRIMARY KEY,
    readable_by INTEGER NOT NULL
) STRICT;

-- The key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the token: inserts append at the end of the tree, and 64
-- rows of one commit touch a handful of pages. Without a rowid the row stands in the tree of its key: one look-up, not two.
CREATE TABLE IF NOT EXISTS access_token (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    client_id  TEXT,
    subject    TEXT,
    grant_id   TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS access_token_expires_at ON access_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_token_client_id  ON access_token (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_token_subject    ON access_token (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_token_grant_id   ON access_token (grant_id)   WHERE grant_id   IS NOT NULL;

-- One row a client or subject whose tokens were all revoked: tokens issued under an earlier epoch are refused.
CREATE TABLE IF NOT EXISTS epoch (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS epoch_expires_at ON epoch (expires_at) WHERE expires_at IS NOT NULL;

-- The key is the client_id as UTF-8.
CREATE TABLE IF NOT EXISTS client (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS client_expires_at ON client (expires_at) WHERE expires_at IS NOT NULL;

-- Work that one node of a cluster does for all, such as the purge.
CREATE TABLE IF NOT EXISTS lease (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lease_expires_at ON lease (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO portcullis_schema (version, readable_by) VALUES (1, 1) ON CONFLICT DO NOTHING;

-- migration 2, readable by 1

-- The heartbeats of the nodes that share this source. The key is the name of the node.
CREATE TABLE IF NOT EXISTS node (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS node_expires_at ON node (expires_at) WHERE expires_at IS NOT NULL;

-- Rows of key property stores, `[kps.NAME]`. The key is NAME, a zero byte, and the key of the row; `name` is NAME, and `second_key`, where the
-- table has a second key, NAME/VALUE.
CREATE TABLE IF NOT EXISTS kps (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    name       TEXT,
    second_key TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kps_expires_at ON kps (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS kps_name       ON kps (name)       WHERE name       IS NOT NULL;
CREATE INDEX IF NOT EXISTS kps_second_key ON kps (second_key) WHERE second_key IS NOT NULL;

INSERT INTO portcullis_schema (version, readable_by) VALUES (2, 1) ON CONFLICT DO NOTHING;
