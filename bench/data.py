"""Deterministic data for the benchmark: feature rows in Parquet as pyarrow writes them by default, entity rows in Arrow."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = np.datetime64("2024-01-01", "us")
MONTH_US = 30 * 86_400 * 1_000_000
CHUNK = 1_000_000


def feature_rows(path, rows, keys, features, seed=7):
    """Writes rows of (entity_id int64, event_timestamp timestamp[us], f0.. float64) in random order; snappy."""
    if os.path.exists(path):
        return
    rng = np.random.default_rng(seed)
    writer = None
    for lo in range(0, rows, CHUNK):
        n = min(CHUNK, rows - lo)
        columns = {
            "entity_id": rng.integers(0, keys, n),
            "event_timestamp": START + rng.integers(0, MONTH_US, n).astype("timedelta64[us]"),
        }
        for f in range(features):
            columns[f"f{f}"] = rng.random(n)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path + ".tmp", table.schema, compression="snappy")
        writer.write_table(table)
    writer.close()
    os.rename(path + ".tmp", path)


def entity_rows(rows, keys, seed=11):
    """Entity rows of (entity_id, event_timestamp, label) in random order, over the same keys and month."""
    rng = np.random.default_rng(seed)
    return pa.table({
        "entity_id": rng.integers(0, keys, rows),
        "event_timestamp": START + rng.integers(0, MONTH_US, rows).astype("timedelta64[us]"),
        "label": rng.integers(0, 2, rows).astype("int8"),
    })
