CREATE TABLE `access_token` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `client_id` varchar(512) DEFAULT NULL,
  `subject` varchar(512) DEFAULT NULL,
  `grant_id` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `access_token_expires_at` (`expires_at`,`key`),
  KEY `access_token_client_id` (`client_id`,`key`),
  KEY `access_token_subject` (`subject`,`key`),
  KEY `access_token_grant_id` (`grant_id`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `access_token` VALUES (0x00000480663E88E40F713A7B3AE7A369E82A59E483A598B6CBD89FC6548E5B6A3D0569EE0933EBA3,1,4949517699,'{\"client_id\":\"plain\",\"scope\":\"a b\",\"grant_id\":\"e04478b687b438c46fe6d636507c2d78\",\"grant_type\":\"client_credentials\",\"issued_at\":1795917699,\"expires_at\":4949517699}','plain',NULL,NULL);
INSERT INTO `access_token` VALUES (0x00000480663E8BACA83CE9980E97BCF3BDBFCAFDB2DBD406A497C4DFC0DAA4AE77116AC9B7A15860,2,4949517700,'{\"client_id\":\"plain\",\"scope\":\"a b\",\"grant_id\":\"7641624d572b5cf56f2bac948e0fe24d\",\"grant_type\":\"client_credentials\",\"issued_at\":1795917700,\"expires_at\":4949517700,\"revoked_at\":1795917702}','plain',NULL,NULL);
INSERT INTO `access_token` VALUES (0x00000480663E8F2816574F2AB7EE194AAA46750C1FFB645B2D5FBE05BB9E9CD20D75DF4B3CFBC7B6,1,4949517700,'{\"client_id\":\"gone\",\"scope\":\"a b\",\"grant_id\":\"9b8ee2c15cbbcdb66687af9f00e599c0\",\"grant_type\":\"client_credentials\",\"issued_at\":1795917700,\"expires_at\":4949517700}','gone',NULL,NULL);
CREATE TABLE `authz_code` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `authz_code_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `client` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `client_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `client` VALUES (0x64697361626C6564,2,NULL,'{\"client_id\":\"disabled\",\"enabled\":false,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:rJsXXmp1G9gWK1Hp03nd5pg-NIFLmh-YCOB_ochBWI0\"}],\"introspect\":\"own\",\"created_at\":1795917695}');
INSERT INTO `client` VALUES (0x676F6E65,1,NULL,'{\"client_id\":\"gone\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:yQ_ONlm_0aUSCZse1BFwlvUMdMrbgnL-RXbRqTY8ulQ\"}],\"introspect\":\"own\",\"created_at\":1795917698}');
INSERT INTO `client` VALUES (0x706C61696E,1,NULL,'{\"client_id\":\"plain\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:IIJmRemBWm19dOfglRBaVzVI1zcUjsYaUlEyYssuprY\"}],\"introspect\":\"any\",\"created_at\":1795917690}');
INSERT INTO `client` VALUES (0x726F7461746564,2,NULL,'{\"client_id\":\"rotated\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:xPCeGYLM4AqgwuIQLS3JA-cybtme6z0SUGDCFImJLsU\"},{\"hash\":\"sha256:HQTcjyg7ktuO2SbyM2M8QbBGFMwgNF9rnJuhRYLDHN4\",\"expires_at\":4949517693}],\"introspect\":\"own\",\"created_at\":1795917691}');
CREATE TABLE `client_access_token` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `provider` varchar(512) DEFAULT NULL,
  `subject` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `client_access_token_expires_at` (`expires_at`,`key`),
  KEY `client_access_token_provider` (`provider`,`key`),
  KEY `client_access_token_subject` (`subject`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `consent` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `client_id` varchar(512) DEFAULT NULL,
  `subject` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `consent_expires_at` (`expires_at`,`key`),
  KEY `consent_client_id` (`client_id`,`key`),
  KEY `consent_subject` (`subject`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `device_code` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `user_code` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `device_code_expires_at` (`expires_at`,`key`),
  KEY `device_code_user_code` (`user_code`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `epoch` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `epoch_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `epoch` VALUES (0x636C69656E743A676F6E65,1,NULL,'{\"epoch\":1795917702,\"revoked_at\":1795917702}');
CREATE TABLE `kps` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `name` varchar(512) DEFAULT NULL,
  `second_key` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `kps_expires_at` (`expires_at`,`key`),
  KEY `kps_name` (`name`,`key`),
  KEY `kps_second_key` (`second_key`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `lease` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `lease_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `lease` VALUES (0x7075726765,1,1795917791,'{\"node\":\"vm-cdabbe7c6b7684f8\"}');
CREATE TABLE `node` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `node_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `portcullis_schema` (
  `version` int(11) NOT NULL,
  `readable_by` int(11) NOT NULL,
  `applied_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `portcullis_schema` VALUES (1,1,'2026-11-29 02:01:28');
INSERT INTO `portcullis_schema` VALUES (2,1,'2026-11-29 02:01:28');
INSERT INTO `portcullis_schema` VALUES (3,2,'2026-11-29 02:01:29');
CREATE TABLE `refresh_token` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `refresh_token_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `replay` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `replay_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `signing_key` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `signing_key_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `signing_key` VALUES (0x65733235362D3230323631313239543032303130305A,1,NULL,'{\"kid\":\"es256-20261129T020100Z\",\"alg\":\"ES256\",\"public\":{\"alg\":\"ES256\",\"crv\":\"P-256\",\"kid\":\"es256-20261129T020100Z\",\"kty\":\"EC\",\"use\":\"sig\",\"x\":\"Z9IdGe4snruvRBROicYO1fM9aBawkUvfZu3Oy_5YxtY\",\"y\":\"1nhAHV__LNXz6Dw7H-9LzBIQPxou3rEP4MjBXbO8o4A\"},\"private\":\"sealed:1:own-8e19be54:7S7-Mip6fN4b6xBocIonpHC9rSmieyuFkWqipzCJmoDn0kd5opnguW0m1WrlnoPcuFqrnoh01JESvc4bxPdXYz3jpCFg3EP-ggm3EAceZ_oG-JGuknAhYgwye9WHMwDuRH5lzOx11FMYZMEOu3WCAVzyVd4JoIpB1kJse-r7WiHjBjVfaSDFNZVpDpcbN6YqW8hWEIfhtQhBs9V0rwjTBhEbggYQmw\",\"created_at\":1795917699,\"active_from\":1795917660,\"longest\":0}');
CREATE TABLE `token_grant` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `client_id` varchar(512) DEFAULT NULL,
  `subject` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `token_grant_expires_at` (`expires_at`,`key`),
  KEY `token_grant_client_id` (`client_id`,`key`),
  KEY `token_grant_subject` (`subject`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `user_account` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `user_account_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `user_session` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  `subject` varchar(512) DEFAULT NULL,
  PRIMARY KEY (`key`),
  KEY `user_session_expires_at` (`expires_at`,`key`),
  KEY `user_session_subject` (`subject`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
