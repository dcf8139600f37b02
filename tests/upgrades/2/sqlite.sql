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
INSERT INTO "access_token" VALUES(X'000004806497478193A413B51C0E9F9DCD581772735C147050AF5838562616D9DC3D515A7D4C1659',1,4949489960,'plain',NULL,NULL,'{"client_id":"plain","scope":"a b","grant_id":"cf27c4a2d0cfeba73ee69d826ee4c06d","grant_type":"client_credentials","issued_at":1795889960,"expires_at":4949489960}');
INSERT INTO "access_token" VALUES(X'00000480649747D305B1DC067E9EE0B5A61DC43A341B330D4595DF31D29C53BDF2CD9B114C55036C',2,4949489960,'plain',NULL,NULL,'{"client_id":"plain","scope":"a b","grant_id":"9ca7cf64cc843658a17baff635382228","grant_type":"client_credentials","issued_at":1795889960,"expires_at":4949489960,"revoked_at":1795889961}');
INSERT INTO "access_token" VALUES(X'00000480649748237F192D38CFB079CA7482DEDF9791D322AE5B986BB5DC140C02892ADDDBF05760',1,4949489960,'gone',NULL,NULL,'{"client_id":"gone","scope":"a b","grant_id":"dd1461ab1c87b29bba0e8c6e2f9bf415","grant_type":"client_credentials","issued_at":1795889960,"expires_at":4949489960}');
CREATE TABLE client (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "client" VALUES(X'64697361626C6564',2,NULL,'{"client_id":"disabled","enabled":false,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:_vhO743PGIuXjdmyL9yutqAlmRSdqoe4PtcSmEC-oeY"}],"introspect":"own","created_at":1795889960}');
INSERT INTO "client" VALUES(X'676F6E65',1,NULL,'{"client_id":"gone","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:CLeIbMPGks-p6xgBZQUPlWlLAG6KezNVrZlnEM56qNM"}],"introspect":"own","created_at":1795889960}');
INSERT INTO "client" VALUES(X'706C61696E',1,NULL,'{"client_id":"plain","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:_sOVwwGWssZRR5jW1Ly1Q8DDgOs-Q16EzDDR45Z3JGY"}],"introspect":"any","created_at":1795889960}');
INSERT INTO "client" VALUES(X'726F7461746564',2,NULL,'{"client_id":"rotated","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:I1MHFGfnp3YWiPyjrPyMmkctxiUduTxDg9pTHBOheE4"},{"hash":"sha256:LIsWBensWWCiA9MpVVRiaK4r9u5fU0Z6hczb-Hm7xYQ","expires_at":4949489960}],"introspect":"own","created_at":1795889960}');
CREATE TABLE epoch (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "epoch" VALUES(X'636C69656E743A676F6E65',1,NULL,'{"epoch":1795889961,"revoked_at":1795889961}');
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
COMMIT;
