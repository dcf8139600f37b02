"""What tests/mutants/run does. See there."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections import namedtuple
from pathlib import Path

ROOT = Path.cwd()
HERE = ROOT / "tests/mutants"
# Below the target folder: found by nobody, ignored by git, kept warm.
WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "mutants"
TREE = WORK / "tree"
TARGET = WORK / "target"
# A test that hangs has not failed by an assertion.
LONGEST = 1800

Test = namedtuple("Test", "name file")
Mutant = namedtuple("Mutant", "name breaks file old new test")


class Wrong(Exception):
    """Something that a person has to mend before anything can be said."""


def tests_of_items():
    """The tests of each row of the table in docs/conformance.md: names and then the file that has them."""
    items = {}
    for row in (ROOT / "docs/conformance.md").read_text().splitlines():
        found = re.match(r"\| D(\d+) \|.*\|(.*)\|$", row)
        if not found:
            continue
        tests, names = [], []
        for word in re.findall(r"`([^`]+)`", found[2]):
            if (ROOT / word).is_file():
                tests += [Test(name.strip('"'), word) for name in names]
                names = []
            else:
                names.append(word)
        items[int(found[1])] = tests
    return items


def mutants():
    items = tests_of_items()
    found = []
    for path in sorted(HERE.glob("*.toml")):
        said = tomllib.loads(path.read_text())
        tests = items[int(path.stem[1:3])]
        meant = [test for test in tests if said.get("test", tests[0].name) == test.name]
        if not meant:
            raise Wrong(f"{path.name}: docs/conformance.md does not name the test {said['test']}")
        found.append(Mutant(path.stem, said["breaks"], said["file"], said["from"], said["to"], meant[0]))
    return found


def chosen(every, words):
    def is_meant(mutant, word):
        item, _, half = word.upper().partition("-")
        same = int(item.lstrip("D") or 0) == int(mutant.name[1:3])
        return same and (not half or mutant.name.upper().endswith("-" + half))

    for word in words:
        if not re.fullmatch(r"[Dd]\d+(-\w+)*", word) or not any(is_meant(mutant, word) for mutant in every):
            raise Wrong(f"there is no mutant of {word}")
    return [mutant for mutant in every if not words or any(is_meant(mutant, word) for word in words)]


def copy_tree():
    """What git knows or would: a file that is the same stays as it is, so that nothing is built for it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, stdout=subprocess.PIPE
    )
    names = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        source, target = ROOT / name, TREE / name
        content = source.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(source.stat().st_mode)
    for path in TREE.rglob("*"):
        if path.is_file() and str(path.relative_to(TREE)) not in names:
            path.unlink()


def run(command):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET)}
    return subprocess.run(
        command, cwd=TREE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST
    )


# --- the kinds of tests: each says how some of them are run, and what came of each one ---------------------------------

# The program without drivers of databases: none of the tests meant here needs one.
PROGRAM = ["-p", "portcullis", "--no-default-features"]


def crate_of(file):
    """What is built for the test, the cheapest first: what comes of a file that is not Rust's needs the program."""
    part = file.split("/")
    if part[0] == "crates":
        return ["oauth", "policy", "store", "filters", "server"].index(part[1]), part[1]
    return (5, "policies") if part[0] == "policies" else (6, "node")


def outcomes(tests):
    """`{test: "ok" | "asserted" | why not}`, of tests of one kind; Wrong where nothing was run."""
    _, kind = crate_of(tests[0].file)
    return of_policies(tests) if kind == "policies" else of_rust(kind, tests)


def of_rust(kind, tests):
    what = [*PROGRAM, "--test", "node"] if kind == "node" else ["-p", kind, "--lib"]
    names = [test.name for test in tests]
    ran = run(["cargo", "test", "--locked", "--quiet", *what, "--no-run"])
    if ran.returncode:
        raise Wrong(f"it does not compile:\n{ran.stdout[-4000:]}")
    ran = run(["cargo", "test", "--locked", *what, "--", *names])
    found = {}
    for test in tests:
        stands = rf"^test (?:[\w:]+::)?({re.escape(test.name)}) \.\.\. (ok|FAILED)$"
        lines = re.findall(stands, ran.stdout, re.M)
        if len(lines) != 1:
            raise Wrong(f"{test.file}: {len(lines)} tests named {test.name} came to an end:\n{ran.stdout[-4000:]}")
        found[test] = "ok" if lines[0][1] == "ok" else why_it_failed(test, ran.stdout)
    return found


