"""Writes of unmodified clients: pushes, single rows, logged features. What is on disk afterwards is what counts."""

import glob
import os

import expect
import oracle
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from expect import fails, loose, plain
from world import CUSTOMER, DRIVER, PARTS, US, VEHICLE, at

from feast.data_source import PushMode
from feast.feature_logging import FeatureServiceLoggingSource
from feast.infra.offline_stores.remote import RemoteOfflineStore


def on_disk(home, name):
    return pq.read_table(home.path("data", name)).replace_schema_metadata(None)


def assert_holds(home, name, *tables):
    """The source has these rows in any order, in the types that it had."""
    want = pa.concat_tables(tables)
    problem = oracle.difference(plain(on_disk(home, name)), plain(want), ordered=False)
    assert not problem, problem


def cast(frame, like):
    return pa.table({n: pa.array(frame[n], from_pandas=True).cast(like.schema.field(n).type, safe=False) for n in like.column_names})


def drivers(*keys, hours=200):
    return pd.DataFrame({
        "driver_id": keys, "event_timestamp": pd.DatetimeIndex([at(hours + i) for i in range(len(keys))]).as_unit("ns"),
        "created": pd.DatetimeIndex([at(hours + 1)] * len(keys)).as_unit("ns"), "conv_rate": [0.5] * len(keys), "trips": [7] * len(keys),
        "note": ["pushed"] * len(keys), "seen": pd.DatetimeIndex([at(1)] * len(keys)).as_unit("ns"), "scores": [[1.0, 2.0]] * len(keys)})


def test_push(client, home):
    """Nanoseconds become microseconds and doubles floats, because that is what the source has."""
    before = on_disk(home, "driver.parquet")
    client.push("driver_push", drivers(1, 2, 3), to=PushMode.OFFLINE)
    assert_holds(home, "driver.parquet", before, cast(drivers(1, 2, 3), DRIVER))
    rows = pd.DataFrame({"driver_id": [1, 3], "event_timestamp": pd.DatetimeIndex([at(200), at(201)])})
    answer = client.get_historical_features(rows, ["driver_stats:trips"]).to_df()
    assert answer.set_index("driver_id")["trips"].to_dict().get(1) == 7, "a read after the acknowledgement sees the rows"


def test_push_online_and_offline(client, home):
    before = on_disk(home, "driver.parquet")
    client.push("driver_push", drivers(4), to=PushMode.ONLINE_AND_OFFLINE)
    assert_holds(home, "driver.parquet", before, cast(drivers(4), DRIVER))
    assert client.get_online_features(["driver_stats:trips"], [{"driver_id": 4}]).to_dict()["trips"] == [7]


def test_columns_in_another_order(client, home):
    before = on_disk(home, "driver.parquet")
    frame = drivers(5)[DRIVER.column_names[::-1]]
    client.write_to_offline_store("driver_stats", frame)
    assert_holds(home, "driver.parquet", before, cast(frame, DRIVER))


@fails("stock", "takes the columns in the order of the source only")
def test_columns_in_an_order_that_nobody_mends(client, home):
    before = on_disk(home, "driver.parquet")
    frame = drivers(6)[DRIVER.column_names[::-1]]
    client.write_to_offline_store("driver_stats", frame, reorder_columns=False)
    assert_holds(home, "driver.parquet", before, cast(frame, DRIVER))


def test_nulls(client, home):
    before = on_disk(home, "driver.parquet")
    frame = drivers(7, 8).assign(conv_rate=[None, 0.25], trips=[3.0, None], note=[None, "x"], scores=[None, [0.5]])
    client.write_to_offline_store("driver_stats", frame)
    assert_holds(home, "driver.parquet", before, cast(frame, DRIVER))


def test_naive_times_and_small_integers(client, home):
    before = on_disk(home, "customer.parquet")
    frame = pd.DataFrame({"customer_id": ["ä", ""], "event_timestamp": pd.DatetimeIndex([at(50), at(51)]).tz_localize(None),
                          "balance": [1, 2], "count": [2**31 - 1, -1], "vip": [True, False]})
    client.write_to_offline_store("customer_profile", frame)
    assert_holds(home, "customer.parquet", before, cast(frame, CUSTOMER))


@fails("stock", "never takes rows for a source with a field mapping")
def test_field_mapping(client, home):
    before = on_disk(home, "vehicle.parquet")
    frame = pd.DataFrame({"veh": [9], "ts": [at(50)], "ins": [at(51)], "odo": [900]})
    client.write_to_offline_store("vehicle_view", frame)
    assert_holds(home, "vehicle.parquet", before, cast(frame, VEHICLE))


