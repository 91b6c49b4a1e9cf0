"""Section 4 of the interface: every Flight call that reads, and the staging of entity rows. Section 5: the match report."""

import datetime
import json
import os
import re

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import sample
import server
import wire
from sample import ENTITIES, TABLES, historical, joined
from server import batches, descriptor, exchange, exchange_table, get, inline, report_of, stage

ALL_COLUMNS = ["driver_id", "conv_rate", "acc_rate", "avg_daily_trips", "event_timestamp", "created"]


# ---- DoGet ----

def test_doget_historical(client):
    answer = get(client, joined())
    assert answer.schema.names == ENTITIES.schema.names + ["conv_rate"]
    assert answer.select(ENTITIES.schema.names).equals(ENTITIES)
    assert answer.column("conv_rate").to_pylist() == sample.CONV_RATE


def test_doget_all_and_latest(client):
    everything = get(client, {"all": {"view": "driver_stats"}})
    assert everything.equals(TABLES["driver_stats"].select(ALL_COLUMNS))
    newest = get(client, {"latest": {"view": "driver_stats", "features": ["conv_rate"]}})
    assert newest.schema.names == ["driver_id", "conv_rate", "event_timestamp", "created"]
    assert sorted(newest.column("conv_rate").to_pylist()) == [0.2, 0.4, 0.5]
    bounded = get(client, {"all": {"view": "driver_stats", "start": "2024-01-01T09:00:00", "end": "2024-01-01T11:00:00+01:00"}})
    assert bounded.column("conv_rate").to_pylist() == [0.2, 0.3]


@pytest.mark.parametrize("request_", [
    {"all": {"view": "driver_stats", "end": "1999-01-01T00:00:00Z"}},
    {"latest": {"view": "driver_stats", "end": "1999-01-01T00:00:00Z"}},
    historical("driver_stats", end="1999-01-01T00:00:00Z"),
    historical("driver_stats", end="1999-01-01T00:00:00Z", mode="snapshot"),
    historical("driver_stats", entity_rows=inline(ENTITIES.slice(0, 0))),
], ids=lambda r: next(iter(r)))
def test_empty_answers_have_a_schema(client, request_):
    answer = get(client, request_)
    assert answer.num_rows == 0
    assert {"driver_id", "conv_rate", "event_timestamp"} <= set(answer.schema.names)
    assert answer.schema.field("conv_rate").type == pa.float64()


@pytest.fixture(scope="module")
def wide(tmp_path_factory, serve_module):
    """A server over 200,000 rows, narrow ones and wide ones, in one row group each."""
    folder = tmp_path_factory.mktemp("wide")
    rows = 200_000
    times = pa.array(range(rows), pa.int64()).cast(pa.timestamp("us"))
    narrow = pa.table({"k": pa.array(range(rows), pa.int64()), "event_timestamp": times, "b": pa.array([True] * rows)})
    wide = pa.table({"k": pa.array(range(3000), pa.int64()), "event_timestamp": times.slice(0, 3000),
                     "text": ["x" * 5000 if i != 1500 else "x" * (9 << 20) for i in range(3000)]})
    pq.write_table(narrow, folder / "narrow.parquet", row_group_size=rows)
    pq.write_table(wide, folder / "wide.parquet")
    view = lambda name: {"store": "main", "source": name + ".parquet", "keys": ["k"], "timestamp": "event_timestamp"}
    s = serve_module(folder, {"stores": {"main": {"type": "file", "root": str(folder)}},
                              "feature_views": {"narrow": view("narrow"), "wide": view("wide")}})
    return s.client(), narrow, wide


