"""Materialization by an unmodified client into SQLite, and what online reads find afterwards."""

import datetime
from datetime import timedelta

import oracle
import pyarrow as pa
import pytest
from expect import nanos
from world import US, VIEWS, at, columns, fields, write

from feast import FeatureView, FileSource
from feast.types import Int64


def online(client, view, keys, features):
    answer = client.get_online_features(features=[f"{view}:{f}" for f in features], entity_rows=keys, full_feature_names=False)
    return [tuple(answer.to_dict()[f][i] for f in features) for i in range(len(keys))]


def newest(name, keys, features, end, start=0):
    """The features of the newest row of each key in the window, or nothing."""
    view = VIEWS[name]
    rows = oracle.latest(view, view.features, nanos(at(start)), nanos(at(end))).to_pylist()
    found = [[r for r in rows if all(r[k] == key[k] for k in view.keys)] for key in keys]
    return [tuple(rows[0][f] if rows else None for f in features) for rows in found]


CUSTOMERS = [{"customer_id": c} for c in ("c1", "c2", "c3")]
DRIVERS = [{"driver_id": d} for d in (1001, 1002, 1003, 7)]
ROUTES = [{"a": a, "b": b} for a, b in ((1, "11"), (11, "1"), (1, "1"))]
VEHICLES = [{"vehicle_id": v} for v in (1, 2, 3)]
CASES = [
    ("driver_stats", DRIVERS, ["conv_rate", "trips", "note", "scores"]),
    ("customer_profile", CUSTOMERS, ["balance", "count", "vip"]),
    ("routes", ROUTES, ["km"]),
    ("vehicle_view", VEHICLES, ["odometer"]),
    ("city_load", DRIVERS[:1], ["load"]),
]
HOURS = [13, 20, 1000]


@pytest.fixture(scope="module", params=[False, True], ids=["all rows", "latest rows"])
def materializing(request, home):
    """The client as it reads by default, and as it reads with materialization.pull_latest_features."""
    config = {"materialization": {"pull_latest_features": True}} if request.param else {}
    return home.client(home.port, name="latest" if request.param else "all", **config)


@pytest.mark.parametrize("hours", HOURS)
@pytest.mark.parametrize("view, keys, features", CASES)
def test_materialize(materializing, view, keys, features, hours):
    materializing.materialize(at(0), at(hours), feature_views=[view])
    assert approximately(online(materializing, view, keys, features)) == approximately(newest(view, keys, features, hours))


def approximately(rows):
    return [tuple(round(v, 5) if isinstance(v, float) else v for v in row) for row in rows]


def test_incremental(materializing, home):
    """Where Feast looks depends on the clock, so the data does too."""
    now = datetime.datetime.now(datetime.timezone.utc)
    rows = [(1, now - timedelta(hours=h), h) for h in (5, 3, 1)]
    write(home.path("data", "fresh.parquet"), columns(["vehicle_id", "event_timestamp", "age"], [pa.int64(), US, pa.int64()], rows))
    name = f"fresh_{materializing.repo_path.name}"
    materializing.apply([FeatureView(
        name=name, entities=[materializing.get_entity("vehicle")], ttl=timedelta(days=1), schema=fields(vehicle_id=Int64, age=Int64),
        source=FileSource(name="fresh", path="data/fresh.parquet", timestamp_field="event_timestamp"))])
    for hours, age in ((4, 5), (2, 3), (0, 1)):
        materializing.materialize_incremental(now - timedelta(hours=hours), feature_views=[name])
        assert online(materializing, name, VEHICLES, ["age"]) == [(age,), (None,), (None,)]


def test_nothing_in_the_window(materializing):
    """What is there stays there."""
    materializing.materialize(at(0), at(1000), feature_views=["vehicle_view"])
    materializing.materialize(at(5000), at(5001), feature_views=["vehicle_view"])
    assert online(materializing, "vehicle_view", VEHICLES, ["odometer"]) == newest("vehicle_view", VEHICLES, ["odometer"], 1000)
