-- The schema of an ODBC data source on Microsoft SQL Server (dialect = "mssql"), 2016 and later.
--
-- Portcullis applies this by itself when it opens the source; what is there already is left as it is, so several nodes may start at
-- once. Where its user may not create tables, a DBA runs the file in a database of Portcullis's own, and grants:
--
--     sqlcmd -d portcullis -i odbc-mssql.sql
--     sqlcmd -d portcullis -Q "GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA::dbo TO portcullis"
--
-- Run again it changes nothing: each statement then ends in error 2714 (a name that is in use), 1913 or 2627.
-- READ_COMMITTED_SNAPSHOT is worth having, so that readers do not wait for writers:
--
--     ALTER DATABASE portcullis SET READ_COMMITTED_SNAPSHOT ON
--
-- NOT RUN on a SQL Server by the project: the statements were parsed by a parser that knows the dialect. Please report what fails.
--
-- One table a kind of record, the same columns in each: the key; the version, which counts the changes of the row; the Unix
-- second after which the row may be deleted; index columns; the record as JSON, for people to query:
--
--     SELECT JSON_VALUE(record, '$.client_id'), DATEADD(second, expires_at, '1970-01-01') FROM access_token;
--
-- Text compares by its code units (a BIN2 collation). Trailing spaces are the one thing that this does not see; Portcullis compares the
-- length too.
--
-- No token and no generated secret stands here, only their SHA-256.

-- migration 1, readable by 1

-- What was applied; `readable_by` is the oldest program (by the highest migration that it knows) that works with it.
CREATE TABLE portcullis_schema (
    version     int NOT NULL PRIMARY KEY,
    readable_by int NOT NULL,
    applied_at  datetime2 NOT NULL DEFAULT SYSUTCDATETIME()
);

-- The key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the token, so inserts append at the right edge of the primary
-- key. Every index on an index column ends in what `find` and `remove` sort by, the key.
CREATE TABLE access_token (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    client_id  nvarchar(512) COLLATE Latin1_General_100_BIN2,
    subject    nvarchar(512) COLLATE Latin1_General_100_BIN2,
    grant_id   nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX access_token_expires_at ON access_token (expires_at);
CREATE INDEX access_token_client_id  ON access_token (client_id, [key]);
CREATE INDEX access_token_subject    ON access_token (subject, [key]);
CREATE INDEX access_token_grant_id   ON access_token (grant_id, [key]);

-- One row a client or subject whose tokens were all revoked: tokens issued under an earlier epoch are refused.
CREATE TABLE epoch (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX epoch_expires_at ON epoch (expires_at);

-- The client application registry. The key is the client_id as UTF-8.
CREATE TABLE client (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX client_expires_at ON client (expires_at);

-- Work that one node of a cluster does for all, such as the purge.
CREATE TABLE lease (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX lease_expires_at ON lease (expires_at);

INSERT INTO portcullis_schema (version, readable_by) VALUES (1, 1);

-- migration 2, readable by 1

-- The heartbeats of the nodes that share this source. The key is the name of the node.
CREATE TABLE node (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX node_expires_at ON node (expires_at);

-- Rows of key property stores, `[kps.NAME]`. The key is NAME, a zero byte, and the key of the row; `name` is NAME, and `second_key`, where the
-- table has a second key, NAME/VALUE.
CREATE TABLE kps (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    name       nvarchar(512) COLLATE Latin1_General_100_BIN2,
    second_key nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX kps_expires_at ON kps (expires_at);
CREATE INDEX kps_name       ON kps (name, [key]);
CREATE INDEX kps_second_key ON kps (second_key, [key]);

INSERT INTO portcullis_schema (version, readable_by) VALUES (2, 1);

-- migration 3, readable by 2

-- What a client was granted. Tokens of a grant count only as long as its row does, all but those of client credentials, which have none.
-- The key is the time of the grant (8 bytes, big-endian, Unix milliseconds) and 16 random bytes; in hexadecimal digits it is the `grant_id`
-- of tokens.
CREATE TABLE token_grant (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    client_id  nvarchar(512) COLLATE Latin1_General_100_BIN2,
    subject    nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX token_grant_expires_at ON token_grant (expires_at);
CREATE INDEX token_grant_client_id  ON token_grant (client_id, [key]);
CREATE INDEX token_grant_subject    ON token_grant (subject, [key]);

-- Refresh tokens, with keys as in access_token. One that was used stays until it expires: a second use must find whose grant to revoke.
CREATE TABLE refresh_token (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX refresh_token_expires_at ON refresh_token (expires_at);

-- Authorization codes, with keys as in access_token. One that was used stays until it expires, likewise.
CREATE TABLE authz_code (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX authz_code_expires_at ON authz_code (expires_at);

-- Device codes (RFC 8628), with keys as in access_token, and the code that the user types.
CREATE TABLE device_code (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    user_code  nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX device_code_expires_at ON device_code (expires_at);
CREATE INDEX device_code_user_code  ON device_code (user_code, [key]);

-- The people who may log in; the key is the user's name.
CREATE TABLE user_account (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX user_account_expires_at ON user_account (expires_at);

-- Sessions of browsers; the key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the cookie's token.
CREATE TABLE user_session (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    subject    nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX user_session_expires_at ON user_session (expires_at);
CREATE INDEX user_session_subject    ON user_session (subject, [key]);

-- What a user has agreed to; the key is the client_id, a zero byte, and the subject.
CREATE TABLE consent (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    client_id  nvarchar(512) COLLATE Latin1_General_100_BIN2,
    subject    nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX consent_expires_at ON consent (expires_at);
CREATE INDEX consent_client_id  ON consent (client_id, [key]);
CREATE INDEX consent_subject    ON consent (subject, [key]);

-- The keys that sign tokens; the key is their `kid`. The private part is sealed.
CREATE TABLE signing_key (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX signing_key_expires_at ON signing_key (expires_at);

-- Tokens that the gateway holds as a client of others, sealed; the key is the SHA-256 of provider, application, subject and scopes.
CREATE TABLE client_access_token (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    provider   nvarchar(512) COLLATE Latin1_General_100_BIN2,
    subject    nvarchar(512) COLLATE Latin1_General_100_BIN2,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX client_access_token_expires_at ON client_access_token (expires_at);
CREATE INDEX client_access_token_provider   ON client_access_token (provider, [key]);
CREATE INDEX client_access_token_subject    ON client_access_token (subject, [key]);

-- Identifiers that may be used once (`jti`), until they expire; the key is the SHA-256 of who issued it and of what it is.
CREATE TABLE replay (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX replay_expires_at ON replay (expires_at);

INSERT INTO portcullis_schema (version, readable_by) VALUES (3, 2);

-- migration 4, readable by 2

-- What rate limits and quotas have counted, for all nodes; the key is the SHA-256 of which limit it is, and of whose requests.
CREATE TABLE traffic_counter (
    [key]      varbinary(512) NOT NULL PRIMARY KEY,
    version    bigint         NOT NULL,
    expires_at bigint,
    record     nvarchar(max)  NOT NULL
);
CREATE INDEX traffic_counter_expires_at ON traffic_counter (expires_at);

INSERT INTO portcullis_schema (version, readable_by) VALUES (4, 2);
