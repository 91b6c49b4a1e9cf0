"""Section 3 of the interface: what a ticket may say, and how strictly it is read."""

import json

import pyarrow as pa
import pytest

import sample
import server
import wire
from sample import ENTITIES, historical, joined
from server import get, inline

ROWS = inline(ENTITIES)
H = '{"historical": {"features": ["driver_stats:conv_rate"], "entity_rows": "' + ROWS + '"%s}}'
A = '{"all": {"view": "driver_stats"%s}}'

# (what is wrong, the ticket, what the message must name)
REFUSED = [
    ("nothing", "", None),
    ("no JSON", "driver_stats", None),
    ("no object", '["all"]', None),
    ("no key", "{}", "historical"),
    ("two requests", '{"all": {"view": "driver_stats"}, "latest": {"view": "driver_stats"}}', None),
    ("unknown request", '{"histrical": {}}', "histrical"),
    ("unknown key", A % ', "veiw": "x"', "veiw"),
    ("nearest key", H % ', "full_names": true', "full_feature_names"),
    ("key in capitals", A % ', "Features": ["conv_rate"]', "Features"),
    ("duplicate key", A % ', "view": "driver_stats"', "view"),
    ("duplicate request", '{"all": {"view": "driver_stats"}, "all": {"view": "driver_stats"}}', "all"),
    ("bytes after the end", A % "" + " {}", None),
    ("text after the end", A % "" + "x", None),
    ("view of a wrong type", '{"all": {"view": 7}}', "view"),
    ("null", '{"all": {"view": null}}', "view"),
    ("features of a wrong type", A % ', "features": "conv_rate"', "features"),
    ("feature of a wrong type", A % ', "features": [1]', "features"),
    ("flag of a wrong type", H % ', "report": "yes"', "report"),
    ("flag as a number", H % ', "known_at": 1', "known_at"),
    ("no view", '{"all": {}}', "view"),
    ("empty view", '{"all": {"view": ""}}', "view"),
    ("empty features in all", A % ', "features": []', "features"),
    ("empty features in latest", '{"latest": {"view": "driver_stats", "features": []}}', "features"),
    ("empty features", '{"historical": {"features": [], "end": "2024-01-01T00:00:00Z"}}', "features"),
    ("a feature twice in all", A % ', "features": ["conv_rate", "conv_rate"]', "conv_rate"),
    ("a feature twice", '{"historical": {"features": ["driver_stats:conv_rate", "driver_stats:conv_rate"], "end": "2024-01-01T00:00:00Z"}}', "conv_rate"),
    ("view and its feature", '{"historical": {"features": ["driver_stats", "driver_stats:conv_rate"], "end": "2024-01-01T00:00:00Z"}}', "driver_stats"),
    ("features and service", H % ', "feature_service": "driver_activity"', "feature_service"),
    ("neither features nor service", '{"historical": {"end": "2024-01-01T00:00:00Z"}}', "features"),
    ("no entity rows", '{"historical": {"features": ["driver_stats"]}}', "entity"),
    ("rows inline and staged", H % ', "entity_rows_id": "x"', "entity_rows"),
    ("rows and end", H % ', "end": "2024-01-01T00:00:00Z"', "end"),
    ("rows and start", H % ', "start": "2024-01-01T00:00:00Z"', "start"),
    ("rows and mode", H % ', "mode": "timeline"', "mode"),
    ("start without end", '{"historical": {"features": ["driver_stats"], "start": "2024-01-01T00:00:00Z"}}', "end"),
    ("unknown mode", '{"historical": {"features": ["driver_stats"], "end": "2024-01-01T00:00:00Z", "mode": "snapshots"}}', "snapshot"),
    ("start after end", A % ', "start": "2024-01-02T00:00:00Z", "end": "2024-01-01T00:00:00Z"', "start"),
    ("start after end in latest", '{"latest": {"view": "driver_stats", "start": "2024-01-02T00:00:00Z", "end": "2024-01-01T23:00:00-00:59"}}', "start"),
    ("start after end in a timeline", '{"historical": {"features": ["weather"], "start": "2024-01-02T00:00:00Z", "end": "2024-01-01T00:00:00Z"}}', "start"),
    ("a date is no time", A % ', "end": "2024-01-01"', "end"),
    ("no time", A % ', "end": "yesterday"', "end"),
    ("a 13th month", A % ', "end": "2024-13-01T00:00:00Z"', "end"),
    ("time as a number", A % ', "end": 1704067200', "end"),
    ("part of latest", '{"latest": {"view": "driver_stats", "part": [0, 2]}}', "part"),
    ("part out of range", A % ', "part": [2, 2]', "part"),
    ("negative part", A % ', "part": [-1, 2]', "part"),
    ("part of nothing", A % ', "part": [0, 0]', "part"),
    ("part with a point", A % ', "part": [0, 2.0]', "part"),
    ("part of one", A % ', "part": [0]', "part"),
    ("part of three", A % ', "part": [0, 1, 2]', "part"),
    ("part is no list", A % ', "part": "0/2"', "part"),
    ("huge part", A % ', "part": [0, 99999999999999999999]', "part"),
    ("parts belong to GetFlightInfo", '{"all": {"view": "driver_stats"}, "parts": 2}', "parts"),
    ("rows are not base64", '{"historical": {"features": ["driver_stats"], "entity_rows": "***"}}', "entity_rows"),
    ("rows are not Arrow", '{"historical": {"features": ["driver_stats"], "entity_rows": "aGVsbG8gd29ybGQ="}}', "historical.entity_rows"),
    ("rows are empty", '{"historical": {"features": ["driver_stats"], "entity_rows": ""}}', "entity_rows"),
    ("a write is no read", '{"write": {"view": "driver_stats"}}', "write"),
    ("staging is no read", '{"entity_rows": {}}', "entity_rows"),
    ("not UTF-8", b'{"all": {"view": "\xff"}}', None),
    ("over 4 MiB", A % (', "features": ["' + "x" * (4 << 20) + '"]'), None),
    ("over 4 MiB of blanks", A % "" + " " * (5 << 20), None),
    ("deep nesting", "[" * 100_000, None),
    ("deep nesting in a key", '{"all": ' + '{"view": ' * 50_000, None),
]


