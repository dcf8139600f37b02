"""Starts a node for each data source, loads one after the other, and prints a table. Called by tests/bench/sources."""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

from bench import (Programs, load, machine, measure, medians, run, start_node, store_folder, token_requests, two_cores,
                   write_requests)

# The node's inserts a second over 8 connections, as a part of pgbench's with 8 clients.
MARK = 0.80
CONNECTIONS = 8
# What is looked up: more than the 200 of tests/bench/run, few enough to be remembered by a cache.
TOKENS = 20_000
SECRETS = ("url", "listen_url", "password")


def settings(folder, text, caches):
    """A source's settings as TOML, its secrets in files as the program asks for; `listen_url` only where there are caches."""
    lines = []
    for line in text.split("; "):
        key, value = line.split(" = ", 1)
        if key == "listen_url" and not caches:
            continue
        if key in SECRETS:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / key).write_text(json.loads(value))
            line = f'{key} = {{ file = "{key}" }}'
        lines.append(line)
    return "\n".join(lines)


def start(programs, options, core, name, text, caches):
    """A running node over a source, and its client's credentials."""
    folder = programs.work / name
    credentials = store_folder(options.program, folder, settings(folder, text, caches))
    return start_node(programs, core, options.program, folder, name), credentials


def has_cache(program, work):
    """Whether this program has a cache to be asked for; an older one that is measured beside has none."""
    folder = work / "asks"
    run(program, "init", folder)
    with open(folder / "stores" / "stores.toml", "a") as mapping:
        mapping.write("\n[store.access-token]\ncache = {}\n")
    return subprocess.run([str(program), "-c", str(folder), "check"], capture_output=True).returncode == 0


def targets_of(programs, options, cores, source, caches):
    """A source's three targets: issue, look up in the source, look up with a cache."""
    name, text = source.split("=", 1)
    core, load_core = cores
    cold, credentials = start(programs, options, core, name, text, caches)
    work = programs.work
    ask = token_requests(work / f"{name}.ask", credentials)
    kept = work / f"{name}.kept"
    load(load_core, cold["url"], ask, options.warm, options.connections, kept)
    many = kept.read_text().split()[:TOKENS]
    look = write_requests(work / f"{name}.look", [
        ["POST", "/api/oauth/tokeninfo", "-", "access_token=" + urllib.parse.quote(token)] for token in many])
    found = [{**cold, "source": name, "asks": "token", "requests": ask},
             {**cold, "source": name, "asks": "tokeninfo, cold", "requests": look, "tokens": len(many)}]
    if caches:
        # A second node on the same source: it has its own client, since the first one's secret was told once.
        folder = work / f"{name}-hot"
        store_folder(options.program, folder, settings(folder, text, caches).replace("var/", f"{work / name}/var/"),
                     "\n[store.access-token]\ncache = { entries = 100_000, max_age = \"60s\" }\n", client="hot")
        hot = start_node(programs, core, options.program, folder, folder.name)
        found.append({**hot, "source": name, "asks": "tokeninfo, hot", "requests": look, "tokens": len(many)})
    return [{**target, "name": f"{target['source']}: {target['asks']}", "rounds": []} for target in found]


class Pgbench:
    """pgbench with one INSERT as the node sends it: the same table and indexes, a row that the node wrote and that is sent with each
    statement, a key as ours, which is in the order of expiry. Statements are prepared, as the node's are."""

    def __init__(self, work, url, programs_folder):
        self.url, self.folder = url, Path(programs_folder)
        record = run(self.folder / "psql", "-X", "-q", "-A", "-t", "-c", "SELECT record FROM access_token LIMIT 1", url).strip()
        self.record = f"record={record}"
        self.script = work / "insert.sql"
        self.script.write_text(
            "INSERT INTO access_token (key, version, expires_at, record, client_id, subject, grant_id) VALUES ("
            "int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint + 3600000)"
            " || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),"
            " 1, extract(epoch FROM clock_timestamp())::bigint + 3600,"
            " :record::text::jsonb, 'bench', NULL, NULL) ON CONFLICT (key) DO NOTHING;\n")

    def measure(self, core, seconds):
        out = run("taskset", "-c", core, self.folder / "pgbench", "-n", "-M", "prepared", "-D", self.record, "-f", self.script, "-c", CONNECTIONS,
                  "-T", seconds, self.url)
        return float(re.search(r"tps = ([0-9.]+)", out).group(1))


