"""Measures `check` and reloads of a large configuration, and prints a table. Called by tests/bench/check."""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import policies

# Of `check`, in CPU time and in wall time: so many times the time of `toml` alone, plus so many milliseconds.
TIMES, PLUS = 2, 100


def measured(command, expected="", folder=None):
    """Runs it to its end: seconds of wall and CPU time, and the peak of its memory in MiB."""
    output = tempfile.TemporaryFile()
    began = time.monotonic()
    child = subprocess.Popen([str(word) for word in command], stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    output.seek(0)
    text = output.read().decode()
    if child.returncode != 0 or expected not in text:
        sys.exit(f"{' '.join(map(str, command))}: {child.returncode}\n{text[:2000]}")
    return {"wall_ms": wall * 1000, "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000, "peak_mib": usage.ru_maxrss / 1024}, text


def medians(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def reloads(program, folder, times):
    """A node that runs with it: how long a change of one policy takes until it is in force, and its peak memory."""
    port, admin = policies_ports()
    log = open(folder / "node.log", "wb")
    node = subprocess.Popen([str(program), "-c", str(folder), "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"],
                            stdout=log, stderr=log)
    command = [program, "-c", folder, "--admin", f"127.0.0.1:{admin}", "reload", "--wait"]
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([str(word) for word in command], capture_output=True).returncode != 0:
            if node.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the node did not start:\n{(folder / 'node.log').read_text()[:2000]}")
            time.sleep(0.1)
        before, peak = status(node.pid)
        rounds = []
        changed = folder / "policies" / "team-00" / f"{policies.WORDS[0]}.toml"
        text = changed.read_text()
        for number in range(times):
            changed.write_text(f"{text}\n# change {number}\n")
            cpu = cpu_seconds(node.pid)
            result, _ = measured(command, folder=folder)
            rounds.append({"wall_ms": result["wall_ms"], "cpu_ms": (cpu_seconds(node.pid) - cpu) * 1000})
        after, peak = status(node.pid)
        return {**medians(rounds), "peak_mib": peak, "rss_before_mib": before, "rss_after_mib": after}
    finally:
        node.send_signal(signal.SIGTERM)
        try:
            node.wait(15)
        except subprocess.TimeoutExpired:
            node.kill()


def policies_ports():
    import socket
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        return a.getsockname()[1], b.getsockname()[1]


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid):
    """Memory of a process now, and its peak, in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


def main():
    options = argparse.ArgumentParser(prog="tests/bench/check")
    options.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--bare", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--policies", type=int, default=1000, help="each has ten routes")
    options.add_argument("--times", type=int, default=9, help="rounds; medians are printed")
    options.add_argument("--json", type=Path, help="writes the numbers there too")
    options.add_argument("--strict", action="store_true", help="exit 1 where the mark is missed")
    options.add_argument("--keep", type=Path, help="writes the configuration there, and measures nothing")
    options = options.parse_args()

    work = Path(tempfile.mkdtemp(prefix="check.", dir=options.bare.parent))
    try:
        plain, tested = work / "plain", work / "tested"
        for folder in (plain, tested):
            measured([options.program, "init", folder])
            policies.write(folder, options.policies, tests=folder == tested)
        if options.keep:
            shutil.copytree(plain, options.keep)
            return
        commands = {
            "toml alone": [options.bare, plain / "policies"],
            "check": [options.program, "-c", plain, "check"],
            "check, tests": [options.program, "-c", tested, "check"],
        }
        rounds = {name: [] for name in commands}
        # Interleaved: what else the machine does meanwhile hits all of them. The first round warms the page cache.
        for turn in range(options.times + 1):
            for name, command in commands.items():
                result, text = measured(command, "all is well" if name != "toml alone" else "files")
                if turn:
                    rounds[name].append(result)
                elif name == "toml alone":
                    print(f"{options.policies} policies with {10 * options.policies} routes, and the shipped ones: {text.strip()}")
        results = {name: medians(of) for name, of in rounds.items()}
        results["reload"] = reloads(options.program, plain, options.times)
    finally:
        shutil.rmtree(work, ignore_errors=True)

    print(f"\n{'':<14}{'wall ms':>9}{'CPU ms':>9}{'peak MiB':>10}")
    for name, r in results.items():
        print(f"{name:<14}{r['wall_ms']:>9.0f}{r['cpu_ms']:>9.0f}{r['peak_mib']:>10.0f}")
    print(f"\nthe node's memory: {results['reload']['rss_before_mib']:.0f} MiB at first, "
          f"{results['reload']['rss_after_mib']:.0f} MiB after {options.times} reloads")
    missed = 0
    for key, word in (("wall_ms", "wall"), ("cpu_ms", "CPU")):
        most = TIMES * results["toml alone"][key] + PLUS
        missed += results["check"][key] > most
        verdict = "met" if results["check"][key] <= most else "MISSED"
        print(f"check: {results['check'][key]:.0f} ms {word} time; the mark is {TIMES} x toml alone + {PLUS} ms = {most:.0f} ms: {verdict}")
    if options.json:
        options.json.write_text(json.dumps({"policies": options.policies, "times": options.times, "results": results}, indent=2) + "\n")
    sys.exit(1 if missed and options.strict else 0)


main()
