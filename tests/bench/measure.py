"""Starts what is measured, loads one after the other, and prints a table. Called by tests/bench/run."""

import argparse
import json
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path

from bench import Programs, basic, free_port, load, machine, measure, medians, run, tokens, two_cores, write_requests

# What a target's CPU time for a request may be, as a multiple of another one's.
MARKS = [("proxy", "bare proxy", 1.4), ("tokeninfo", "bare server", 1.8), ("token", "bare server", 5.0)]

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


def configure(program, work, name, upstream, access_log):
    """A configuration as `init` makes it, with one more policy, and a client."""
    folder = work / name
    run(program, "init", folder)
    (folder / "policies" / "bench.toml").write_text(POLICY)
    with open(folder / "node.toml", "a") as node:
        node.write(f'\n[upstream.bench]\ntargets = ["http://127.0.0.1:{upstream}"]\n')
        if not access_log:
            node.write("\n[log]\naccess = false\n")
    client = json.loads(run(program, "-c", folder, "client", "add", "--id", "bench", "--grant", "client_credentials",
                            "--scope", "bench:read", "--json"))
    run(program, "-c", folder, "check")
    return folder, "bench:" + client["client_secret"]


def start_node(programs, options, core, work, upstream, name, access_log):
    """A running node, and the requests that it is to be asked."""
    folder, credentials = configure(options.program, work, name, upstream, access_log)
    port, admin = free_port(), free_port()
    pid = programs.start(name, core, [
        options.program, "-c", folder, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"], port)
    # Several tokens, so that no cache of one is what is measured.
    some = list(tokens(port, credentials, 200))
    return {
        "pid": pid,
        "port": port,
        "ask": write_requests(folder / "ask.txt", [["POST", "/api/oauth/token", basic(credentials), "grant_type=client_credentials"]]),
        "look": write_requests(folder / "look.txt", [
            ["POST", "/api/oauth/tokeninfo", "-", "access_token=" + urllib.parse.quote(token)] for token in some]),
        "call": write_requests(folder / "call.txt", [["GET", "/bench/1", "Bearer " + token, "-"] for token in some]),
    }


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

    target_core, load_core = two_cores()

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

        # The marks are for a node without its access log, as nginx is here; what the log costs stands beside.
        quiet = start_node(programs, options, target_core, work, upstream, "quiet", access_log=False)
        logged = start_node(programs, options, target_core, work, upstream, "logged", access_log=True)
        node_pid = quiet["pid"]
        targets = [
            target("bare server", server_pid, server, quiet["look"]),
            target("tokeninfo", quiet["pid"], quiet["port"], quiet["look"]),
            target("token", quiet["pid"], quiet["port"], quiet["ask"]),
            target("bare proxy", proxy_pid, proxy, quiet["call"]),
            target("proxy", quiet["pid"], quiet["port"], quiet["call"]),
            target("nginx proxy", nginx_pid, nginx, quiet["call"]),
            target("tokeninfo+log", logged["pid"], logged["port"], logged["look"]),
            target("proxy+log", logged["pid"], logged["port"], logged["call"]),
        ]
        if options.only:
            targets = [target for target in targets if target["name"] in options.only]
        # Interleaved: what else the machine does meanwhile hits all of them.
        for _ in range(options.times):
            for target in targets:
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
    print(f"{'target':<14}{'CPU us/req':>12}{'req/s':>10}{'core busy':>11}{'p50 ms':>9}{'p99 ms':>9}")
    for name, r in results.items():
        print(f"{name:<14}{r['cpu_us']:>12.1f}{r['rate']:>10.0f}{r['busy']:>10.0%} {r['p50_ms']:>8.2f} {r['p99_ms']:>8.2f}")
    print(f"\nThe node's memory at the end: {kilobytes / 1024:.0f} MiB")
    missed, ratios = 0, []
    for name, base, most in MARKS:
        if name in results and base in results:
            ratio = results[name]["cpu_us"] / results[base]["cpu_us"]
            missed += ratio > most
            ratios.append({"target": name, "beside": base, "ratio": ratio, "mark": most})
            verdict = "met" if ratio <= most else "MISSED"
            print(f"{name}: {ratio:.2f} x the CPU time of the {base}; the mark is {most} x: {verdict}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "options": {"seconds": options.seconds, "times": options.times,
                                "connections": options.connections}, "results": results, "ratios": ratios}, indent=2) + "\n")
    sys.exit(1 if missed and options.strict else 0)


main()
