"""What the benches share: starting programs, loading them, and counting what that cost."""

import base64
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Programs:
    """Started programs, ended by their own process ids."""

    def __init__(self, work):
        self.work, self.started = work, []

    def start(self, name, core, command, port):
        """Starts it on that core (`None`: on any) and waits until it listens."""
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        log = open(self.work / f"{name}.log", "wb")
        program = subprocess.Popen([*pinned, *map(str, command)], stdout=log, stderr=log)
        self.started.append(program)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return program.pid
            except OSError:
                if program.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{name} did not start:\n{(self.work / f'{name}.log').read_text()}")
                time.sleep(0.05)

    def stop(self):
        for program in self.started:
            program.send_signal(signal.SIGTERM)
        for program in self.started:
            try:
                program.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self.started = []


def cpu_seconds(pid):
    """User and system time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def load(core, url, requests, seconds, connections, keep=None, find=None, pause=None):
    """Asks for so long. `keep` is a file for the access tokens that are answered, or for what the Lua pattern `find` finds: not while
    something is measured. `pause` is the milliseconds that each connection rests after an answer."""
    environment = {**os.environ, "BENCH_REQUESTS": str(requests)}
    if keep:
        environment["BENCH_KEEP"] = str(keep)
    if find:
        environment["BENCH_FIND"] = find
    if pause:
        environment["BENCH_PAUSE"] = str(pause)
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "load.lua"), url]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds + 60)
    for line in out.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    sys.exit(f"wrk: {out.stdout}{out.stderr}")


def measure(target, core, seconds, connections, pause=None):
    before = cpu_seconds(target["pid"])
    result = load(core, target["url"], target["requests"], seconds, connections, pause=pause)
    cpu = cpu_seconds(target["pid"]) - before
    if "once" in target and result["taken"] > target["once"]:
        sys.exit(f"{target['name']}: {result['taken']} were asked for, and {target['once']} were ready, each of which is good once: a shorter time")
    works(target["name"], result)
    return {
        "cpu_us": cpu * 1e6 / result["requests"],
        "rate": result["requests"] / result["seconds"],
        "busy": cpu / result["seconds"],
        "p50_ms": result["p50_us"] / 1000,
        "p99_ms": result["p99_us"] / 1000,
    }


def works(name, result):
    """What is measured must work."""
    if result["refused"] or result["broken"] or not result["requests"]:
        sys.exit(f"{name}: {result}: what is measured must work")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def medians(rounds):
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def machine():
    return {"cores": len(os.sched_getaffinity(0)), "release": os.uname().release, "machine": os.uname().machine}


def two_cores():
    """One for what is measured, one for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed: one for what is measured, one for the load")
    return cores[0], cores[1]


def basic(credentials):
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def tokens(port, credentials, count, scope=None):
    form = urlencode({"grant_type": "client_credentials", **({"scope": scope} if scope else {})}).encode()
    for _ in range(count):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/oauth/token", form,
                                         {"Authorization": basic(credentials)})
        with urllib.request.urlopen(request, timeout=10) as answer:
            yield json.load(answer)["access_token"]


def write_requests(path, lines):
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


def store_folder(program, folder, source, store="", client="bench"):
    """A configuration whose stores are all in one source, with a client in it; that client's credentials. `source` is the source's
    TOML, `store` what stands below it (`[store.NAME]`)."""
    run(program, "init", folder)
    (folder / "stores" / "stores.toml").write_text(f'default = "bench"\n\n[source.bench]\n{source}\n{store}\n')
    with open(folder / "node.toml", "a") as node:
        node.write("\n[log]\naccess = false\n")
    made = json.loads(run(program, "-c", folder, "client", "add", "--id", client, "--grant", "client_credentials",
                          "--scope", "bench:read", "--json"))
    return f"{client}:{made['client_secret']}"


def start_node(programs, core, program, folder, name):
    """Starts a node; its process and its port."""
    port, admin = free_port(), free_port()
    pid = programs.start(name, core, [program, "-c", folder, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"], port)
    return {"name": name, "pid": pid, "port": port, "admin": admin, "url": f"http://127.0.0.1:{port}/"}


def token_requests(path, credentials):
    return write_requests(path, [["POST", "/api/oauth/token", basic(credentials), "grant_type=client_credentials"]])
