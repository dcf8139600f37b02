"""Whether the time of a refusal tells who there is.

The method, as somebody would who tries:

- Two kinds of requests, A and B, are sent in pairs, over one connection that stays open, on the same machine: nobody measures better over a
  network. Which of a pair goes first is a matter of chance. Between two requests there is a pause, so that none meets the other's work.
  Time is counted from the last byte that is sent to the first byte of the answer. Pairs before those that count warm everything up.
- The answers must be the same, byte for byte, but for what differs from request to request anyway (`Date`, a form that is sealed anew).
- The two samples are compared by two tests of ranks, which ask nothing of the distributions: Mann-Whitney's U (is one shifted?) and
  Kolmogorov's and Smirnov's D (is there any difference?). They can be told apart where either says so with p < 0.001. With two tests of a
  dozen cases, a run of equals fails once in some fifty; what fails is measured again, once, with other chances, and fails where both do.
- Controls: two kinds that are the same (two wrong secrets of one client) must not be told apart, and two that are not (a wrong and a right
  secret) must be. And for each case it is said which constant delay of all of A the same tests would have found, in the same samples: what
  a run on a loud machine is worth.

Slow hashes are for ten tries a client a minute, and ten a user in a quarter of an hour: whoever tries must do so with many names. So does this.
"""

import argparse
import base64
import json
import math
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote, urlencode

LEVEL = 0.001
WARM = 50
PAUSE = 0.001
FORM = "application/x-www-form-urlencoded"

POLICIES = {
    "basic": 'route = "GET /basic"\n\n[[filter]]\nuse = "auth.basic"\n\n[[filter]]\nuse  = "respond"\ntext = "${subject.id}"\n',
    "log-in": 'route = "POST /log-in"\n\n[[filter]]\nuse = "auth.password"\n\n[[filter]]\nuse  = "respond"\ntext = "${subject.id}"\n',
}

# --- the statistics -------------------------------------------------------------------------------------------------------


def mann_whitney(a, b):
    """p of the two-sided test, by the normal approximation with ties."""
    both = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    ranks, ties, at = 0.0, 0.0, 0
    while at < len(both):
        end = at
        while end < len(both) and both[end][0] == both[at][0]:
            end += 1
        rank, tied = (at + 1 + end) / 2, end - at
        ranks += rank * sum(1 for _, of in both[at:end] if of == 0)
        ties += tied**3 - tied
        at = end
    n, m = len(a), len(b)
    u = ranks - n * (n + 1) / 2
    deviation = math.sqrt(n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1))))
    return math.erfc(abs(u - n * m / 2) / deviation / math.sqrt(2)) if deviation else 1.0


def kolmogorov_smirnov(a, b):
    """p of the two-sided test, by the asymptotic distribution."""
    both = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    seen, largest = [0, 0], 0.0
    for at, (value, of) in enumerate(both):
        seen[of] += 1
        if at + 1 == len(both) or both[at + 1][0] != value:
            largest = max(largest, abs(seen[0] / len(a) - seen[1] / len(b)))
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    scaled = (root + 0.12 + 0.11 / root) * largest
    if scaled < 0.2:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 100)))


def apart(a, b):
    return min(mann_whitney(a, b), kolmogorov_smirnov(a, b)) < LEVEL


