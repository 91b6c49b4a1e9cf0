"""Status codes and messages: what was wanted, what was found, the nearest known names. And how pyarrow shows them."""

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import sample
import server
import wire
from sample import ENTITIES, historical
from server import descriptor, exchange_table, get, inline, stage


def ask(*features, table=ENTITIES, **more):
    return historical(*features, entity_rows=inline(table), **more)


def service(name):
    return {"historical": {"feature_service": name, "entity_rows": inline(ENTITIES)}}


def without(column):
    return ENTITIES.drop([column])


def with_column(name, values):
    return ENTITIES.append_column(name, pa.array(values))


TEXT_KEYS = ENTITIES.set_column(0, "driver_id", pa.array(["1"] * 6))
TWICE = pa.table(ENTITIES.columns + [ENTITIES.column("label")], names=ENTITIES.schema.names + ["label"])

# (what, request, code, words of the message)
ERRORS = [
    ("unknown view", {"all": {"view": "driver_stat"}}, "NOT_FOUND", ["driver_stat", '"driver_stats"']),
    ("unknown view in latest", {"latest": {"view": "wether"}}, "NOT_FOUND", ['"weather"']),
    ("unknown view in features", ask("drivers_stats:conv_rate"), "NOT_FOUND", ['"driver_stats"']),
    ("unknown view far from all", {"all": {"view": "zzzzzzzzzzzz"}}, "NOT_FOUND", ["driver_stats", "weather"]),
    ("unknown feature", ask("driver_stats:conv_rat"), "NOT_FOUND", ['"conv_rate"', "driver_stats"]),
    ("unknown feature in all", {"all": {"view": "driver_stats", "features": ["acc_rat"]}}, "NOT_FOUND", ['"acc_rate"']),
    ("a key is no feature", ask("driver_stats:driver_id"), "NOT_FOUND", ["driver_id"]),
    ("unmapped name", ask("customer_stats:customer"), "NOT_FOUND", ["customer"]),
    ("unknown service", service("driver_activities"), "NOT_FOUND", ['"driver_activity"']),
    ("unknown staged rows", historical("driver_stats", entity_rows_id="nothing"), "NOT_FOUND", ["entity_rows_id"]),
    ("missing source", {"all": {"view": "no_source"}}, "NOT_FOUND", ["gone.parquet"]),
    ("missing source in historical", ask("no_source"), "NOT_FOUND", ["gone.parquet"]),
    ("broken source", {"all": {"view": "broken"}}, "DATA_LOSS", ["broken.parquet"]),
    ("broken source in latest", {"latest": {"view": "broken"}}, "DATA_LOSS", ["broken.parquet"]),
    ("source without a declared column", {"all": {"view": "lacks_column"}}, "FAILED_PRECONDITION", ["wind", "weather.parquet"]),
    ("entity rows without the key", ask("driver_stats:conv_rate", table=without("driver_id")), "INVALID_ARGUMENT", ["driver_id", "customer_id"]),
    ("entity rows without a time", ask("driver_stats:conv_rate", table=without("event_timestamp")), "INVALID_ARGUMENT", ["timestamp"]),
    ("key of another kind", ask("driver_stats:conv_rate", table=TEXT_KEYS), "INVALID_ARGUMENT", ["driver_id", "driver_stats", "int64", "utf8"]),
    ("two features of one name", ask("driver_stats:avg_daily_trips", "customer_stats:avg_daily_trips"), "INVALID_ARGUMENT",
     ["avg_daily_trips", "driver_stats", "customer_stats", "full"]),
    ("feature and entity column of one name", ask("driver_stats:conv_rate", table=with_column("conv_rate", [0.0] * 6)), "INVALID_ARGUMENT", ["conv_rate"]),
    ("entity column twice", ask("driver_stats:conv_rate", table=TWICE), "INVALID_ARGUMENT", ["label"]),
    ("different keys in a timeline", historical("driver_stats:conv_rate", "customer_stats:balance", end="2024-01-02T00:00:00Z"),
     "INVALID_ARGUMENT", ["driver_stats", "customer_stats"]),
    ("different keys in a snapshot", historical("driver_stats:conv_rate", "customer_stats:balance", end="2024-01-02T00:00:00Z", mode="snapshot"),
     "INVALID_ARGUMENT", ["driver_stats", "customer_stats"]),
    ("Feast", {"api": "pull_all_from_table_or_query"}, "UNIMPLEMENTED", []),
]


