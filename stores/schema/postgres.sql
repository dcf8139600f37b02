-- The schema of a PostgreSQL data source.
--
-- Portcullis applies this by itself when it opens the source, in one transaction under an advisory lock, so that several nodes
-- may start at once. Where its role may not create tables, a DBA runs the file once, whole; running it again changes nothing:
--
--     psql --single-transaction --set ON_ERROR_STOP=1 --file postgres.sql "$DATABASE_URL"
--     psql "$DATABASE_URL" --command 'GRANT SELECT, INSERT, UPDATE, DELETE ON portcullis_schema, access_token, epoch, client, lease, node, kps TO portcullis'
--
-- The tables lie in the first schema of the role's search_path. Give Portcullis a database or a schema of its own.
--
-- One table a kind of record, the same columns in each: the key; the version, which counts the changes of the row; the Unix
-- second after which the row may be deleted; the record as JSON, for people to query; index columns:
--
--     SELECT record ->> 'client_id', to_timestamp(expires_at) FROM access_token WHERE record ->> 'scope' LIKE '%orders%';
--
-- No token and no generated secret stands here, only their SHA-256.

-- migration 1, readable by 1

-- What was applied; `readable_by` is the oldest program (by the highest migration that it knows) that works with it. The name
-- says whose it is: `schema_version` is what other tools call theirs.
CREATE TABLE IF NOT EXISTS portcullis_schema (
    version     integer     NOT NULL PRIMARY KEY,
    readable_by integer     NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);

-- The key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the token, so inserts append at the right edge of the primary
-- key and its pages fill up. Index columns compare bytes ("C"): only equality is asked, and their indexes survive a change of the
-- system's collations. Every index ends in what `find` and `remove` sort by, the key. Rows leave in bulk when they expire:
-- autovacuum is to come after every 5 % of dead rows, not 20 %.
CREATE TABLE IF NOT EXISTS access_token (
    key        bytea  NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    record     jsonb  NOT NULL,
    client_id  text COLLATE "C",
    subject    text COLLATE "C",
    grant_id   text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS access_token_expires_at ON access_token (expires_at)      WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_token_client_id  ON access_token (client_id, key)  WHERE client_id  IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_token_subject    ON access_token (subject, key)    WHERE subject    IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_token_grant_id   ON access_token (grant_id, key)   WHERE grant_id   IS NOT NULL;

-- One row a client or subject whose tokens were all revoked: tokens issued under an earlier epoch are refused.
CREATE TABLE IF NOT EXISTS epoch (
    key        bytea  NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    record     jsonb  NOT NULL
);
CREATE INDEX IF NOT EXISTS epoch_expires_at ON epoch (expires_at) WHERE expires_at IS NOT NULL;

-- The client application registry. The key is the client_id as UTF-8: SELECT convert_from(key, 'UTF8') FROM client.
CREATE TABLE IF NOT EXISTS client (
    key        bytea  NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    record     jsonb  NOT NULL
);
CREATE INDEX IF NOT EXISTS client_expires_at ON client (expires_at) WHERE expires_at IS NOT NULL;

-- Work that one node of a cluster does for all, such as the purge.
CREATE TABLE IF NOT EXISTS lease (
    key        bytea  NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    record     jsonb  NOT NULL
);
CREATE INDEX IF NOT EXISTS lease_expires_at ON lease (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO portcullis_schema (version, readable_by) VALUES (1, 1) ON CONFLICT DO NOTHING;

-- migration 2, readable by 1

-- The heartbeats of the nodes that share this source. The key is the name of the node.
CREATE TABLE IF NOT EXISTS node (
    key        bytea  NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    record     jsonb  NOT NULL
);
CREATE INDEX IF NOT EXISTS node_expires_at ON node (expires_at) WHERE expires_at IS NOT NULL;

-- Rows of key property stores, `[kps.NAME]`. The key is NAME, a zero byte, and the key of the row; `name` is NAME, and `second_key`, where the
-- table has a second key, NAME/VALUE.
CREATE TABLE IF NOT EXISTS kps (
    key        bytea  NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    record     jsonb  NOT NULL,
    name       text COLLATE "C",
    second_key text COLLATE "C"
);
CREATE INDEX IF NOT EXISTS kps_expires_at ON kps (expires_at)      WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS kps_name       ON kps (name, key)       WHERE name       IS NOT NULL;
CREATE INDEX IF NOT EXISTS kps_second_key ON kps (second_key, key) WHERE second_key IS NOT NULL;

INSERT INTO portcullis_schema (version, readable_by) VALUES (2, 1) ON CONFLICT DO NOTHING;
