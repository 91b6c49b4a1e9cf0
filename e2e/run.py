"""Runs every test of the project and ends with the line "N passed, N failed, N skipped". Standard library only.

    python run.py [STAGE ...] [--fuzztime 3s]        stages: lint go example fuzz e2e feast; none named: all, in this order

A test is a top-level Go test, a pytest test, a fuzz target that ran for a while without a finding, gofmt, vet, the
benchmarks of a package, each run once. A package that does not build, or dies outside its tests, is one failed test. A
skipped test (a skipped subtest too) fails the run unless allowed-skips.txt has it with a reason.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# Packages with goroutines, or between goroutines. The others run without the race detector, which costs several times.
RACE = ("joins", "stores", "flightsvc", "ondemand", "internal/ipcguard", "internal/parquetio", "cmd")


class Results:
    """Counts, and what has to be said again at the end."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def ok(self, count=1):
        self.passed += count

    def fail(self, name, output=""):
        self.failed.append(name)
        print(f"--- FAIL {name}\n{output.rstrip()}\n", flush=True)

    def skip(self, name, reason):
        self.skipped.append((name, reason.strip()))


def run(command, **options):
    """Runs a command in the project's folder; both of its outputs are one text."""
    options.setdefault("cwd", ROOT)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)


def lint(results, _):
    sources = [f for f in go_files(ROOT)]
    unformatted = run(["gofmt", "-l"] + sources)
    if unformatted.returncode != 0 or unformatted.stdout.strip():
        results.fail("gofmt", "these files are not formatted, run gofmt -w on them:\n" + unformatted.stdout)
    else:
        results.ok()
    vet = run(["go", "vet", "./..."])
    if vet.returncode != 0:
        results.fail("go vet", vet.stdout)
    else:
        results.ok()


def go_files(top):
    for folder, inner, files in os.walk(top):
        inner[:] = [d for d in inner if not d.startswith(".") and d not in ("bin", "node_modules")]
        for name in files:
            if name.endswith(".go"):
                yield os.path.join(folder, name)


def go(results, _):
    module, packages = list_packages(ROOT)
    packages.append(f"{module}/testdata/pit")  # ./... leaves folders of this name out
    raced = [p for p in packages if p[len(module) + 1:].startswith(RACE)]
    plain = [p for p in packages if p not in raced]
    if raced:
        go_test(results, ROOT, module, ["-race"] + raced, {"CGO_ENABLED": "1"})
    if plain:
        go_test(results, ROOT, module, plain)
    benchmarks(results)


def benchmarks(results):
    """Every benchmark once, without the race detector: one that nobody runs measures nothing after a while."""
    folders = set()
    for path in go_files(ROOT):
        with open(path, encoding="utf-8") as f:
            if path.endswith("_test.go") and "\nfunc Benchmark" in f.read():
                folders.add(os.path.relpath(os.path.dirname(path), ROOT))
    for folder in sorted(folders):
        start = time.monotonic()
        done = run(["go", "test", "-run", "^$", "-bench", ".", "-benchtime", "1x", "./" + folder])
        if done.returncode != 0:
            results.fail(f"{folder}: benchmarks", done.stdout)
        else:
            results.ok()
            print(f"ok  {folder:40} benchmarks {time.monotonic() - start:5.1f} s", flush=True)


def example(results, _):
    folder = os.path.join(ROOT, "examples", "customstore")
    if not os.path.isdir(folder):
        results.fail("examples/customstore", "the folder is not there")
        return
    module, _ = list_packages(folder)
    vet = run(["go", "vet", "./..."], cwd=folder)
    if vet.returncode != 0:
        results.fail("examples/customstore: go vet", vet.stdout)
    go_test(results, folder, module, ["./..."], prefix="examples/customstore")


def list_packages(folder):
    module = subprocess.run(["go", "list", "-m"], cwd=folder, capture_output=True, text=True).stdout.strip()
    listed = subprocess.run(["go", "list", "./..."], cwd=folder, capture_output=True, text=True)
    if listed.returncode != 0:
        sys.exit(listed.stderr)
    return module, listed.stdout.split()


def go_test(results, folder, module, arguments, env=None, prefix=""):
    """Runs go test once for several packages and reads its events."""
    command = ["go", "test", "-json", "-timeout", "8m"] + arguments
    reader = GoEvents(results, module, prefix)
    with tempfile.TemporaryFile("w+", errors="replace") as stderr:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True,
                                   errors="replace", env={**os.environ, **(env or {})})
        for line in process.stdout:
            reader.line(line)
        if process.wait() != 0 and not reader.reported:
            stderr.seek(0)
            results.fail(" ".join(command), stderr.read())


