"""Runs cases one after the other: what each comes to, that others are served meanwhile, and that the memory is bounded."""

import sys
import time

from bystander import Bystander

# How much larger than before the first case the node may be, whatever was sent to it.
MEMORY_MIB = 96


class Cases:
    def __init__(self, port, pid):
        self.port, self.pid = port, pid
        self.bystander = Bystander(port)
        self.served("before anything")
        self.before = self.memory()

    def memory(self):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

    def served(self, what):
        if why := self.bystander.served():
            sys.exit(f"EXPECTED OTHERWISE: {what}: another client notices it: {why}")

    def run(self, case, expected):
        """`case` is given a function that says that the other client is served now."""
        what = case.__doc__.strip()
        began = time.monotonic()
        came = case(lambda: self.served(what))
        self.served(what)
        more = self.memory() - self.before
        print(f"{what}: {came} ({time.monotonic() - began:.1f} s, {more:+.0f} MiB)", flush=True)
        if came not in expected:
            sys.exit(f"EXPECTED OTHERWISE: {what}: {' or '.join(expected)}, got {came}")
        if more > MEMORY_MIB:
            sys.exit(f"EXPECTED OTHERWISE: {what}: the node grew by {more:.0f} MiB, more than {MEMORY_MIB}")

    def end(self):
        self.bystander.stopped = True
        answered = self.bystander.answered
        print(f"meanwhile another client was answered {answered['1.1']} times over HTTP/1.1 and {answered['2']} over HTTP/2")
