#!/usr/bin/env python3
"""Does what docs/tutorial.md says, in an empty folder, and stops where something else comes than the page shows.

    PORTCULLIS=target/debug/portcullis DATABASE_URL=postgres://... tests/tutorial/run.py [PAGE]

It reads the page's fenced blocks from the top to the bottom:

    ```console           lines with `$ ` are typed into a shell, the others are what comes. `...` in a line stands for any text, a line
                         that is `...` for any lines. A command that ends in an error must be followed by `$ echo $?`.
    ```console NAME      another terminal, of that name. Its last command goes on running: what is shown must come, then the page goes on.
                         A line `^C` ends it.
    ```toml              with `# FILE` in its first line: the file is written; with `# at the end of FILE`: the rest is added to it.
    ```diff              with `--- FILE`: what `-` and ` ` lines say must stand in the file once, and becomes what `+` and ` ` say.

All other blocks are for people (the build, say). The page uses the ports of a real session. Here each is replaced by a free one of the
same width, in what goes in and back in what comes out; `run`, `reload` and `status` are told theirs by options where the page has none.
"""
import os
import pathlib
import random
import re
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

PORTS = ["8080", "8090", "9001", "8180", "8190"]
SECONDS = 30                           # far longer than any command takes


class Stale(Exception):
    """The page shows something else than what came."""


# --- the page -------------------------------------------------------------------------------------------------------------


def blocks(page):
    """Kind, further word, first line's number and lines of each fenced block."""
    found, opened = [], None
    for number, line in enumerate(page.splitlines(), 1):
        if opened is None and line.startswith("```"):
            kind, _, word = line[3:].partition(" ")
            opened = (kind, word.strip(), number + 1, [])
        elif opened is not None and line == "```":
            found.append(opened)
            opened = None
        elif opened is not None:
            opened[3].append(line)
    if opened is not None:
        raise Stale(f"line {opened[2] - 1}: the block does not end")
    return found


def commands(number, lines):
    """Line number, command and expected lines. A command goes on where its line ends in a backslash or a quote is open."""
    found = []
    for offset, line in enumerate(lines):
        going_on = found and not found[-1][2] and (found[-1][1].endswith("\\") or found[-1][1].count("'") % 2)
        if going_on:
            found[-1][1] += "\n" + line
        elif line.startswith("$ ") or line == "^C":
            found.append([number + offset, line.removeprefix("$ "), []])
        elif found:
            found[-1][2].append(line)
        else:
            raise Stale(f"line {number + offset}: output without a command")
    return found


def matches(expected, came, prefix=False):
    """Whether the lines that came are those expected, or with `prefix` begin so."""
    if not expected:
        return prefix or not came
    if expected[0] == "...":
        return any(matches(expected[1:], came[skipped:], prefix) for skipped in range(len(came) + 1))
    if not came:
        return False
    parts = [re.escape(part) for part in expected[0].split("...")]
    return re.fullmatch(".*".join(parts), came[0]) is not None and matches(expected[1:], came[1:], prefix)


assert matches(["a", "...", "z"], ["a", "b", "c", "z"]) and matches(["t pca_... u"], ["t pca_x9 u"])
assert not matches(["a"], ["a", "b"]) and not matches(["a", "b"], ["a"]) and not matches([], ["a"])
assert matches(["a"], ["a", "b"], prefix=True) and not matches(["b"], ["a", "b"], prefix=True)


# --- terminals ------------------------------------------------------------------------------------------------------------


class Terminal:
    """A shell that commands are typed into."""

    MARK = re.compile(r"\n?@@ended (\d+)@@\n")

    def __init__(self, folder, environment):
        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(self.shell.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.shell.stdout, selectors.EVENT_READ)
        self.output, self.status = "", 0

    def type(self, command):
        """Starts it. `$?` is that of the command before; what reads its standard input finds nothing there."""
        self.output = ""
        line = f"{{ (exit {self.status})\n{command}\n}} < /dev/null; printf '\\n@@ended %d@@\\n' $?\n"
        self.shell.stdin.write(line.encode())
        self.shell.stdin.flush()

    def wait(self, done):
        """Reads until what came satisfies `done`."""
        deadline = time.monotonic() + SECONDS
        while not done(self.output):
            left = deadline - time.monotonic()
            if left <= 0 or self.shell.poll() is not None:
                raise Stale(f"this is all that came within {SECONDS} s:\n{self.output}")
            if self.selector.select(left):
                self.output += (os.read(self.shell.stdout.fileno(), 65536)).decode()

    def result(self):
        """What the command printed, once it has ended."""
        self.wait(self.MARK.search)
        mark = self.MARK.search(self.output)
        self.status = int(mark.group(1))
        return self.output[: mark.start()]

    def interrupt(self):
        """Ctrl-C for the command that runs."""
        shell = self.shell.pid
        for child in pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split():
            os.kill(int(child), signal.SIGINT)

    def close(self):
        if self.shell.poll() is None:
            os.killpg(self.shell.pid, signal.SIGTERM)
        self.shell.wait()


# --- the session ----------------------------------------------------------------------------------------------------------


