"""Training data in one call: the orders go out, and come back with the features that were known at each order's time.

    python training_data.py [--server grpc://127.0.0.1:8815] [--entities demo/data/orders.parquet] [-o training.parquet]
"""

import argparse
import json
import os

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq


def training_data(client, entities, service):
    """Streams entity rows to the server and the joined rows back. Returns them, and what matched in each view."""
    ask = {"historical": {"feature_service": service, "report": True}}
    writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(json.dumps(ask)))
    with writer:
        writer.begin(entities.schema)
        writer.write_table(entities, max_chunksize=65_536)
        writer.done_writing()  # the server joins when it has all rows
        chunks = list(reader)
    report = json.loads(chunks[-1].app_metadata.to_pybytes())  # it stands on the last batch
    return pa.Table.from_batches([chunk.data for chunk in chunks]), report["views"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("FLIGHTD_SERVER", "grpc://127.0.0.1:8815"))
    parser.add_argument("--entities", default="demo/data/orders.parquet", help="who and when, and the labels")
    parser.add_argument("--service", default="driver_activity", help="which features")
    parser.add_argument("-o", "--output", help="write the rows to this Parquet file")
    args = parser.parse_args()

    with fl.connect(args.server) as client:
        training, report = training_data(client, pq.read_table(args.entities), args.service)

    for row in training.slice(0, 3).to_pylist():
        print(row)
    print(f"{training.num_rows} rows of {training.num_columns} columns")
    for view, counts in report.items():
        print(f"{view}: {counts['matched']} matched,", ", ".join(f"{n} {why}" for why, n in counts.items() if why not in ("rows", "matched")))
    if args.output:
        pq.write_table(training, args.output)


if __name__ == "__main__":
    main()
