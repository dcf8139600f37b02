"""Starts one server after the other, opens connections, asks once on each, and looks at the server's memory. Called by idle."""

import argparse
import json
import os
import resource
import shutil
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path

from bench import HERE, Programs, free_port, machine, run

# In MiB: right after the start, and with 10,000 connections.
MOST_IDLE, MOST_CONNECTED = 20, 250

PORTCULLIS = """
[upstream.bench]
targets = ["http://127.0.0.1:{upstream}"]

[log]
access = false

[limits]
idle_timeout = "10m"

[[listener]]
name    = "bench"
address = "127.0.0.1:{port}"
"""

PORTCULLIS_TLS = """
[listener.tls]
certificate = "{work}/cert.pem"
key         = {{ file = "{work}/key.pem" }}
"""


def resident(pid, what="VmRSS"):
    """In MiB. `RssFile` of it are pages of the program's own file: the kernel maps them around those that are used, as many as it has in
    its cache, and takes them back when it needs room."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def settled(pid):
    """Its memory once that has not grown for a second."""
    seen = resident(pid)
    for _ in range(20):
        time.sleep(1)
        before, seen = seen, resident(pid)
        if seen <= before:
            break
    return seen


def connect(port, count, context):
    """So many connections, each with one answer behind it."""
    opened = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 30)
        if context:
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(b"GET /bench/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            came = connection.recv(4096)
            if not came:
                sys.exit(f"connection {len(opened)} was closed:\n{answer.decode(errors='replace')}")
            answer += came
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"connection {len(opened)}: {answer.decode(errors='replace')}")
        opened.append(connection)
    return opened


def see_that_all_are_open(opened):
    for number, connection in enumerate(opened):
        connection.setblocking(False)
        try:
            if connection.recv(1) == b"":
                sys.exit(f"connection {number} was closed meanwhile")
        except (BlockingIOError, ssl.SSLWantReadError):
            continue


def as_after_a_boot(program):
    """Drops what the kernel has of a file, so that it is read again in the pieces that a start reads. What was written just now lies in pieces as
    large as the writes, and the kernel maps a piece whole."""
    with open(program, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Idle:
    def __init__(self, options, work):
        self.options, self.work, self.programs, self.results = options, work, Programs(work), {}
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", work / "key.pem", "-out", work / "cert.pem")
        (work / "both.pem").write_text((work / "cert.pem").read_text() + (work / "key.pem").read_text())
        self.context = ssl.create_default_context(cafile=work / "cert.pem")
        self.upstream = free_port()
        self.programs.start("upstream", None, [options.bare / "bare_server", f"127.0.0.1:{self.upstream}"], self.upstream)

    def shipped(self):
        """A node as `init` makes one."""
        folder, program = self.work / "shipped", self.options.program
        as_after_a_boot(program)
        run(program, "init", folder)
        port, admin = free_port(), free_port()
        pid = self.programs.start("shipped", None, [
            program, "-c", folder, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"], port)
        self.results["Portcullis as shipped"] = {"idle_mib": settled(pid), "file_mib": resident(pid, "RssFile")}

    def portcullis(self, tls):
        folder, program, port, admin = self.work / f"node{tls}", self.options.program, free_port(), free_port()
        run(program, "init", folder)
        with open(folder / "node.toml", "a") as node:
            node.write(PORTCULLIS.format(upstream=self.upstream, port=port) + (PORTCULLIS_TLS.format(work=self.work) if tls else ""))
        shutil.copy(HERE / "gateways/conf/portcullis-plain.toml", folder / "policies/bench.toml")
        run(program, "-c", folder, "check")
        return [program, "-c", folder, "run", "--admin", f"127.0.0.1:{admin}"], port

    def other(self, conf, listens, over_tls, command, tls):
        """One of gateways/conf, for a quarter more connections, since nginx ends idle ones when it runs short of them; `over_tls` is what
        stands in the place of the line that listens, for TLS."""
        port, path = free_port(), self.work / f"{tls}{conf}"
        text = (HERE / "gateways/conf" / conf).read_text()
        text = text.replace(listens, over_tls) if tls else text
        for key, value in {"WORK": self.work, "PORT": port, "UPSTREAM": self.upstream, "CONNECTIONS": self.options.connections * 5 // 4}.items():
            text = text.replace(f"@{key}@", str(value))
        path.write_text(text)
        return [*command, path], port

    def measure(self, name, command, port, tls):
        pid = self.programs.start(name, None, command, port)
        idle, file, began = settled(pid), resident(pid, "RssFile"), time.monotonic()
        opened = connect(port, self.options.connections, self.context if tls else None)
        took, connected = time.monotonic() - began, settled(pid)
        see_that_all_are_open(opened)
        for connection in opened:
            connection.close()
        self.results[name] = {"idle_mib": idle, "file_mib": file, "connected_mib": connected,
                              "kib_each": (connected - idle) * 1024 / len(opened), "seconds": took}

    def run(self):
        self.shipped()
        nginx = ("nginx.conf", "listen 127.0.0.1:@PORT@;",
                 "listen 127.0.0.1:@PORT@ ssl; ssl_certificate @WORK@/cert.pem; ssl_certificate_key @WORK@/key.pem;")
        haproxy = "haproxy.cfg", "bind 127.0.0.1:@PORT@", "bind 127.0.0.1:@PORT@ ssl crt @WORK@/both.pem"
        for tls in [""] if self.options.plain else ["", "TLS"]:
            over = ", TLS" if tls else ""
            self.measure(f"Portcullis{over}", *self.portcullis(tls), tls)
            if not tls:
                port = free_port()
                self.measure("bare hyper proxy", [self.options.bare / "bare_proxy", f"127.0.0.1:{port}", f"127.0.0.1:{self.upstream}"], port, tls)
            self.measure(f"nginx{over}", *self.other(*nginx, ["nginx", "-p", self.work, "-c"], tls), tls)
            self.measure(f"HAProxy{over}", *self.other(*haproxy, ["haproxy", "-db", "-f"], tls), tls)


def main():
    options = argparse.ArgumentParser(prog="tests/bench/idle")
    options.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--bare", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--connections", type=int, default=10_000)
    options.add_argument("--plain", action="store_true", help="not over TLS")
    options.add_argument("--json", type=Path, help="writes the numbers there too")
    options.add_argument("--strict", action="store_true", help="exit 1 where a mark is missed")
    options = options.parse_args()

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < options.connections + 1000:
        sys.exit(f"{most} descriptors are allowed (`ulimit -Hn`), and {options.connections + 1000} are needed")
    # The servers inherit it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    work = Path(tempfile.mkdtemp(prefix="idle.", dir=options.bare.parent))
    idle = Idle(options, work)
    try:
        idle.run()
    finally:
        idle.programs.stop()
        shutil.rmtree(work, ignore_errors=True)

    print(f"{'':<24}{'at start, MiB':>14}{'of it its file':>16}{f'{options.connections} idle, MiB':>18}{'KiB each':>10}")
    for name, r in idle.results.items():
        connected = f"{r['connected_mib']:>18.1f}{r['kib_each']:>10.1f}" if "connected_mib" in r else ""
        print(f"{name:<24}{r['idle_mib']:>14.1f}{r['file_mib']:>16.1f}{connected}")
    missed = 0
    for name, key, most in [
        ("Portcullis as shipped", "idle_mib", MOST_IDLE),
        ("Portcullis", "connected_mib", MOST_CONNECTED),
        ("Portcullis, TLS", "connected_mib", MOST_CONNECTED),
    ]:
        seen = idle.results[name][key]
        missed += seen > most
        print(f"{name}: {seen:.1f} MiB; the mark is {most} MiB: {'met' if seen <= most else 'MISSED'}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "connections": options.connections, "results": idle.results}, indent=2) + "\n")
    sys.exit(1 if missed and options.strict else 0)


main()
