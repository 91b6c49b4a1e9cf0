"""A Feast repository for tests: data with every trap of a point-in-time join, its definitions, and clients of it.

The tables here are the only description of the data: they are written to Parquet for the server and read as they are by
the oracle.
"""

import datetime
import os
from datetime import timedelta, timezone

import oracle
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

T0 = datetime.datetime(2026, 1, 1, tzinfo=timezone.utc)
US = pa.timestamp("us", "UTC")
HOUR, DAY = 3600 * 10**9, 86_400 * 10**9


def at(hours):
    return T0 + timedelta(hours=hours)


def columns(names, types, rows):
    return pa.table({n: pa.array([r[i] for r in rows], t) for i, (n, t) in enumerate(zip(names, types))})


# Ties on the event time that only created decides, a row that came late, nulls in features and keys, an exact ttl.
DRIVER = columns(
    ["driver_id", "event_timestamp", "created", "conv_rate", "trips", "note", "seen", "scores"],
    [pa.int64(), US, US, pa.float32(), pa.int64(), pa.string(), US, pa.list_(pa.float64())],
    [(d, at(6 * i), at(6 * i + 1), d / 10_000 + i / 100, d % 1000 * 10 + i, f"{d}-{i}", at(i), [float(i)] * (i % 3))
     for d in (1001, 1002, 1003) for i in range(8)]
    + [(1001, at(12), at(30), 0.9, 999, "tie, created later", at(1), None),
       (1001, at(12), at(2), 0.1, 111, "tie, created earlier", at(1), None),
       (1002, at(9), at(100), None, None, None, None, None),
       (None, at(-2), at(7), 0.5, 5, "null key", at(1), [1.0])])
# A text key, naive times, no created column, no ttl.
CUSTOMER = columns(
    ["customer_id", "event_timestamp", "balance", "count", "vip"],
    [pa.string(), pa.timestamp("us"), pa.float64(), pa.int32(), pa.bool_()],
    [("c1", at(0).replace(tzinfo=None), 1.5, 10, True), ("c2", at(0).replace(tzinfo=None), 2.5, 20, False),
     ("c1", at(24).replace(tzinfo=None), None, 30, None), ("c2", at(24).replace(tzinfo=None), 4.5, 40, True)])
# Two keys whose texts run into one another: (1, "11") and (11, "1").
ROUTE = columns(
    ["a", "b", "event_timestamp", "km"], [pa.int64(), pa.string(), US, pa.int64()],
    [(1, "11", at(0), 111), (11, "1", at(1), 222), (1, "11", at(6), 333), (11, "1", at(7), 444)])
# Every name in the source is another than in the view, in nanoseconds.
NS = pa.timestamp("ns", "UTC")
VEHICLE = columns(["veh", "ts", "ins", "odo"], [pa.int64(), NS, NS, pa.int64()],
                  [(1, at(0), at(0), 100), (2, at(0), at(0), 200), (1, at(12), at(12), 150)])
CITY = columns(["event_timestamp", "load"], [US, pa.float64()], [(at(0), 0.1), (at(12), 0.2), (at(24), 0.3)])
# Two files in a folder; names with a dot and a space.
PARTS = [columns(["user id", "event.time", "total.spent", "last seen"], [pa.int64(), US, pa.float64(), pa.int64()], rows)
         for rows in ([(1, at(0), 1.0, 1), (2, at(1), 2.0, 2)], [(1, at(3), 3.0, 3)])]

# The views as the oracle needs them: under their mapped names.
VIEWS = {v.name: v for v in (
    oracle.View("driver_stats", ["driver_id"], "event_timestamp", ["conv_rate", "trips", "note", "seen", "scores"], DRIVER,
                created="created", ttl=DAY),
    oracle.View("customer_profile", ["customer_id"], "event_timestamp", ["balance", "count", "vip"], CUSTOMER),
    oracle.View("routes", ["a", "b"], "event_timestamp", ["km"], ROUTE, ttl=6 * HOUR),
    oracle.View("vehicle_view", ["vehicle_id"], "ts", ["odometer"], VEHICLE.rename_columns(["vehicle_id", "ts", "ins", "odometer"]),
                created="ins", ttl=365 * DAY),
    oracle.View("city_load", [], "event_timestamp", ["load"], CITY, ttl=365 * DAY),
    oracle.View("my view.v1", ["user id"], "event.time", ["total.spent", "last seen"], pa.concat_tables(PARTS)),
)}


def write(path, table):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pq.write_table(table, path)


def write_data(folder):
    for name, table in (("driver", DRIVER), ("customer", CUSTOMER), ("route", ROUTE), ("vehicle", VEHICLE), ("city", CITY)):
        write(os.path.join(folder, "data", f"{name}.parquet"), table)
    for i, part in enumerate(PARTS):
        write(os.path.join(folder, "data", "spent", f"part-{i}.parquet"), part)


def fields(**types):
    return [Field(name=n, dtype=t) for n, t in types.items()]


