"""DoPut of features and logs with a real client, and `flightd put`: durable, all or nothing, once."""

import json
import os
import subprocess

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import sample
import server
from server import descriptor, get

ROWS = sample.TABLES["driver_stats"]
MORE = ROWS.slice(0, 2).set_column(3, "conv_rate", pa.array([0.9, 0.8]))


@pytest.fixture
def writable(tmp_path, serve):
    """A server over a folder view, a file view and a service with a log."""
    config = sample.write(tmp_path)
    os.makedirs(tmp_path / "data" / "parts")
    pq.write_table(ROWS, tmp_path / "data" / "parts" / "old.parquet")
    config["feature_views"]["parts"] = {**config["feature_views"]["driver_stats"], "source": "parts"}
    config["feature_services"]["driver_activity"] = {**config["feature_services"]["driver_activity"],
                                                     "log": {"store": "main", "destination": "logs/driver_activity"}}
    s = serve(tmp_path, config)
    with s.client() as client:
        yield client, tmp_path, s


def put(client, command, table, batch_rows=None):
    """DoPut; the answer as a dict."""
    d = command if isinstance(command, fl.FlightDescriptor) else descriptor(command)
    writer, reader = client.do_put(d, table.schema)
    with writer:
        writer.write_table(table, max_chunksize=batch_rows)
        writer.done_writing()
        answer = reader.read()
    return json.loads(answer.to_pybytes())


def count(client, view):
    return get(client, {"all": {"view": view}}).num_rows


@pytest.mark.parametrize("view", ["parts", "driver_stats"])
def test_rows_are_there_after_the_answer(writable, view):
    client, folder, _ = writable
    assert put(client, {"write": {"view": view, "request_id": "a"}}, MORE) == {"rows": 2, "duplicate": False}
    got = get(client, {"all": {"view": view, "features": ["conv_rate"]}})
    assert sorted(got.column("conv_rate").to_pylist()) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.8, 0.9]
    whole = pq.read_table(folder / "data" / ("parts" if view == "parts" else "driver_stats.parquet"))
    assert whole.num_rows == 7, "other readers see them too"
    latest = get(client, {"latest": {"view": view, "features": ["conv_rate"], "end": "2024-01-01T08:30:00Z"}})
    assert latest.sort_by("driver_id").column("conv_rate").to_pylist()[0] == 0.9, "of full ties the later write wins"


@pytest.mark.parametrize("view", ["parts", "driver_stats"])
def test_a_repeated_id_writes_once(writable, view):
    client, _, _ = writable
    command = {"write": {"view": view, "request_id": "again"}}
    assert put(client, command, MORE) == {"rows": 2, "duplicate": False}
    for batch_rows in (None, 1):
        assert put(client, command, MORE, batch_rows) == {"rows": 2, "duplicate": True}
    assert count(client, view) == 7
    with pytest.raises(pa.ArrowException, match="other rows|other content"):
        put(client, command, ROWS)
    assert count(client, view) == 7


def test_by_path_and_without_an_id(writable):
    client, _, _ = writable
    for _ in range(2):
        assert put(client, fl.FlightDescriptor.for_path("parts"), MORE)["duplicate"] is False
    assert count(client, "parts") == 9


def test_column_order_is_free_and_types_are_cast_if_no_value_changes(writable):
    client, _, _ = writable
    columns = MORE.schema.names[::-1]
    table = MORE.select(columns)
    table = table.set_column(columns.index("driver_id"), "driver_id", table.column("driver_id").cast(pa.int32()))
    table = table.set_column(columns.index("event_timestamp"), "event_timestamp", table.column("event_timestamp").cast(pa.timestamp("ns")))
    assert put(client, {"write": {"view": "parts"}}, table)["rows"] == 2
    assert get(client, {"all": {"view": "parts"}}).schema.field("driver_id").type == pa.int64()


def test_refused_values_in_lists_are_named(writable):
    client, folder, _ = writable
    os.makedirs(folder / "data" / "logs" / "driver_activity")
    pq.write_table(pa.table({"n": [[1]]}), folder / "data" / "logs" / "driver_activity" / "old.parquet")
    for value, reason in ((float("nan"), "is not a whole number"), (float("inf"), "is not a whole number|is out of its range")):
        with pytest.raises(pa.ArrowInvalid, match=f"column \"n\", row 2: a value in a list .* ({reason})"):
            put(client, {"log": {"feature_service": "driver_activity"}}, pa.table({"n": [[1.0], [value]]}))


