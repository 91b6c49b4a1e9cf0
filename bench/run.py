"""Side by side: flightd and DuckDB's ASOF join behind a pyarrow Flight server, on the same file, in one run.

    python run.py --flightd ../bin/flightd --data DIR [--quick] [--json FILE]

Runs alternate, the minimum of at least three counts, answers are compared row by row. Times are what a pyarrow client sees
that streams the answer over loopback; memory is the peak resident set of a server that was started for that line alone.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl

import data

HERE = os.path.dirname(os.path.abspath(__file__))


class Flightd:
    """flightd over one file, as the view `stats`."""

    name = "flightd"

    def __init__(self, binary, path, features):
        config = path + ".yaml"
        with open(config, "w") as f:
            f.write("stores: {main: {type: file, root: %s}}\n" % json.dumps(os.path.dirname(path)))
            f.write("feature_views:\n  stats: {store: main, source: %s, keys: [entity_id], timestamp: event_timestamp}\n"
                    % json.dumps(os.path.basename(path)))
        self.process = subprocess.Popen([binary, "serve", "--config", config, "--listen", "127.0.0.1:0"],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r'"addr":"([^"]+)"', line)
            if found and '"serving"' in line:
                break
        else:
            sys.exit("flightd did not start")
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()
        self.client = fl.connect("grpc://" + found.group(1))
        self.command = {"historical": {"features": [f"stats:f{i}" for i in range(features)]}}

    def join(self, entities):
        return exchange(self.client, json.dumps(self.command).encode(), entities)

    def all_rows(self):
        return self.client.do_get(fl.Ticket(json.dumps({"all": {"view": "stats"}}).encode()))


class DuckDB:
    """The rival's server over the same file."""

    name = "duckdb"

    def __init__(self, path):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "duckdb_server.py"), path],
                                        stdout=subprocess.PIPE, text=True)
        self.client = fl.connect(f"grpc://127.0.0.1:{int(self.process.stdout.readline())}")

    def join(self, entities):
        return exchange(self.client, b"join", entities)

    def all_rows(self):
        return self.client.do_get(fl.Ticket(b"all"))


def exchange(client, command, entities):
    """Sends entity rows, returns the joined table."""
    writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(command))
    with writer:
        writer.begin(entities.schema)
        writer.write_table(entities, max_chunksize=65_536)
        writer.done_writing()
        return reader.read_all()


def peak_memory(process):
    """Peak resident bytes of a process so far."""
    with open(f"/proc/{process.pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024


def stop(server):
    server.client.close()
    server.process.terminate()
    server.process.wait()


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def assert_equal(ours, theirs):
    """Row-exact: same values and nulls for every feature of every entity row, once both are in input order."""
    theirs = theirs.take(np.argsort(theirs.column("__row").to_numpy())).drop(["__row"])
    if not ours.equals(theirs.select(ours.column_names).cast(ours.schema)):
        sys.exit("answers differ")


def compare_join(make, entities, repeats):
    """Alternating runs of all servers; returns {name: (seconds, peak bytes)} and checks the answers."""
    servers = [m() for m in make]
    best, answers = {}, {}
    for _ in range(repeats):
        for s in servers:
            seconds, answers[s.name] = timed(lambda: s.join(entities))
            best[s.name] = min(seconds, best.get(s.name, seconds))
    result = {s.name: (best[s.name], peak_memory(s.process)) for s in servers}
    for s in servers:
        stop(s)
    if len(servers) > 1:
        assert_equal(answers["flightd"], answers["duckdb"])
    return result


def compare_all(make, repeats):
    """As compare_join, for streaming the whole file; batches are counted and dropped as they come."""
    result = {}
    for m in make:
        s = m()
        best, first = None, None
        for _ in range(repeats):
            start = time.perf_counter()
            rows, first_at = 0, None
            for chunk in s.all_rows():
                first_at = first_at or time.perf_counter() - start
                rows += chunk.data.num_rows
            seconds = time.perf_counter() - start
            best, first = min(seconds, best or seconds), min(first_at, first or first_at)
        result[s.name] = (best, peak_memory(s.process), first, rows)
        stop(s)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flightd", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, for trying it out")
    parser.add_argument("--json")
    args = parser.parse_args()
    os.makedirs(args.data, exist_ok=True)
    scale = 10 if args.quick else 1
    million = 1_000_000 // scale
    args.data = os.path.abspath(args.data)
    results = {}

    def dataset(rows):
        path = os.path.join(args.data, f"r{rows}.parquet")
        data.feature_rows(path, rows, million, 5)
        return path

    ten, fifty = dataset(10 * million), dataset(50 * million)
    entities = data.entity_rows(million, million)
    both = lambda path: [lambda: Flightd(args.flightd, path, 5), lambda: DuckDB(path)]
    results["join 1M x 10M, 5 features"] = compare_join(both(ten), entities, 5)
    results["join 1M x 50M, 5 features"] = compare_join(both(fifty), entities, 3)
    results["all of 10M x 5"] = compare_all(both(ten), 3)

    print(f"| work (rows / {scale}) | flightd | DuckDB {__import__('duckdb').__version__} | times faster | memory |")
    print("|---|---|---|---|---|")
    for work, r in results.items():
        ours, theirs = r["flightd"], r["duckdb"]
        print(f"| {work} | {ours[0]:.2f} s, {ours[1] / 2**20:.0f} MiB | {theirs[0]:.2f} s, {theirs[1] / 2**20:.0f} MiB "
              f"| {theirs[0] / ours[0]:.1f} | 1/{theirs[1] / ours[1]:.1f} |")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