def would_be_found(a, b):
    """The least constant delay, in microseconds, that makes these samples ones that can be told apart."""
    median = sorted(a)[len(a) // 2] - sorted(b)[len(b) // 2]
    low, high = 0.0, 1e6
    for _ in range(30):
        delay = (low + high) / 2
        if apart([value - median + delay for value in a], b):
            high = delay
        else:
            low = delay
    return high


# --- a node, and what is sent to it ---------------------------------------------------------------------------------------


class Node:
    """The shipped configuration, two policies for users, and a node on it."""

    def __init__(self, program):
        self.program, self.folder = program, tempfile.TemporaryDirectory()
        self.dir = Path(self.folder.name)
        self.run("init", ".")
        for name, text in POLICIES.items():
            (self.dir / f"policies/{name}.toml").write_text(text)

    def run(self, *args, stdin=None):
        done = subprocess.run([self.program, *args], cwd=self.dir, input=stdin, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def client(self, name, secret=None):
        args = ["client", "add", "--json", "--id", name, "--grant", "client_credentials", "--scope", "a"]
        if secret:
            (self.dir / "secret").write_text(secret)
            args += ["--secret-file", "secret"]
        return json.loads(self.run(*args))["client_secret"] if not secret else (self.run(*args), secret)[1]

    def user(self, name, password):
        self.run("user", "add", name, "--password-stdin", stdin=password)

    def start(self):
        args = [self.program, "run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        log = open(self.dir / "log", "w")
        self.process = subprocess.Popen(args, cwd=self.dir, stdout=subprocess.PIPE, stderr=log, text=True)
        host, port = json.loads(self.process.stdout.readline())["listeners"][0]["address"].split(":")
        self.address = (host, int(port))
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, request):
        """Sends a request; gives the microseconds to the first byte of the answer, and the answer."""
        self.socket.sendall(request)
        began = time.perf_counter_ns()
        answer = self.socket.recv(1 << 16)
        took = (time.perf_counter_ns() - began) / 1000
        head, end, body = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(body) < length:
            body += self.socket.recv(1 << 16)
        return took, head + end + body


def request(method, path, form=None, basic=None, cookie=None):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if basic:
        pair = ":".join(quote(part, safe="") for part in basic)
        lines.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    if cookie:
        lines.append(f"Cookie: {cookie}")
    body = urlencode(form) if form else ""
    lines += [f"Content-Type: {FORM}", f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


def token(name, secret):
    return request("POST", "/api/oauth/token", {"grant_type": "client_credentials"}, (name, secret))


def wrong():
    """Of the length and the form of a secret that was generated."""
    return "pcs_" + secrets.token_urlsafe(32)


def varies(answer, name):
    """An answer without what differs from request to request."""
    answer = re.sub(rb"(?i)\r\n(date|content-length|set-cookie): [^\r]*", b"", answer)
    answer = re.sub(rb'name="resume" value="[^"]*"|"request_id":"[^"]*"', b"", answer)
    return answer.replace(name.encode(), b"NAME")


# --- the cases ------------------------------------------------------------------------------------------------------------


class Case:
    """Two kinds of requests: each a function that gives a name and a request that nobody sent yet."""

    def __init__(self, title, node, a, b, expected=False, same=True, rest=0):
        self.title, self.node, self.a, self.b, self.expected, self.same = title, node, a, b, expected, same
        self.rest = rest  # seconds before a second run

    def measure(self, pairs):
        samples = ([], [])
        self.node.connect()  # the one before may have been left alone for too long
        chance = random.SystemRandom()
        for number in range(WARM + pairs):
            answers = [None, None]
            order = [0, 1] if chance.random() < 0.5 else [1, 0]
            for which in order:
                name, bytes_ = (self.a, self.b)[which]()
                time.sleep(PAUSE * (1 + 2 * chance.random()))
                took, answer = self.node.ask(bytes_)
                answers[which] = varies(answer, name)
                if number >= WARM:
                    samples[which].append(took)
            if self.same and answers[0] != answers[1]:
                sys.exit(f"{self.title}: the answers differ:\n{answers[0].decode()}\n{answers[1].decode()}")
        return samples

    def judge(self, pairs):
        a, b = self.measure(pairs)
        if apart(a, b) != self.expected:
            time.sleep(self.rest)
            a, b = self.measure(pairs)
        median = lambda sample: sorted(sample)[len(sample) // 2]
        quantile = lambda sample, part: sorted(sample)[int(len(sample) * part)]
        result = {
            "case": self.title,
            "median_us": [round(median(a), 1), round(median(b), 1)],
            "from_10_to_90_us": [[round(quantile(s, 0.1), 1), round(quantile(s, 0.9), 1)] for s in (a, b)],
            "mann_whitney_p": mann_whitney(a, b),
            "kolmogorov_smirnov_p": kolmogorov_smirnov(a, b),
            "would_be_found_us": None if apart(a, b) else round(would_be_found(a, b), 1),
            "apart": apart(a, b),
            "as_expected": apart(a, b) == self.expected,
        }
        found = "" if result["apart"] else f"; a delay of {result['would_be_found_us']} us would be found"
        print(
            f"{'ok    ' if result['as_expected'] else 'FAILED'} {self.title}: median {result['median_us'][0]} and "
            f"{result['median_us'][1]} us, p = {result['mann_whitney_p']:.3g} and {result['kolmogorov_smirnov_p']:.3g}"
            f"{': apart' if result['apart'] else ''}{found}",
            flush=True,
        )
        return result


def each(names, times, make):
    """A source of requests: names in turn, each so many times."""
    queue = (name for _ in range(times) for name in names)

    def following():
        name = next(queue)
        return name, make(name)

    return following


def generated_secrets(program):
    """A registry in which all secrets were generated: fast hashes, no limit."""
    node = Node(program)
    right = node.client("known")
    node.client("close")
    node.run("client", "disable", "close")
    node.start()
    of = lambda name: lambda: (name, token(name, wrong()))
    unknown = lambda: (name := f"k{secrets.token_hex(2)}", token(name, wrong()))
    yield Case("control: two wrong secrets of one client", node, of("known"), of("known"))
    yield Case("control: a right secret and a wrong one", node, lambda: ("known", token("known", right)), of("known"), True, False)
    yield Case("clients, generated: unknown and wrong", node, unknown, of("known"))
    yield Case("clients, generated: disabled and wrong", node, of("close"), of("known"))
    node.stop()


def chosen_secrets(program, pairs):
    """A registry with secrets that people chose: slow hashes, ten tries a minute for each id."""
    node = Node(program)
    # A run may take less than a minute: so many names that none is tried more than five times in it.
    count = (pairs + WARM) // 5 + 1
    known = [f"chosen{number:04}" for number in range(count)]
    for name in known:
        node.client(name, "correct horse battery")
    disabled = [f"closed{number:04}" for number in range(count)]
    for name in disabled:
        node.client(name, "correct horse battery")
        node.run("client", "disable", name)
    node.client("generated")
    node.start()
    node.ask(token(known[0], "correct horse battery"))  # as a node does that has served anybody
    tried = lambda names: each(names, 10, lambda name: token(name, wrong()))
    unknown = lambda name: [f"{name}{number:04}" for number in range(count)]
    yield Case("clients, chosen: unknown and wrong", node, tried(unknown("nobody")), tried(known), rest=60)
    time.sleep(60)
    yield Case("clients, chosen: disabled and wrong", node, tried(disabled), tried(known), rest=60)
    time.sleep(60)
    locked = lambda name: lambda: (name, token(name, wrong()))
    yield Case("clients, chosen: unknown and wrong, after ten tries", node, locked("nobody"), locked(known[0]))
    node.stop()


def users(program, pairs):
    """Ten tries in a quarter of an hour for each name."""
    node = Node(program)
    node.client("web")
    node.run("client", "set", "web", "--grant", "authorization_code", "--redirect-uri", "https://app.example/cb")
    count = 2 * (pairs + WARM) // 9 + 1  # for two runs
    names = lambda prefix: [f"{prefix}{number:04}" for number in range(count)]
    for prefix in ("basic", "form", "page"):
        for name in names(prefix):
            node.user(name, "correct horse battery")
    for name in names("gone"):
        node.user(name, "correct horse battery")
        node.run("user", "disable", name)
    for name in names("left"):
        node.user(name, "correct horse battery")
    node.start()
    basic = lambda name: request("GET", "/basic", basic=(name, "wrong horse battery"))
    form = lambda name: request("POST", "/log-in", {"username": name, "password": "wrong horse battery"})
    asked = urlencode({"response_type": "code", "client_id": "web", "redirect_uri": "https://app.example/cb"} | PKCE)
    _, answer = node.ask(request("GET", f"/api/oauth/authorize?{asked}"))
    cookie = re.search(rb"(?i)set-cookie: ([^;]*)", answer).group(1).decode()
    resume = re.search(rb'name="resume" value="([^"]*)"', answer).group(1).decode().replace("&#x2f;", "/")
    typed = lambda name: {"resume": resume, "username": name, "password": "wrong horse battery"}
    page = lambda name: request("POST", "/api/oauth/authorize", typed(name), cookie=cookie)
    yield Case("users, auth.basic: unknown and wrong", node, each(names("nabas"), 9, basic), each(names("basic"), 9, basic))
    yield Case("users, auth.password: unknown and wrong", node, each(names("nofo"), 9, form), each(names("form"), 9, form))
    yield Case("users, auth.password: disabled and wrong", node, each(names("gone"), 9, form), each(names("left"), 9, form))
    yield Case("users, log-in page: unknown and wrong", node, each(names("nopa"), 9, page), each(names("page"), 9, page))
    for name in ("anybody0", names("form")[0]):
        for _ in range(10):
            node.ask(form(name))
    locked = lambda name: lambda: (name, form(name))
    yield Case("users, auth.password: unknown and known, locked", node, locked("anybody0"), locked(names("form")[0]))
    node.stop()


PKCE = {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", help="cases whose titles begin so")
    parser.add_argument("--program", required=True)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--json")
    args = parser.parse_args()
    program = os.path.abspath(args.program)
    results = []
    groups = [
        (["control", "clients, generated"], generated_secrets),
        (["clients, chosen"], lambda p: chosen_secrets(p, args.pairs)),
        (["users"], lambda p: users(p, args.pairs)),
    ]
    wanted = lambda title: not args.cases or any(title.startswith(begin) for begin in args.cases)
    for titles, make in groups:
        # What takes its time to be set up is so only where it is asked for.
        if not any(wanted(title) or any(begin.startswith(title) for begin in args.cases) for title in titles):
            continue
        for case in make(program):
            if wanted(case.title):
                results.append(case.judge(args.pairs))
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(0 if results and all(result["as_expected"] for result in results) else 1)


if __name__ == "__main__":
    main()