@pytest.mark.parametrize("text", [pa.string(), pa.large_string()], ids=str)
def test_categories_are_written_as_their_values(writable, text):
    """What pandas and polars call a categorical comes as a dictionary of texts, of large ones from polars."""
    client, _, _ = writable
    rows = sample.TABLES["customer_stats"].slice(0, 2)
    at = rows.schema.get_field_index("customer")
    categories = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.uint32()), pa.array(["gold", "blue"], text))
    assert put(client, {"write": {"view": "customer_stats"}}, rows.set_column(at, "customer", categories))["rows"] == 2
    written = get(client, {"all": {"view": "customer_stats"}}).column("customer_id")
    assert written.type == pa.string() and written.to_pylist()[-2:] == ["blue", "gold"]


@pytest.mark.parametrize("table, words", [
    (MORE.drop(["conv_rate"]), ["conv_rate"]),
    (MORE.append_column("extra", pa.array([1, 2])), ["extra"]),
    (MORE.set_column(0, "driver_id", pa.array(["1", "2"])), ["driver_id", "int64"]),
    (MORE.set_column(3, "conv_rate", pa.array([True, False]).dictionary_encode()), ["conv_rate", "bool", "float64"]),
    (MORE.set_column(5, "avg_daily_trips", pa.array([1, 2**40])), ["avg_daily_trips", "row 2"]),
])
def test_refused_rows_change_nothing(writable, table, words):
    client, folder, _ = writable
    for view in ("parts", "driver_stats"):
        with pytest.raises(pa.ArrowInvalid) as e:
            put(client, {"write": {"view": view}}, table)
        assert all(w in str(e.value) for w in words), e.value
        assert count(client, view) == 5
    assert os.listdir(folder / "data" / "parts") in (["old.parquet"], ["old.parquet", ".stage"], [".stage", "old.parquet"])


def test_unknown_names(writable):
    client, _, _ = writable
    with pytest.raises(pa.ArrowKeyError, match="driver_stats"):
        put(client, {"write": {"view": "driver_stat"}}, MORE)
    with pytest.raises(pa.ArrowInvalid, match="log"):
        put(client, {"log": {"feature_service": "unlogged"}}, MORE)


def test_logged_features(writable):
    client, folder, _ = writable
    log = pa.table({"driver_id": [1, 2], "driver_stats__conv_rate": [0.1, 0.2], "__request_id": ["a", "b"]})
    command = {"log": {"feature_service": "driver_activity"}}
    assert put(client, command, log) == {"rows": 2, "duplicate": False}
    assert put(client, {"log": {"feature_service": "driver_activity", "request_id": "x"}}, log) == {"rows": 2, "duplicate": True}
    assert put(client, command, log.slice(1)) == {"rows": 1, "duplicate": False}
    assert pq.read_table(folder / "data" / "logs" / "driver_activity").num_rows == 3


def test_flightd_put(writable, tmp_path):
    client, _, s = writable
    pq.write_table(MORE, tmp_path / "more.parquet")
    run = lambda *a: subprocess.run([server.BINARY, "put", *a, "--server", "grpc://" + s.address], capture_output=True, text=True, timeout=60)
    done = run("parts", str(tmp_path / "more.parquet"), "--request-id", "cli")
    assert done.returncode == 0 and "2 rows written" in done.stdout, done
    done = run("parts", str(tmp_path / "more.parquet"), "--request-id", "cli")
    assert done.returncode == 0 and "nothing was written" in done.stdout
    (tmp_path / "more.csv").write_text("driver_id,event_timestamp,created,conv_rate,acc_rate,avg_daily_trips\n7,2024-01-01T08:00:00,,0.25,,3\n")
    done = run("parts", str(tmp_path / "more.csv"))
    assert done.returncode == 0 and "1 row written" in done.stdout, done
    assert count(client, "parts") == 8
    done = run("part", str(tmp_path / "more.parquet"))
    assert done.returncode == 1 and "parts" in done.stderr
