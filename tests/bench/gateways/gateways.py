"""Starts the gateways, sees that each does what it is said to do, loads one after the other, and prints a table. Called by run."""

import argparse
import base64
import http.client
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import Programs, cpu_seconds, free_port, load, machine, medians, run, tokens, two_cores, works, write_requests  # noqa: E402
from plot import plot  # noqa: E402

ISSUER, AUDIENCE, SCOPE, OTHER = "https://login.bench.example", "https://api.bench.example", "bench:read", "bench:other"
CLIENT = "bench"
# Several, so that a cache of one is not what is measured.
TOKENS = 200

BARE, NGINX, HAPROXY_JWT = "bare hyper proxy", "nginx", "HAProxy, JWT"
CACHED, UNCACHED = "Portcullis, token", "Portcullis, token, no cache"
# Token, scope and two headers: what that may cost, as a multiple of another row; and the stretch, which is only told.
MARKS = [(CACHED, BARE, 1.15), (CACHED, HAPROXY_JWT, 0.5), (CACHED, NGINX, None), ("Portcullis", BARE, None)]


class Told(http.server.BaseHTTPRequestHandler):
    """An upstream that answers with the headers that it got."""

    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Keys(http.server.SimpleHTTPRequestHandler):
    """The issuer's keys."""

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=Keys.folder)

    def log_message(self, *_):
        pass


