"""Side by side in one run: flightd and its rivals (peers.py) over the same Parquet files, each behind Flight.

    python run.py --flightd ../bin/flightd --data DIR [--full] [--only TEXT] [--scale N] [--json FILE]

Runs alternate, the minimum of at least three counts, and every answer is compared row by row. Times are what a pyarrow client
sees that streams the answer over loopback; memory is the peak resident set of a server that was started for that line alone.
The files are in the page cache. --full adds the lines that take long; --scale divides all numbers of rows, to try it out.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl

import data

HERE = os.path.dirname(os.path.abspath(__file__))
MILLION = 1_000_000


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the table: a work, who does it, and how much faster flightd is to be than which rival."""

    title: str
    source: data.Dataset
    entities: int = MILLION
    work: str = "join"  # or all, latest; small: one join after the other, the median counts; clients: 8 join at once, time per call
    peers: tuple = ("tuned", "duckdb")
    ttl: int = 0  # seconds; 0: none
    days: tuple = (0, data.DAYS)  # of the entity rows
    target: tuple = ()  # (rival, times)
    full: bool = False


def million(n, keys=MILLION, **more):
    return data.Dataset(n * MILLION, keys, **more)


LINES = [
    Line("1M x 10M, 1M keys, random order", million(10), peers=("tuned", "duckdb", "polars"), target=("tuned", 3.5)),
    Line("with created, 1 % ties, ttl 1 day", million(10, created=True), ttl=86_400, target=("tuned", 3.5)),
    Line("50 features", million(10, features=50), target=("tuned", 3), full=True),
    Line("Zipf keys", million(10, key="zipf"), peers=("tuned",), target=("tuned", 3.5)),
    Line("string keys", million(10, key="text"), peers=("tuned",), target=("tuned", 4)),
    Line("two integer keys", million(10, key="two"), peers=("tuned",), target=("tuned", 4)),
    Line("sorted by time", million(10, order="time"), target=("best", 3)),
    Line("sorted by key", million(10, order="key"), target=("best", 3)),
    Line("1M x 100M", million(100), peers=("tuned",), target=("tuned", 5), full=True),
    Line("10k x 100M, log sorted by time, ttl 1 day, entity rows of one day", million(100, order="time"), entities=10_000, ttl=86_400,
         days=(20, 21), peers=("tuned",), target=("tuned", 2), full=True),
    Line("100k x 1M, created, 100 versions of a key", data.Dataset(MILLION, 10_000, created=True), entities=100_000,
         peers=("tuned", "polars"), target=("polars", 2)),
    Line("100 x 1M, median of 100 calls", data.Dataset(MILLION, 10_000), entities=100, work="small", peers=("tuned",), target=("tuned", 10)),
    Line("8 clients at once, 10k x 1M, per call", data.Dataset(MILLION, 10_000), entities=10_000, work="clients", peers=("tuned",),
         target=("tuned", 4)),
    Line("every row of 10M x 5", million(10), work="all", peers=("dataset",), target=("dataset", 1)),
    Line("newest row of 1M keys in 10M rows", million(10), work="latest", peers=("duckdb",), target=("duckdb", 5)),
]


class Server:
    """A server process and a client of it."""

    def __init__(self, name, command, find_port):
        self.name = name
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        port = next((found for line in self.process.stdout if (found := find_port(line))), None)
        if port is None:
            sys.exit(f"{name} did not start")
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()
        self.address = f"grpc://127.0.0.1:{port}"
        self.client = self.connect()

    def peak_memory(self):
        """Peak resident bytes so far."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait()

    def rows(self, work):
        """The reader of the answer to a work without entity rows."""
        ticket = json.dumps({work: {"view": "stats"}}) if self.name == "flightd" else work
        return self.client.do_get(fl.Ticket(ticket.encode()))

    def join(self, line, entities, client=None):
        """The joined rows."""
        command = json.dumps({"historical": {"features": [f"stats:{f}" for f in line.source.feature_columns]}})
        writer, reader = (client or self.client).do_exchange(fl.FlightDescriptor.for_command(command.encode()))
        with writer:
            writer.begin(entities.schema)
            writer.write_table(entities, max_chunksize=65_536)
            writer.done_writing()
            return reader.read_all()

    def connect(self):
        return fl.connect(self.address)


def flightd(binary, path, line):
    view = {"store": "main", "source": os.path.basename(path), "keys": line.source.key_columns, "timestamp": "event_timestamp"}
    if line.source.created:
        view["created"] = "created"
    if line.ttl:
        view["ttl"] = f"{line.ttl}s"
    with open(path + ".yaml", "w") as f:
        json.dump({"stores": {"main": {"type": "file", "root": os.path.dirname(path)}}, "feature_views": {"stats": view}}, f)
    command = [binary, "serve", "--config", path + ".yaml", "--listen", "127.0.0.1:0"]
    return Server("flightd", command, lambda text: json.loads(text)["addr"].split(":")[1] if '"serving"' in text else None)


def peer(engine, path, line):
    spec = {"keys": line.source.key_columns, "features": line.source.feature_columns, "created": line.source.created, "ttl": line.ttl or None}
    return Server(engine, [sys.executable, os.path.join(HERE, "peers.py"), engine, path, json.dumps(spec)], lambda text: int(text))


def ask(server, line, entities):
    """Seconds of an answer, and the answer; of one that streams everything, the number of rows alone."""
    if line.work == "small":
        return small(server, line, entities)
    if line.work == "clients":
        return clients(server, line, entities)
    start = time.perf_counter()
    if line.work == "join":
        answer = server.join(line, entities)
    elif line.work == "latest":
        answer = server.rows("latest").read_all()
    else:
        answer = sum(chunk.data.num_rows for chunk in server.rows("all"))
    return time.perf_counter() - start, answer


def small(server, line, entities, calls=100):
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        answer = server.join(line, entities)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), answer


def clients(server, line, entities, count=8, calls=4):
    def work(_):
        with server.connect() as client:
            return [server.join(line, entities, client) for _ in range(calls)]
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(work, range(count)))
    return (time.perf_counter() - start) / (count * calls), answers[-1][-1]


def in_order(answer, line):
    """The features of an answer in an order that all servers' can be brought into."""
    if line.work == "all":
        return answer
    if "__row" in answer.column_names:
        answer = answer.take(np.argsort(answer.column("__row").to_numpy()))
    elif line.work == "latest":
        answer = answer.sort_by([(k, "ascending") for k in line.source.key_columns])
    return answer.select(line.source.feature_columns).combine_chunks()


