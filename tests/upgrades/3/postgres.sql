CREATE TABLE public.access_token (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    client_id text COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C",
    grant_id text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.authz_code (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.client (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
);
CREATE TABLE public.client_access_token (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    provider text COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.consent (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    client_id text COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.device_code (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    user_code text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.epoch (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
);
CREATE TABLE public.kps (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    name text COLLATE pg_catalog."C",
    second_key text COLLATE pg_catalog."C"
);
CREATE TABLE public.lease (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
);
CREATE TABLE public.node (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
);
CREATE TABLE public.portcullis_schema (
    version integer NOT NULL,
    readable_by integer NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.refresh_token (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.replay (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.signing_key (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.token_grant (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    client_id text COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.user_account (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');
CREATE TABLE public.user_session (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL,
    subject text COLLATE pg_catalog."C"
)
WITH (autovacuum_vacuum_scale_factor='0.05');
INSERT INTO public.access_token VALUES ('\x00000480663e3080ce27b01535b528afcdf856d21080cad310802f99bd15028d7feab8627c831e0e', 1, 4949517676, '{"scope": "a b", "grant_id": "ff5d4fbe8c31d6bbd05cf992337aa997", "client_id": "plain", "issued_at": 1795917676, "expires_at": 4949517676, "grant_type": "client_credentials"}', 'plain', NULL, NULL);
INSERT INTO public.access_token VALUES ('\x00000480663e387a51c2af573e5ebab33ce048add2b495a284ff0dc8171157493a25c4d1a3219718', 1, 4949517678, '{"scope": "a b", "grant_id": "170767099e2caab59ac11d09677d24d5", "client_id": "gone", "issued_at": 1795917678, "expires_at": 4949517678, "grant_type": "client_credentials"}', 'gone', NULL, NULL);
INSERT INTO public.access_token VALUES ('\x00000480663e35089040c2c6a836500bf788896da0b14f380e8abf75f5b21dbc7e798a815391766d', 2, 4949517677, '{"scope": "a b", "grant_id": "ee428ad5954ed10178a089164d6b7eed", "client_id": "plain", "issued_at": 1795917677, "expires_at": 4949517677, "grant_type": "client_credentials", "revoked_at": 1795917680}', 'plain', NULL, NULL);
INSERT INTO public.client VALUES ('\x706c61696e', 1, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:Lpst-I-RUwbTJI2C2a6f2cMkESkC22jADtudfRURLVU"}], "client_id": "plain", "created_at": 1795917670, "introspect": "any", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x726f7461746564', 2, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:NG7EEluiJDwGpt4GbX0OYblS1bCgl1Je5FWM0qDv3AU"}, {"hash": "sha256:7sMFtvFEXe6PsAWAgdKvShWxod_4thVArSawgoU9aps", "expires_at": 4949517672}], "client_id": "rotated", "created_at": 1795917671, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x676f6e65', 1, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:kCoUQKF73me9rCdPnipQ2oBSVX8SZSaKHFOosNvnw5g"}], "client_id": "gone", "created_at": 1795917675, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x64697361626c6564', 2, NULL, '{"scope": "a b", "enabled": false, "secrets": [{"hash": "sha256:Xx97BF1Y_uU1cYQTS_bqINsMkZAT5vlJd4PIwA5If1E"}], "client_id": "disabled", "created_at": 1795917673, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.epoch VALUES ('\x636c69656e743a676f6e65', 1, NULL, '{"epoch": 1795917680, "revoked_at": 1795917680}');
INSERT INTO public.lease VALUES ('\x7075726765', 1, 1795917768, '{"node": "vm-ab3d1c44fe6a379a"}');
INSERT INTO public.portcullis_schema VALUES (1, 1, '2026-11-29 02:01:10.531583+00');
INSERT INTO public.portcullis_schema VALUES (2, 1, '2026-11-29 02:01:10.531583+00');
INSERT INTO public.portcullis_schema VALUES (3, 2, '2026-11-29 02:01:10.531583+00');
INSERT INTO public.signing_key VALUES ('\x65733235362d3230323631313239543032303130305a', 1, NULL, '{"alg": "ES256", "kid": "es256-20261129T020100Z", "public": {"x": "dxT8ZL1GQh5h4mWu5xbALOaJYuNFv3i-9LN9HjHhPiY", "y": "fk5WPDoSCz3REjxWkDyFG--HJFIeO802CF975tHvSRU", "alg": "ES256", "crv": "P-256", "kid": "es256-20261129T020100Z", "kty": "EC", "use": "sig"}, "longest": 0, "private": "sealed:1:own-a2d47073:un5Nq3MMR4x7aqZaM6_qqub6k3_18hDJ3UB0fQEQxC-btr-a7JaY75S3s55fnXaqJYpNWaZu2qRDwj21kM_MX0T8NMiJiVB-92PBMG0iuBZNrVtXoqUTHOEe3QofDBZPqaDRa3b_zX0xLud2ZYytvnrUqrTPhdl9qqW3MBa_FVsKmT0f07yuy0YqEm9-skcSGaa_dIzu7v6M0VKNPcqdrCFipKkGvw", "created_at": 1795917676, "active_from": 1795917660}');
ALTER TABLE ONLY public.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.authz_code
    ADD CONSTRAINT authz_code_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.client_access_token
    ADD CONSTRAINT client_access_token_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.client
    ADD CONSTRAINT client_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.consent
    ADD CONSTRAINT consent_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.device_code
    ADD CONSTRAINT device_code_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.epoch
    ADD CONSTRAINT epoch_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.kps
    ADD CONSTRAINT kps_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.portcullis_schema
    ADD CONSTRAINT portcullis_schema_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.refresh_token
    ADD CONSTRAINT refresh_token_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.replay
    ADD CONSTRAINT replay_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.token_grant
    ADD CONSTRAINT token_grant_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.user_account
    ADD CONSTRAINT user_account_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.user_session
    ADD CONSTRAINT user_session_pkey PRIMARY KEY (key);
CREATE INDEX access_token_client_id ON public.access_token USING btree (client_id, key) WHERE (client_id IS NOT NULL);
CREATE INDEX access_token_expires_at ON public.access_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX access_token_grant_id ON public.access_token USING btree (grant_id, key) WHERE (grant_id IS NOT NULL);
CREATE INDEX access_token_subject ON public.access_token USING btree (subject, key) WHERE (subject IS NOT NULL);
CREATE INDEX authz_code_expires_at ON public.authz_code USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX client_access_token_expires_at ON public.client_access_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX client_access_token_provider ON public.client_access_token USING btree (provider, key) WHERE (provider IS NOT NULL);
CREATE INDEX client_access_token_subject ON public.client_access_token USING btree (subject, key) WHERE (subject IS NOT NULL);
CREATE INDEX client_expires_at ON public.client USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX consent_client_id ON public.consent USING btree (client_id, key) WHERE (client_id IS NOT NULL);
CREATE INDEX consent_expires_at ON public.consent USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX consent_subject ON public.consent USING btree (subject, key) WHERE (subject IS NOT NULL);
CREATE INDEX device_code_expires_at ON public.device_code USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX device_code_user_code ON public.device_code USING btree (user_code, key) WHERE (user_code IS NOT NULL);
CREATE INDEX epoch_expires_at ON public.epoch USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX kps_expires_at ON public.kps USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX kps_name ON public.kps USING btree (name, key) WHERE (name IS NOT NULL);
CREATE INDEX kps_second_key ON public.kps USING btree (second_key, key) WHERE (second_key IS NOT NULL);
CREATE INDEX lease_expires_at ON public.lease USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX node_expires_at ON public.node USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX refresh_token_expires_at ON public.refresh_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX replay_expires_at ON public.replay USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX signing_key_expires_at ON public.signing_key USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX token_grant_client_id ON public.token_grant USING btree (client_id, key) WHERE (client_id IS NOT NULL);
CREATE INDEX token_grant_expires_at ON public.token_grant USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX token_grant_subject ON public.token_grant USING btree (subject, key) WHERE (subject IS NOT NULL);
CREATE INDEX user_account_expires_at ON public.user_account USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX user_session_expires_at ON public.user_session USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX user_session_subject ON public.user_session USING btree (subject, key) WHERE (subject IS NOT NULL);
