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
CREATE TABLE public.lease (
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
INSERT INTO public.access_token VALUES ('\x00000480629e4c0a7e0a19f843531846b40fded005cc2214d0e1f2a91a96411b076e59456845f496', 1, 4949456866, '{"scope": "a b", "grant_id": "b751c42368f6121c4af845729f69e2b9", "client_id": "plain", "issued_at": 1795856866, "expires_at": 4949456866, "grant_type": "client_credentials"}', 'plain', NULL, NULL);
INSERT INTO public.access_token VALUES ('\x00000480629e4eced2049456bb32162724af13a46789fe6b38df8c8c5c77fbe3238ef12ebed234c8', 1, 4949456867, '{"scope": "a b", "grant_id": "fef2ec9b2d957095d4dc81ca2eb101ff", "client_id": "gone", "issued_at": 1795856867, "expires_at": 4949456867, "grant_type": "client_credentials"}', 'gone', NULL, NULL);
INSERT INTO public.access_token VALUES ('\x00000480629e4da8cfbad19cc8c243916707bd56962156835224e1a6817faf17a931b2791be22ff3', 2, 4949456866, '{"scope": "a b", "grant_id": "1ff6e3afd692b5079bd428727fbf691a", "client_id": "plain", "issued_at": 1795856866, "expires_at": 4949456866, "grant_type": "client_credentials", "revoked_at": 1795856867}', 'plain', NULL, NULL);
INSERT INTO public.client VALUES ('\x706c61696e', 1, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:_SHlM87b36FmnrhEygl59B3LBBkge9PQtXjDAlABAMk"}], "client_id": "plain", "created_at": 1795856864, "introspect": "any", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x726f7461746564', 2, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:XVvlUqiF3Fx6aKQ0wD_zgQHqJKpzOOQ__HDTt5ECfak"}, {"hash": "sha256:AW0NRP3cCAGFwLaLC3EXk734ldiQTE4Za13jOG3Ms04", "expires_at": 4949456865}], "client_id": "rotated", "created_at": 1795856864, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x676f6e65', 1, NULL, '{"scope": "a b", "enabled": true, "secrets": [{"hash": "sha256:3mc7FcxReTvVvrK5d-Xp5OJA7PrpdmwpExnBlE3BJ1M"}], "client_id": "gone", "created_at": 1795856865, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.client VALUES ('\x64697361626c6564', 2, NULL, '{"scope": "a b", "enabled": false, "secrets": [{"hash": "sha256:8vo_Dvxdnv87WifTBPkczYoonCrjBP0_nNDSxyqJEUI"}], "client_id": "disabled", "created_at": 1795856865, "introspect": "own", "grant_types": ["client_credentials"]}');
INSERT INTO public.epoch VALUES ('\x636c69656e743a676f6e65', 1, NULL, '{"epoch": 1795856867, "revoked_at": 1795856867}');
INSERT INTO public.portcullis_schema VALUES (1, 1, '2026-11-28 09:07:44.285327+00');
ALTER TABLE ONLY public.access_token
    ADD CONSTRAINT access_token_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.client
    ADD CONSTRAINT client_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.epoch
    ADD CONSTRAINT epoch_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.portcullis_schema
    ADD CONSTRAINT portcullis_schema_pkey PRIMARY KEY (version);
CREATE INDEX access_token_client_id ON public.access_token USING btree (client_id, key) WHERE (client_id IS NOT NULL);
CREATE INDEX access_token_expires_at ON public.access_token USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX access_token_grant_id ON public.access_token USING btree (grant_id, key) WHERE (grant_id IS NOT NULL);
CREATE INDEX access_token_subject ON public.access_token USING btree (subject, key) WHERE (subject IS NOT NULL);
CREATE INDEX client_expires_at ON public.client USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX epoch_expires_at ON public.epoch USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX lease_expires_at ON public.lease USING btree (expires_at) WHERE (expires_at IS NOT NULL);
