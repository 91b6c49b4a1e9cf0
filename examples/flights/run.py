"""Training data for departure delays: the weather at the origin and the aircraft's last delay, as of the scheduled departure.

    python prepare.py
    python run.py [--server grpc://127.0.0.1:8815]

Without --server it starts ../../bin/flightd (make build) on a free port for as long as it runs.
"""

import argparse
import contextlib
import json
import os
import subprocess
import time

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.join(HERE, "..", "..", "bin", "flightd")


@contextlib.contextmanager
def serving(binary):
    """A server over flightd.yaml in this folder; yields its address."""
    process = subprocess.Popen([binary, "serve", "--config", os.path.join(HERE, "flightd.yaml"), "--listen", "127.0.0.1:0"],
                               stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if '"serving"' in line:
                yield "grpc://" + json.loads(line)["addr"]
                break
        else:
            raise SystemExit("flightd did not start")
    finally:
        process.terminate()
        process.communicate()


def training_data(client, labels):
    """Sends the labels, returns them with the features beside them, and the match report."""
    ask = {"historical": {"feature_service": "departure", "report": True}}
    writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(json.dumps(ask)))
    with writer:
        writer.begin(labels.schema)
        writer.write_table(labels, max_chunksize=65_536)
        writer.done_writing()
        chunks = list(reader)
    report = json.loads(chunks[-1].app_metadata.to_pybytes())
    return pa.Table.from_batches([c.data for c in chunks]), report["views"]


def with_daily_average(training):
    """The mistake: the aircraft's average delay of the day, joined by date. The day holds this flight and those after it."""
    frame = training.to_pandas()
    frame["day"] = frame["event_timestamp"].dt.floor("D")
    daily = frame.groupby(["tailnum", "day"], as_index=False)["dep_delay"].mean()
    return frame.merge(daily.rename(columns={"dep_delay": "daily_dep_delay"}), on=["tailnum", "day"], how="left")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", help="a flightd that serves the flightd.yaml of this folder")
    parser.add_argument("--flightd", default=BINARY)
    args = parser.parse_args()
    labels = pq.read_table(os.path.join(HERE, "data", "labels.parquet"))

    with contextlib.ExitStack() as stack:
        address = args.server or stack.enter_context(serving(args.flightd))
        client = stack.enter_context(fl.connect(address))
        start = time.perf_counter()
        training, report = training_data(client, labels)
        seconds = time.perf_counter() - start

    print(training.slice(1000, 8).to_pandas().to_string(index=False))
    print(f"\n{training.num_rows} rows in {seconds:.2f} s")
    for view, counts in report.items():
        rest = ", ".join(f"{name} {n}" for name, n in counts.items() if name not in ("rows", "matched") and n)
        print(f"{view}: {counts['matched'] / counts['rows']:.1%} matched ({rest})")

    frame = with_daily_average(training)
    honest = frame["dep_delay"].corr(frame["last_dep_delay"])
    leaking = frame["dep_delay"].corr(frame["daily_dep_delay"])
    print("\ncorrelation with the delay to be predicted")
    print(f"  {honest:.2f}  last delay of the aircraft, as of the scheduled departure")
    print(f"  {leaking:.2f}  average delay of the aircraft on that day, joined by date: it knows the answer")


if __name__ == "__main__":
    main()
