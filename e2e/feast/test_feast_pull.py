"""What materialization reads: the latest rows of a source, or all of them, under the names of the source."""

import expect
import oracle
import pyarrow as pa
import pytest
from expect import fails, loose, nanos, plain
from world import CITY, CUSTOMER, DRIVER, PARTS, ROUTE, VEHICLE, at

from feast.errors import DataSourceObjectNotFoundException, FeastJoinKeysDuringMaterialization
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.remote import RemoteOfflineStore

# Sources as they lie on disk: keys, columns to ask for, time, created.
SOURCES = {
    "driver_source": oracle.View("driver_source", ["driver_id"], "event_timestamp", ["conv_rate", "trips", "scores"], DRIVER, "created"),
    "route_source": oracle.View("route_source", ["a", "b"], "event_timestamp", ["km"], ROUTE),
    "vehicle_source": oracle.View("vehicle_source", ["veh"], "ts", ["odo"], VEHICLE, "ins"),
    "city_source": oracle.View("city_source", [], "event_timestamp", ["load"], CITY),
    "customer": oracle.View("customer", ["customer_id"], "event_timestamp", ["vip", "balance"], CUSTOMER),
    "a source, in a folder": oracle.View("a source, in a folder", ["user id"], "event.time", ["total.spent"], pa.concat_tables(PARTS)),
}
WINDOWS = {"all": (0, 1000), "bounds are part of it": (6, 12), "nothing": (500, 501)}


def source(client, name):
    found = [s for s in client.list_data_sources() if s.name == name or s.name.endswith(f"/{name}.parquet")]
    return found[0]


def pull(client, method, view, start, end, features=None, **changes):
    arguments = {"join_key_columns": view.keys, "feature_name_columns": view.features if features is None else features,
                 "timestamp_field": view.timestamp, "created_timestamp_column": view.created, "start_date": start, "end_date": end}
    call = getattr(RemoteOfflineStore, f"pull_{method}_from_table_or_query")
    return call(config=client.config, data_source=source(client, view.name), **{**arguments, **changes}).to_arrow()


def same_rows(got, want):
    """Any order of rows and columns will do, and naive times come back as UTC."""
    columns = [c.cast(pa.timestamp(c.type.unit, "UTC")) if pa.types.is_timestamp(c.type) else c for c in want.columns]
    want = pa.table(columns, names=want.column_names)
    assert sorted(got.column_names) == sorted(want.column_names)
    form = plain if expect.exact else loose
    problem = oracle.difference(form(got.select(want.column_names)), form(want), ordered=False)
    assert not problem, problem


def expected(method, view, start, end):
    if not view.keys:  # nothing to be the latest of: the client finds it
        rows = oracle.all_rows(view, view.features, start, end)
        return rows.append_column("__dummy_id", pa.array([""] * rows.num_rows, pa.string()))
    return {"latest": oracle.latest, "all": oracle.all_rows}[method](view, view.features, start, end)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("method", ["latest", "all"])
@pytest.mark.parametrize("name", SOURCES)
@fails("stock", "dask's index comes back in some cases, and lists as text", strict=False)
def test_pull(client, name, method, window):
    view, (start, end) = SOURCES[name], map(at, window)
    same_rows(pull(client, method, view, start, end), expected(method, view, nanos(start), nanos(end)))


@pytest.mark.parametrize("naive", [False, True], ids=["zoned", "naive"])
def test_dates_without_a_zone_are_utc(client, naive):
    view, bounds = SOURCES["route_source"], [at(1), at(6)]
    got = pull(client, "latest", view, *[b.replace(tzinfo=None) if naive else b for b in bounds])
    same_rows(got, expected("latest", view, *map(nanos, bounds)))


@fails("stock", "fails on dates that are null")
def test_all_without_dates(client):
    view = SOURCES["driver_source"]
    same_rows(pull(client, "all", view, None, None), oracle.all_rows(view, view.features))


@pytest.mark.parametrize("method", ["latest", "all"])
@fails("stock", "dask's index comes back in some cases, and lists as text", strict=False)
def test_no_features_are_all_columns(client, method):
    view = SOURCES["driver_source"]
    everything = [c for c in DRIVER.column_names if c not in ("driver_id", "event_timestamp", "created")]
    got = pull(client, method, view, at(0), at(1000), features=[])
    same_rows(got, {"latest": oracle.latest, "all": oracle.all_rows}[method](view, everything, nanos(at(0)), nanos(at(1000))))


def test_created_column_may_be_an_empty_name(client):
    """This is what materialization sends for a source that has none."""
    got = pull(client, "latest", SOURCES["route_source"], at(0), at(1000), created_timestamp_column="")
    same_rows(got, expected("latest", SOURCES["route_source"], nanos(at(0)), nanos(at(1000))))


def test_unknown_source(client):
    view = SOURCES["route_source"]
    with pytest.raises(DataSourceObjectNotFoundException, match="nowhere does not exist in project shop"):
        RemoteOfflineStore.pull_latest_from_table_or_query(
            client.config, FileSource(name="nowhere", path="data/route.parquet", timestamp_field="event_timestamp"),
            view.keys, view.features, view.timestamp, None, at(0), at(1)).to_arrow()


@pytest.mark.parametrize("method", ["latest", "all"])
def test_key_that_the_source_lacks(client, method):
    with pytest.raises(FeastJoinKeysDuringMaterialization, match="no_key"):
        pull(client, method, SOURCES["route_source"], at(0), at(1), join_key_columns=["a", "no_key"])


def test_column_that_the_source_lacks(client):
    with pytest.raises((KeyError, ValueError), match="no_feature"):
        pull(client, "all", SOURCES["route_source"], at(0), at(1), features=["km", "no_feature"])


# ---- what a source looks like ----

COLUMNS = {
    "driver_source": [("driver_id", "int64"), ("event_timestamp", "timestamp[us, tz=UTC]"), ("created", "timestamp[us, tz=UTC]"),
                      ("conv_rate", "float"), ("trips", "int64"), ("note", "string"), ("seen", "timestamp[us, tz=UTC]"),
                      ("scores", "list<element: double>")],
    "customer": [("customer_id", "string"), ("event_timestamp", "timestamp[us]"), ("balance", "double"), ("count", "int32"),
                 ("vip", "bool")],
    "a source, in a folder": [("user id", "int64"), ("event.time", "timestamp[us, tz=UTC]"), ("total.spent", "double"),
                              ("last seen", "int64")],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_a_source(client, name):
    got = RemoteOfflineStore().get_table_column_names_and_types_from_data_source(client.config, source(client, name))
    assert list(got) == COLUMNS[name]


@pytest.mark.parametrize("name", ["driver_source", "customer", "a source, in a folder", "driver_push"])
@fails("stock", "knows no columns of a push source", strict=False)
def test_valid_sources(client, name):
    RemoteOfflineStore().validate_data_source(client.config, source(client, name))
