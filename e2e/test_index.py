"""Indexes that are kept from call to call (limits.index): the answers are those without, also when files change."""

import json
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import server
from server import exchange_table

ROWS = 600_000
KEYS = 500
START = np.datetime64("2024-01-01", "us")
SETTLED = 3.5  # seconds after which a file counts as one that does not change


def rows(seed, n):
    rng = np.random.default_rng(seed)
    return pa.table({"k": rng.integers(0, KEYS, n), "event_timestamp": START + rng.integers(0, 10**9, n).astype("timedelta64[us]"), "v": rng.random(n)})


def replace(table, path):
    pq.write_table(table, str(path) + ".new", row_group_size=100_000)
    os.replace(str(path) + ".new", path)


@pytest.fixture
def servers(tmp_path, serve):
    """Two servers over a file of history and a folder, the second without indexes."""
    (tmp_path / "folder").mkdir()
    pq.write_table(rows(0, ROWS), tmp_path / "stats.parquet", row_group_size=100_000)
    pq.write_table(rows(1, ROWS), tmp_path / "folder" / "a.parquet")
    views = {name: {"store": "main", "source": source, "keys": ["k"], "timestamp": "event_timestamp"}
             for name, source in (("stats", "stats.parquet"), ("folder", "folder"))}
    config = {"stores": {"main": {"type": "file", "root": str(tmp_path)}}, "feature_views": views}
    (tmp_path / "plain").mkdir()
    time.sleep(SETTLED)
    with serve(tmp_path, {**config, "limits": {"index": "64MiB"}}).client() as kept, serve(tmp_path / "plain", config).client() as plain:
        yield kept, plain, tmp_path


def check(kept, plain, view):
    """Asks both servers, and returns the first one's plan for the same once more."""
    entities = rows(9, 1000).drop(["v"])
    ask = {"historical": {"features": [view]}}
    assert exchange_table(kept, ask, entities).equals(exchange_table(plain, ask, entities))
    ask["historical"]["entity_rows"] = server.inline(entities)
    explained = list(kept.do_action(fl.Action("flightd.explain", server.command(ask))))
    return " ".join(json.loads(explained[0].body.to_pybytes())["plan"])


def test_index(servers):
    kept, plain, folder = servers
    for _ in range(2):
        plan = check(kept, plain, "stats")
        assert "stats: 6 parts by a kept index" in plan and "stats: 0 of 6 parts" in plan, plan
    replace(rows(2, ROWS), folder / "stats.parquet")
    plan = check(kept, plain, "stats")
    assert "kept index" not in plan and "stats: 6 of 6 parts" in plan, plan  # it may still change
    time.sleep(SETTLED)
    assert "stats: 6 parts by a kept index" in check(kept, plain, "stats")


def test_index_of_a_growing_folder(servers):
    kept, plain, folder = servers
    assert "by a kept index" in check(kept, plain, "folder")
    pq.write_table(rows(3, 1000), folder / "folder" / "b.parquet")
    plan = check(kept, plain, "folder")
    assert "by a kept index" in plan and "folder: 1 of 2 parts" in plan, plan
    os.remove(folder / "folder" / "a.parquet")
    assert "kept index" not in check(kept, plain, "folder")
