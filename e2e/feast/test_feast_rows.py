"""Entity rows of every kind that pandas can make, and the answer for each of them, row by row."""

import datetime
import decimal

import expect
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from expect import fails, historical, plain, same, uploaded
from world import at

DROPPED = fails("stock-file", "dask drops the row")
TRIPS = ["driver_stats:trips", "driver_stats:note"]


def times(*hours, zone="UTC", unit="ns"):
    stamps = pd.DatetimeIndex([at(h) for h in hours]).as_unit(unit)
    return stamps.tz_convert(zone) if zone else stamps.tz_localize(None)


def drivers(keys, hours, **more):
    return pd.DataFrame({"driver_id": keys, "event_timestamp": times(*hours), **more})


HOURS = [13, 5, 48, 30]
KEYS = [1001, 1002, 1003, 1001]
CASES = {
    "zoned": drivers(KEYS, HOURS),
    "naive": pd.DataFrame({"driver_id": KEYS, "event_timestamp": times(*HOURS, zone=None)}),
    "another zone": pd.DataFrame({"driver_id": KEYS, "event_timestamp": times(*HOURS, zone="Asia/Kathmandu")}),
    **{f"in {unit}": pd.DataFrame({"driver_id": KEYS, "event_timestamp": times(*HOURS, unit=unit)}) for unit in ("s", "ms", "us")},
    "index without a name": pytest.param(
        drivers([1001, 1001, 1002], [6, 6, 12]).set_axis([7, 3, 5]),
        marks=fails("stock-file", "dask makes equal rows one")),
    "named index": pytest.param(
        drivers([1001, 1002], [6, 12]).set_axis(pd.Index([7, 3], name="row")), marks=fails("stock", "drops the index")),
    "two indexes": pytest.param(
        drivers([1001, 1002], [6, 12]).set_axis(pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["i", None])),
        marks=fails("stock", "drops the index")),
    "equal rows": pytest.param(drivers([1001] * 3, [6] * 3), marks=fails("stock-file", "dask makes equal rows one")),
    "equal keys, other labels": pytest.param(
        drivers([1001, 1001, 1001], [6, 6, 6], label=[0, 1, 2]), marks=fails("stock-file", "dask makes equal keys one")),
    "keys with gaps": pytest.param(
        pd.DataFrame({"driver_id": pd.array([1001, None, 1002], "Int64"), "event_timestamp": times(6, 6, 6)}),
        marks=fails("stock-file", "null keys match null keys")),
    "keys with gaps as doubles": pytest.param(
        drivers([1001.0, np.nan, 1002.0], [6, 6, 6]), marks=fails("stock-file", "null keys match null keys")),
    "unknown keys": drivers([1, 2, 1001], [6, 7, 8]),
    "before the first value": pytest.param(drivers([1001, 1001], [-1, 6]), marks=DROPPED),
    "one microsecond beyond ttl": pytest.param(
        pd.DataFrame({"driver_id": [1003, 1003], "event_timestamp": pd.DatetimeIndex(
            [at(42) + datetime.timedelta(hours=24), at(42) + datetime.timedelta(hours=24, microseconds=1)])}), marks=DROPPED),
    "time is null": pytest.param(
        pd.DataFrame({"driver_id": [1001, 1002], "event_timestamp": pd.DatetimeIndex([at(6), pd.NaT])}),
        marks=DROPPED),
    "no rows": drivers(KEYS, HOURS)[:0],
    "one row": drivers([1001], [13]),
    "columns of every type": pytest.param(drivers(
        [1001, 1002], [6, 12], text=["a", None], flag=[True, False], small=np.array([1, 2], "int8"), big=np.array([1, 2**63], "uint64"),
        real=[0.5, np.nan], single=np.array([0.5, 2], "float32"), day=[datetime.date(2026, 1, 1), None], raw=[b"\x00\xff", b""],
        money=[decimal.Decimal("1.50"), decimal.Decimal("2.25")], numbers=[[1, 2], []], other=times(0, 1, unit="ms"),
        gaps=pd.array([1, None], "Int32"), took=pd.to_timedelta([1, 2], "s")),
        marks=fails("stock-duckdb", "durations, bytes and dates do not survive pandas")),
    "category": drivers([1001, 1002, 1001], [6, 12, 18], kind=pd.Categorical(["x", "y", "x"])),
}