def test_batch_sizes(wide):
    client, narrow, wide_table = wide
    for request, table in (({"all": {"view": "narrow"}}, narrow), ({"all": {"view": "wide"}}, wide_table),
                           ({"latest": {"view": "wide"}}, wide_table)):
        chunks = [batch for batch, _ in batches(client, request)]
        assert sum(len(b) for b in chunks) == len(table)
        assert all(len(b) <= 65_536 for b in chunks)
        assert all(b.nbytes <= (4 << 20) or len(b) == 1 for b in chunks)
        assert len(chunks) <= 4 + 3 * table.nbytes / (2 << 20), "batches are much smaller than 2 MiB"
    entities = wide_table.select(["k", "event_timestamp"])
    _, chunks = exchange(client, historical("wide", "narrow:b"), entities)
    assert all(b.nbytes <= (4 << 20) or len(b) == 1 for b, _ in chunks)
    assert pa.Table.from_batches([b for b, _ in chunks]).column("text").equals(wide_table.column("text"))


def test_one_client_many_rows_one_row_batches(client):
    many = pa.concat_tables([ENTITIES] * 400)
    answer = exchange_table(client, historical("driver_stats:conv_rate"), many, 1)
    assert answer.column("conv_rate").to_pylist() == sample.CONV_RATE * 400


# ---- DoExchange ----

def test_exchange(client):
    answer = exchange_table(client, historical("driver_stats:conv_rate", "weather"), ENTITIES, 2)
    assert answer.schema.names == ENTITIES.schema.names + ["conv_rate", "temp"]
    assert answer.column("temp").to_pylist() == [7.25, 3.5, 3.5, 7.25, 7.25, 7.25]


def test_exchange_without_rows_and_without_batches(client):
    for table in (ENTITIES.slice(0, 0),):
        schema, chunks = exchange(client, historical("driver_stats:conv_rate"), table)
        assert schema.names == ENTITIES.schema.names + ["conv_rate"]
        assert sum(len(b) for b, _ in chunks) == 0


def test_exchange_that_closes_at_once_is_an_error(world):
    message = wire.flight_data(descriptor=wire.command(server.command(historical("driver_stats"))))
    code, details, _ = wire.call(world.address, "DoExchange", message)
    assert code.name == "INVALID_ARGUMENT" and details


def test_feature_services_and_names(client):
    answer = exchange_table(client, {"historical": {"feature_service": "driver_activity"}}, ENTITIES)
    assert answer.schema.names == ENTITIES.schema.names + ["conv_rate", "balance", "avg_daily_trips"]
    assert answer.column("balance").to_pylist() == [300, 200, None, 300, 200, None]
    answer = exchange_table(client, historical("driver_stats", "customer_stats", full_feature_names=True), ENTITIES)
    assert answer.schema.names[len(ENTITIES.schema.names):] == [
        "driver_stats__conv_rate", "driver_stats__acc_rate", "driver_stats__avg_daily_trips",
        "customer_stats__balance", "customer_stats__avg_daily_trips"]


def test_known_at(client):
    answer = exchange_table(client, historical("driver_stats:conv_rate", known_at=True),
                            pa.table({"driver_id": [1, 1], "event_timestamp": sample.instants(10, 11)}))
    assert answer.column("conv_rate").to_pylist() == [0.1, 0.2]


def test_pandas_metadata_and_field_metadata(client):
    """P33: unnamed index columns and pandas' metadata are not returned; field metadata and extension types are."""
    fields = [f.with_metadata({"unit": "id"}) if f.name == "label" else f for f in ENTITIES.schema]
    indexed = pa.table(ENTITIES.columns, schema=pa.schema(fields, {"pandas": "{}", "other": "x"}))
    indexed = indexed.append_column("__index_level_0__", pa.array(range(len(ENTITIES))))
    answer = exchange_table(client, historical("driver_stats:conv_rate"), indexed)
    assert answer.schema.names == ENTITIES.schema.names + ["conv_rate"]
    assert answer.schema.metadata is None
    assert answer.schema.field("label").metadata == {b"unit": b"id"}

    extension = pa.table(ENTITIES.columns + [pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * 6, pa.binary(16)))],
                         names=ENTITIES.schema.names + ["id"])
    answer = exchange_table(client, historical("driver_stats:conv_rate"), extension)
    assert answer.schema.field("id").type == pa.uuid()


# ---- GetFlightInfo, GetSchema, ListFlights ----

