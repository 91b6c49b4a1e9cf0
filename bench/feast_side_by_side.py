"""Side by side: flightd and Feast's own offline server (dask, DuckDB), over one Feast repository, seen from Feast's client.

    .venv-feast67/bin/python bench/feast_side_by_side.py [--flightd bin/flightd] [--servers dask,duckdb,flightd]
                             [--quick] [--repeats 5] [--kills 20] [--json FILE]

100,000 entity rows on 1,000,000 feature rows, 100 for each key. Runs alternate, the minimum counts, every answer is compared
row by row with one that pandas computed. Memory is the peak resident set of a server that has done nothing else. Then 8
clients ask at once, 32 requests in all, and a server is killed while a client pushes.
"""

import argparse
import concurrent.futures
import json
import logging
import os
import sys
import tempfile
import time
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e"), os.path.join(os.path.dirname(HERE), "e2e", "feast")]

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import feastserver
import world
from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.data_source import PushMode
from feast.types import Float64, Int64
from feast.value_type import ValueType

logging.disable()  # Feast's client reports every call that fails, at length

VERSIONS = 100
FEATURES = [f"f{i}" for i in range(5)]
START = pd.Timestamp("2026-01-01", tz="UTC")
MONTH = 30 * 86_400 * 10**6
SERVERS = {"dask": ("stock", "dask"), "duckdb": ("stock", "duckdb"), "flightd": ("flightd", "file")}


def times(rng, rows):
    return START + pd.to_timedelta(rng.integers(0, MONTH, rows), unit="us").as_unit("us")