def category_back(table):
    """A category may come back as one or as its values."""
    values = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    return pa.table(dict(zip(table.column_names, values)))


@pytest.mark.parametrize("frame", CASES.values(), ids=CASES)
def test_entity_rows(shared, frame):
    got = shared.get_historical_features(frame, TRIPS).to_arrow()
    same(category_back(got), category_back(historical(made_utc(frame), TRIPS)))


def made_utc(frame):
    """What Feast's client does to every time before it sends rows."""
    return frame.assign(**{n: pd.to_datetime(c, utc=True) for n, c in frame.items() if pd.api.types.is_datetime64_any_dtype(c)})


def test_data_frame_and_arrow_are_one_answer(shared):
    job = shared.get_historical_features(drivers(KEYS, HOURS), TRIPS)
    table = job.to_arrow()
    same(table, historical(drivers(KEYS, HOURS), TRIPS))
    pd.testing.assert_frame_equal(in_order(job.to_df()), in_order(plain(table).to_pandas()))


def in_order(frame):
    return frame if expect.exact else frame.sort_values(["event_timestamp", "driver_id"], ignore_index=True)


@fails("stock-file", "dask makes lists text")
def test_types_stay_when_nothing_is_found(shared):
    features = [f"driver_stats:{f}" for f in ("conv_rate", "trips", "note", "seen", "scores")]
    frame = drivers([1, 2], [6, 7])
    same(shared.get_historical_features(frame, features).to_arrow(), historical(frame, features))


@pytest.mark.parametrize("zone, unit", [(None, "ns"), (None, "us"), ("Europe/Berlin", "ms")])
def test_times_as_they_are(shared, zone, unit):
    """With coerce_tz_aware off the client sends times untouched; naive is UTC."""
    shared.config.coerce_tz_aware = False
    try:
        frame = pd.DataFrame({"driver_id": KEYS, "event_timestamp": times(*HOURS, zone=zone, unit=unit)})
        got = shared.get_historical_features(frame, TRIPS).to_arrow()
    finally:
        shared.config.coerce_tz_aware = True
    same(instants(got), instants(historical(frame, TRIPS)))


def instants(table):
    """Event times without their unit and zone, which may be those that came or UTC."""
    column = table.column("event_timestamp")
    return table.set_column(1, "event_timestamp", column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()))


@fails("stock", "text is not a time")
def test_times_as_text(shared):
    text = ["2026-01-01T13:00:00Z", "2026-01-01T05:00:00Z", "2026-01-03T00:00:00Z"]  # Feast's client wants them alike
    frame = pd.DataFrame({"driver_id": KEYS[:3], "event_timestamp": text})
    same(shared.get_historical_features(frame, TRIPS).to_arrow(), historical(frame, TRIPS))


def test_time_column_with_another_name(shared):
    frame = pd.DataFrame({"when": times(*HOURS), "driver_id": KEYS})
    same(shared.get_historical_features(frame, TRIPS).to_arrow(), historical(frame, TRIPS, time_column="when"))


@fails("stock-file", "dask makes equal keys one")
def test_many_rows(shared):
    """More rows than one batch of an answer holds."""
    random = np.random.default_rng(4)
    frame = pd.DataFrame({
        "driver_id": random.choice([1001, 1002, 1003, 9], 200_000),
        "event_timestamp": pd.DatetimeIndex([at(0)]).repeat(200_000) + pd.to_timedelta(random.integers(0, 72, 200_000), "h"),
        "row": np.arange(200_000)})
    got = shared.get_historical_features(frame, TRIPS).to_arrow()
    known = frame[["driver_id", "event_timestamp"]].drop_duplicates().reset_index(drop=True)
    lookup = historical(known, TRIPS).to_pandas()
    want = frame.merge(lookup, how="left", on=["driver_id", "event_timestamp"])
    same(got, pa.table({**{n: uploaded(frame).column(n) for n in frame},
                        "trips": pa.array(want["trips"], pa.int64(), from_pandas=True), "note": pa.array(want["note"], pa.string())}))