class Session:
    def __init__(self, program, folder):
        self.folder, self.terminals = folder, {}
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        tools = folder / "tools"
        tools.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        self.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
        wrapper = tools / "portcullis"
        wrapper.write_text(WRAPPER.format(program=program, listen=self.ports["8080"], admin=self.ports["8090"]))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)

    def into(self, text):
        return re.sub(r"\b(" + "|".join(self.ports) + r")\b", lambda found: self.ports[found.group()], text)

    def out(self, text):
        back = {real: shown for shown, real in self.ports.items()}
        return re.sub(r"\b(" + "|".join(back) + r")\b", lambda found: back[found.group()], text)

    def terminal(self, name):
        if name not in self.terminals:
            self.terminals[name] = Terminal(self.work, self.environment)
        return self.terminals[name]

    def at(self, path):
        """A file of the page, in the folder that the first terminal stands in."""
        shell = self.terminal("").shell.pid
        return pathlib.Path(os.readlink(f"/proc/{shell}/cwd")) / path

    def console(self, name, number, lines):
        terminal, steps = self.terminal(name), commands(number, lines)
        for step, (line, command, expected) in enumerate(steps):
            last = step + 1 == len(steps)
            try:
                if command == "^C":
                    terminal.interrupt()
                    self.compare(terminal.result(), expected)
                    continue
                terminal.type(self.into(command))
                if name and last:      # it goes on running
                    terminal.wait(lambda came: matches(expected, self.out(came).splitlines(), prefix=True))
                    continue
                self.compare(terminal.result(), expected)
                told = not last and steps[step + 1][1] == "echo $?"
                if terminal.status != 0 and not told:
                    raise Stale(f"it ended with {terminal.status}, and the page does not say so (`$ echo $?`)")
            except Stale as why:
                raise Stale(f"line {line}: $ {command}\n{why}") from None

    def compare(self, came, expected):
        came = self.out(came)
        shown = [line.rstrip() for line in came.splitlines()]
        if not matches(expected, shown):
            raise Stale("the page shows:\n" + "\n".join(expected) + "\n-- what came:\n" + came)

    def toml(self, number, lines):
        first = lines[0].removeprefix("# ") if lines else ""
        if found := re.fullmatch(r"at the end of (\S+\.toml)", first):
            path = self.at(found.group(1))
            path.write_text(path.read_text() + self.into("\n".join(["", *lines[1:], ""])))
        elif re.fullmatch(r"\S+\.toml", first):
            path = self.at(first)
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")      # as an editor saves
            new.write_text(self.into("\n".join([*lines, ""])))
            new.rename(path)
        else:
            raise Stale(f"line {number}: the block does not begin with `# FILE.toml`")

    def diff(self, number, lines):
        path = self.at(lines[0].removeprefix("--- "))
        before = "\n".join(line[1:] for line in lines[1:] if line[:1] != "+") + "\n"
        after = "\n".join(line[1:] for line in lines[1:] if line[:1] != "-") + "\n"
        text = path.read_text()
        if text.count(self.into(before)) != 1:
            raise Stale(f"line {number}: this does not stand in {path.name} once:\n{before}-- there is:\n{text}")
        path.write_text(text.replace(self.into(before), self.into(after)))

    def run(self, page):
        done = 0
        for kind, word, number, lines in blocks(page):
            if kind == "console":
                self.console(word, number, lines)
            elif kind == "toml":
                self.toml(number, lines)
            elif kind == "diff":
                self.diff(number, lines)
            else:
                continue
            done += 1
        return done


# The PostgreSQL of the tests runs without fsync, and the commands that open it would say so, each time.
WRAPPER = """#!/usr/bin/env bash
case " $* " in *" run "*) ;; *) export PORTCULLIS_LOG=error ;; esac
case " $* " in
    *" --admin "*) exec {program} "$@" ;;
    *" run "*) exec {program} "$@" --listen 127.0.0.1:{listen} --admin 127.0.0.1:{admin} ;;
    *" reload "* | *" status "*) exec {program} "$@" --admin 127.0.0.1:{admin} ;;
esac
exec {program} "$@"
"""


def free_ports(count):
    """Ports of four digits, so that nothing moves where they are shown, that nobody listens on."""
    ports = []
    for port in random.sample(range(2000, 9999), 2000):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        if str(port) not in PORTS:
            ports.append(str(port))
        if len(ports) == count:
            return ports
    raise SystemExit("no free ports")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    page = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "docs/tutorial.md"
    for name in ("PORTCULLIS", "DATABASE_URL"):
        if not os.environ.get(name):
            raise SystemExit(f"{name} is not set: see the head of {__file__}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-tutorial-"))
    session, started = Session(pathlib.Path(os.environ["PORTCULLIS"]).resolve(), folder), time.monotonic()
    try:
        done = session.run(page.read_text())
    except Stale as why:
        raise SystemExit(f"{page.name}, {why}") from None
    finally:
        for terminal in session.terminals.values():
            terminal.close()
        shutil.rmtree(folder)
    print(f"{page.name}: {done} blocks, as written, in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