@pytest.mark.parametrize("request_, code, words", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(world, request_, code, words):
    got, message, _ = wire.do_get(world.address, server.command(request_))
    assert got.name == code, message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("request_, code, words", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_come_before_reading(world, request_, code, words):
    """GetFlightInfo finds the same, because none of these needs rows."""
    got, message, _ = wire.call(world.address, "GetFlightInfo", wire.command(server.command(request_)))
    assert got.name == code, message
    assert all(word in message for word in words), message


def test_one_bad_view_does_not_harm_the_others(client):
    assert get(client, ask("driver_stats:conv_rate")).column("conv_rate").to_pylist() == sample.CONV_RATE


@pytest.mark.parametrize("request_, exception", [
    ({"all": {}}, pa.ArrowInvalid), ({"all": {"view": "x"}}, KeyError), ({"api": "x"}, (NotImplementedError, pa.ArrowNotImplementedError)),
    ({"all": {"view": "broken"}}, Exception)])
def test_exceptions_of_pyarrow(client, request_, exception):
    with pytest.raises(exception) as e:
        get(client, request_)
    assert not isinstance(e.value, KeyboardInterrupt)
    with pytest.raises(exception):
        client.get_flight_info(descriptor(request_))


def test_unknown_actions_and_calls(world, client):
    assert wire.call(world.address, "DoAction", wire.field(1, b"no_such_action"))[0].name in ("UNIMPLEMENTED", "INVALID_ARGUMENT", "NOT_FOUND")
    assert wire.call(world.address, "PollFlightInfo", wire.path("driver_stats"))[0].name == "UNIMPLEMENTED"
    with pytest.raises((NotImplementedError, pa.ArrowNotImplementedError)):
        list(client.do_action(fl.Action("no_such_action", b"")))
    with pytest.raises((NotImplementedError, pa.ArrowNotImplementedError), match="command of DoPut"):
        list(client.do_action(fl.Action("offline_write_batch", b"")))
    with pytest.raises((NotImplementedError, pa.ArrowNotImplementedError)):
        client.authenticate_basic_token("ann", "secret")


@pytest.mark.parametrize("command", [{"all": {"view": "driver_stats"}}, historical("driver_stats"), {"entity_rows": {"x": 1}}, {"entity_rows": []}])
def test_doput_takes_writes_alone(world, command):
    message = wire.flight_data(descriptor=wire.command(server.command(command)))
    assert wire.call(world.address, "DoPut", message)[0].name == "INVALID_ARGUMENT"


def test_doput_without_a_descriptor(world):
    header, body = wire.flight_messages(server.ipc_bytes(ENTITIES))[0]
    assert wire.call(world.address, "DoPut", wire.flight_data(header, body))[0].name == "INVALID_ARGUMENT"
    assert wire.call(world.address, "DoPut")[0].name == "INVALID_ARGUMENT"


# ---- limits: RESOURCE_EXHAUSTED names the limit and how to raise it ----

@pytest.fixture(scope="module")
def small(tmp_path_factory, serve_module):
    folder = tmp_path_factory.mktemp("small")
    config = sample.write(folder)
    config["limits"] = {"memory": "8MiB", "entity_rows": 1000, "message": "1MiB", "staged": "100KiB"}
    return serve_module(folder, config)


def exhausted(s, method, request, table, words, batch_rows=None):
    messages = wire.flight_messages(server.ipc_bytes(table, batch_rows))
    first = wire.flight_data(*messages[0], descriptor=wire.command(server.command(request)))
    code, message, _ = wire.call(s.address, method, first, *(wire.flight_data(*m) for m in messages[1:]))
    assert code.name == "RESOURCE_EXHAUSTED", (code, message)
    assert all(w in message for w in words), message


def test_limit_of_entity_rows(small):
    """By each of the four ways in which entity rows come."""
    many = pa.concat_tables([ENTITIES] * 200).combine_chunks()
    limit = ["limits.entity_rows", "1000", "raise"]
    exhausted(small, "DoExchange", historical("driver_stats:conv_rate"), many, limit, 100)
    exhausted(small, "DoPut", {"entity_rows": {}}, many, limit, 100)
    inline_rows = ask("driver_stats:conv_rate", table=many)
    for method, message in (("DoGet", wire.ticket), ("GetFlightInfo", wire.command), ("GetSchema", wire.command)):
        code, text, _ = wire.call(small.address, method, message(server.command(inline_rows)))
        assert code.name == "RESOURCE_EXHAUSTED" and all(w in text for w in limit), (method, code, text)
    with small.client() as client:
        assert exchange_table(client, historical("driver_stats:conv_rate"), many.slice(0, 1000), 100).num_rows == 1000
        assert stage(client, many.slice(0, 1000), 100)["rows"] == 1000


def test_limit_of_rows_made_of_history(serve, tmp_path):
    config = sample.write(tmp_path)
    config["limits"] = {"entity_rows": 4}
    s = serve(tmp_path, config)
    for mode, code in (("timeline", "RESOURCE_EXHAUSTED"), ("snapshot", "OK")):
        request = historical("driver_stats:conv_rate", start="2024-01-01T00:00:00Z", end="2024-01-02T00:00:00Z", mode=mode)
        got, message, _ = wire.do_get(s.address, server.command(request))
        assert got.name == code, message
        assert code == "OK" or all(w in message for w in ("limits.entity_rows", "4", "raise")), message


def test_limit_of_staged_rows(small):
    rows = pa.table({"driver_id": range(900), "event_timestamp": sample.instants(*[1] * 900), "text": ["x" * 200] * 900})
    exhausted(small, "DoPut", {"entity_rows": {}}, rows, ["staged"], 100)
    with small.client() as client:  # nothing of it is kept
        assert stage(client, rows.slice(0, 100))["rows"] == 100


def test_limit_of_memory(small):
    rows = pa.table({"driver_id": range(800), "event_timestamp": sample.instants(*[1] * 800), "text": ["x" * 20_000] * 800})
    exhausted(small, "DoExchange", historical("driver_stats:conv_rate"), rows, ["memory"], 20)


def test_limit_of_messages(small):
    rows = pa.table({"driver_id": [1], "event_timestamp": sample.instants(1), "text": ["x" * (2 << 20)]})
    for method, request in (("DoExchange", historical("driver_stats:conv_rate")), ("DoPut", {"entity_rows": {}})):
        exhausted(small, method, request, rows, ["limits.message", "1.0 MiB", "raise"])


def test_the_server_with_small_limits_still_answers(small):
    with small.client() as client:
        assert exchange_table(client, historical("driver_stats:conv_rate"), ENTITIES).column("conv_rate").to_pylist() == sample.CONV_RATE


# ---- cancelling ----

def test_a_cancelled_call_leaves_the_server_well(client):
    many = pa.concat_tables([ENTITIES] * 50_000)
    for _ in range(5):
        writer, reader = client.do_exchange(descriptor(historical("driver_stats:conv_rate")))
        writer.begin(many.schema)
        writer.write_table(many, max_chunksize=10_000)
        writer.done_writing()
        reader.read_chunk()
        try:  # pyarrow says that the call was cancelled wherever it notices, and says it as a KeyboardInterrupt
            reader.cancel()
            writer.close()
        except (fl.FlightCancelledError, pa.ArrowCancelled, pa.ArrowException, KeyboardInterrupt):
            pass
    assert exchange_table(client, historical("driver_stats:conv_rate"), ENTITIES).num_rows == 6


def test_deadline(client):
    with pytest.raises((fl.FlightTimedOutError, pa.ArrowException)):
        writer, reader = client.do_exchange(descriptor(historical("driver_stats:conv_rate")), options=fl.FlightCallOptions(timeout=0.3))
        writer.begin(ENTITIES.schema)
        reader.read_all()  # the rows never end
    assert get(client, {"all": {"view": "weather"}}).num_rows == 2