def test_flight_info(client):
    info = client.get_flight_info(descriptor(joined()))
    assert info.schema.names == ENTITIES.schema.names + ["conv_rate"]
    assert info.total_records == len(ENTITIES)
    assert [e.locations for e in info.endpoints] == [[]]
    assert client.do_get(info.endpoints[0].ticket).read_all().equals(get(client, joined()))

    info = client.get_flight_info(descriptor({"all": {"view": "driver_stats"}}))
    assert info.total_records == 5 and len(info.endpoints) == 1
    info = client.get_flight_info(descriptor({"latest": {"view": "driver_stats"}}))
    assert info.schema.names == ALL_COLUMNS and info.total_records in (-1, 3)


def test_flight_info_by_path(client):
    info = client.get_flight_info(fl.FlightDescriptor.for_path("driver_stats"))
    assert info.schema.names == ALL_COLUMNS
    assert client.do_get(info.endpoints[0].ticket).read_all().equals(get(client, {"all": {"view": "driver_stats"}}))
    assert client.get_schema(fl.FlightDescriptor.for_path("driver_stats")).schema == info.schema


@pytest.mark.parametrize("parts", [1, 2, 4, 50])
def test_parts(client, parts):
    for request in (joined(), {"all": {"view": "driver_stats"}}):
        info = client.get_flight_info(descriptor({**request, "parts": parts}))
        assert 1 <= len(info.endpoints) <= parts
        tables = [client.do_get(e.ticket).read_all() for e in info.endpoints]
        whole, got = get(client, request), pa.concat_tables(tables)
        key = lambda t: sorted(map(repr, t.to_pylist()))
        assert got.equals(whole) if "historical" in request else key(got) == key(whole)


def test_schemas(client):
    schema = lambda request: client.get_schema(descriptor(request)).schema
    assert schema({"all": {"view": "driver_stats"}}) == get(client, {"all": {"view": "driver_stats"}}).schema
    assert schema({"latest": {"view": "customer_stats", "features": ["balance"]}}).names == ["customer_id", "balance", "event_timestamp"]
    assert schema(joined()) == get(client, joined()).schema
    assert schema(historical("driver_stats", end="2024-01-02T00:00:00Z")).names == [
        "driver_id", "event_timestamp", "conv_rate", "acc_rate", "avg_daily_trips"]
    features = schema({"historical": {"feature_service": "driver_activity"}})
    assert features.names == ["conv_rate", "balance", "avg_daily_trips"]
    assert schema(historical("driver_stats:conv_rate", full_feature_names=True)).names == ["driver_stats__conv_rate"]


def test_list_flights(client):
    entries = {tuple(p.decode() for p in info.descriptor.path): info for info in client.list_flights()}
    for name in sample.CONFIG["feature_views"]:
        info = entries[(name,)]
        if name in ("no_source", "broken", "lacks_column"):
            assert info.schema.names == []
            continue
        answer = client.do_get(info.endpoints[0].ticket).read_all()
        assert answer.schema == info.schema and json.loads(info.endpoints[0].ticket.ticket) == {"all": {"view": name}}
    services = [path for path in entries if len(path) > 1 or path[0] in sample.CONFIG["feature_services"]]
    assert {path[-1] for path in services} == set(sample.CONFIG["feature_services"])


def test_list_actions(client):
    for action in client.list_actions():
        assert action.type and action.description


def test_documented_fields(world, client):
    """The fields of JSON that docs/flight.md shows are those that are there."""
    with open(os.path.join(server.ROOT, "docs", "flight.md")) as f:
        shown = {name: json.loads(text) for name, text in re.findall(r"(?s)\n```json (\w+)\n(.*?)\n```", f.read())}
    listed = {info.descriptor.path[0]: info.app_metadata for info in client.list_flights()}
    assert list(json.loads(listed[b"driver_stats"])) == list(shown.pop("ListFlights"))
    explained = list(client.do_action(fl.Action("flightd.explain", server.command({"all": {"view": "driver_stats"}}))))
    assert list(json.loads(explained[0].body.to_pybytes())) == list(shown.pop("explain"))
    exchange_table(client, historical("driver_stats:conv_rate"), ENTITIES)
    logged = [e for e in world.log_entries() if e.get("call") == "DoExchange" and e["views"] == ["driver_stats"]][-1]
    assert list(logged) == list(shown.pop("log"))
    report = shown.pop("report")
    assert list(report) == ["views"] and list(report["views"]["driver_stats"]) == list(REPORT["views"]["driver_stats"])
    assert not shown