class GoEvents:
    """The events of go test -json, a line each."""

    def __init__(self, results, module, prefix):
        self.results, self.module, self.prefix = results, module, prefix
        self.output = collections.defaultdict(list)  # (package, test) -> lines
        self.counts = collections.Counter()  # package -> tests that passed
        self.failures = collections.Counter()
        self.builds = collections.defaultdict(list)
        self.reported = False

    def name(self, package, test=""):
        short = package[len(self.module):].lstrip("/") or "."
        if self.prefix:
            short = self.prefix if short == "." else f"{self.prefix}/{short}"
        return f"{short}.{test}" if test else short

    def line(self, text):
        try:
            event = json.loads(text)
        except ValueError:
            print(text, end="")
            return
        action, package, test = event["Action"], event.get("Package", ""), event.get("Test", "")
        if action == "build-output":
            self.builds[event["ImportPath"].split()[0]].append(event["Output"])
        elif action == "output":
            self.output[package, test].append(event["Output"])
        elif test:
            self.test(action, package, test)
        elif action in ("pass", "fail", "skip"):
            self.package(action, package, event)

    def test(self, action, package, test):
        top = "/" not in test
        if action == "skip":
            self.results.skip(self.name(package, test), last_words(self.output[package, test]))
        elif action == "pass" and top:
            self.results.ok()
            self.counts[package] += 1
        elif action == "fail" and top:
            self.failures[package] += 1
            self.reported = True
            whole = [line for (p, t), lines in self.output.items() for line in lines
                     if p == package and (t == test or t.startswith(test + "/"))]
            self.results.fail(self.name(package, test), "".join(whole))

    def package(self, action, package, event):
        if action == "fail" and not self.failures[package]:
            self.reported = True
            build = self.builds.get(event.get("FailedBuild", "").split(" ")[0], [])
            rest = [line for (p, _), lines in self.output.items() if p == package for line in lines]
            self.results.fail(self.name(package), "".join(build + rest))
        if action == "pass" and self.counts[package]:
            print(f"ok  {self.name(package):40} {self.counts[package]:4} tests {event.get('Elapsed', 0):7.1f} s", flush=True)
        for key in [k for k in self.output if k[0] == package]:
            del self.output[key]


def last_words(lines):
    """The reason that a skipped Go test gave."""
    said = [line.strip() for line in lines if not line.lstrip().startswith(("=== ", "--- "))]
    return said[-1] if said else ""


def fuzz(results, args):
    """Every fuzz target for a short time. Each starts from its corpus, so what was found once stays found."""
    module, packages = list_packages(ROOT)
    for package in packages:
        listed = run(["go", "test", "-list", "^Fuzz", package])
        for target in listed.stdout.split():
            if not target.startswith("Fuzz"):
                continue
            name = f"{package[len(module) + 1:]}.{target}"
            start = time.monotonic()
            found = run(["go", "test", "-run", "^$", "-fuzz", f"^{target}$", "-fuzztime", args.fuzztime, "-fuzzminimizetime", "1x",
                         "-timeout", "0", package])
            if found.returncode != 0:
                results.fail(name, found.stdout)
            else:
                results.ok()
                print(f"ok  {name:40} fuzzed   {time.monotonic() - start:7.1f} s", flush=True)


def e2e(results, _):
    pytest(results, sys.executable, ["--ignore=e2e/feast", "e2e"])


def feast(results, _):
    """Real clients of both generations, each in the environment of its version."""
    for version in ("66", "67"):
        pytest(results, os.path.join(ROOT, f".venv-feast{version}", "bin", "python"), ["e2e/feast"], prefix=f"feast{version}/")


def pytest(results, python, arguments, prefix=""):
    report = os.path.join(ROOT, ".venv", "e2e.xml")
    if os.path.exists(report):
        os.remove(report)
    extra = os.environ.get("PYTEST", "").split()
    subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=8", "--junitxml", report] + arguments + extra, cwd=ROOT)
    if not os.path.exists(report):
        results.fail(prefix + arguments[-1], "pytest ended without a report")
        return
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = prefix + case.get("classname", "").replace(".", "/") + ".py::" + case.get("name", "")
        outcomes = {child.tag: child for child in case}
        if "failure" in outcomes or "error" in outcomes:
            results.failed.append(name)  # pytest has shown it
        elif "skipped" in outcomes:
            results.skip(name, outcomes["skipped"].get("message", ""))
        else:
            results.ok()


def allowed_skips():
    with open(os.path.join(HERE, "allowed-skips.txt")) as f:
        lines = [line.strip() for line in f if line.strip() and not line.startswith("#")]
    for line in lines:
        name, _, reason = line.partition(": ")
        if not reason:
            sys.exit(f"allowed-skips.txt: {line!r} has no reason; write NAME: REASON")
    return {line.partition(": ")[0] for line in lines}


STAGES = {"lint": lint, "go": go, "example": example, "fuzz": fuzz, "e2e": e2e, "feast": feast}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--fuzztime", default="3s")
    args = parser.parse_args()
    if unknown := [s for s in args.stages if s not in STAGES]:
        parser.error(f"unknown stage {unknown[0]}; known: {', '.join(STAGES)}")
    results, allowed = Results(), allowed_skips()
    for name, stage in STAGES.items():
        if args.stages and name not in args.stages:
            continue
        start = time.monotonic()
        print(f"== {name}", flush=True)
        stage(results, args)
        print(f"== {name}: {time.monotonic() - start:.0f} s\n", flush=True)
    for name, reason in results.skipped:
        if name in allowed:
            print(f"skipped, as allowed: {name}: {reason}")
    unexpected = [(name, reason) for name, reason in results.skipped if name not in allowed]
    for name, reason in unexpected:
        print(f"skipped, and not in e2e/allowed-skips.txt: {name}: {reason}")
    for name in results.failed:
        print(f"failed: {name}")
    print(f"{results.passed} passed, {len(results.failed)} failed, {len(results.skipped)} skipped", flush=True)
    sys.exit(1 if results.failed or unexpected or not results.passed else 0)


if __name__ == "__main__":
    main()
