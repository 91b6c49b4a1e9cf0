"""Side by side in one run: flightd and its rivals (peers.py) over the same Parquet files, each behind Flight.

    python run.py --flightd ../bin/flightd --data DIR [--full] [--only TEXT] [--scale N] [--json FILE]

Runs alternate, the minimum of at least three counts, and every answer is compared row by row. Times are what a pyarrow client
sees that streams the answer over loopback, in all and until the first batch. Memory is the peak resident set of a server that
was started for that line alone, CPU the processor time of that server in the run that counts. The files are in the page cache.
--full adds the lines that take long; --scale divides all numbers of rows, to try it out; --json writes all that was measured.
"""

import argparse
import dataclasses
import json
import os
import platform

import pyarrow as pa

import data
import measure
import report

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
    target: tuple = ()  # (rival, times); none: how it stands beside the fastest is said all the same
    limits: dict = dataclasses.field(default_factory=dict)  # of flightd's configuration, for this line
    warm: bool = False  # flightd's first call, which builds an index, does not count
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
    Line("1M x 1M", million(1), peers=("tuned",)),
    Line("1M x 100M", million(100), peers=("tuned",), target=("tuned", 5), full=True),
    Line("1M x 100M, second retrieval with the cached index", million(100), peers=("tuned",), target=("tuned", 20),
         limits={"index": "2GiB"}, warm=True, full=True),
    Line("20M x 10M with memory: 512MiB, entity rows on disk", million(10), entities=20 * MILLION, peers=("tuned",),
         limits={"memory": "512MiB", "spill_dir": "spill"}, full=True),
    Line("10k x 100M, log sorted by time, ttl 1 day, entity rows of one day", million(100, order="time"), entities=10_000, ttl=86_400,
         days=(20, 21), peers=("tuned",), target=("tuned", 2), full=True),
    Line("100k x 1M, created, 100 versions of a key", data.Dataset(MILLION, 10_000, created=True), entities=100_000,
         peers=("tuned", "polars"), target=("polars", 2)),
    Line("100 x 1M, median of 100 calls", data.Dataset(MILLION, 10_000), entities=100, work="small", peers=("tuned",), target=("tuned", 10)),
    Line("100 x 1M, median of 100 calls, with the cached index", data.Dataset(MILLION, 10_000), entities=100, work="small", peers=("tuned",),
         target=("tuned", 30), limits={"index": "1GiB"}, warm=True),
    Line("8 clients at once, 10k x 1M, per call", data.Dataset(MILLION, 10_000), entities=10_000, work="clients", peers=("tuned",),
         target=("tuned", 4)),
    Line("every row of 10M x 5", million(10), work="all", peers=("dataset",), target=("dataset", 1)),
    Line("newest row of 1M keys in 10M rows", million(10), work="latest", peers=("duckdb",), target=("duckdb", 5)),
]

# Lines that differ in one thing, the smallest first: what it costs is to grow as that does, or less.
GROWTH = {
    "rows": ("1M x 1M", "1M x 10M, 1M keys, random order", "1M x 100M"),
    "features": ("1M x 10M, 1M keys, random order", "50 features"),
}


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
        results.append((line, measure.measure(line, args.flightd, folder, args.repeats)))
        print(line.title, {name: f"{r['seconds']:.3f} s, {r['memory'] >> 20} MiB" for name, r in results[-1][1].items()}, flush=True)
    import duckdb
    import polars
    print(f"\n{os.cpu_count()} cores, {platform.machine()}; DuckDB {duckdb.__version__}, Polars {polars.__version__}, pyarrow {pa.__version__}")
    steps = report.growth(results, GROWTH)
    report.show(results, steps)
    if args.json:
        lines = {line.title: {**result, "ratios": report.ratios(line, result)} for line, result in results}
        with open(args.json, "w") as f:
            json.dump({**lines, "growth": steps}, f, indent=1)


if __name__ == "__main__":
    main()