def pin_postgres(cores):
    """The server's processes, those of its connections too."""
    server = int(os.environ["BENCH_POSTGRES_PID"])
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    for process in [server, *map(int, children)]:
        try:
            os.sched_setaffinity(process, cores)
        except ProcessLookupError:
            pass  # A connection that has ended.


def main():
    options = argparse.ArgumentParser(prog="tests/bench/sources", usage="tests/bench/sources [SOURCE...] [OPTIONS]")
    options.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--source", action="append", required=True, help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--warm", type=int, default=2, help="seconds of load before the first, and before each with a cache, which is to be full")
    options.add_argument("--times", type=int, default=3, help="rounds; medians are printed")
    options.add_argument("--connections", type=int, default=32, help="of the load")
    options.add_argument("--json", type=Path, help="writes the numbers there too")
    options.add_argument("--strict", action="store_true", help="exit 1 where the mark is missed")
    options = options.parse_args()

    cores = two_cores()
    work = Path(tempfile.mkdtemp(prefix="sources.", dir=options.work))
    programs = Programs(work)
    inserts = []
    try:
        caches = has_cache(options.program, work)
        targets = list(itertools.chain.from_iterable(
            targets_of(programs, options, cores, source, caches) for source in options.source))
        eight = None
        if os.environ.get("BENCH_POSTGRES"):
            url = os.environ["BENCH_POSTGRES"]
            text = f'type = "postgres"; url = "{url}"; max_connections = {CONNECTIONS}'
            eight, credentials = start(programs, options, cores[0], "postgres-eight", text, caches)
            eight["requests"] = token_requests(work / "eight.ask", credentials)
            load(cores[0], eight["url"], eight["requests"], options.warm, options.connections)
            pgbench = Pgbench(work, url, os.environ["BENCH_POSTGRES_BIN"])
        # Interleaved: what else the machine does meanwhile hits all of them.
        for _ in range(options.times):
            for target in targets:
                if target["asks"].endswith("hot"):
                    load(cores[1], target["url"], target["requests"], options.warm, options.connections)
                target["rounds"].append(measure(target, cores[1], options.seconds, options.connections))
                print(".", end="", file=sys.stderr, flush=True)
            if eight:
                pin_postgres({cores[1]})
                ours = measure(eight, cores[0], options.seconds, options.connections)
                theirs = pgbench.measure(cores[0], options.seconds)
                pin_postgres(set(cores))
                inserts.append({"node": ours["rate"], "pgbench": theirs, "ratio": ours["rate"] / theirs, "busy": ours["busy"]})
                print(":", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    finally:
        programs.stop()
        shutil.rmtree(work, ignore_errors=True)

    results = [{"source": target["source"], "asks": target["asks"], **medians(target["rounds"])} for target in targets]
    print(f"{'source':<12}{'request':<18}{'req/s':>8}{'CPU us/req':>12}{'core busy':>11}{'p50 ms':>9}{'p99 ms':>9}")
    for r in results:
        print(f"{r['source']:<12}{r['asks']:<18}{r['rate']:>8.0f}{r['cpu_us']:>12.1f}{r['busy']:>10.0%} {r['p50_ms']:>8.2f} {r['p99_ms']:>8.2f}")
    if not caches:
        print("tokeninfo, hot: not measured, this program's stores have no cache")
    missed = False
    if inserts:
        ratio = medians(inserts)["ratio"]
        missed = ratio < MARK
        print(f"\nPostgreSQL, {CONNECTIONS} connections, inserts a second, the node's beside pgbench's:")
        for one in inserts:
            print(f"  {one['node']:.0f} beside {one['pgbench']:.0f}: {one['ratio']:.2f} (the node's core {one['busy']:.0%} busy)")
        print(f"  median {ratio:.2f}; the mark is {MARK:.2f}: {'MISSED' if missed else 'met'}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "options": {"seconds": options.seconds, "times": options.times,
                                "connections": options.connections}, "results": results, "inserts": inserts, "mark": MARK}, indent=2) + "\n")
    sys.exit(1 if missed and options.strict else 0)


main()
