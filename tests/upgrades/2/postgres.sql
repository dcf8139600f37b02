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
CREATE TABLE public.client (
    key bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint,
    record jsonb NOT NULL
);
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
INSERT INTO public.access_token VALUES ('\x0000048064974fae4ddfe77d9f5fb747b47afbe5f7fe0596f0664a740a7f58310a0a85d140ecd203', 1, 4949489962, '{"scope": "a b", "grant_id": "d5fecad598a1a40314e9c973614b12fe", "client_id": "plain", "issued_at": 1795889962, "expires_at": 4949489962, "grant_type": "client_credentials"}', 'plain', NULL, NULL);
INSERT INTO public.access_token VALUES ('\x00000480649750564d7a05041acdafd5533a88c9503f684b15f3047bca71da26d8f86a4ef009a002', 1, 4949489963, '{"scope": "a b", "grant_id": "6d64adf6bdca20ba917ca45a6e0dd836", "client_id": "gone", "issued_at": 1795889963, "expires_at": 4949489963, "grant_type": "client_credentials"}', 'gone', NULL, NULL);
INSERT INTO public.access_token VALUES ('\x00000480649750034a1addfaa04b68b406006d6841b0ba97680fd335e01577c24878909fb1aa3647', 2, 4949489963, '{"scope": "a b", "grant_id": "f3457baed83e1e7e2f05851f84fa0c59", "client_id": "plain", "issued_at": 1795889963, "expires_at": 4949489963, "grant_type": "client_credentials", "revoked_at": 1795889963}', 'plain', NULL, NULL);
INSERT INTO public.client VALUES ('\x706c61696e', 1, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:DD4kt0M4xKRC3fFENmgsHE-GSgj12kLGemnO_IE0Ao8"}], "client_id": "plain", "created_at": 1795889962, "introspect": "any", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x726f7461746564', 2, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:FnBiCTM53ej4PChHseEY4GhEKFhpcSD4yViohJstsaY"}, {"hash": "sha256:uqq9qULeb5Gv9gaV8lnxoLxaVPlMwsSwjclwdJLmbVw", "expires_at": 4949489962}], "client_id": "rotated", "created_at": 1795889962, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x676f6e65', 1, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:Ig7wUuIEPFi_S3989-GiVaIFjLtDqx3uJKtri4iXc8M"}], "client_id": "gone", "created_at": 1795889962, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x64697361626c6564', 2, NULL, '{"scope": "a b", "enabled": false, "secrets": [{"hash": "sha256:Qad8XlbpzxBdNWMvkniEVdVnMuO2uJftZtSwRJDqfYg"}], "client_id": "disabled", "created_at": 1795889962, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.epoch VALUES ('\x636c69656e743a676f6e65', 1, NULL, '{"epoch": 1795889963, "revoked_at": 1795889963}');
INSERT INTO public.portcullis_schema VALUES (1, 1, '2026-11-28 18:19:22.386777+00');
INSERT INTO public.portcullis_schema VALUES (2, 1, '2026-11-28 18:19:22.386777+00');
ALTER TABLE ONLY public.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.client
    ADD CONSTRAINT client_pkey PRIMARY KEY (key);
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
CREATE INDEX access_token_client_id ON public.access_token USING btree (client_id, key) WHERE (client_id IS NOT NULL);
CREATE INDEX access_token_expires_at ON public.access_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX access_token_grant_id ON public.access_token USING btree (grant_id, key) WHERE (grant_id IS NOT NULL);
CREATE INDEX access_token_subject ON public.access_token USING btree (subject, key) WHERE (subject IS NOT NULL);
CREATE INDEX client_expires_at ON public.client USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX epoch_expires_at ON public.epoch USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX kps_expires_at ON public.kps USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX kps_name ON public.kps USING btree (name, key) WHERE (name IS NOT NULL);
CREATE INDEX kps_second_key ON public.kps USING btree (second_key, key) WHERE (second_key IS NOT NULL);
CREATE INDEX lease_expires_at ON public.lease USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX node_expires_at ON public.node USING btree (expires_at) WHERE (expires_at IS NOT NULL);
