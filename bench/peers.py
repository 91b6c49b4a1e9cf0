"""The rivals, each behind a small pyarrow Flight server over the same Parquet file.

    python peers.py ENGINE FILE.parquet '{"keys": [...], "features": [...], "created": false, "ttl": null}'

It prints the port. DoExchange takes entity rows and streams the joined rows back, as flightd does; DoGet streams the whole
file (ticket all) or the newest row of every key (latest). Answers have the column __row, the number of the entity row: no
rival is asked to restore the input order, which flightd does; the benchmark sorts their answers outside the measured time
before it compares.
"""

import argparse
import json

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.flight as fl

BATCH = 65_536


class Peer:
    def __init__(self, path, spec):
        self.path, self.keys, self.features = path, spec["keys"], spec["features"]
        self.created, self.ttl = spec["created"], spec["ttl"]  # ttl in seconds


class DuckDB(Peer):
    """ASOF LEFT JOIN as one writes it. With ties it is made right by removing all versions of a row but the last."""

    def connect(self, entities=None):
        connection = duckdb.connect()
        if entities is not None:
            connection.register("entities", entities)
        return connection

    def on(self, left, right):
        return " and ".join(f"{left}.{k} = {right}.{k}" for k in self.keys)

    def fresh(self, time):
        """A feature, or null if it is older than ttl."""
        if self.ttl is None:
            return lambda f: f
        return lambda f: f"case when {time} >= e.event_timestamp - interval {self.ttl} seconds then {f} end"

    def history(self):
        if not self.created:
            return f"'{self.path}'"
        versions = ", ".join([*self.keys, "event_timestamp"])
        return f"(select * from '{self.path}' qualify row_number() over (partition by {versions} order by created desc) = 1)"

    def join(self, entities):
        fresh = self.fresh("f.event_timestamp")
        names = ", ".join(f"{fresh(f'f.{name}')} as {name}" for name in self.features)
        return self.connect(entities).sql(
            f"select e.__row, {names} from entities e asof left join {self.history()} f "
            f"on {self.on('e', 'f')} and e.event_timestamp >= f.event_timestamp").to_arrow_reader(BATCH)

    def latest(self):
        order = "event_timestamp desc" + (", created desc" if self.created else "")
        return self.connect().sql(
            f"select * from '{self.path}' qualify row_number() over (partition by {', '.join(self.keys)} order by {order}) = 1"
        ).to_arrow_reader(BATCH)


class TunedDuckDB(DuckDB):
    """Only rows of keys that are asked for, only their keys and times; features of the winners by a second scan."""

    def join(self, entities):
        keys = ", ".join(self.keys)
        names = ", ".join(f"x.{name}" for name in self.features)
        columns = ", ".join(self.features)
        connection = self.connect(entities)
        connection.sql("set preserve_insertion_order = false")
        read = f"read_parquet('{self.path}', file_row_number = true)"
        connection.sql(
            f"create temp table history as select {keys}, event_timestamp, file_row_number as r from {read} h "
            f"semi join entities e on {self.on('h', 'e')}")
        fresh = self.fresh("f.event_timestamp")
        connection.sql(
            f"create temp table won as select e.__row, {', '.join('f.' + k for k in self.keys)}, f.event_timestamp, {fresh('f.r')} as r "
            f"from entities e asof left join history f on {self.on('e', 'f')} and e.event_timestamp >= f.event_timestamp")
        if self.created:  # ASOF took any of a winner's versions
            version = f"{keys}, event_timestamp"
            connection.sql(
                f"create temp table versions as select {version}, list(r) as r from (select {version}, r from history h "
                f"semi join (select * from won where r is not null) w on {self.on('h', 'w')} and h.event_timestamp = w.event_timestamp) "
                f"group by all having count(*) > 1")
            connection.sql(
                f"create temp table best as select {version}, arg_max(v.r, c.created) as r from (select {version}, unnest(r) as r from versions) v "
                f"join (select file_row_number as r, created from {read} where file_row_number in (select unnest(r) from versions)) c using (r) "
                f"group by all")
            connection.sql(
                f"update won set r = best.r from best where won.r is not null and {self.on('won', 'best')} "
                "and won.event_timestamp = best.event_timestamp")
        return connection.sql(
            f"select won.__row, {names} from won left join (select file_row_number as r, {columns} from {read} "
            "where file_row_number in (select r from won)) x on won.r = x.r").to_arrow_reader(BATCH)


class Polars(Peer):
    """join_asof over a lazy scan, with what it needs sorted."""

    def join(self, entities):
        left = pl.from_arrow(entities).lazy().select("__row", "event_timestamp", *self.keys).sort("event_timestamp")
        order = ["event_timestamp", "created"] if self.created else ["event_timestamp"]
        right = pl.scan_parquet(self.path).sort(order)
        tolerance = None if self.ttl is None else f"{self.ttl}s"
        joined = left.join_asof(right, on="event_timestamp", by=self.keys, strategy="backward", tolerance=tolerance)
        return joined.select("__row", *self.features).collect().to_arrow()

    def latest(self):
        order = ["event_timestamp", "created"] if self.created else ["event_timestamp"]
        return pl.scan_parquet(self.path).sort(order).group_by(self.keys).last().collect().to_arrow()


class Dataset(Peer):
    """A pyarrow dataset, streamed."""

    def all(self):
        scanner = ds.dataset(self.path).scanner()
        return pa.RecordBatchReader.from_batches(scanner.projected_schema, scanner.to_batches())


ENGINES = {"duckdb": DuckDB, "tuned": TunedDuckDB, "polars": Polars, "dataset": Dataset}


class Server(fl.FlightServerBase):
    def __init__(self, peer):
        super().__init__("grpc://127.0.0.1:0")
        self.peer = peer

    def do_exchange(self, context, descriptor, reader, writer):
        entities = reader.read_all()
        answer = self.peer.join(entities.append_column("__row", pa.array(np.arange(len(entities)))))
        writer.begin(answer.schema)
        for batch in answer if isinstance(answer, pa.RecordBatchReader) else answer.to_batches(BATCH):
            writer.write_batch(batch)

    def do_get(self, context, ticket):
        return fl.RecordBatchStream(self.peer.all() if ticket.ticket == b"all" else self.peer.latest())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("path")
    parser.add_argument("spec", type=json.loads)
    args = parser.parse_args()
    server = Server(ENGINES[args.engine](args.path, args.spec))
    print(server.port, flush=True)
    server.serve()
