"""Which features a request may name, how, and from which views; and retrieval without entity rows."""

import oracle
import pandas as pd
import pyarrow as pa
import pytest
from expect import fails, historical, nanos, same
from world import VIEWS, at

from feast.errors import FeatureNameCollisionError


def frame(**columns):
    """Entity rows with the keys of every view, at times on and between those of the sources."""
    rows = pd.DataFrame({
        "event_timestamp": pd.DatetimeIndex([at(h) for h in (0, 6, 12.5, 30, 25)]), "driver_id": [1001, 1002, 1001, 1003, 1002],
        "customer_id": ["c1", "c2", "c1", "c3", "c1"], "a": [1, 11, 1, 11, 1], "b": ["11", "1", "1", "1", "11"],
        "vehicle_id": [1, 2, 1, 3, 2], "user id": [1, 2, 1, 3, 2], "label": [0, 1, 0, 1, 0]})
    return rows.assign(**columns)


LOSES = fails("stock-file", "dask drops rows that find nothing in a view with a ttl")
TIES = fails("stock-file", "dask may take the wrong one of rows with equal times", strict=False)
FOLDER = fails("stock", "dask adds its index to the answer, duckdb does not read folders")
REQUESTS = {
    "one view": pytest.param(["driver_stats:conv_rate", "driver_stats:trips"], marks=TIES),
    "every type": pytest.param([f"driver_stats:{f}" for f in ("scores", "seen", "note", "trips", "conv_rate")], marks=TIES),
    "text key, no ttl, no created": ["customer_profile:balance", "customer_profile:count", "customer_profile:vip"],
    "two keys": pytest.param(["routes:km"], marks=LOSES),
    "field mapping": ["vehicle_view:odometer"],
    "no entity": ["city_load:load"],
    "a folder, odd names": pytest.param(["my view.v1:total.spent", "my view.v1:last seen"], marks=FOLDER),
    "views in turns": pytest.param(["driver_stats:note", "customer_profile:vip", "driver_stats:trips", "city_load:load"],
                                   marks=fails("stock", "groups the features by view")),
    "all views": pytest.param(["city_load:load", "routes:km", "my view.v1:total.spent", "driver_stats:trips", "vehicle_view:odometer",
                               "customer_profile:balance"], marks=FOLDER),
}


@pytest.mark.parametrize("features", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("full_names", [False, True], ids=["short", "full"])
def test_features(shared, features, full_names):
    got = shared.get_historical_features(frame(), features, full_feature_names=full_names).to_arrow()
    same(got, historical(frame(), features, full_names))


@fails("stock-file", "dask makes rows one that differ in a key it has not seen yet")
def test_rows_that_differ_in_one_view_only(shared):
    rows = frame()[:4].assign(driver_id=1001, event_timestamp=at(26), customer_id=["c1", "c2", "c1", "c3"])
    features = ["driver_stats:trips", "customer_profile:balance"]
    same(shared.get_historical_features(rows, features).to_arrow(), historical(rows, features))


@TIES
def test_service(shared):
    got = shared.get_historical_features(frame(), shared.get_feature_service("two_views"))
    same(got.to_arrow(), historical(frame(), ["customer_profile:balance", "driver_stats:trips", "driver_stats:conv_rate"]))


def test_one_view_under_two_names(shared):
    rows = frame(first_id=[1001, 1001, 1002, 7, 1003], second_id=[1002, 1003, 1003, 1001, 1001])
    service = shared.get_feature_service("aliases")
    features = [f"{alias}:{f}" for alias in ("first", "second") for f in ("conv_rate", "trips")]
    same(shared.get_historical_features(rows, service, full_feature_names=True).to_arrow(), historical(rows, features, full_names=True))


def test_name_that_is_taken(shared):
    service = shared.get_feature_service("aliases")
    with pytest.raises(FeatureNameCollisionError):
        shared.get_historical_features(frame(first_id=1001, second_id=1002), service)


@fails("stock", "answers with a column that nobody asked for")
def test_entity_column_named_like_a_feature(shared):
    with pytest.raises(FeatureNameCollisionError):
        shared.get_historical_features(frame(trips=1), ["driver_stats:trips"]).to_arrow()


# ---- without entity rows ----

def window(views, start, end):
    """The timeline: features along the window, at every time at which any of the views has a row."""
    rows = oracle.entity_rows([(VIEWS[v], f) for v, f in views], nanos(start), nanos(end), "timeline")
    answer, _ = oracle.historical([(VIEWS[v], f) for v, f in views], rows, "event_timestamp", full_names=False)
    return answer


WINDOWS = {
    "one view": ([("driver_stats", ["trips", "note"])], 6, 24),
    "bounds between rows": ([("driver_stats", ["trips"])], 5, 13),
    "two keys": ([("routes", ["km"])], 0, 6),
    "no entity": ([("city_load", ["load"])], 0, 12),
    "with a view without entity": ([("driver_stats", ["trips"]), ("city_load", ["load"])], 0, 18),
    "nanoseconds and mapped names": ([("vehicle_view", ["odometer"])], 0, 24),
    "nothing there": ([("driver_stats", ["trips"])], 500, 600),
}


@fails("stock-file", "answers as of the end", strict=False)
@fails("stock-duckdb", "has no such mode")
@pytest.mark.parametrize("naive", [False, True], ids=["zoned", "naive"])
@pytest.mark.parametrize("views, start, end", WINDOWS.values(), ids=WINDOWS)
def test_timeline(shared, views, start, end, naive):
    bounds = [at(h).replace(tzinfo=None) if naive else at(h) for h in (start, end)]
    features = [f"{v}:{f}" for v, fs in views for f in fs]
    got = shared.get_historical_features(features=features, start_date=bounds[0], end_date=bounds[1]).to_arrow()
    want = window(views, at(start), at(end))
    assert set(got.column_names) == set(want.column_names)
    same(got.select(want.column_names), want)


@fails("stock-file", "answers as of the end")
@fails("stock-duckdb", "has no such mode")
def test_timeline_without_a_start(shared):
    """The window is then as long as the greatest ttl: here a day."""
    got = shared.get_historical_features(features=["driver_stats:trips"], end_date=at(30)).to_arrow()
    want = window([("driver_stats", ["trips"])], at(6), at(30))
    same(got.select(want.column_names), want)


@fails("stock", "none of its file stores reads SQL")
def test_entity_rows_as_sql(shared):
    with pytest.raises(pa.ArrowNotImplementedError, match="SQL"):
        shared.get_historical_features("select 1 as driver_id", ["driver_stats:trips"]).to_arrow()
