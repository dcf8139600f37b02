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
INSERT INTO `access_token` VALUES (0x00000480629E71E80B8F745B7EF4CDB014D45320906C1586BDFF54ACA3EFCED947E4E66834A7C876,1,4949456876,'{\"client_id\":\"plain\",\"scope\":\"a b\",\"grant_id\":\"325821f6715e6153181628d5a78270e2\",\"grant_type\":\"client_credentials\",\"issued_at\":1795856876,\"expires_at\":4949456876}','plain',NULL,NULL);
INSERT INTO `access_token` VALUES (0x00000480629E72D7377AAC546E1FA56B452A1BB1E6A14D9058675126C7BC190838CDA27B6B5E8EE7,2,4949456876,'{\"client_id\":\"plain\",\"scope\":\"a b\",\"grant_id\":\"090b74dfe12279945dddb3312f0cf366\",\"grant_type\":\"client_credentials\",\"issued_at\":1795856876,\"expires_at\":4949456876,\"revoked_at\":1795856876}','plain',NULL,NULL);
INSERT INTO `access_token` VALUES (0x00000480629E7432BD10ADA7B6F9C069236CB368455A98CA275484D86DB4E84F76D12E9E132CBC79,1,4949456876,'{\"client_id\":\"gone\",\"scope\":\"a b\",\"grant_id\":\"13a197adc543db8c970c5b68fcd26d9a\",\"grant_type\":\"client_credentials\",\"issued_at\":1795856876,\"expires_at\":4949456876}','gone',NULL,NULL);
CREATE TABLE `client` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `client_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `client` VALUES (0x64697361626C6564,2,NULL,'{\"client_id\":\"disabled\",\"enabled\":false,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:JCh8iAU6iCTPRoRMVUlELcdus0pVADmar1mfFn3LwFA\"}],\"introspect\":\"own\",\"created_at\":1795856875}');
INSERT INTO `client` VALUES (0x676F6E65,1,NULL,'{\"client_id\":\"gone\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:3wvzBKm2_U3h92uLBdJq_VzcamjOGLyxDSQak7gv7GI\"}],\"introspect\":\"own\",\"created_at\":1795856875}');
INSERT INTO `client` VALUES (0x706C61696E,1,NULL,'{\"client_id\":\"plain\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:ar6CdAS3ucc-e7umEOguNgWqjV3i6cWkZ30F3c16yPI\"}],\"introspect\":\"any\",\"created_at\":1795856874}');
INSERT INTO `client` VALUES (0x726F7461746564,2,NULL,'{\"client_id\":\"rotated\",\"enabled\":true,\"grant_types\":[\"client_credentials\"],\"scope\":\"a b\",\"secrets\":[{\"hash\":\"sha256:cpKzRa2X5cWA6XAQUzPooH_PwwVmb5qr3lMlJL7yosQ\"},{\"hash\":\"sha256:6w0pmd5jT_kf-Y8G2tE6_mUDByqJKTNTs5rKziooIRw\",\"expires_at\":4949456875}],\"introspect\":\"own\",\"created_at\":1795856874}');
CREATE TABLE `epoch` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `epoch_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
INSERT INTO `epoch` VALUES (0x636C69656E743A676F6E65,1,NULL,'{\"epoch\":1795856877,\"revoked_at\":1795856877}');
CREATE TABLE `lease` (
  `key` varbinary(512) NOT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `record` longtext NOT NULL CHECK (json_valid(`record`)),
  PRIMARY KEY (`key`),
  KEY `lease_expires_at` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE TABLE `portcullis_schema` (
  `version` int(11) NOT NULL,
  `readable_by` int(11) NOT NULL,
  `applied_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `portcullis_schema` VALUES (1,1,'2026-11-28 09:07:54');
