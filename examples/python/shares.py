"""One request in shares, fetched at once on several connections. On several machines it works the same.

    python shares.py [--server grpc://127.0.0.1:8815] [--entities demo/data/orders.parquet] [--shares 4]

The server cuts: GetFlightInfo with `parts` gives a ticket for each share, which needs nothing else.
"""

import argparse
import concurrent.futures
import json
import os
import time

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq

from staged import stage


def tickets(client, request, shares):
    """At most that many tickets, which together are the whole answer."""
    info = client.get_flight_info(fl.FlightDescriptor.for_command(json.dumps({**request, "parts": shares})))
    return [endpoint.ticket for endpoint in info.endpoints]


def fetch(server, ticket):
    """One share, on a connection of its own."""
    with fl.connect(server) as client:
        return client.do_get(ticket).read_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("FLIGHTD_SERVER", "grpc://127.0.0.1:8815"))
    parser.add_argument("--entities", default="demo/data/orders.parquet", help="who and when, and the labels")
    parser.add_argument("--service", default="driver_activity", help="which features")
    parser.add_argument("--shares", type=int, default=4)
    args = parser.parse_args()

    entities = pq.read_table(args.entities)
    with fl.connect(args.server) as client:
        staged = stage(client, entities)
        request = {"historical": {"entity_rows_id": staged["entity_rows_id"], "feature_service": args.service}}
        shares = tickets(client, request, args.shares)

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        fetched = list(pool.map(lambda ticket: fetch(args.server, ticket), shares))
    seconds = time.perf_counter() - start

    for i, share in enumerate(fetched):
        print(f"share {i}: {share.num_rows} rows")
    whole = pa.concat_tables(fetched)  # shares of entity rows keep their order
    assert whole.select(entities.schema.names).equals(entities.replace_schema_metadata())
    print(f"{whole.num_rows} rows in {seconds:.2f} s, every order once and in its place")


if __name__ == "__main__":
    main()
