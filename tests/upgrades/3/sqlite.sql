BEGIN TRANSACTION;
CREATE TABLE access_token (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    client_id  TEXT,
    subject    TEXT,
    grant_id   TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "access_token" VALUES(X'00000480663DDDFBF5D86532A3250499E51CCBBF4A2A0F2E2420AC9C00B1A1F8D6F60D7774A0F5B7',1,4949517655,'plain',NULL,NULL,'{"client_id":"plain","scope":"a b","grant_id":"426ef441dd5aa8908d36910f84be4b35","grant_type":"client_credentials","issued_at":1795917655,"expires_at":4949517655}');
INSERT INTO "access_token" VALUES(X'00000480663DE230283B803FF06DED51C857C034627D2A83CB14BA6906C853FF91722991C7014595',2,4949517656,'plain',NULL,NULL,'{"client_id":"plain","scope":"a b","grant_id":"02d82ee2811849a4065b9e320ffec40c","grant_type":"client_credentials","issued_at":1795917656,"expires_at":4949517656,"revoked_at":1795917659}');
INSERT INTO "access_token" VALUES(X'00000480663DE7412532D5F0D05C73765D069F311DF56378EFD4AD49098AED498A100F19F0B6986E',1,4949517657,'gone',NULL,NULL,'{"client_id":"gone","scope":"a b","grant_id":"81c3888c777bb6d9da4dc2c6d3ae0a26","grant_type":"client_credentials","issued_at":1795917657,"expires_at":4949517657}');
CREATE TABLE authz_code (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE client (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "client" VALUES(X'64697361626C6564',2,NULL,'{"client_id":"disabled","enabled":false,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:A9CetAFcSPPUiJafo6cCOp2L41FI-VXApwMArPz_kGM"}],"introspect":"own","created_at":1795917652}');
INSERT INTO "client" VALUES(X'676F6E65',1,NULL,'{"client_id":"gone","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:nOuXYDPd8bdwmwJFm6lQfB8i_htHdfoPlqLD47i1cBg"}],"introspect":"own","created_at":1795917653}');
INSERT INTO "client" VALUES(X'706C61696E',1,NULL,'{"client_id":"plain","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:J2B-ohyzCJDf5pIObgJLdk1f4xfgy8HABzt6C3UfSg0"}],"introspect":"any","created_at":1795917649}');
INSERT INTO "client" VALUES(X'726F7461746564',2,NULL,'{"client_id":"rotated","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:rv8Kk1QaoGBXNxroZEODaUYQi2GCt3-HydtwAWc-PHQ"},{"hash":"sha256:2Bg82HUQXAo5ZGeGwX61IupXVqJ0aUM_KG12WcscTok","expires_at":4949517651}],"introspect":"own","created_at":1795917650}');
CREATE TABLE client_access_token (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    provider   TEXT,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE consent (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    client_id  TEXT,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE device_code (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    user_code  TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE epoch (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "epoch" VALUES(X'636C69656E743A676F6E65',1,NULL,'{"epoch":1795917659,"revoked_at":1795917659}');
CREATE TABLE kps (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    name       TEXT,
    second_key TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE node (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE portcullis_schema (
    version     INTEGER NOT NULL PRIMARY KEY,
    readable_by INTEGER NOT NULL
) STRICT;
INSERT INTO "portcullis_schema" VALUES(1,1);
INSERT INTO "portcullis_schema" VALUES(2,1);
INSERT INTO "portcullis_schema" VALUES(3,2);
CREATE TABLE refresh_token (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE replay (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE signing_key (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "signing_key" VALUES(X'65733235362D3230323631313239543032303030305A',1,NULL,'{"kid":"es256-20261129T020000Z","alg":"ES256","public":{"alg":"ES256","crv":"P-256","kid":"es256-20261129T020000Z","kty":"EC","use":"sig","x":"uXfn1jDcZwrL_RHr_muSXKHhGODukdQmv1r7hTJq7JE","y":"CnLiw7WaIAq1p3Jh1Yub-QruVBxGVDrBLaPNKeI3jKY"},"private":"sealed:1:own-aef7d0fb:4EGpoEAuPMTUsDrHhLLg5-j7IBdPwAvIWfBPybOcPjxIyTSOsq1wzl1Ka4YL_ESHNSPmaIfkbqXnGzIBnB5OGZ7kqKpxl2irtNfW1KP-fSpwbK7Zwv52oSqtzXn75HYIkM8cRMIKdmLnN0iqMuFNLClFv-5g3bWbDGhsPj4rh2PV1eunqcJeCJpj5IDSqBHOmJdTrPRWvDSTtTPVWUF2z7g5t9aUIA","created_at":1795917655,"active_from":1795917600,"longest":0}');
CREATE TABLE token_grant (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    client_id  TEXT,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user_account (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user_session (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    subject    TEXT,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_expires_at ON access_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX access_token_client_id  ON access_token (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX access_token_subject    ON access_token (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX access_token_grant_id   ON access_token (grant_id)   WHERE grant_id   IS NOT NULL;
CREATE INDEX epoch_expires_at ON epoch (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX client_expires_at ON client (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX lease_expires_at ON lease (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX node_expires_at ON node (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX kps_expires_at ON kps (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX kps_name       ON kps (name)       WHERE name       IS NOT NULL;
CREATE INDEX kps_second_key ON kps (second_key) WHERE second_key IS NOT NULL;
CREATE INDEX token_grant_expires_at ON token_grant (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX token_grant_client_id  ON token_grant (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX token_grant_subject    ON token_grant (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX refresh_token_expires_at ON refresh_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX authz_code_expires_at ON authz_code (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX device_code_expires_at ON device_code (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX device_code_user_code  ON device_code (user_code)  WHERE user_code  IS NOT NULL;
CREATE INDEX user_account_expires_at ON user_account (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX user_session_expires_at ON user_session (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX user_session_subject    ON user_session (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX consent_expires_at ON consent (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX consent_client_id  ON consent (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX consent_subject    ON consent (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX signing_key_expires_at ON signing_key (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX client_access_token_expires_at ON client_access_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX client_access_token_provider   ON client_access_token (provider)   WHERE provider   IS NOT NULL;
CREATE INDEX client_access_token_subject    ON client_access_token (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX replay_expires_at ON replay (expires_at) WHERE expires_at IS NOT NULL;
COMMIT;