def served(handler, port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs tokens as RFC 9068 has them, with RS256, which all of these gateways know."""

    def __init__(self, work):
        self.key = work / "jwt.key"
        run("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        run("openssl", "pkey", "-in", self.key, "-pubout", "-out", work / "jwt.pub")
        modulus = run("openssl", "rsa", "-in", self.key, "-noout", "-modulus").strip().partition("=")[2]
        (work / "jwks.json").write_text(json.dumps({"keys": [{
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB"}]}))

    def token(self, number, scope=SCOPE, **claims):
        now = int(time.time())
        head = {"typ": "at+jwt", "alg": "RS256", "kid": "1"}
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": CLIENT, "client_id": CLIENT, "scope": scope, "iat": now, "exp": now + 7200,
                "jti": f"token-{number}", **claims}
        signed = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, body))
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{base64url(made.stdout)}"


def filled(name, values):
    """A file of conf/ with these values in it."""
    text = (HERE / "conf" / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def tree(pid):
    """A process and those that it started."""
    pids = [pid]
    for one in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(one.read_text().rpartition(")")[2].split()[1]) == pid:
                pids += tree(int(one.parent.name))
        except OSError:
            continue
    return pids


def cpu(pids):
    return sum(cpu_seconds(pid) for pid in pids)


def resident(pids):
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.programs = options, work, Programs(work)
        self.core, self.load_core = two_cores()
        self.issuer = Issuer(work)
        Keys.folder = work / "keys"
        Keys.folder.mkdir()
        shutil.copy(work / "jwks.json", Keys.folder)
        self.keys = served(Keys, free_port()).server_port
        self.upstream, self.auth = free_port(), free_port()
        self.rows = []

    def values(self, **more):
        return {"WORK": self.work, "UPSTREAM": self.upstream, "AUTH": self.auth, "KEYS": self.keys, "CONNECTIONS": 1024, "ISSUER": ISSUER,
                "AUDIENCE": AUDIENCE, **more}

    def wanted(self, name):
        return not self.options.only or name in self.options.only

    def add(self, name, kind, port, pid, beside=()):
        self.rows.append({"name": name, "kind": kind, "port": port, "pid": pid, "beside": list(beside), "rounds": []})

    def start(self, name, kind, conf, command, beside=()):
        """A gateway with one file of conf/; `command` gets its path and says what is run."""
        if not self.wanted(name):
            return
        port = free_port()
        path = self.work / conf
        path.write_text(filled(conf, self.values(PORT=port)))
        self.add(name, kind, port, self.programs.start(conf, self.core, command(path, port), port), beside)

    def start_portcullis(self, name, kind, conf, cache=False):
        """A node, and the credentials of its client."""
        program, folder = self.options.program, self.work / name.replace(", ", "-").replace(" ", "-")
        run(program, "init", folder)
        made = json.loads(run(program, "-c", folder, "client", "add", "--id", CLIENT, "--grant", "client_credentials",
                              "--scope", f"{SCOPE} {OTHER}", "--json"))
        with open(folder / "node.toml", "a") as node:
            node.write(filled("portcullis-node.toml", self.values()))
        if cache:
            with open(folder / "stores" / "stores.toml", "a") as stores:
                stores.write(filled("portcullis-cache.toml", {}))
        (folder / "policies" / "bench.toml").write_text(filled(conf, self.values()))
        run(program, "-c", folder, "check")
        port, admin = free_port(), free_port()
        pid = self.programs.start(folder.name, self.core, [
            program, "-c", folder, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"], port)
        self.add(name, kind, port, pid)
        return port, f"{CLIENT}:{made['client_secret']}"

    def start_all(self):
        options, others = self.options, self.options.others
        opaque, wrong = [f"opaque-{number}" for number in range(TOKENS)], "opaque-other"
        known = [(token, CLIENT, SCOPE) for token in opaque] + [(wrong, CLIENT, OTHER)]
        jwts = [self.issuer.token(number) for number in range(TOKENS)]
        self.tokens = {
            "plain": (opaque, None, []),
            "auth": (opaque, wrong, ["unknown"]),
            "jwt": (jwts, self.issuer.token(0, OTHER), [self.issuer.token(0, exp=1), jwts[0][:-8] + "AAAAAAAA",
                                                        self.issuer.token(0, aud="https://other.example")]),
        }
        if self.wanted(BARE):
            port = free_port()
            self.add(BARE, "plain", port, self.programs.start("bare-proxy", self.core, [
                options.bare / "bare_proxy", f"127.0.0.1:{port}", f"127.0.0.1:{self.upstream}"], port))
        haproxy = lambda path, _: ["haproxy", "-db", "-f", path]
        nginx = lambda path, _: ["nginx", "-p", self.work, "-c", path]
        envoy = lambda path, _: [others / "envoy/_bin/envoy", "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        caddy = lambda path, _: ["env", f"XDG_DATA_HOME={self.work}", f"XDG_CONFIG_HOME={self.work}",
                                 others / "bin/caddy", "run", "--config", path, "--adapter", "caddyfile"]
        self.start(NGINX, "plain", "nginx.conf", nginx)
        self.start("HAProxy", "plain", "haproxy.cfg", haproxy)
        self.start("Envoy", "plain", "envoy.yaml", envoy)
        self.start("Caddy", "plain", "Caddyfile", caddy)
        if self.wanted("Portcullis"):
            self.start_portcullis("Portcullis", "plain", "portcullis-plain.toml")
        if self.wanted("nginx, auth_request"):
            # On the gateway's core: its time is what the check costs there.
            (self.work / "tokens").write_text("".join("\t".join(line) + "\n" for line in known))
            service = self.programs.start("auth", self.core, [options.bare / "auth_service", f"127.0.0.1:{self.auth}", self.work / "tokens"],
                                          self.auth)
            self.start("nginx, auth_request", "auth", "nginx-auth.conf", nginx, [service])
        self.start(HAPROXY_JWT, "jwt", "haproxy-jwt.cfg", haproxy)
        self.start("Envoy, JWT, cache", "jwt", "envoy-jwt.yaml", envoy)
        for name, cache in [(CACHED, True), (UNCACHED, False)]:
            if self.wanted(name):
                port, credentials = self.start_portcullis(name, name, "portcullis-token.toml", cache)
                asked = tokens(port, credentials, TOKENS, SCOPE)
                self.tokens[name] = (list(asked), next(tokens(port, credentials, 1, OTHER)), ["unknown"])
        if self.wanted("Portcullis, JWT"):
            self.start_portcullis("Portcullis, JWT", "jwt", "portcullis-jwt.toml")

    def see_that_each_works(self):
        """Whether each lets in whom it should and nobody else, and what the upstream is told then."""
        told = served(Told, self.upstream)
        for row in self.rows:
            good, other_scope, bad = self.tokens[row["kind"]]
            status, headers, body = ask(row["port"], good[0])
            expect(row, "a good token", status, 200)
            seen = json.loads(body)
            row["headers"] = sorted(seen)
            if row["name"] != BARE:
                # Of a peer on loopback, Envoy gives an address of the machine's.
                for name in ("x-forwarded-for", "x-forwarded-proto", "x-request-id"):
                    expect(row, name, bool(seen.get(name)), True)
            if row["kind"] == "plain":
                continue
            expect(row, "X-Client", seen.get("x-client"), CLIENT)
            expect(row, "Authorization", seen.get("authorization"), None)
            expect(row, "X-Content-Type-Options", headers.get("x-content-type-options"), "nosniff")
            expect(row, "a token of another scope", ask(row["port"], other_scope)[0], 403)
            expect(row, "no token", ask(row["port"], None)[0], 401)
            for token in bad:
                # Envoy answers 403 to a token that is for others.
                expect(row, "a bad token", ask(row["port"], token)[0] in (401, 403), True)
        told.shutdown()
        told.server_close()

    def measure_all(self):
        options = self.options
        self.programs.start("upstream", self.load_core, [options.bare / "bare_server", f"127.0.0.1:{self.upstream}"], self.upstream)
        for row in self.rows:
            lines = [["GET", "/bench/1", f"Bearer {token}", "-"] for token in self.tokens[row["kind"]][0]]
            row["requests"] = write_requests(self.work / f"{row['port']}.txt", lines)
        # Interleaved: what else the machine does meanwhile hits all of them.
        for _ in range(options.times):
            for row in self.rows:
                load(self.load_core, url(row), row["requests"], options.warm, options.connections)
                row["rounds"].append(self.measure(row))
                print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    def measure(self, row):
        own, beside = tree(row["pid"]), row["beside"]
        before = cpu(own), cpu(beside)
        result = load(self.load_core, url(row), row["requests"], self.options.seconds, self.options.connections)
        spent, spent_beside = cpu(own) - before[0], cpu(beside) - before[1]
        works(row["name"], result)
        return {
            "cpu_us": (spent + spent_beside) * 1e6 / result["requests"],
            "service_us": spent_beside * 1e6 / result["requests"],
            "rate": result["requests"] / result["seconds"],
            "busy": (spent + spent_beside) / result["seconds"],
            "p50_ms": result["p50_us"] / 1000,
            "p99_ms": result["p99_us"] / 1000,
            "rss_mib": resident(own + beside),
        }


def url(row):
    return f"http://127.0.0.1:{row['port']}/bench/1"


def ask(port, token):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/bench/1", headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def expect(row, what, seen, expected):
    if seen != expected:
        sys.exit(f"{row['name']}: {what}: {seen!r} instead of {expected!r}")


def versions(options):
    said = {
        "nginx": ["nginx", "-v"], "HAProxy": ["haproxy", "-v"], "Envoy": [options.others / "envoy/_bin/envoy", "--version"],
        "Caddy": [options.others / "bin/caddy", "version"], "Portcullis": [options.program, "--version"],
    }
    found = {}
    for name, command in said.items():
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        found[name] = next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "")
    return found


def main():
    options = argparse.ArgumentParser(prog="tests/bench/gateways/run")
    for hidden in ("--program", "--bare", "--others"):
        options.add_argument(hidden, type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=int, default=10, help="of each measurement")
    options.add_argument("--warm", type=int, default=2, help="seconds of load before it")
    options.add_argument("--times", type=int, default=3, help="rounds; medians are printed")
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--only", action="append", help="only this row (repeats)")
    options.add_argument("--json", type=Path, help="writes the numbers there too")
    options.add_argument("--plot", type=Path, help="draws them there, as SVG")
    options.add_argument("--strict", action="store_true", help="exit 1 where a mark is missed")
    options = options.parse_args()

    work = Path(tempfile.mkdtemp(prefix="gateways.", dir=options.bare.parent))
    bench = Bench(options, work)
    try:
        bench.start_all()
        bench.see_that_each_works()
        bench.measure_all()
    finally:
        bench.programs.stop()
        shutil.rmtree(work, ignore_errors=True)

    results = {row["name"]: {**medians(row["rounds"]), "headers_upstream": row["headers"]} for row in bench.rows}
    print(f"{'gateway':<28}{'CPU us/req':>11}{'req/s':>9}{'busy':>6}{'p50 ms':>8}{'p99 ms':>8}{'RSS MiB':>9}")
    for name, r in results.items():
        service = f"   {r['service_us']:.1f} of it the service's" if r["service_us"] else ""
        print(f"{name:<28}{r['cpu_us']:>11.1f}{r['rate']:>9.0f}{r['busy']:>6.0%}{r['p50_ms']:>8.2f}{r['p99_ms']:>8.2f}{r['rss_mib']:>9.0f}{service}")
    missed, ratios = 0, []
    for name, base, most in MARKS:
        if name not in results or base not in results:
            continue
        ratio = results[name]["cpu_us"] / results[base]["cpu_us"]
        ratios.append({"row": name, "beside": base, "ratio": ratio, "mark": most})
        missed += most is not None and ratio > most
        verdict = "" if most is None else f"; the mark is {most} x: {'met' if ratio <= most else 'MISSED'}"
        print(f"{name}: {ratio:.2f} x the CPU time of {base}{verdict}")
    found = {"machine": machine(), "versions": versions(options), "results": results, "ratios": ratios,
             "options": {key: getattr(options, key) for key in ("seconds", "times", "connections")}}
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.plot:
        options.plot.write_text(plot(results))
    sys.exit(1 if missed and options.strict else 0)


main()
