"""Deterministic data for the benchmark: feature rows in Parquet as pyarrow writes them by default, entity rows in Arrow."""

import dataclasses
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

START = np.datetime64("2024-01-01", "us")
DAY_US = 86_400 * 1_000_000
DAYS = 30
CHUNK = 1_000_000


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A source: rows of key columns, event_timestamp, perhaps created, and float64 features f0, f1 ..., snappy."""

    rows: int
    keys: int
    features: int = 5
    order: str = "random"  # or time, key
    key: str = "int"  # or text, two, zipf
    created: bool = False  # with it, a hundredth of the rows has the key and time of another row

    @property
    def key_columns(self):
        return ["entity_group", "entity_id"] if self.key == "two" else ["entity_id"]

    @property
    def feature_columns(self):
        return [f"f{i}" for i in range(self.features)]

    @property
    def name(self):
        return f"r{self.rows}-k{self.keys}-f{self.features}-{self.order}-{self.key}{'-created' if self.created else ''}.parquet"

    def draw(self, rng, n):
        """n random keys as numbers."""
        if self.key == "zipf":
            return (rng.zipf(1.1, n) - 1) % self.keys
        return rng.integers(0, self.keys, n)

    def columns(self, numbers):
        """Keys as the columns that they are in."""
        if self.key == "two":
            return {"entity_group": numbers // 1000, "entity_id": numbers % 1000}
        if self.key == "text":
            padded = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0")
            return {"entity_id": pc.binary_join_element_wise("user_", padded, "")}
        return {"entity_id": numbers}

    def write(self, folder):
        """The file's path; it is made if it is not there."""
        path = os.path.join(folder, self.name)
        if os.path.exists(path):
            return path
        rng = np.random.default_rng(7)
        chunks = -(-self.rows // CHUNK)
        writer = None
        for i in range(chunks):
            n = min(CHUNK, self.rows - i * CHUNK)
            # Sorted files are made of chunks of ascending slices of the month, or of the keys.
            span = DAYS * DAY_US / (chunks if self.order == "time" else 1)
            times = (i * span if self.order == "time" else 0) + rng.random(n) * span
            times = times.astype("int64")
            keys = self.draw(rng, n)
            if self.order == "key":
                keys = (i * self.keys + keys) // chunks
            if self.created:
                again = rng.integers(0, n, n // 100)
                of = rng.integers(0, n, n // 100)
                keys[again], times[again] = keys[of], times[of]
            order = {"random": slice(None), "time": np.argsort(times, kind="stable"), "key": np.lexsort((times, keys))}[self.order]
            keys, times = keys[order], times[order]
            columns = {**self.columns(keys), "event_timestamp": START + times.astype("timedelta64[us]")}
            if self.created:
                columns["created"] = START + (times + rng.integers(0, DAY_US, n)).astype("timedelta64[us]")
            columns.update({f: rng.random(n) for f in self.feature_columns})
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(path + ".tmp", table.schema, compression="snappy")
            writer.write_table(table)
        writer.close()
        os.rename(path + ".tmp", path)
        return path

    def entity_rows(self, rows, days=(0, DAYS)):
        """Entity rows over the same keys, with times between two days, in random order."""
        rng = np.random.default_rng(11)
        lo, hi = (int(d * DAY_US) for d in days)
        return pa.table({
            **self.columns(self.draw(rng, rows)),
            "event_timestamp": START + rng.integers(lo, hi, rows).astype("timedelta64[us]"),
            "label": rng.integers(0, 2, rows).astype("int8"),
        })