@pytest.mark.parametrize("ticket, named", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(world, ticket, named):
    content = server.command(ticket)
    code, message, received = wire.do_get(world.address, content)
    assert code.name == "INVALID_ARGUMENT", (code, message)
    assert not received
    assert len(message) > 10 and len(message) < 5000
    assert named is None or named in message
    assert "panic" not in message and ".go:" not in message


@pytest.mark.parametrize("command", [
    '{"latest": {"view": "driver_stats"}, "parts": 2}', '{"all": {"view": "driver_stats"}, "parts": 0}',
    '{"all": {"view": "driver_stats"}, "parts": -1}', '{"all": {"view": "driver_stats"}, "parts": 1.5}',
    '{"all": {"view": "driver_stats", "part": [0, 2]}, "parts": 2}', '{"all": {"view": "driver_stats", "parts": 2}}', '{"parts": 2}'])
def test_parts_refused(world, command):
    code, message, _ = wire.call(world.address, "GetFlightInfo", wire.command(command.encode()))
    assert code.name == "INVALID_ARGUMENT" and ("part" in message or command == '{"parts": 2}')


@pytest.mark.parametrize("command", [joined(), historical("driver_stats", end="2024-01-01T00:00:00Z"), {"all": {"view": "driver_stats"}}])
def test_exchange_takes_historical_without_rows(world, command):
    message = wire.flight_data(descriptor=wire.command(server.command(command)))
    assert wire.call(world.address, "DoExchange", message)[0].name == "INVALID_ARGUMENT"


@pytest.mark.parametrize("message", [
    b"", wire.path(), wire.path("driver_stats", "x"), b"\x08\x02", b"\x08\x07", b"\xff\xff\xff"],
    ids=["empty", "empty path", "two names", "empty command", "unknown type", "no protobuf"])
def test_bad_descriptors(world, message):
    for method in ("GetFlightInfo", "GetSchema"):
        assert wire.call(world.address, method, message)[0].name == "INVALID_ARGUMENT"


@pytest.mark.parametrize("ticket", [
    A % ', "start": "2024-01-01T00:00:00", "end": "2024-01-01T23:59:59.999999999Z"',
    A % ', "end": "2024-01-02T01:00:00.5+01:00"',
    ' \n{"all" : {"view":"driver_stats"}}\n ',
    '{"all": {"view": "driver\\u005fstats"}}',
])
def test_accepted(client, ticket):
    assert get(client, ticket).num_rows == 5


def test_bounds_are_inclusive_and_naive_is_utc(client):
    count = lambda **window: get(client, {"all": {"view": "driver_stats", **window}}).num_rows
    assert count(start="2024-01-01T08:00:00", end="2024-01-01T10:00:00") == 3
    assert count(start="2024-01-01T08:00:00.000001Z", end="2024-01-01T10:00:00Z") == 2
    assert count(start="2024-01-01T09:00:00+01:00", end="2024-01-01T09:59:59.999999999Z") == 2
    assert count(start="2024-01-01T10:00:00Z", end="2024-01-01T10:00:00Z") == 1


def test_latest_ignores_ttl(client):
    assert get(client, {"latest": {"view": "driver_stats", "end": "2034-01-01T00:00:00Z"}}).num_rows == 3


def test_timestamp_column(client, world):
    """P51: the named one, else event_timestamp, else the only timestamp column, else an error that lists the candidates."""
    ask = lambda table, **more: get(client, historical("driver_stats:conv_rate", entity_rows=inline(table), **more))
    early, late = sample.instants(8), sample.instants(10)
    two = pa.table({"driver_id": [1], "a": early, "b": late})
    assert ask(two, timestamp="a").column("conv_rate").to_pylist() == [0.1]
    assert ask(two, timestamp="b").column("conv_rate").to_pylist() == [0.2]
    assert ask(two.rename_columns(["driver_id", "a", "event_timestamp"])).column("conv_rate").to_pylist() == [0.2]
    assert ask(two.select(["driver_id", "a"])).column("conv_rate").to_pylist() == [0.1]
    text = pa.table({"driver_id": [1], "a": ["2024-01-01 10:00"], "when": ["2024-01-01T11:00:00+02:00"]})
    answer = ask(text, timestamp="when")
    assert answer.column("conv_rate").to_pylist() == [0.1] and answer.column("when").equals(text.column("when"))
    for table, more, named in ((two, {}, ("a", "b")), (two, {"timestamp": "c"}, ("c", "a")), (text, {}, ("timestamp",)),
                               (two, {"timestamp": "driver_id"}, ("driver_id",))):
        content = json.dumps(historical("driver_stats:conv_rate", entity_rows=inline(table), **more)).encode()
        code, message, _ = wire.do_get(world.address, content)
        assert code.name == "INVALID_ARGUMENT" and all(n in message for n in named), message


def test_bad_text_times_name_their_row(world):
    table = pa.table({"driver_id": [1, 1, 1], "event_timestamp": ["2024-01-01", None, "noon"]})
    content = json.dumps(historical("driver_stats:conv_rate", entity_rows=inline(table))).encode()
    code, message, _ = wire.do_get(world.address, content)
    assert code.name == "INVALID_ARGUMENT" and "3" in message and "noon" in message


def test_shares_are_the_whole(client):
    for n in (1, 2, 4, 9):
        shares = [get(client, joined(part=[i, n])) for i in range(n)]
        assert pa.concat_tables(shares).equals(get(client, joined()))
        rows = [r for i in range(n) for r in get(client, {"all": {"view": "driver_stats", "part": [i, n]}}).to_pylist()]
        assert sorted(map(repr, rows)) == sorted(map(repr, get(client, {"all": {"view": "driver_stats"}}).to_pylist()))
