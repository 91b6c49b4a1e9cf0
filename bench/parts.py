"""Many small writes: 5,000 parts of 200 rows, pushed one by one, beside the same million rows in one file, and after compact.

    python parts.py --flightd ../bin/flightd [--parts 5000]

Seconds are the best of several calls that a pyarrow client makes, once the footers are known.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import tempfile
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq

KEYS, ROWS_OF_A_PART, START, SPAN = 10_000, 200, 1_704_067_200_000_000, 30 * 86_400_000_000
RANDOM = np.random.default_rng(5)


def instants(values):
    return pa.array(START + values, type=pa.timestamp("us", "UTC"))


def start(flightd, config):
    process = subprocess.Popen([flightd, "serve", "--config", config, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if '"serving"' in line:
            client = fl.connect("grpc://" + json.loads(line)["addr"])
            break
    else:
        raise SystemExit("flightd did not start")
    threading.Thread(target=process.stderr.read, daemon=True).start()  # the log of calls, which nobody needs
    return process, client


def command(request):
    return fl.FlightDescriptor.for_command(json.dumps(request))


def put(client, number, rows):
    writer, reader = client.do_put(command({"write": {"view": "parts", "request_id": f"push {number}"}}), rows.schema)
    with writer:
        writer.write_table(rows)
        writer.done_writing()
        reader.read()


def join(client, view, entities):
    writer, reader = client.do_exchange(command({"historical": {"features": [view]}}))
    with writer:
        writer.begin(entities.schema)
        writer.write_table(entities, max_chunksize=65_536)
        writer.done_writing()
        return reader.read_all()


def best(ask, times=8):
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        took.append(time.perf_counter() - begun)
    return min(took)


def compare(client, what):
    for title, ask in works(client):
        assert ask("parts").num_rows == ask("one").num_rows, title
        one, parts = best(lambda: ask("one")), best(lambda: ask("parts"))
        print(f"| {what} | {title} | {one * 1000:.0f} ms | {parts * 1000:.0f} ms | {parts / one:.1f} |", flush=True)


def works(client):
    for n in (100, 10_000, 100_000, 1_000_000):
        entities = pa.table({"key": RANDOM.integers(0, KEYS, n), "event_timestamp": instants(RANDOM.integers(0, SPAN, n))})
        yield f"{n:,} entity rows", lambda view, entities=entities: join(client, view, entities)
    for kind in ("all", "latest"):
        yield kind, lambda view, kind=kind: client.do_get(fl.Ticket(json.dumps({kind: {"view": view}}))).read_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flightd", required=True)
    parser.add_argument("--parts", type=int, default=5000)
    args = parser.parse_args()
    n = args.parts * ROWS_OF_A_PART
    rows = pa.table({"key": RANDOM.integers(0, KEYS, n), "event_timestamp": instants(np.sort(RANDOM.integers(0, SPAN, n))),
                     **{f"f{i}": RANDOM.random(n) for i in range(5)}})
    with tempfile.TemporaryDirectory(prefix="flightd-parts-") as folder:
        os.makedirs(os.path.join(folder, "data", "parts"))
        pq.write_table(rows, os.path.join(folder, "data", "one.parquet"))
        views = {name: {"store": "main", "source": source, "keys": ["key"], "timestamp": "event_timestamp"}
                 for name, source in (("one", "one.parquet"), ("parts", "parts"))}
        config = os.path.join(folder, "flightd.yaml")
        with open(config, "w") as f:
            json.dump({"stores": {"main": {"type": "file", "root": "data"}}, "feature_views": views}, f)
        server, client = start(args.flightd, config)
        begun = time.perf_counter()
        put(client, 0, rows.slice(0, ROWS_OF_A_PART))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: put(client, i, rows.slice(i * ROWS_OF_A_PART, ROWS_OF_A_PART)), range(1, args.parts)))
        print(f"{args.parts} pushes of {ROWS_OF_A_PART} rows by 8 clients at once: {args.parts / (time.perf_counter() - begun):.0f} a second\n")
        time.sleep(4)  # parts that are younger than a few seconds are read anew each time
        print("| | | one file | parts | parts / one |\n|---|---|---|---|---|")
        compare(client, f"{args.parts:,} parts")
        begun = time.perf_counter()
        subprocess.run([args.flightd, "compact", "parts", "--config", config], check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - begun
        compare(client, "merged, the old ones still there")
        print(f"\ncompact took {took:.1f} s")
        server.terminate()
        assert server.wait() == 0


if __name__ == "__main__":
    main()
