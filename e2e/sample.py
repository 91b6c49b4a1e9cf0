"""A small fixed catalog that most contract tests share."""

import datetime
import os

import pyarrow as pa
import pyarrow.parquet as pq

import server

DAY = datetime.datetime(2024, 1, 1)


def at(hour, minute=0):
    return DAY + datetime.timedelta(hours=hour, minutes=minute)


def instants(*hours, unit="us"):
    return pa.array([None if h is None else at(h) for h in hours], pa.timestamp(unit))


TABLES = {
    "driver_stats": pa.table({
        "driver_id": pa.array([1, 1, 2, 2, 3], pa.int64()),
        "event_timestamp": instants(8, 10, 9, 20, 1),
        "created": instants(8, 11, 9, 20, 1),
        "conv_rate": [0.1, 0.2, 0.3, 0.4, 0.5],
        "acc_rate": pa.array([1.5, None, 2.5, 3.5, 4.5], pa.float32()),
        "avg_daily_trips": pa.array([10, 20, 30, 40, 50], pa.int32()),
    }),
    "customer_stats": pa.table({
        "customer": ["ann", "bob", "ann"],
        "event_timestamp": instants(5, 6, 7),
        "balance": [100, 200, 300],
        "avg_daily_trips": pa.array([7, 8, 9], pa.int32()),
    }),
    "weather": pa.table({"event_timestamp": instants(6, 12), "temp": [3.5, 7.25]}),
}

CONFIG = {
    "stores": {"main": {"type": "file", "root": "./data"}},
    "feature_views": {
        "driver_stats": {"store": "main", "source": "driver_stats.parquet", "keys": ["driver_id"], "timestamp": "event_timestamp",
                         "created": "created", "ttl": "6h", "features": ["conv_rate", "acc_rate", "avg_daily_trips"]},
        "customer_stats": {"store": "main", "source": "customer_stats.parquet", "keys": ["customer_id"], "timestamp": "event_timestamp",
                           "field_mapping": {"customer": "customer_id"}},
        "weather": {"store": "main", "source": "weather.parquet", "timestamp": "event_timestamp"},
        "no_source": {"store": "main", "source": "gone.parquet", "keys": ["driver_id"], "timestamp": "event_timestamp"},
        "broken": {"store": "main", "source": "broken.parquet", "keys": ["driver_id"], "timestamp": "event_timestamp"},
        "lacks_column": {"store": "main", "source": "weather.parquet", "timestamp": "event_timestamp", "features": ["wind"]},
    },
    "feature_services": {
        "driver_activity": {"features": ["driver_stats:conv_rate", "customer_stats"]},
        "unlogged": {"features": ["driver_stats"]},
    },
}

ENTITIES = pa.table({
    "driver_id": pa.array([1, 2, 1, 9, None, 3], pa.int64()),
    "customer_id": ["ann", "bob", "carl", "ann", "bob", None],
    "event_timestamp": instants(12, 9, 7, 12, 12, 12, unit="ns"),
    "label": pa.array([0, 1, 0, 1, 0, 1], pa.int8()),
})

CONV_RATE = [0.2, 0.3, None, None, None, None]  # of ENTITIES; driver 3 has expired


def write(folder, tables=None):
    """Writes the sources; returns a copy of the configuration that a test may change."""
    data = os.path.join(str(folder), "data")
    os.makedirs(data, exist_ok=True)
    for name, table in (TABLES if tables is None else tables).items():
        pq.write_table(table, os.path.join(data, name + ".parquet"))
    with open(os.path.join(data, "broken.parquet"), "wb") as f:
        f.write(b"PAR1 this is not Parquet, whatever its name says PAR1")
    return {**CONFIG, "feature_views": dict(CONFIG["feature_views"]), "feature_services": dict(CONFIG["feature_services"])}


def historical(*features, **more):
    return {"historical": {"features": list(features), **more}}


def joined(**more):
    """A request with entity rows inline."""
    return historical("driver_stats:conv_rate", entity_rows=server.inline(ENTITIES), **more)
