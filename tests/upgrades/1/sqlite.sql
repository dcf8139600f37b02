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
INSERT INTO "access_token" VALUES(X'00000480629E32DD8092CE147F85F6848465B99A5F77CB2118BB52E6D4E33951C3B8BCC80650B14D',1,4949456859,'plain',NULL,NULL,'{"client_id":"plain","scope":"a b","grant_id":"414521b2092ecb6b4d9ea6db12bbf01a","grant_type":"client_credentials","issued_at":1795856859,"expires_at":4949456859}');
INSERT INTO "access_token" VALUES(X'00000480629E344728550F643240B0F838A5480079BC644F8840C5A6D2F733E78283CEC8AB83AE74',2,4949456860,'plain',NULL,NULL,'{"client_id":"plain","scope":"a b","grant_id":"a9f74ac79b77a6cb7f77b6807a4ec042","grant_type":"client_credentials","issued_at":1795856860,"expires_at":4949456860,"revoked_at":1795856860}');
INSERT INTO "access_token" VALUES(X'00000480629E35CB50C83B4139DB12523EBD65F8466D72E7A37DE2E07D2951435B233B5C819DCF27',1,4949456860,'gone',NULL,NULL,'{"client_id":"gone","scope":"a b","grant_id":"0018236ad47681f031c11c2070cf08d4","grant_type":"client_credentials","issued_at":1795856860,"expires_at":4949456860}');
CREATE TABLE client (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "client" VALUES(X'64697361626C6564',2,NULL,'{"client_id":"disabled","enabled":false,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:edLEpMZR_BIHQVhztafUSXcQYvkHHPVojs2qqtjzhXc"}],"introspect":"own","created_at":1795856859}');
INSERT INTO "client" VALUES(X'676F6E65',1,NULL,'{"client_id":"gone","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:tMtEvAYdisxXBTcdj-pC6tCttQhrq3-Ae8fYU41ggg0"}],"introspect":"own","created_at":1795856859}');
INSERT INTO "client" VALUES(X'706C61696E',1,NULL,'{"client_id":"plain","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:HGA-p0FlpDJRMNqmA7WOmcoSe3wrc7B9tP7snNflO4o"}],"introspect":"any","created_at":1795856858}');
INSERT INTO "client" VALUES(X'726F7461746564',2,NULL,'{"client_id":"rotated","enabled":true,"grant_types":["client_credentials"],"scope":"a b","secrets":[{"hash":"sha256:NERt1XmkcPm_FFftOy6JFCD0tu7UmNQufsiz74Y0HGI"},{"hash":"sha256:JbHQw1IbcamJ37fX9oy4yMAn8FJ7SUTqr4Zm1I3T9bI","expires_at":4949456858}],"introspect":"own","created_at":1795856858}');
CREATE TABLE epoch (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "epoch" VALUES(X'636C69656E743A676F6E65',1,NULL,'{"epoch":1795856860,"revoked_at":1795856860}');
CREATE TABLE lease (
    key        BLOB    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "lease" VALUES(X'7075726765',1,1795856950,'{"node":"vm-811283f368551069"}');
CREATE TABLE portcullis_schema (
    version     INTEGER NOT NULL PRIMARY KEY,
    readable_by INTEGER NOT NULL
) STRICT;
INSERT INTO "portcullis_schema" VALUES(1,1);
CREATE INDEX access_token_expires_at ON access_token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX access_token_client_id  ON access_token (client_id)  WHERE client_id  IS NOT NULL;
CREATE INDEX access_token_subject    ON access_token (subject)    WHERE subject    IS NOT NULL;
CREATE INDEX access_token_grant_id   ON access_token (grant_id)   WHERE grant_id   IS NOT NULL;
CREATE INDEX epoch_expires_at ON epoch (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX client_expires_at ON client (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX lease_expires_at ON lease (expires_at) WHERE expires_at IS NOT NULL;
COMMIT;
