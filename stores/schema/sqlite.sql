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

-- migration 3, readable by 2

-- What a client was granted. Tokens of a grant count only as long as its row does, all but those of client credentials, which have none.
-- The key is the time of the grant (8 bytes, big-endian, Unix milliseconds) and 16 random bytes; in hexadecimal digits it is the `grant_id`
-- of tokens.
CREATE TABLE IF NOT EXISTS token_grant (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    client_id  TEXT,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS token_grant_expires_at ON token_grant (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS token_grant_client_id  ON token_grant (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX IF NOT EXISTS token_grant_subject    ON token_grant (subject)    WHERE subject    IS NOT NULL;

-- Refresh tokens, with keys as in access_token. One that was used stays until it expires: a second use must find whose grant to revoke.
CREATE TABLE IF NOT EXISTS refresh_token (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refresh_token_expires_at ON refresh_token (expires_at) WHERE expires_at IS NOT NULL;

-- Authorization codes, with keys as in access_token. One that was used stays until it expires, likewise.
CREATE TABLE IF NOT EXISTS authz_code (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS authz_code_expires_at ON authz_code (expires_at) WHERE expires_at IS NOT NULL;

-- Device codes (RFC 8628), with keys as in access_token, and the code that the user types.
CREATE TABLE IF NOT EXISTS device_code (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    user_code  TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_code_expires_at ON device_code (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS device_code_user_code  ON device_code (user_code)  WHERE user_code  IS NOT NULL;

-- The people who may log in; the key is the user's name.
CREATE TABLE IF NOT EXISTS user_account (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS user_account_expires_at ON user_account (expires_at) WHERE expires_at IS NOT NULL;

-- Sessions of browsers; the key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the cookie's token.
CREATE TABLE IF NOT EXISTS user_session (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS user_session_expires_at ON user_session (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS user_session_subject    ON user_session (subject)    WHERE subject    IS NOT NULL;

-- What a user has agreed to; the key is the client_id, a zero byte, and the subject.
CREATE TABLE IF NOT EXISTS consent (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    client_id  TEXT,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS consent_expires_at ON consent (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS consent_client_id  ON consent (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX IF NOT EXISTS consent_subject    ON consent (subject)    WHERE subject    IS NOT NULL;

-- The keys that sign tokens; the key is their `kid`. The private part is sealed.
CREATE TABLE IF NOT EXISTS signing_key (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS signing_key_expires_at ON signing_key (expires_at) WHERE expires_at IS NOT NULL;

-- Tokens that the gateway holds as a client of others, sealed; the key is the SHA-256 of provider, application, subject and scopes.
CREATE TABLE IF NOT EXISTS client_access_token (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    provider   TEXT,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS client_access_token_expires_at ON client_access_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS client_access_token_provider   ON client_access_token (provider)   WHERE provider   IS NOT NULL;
CREATE INDEX IF NOT EXISTS client_access_token_subject    ON client_access_token (subject)    WHERE subject    IS NOT NULL;

-- Identifiers that may be used once (`jti`), until they expire; the key is the SHA-256 of who issued it and of what it is.
CREATE TABLE IF NOT EXISTS replay (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replay_expires_at ON replay (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO portcullis_schema (version, readable_by) VALUES (3, 2) ON CONFLICT DO NOTHING;

-- migration 4, readable by 2

-- What rate limits and quotas have counted, for all nodes; the key is the SHA-256 of which limit it is, and of whose requests.
CREATE TABLE IF NOT EXISTS traffic_counter (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traffic_counter_expires_at ON traffic_counter (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO portcullis_schema (version, readable_by) VALUES (4, 2) ON CONFLICT DO NOTHING;
