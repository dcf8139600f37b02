"""Changes the configuration over and over, under load, and says what that did. Called by run."""

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from websockets.asyncio.client import connect

# How long anything may take before it counts as hanging.
DEADLINE = 30
# How many clients of each kind there are.
CLIENTS, SOCKETS, STREAMS = 16, 50, 20
# After how many reloads the memory is what the end is compared with; until then caches fill.
WARM = 30
# How much larger the node may be at the end, and how many more descriptors it may have: files that are open for a moment.
GROWTH_MIB = 16
MORE = 8


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def expect(holds, what):
    if not holds:
        raise SystemExit(f"EXPECTED OTHERWISE: {what}")


class Configuration:
    """All that a reload may change, by the number of the round."""

    def __init__(self, options):
        self.folder = Path(options.folder)
        self.targets = options.targets
        self.chat, self.streams = options.chat.split(",")
        self.plain, self.tls = free_port(), free_port()
        self.beside = [free_port(), free_port()]
        shutil.copy(self.folder / "tls/a.pem", self.folder / "tls/now.pem")
        shutil.copy(self.folder / "tls/a.key", self.folder / "tls/now.key")
        proxy = 'route = "GET /{}/{{*rest}}"\n[[filter]]\nuse = "proxy"\nupstream = "{}"\n'
        self.write("policies/same.toml", proxy.format("same", "up"))
        self.write("policies/chat.toml", proxy.format("chat", "chat") + 'upgrade = ["websocket"]\n')
        self.write("policies/events.toml", proxy.format("events", "streams"))
        self.change(0)

    def write(self, name, text):
        # As editors do: whoever reads it finds the one or the other.
        path = self.folder / name
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text)
        beside.rename(path)

    def certificate(self, round):
        return "ab"[round // 2 % 2]

    def change(self, round):
        """A policy each time; the others in turn."""
        one, two = self.targets
        targets = [
            f'"http://127.0.0.1:{one}"',
            f'"http://127.0.0.1:{one}", {{ url = "http://127.0.0.1:{two}", weight = {1 + round % 7} }}',
            f'{{ url = "http://127.0.0.1:{two}", weight = {1 + round % 5} }}, "http://127.0.0.1:{one}"',
        ][round % 3]
        self.write(
            "node.toml",
            f"""
[debug]
generation_header = true

[limits]
body  = "{1 + round % 4}MiB"
drain = "1s"

[[listener]]
name    = "plain"
address = "127.0.0.1:{self.plain}"

[[listener]]
name    = "tls"
address = "127.0.0.1:{self.tls}"
[listener.tls]
certificate = "tls/now.pem"
key         = {{ file = "tls/now.key" }}

[[listener]]
name    = "beside"
address = "127.0.0.1:{self.beside[round // 5 % 2]}"
limits  = {{ header_count = {50 + round % 10}, idle_timeout = "{20 + round % 3}s" }}

[upstream.up]
targets = [{targets}]

[upstream.chat]
targets = ["http://127.0.0.1:{self.chat}"]

[upstream.streams]
targets = ["http://127.0.0.1:{self.streams}"]
""",
        )
        for kind in ("key", "pem"):
            self.write(f"tls/now.{kind}", (self.folder / f"tls/{self.certificate(round)}.{kind}").read_text())
        self.write("policies/changes.toml", f'route = "GET /changes"\n[[filter]]\nuse = "respond"\ntext = "{round}"\n')


class Node:
    def __init__(self, options):
        self.admin = free_port()
        command = [options.program, "-c", options.folder, "run", "--no-tests", "--admin", f"127.0.0.1:{self.admin}"]
        self.log = open(options.log, "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        until = time.monotonic() + DEADLINE
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/health/ready", timeout=5).read()
                self.token = (Path(options.folder) / "var/admin.token").read_text().strip()
                return
            except OSError:
                expect(self.process.poll() is None and time.monotonic() < until, "the node gets ready")
                time.sleep(0.02)

    def ask(self, method, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.load(answer)

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Load:
    """The clients. Each notes what went wrong; none goes on after that."""

    def __init__(self, configuration):
        self.configuration, self.stopped, self.wrong = configuration, False, []
        self.answered = dict.fromkeys(("HTTP/1.1", "HTTP/1.1 over TLS", "HTTP/2", "HTTP/2 over TLS", "changed route", "WebSocket", "events"), 0)
        # What was in force when: generation, text, since.
        self.in_force, self.text_of = [], {}
        self.checked, self.early = 0, []
        self.secure = ssl.create_default_context()
        self.secure.check_hostname, self.secure.verify_mode = False, ssl.CERT_NONE
        self.secure.set_alpn_protocols(["http/1.1"])

    async def guarded(self, what, client):
        try:
            await client
        except asyncio.CancelledError:
            raise
        except BaseException as why:
            self.wrong.append(f"{what}: {why!r}")

    async def open(self, secure):
        port = self.configuration.tls if secure else self.configuration.plain
        return await asyncio.open_connection("127.0.0.1", port, ssl=self.secure if secure else None)

    async def answer(self, reader):
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)).decode().lower()
        length = int(re.search(r"content-length: (\d+)", head)[1])
        return head, (await reader.readexactly(length)).decode()

    async def same(self, secure):
        """On one connection, from beginning to end."""
        reader, writer = await self.open(secure)
        while not self.stopped:
            writer.write(b"GET /same/1 HTTP/1.1\r\nHost: a.example\r\n\r\n")
            head, body = await self.answer(reader)
            if not head.startswith("http/1.1 200 ") or body not in "12" or "connection: close" in head:
                raise ValueError(head)
            self.answered["HTTP/1.1 over TLS" if secure else "HTTP/1.1"] += 1
        writer.close()

    async def changes(self):
        """The text of the generation that is named, and none that was not in force any more."""
        reader, writer = await self.open(False)
        while not self.stopped:
            oldest = self.in_force[-1]
            writer.write(b"GET /changes HTTP/1.1\r\nHost: a.example\r\n\r\n")
            head, body = await self.answer(reader)
            generation = int(re.search(r"portcullis-generation: (\d+)", head)[1])
            if not head.startswith("http/1.1 200 ") or generation < oldest or "connection: close" in head:
                raise ValueError(f"{oldest} was in force: {head}")
            # Before the node has told us of it: compared at the end.
            self.early.append((generation, body))
            self.answered["changed route"] += 1
        writer.close()

    async def web_socket(self):
        async with connect(f"ws://127.0.0.1:{self.configuration.plain}/chat/1", ping_interval=None, proxy=None) as one:
            while not self.stopped:
                said = str(time.monotonic())
                await one.send(said)
                if await asyncio.wait_for(one.recv(), DEADLINE) != said:
                    raise ValueError("it heard something else")
                self.answered["WebSocket"] += 1
                await asyncio.sleep(0.1)

    async def events(self, secure):
        """Each in its turn."""
        reader, writer = await self.open(secure)
        writer.write(b"GET /events/1 HTTP/1.1\r\nHost: a.example\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
        number, buffer = 0, b""
        while not self.stopped:
            buffer += await asyncio.wait_for(reader.readuntil(b"\n\n"), DEADLINE)
            # Chunks may come between.
            while found := re.search(rb"data: (\d+)\n\n", buffer):
                if int(found[1]) != number:
                    raise ValueError(f"event {found[1]} instead of {number}")
                number, buffer = number + 1, buffer[found.end() :]
                self.answered["events"] += 1
        writer.close()

    async def h2load(self, secure):
        address = f"https://127.0.0.1:{self.configuration.tls}" if secure else f"http://127.0.0.1:{self.configuration.plain}"
        while not self.stopped:
            command = ["h2load", "-n", "4000", "-c", "8", "-m", "10", f"{address}/same/1"]
            running = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            told = (await running.communicate())[0].decode()
            if "4000 succeeded, 0 failed, 0 errored, 0 timeout" not in told or "4000 2xx" not in told:
                raise ValueError(told[-600:])
            self.answered["HTTP/2 over TLS" if secure else "HTTP/2"] += 4000

    def start(self):
        clients = [("h2load", self.h2load(False)), ("h2load over TLS", self.h2load(True))]
        for number in range(CLIENTS):
            clients.append(("HTTP/1.1", self.same(secure=number % 2 == 1)))
            clients.append(("a route that changes", self.changes()))
        clients += [("a WebSocket", self.web_socket()) for _ in range(SOCKETS)]
        clients += [("an event stream", self.events(secure=number % 2 == 1)) for number in range(STREAMS)]
        return [asyncio.create_task(self.guarded(what, client)) for what, client in clients]


def presented(port):
    """The certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=DEADLINE).strip()


async def look(load, configuration, round):
    """What changed has changed at once, for who comes now."""
    reader, writer = await load.open(False)
    writer.write(b"GET /changes HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
    _, body = await load.answer(reader)
    expect(body == str(round), f"round {round} answers, got {body}")
    writer.close()
    shown = await asyncio.to_thread(presented, configuration.tls)
    wanted = (configuration.folder / f"tls/{configuration.certificate(round)}.pem").read_text().strip()
    expect(shown == wanted, f"round {round} shows its certificate")
    now, before = (configuration.beside[(round // 5 + add) % 2] for add in (0, 1))
    reader, writer = await asyncio.open_connection("127.0.0.1", now)
    fields = "".join(f"x-{i}: 1\r\n" for i in range(49 + round % 10))
    for more, status in ((fields, "200"), (fields + "x-more: 1\r\n", "431")):
        writer.write(f"GET /changes HTTP/1.1\r\nHost: a.example\r\n{more}\r\n".encode())
        head, _ = await load.answer(reader)
        expect(head.startswith(f"http/1.1 {status} "), f"round {round}: {status} by its limits, got {head}")
    writer.close()
    if round % 5 == 0 and round > 0:
        until = time.monotonic() + DEADLINE
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", before))[1].close()
            except OSError:
                return
            expect(time.monotonic() < until, f"round {round}: the address that went is closed")
            await asyncio.sleep(0.02)


async def main(options):
    configuration = Configuration(options)
    node = Node(options)
    load = Load(configuration)
    first = node.ask("GET", "/status")["generation"]["number"]
    load.in_force.append(first)
    load.text_of[first] = "0"
    alone = node.descriptors()
    clients = load.start()
    await asyncio.sleep(1)
    took, warm, began = [], None, time.monotonic()
    try:
        for round in range(1, options.reloads + 1):
            configuration.change(round)
            since = time.monotonic()
            told = await asyncio.to_thread(node.ask, "POST", "/reload")
            took.append(time.monotonic() - since)
            expect(told["outcome"] != "refused", f"round {round} is taken: {told}")
            load.in_force.append(told["generation"])
            load.text_of[told["generation"]] = str(round)
            await look(load, configuration, round)
            expect(not load.wrong, load.wrong[:3])
            if round == WARM:
                warm = node.memory()
        lasted = time.monotonic() - began
        memory = node.memory()
        load.stopped = True
        await asyncio.wait_for(asyncio.gather(*clients), 2 * DEADLINE)
        expect(not load.wrong, load.wrong[:3])
        # One that the node took up by itself, between two files: its text is that of the round before or of this one.
        for generation, body in load.early:
            text = load.text_of.get(generation)
            if text is not None:
                expect(body == text, f"generation {generation} answers {text}, got {body}")
                load.checked += 1
        until = time.monotonic() + DEADLINE
        # The kept connections to upstreams go with the upstreams, once those are not named any more.
        configuration.targets = [configuration.chat] * 2
        configuration.change(0)
        node.ask("POST", "/reload")
        while (descriptors := node.descriptors()) > alone + MORE:
            expect(time.monotonic() < until, f"{alone} descriptors before any client came, {descriptors} after they have gone")
            await asyncio.sleep(0.1)
        expect(memory < warm + GROWTH_MIB, f"{warm:.0f} MiB after {WARM} reloads, {memory:.0f} MiB after all")
        expect(all(load.answered.values()), f"each kind of client was answered: {load.answered}")
        expect(load.checked > len(load.early) / 2, f"the generations are known: {load.checked} of {len(load.early)} answers")
    finally:
        load.stopped = True
        node.process.terminate()
        node.process.wait()
    print(f"{options.reloads} reloads in {lasted:.0f} s, each in {statistics.median(took) * 1000:.0f} ms (median; at most {max(took) * 1000:.0f} ms)")
    for kind, number in load.answered.items():
        print(f"{number:9,} {kind}: 0 failed, 0 cut")
    print(f"{load.checked:,} answers of the changed route compared with the generation they name")
    print(f"memory {warm:.0f} MiB after {WARM} reloads, {memory:.0f} MiB at the end; descriptors {alone} before any client came, {descriptors} after they have gone")


parser = argparse.ArgumentParser()
for name in ("program", "folder", "log", "chat"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--targets", nargs=2, required=True)
parser.add_argument("--reloads", type=int, default=1000)
options = parser.parse_args()
if options.reloads <= WARM:
    sys.exit(f"more than {WARM} reloads, please: what comes after them is compared with what was there then")
asyncio.run(main(options))