def definitions(folder):
    """Everything that is applied, by name."""
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    vehicle = Entity(name="vehicle", join_keys=["vehicle_id"], value_type=ValueType.INT64)
    start = Entity(name="start", join_keys=["a"], value_type=ValueType.INT64)
    stop = Entity(name="stop", join_keys=["b"], value_type=ValueType.STRING)
    user = Entity(name="a user", join_keys=["user id"], value_type=ValueType.INT64)

    driver_source = FileSource(name="driver_source", path="data/driver.parquet", timestamp_field="event_timestamp",
                               created_timestamp_column="created")
    driver_push = PushSource(name="driver_push", batch_source=driver_source)
    driver_stats = FeatureView(name="driver_stats", entities=[driver], ttl=timedelta(days=1), source=driver_push, schema=fields(
        driver_id=Int64, conv_rate=Float32, trips=Int64, note=String, seen=UnixTimestamp, scores=Array(Float64)))
    customer_profile = FeatureView(  # its source has no name: it is called by its path, which is absolute
        name="customer_profile", entities=[customer], ttl=timedelta(0),
        source=FileSource(path=os.path.join(folder, "data", "customer.parquet"), timestamp_field="event_timestamp"),
        schema=fields(customer_id=String, balance=Float64, count=Int32, vip=Bool))
    routes = FeatureView(
        name="routes", entities=[start, stop], ttl=timedelta(hours=6), schema=fields(a=Int64, b=String, km=Int64),
        source=FileSource(name="route_source", path="data/route.parquet", timestamp_field="event_timestamp"))
    vehicle_view = FeatureView(
        name="vehicle_view", entities=[vehicle], ttl=timedelta(days=365), schema=fields(odometer=Int64, vehicle_id=Int64),
        source=FileSource(name="vehicle_source", path="data/vehicle.parquet", timestamp_field="ts", created_timestamp_column="ins",
                          field_mapping={"veh": "vehicle_id", "odo": "odometer"}))
    city_load = FeatureView(
        name="city_load", entities=[], ttl=timedelta(days=365), schema=fields(load=Float64),
        source=FileSource(name="city_source", path="data/city.parquet", timestamp_field="event_timestamp"))
    spent = FeatureView(
        name="my view.v1", entities=[user], ttl=timedelta(0),
        source=FileSource(name="a source, in a folder", path="data/spent", timestamp_field="event.time"),
        schema=fields(**{"user id": Int64, "total.spent": Float64, "last seen": Int64}))

    def renamed(name, key):
        return driver_stats[["conv_rate", "trips"]].with_name(name).with_join_key_map({"driver_id": key})

    services = [
        FeatureService(name="two_views", features=[customer_profile[["balance"]], driver_stats[["trips", "conv_rate"]]]),
        FeatureService(name="aliases", features=[renamed("first", "first_id"), renamed("second", "second_id")]),
        FeatureService(name="logged", features=[driver_stats[["conv_rate", "trips"]]],
                       logging_config=LoggingConfig(destination=FileLoggingDestination(path="data/logs"))),
        FeatureService(name="logged_by_date", features=[driver_stats[["conv_rate", "trips"]]],
                       logging_config=LoggingConfig(destination=FileLoggingDestination(path="data/dated", partition_by=["__log_date"]))),
    ]
    # Destinations of saved datasets. Feast's client asks for them by path.
    saved = [FileSource(name=path, path=path, timestamp_field="event_timestamp") for path in ("data/saved.parquet", "data/saved_folder")]
    return [driver, customer, vehicle, start, stop, user, driver_source, driver_push, driver_stats, customer_profile, routes,
            vehicle_view, city_load, spent, *services, *saved]


class Repo:
    """A Feast repository in a folder, as the server sees it."""

    def __init__(self, folder, project="shop", store="file", data=True, **config):
        self.folder, self.project = str(folder), project
        self.registry = os.path.join(self.folder, "registry.db")
        os.makedirs(self.folder, exist_ok=True)
        if data:
            write_data(self.folder)
        self.configure(self.folder, {"registry": "registry.db", "offline_store": {"type": store}, **config})

    def configure(self, folder, config):
        with open(os.path.join(folder, "feature_store.yaml"), "w") as f:
            yaml.safe_dump({"project": self.project, "provider": "local", "entity_key_serialization_version": 3,
                            "online_store": {"type": "sqlite", "path": self.path("online.db")}, **config}, f)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def local(self):
        """The repository without any server, to apply definitions."""
        return FeatureStore(repo_path=self.folder)

    def apply(self, objects=None):
        self.local().apply(definitions(self.folder) if objects is None else objects)

    def client(self, port, name="client", registry=None, offline=None, **config):
        """An unmodified Feast client with a folder of its own, which finds its data through the server alone."""
        folder = self.path(name)
        os.makedirs(folder, exist_ok=True)
        remote = {"type": "remote", "host": "localhost", "port": port, **(offline or {})}
        self.configure(folder, {"registry": registry or self.registry, "offline_store": remote, **config})
        return FeatureStore(repo_path=folder)