def measure(line, binary, folder, repeats):
    """{server: {seconds, memory}}; a wrong answer ends the run."""
    path = line.source.write(folder)
    entities = line.source.entity_rows(line.entities, line.days) if line.work not in ("all", "latest") else None
    servers = [flightd(binary, path, line)] + [peer(engine, path, line) for engine in line.peers]
    best, ours = {}, None
    for round in range(repeats):
        for s in servers:
            seconds, answer = ask(s, line, entities)
            best[s.name] = min(seconds, best.get(s.name, seconds))
            if round > 0:
                continue
            answer = in_order(answer, line)
            if s.name == "flightd":
                ours = answer
            elif answer != ours and not same(ours, answer):
                sys.exit(f"{line.title}: the answers of flightd and {s.name} differ")
    result = {s.name: {"seconds": best[s.name], "memory": s.peak_memory()} for s in servers}
    for s in servers:
        s.stop()
    return result


def same(ours, theirs):
    """Row-exact, but for dates of types that mean the same."""
    return isinstance(ours, pa.Table) and ours.equals(theirs.cast(ours.schema))


def rivals(line, result):
    return {name: r for name, r in result.items() if name != "flightd"}


def report(results):
    names = {"tuned": "DuckDB, tuned", "duckdb": "DuckDB", "polars": "Polars", "dataset": "pyarrow dataset"}
    print(f"\n| work | flightd | rivals | times faster | wanted | memory |\n|---|---|---|---|---|---|")
    for line, result in results:
        ours = result["flightd"]
        others = rivals(line, result)
        rival, times = line.target
        against = min(others, key=lambda name: others[name]["seconds"]) if rival == "best" else rival
        text = ", ".join(f"{names[name]} {seconds(r)}" for name, r in others.items())
        print(f"| {line.title} | {seconds(ours)}, {ours['memory'] / 2**20:.0f} MiB | {text} "
              f"| {others[against]['seconds'] / ours['seconds']:.1f} ({names[against]}) | {times} | 1/{others[against]['memory'] / ours['memory']:.1f} |")


def seconds(r):
    return f"{r['seconds']:.2f} s" if r["seconds"] >= 0.1 else f"{1000 * r['seconds']:.0f} ms"


def scaled(line, n):
    source = dataclasses.replace(line.source, rows=line.source.rows // n, keys=max(1000, line.source.keys // n))
    return dataclasses.replace(line, source=source, entities=line.entities // n)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flightd", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--full", action="store_true", help="the lines that take long too")
    parser.add_argument("--only", default="", help="lines whose title has this text")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    os.makedirs(args.data, exist_ok=True)
    folder = os.path.abspath(args.data)
    results = []
    for line in LINES:
        if args.only not in line.title or line.full and not (args.full or args.only):
            continue
        line = scaled(line, args.scale)
        results.append((line, measure(line, args.flightd, folder, args.repeats)))
        print(line.title, {name: f"{r['seconds']:.3f} s, {r['memory'] >> 20} MiB" for name, r in results[-1][1].items()}, flush=True)
    import duckdb
    import polars
    print(f"\n{os.cpu_count()} cores, {platform.machine()}; DuckDB {duckdb.__version__}, Polars {polars.__version__}, pyarrow {pa.__version__}")
    report(results)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({line.title: result for line, result in results}, f, indent=1)


if __name__ == "__main__":
    main()
