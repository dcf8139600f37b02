"""Fills a store, purges the half that expired under load, fills it again, and prints what that did. Called by tests/soak/run."""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
from bench import Programs, free_port, load, machine, measure, run, start_node, store_folder, token_requests, tokens, two_cores
from stores import Postgres, Spread, Sqlite

# While the purge runs, as a multiple of the p99 without it.
P99 = 1.10
# Start to ready, as a multiple of an empty store's; the milliseconds are what the measurement itself is unsure of.
START, START_MS = 1.10, 10
# The space after as many tokens were issued again, as a multiple of what it was.
SPACE = 1.05
# What the purge leaves for clocks that differ, with some seconds of ours.
MARGIN = 90


def metric(node, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{node['admin']}/metrics", timeout=10).read().decode()
    lines = [line for line in text.splitlines() if line.startswith(name) and 'table="access_token"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def purged(node):
    return metric(node, "portcullis_expired_rows_total")


def ready_after(programs, core, program, folder):
    """Milliseconds from the start of a node until it says that it is ready."""
    admin = free_port()
    command = ["taskset", "-c", str(core), str(program), "-c", str(folder), "run", "--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{admin}"]
    log = open(programs.work / "start.log", "wb")
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=log, stderr=log)
    programs.started.append(process)
    while True:
        try:
            if urllib.request.urlopen(f"http://127.0.0.1:{admin}/health/ready", timeout=5).status == 200:
                took = (time.monotonic() - began) * 1000
                programs.stop()
                return took
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() - began > 60:
            sys.exit(f"the node does not get ready:\n{(programs.work / 'start.log').read_text()}")
        time.sleep(0.001)


class Soak:
    """One store's."""

    def __init__(self, options, cores, work, store):
        self.options, self.cores, self.work, self.store = options, cores, work, store
        self.programs = Programs(work)
        self.wrong, self.missed, self.told = [], [], {}

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {self.store.name}: {text}", file=sys.stderr, flush=True)

    def verdict(self, what, good, timed):
        if not good:
            (self.missed if timed else self.wrong).append(f"{self.store.name}: {what}")

    def run(self):
        self.fill()
        self.start()
        self.purge()
        self.space()

    def fill(self):
        options, store = self.options, self.store
        self.folder = self.work / f"{store.name}-full"
        self.empty = self.work / f"{store.name}-empty"
        credentials = store_folder(options.program, self.folder, store.settings)
        store_folder(options.program, self.empty, store.empty)
        self.ask = token_requests(self.work / f"{store.name}.ask", credentials)
        node = start_node(self.programs, self.cores[0], options.program, self.folder, f"{store.name}-first")
        list(tokens(node["port"], credentials, 1))
        self.programs.stop()
        store.template()
        store.lease(held=True)
        half = options.tokens // 2
        now = int(time.time())
        began = time.monotonic()
        store.load(Spread(half, now - 2 * 3600, now - MARGIN))
        # None of these expires meanwhile.
        store.load(Spread(options.tokens - half, now + 4 * 3600, now + 5 * 3600))
        store.settle()
        self.expired, self.live = half, options.tokens - half
        self.size = store.size()
        self.told["loaded"] = {"tokens": options.tokens, "expired": half, "seconds": time.monotonic() - began, "bytes": self.size}
        self.say(f"{options.tokens} tokens loaded in {time.monotonic() - began:.0f} s, {self.size / 2**20:.0f} MiB")

    def start(self):
        full, empty = [], []
        self.store.lease(held=True)
        for _ in range(self.options.starts):
            for times, folder in ((empty, self.empty), (full, self.folder)):
                times.append(ready_after(self.programs, self.cores[0], self.options.program, folder))
        empty, full = statistics.median(empty), statistics.median(full)
        self.told["start_ms"] = {"empty": empty, "full": full}
        self.verdict(f"start to ready takes {full:.0f} ms, with an empty store {empty:.0f} ms", full <= empty * START + START_MS, timed=True)
        self.say(f"start to ready: {full:.0f} ms, with an empty store {empty:.0f} ms")

    def window(self, number, purges):
        """Loads a node of its own, which purges or finds the lease taken."""
        options, core = self.options, self.cores[1]
        self.store.lease(held=not purges)
        node = start_node(self.programs, self.cores[0], options.program, self.folder, f"{self.store.name}-{number}")
        node["requests"] = self.ask
        load(core, node["url"], self.ask, options.warm, options.connections, pause=options.pause)
        deadline = time.monotonic() + 60
        while purges and purged(node) == 0:
            if time.monotonic() > deadline:
                sys.exit(f"{self.store.name}: the node does not purge")
            load(core, node["url"], self.ask, 1, options.connections, pause=options.pause)
        before = purged(node)
        result = measure(node, core, options.seconds, options.connections, options.pause)
        rows = purged(node) - before
        result["purged"] = rows / options.seconds
        if not purges and purged(node):
            self.wrong.append(f"{self.store.name}: it purges though another one holds the lease")
        self.programs.stop()
        self.say(f"purge {'on ' if purges else 'off'}: {result['rate']:.0f} tokens/s, p50 {result['p50_ms']:.2f} ms, "
                 f"p99 {result['p99_ms']:.2f} ms, {result['purged']:.0f} rows purged/s")
        return result

    def purge(self):
        off, on = [], []
        for number in range(self.options.times):
            # In turn, also who is first.
            pair = [(False, off), (True, on)]
            for purges, results in pair if number % 2 == 0 else pair[::-1]:
                results.append(self.window(f"{number}-{purges}", purges))
        left = self.store.rows(int(time.time()) - MARGIN)
        # Who has nothing left to do disturbs nobody.
        self.verdict("the purge was done before the last window ended: more tokens are needed", left > 0, timed=True)
        ratio = statistics.median(with_it["p99_ms"] / without["p99_ms"] for with_it, without in zip(on, off))
        self.told["issue"] = {"without": off, "with": on, "p99_ratio": ratio}
        self.verdict(f"p99 of issuing while it purges is {ratio:.2f} x that without", ratio <= P99, timed=True)

        # What the file takes is compared with now: tokens were issued meanwhile.
        self.store.settle()
        self.size, self.rows = self.store.size(), self.store.rows()
        self.store.lease(held=False)
        began = time.monotonic()
        run(self.options.program, "-c", self.folder, "store", "purge")
        self.told["rest"] = {"rows": left, "seconds": time.monotonic() - began}
        self.say(f"the other {left} rows purged in {time.monotonic() - began:.0f} s by the command")
        self.verdict("expired rows are left after the purge", self.store.rows(int(time.time()) - MARGIN) == 0, timed=False)
        self.verdict("rows that are good are gone", self.store.rows() >= self.live, timed=False)

    def space(self):
        self.store.settle()
        purged_size, rows = self.store.size(), self.store.rows()
        again = self.rows - rows
        now = int(time.time())
        self.store.load(Spread(again, now + 6 * 3600, now + 7 * 3600))
        self.store.settle()
        size = self.store.size()
        self.told["space"] = {"full": self.size, "purged": purged_size, "full_again": size, "issued_again": again}
        self.verdict(f"it takes {size} bytes with as many tokens as when it took {self.size}", size <= self.size * SPACE, timed=False)
        self.say(f"{again} tokens issued again: {size / 2**20:.0f} MiB, it was {self.size / 2**20:.0f} MiB")


def table(soaks):
    columns = [("", [soak.store.name for soak in soaks])]

    def line(title, text):
        columns.append((title, [text(soak.told) for soak in soaks]))

    def both(told, key, form):
        return " / ".join(form.format(statistics.median(one[key] for one in told["issue"][which])) for which in ("without", "with"))

    line("tokens, half of them expired", lambda t: f"{t['loaded']['tokens']}")
    line("start to ready: empty / full, ms", lambda t: f"{t['start_ms']['empty']:.0f} / {t['start_ms']['full']:.0f}")
    line("tokens/s: without / with purge", lambda t: both(t, "rate", "{:.0f}"))
    line("p50, ms", lambda t: both(t, "p50_ms", "{:.2f}"))
    line("p99, ms", lambda t: both(t, "p99_ms", "{:.2f}"))
    line("p99 with beside without, median", lambda t: f"{t['issue']['p99_ratio']:.2f}")
    line("rows purged a second meanwhile", lambda t: f"{statistics.median(one['purged'] for one in t['issue']['with']):.0f}")
    line("MiB: full / purged / full again", lambda t: " / ".join(f"{t['space'][key] / 2**20:.0f}" for key in ("full", "purged", "full_again")))
    for title, cells in columns:
        print(f"{title:<36}" + "".join(f"{cell:>24}" for cell in cells))


def main():
    options = argparse.ArgumentParser(prog="tests/soak/run", usage="tests/soak/run [sqlite] [postgres] [OPTIONS]")
    options.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("store", nargs="+", choices=["sqlite", "postgres"], help=argparse.SUPPRESS)
    options.add_argument("--tokens", type=int, default=10_000_000)
    options.add_argument("--seconds", type=int, default=15, help="of each window in which tokens are issued")
    options.add_argument("--warm", type=int, default=12, help="seconds of load before it")
    options.add_argument("--times", type=int, default=5, help="windows without and with the purge")
    options.add_argument("--starts", type=int, default=9, help="starts of a node on each store")
    options.add_argument("--connections", type=int, default=32, help="of the load")
    options.add_argument("--pause", type=int, default=10, help="milliseconds that each connection rests after a token")
    options.add_argument("--json", type=Path, help="writes the numbers there too")
    options.add_argument("--strict", action="store_true", help="exit 1 where a mark of time is missed, too")
    options = options.parse_args()

    cores, soaks = two_cores(), []
    for name in options.store:
        work = Path(tempfile.mkdtemp(prefix="soak.", dir=options.work))
        soak = None
        try:
            soak = Soak(options, cores, work, {"sqlite": Sqlite, "postgres": Postgres}[name](work))
            soak.run()
            soaks.append(soak)
        finally:
            if soak:
                soak.programs.stop()
            shutil.rmtree(work, ignore_errors=True)

    table(soaks)
    wrong, missed = ([text for soak in soaks for text in getattr(soak, which)] for which in ("wrong", "missed"))
    for text in wrong:
        print(f"WRONG {text}")
    for text in missed:
        print(f"MISSED {text}")
    if options.json:
        given = {key: getattr(options, key) for key in ("tokens", "seconds", "times", "starts", "connections", "pause")}
        options.json.write_text(json.dumps({"machine": machine(), "options": given, "wrong": wrong, "missed": missed,
                                            "results": {soak.store.name: soak.told for soak in soaks}}, indent=2) + "\n")
    sys.exit(1 if wrong or missed and options.strict else 0)


main()
