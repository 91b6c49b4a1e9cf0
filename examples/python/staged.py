"""Rows that are sent once and asked about twice: with the values as they are now, and as they were known at the time.

    python staged.py [--server grpc://127.0.0.1:8815] [--entities demo/data/orders.parquet]

DoPut keeps the rows on the server for some minutes and answers with an id; any number of requests may then name it.
"""

import argparse
import json
import os

import pyarrow.flight as fl
import pyarrow.parquet as pq


def stage(client, entities):
    """Sends entity rows; returns {"entity_rows_id": ..., "rows": n, "expires": ...}."""
    writer, reader = client.do_put(fl.FlightDescriptor.for_command(json.dumps({"entity_rows": {}})), entities.schema)
    with writer:
        writer.write_table(entities, max_chunksize=65_536)
        writer.done_writing()
        return json.loads(reader.read().to_pybytes())


def ask(client, **historical):
    """GetFlightInfo says what will come and how to fetch it, before a row is read; DoGet fetches it."""
    info = client.get_flight_info(fl.FlightDescriptor.for_command(json.dumps({"historical": historical})))
    print(f"{info.total_records} rows of {len(info.schema)} columns will come")
    return client.do_get(info.endpoints[0].ticket).read_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("FLIGHTD_SERVER", "grpc://127.0.0.1:8815"))
    parser.add_argument("--entities", default="demo/data/orders.parquet", help="who and when, and the labels")
    parser.add_argument("--service", default="driver_activity", help="which features")
    args = parser.parse_args()

    with fl.connect(args.server) as client:
        entities = pq.read_table(args.entities)
        staged = stage(client, entities)
        print(f"{staged['rows']} rows are kept until {staged['expires']}")
        rows = {"entity_rows_id": staged["entity_rows_id"], "feature_service": args.service}
        corrected = ask(client, **rows)
        known = ask(client, **rows, known_at=True)

    for name in corrected.schema.names[entities.num_columns:]:
        differ = sum(a != b for a, b in zip(corrected[name].to_pylist(), known[name].to_pylist()))
        print(f"{name}: {differ} rows have a value that was not known yet")


if __name__ == "__main__":
    main()