# ---- staging ----

def test_staged_rows(client):
    before = datetime.datetime.now(datetime.timezone.utc)
    answer = stage(client, ENTITIES, 2)
    assert answer["rows"] == len(ENTITIES)
    expires = datetime.datetime.fromisoformat(answer["expires"].replace("Z", "+00:00")[:19] + "+00:00")
    assert datetime.timedelta(minutes=14) < expires - before < datetime.timedelta(minutes=16)
    assert len(answer["entity_rows_id"]) >= 16
    request = historical("driver_stats:conv_rate", entity_rows_id=answer["entity_rows_id"])
    for _ in range(2):  # any number of times
        assert get(client, request).equals(get(client, joined()))
    assert client.get_flight_info(descriptor(request)).total_records == len(ENTITIES)
    assert client.get_schema(descriptor(request)).schema == get(client, joined()).schema
    assert stage(client, ENTITIES)["entity_rows_id"] != answer["entity_rows_id"]


def test_staging_no_rows(client):
    answer = stage(client, ENTITIES.slice(0, 0))
    assert answer["rows"] == 0
    assert get(client, historical("driver_stats", entity_rows_id=answer["entity_rows_id"])).num_rows == 0


def test_staged_rows_expire(serve, tmp_path):
    config = sample.write(tmp_path)
    config["limits"] = {"staged_for": "1s"}
    s = serve(tmp_path, config)
    with s.client() as client:
        request = historical("driver_stats", entity_rows_id=stage(client, ENTITIES)["entity_rows_id"])
        assert get(client, request).num_rows == len(ENTITIES)
        gone = lambda: wire.do_get(s.address, server.command(request))[0].name == "NOT_FOUND"
        server.wait_until(gone, 10, "the expiry of staged rows")


# ---- the match report ----

REPORT = {"views": {
    "driver_stats": {"rows": 6, "matched": 2, "expired": 1, "not_yet": 1, "unknown_key": 1, "null_key": 1},
    "customer_stats": {"rows": 6, "matched": 4, "expired": 0, "not_yet": 0, "unknown_key": 1, "null_key": 1},
    "weather": {"rows": 6, "matched": 6, "expired": 0, "not_yet": 0, "unknown_key": 0, "null_key": 0},
}}


def test_report(client):
    ask = historical("driver_stats:conv_rate", "customer_stats:balance", "weather", report=True)
    _, chunks = exchange(client, ask, ENTITIES)
    assert report_of(chunks) == REPORT
    ask["historical"]["entity_rows"] = inline(ENTITIES)
    assert report_of(batches(client, ask)) == REPORT
    _, chunks = exchange(client, historical("driver_stats:conv_rate"), ENTITIES)
    assert all(metadata is None for _, metadata in chunks)


def test_report_of_no_rows(client):
    _, chunks = exchange(client, historical("driver_stats:conv_rate", report=True), ENTITIES.slice(0, 0))
    assert report_of(chunks) == {"views": {"driver_stats": dict.fromkeys(REPORT["views"]["driver_stats"], 0)}}
    assert sum(len(b) for b, _ in chunks) == 0


def test_report_stands_on_the_last_of_many_batches(client):
    many = pa.concat_tables([ENTITIES] * 30_000)
    _, chunks = exchange(client, historical("driver_stats:conv_rate", report=True), many, 50_000)
    assert len(chunks) > 1
    assert report_of(chunks) == {"views": {"driver_stats": {k: v * 30_000 for k, v in REPORT["views"]["driver_stats"].items()}}}