def make_data(rows):
    """Feature rows in no order, and a tenth as many entity rows over the same keys and month."""
    rng = np.random.default_rng(7)
    keys = rows // VERSIONS
    history = pd.DataFrame({"driver_id": rng.permutation(np.repeat(np.arange(keys), VERSIONS)), "event_timestamp": times(rng, rows)})
    history["created"] = history["event_timestamp"] + pd.Timedelta(hours=1)
    for f in FEATURES:
        history[f] = rng.random(rows)
    entities = pd.DataFrame({"driver_id": rng.integers(0, keys, rows // 10), "event_timestamp": times(rng, rows // 10),
                             "row": np.arange(rows // 10)})
    return history, entities


def expected(history, entities):
    """The newest feature row of each entity row, by pandas."""
    assert not history.duplicated(["driver_id", "event_timestamp"]).any(), "there are ties, which this cannot decide"
    joined = pd.merge_asof(entities.sort_values("event_timestamp"), history.drop(columns="created").sort_values("event_timestamp"),
                           on="event_timestamp", by="driver_id")
    return joined.sort_values("row", ignore_index=True)[list(entities) + FEATURES]


class Repo(world.Repo):
    """A repository of one view, with a server and a client."""

    def __init__(self, folder, name, history):
        self.name, (self.program, store) = name, SERVERS[name]
        super().__init__(os.path.join(folder, name), project="bench", store=store, data=False)
        os.makedirs(self.path("data"))
        pq.write_table(pa.Table.from_pandas(history, preserve_index=False), self.path("data", "stats.parquet"))
        driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
        source = FileSource(name="stats_source", path="data/stats.parquet", timestamp_field="event_timestamp",
                            created_timestamp_column="created")
        push = PushSource(name="stats_push", batch_source=source)
        fields = [Field(name="driver_id", dtype=Int64)] + [Field(name=f, dtype=Float64) for f in FEATURES]
        self.apply([driver, source, push, FeatureView(name="stats", entities=[driver], ttl=None, schema=fields, source=push)])
        self.start()

    def start(self):
        self.server = feastserver.OfflineServer(self.program, self.folder)
        self.feast = self.client(self.server.port, offline={"connection_retries": 0})

    def ask(self, entities):
        return self.feast.get_historical_features(entities, [f"stats:{f}" for f in FEATURES]).to_df()

    def push(self, rows):
        self.feast.push("stats_push", rows, to=PushMode.OFFLINE)


def wrong_rows(got, want):
    """Rows that are missing, doubled or have other values; their order does not count here."""
    both = want.merge(got[list(want)], on="row", how="left", suffixes=("", " got"))
    equal = np.ones(len(both), bool)
    for column in (c for c in want if c != "row"):
        a, b = both[column], both[column + " got"]
        equal &= ((a == b) | (a.isna() & b.isna())).to_numpy()
    return int((~equal).sum())


def compare(repos, entities, want, repeats):
    """Alternating runs; for each server the first and the best time, memory, rows that are wrong, and whether they are in order."""
    results = {r.name: {"open": r.server.seconds_to_open, "wrong": 0} for r in repos}
    for _ in range(repeats):
        for repo in repos:
            result, start = results[repo.name], time.perf_counter()
            got = repo.ask(entities)
            took = time.perf_counter() - start
            result.setdefault("first", took)
            result["best"] = min(took, result.get("best", took))
            result["wrong"] = max(result["wrong"], wrong_rows(got, want))
            result["in order"] = bool(np.array_equal(got["row"], want["row"]))
    for repo in repos:
        results[repo.name]["memory"] = repo.server.peak_memory()
        repo.server.stop()
    return results


def many_clients(repo, entities, want, clients=8, requests=32, limit=180):
    """How many of the requests of clients at once are answered, rightly, and how long all of them take."""
    repo.start()
    start = time.perf_counter()
    pool = concurrent.futures.ThreadPoolExecutor(clients)
    running = [pool.submit(repo.ask, entities) for _ in range(requests)]
    _, hanging = concurrent.futures.wait(running, timeout=limit)
    took, memory = time.perf_counter() - start, repo.server.peak_memory()
    repo.server.kill()  # which ends the requests that nobody answers
    answered = [f for f in running if f not in hanging and not f.exception()]
    right = sum(wrong_rows(f.result(), want) == 0 for f in answered)
    pool.shutdown()
    return {"seconds": took, "requests": requests, "failed": requests - len(answered), "hang": len(hanging), "right": right, "memory": memory}


def kills(repo, rows, rounds):
    """How often the file cannot be read after its server was killed while it took a push."""
    path, unreadable, rng = repo.path("data", "stats.parquet"), 0, np.random.default_rng(3)
    with open(path, "rb") as f:
        whole = f.read()
    for _ in range(rounds):
        repo.start()
        started = time.perf_counter()
        repo.push(rows)  # this long takes one
        one = time.perf_counter() - started
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(repo.push, rows)
            time.sleep(one * rng.uniform(0.3, 1.0))
            repo.server.kill()
            pushing.exception()
        try:
            pq.read_table(path)
        except (OSError, pa.ArrowException):
            unreadable += 1
        with open(path, "wb") as f:
            f.write(whole)
    return unreadable


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flightd", default=feastserver.flightd.BINARY)
    parser.add_argument("--servers", default="dask,duckdb,flightd")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, for trying it out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--json")
    args = parser.parse_args()
    feastserver.flightd.BINARY = os.path.abspath(args.flightd)
    warnings.simplefilter("ignore")
    history, entities = make_data(100_000 if args.quick else 1_000_000)
    want = expected(history, entities)
    with tempfile.TemporaryDirectory() as folder:
        repos = [Repo(folder, name, history) for name in args.servers.split(",")]
        results = compare(repos, entities, want, args.repeats)
        for repo in repos:
            results[repo.name]["at once"] = many_clients(repo, entities, want)
            results[repo.name]["unreadable"] = kills(repo, history[:1000], args.kills)
    show(results, args.kills)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)


def show(results, kills):
    print("| server | port open | first answer | best answer | memory | wrong rows | in order | 8 clients at once | memory then "
          f"| unreadable after {kills} kills |\n|---|---|---|---|---|---|---|---|---|---|")
    for name, r in results.items():
        a = r["at once"]
        print(f"| {name} | {r['open']:.2f} s | {r['first']:.2f} s | {r['best']:.2f} s | {r['memory'] / 2**20:.0f} MiB | {r['wrong']} "
              f"| {'yes' if r['in order'] else 'no'} | {a['seconds']:.1f} s, {a['failed']} of {a['requests']} failed ({a['hang']} hang), "
              f"{a['right']} right | {a['memory'] / 2**20:.0f} MiB | {r['unreadable']} |")


if __name__ == "__main__":
    main()
