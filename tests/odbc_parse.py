#!/usr/bin/env python3
"""Parses the statements and schemas of the data source `odbc` with a parser that knows the dialect.

    PYTHONPATH=... tests/odbc_parse.py        needs the Python package sqlglot, which tests/run installs

There is no Oracle Database and no SQL Server to run them on. sqlglot knows both dialects; it knows none for Db2, whose statements are parsed as
general SQL, which leaves out the two that are Db2's alone (they are counted). Parsed is not run: whether a server takes them, nobody has seen.
"""

import re
import sys
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError

ROOT = Path(__file__).resolve().parent.parent
STATEMENTS = ROOT / "crates/store/src/sources/odbc/tests/statements"
SCHEMAS = ROOT / "stores/schema"

# dialect: (sqlglot's name, schema)
DIALECTS = {
    "oracle": ("oracle", "odbc-oracle"),
    "mssql": ("tsql", "odbc-mssql"),
    "db2": ("", "odbc-db2"),
}

# What general SQL has no words for: Db2's own.
ONLY_DB2 = re.compile(r"CURRENT TIMEZONE")

# Db2's way to answer what is deleted: the statement within is parsed, and the one around it.
OLD_TABLE = re.compile(r"OLD TABLE \((DELETE .*)\)$")

# What sets up a session is not parsed into its parts by any dialect of sqlglot.
SESSION = re.compile(r"^(ALTER SESSION )?SET ", re.I)


def statements(path):
    """The statements of a file: remarks taken off, apart at each semicolon that ends a line."""
    lines = (line.split("--")[0].rstrip() for line in path.read_text(encoding="utf-8").splitlines())
    text = "\n".join(line for line in lines if line)
    for one in text.split(";\n"):
        sql = one.strip().rstrip(";")
        inner = OLD_TABLE.search(sql)
        yield from [OLD_TABLE.sub("old_table", sql), inner[1]] if inner else [sql] if sql else []


def wrong(sql, dialect):
    """What the parser does not understand, or None."""
    try:
        (tree,) = sqlglot.parse(sql, read=dialect or None, error_level=ErrorLevel.RAISE)
    except (ParseError, ValueError) as error:
        return str(error).splitlines()[0]
    if tree is None or tree.find(exp.Command) is not None:
        return "not taken apart: to the parser it is one word and a text"
    return None


def main():
    failures = 0
    # That the check can fail.
    for broken, dialect in [("SELECT FROM WHERE", "oracle"), ("DELETE access_token OUTPUT", "tsql"), ("SELECT a FROM b WHERE ORDER BY c", "")]:
        if wrong(broken, dialect) is None:
            print(f"the parser takes {broken!r}", file=sys.stderr)
            failures += 1
    for name, (dialect, schema) in DIALECTS.items():
        parsed = skipped = 0
        for path in (STATEMENTS / f"{name}.sql", SCHEMAS / f"{schema}.sql"):
            for sql in statements(path):
                if SESSION.match(sql) or (name == "db2" and ONLY_DB2.search(sql)):
                    skipped += 1
                    continue
                why = wrong(sql, dialect)
                parsed += 1
                if why:
                    failures += 1
                    print(f"{path.relative_to(ROOT)}: {sql}\n    {why}", file=sys.stderr)
        if parsed < 50:
            failures += 1
            print(f"{name}: only {parsed} statements were found", file=sys.stderr)
        print(f"{name:9} parsed as {dialect or 'general SQL':12} {parsed:3} statements, {skipped} that only a server can read")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
