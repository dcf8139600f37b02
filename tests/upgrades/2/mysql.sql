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
INSERT INTO `access_token` VALUES (0x0000048064975850D568C18BAE0373B646F60C725E2B367B031570D4331A6A5F4EBEC28EC4777398,1,4949489965,'{\"client_id\":\"plain\",\"scope\":\"a b\",\"grant_id\":\"3f6d5cc78d607279fa8d0fd427f8c2d4\",\"grant_type\":\"client_credentials\",\"issued_at\":1795889965,\"expires_at\":4949489965}','plain',NULL,NULL);
INSERT INTO `access_token` VALUES (0x00000480649758AB72AA84B2380B0ECFF95681BBD26942FD09CBCE04C623028934243D5ACABFBAB2,2,4949489965,'{\"client_id\":\"plain\",\"scope\":\"a b\",\"grant_id\":\"b0294e47f6c5fe07a61e027a496cf910\",\"grant_type\":\"client_credentials\",\"issued_at\":1795889965,\"expires_at\":4949489965,\"revoked_at\":1795889965}','plain',NULL,NULL);
INSERT INTO `access_token` VALUES (0x00000480649759000BD67245698278E627677A9F670CDDFB50502EE1B89EF25C14862FB05D9FCC9C,1,4949489965,'{\"client_id\":\"gone\",\"scope\":\"a b\",\"grant_id\":\"8db4283aa71cc23eed6e6ab1d1dfce1f\",\"grant_type\":\"client_credentials\",\"issued_at\":1795889965,\"expires_at\":4949489965}','gone',NULL,NULL);
CREATE TABLE `client` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `client_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `client` VALUES (0x64697361626C6564,2,NULL,'{\"client_id\":\"disabled\",\"enabled\":false,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:XWyHMY-05P4y1Is2T7hYqmuLFG8RAzdfGem527NDU2I\"}],\"introspect\":\"own\",\"created_at\":1795889964}');
INSERT INTO `client` VALUES (0x676F6E65,1,NULL,'{\"client_id\":\"gone\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:jF5OleY59_awV7-PhwsgVG0uDtPddhcvQazuhOHcHcc\"}],\"introspect\":\"own\",\"created_at\":1795889964}');
INSERT INTO `client` VALUES (0x706C61696E,1,NULL,'{\"client_id\":\"plain\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:O5K5NX2vbx7T0iUX4mIU3wqBAqbzOIV1rKJIOQZhXwE\"}],\"introspect\":\"any\",\"created_at\":1795889964}');
INSERT INTO `client` VALUES (0x726F7461746564,2,NULL,'{\"client_id\":\"rotated\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:1njriYkNCQVM0fBw-B-J9EnRmRHEpdmsFeHZHSo4Qhw\"},{\"hash\":\"sha256:zPR4AvAQaKyH2FJSLdm-T4afAN6mAKunQAPWV3wqHxI\",\"expires_at\":4949489964}],\"introspect\":\"own\",\"created_at\":1795889964}');
CREATE TABLE `epoch` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `epoch_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `epoch` VALUES (0x636C69656E743A676F6E65,1,NULL,'{\"epoch\":1795889965,\"revoked_at\":1795889965}');
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
INSERT INTO `portcullis_schema` VALUES (1,1,'2026-11-28 18:19:24');
INSERT INTO `portcullis_schema` VALUES (2,1,'2026-11-28 18:19:24');
