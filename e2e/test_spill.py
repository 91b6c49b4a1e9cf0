"""Entity rows that are too many for the server's memory (limits.spill_dir): the answer is that of a server with enough of it."""

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

from server import exchange_table

ROWS = 1_500_000
START = np.datetime64("2024-01-01", "us")


def table(seed, n):
    rng = np.random.default_rng(seed)
    return pa.table({
        "k": rng.integers(0, 100_000, n), "event_timestamp": START + rng.integers(0, 10**12, n).astype("timedelta64[us]"),
        "v": rng.random(n), "label": pa.array(rng.integers(0, 50, n).astype(str)).dictionary_encode(),
    })


@pytest.fixture
def config(tmp_path):
    pq.write_table(table(0, 300_000), tmp_path / "stats.parquet")
    view = {"store": "main", "source": "stats.parquet", "keys": ["k"], "timestamp": "event_timestamp", "features": ["v"]}
    return {"stores": {"main": {"type": "file", "root": str(tmp_path)}}, "feature_views": {"stats": view}}


def test_spill(tmp_path, serve, config):
    entities = table(1, ROWS).drop(["v"])
    ask = {"historical": {"features": ["stats"], "report": True}}
    folders = [tmp_path / name for name in ("plain", "small", "spilling")]
    for folder in folders:
        folder.mkdir()
    with serve(folders[0], config).client() as plain:
        want = exchange_table(plain, ask, entities, batch_rows=20_000)
    assert want.column("v").null_count < ROWS
    small = {**config, "limits": {"memory": "40MiB"}}
    with serve(folders[1], small).client() as client, pytest.raises((fl.FlightServerError, pa.ArrowInvalid), match="limits.spill_dir"):
        exchange_table(client, ask, entities, batch_rows=20_000)
    small["limits"] = {"memory": "40MiB", "spill_dir": "spill"}
    server = serve(folders[2], small)
    with server.client() as client:
        assert exchange_table(client, ask, entities, batch_rows=20_000).equals(want)
    assert list((folders[2] / "spill").iterdir()) == []
