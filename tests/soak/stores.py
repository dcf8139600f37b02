"""The two stores that the soak fills: quickly, past the node, with rows as the node writes them."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

# Clients to whom the tokens that are loaded were issued: as many places in the index by client.
CLIENTS = 100
LEASE = json.dumps({"node": "soak"})
FAR = 1 << 33


def held_until():
    """The end of a lease that another node holds: longer than a window, and no longer than a node believes."""
    return int(time.time()) + 170


class Spread:
    """`count` tokens that expire, at equal distances, within the seconds from `first` to `last`."""

    def __init__(self, count, first, last):
        self.count, self.first, self.last = count, first * 1000, last * 1000

    def expiry(self, number):
        """Unix milliseconds."""
        return self.first + (self.last - self.first) * number // self.count


def check(template, now):
    """What a loaded row is like, from a row that the node wrote: that our idea of it is right."""
    key, version, expires_at, record, client, subject, grant = template
    record = json.loads(record)
    millis = int.from_bytes(key[:8], "big")
    right = (len(key) == 40 and millis // 1000 == expires_at == record["expires_at"] and version == 1 and abs(record["issued_at"] - now) < 60
             and client == record["client_id"] and subject is None and grant is None)
    if not right:
        sys.exit(f"rows of access_token look otherwise than this script makes them: {template}")
    return record


class Sqlite:
    name = "sqlite"

    def __init__(self, work):
        self.path = work / "soak.db"
        self.settings = f'type = "sqlite"\npath = "{self.path}"'
        self.empty = f'type = "sqlite"\npath = "{work / "empty.db"}"'

    def open(self):
        return sqlite3.connect(self.path, isolation_level=None)

    def template(self):
        row = self.first("SELECT key, version, expires_at, record, client_id, subject, grant_id FROM access_token LIMIT 1")
        self.record = check(row, time.time())

    def load(self, spread):
        text = json.dumps({**self.record, "client_id": "C", "grant_id": "G", "issued_at": 1, "expires_at": 2}, separators=(",", ":"))
        text = text.replace('"C"', '"%s"').replace('"G"', '"%s"').replace(":1,", ":%d,").replace(":2,", ":%d,").replace(":2}", ":%d}")

        order = [key for key in self.record if key in ("client_id", "grant_id", "issued_at", "expires_at")]

        def rows():
            for number in range(spread.count):
                millis, random = spread.expiry(number), os.urandom(48)
                expires = millis // 1000
                values = {"client_id": f"client-{number % CLIENTS}", "grant_id": random[32:].hex(), "issued_at": expires - 3600,
                          "expires_at": expires}
                yield (millis.to_bytes(8, "big") + random[:32], expires, values["client_id"], text % tuple(values[key] for key in order))

        db = self.open()
        # Nobody else has the file, and a crash now costs nothing: no log is needed.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -200000")
        db.execute("BEGIN")
        db.executemany("INSERT INTO access_token (key, version, expires_at, client_id, record) VALUES (?, 1, ?, ?, ?)", rows())
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
        db.close()
        with open(self.path) as file:
            os.fsync(file.fileno())

    def first(self, sql, *values):
        db = self.open()
        found = db.execute(sql, values).fetchone()
        db.close()
        return found

    def lease(self, held):
        db = self.open()
        db.execute("DELETE FROM lease")
        if held:
            db.execute("INSERT INTO lease (key, version, expires_at, record) VALUES (?, 1, ?, ?)", (b"purge", held_until(), LEASE))
        db.close()

    def rows(self, before=FAR):
        return self.first("SELECT count(*) FROM access_token WHERE expires_at < ?", before)[0]

    def settle(self):
        self.first("PRAGMA wal_checkpoint(TRUNCATE)")

    def size(self):
        """Bytes of the file, in whole pages."""
        return self.first("PRAGMA page_count")[0] * self.first("PRAGMA page_size")[0]


class Postgres:
    name = "postgres"

    def __init__(self, work):
        self.url = os.environ["SOAK_POSTGRES"]
        self.settings = f'type = "postgres"\nurl = {{ file = "{self.secret(work / "url", self.url)}" }}'
        self.empty = f'type = "postgres"\nurl = {{ file = "{self.secret(work / "url.empty", os.environ["SOAK_POSTGRES_EMPTY"])}" }}'

    @staticmethod
    def secret(path, text):
        path.write_text(text)
        return path

    def one(self, sql):
        psql = Path(os.environ["SOAK_POSTGRES_BIN"]) / "psql"
        done = subprocess.run([psql, "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"psql: {sql}\n{done.stderr}")
        return done.stdout.strip("\n")

    def template(self):
        row = self.one("SELECT encode(key, 'hex'), version, expires_at, record, client_id, subject, grant_id FROM access_token LIMIT 1")
        key, version, expires_at, record, client, subject, grant = row.split("\t")
        self.record = check((bytes.fromhex(key), int(version), int(expires_at), record, client, subject or None, grant or None), time.time())

    def load(self, spread):
        record = json.dumps(self.record).replace("'", "''")
        self.one(f"""
            SET synchronous_commit = off;
            INSERT INTO access_token (key, version, expires_at, client_id, record)
            SELECT int8send(millis) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 1, millis / 1000, client,
                   '{record}'::jsonb || jsonb_build_object('client_id', client, 'issued_at', millis / 1000 - 3600, 'expires_at', millis / 1000,
                                                           'grant_id', replace(gen_random_uuid()::text, '-', ''))
            FROM (SELECT {spread.first} + {spread.last - spread.first}::bigint * number / {spread.count} AS millis,
                         'client-' || number % {CLIENTS} AS client FROM generate_series(0::bigint, {spread.count - 1}) AS number) AS numbers""")

    def lease(self, held):
        insert = f"INSERT INTO lease (key, version, expires_at, record) VALUES ('purge', 1, {held_until()}, '{LEASE}')"
        self.one(f"DELETE FROM lease; {insert if held else ''}")

    def rows(self, before=FAR):
        return int(self.one(f"SELECT count(*) FROM access_token WHERE expires_at < {before}"))

    def settle(self):
        # As autovacuum does sooner or later. Pages of an index that the first one emptied may be free only for the second.
        for _ in range(2):
            self.one("VACUUM ANALYZE access_token")
        self.one("CHECKPOINT")

    def size(self):
        """Bytes of the table and its indexes."""
        return int(self.one("SELECT pg_total_relation_size('access_token')"))
