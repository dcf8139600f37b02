"""Debian's `slowhttptest`: its connections end long before its time is over, and the node is there for others all the time."""

import os
import re
import subprocess
import sys
import time

from cases import Cases
from frames import DEADLINE

port = int(sys.argv[1])
cases = Cases(port, int(sys.argv[2]))
CONNECTIONS = 200


def slow(served, *arguments):
    """How it ended: by itself, since all its connections had been closed, and long before its time was over."""
    command = ["slowhttptest", "-c", str(CONNECTIONS), "-r", "200", "-i", "1", "-l", "40", "-p", "10", "-v", "1", *arguments]
    attack = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    served()
    told = re.sub(r"\x1b\[[0-9;]*m", "", attack.communicate(timeout=120)[0])
    status = re.findall(r"Exit status: *(.*)", told) or re.findall(r"Exit status:? *\n?(.*)", told)
    served()
    if "NO" in re.findall(r"service available: *(\w+)", told):
        return "the node was not there for its probe"
    return status[-1].strip() if status else told[-400:]


@lambda run: cases.run(run, ("No open connections left",))
def _(served):
    """slow heads (slowloris)"""
    return slow(served, "-H", "-u", f"http://127.0.0.1:{port}/ok")


@lambda run: cases.run(run, ("No open connections left",))
def _(served):
    """slow bodies (R.U.D.Y.): what stops for longer than `body_timeout`"""
    return slow(served, "-B", "-i", "5", "-u", f"http://127.0.0.1:{port}/read")


@lambda run: cases.run(run, ("given up",))
def _(served):
    """slow readers"""
    # What the kernel has taken of an answer it keeps for the client, so the client sees no end: the node's own connections tell.
    connections = lambda: len(os.listdir(f"/proc/{cases.pid}/fd"))
    before = connections()
    arguments = ["-X", "-c", str(CONNECTIONS), "-r", "200", "-n", "5", "-w", "1", "-y", "16", "-z", "1", "-p", "10", "-l", "60", "-v", "0"]
    attack = subprocess.Popen(["slowhttptest", *arguments, "-u", f"http://127.0.0.1:{port}/up/endless"], stdout=subprocess.DEVNULL)
    try:
        for what, holds in (
            ("it does not connect", lambda: connections() > before + CONNECTIONS),
            ("not given up", lambda: connections() < before + CONNECTIONS / 10),
        ):
            until = time.monotonic() + DEADLINE
            while not holds():
                if attack.poll() is not None or time.monotonic() > until:
                    return f"{what}: {connections()} descriptors, {before} before"
                time.sleep(0.05)
        served()
        return "given up"
    finally:
        attack.kill()
        attack.wait()


cases.end()
