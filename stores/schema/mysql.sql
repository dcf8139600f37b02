-- The schema of a MySQL or MariaDB data source.
--
-- Portcullis applies this by itself when it opens the source, under a lock (GET_LOCK), so that several nodes may start at once.
-- Where its user may not create tables, a DBA runs the file once, whole; running it again changes nothing:
--
--     mariadb --database portcullis < mysql.sql
--     mariadb --execute 'GRANT SELECT, INSERT, UPDATE, DELETE ON portcullis.* TO portcullis'
--
-- Give Portcullis a database of its own. MariaDB 10.6 or MySQL 8.0.16 and later.
--
-- One table a kind of record, the same columns in each: the key; the version, which counts the changes of the row; the Unix
-- second after which the row may be deleted; the record as JSON, for people to query; index columns:
--
--     SELECT JSON_VALUE(record, '$.client_id'), FROM_UNIXTIME(expires_at) FROM access_token WHERE record LIKE '%orders%';
--
-- `record` is what MariaDB means by JSON: text that is checked. MySQL's own type would change what it keeps (large numbers,
-- the order of members). Text compares by its bytes (utf8mb4_bin); keys are bytes. Trailing spaces are the one thing that this
-- collation does not see; Portcullis compares the length too.
--
-- No token and no generated secret stands here, only their SHA-256.

-- migration 1, readable by 1

-- What was applied; `readable_by` is the oldest program (by the highest migration that it knows) that works with it. The name
-- says whose it is: `schema_version` is what other tools call theirs.
CREATE TABLE IF NOT EXISTS portcullis_schema (
    version     INT       NOT NULL PRIMARY KEY,
    readable_by INT       NOT NULL,
    applied_at  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB;

-- The key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the token, so inserts append at the right edge
-- of the table, which InnoDB keeps in the order of its key. Every index ends in what `find`, `remove` and `sweep` sort by, the key.
CREATE TABLE IF NOT EXISTS access_token (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    client_id  VARCHAR(512),
    subject    VARCHAR(512),
    grant_id   VARCHAR(512),
    INDEX access_token_expires_at (expires_at, `key`),
    INDEX access_token_client_id  (client_id, `key`),
    INDEX access_token_subject    (subject, `key`),
    INDEX access_token_grant_id   (grant_id, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row a client or subject whose tokens were all revoked: tokens issued under an earlier epoch are refused.
CREATE TABLE IF NOT EXISTS epoch (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX epoch_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The client application registry. The key is the client_id as UTF-8: SELECT CONVERT(`key` USING utf8mb4) FROM client.
CREATE TABLE IF NOT EXISTS client (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX client_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Work that one node of a cluster does for all, such as the purge.
CREATE TABLE IF NOT EXISTS lease (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX lease_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO portcullis_schema (version, readable_by) VALUES (1, 1) ON DUPLICATE KEY UPDATE readable_by = readable_by;

-- migration 2, readable by 1

-- The heartbeats of the nodes that share this source. The key is the name of the node.
CREATE TABLE IF NOT EXISTS node (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX node_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Rows of key property stores, `[kps.NAME]`. The key is NAME, a zero byte, and the key of the row; `name` is NAME, and `second_key`, where the
-- table has a second key, NAME/VALUE.
CREATE TABLE IF NOT EXISTS kps (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    name       VARCHAR(512),
    second_key VARCHAR(512),
    INDEX kps_expires_at (expires_at, `key`),
    INDEX kps_name       (name, `key`),
    INDEX kps_second_key (second_key, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO portcullis_schema (version, readable_by) VALUES (2, 1) ON DUPLICATE KEY UPDATE readable_by = readable_by;

-- migration 3, readable by 2

-- What a client was granted. Tokens of a grant count only as long as its row does, all but those of client credentials, which have none.
-- The key is the time of the grant (8 bytes, big-endian, Unix milliseconds) and 16 random bytes; in hexadecimal digits it is the `grant_id`
-- of tokens.
CREATE TABLE IF NOT EXISTS token_grant (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    client_id  VARCHAR(512),
    subject    VARCHAR(512),
    INDEX token_grant_expires_at (expires_at, `key`),
    INDEX token_grant_client_id  (client_id, `key`),
    INDEX token_grant_subject    (subject, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Refresh tokens, with keys as in access_token. One that was used stays until it expires: a second use must find whose grant to revoke.
CREATE TABLE IF NOT EXISTS refresh_token (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX refresh_token_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Authorization codes, with keys as in access_token. One that was used stays until it expires, likewise.
CREATE TABLE IF NOT EXISTS authz_code (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX authz_code_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Device codes (RFC 8628), with keys as in access_token, and the code that the user types.
CREATE TABLE IF NOT EXISTS device_code (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    user_code  VARCHAR(512),
    INDEX device_code_expires_at (expires_at, `key`),
    INDEX device_code_user_code  (user_code, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The people who may log in; the key is the user's name.
CREATE TABLE IF NOT EXISTS user_account (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX user_account_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Sessions of browsers; the key is the expiry (8 bytes, big-endian, Unix milliseconds) and the SHA-256 of the cookie's token.
CREATE TABLE IF NOT EXISTS user_session (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    subject    VARCHAR(512),
    INDEX user_session_expires_at (expires_at, `key`),
    INDEX user_session_subject    (subject, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a user has agreed to; the key is the client_id, a zero byte, and the subject.
CREATE TABLE IF NOT EXISTS consent (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    client_id  VARCHAR(512),
    subject    VARCHAR(512),
    INDEX consent_expires_at (expires_at, `key`),
    INDEX consent_client_id  (client_id, `key`),
    INDEX consent_subject    (subject, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The keys that sign tokens; the key is their `kid`. The private part is sealed.
CREATE TABLE IF NOT EXISTS signing_key (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX signing_key_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Tokens that the gateway holds as a client of others, sealed; the key is the SHA-256 of provider, application, subject and scopes.
CREATE TABLE IF NOT EXISTS client_access_token (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    provider   VARCHAR(512),
    subject    VARCHAR(512),
    INDEX client_access_token_expires_at (expires_at, `key`),
    INDEX client_access_token_provider   (provider, `key`),
    INDEX client_access_token_subject    (subject, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Identifiers that may be used once (`jti`), until they expire; the key is the SHA-256 of who issued it and of what it is.
CREATE TABLE IF NOT EXISTS replay (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX replay_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO portcullis_schema (version, readable_by) VALUES (3, 2) ON DUPLICATE KEY UPDATE readable_by = readable_by;

-- migration 4, readable by 2

-- What rate limits and quotas have counted, for all nodes; the key is the SHA-256 of which limit it is, and of whose requests.
CREATE TABLE IF NOT EXISTS traffic_counter (
    `key`      VARBINARY(512) NOT NULL PRIMARY KEY,
    version    BIGINT         NOT NULL,
    expires_at BIGINT,
    record     LONGTEXT       NOT NULL CHECK (JSON_VALID(record)),
    INDEX traffic_counter_expires_at (expires_at, `key`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO portcullis_schema (version, readable_by) VALUES (4, 2) ON DUPLICATE KEY UPDATE readable_by = readable_by;
