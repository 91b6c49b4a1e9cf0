"""The rival: DuckDB's ASOF LEFT JOIN over the same Parquet file behind a small pyarrow Flight server.

    python duckdb_server.py FEATURES.parquet

It prints the port. DoExchange takes entity rows and streams the joined rows back, as flightd does; DoGet streams the file.
The answer has the column __row, the number of the entity row: DuckDB is not asked to restore the input order, which
flightd does; the benchmark sorts DuckDB's answer outside the measured time before it compares.
"""

import argparse

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.flight as fl


class Server(fl.FlightServerBase):
    def __init__(self, path):
        super().__init__("grpc://127.0.0.1:0")
        self.path = path
        schema = ds.dataset(path).schema
        self.features = [f.name for f in schema if f.name not in ("entity_id", "event_timestamp")]

    def do_exchange(self, context, descriptor, reader, writer):
        entities = reader.read_all()
        entities = entities.append_column("__row", pa.array(np.arange(len(entities))))
        names = ", ".join(f"f.{name}" for name in self.features)
        connection = duckdb.connect()
        connection.register("entities", entities)
        answer = connection.sql(
            f"select e.*, {names} from entities e asof left join '{self.path}' f "
            "on e.entity_id = f.entity_id and e.event_timestamp >= f.event_timestamp")
        batches = answer.to_arrow_reader(65_536)
        writer.begin(batches.schema)
        for batch in batches:
            writer.write_batch(batch)

    def do_get(self, context, ticket):
        scanner = ds.dataset(self.path).scanner()
        return fl.GeneratorStream(scanner.projected_schema, scanner.to_batches())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    server = Server(parser.parse_args().path)
    print(server.port, flush=True)
    server.serve()