@fails("stock", "writes to a folder as if it were a file")
def test_folder(client, home):
    """One more file, and the others untouched."""
    path = home.path("data", "spent")
    before = {f: os.stat(os.path.join(path, f)).st_mtime_ns for f in os.listdir(path) if f.endswith(".parquet")}
    frame = pd.DataFrame({"user id": [7], "event.time": [at(50)], "total.spent": [7.5], "last seen": [1]})
    client.write_to_offline_store("my view.v1", frame)
    after = {f: os.stat(os.path.join(path, f)).st_mtime_ns for f in os.listdir(path) if f.endswith(".parquet")}
    assert len(after) == len(before) + 1 and before.items() <= after.items()
    assert_holds(home, "spent", *PARTS, cast(frame, PARTS[0]))


REFUSED = {
    "missing column": (lambda t: t.drop(["trips"]), "trips"),
    "unknown column": (lambda t: t.append_column("more", pa.array([1])), "more"),
    "text for a number": (lambda t: t.set_column(4, "trips", pa.array(["seven"])), "trips"),
    "a number that does not fit": (lambda t: t.set_column(4, "trips", pa.array([7.5])), "trips"),
    "a time that does not fit": (lambda t: t.set_column(1, "event_timestamp", pa.array([1], pa.timestamp("ns", "UTC"))), "event_timestamp"),
}


@pytest.mark.parametrize("change, named", REFUSED.values(), ids=REFUSED)
def test_refused(client, home, change, named):
    """The error names the column, and the source is untouched."""
    before = on_disk(home, "driver.parquet")
    table = change(cast(drivers(10), DRIVER))
    with pytest.raises((ValueError, pa.ArrowException)) as refusal:
        RemoteOfflineStore.offline_write_batch(client.config, client.get_feature_view("driver_stats"), table, None)
    assert not expect.exact or named in str(refusal.value)
    assert on_disk(home, "driver.parquet").equals(before)


def test_refused_by_the_client(client, home):
    before = on_disk(home, "driver.parquet")
    with pytest.raises(ValueError, match="trips"):
        client.push("driver_push", drivers(11).drop(columns="trips"), to=PushMode.OFFLINE)
    assert on_disk(home, "driver.parquet").equals(before)


# ---- logged features ----

def log_rows(client, count, day=0, name="logged"):
    service = client.get_feature_service(name)
    schema = FeatureServiceLoggingSource(service, client.project).get_schema(client.registry)
    times = [at(24 * day + i) for i in range(count)]
    values = {"driver_id": list(range(count)), "__log_timestamp": times, "__log_date": [t.date() for t in times],
              "__request_id": [f"{day}-{i}" for i in range(count)]}
    for f, column in (("conv_rate", [0.5] * count), ("trips", list(range(count)))):
        values.update({f"driver_stats__{f}": column, f"driver_stats__{f}__timestamp": times, f"driver_stats__{f}__status": [2] * count})
    return service, pa.table([pa.array(values[f.name], f.type) for f in schema], schema=schema)


def test_logged_features(client, home):
    service, logs = log_rows(client, 5)
    client.write_logged_features(logs, service)
    _, more = log_rows(client, 3, day=2)
    client.write_logged_features(more, service)
    want = pa.concat_tables([logs, more])
    got = on_disk(home, "logs")
    assert not (problem := oracle.difference(loose(got.select(want.column_names)), loose(want), ordered=False)), problem


def test_logged_features_where_feast_made_folders(client, home):
    """Feast leaves a column of partition_by out of its files. Its folders are read, and written to, as they are."""
    service, logs = log_rows(client, 5, name="logged_by_date")
    home.local().write_logged_features(logs, service)
    _, more = log_rows(client, 3, day=2, name="logged_by_date")
    client.write_logged_features(more, service)
    want = pa.concat_tables([logs, more]).drop_columns(["__log_date"])
    parts = glob.glob(home.path("data", "dated", "**", "*.parquet"), recursive=True)
    got = pa.concat_tables([pq.ParquetFile(p).read() for p in parts], promote_options="permissive")
    assert not (problem := oracle.difference(loose(got.select(want.column_names)), loose(want), ordered=False)), problem


@fails("stock", "asks for a data source that nobody registers")
def test_logged_features_are_read_back(client):
    service, logs = log_rows(client, 4, day=10)
    client.write_logged_features(logs, service)
    job = client._get_provider().retrieve_feature_service_logs(service, at(240), at(243), client.config, client.registry)
    got = job.to_arrow()
    assert "__index_level_0__" not in got.column_names
    assert not (problem := oracle.difference(plain(seconds(got.select(logs.column_names))), plain(seconds(logs)), ordered=False)), problem


def seconds(table):
    """Times of features are in seconds, which Parquet does not have."""
    types = [pa.timestamp("us", "UTC") if pa.types.is_timestamp(c.type) else c.type for c in table.columns]
    return pa.table([c.cast(t) for c, t in zip(table.columns, types)], names=table.column_names)


def test_logged_features_from_a_file(client, home, tmp_path):
    service, logs = log_rows(client, 2, day=20)
    pq.write_table(logs, tmp_path / "logs.parquet")
    client.write_logged_features(tmp_path / "logs.parquet", service)
    times = on_disk(home, "logs").column("__log_timestamp").cast(US).to_pylist()
    assert sum(t >= at(480) for t in times) == 2