def why_it_failed(test, output):
    """An assertion stands in a test: whatever panics in the product has another reason."""
    report = re.search(rf"^---- (?:[\w:]+::)?{re.escape(test.name)} stdout ----\n(.*?)(?=^---- |\Z)", output, re.M | re.S)
    place = report and re.search(r"panicked at ([^:\n]+):(\d+):", report[1])
    if not place:
        return f"failed without a panic:\n{output[-2000:]}"
    path, line = place[1], int(place[2])
    text = (TREE / path).read_text().splitlines() if (TREE / path).is_file() else []
    begins = next((number for number, text in enumerate(text, 1) if text.strip() == "#[cfg(test)]"), None)
    is_test = any(part.endswith("tests") for part in Path(path).with_suffix("").parts) or (begins and line > begins)
    return "asserted" if is_test else f"panicked outside of tests, at {path}:{line}:\n{report[1][:2000]}"


def of_policies(tests):
    built = run(["cargo", "build", "--locked", "--quiet", *PROGRAM, "--bin", "portcullis"])
    if built.returncode:
        raise Wrong(f"it does not compile:\n{built.stdout[-4000:]}")
    found = {}
    for file in sorted({test.file for test in tests}):
        policy = file.removeprefix("policies/").removesuffix(".toml")
        ran = run([str(TARGET / "debug/portcullis"), "-c", ".", "test", policy, "--json"])
        try:
            results = json.loads(ran.stdout)["tests"]
        except (ValueError, KeyError):
            raise Wrong(f"{file} is refused:\n{ran.stdout[-4000:]}") from None
        for test in (test for test in tests if test.file == file):
            same = [result for result in results if result["name"] == test.name]
            if not same:
                raise Wrong(f"{file} has no test {test.name}")
            found[test] = "ok" if all(result["ok"] for result in same) else "asserted"
    return found


# --- the run ----------------------------------------------------------------------------------------------------------


def unmutated(tried):
    kinds = {}
    for mutant in tried:
        kinds.setdefault(crate_of(mutant.test.file), set()).add(mutant.test)
    for (_, kind), tests in sorted(kinds.items()):
        started = time.monotonic()
        failed = [f"{test.file}: {test.name}: {how}" for test, how in outcomes(sorted(tests)).items() if how != "ok"]
        if failed:
            raise Wrong("these fail without any mutant:\n" + "\n".join(failed))
        print(f"{kind}: {len(tests)} tests pass without a mutant ({time.monotonic() - started:.0f} s)", flush=True)


def notices(mutant):
    """None, or why the test has not noticed it."""
    path = TREE / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return f"its text stands {text.count(mutant.old)} times in {mutant.file}"
    try:
        path.write_text(text.replace(mutant.old, mutant.new))
        how = outcomes([mutant.test])[mutant.test]
    except (Wrong, subprocess.TimeoutExpired) as why:
        return str(why)
    finally:
        path.write_text(text)
    return {"asserted": None, "ok": "it SURVIVES"}.get(how, how)


def main(words):
    every = mutants()
    if "--list" in words:
        for mutant in every:
            print(f"{mutant.name:14} {mutant.breaks}\n{'':14} {mutant.test.name} ({mutant.test.file})")
        return 0
    tried = sorted(chosen(every, words), key=lambda mutant: (crate_of(mutant.test.file), crate_of_source(mutant), mutant.name))
    started = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    lock = open(WORK / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # two of us would see each other's mutants
    copy_tree()
    unmutated(tried)
    unnoticed = []
    for mutant in tried:
        began = time.monotonic()
        why = notices(mutant)
        if why:
            unnoticed.append(mutant.name)
        says = f"not noticed by {mutant.test.name} ({mutant.test.file}): {why}" if why else f"noticed by {mutant.test.name}"
        print(f"{mutant.name:14} {time.monotonic() - began:4.0f} s  {mutant.breaks}\n{'':14} {says}", flush=True)
    minutes = (time.monotonic() - started) / 60
    print(f"{len(tried)} mutants: {len(tried) - len(unnoticed)} noticed, {len(unnoticed)} not ({minutes:.0f} min)")
    if unnoticed:
        print("not noticed: " + " ".join(unnoticed))
    return 1 if unnoticed else 0


def crate_of_source(mutant):
    """Where it breaks something: those of one crate together, since each one builds what depends on it."""
    return mutant.file if mutant.file.startswith("crates/") else ""


try:
    sys.exit(main(sys.argv[1:]))
except Wrong as why:
    sys.exit(f"tests/mutants/run: {why}")
