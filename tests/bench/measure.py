"""Starts what is measured, loads one after the other, and prints a table. Called by tests/bench/run."""

import argparse
import json
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path

from bench import Programs, basic, free_port, load, machine, measure, medians, run, tokens, two_cores, write_requests
from people import ID_TOKEN, OPENID, SCOPE, Shop, register

# What a target's CPU time for a request may be, as a multiple of another one's.
MARKS = [("proxy", "bare proxy", 1.4), ("tokeninfo", "bare server", 1.8), ("token", "bare server", 5.0)]
# What else is told as a multiple.
BESIDE = [
    ("authorize", "token"), ("code", "token"), ("code, openid", "code"), ("refresh", "code"), ("tokeninfo, user", "tokeninfo"),
    ("userinfo", "tokeninfo"), ("proxy, user", "proxy"), ("proxy, held", "proxy"),
]

POLICY = """
route = "/bench/{*rest}"

[[filter]]
use = "oauth.validate-token"

[[filter]]
use     = "oauth.check-scope"
asked   = ["bench:read"]
allowed = "${token.scopes}"

[[filter]]
use      = "proxy"
upstream = "bench"
"""

HELD = """
route = "/held/{*rest}"

[allow]
route-without-authorization = "what a held token costs is measured by itself"

[[filter]]
use      = "oauth-client.get-token"
provider = "self"

[[filter]]
use      = "proxy"
upstream = "bench"
token    = "self"
"""

# The node asks itself for the token that it holds: once, before anything is measured.
PROVIDER = """
[provider.self]
token_endpoint = "http://127.0.0.1:{port}/api/oauth/token"
client_id      = "bench"
client_secret  = {{ file = "bench.secret" }}
scopes         = ["bench:read"]
"""

NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
    keepalive_requests 100000000;
    upstream bench {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


def configure(program, work, name, port, upstream, access_log):
    """A configuration as `init` makes it, with two more policies, and a client."""
    folder = work / name
    run(program, "init", folder)
    client = json.loads(run(program, "-c", folder, "client", "add", "--id", "bench", "--grant", "client_credentials",
                            "--scope", "bench:read", "--json"))
    (folder / "bench.secret").write_text(client["client_secret"])
    (folder / "policies" / "bench.toml").write_text(POLICY)
    (folder / "policies" / "held.toml").write_text(HELD)
    with open(folder / "node.toml", "a") as node:
        node.write(f'\n[upstream.bench]\ntargets = ["http://127.0.0.1:{upstream}"]\n{PROVIDER.format(port=port)}')
        if not access_log:
            node.write("\n[log]\naccess = false\n")
    run(program, "-c", folder, "check")
    return folder, "bench:" + client["client_secret"]


def start_node(programs, options, cores, work, upstream, name, access_log):
    """A running node, the requests that it is to be asked, and a client whose users log in there."""
    core, load_core = cores
    port, admin = free_port(), free_port()
    folder, credentials = configure(options.program, work, name, port, upstream, access_log)
    registered = register(options.program, folder)
    pid = programs.start(name, core, [
        options.program, "-c", folder, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"], port)
    node = {"port": port, "url": f"http://127.0.0.1:{port}/"}
    shop = Shop(load_core, folder, node, registered, options.connections) if not access_log else None
    # Several tokens, so that no cache of one is what is measured.
    some = list(tokens(port, credentials, 200))
    found = {
        **node,
        "pid": pid,
        "shop": shop,
        "ask": write_requests(folder / "ask.txt", [["POST", "/api/oauth/token", basic(credentials), "grant_type=client_credentials"]]),
        "look": write_requests(folder / "look.txt", [
            ["POST", "/api/oauth/tokeninfo", "-", "access_token=" + urllib.parse.quote(token)] for token in some]),
        "call": write_requests(folder / "call.txt", [["GET", "/bench/1", "Bearer " + token, "-"] for token in some]),
        "held": write_requests(folder / "held.txt", [["GET", "/held/1", "-", "-"]]),
    }
    if shop:
        # In each answer there is an ID token, or this ends here.
        shop.exchanged(OPENID, 1, ID_TOKEN)
        # As many as of the client's, of all the people.
        some = shop.exchanged(OPENID, 1)[:200]
        found["look, user"] = write_requests(folder / "look-user.txt", [
            ["POST", "/api/oauth/tokeninfo", "-", "access_token=" + urllib.parse.quote(token)] for token in some])
        found["call, user"] = write_requests(folder / "call-user.txt", [["GET", "/bench/1", "Bearer " + token, "-"] for token in some])
        found["info"] = write_requests(folder / "info.txt", [["GET", "/api/oauth/userinfo", "Bearer " + token, "-"] for token in some])
    return found


def main():
    options = argparse.ArgumentParser(prog="tests/bench/run")
    options.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--bare", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=int, default=10, help="of each measurement")
    options.add_argument("--warm", type=int, default=2, help="seconds of load before it")
    options.add_argument("--times", type=int, default=3, help="rounds; medians are printed")
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--only", action="append", help="only this target (repeats)")
    options.add_argument("--json", type=Path, help="writes the numbers there too")
    options.add_argument("--strict", action="store_true", help="exit 1 where a mark is missed")
    options = options.parse_args()

    cores = target_core, load_core = two_cores()

    # Beside what is built: on a disk, where a commit costs what it costs; a temporary folder may lie in memory.
    work = Path(tempfile.mkdtemp(prefix="run.", dir=options.bare.parent))
    programs = Programs(work)
    try:
        upstream = free_port()
        programs.start("upstream", load_core, [options.bare / "bare_server", f"127.0.0.1:{upstream}"], upstream)
        server, proxy, nginx = (free_port() for _ in range(3))
        server_pid = programs.start("bare-server", target_core, [options.bare / "bare_server", f"127.0.0.1:{server}"], server)
        proxy_pid = programs.start("bare-proxy", target_core, [
            options.bare / "bare_proxy", f"127.0.0.1:{proxy}", f"127.0.0.1:{upstream}"], proxy)
        (work / "nginx.conf").write_text(NGINX.format(work=work, port=nginx, upstream=upstream))
        nginx_pid = programs.start("nginx", target_core, ["nginx", "-p", work, "-c", work / "nginx.conf"], nginx)

        def target(name, pid, port, requests):
            return {"name": name, "pid": pid, "url": f"http://127.0.0.1:{port}/", "requests": requests, "rounds": []}

        def once(name, prepare):
            """What can be asked once each is made ready before each round."""
            return {**target(name, quiet["pid"], quiet["port"], None), "prepare": prepare}

        # The marks are for a node without its access log, as nginx is here; what the log costs stands beside.
        quiet = start_node(programs, options, cores, work, upstream, "quiet", access_log=False)
        logged = start_node(programs, options, cores, work, upstream, "logged", access_log=True)
        node_pid, shop = quiet["pid"], quiet["shop"]
        targets = [
            target("bare server", server_pid, server, quiet["look"]),
            target("tokeninfo", quiet["pid"], quiet["port"], quiet["look"]),
            target("token", quiet["pid"], quiet["port"], quiet["ask"]),
            target("bare proxy", proxy_pid, proxy, quiet["call"]),
            target("proxy", quiet["pid"], quiet["port"], quiet["call"]),
            target("nginx proxy", nginx_pid, nginx, quiet["call"]),
            target("authorize", quiet["pid"], quiet["port"], shop.asks(SCOPE)),
            once("code", lambda: shop.codes(SCOPE, options.seconds)),
            once("code, openid", lambda: shop.codes(OPENID, options.seconds)),
            once("refresh", lambda: shop.refreshes(SCOPE, options.seconds)),
            target("tokeninfo, user", quiet["pid"], quiet["port"], quiet["look, user"]),
            target("userinfo", quiet["pid"], quiet["port"], quiet["info"]),
            target("proxy, user", quiet["pid"], quiet["port"], quiet["call, user"]),
            target("proxy, held", quiet["pid"], quiet["port"], quiet["held"]),
            target("tokeninfo+log", logged["pid"], logged["port"], logged["look"]),
            target("proxy+log", logged["pid"], logged["port"], logged["call"]),
        ]
        if options.only:
            targets = [target for target in targets if target["name"] in options.only]
        # Interleaved: what else the machine does meanwhile hits all of them.
        for _ in range(options.times):
            for target in targets:
                if "prepare" in target:
                    target["requests"], target["once"] = target["prepare"]()
                else:
                    load(load_core, target["url"], target["requests"], options.warm, options.connections)
                target["rounds"].append(measure(target, load_core, options.seconds, options.connections))
                print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        kilobytes = int(next(line for line in Path(f"/proc/{node_pid}/status").read_text().splitlines()
                             if line.startswith("VmRSS")).split()[1])
    finally:
        programs.stop()
        shutil.rmtree(work, ignore_errors=True)

    results = {target["name"]: medians(target["rounds"]) for target in targets}
    print(f"{'target':<17}{'CPU us/req':>12}{'req/s':>10}{'core busy':>11}{'p50 ms':>9}{'p99 ms':>9}")
    for name, r in results.items():
        print(f"{name:<17}{r['cpu_us']:>12.1f}{r['rate']:>10.0f}{r['busy']:>10.0%} {r['p50_ms']:>8.2f} {r['p99_ms']:>8.2f}")
    print(f"\nThe node's memory at the end: {kilobytes / 1024:.0f} MiB")
    missed, ratios = 0, []
    for name, base, most in MARKS:
        if name in results and base in results:
            ratio = results[name]["cpu_us"] / results[base]["cpu_us"]
            missed += ratio > most
            ratios.append({"target": name, "beside": base, "ratio": ratio, "mark": most})
            verdict = "met" if ratio <= most else "MISSED"
            print(f"{name}: {ratio:.2f} x the CPU time of the {base}; the mark is {most} x: {verdict}")
    for name, base in BESIDE:
        if name in results and base in results:
            ratio = results[name]["cpu_us"] / results[base]["cpu_us"]
            ratios.append({"target": name, "beside": base, "ratio": ratio})
            print(f"{name}: {ratio:.2f} x the CPU time of {base}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "options": {"seconds": options.seconds, "times": options.times,
                                "connections": options.connections}, "results": results, "ratios": ratios}, indent=2) + "\n")
    sys.exit(1 if missed and options.strict else 0)


main()
