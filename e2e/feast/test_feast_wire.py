"""What no Feast client sends by itself but a server has to meet: odd calls over plain Flight, repeats, TLS, many at once."""

import concurrent.futures
import datetime
import json
import subprocess
import sys
import time
import uuid

import expect
import pandas as pd
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest
import server as flightd
from expect import fails, historical, same
from test_feast_writes import assert_holds, cast, drivers, on_disk
from test_tls import Authority, pem
from world import DRIVER, at

from feast import FileSource

PLACEHOLDER = pa.table({"key": list("mock_key")})
ROWS = pd.DataFrame({"driver_id": [1001, 1002], "event_timestamp": pd.DatetimeIndex([at(6), at(12)])})
FEATURES = ["driver_stats:trips", "driver_stats:note"]
READ = {"api": "get_historical_features", "feature_view_names": ["driver_stats"], "feature_refs": FEATURES, "project": "shop",
        "full_feature_names": False, "name_aliases": [None]}
WRITE = {"api": "offline_write_batch", "feature_view_names": ["driver_stats"], "name_aliases": [None], "progress": None}


@pytest.fixture(scope="module")
def connection(home):
    with fl.connect(f"grpc://127.0.0.1:{home.port}") as c:
        yield c


def descriptor(command):
    if isinstance(command, dict):
        command = json.dumps({"command_id": str(uuid.uuid4()), **command})
    return fl.FlightDescriptor.for_command(command)


def exchange(connection, command, table):
    writer, reader = connection.do_exchange(descriptor(command))
    with writer:
        writer.begin(table.schema)
        writer.write_table(table)
        writer.done_writing()
        return reader.read_all()


def put(connection, command, table, rows=None):
    what = command if isinstance(command, fl.FlightDescriptor) else descriptor(command)
    writer, _ = connection.do_put(what, table.schema)
    writer.write_table(table, rows)
    writer.close()
    return what


def sent(frame):
    return pa.Table.from_pandas(frame.assign(event_timestamp=pd.to_datetime(frame["event_timestamp"], utc=True)))


# ---- reads ----

def test_both_generations_answer_alike(connection):
    new = exchange(connection, READ, sent(ROWS))
    parked = put(connection, READ, sent(ROWS))
    old = connection.do_get(connection.get_flight_info(parked).endpoints[0].ticket).read_all()
    same(new, historical(ROWS, FEATURES))
    same(old, historical(ROWS, FEATURES))


@fails("stock", "dask makes equal keys one")
def test_upload_in_many_messages(connection):
    rows = pd.concat([ROWS] * 500, ignore_index=True).assign(n=range(1000))
    writer, reader = connection.do_exchange(descriptor(READ))
    with writer:
        table = sent(rows)
        writer.begin(table.schema)
        writer.write_table(table, max_chunksize=7)
        writer.done_writing()
        got = reader.read_all()
    same(got, historical(rows, FEATURES))



@fails("stock", "keeps what was fetched, and forgets nothing", strict=False)
def test_parked_rows_are_fetched_once(connection):
    parked = put(connection, READ, sent(ROWS))
    ticket = connection.get_flight_info(parked).endpoints[0].ticket
    connection.do_get(ticket).read_all()
    with pytest.raises(KeyError):
        connection.do_get(ticket).read_all()


def test_parked_reads_wait_for_their_turn(repo, tmp_path, kind):
    """As many are answered at once as limits.concurrent says."""
    if kind != "flightd":
        pytest.skip("Feast's own server has no limits")
    limited = flightd.Server(tmp_path, {"feast_repo": repo.folder, "limits": {"concurrent": 1, "queue_for": "1s"}})
    rows = sent(pd.concat([ROWS] * 300_000, ignore_index=True))  # the answer is larger than all buffers
    try:
        with limited.client() as one, limited.client() as other:
            tickets = [one.get_flight_info(put(one, READ, rows, 100_000)).endpoints[0].ticket for _ in range(2)]
            first = one.do_get(tickets[0])
            begun = len(first.read_chunk().data)
            with pytest.raises(fl.FlightUnavailableError, match="limits.concurrent"):
                other.do_get(tickets[1]).read_chunk()
            assert begun + sum(len(c.data) for c in first) == len(rows)
            assert len(other.do_get(tickets[1]).read_all()) == len(rows)
    finally:
        assert limited.stop() == 0


def test_unknown_descriptor(connection):
    with pytest.raises(KeyError):
        connection.get_flight_info(descriptor(READ))


@fails("stock", "crashes on a ticket that it did not make", strict=False)
@pytest.mark.parametrize("ticket", [b"", b"nonsense", b"(2, b'{}', ())", b"\xff" * 40], ids=repr)
def test_unknown_ticket(connection, ticket):
    with pytest.raises((KeyError, ValueError)):
        connection.do_get(fl.Ticket(ticket)).read_all()


BAD = {
    "not JSON": b"{", "not an object": b"[1]", "not UTF-8": b"\xff\xfe", "no api": b"{}", "api is no text": b'{"api": 7}', "empty": b"",
    "unknown api": {"api": "nonsense"},
    **{f"without {key}": {k: v for k, v in READ.items() if k != key} for key in READ if key not in ("api", "full_feature_names")},
    "names without aliases": {**READ, "name_aliases": []},
    "a name that is no text": {**READ, "feature_view_names": [1]},
    "a reference without a feature": {**READ, "feature_refs": ["driver_stats"]},
    "a date that is none": {**READ, "end_date": "tomorrow"},
    "a truth that is none": {**READ, "full_feature_names": "yes"},
}


@fails("stock", "fails by accident, or does not notice", strict=False)
@pytest.mark.parametrize("command", BAD.values(), ids=BAD)
def test_malformed_commands(connection, command):
    """Each is told what is wrong, as an error that no client retries; none ends the server."""
    table = PLACEHOLDER if isinstance(command, bytes) or "end_date" in command else sent(ROWS)
    for send in (exchange, put):
        with pytest.raises((pa.ArrowInvalid, pa.ArrowNotImplementedError)):
            answered = send(connection, command, table)
            if send is put and isinstance(command, dict) and command["api"] == READ["api"]:  # what is parked may be judged later
                connection.do_get(connection.get_flight_info(answered).endpoints[0].ticket).read_all()
    same(exchange(connection, READ, sent(ROWS)), historical(ROWS, FEATURES))


def test_unknown_keys_and_late_additions_are_ignored(connection):
    same(exchange(connection, {**READ, "progress": None, "something_new": {"a": [1]}}, sent(ROWS)), historical(ROWS, FEATURES))


DYING = """
import os, sys, pyarrow as pa, pyarrow.flight as fl
port, call, command, path = sys.argv[1:]
table = pa.ipc.open_file(path).read_all()
descriptor = fl.FlightDescriptor.for_command(command)
connection = fl.connect(f"grpc://127.0.0.1:{port}")
if call == "do_put":
    writer, _ = connection.do_put(descriptor, table.schema)
else:
    writer, _ = connection.do_exchange(descriptor)
    writer.begin(table.schema)
writer.write_table(table)
os.kill(os.getpid(), 9)
"""


def die_in_upload(home, call, command, table):
    """A client that is killed before it has said that its upload is complete."""
    path = home.path("upload.arrow")
    with pa.ipc.new_file(path, table.schema) as f:
        f.write_table(table)
    command = json.dumps({"command_id": str(uuid.uuid4()), **command})
    assert subprocess.run([sys.executable, "-c", DYING, str(home.port), call, command, path]).returncode == -9


def test_a_client_that_dies_in_its_upload(home, connection):
    for _ in range(3):
        die_in_upload(home, "do_exchange", READ, sent(ROWS))
    same(exchange(connection, READ, sent(ROWS)), historical(ROWS, FEATURES))


@fails("stock", "lists what everybody has parked")
def test_the_old_flow_lists_nothing_of_others(connection):
    put(connection, READ, sent(ROWS))
    assert not [f for f in connection.list_flights() if f.descriptor.command]  # the views, and no command that waits


@fails("stock", "has no such call")
def test_staged_rows_are_no_parked_command(connection):
    """Entity rows that were staged by flightd's own call have an id of the same kind, and no command."""
    writer, answers = connection.do_put(fl.FlightDescriptor.for_command(json.dumps({"entity_rows": {}})), sent(ROWS).schema)
    writer.write_table(sent(ROWS))
    writer.done_writing()
    staged = json.loads(answers.read().to_pybytes())["entity_rows_id"]
    writer.close()
    for ticket in (b"feast:" + staged.encode(), b"feast:", b"feast:nobody"):
        with pytest.raises(pa.ArrowKeyError, match="no command is kept"):
            connection.do_get(fl.Ticket(ticket)).read_all()


# ---- writes ----

@fails("stock", "writes it once more")
def test_the_same_command_twice_writes_once(connection, home):
    before, rows = on_disk(home, "driver.parquet"), cast(drivers(1, 2, hours=300), DRIVER)
    what = descriptor(WRITE)
    for batch_rows in (None, 1, None):
        put(connection, what, rows, batch_rows)
    assert_holds(home, "driver.parquet", before, rows)


@fails("stock", "writes both")
def test_one_command_id_for_two_things(connection, home):
    what, first = descriptor(WRITE), cast(drivers(3, hours=310), DRIVER)
    put(connection, what, first)
    before = on_disk(home, "driver.parquet")
    with pytest.raises(pa.ArrowException):
        put(connection, what, cast(drivers(4, hours=320), DRIVER))
    assert on_disk(home, "driver.parquet").equals(before)


def test_no_rows_are_no_write(connection, home):
    before = on_disk(home, "driver.parquet")
    put(connection, WRITE, DRIVER.slice(0, 0))
    assert on_disk(home, "driver.parquet").equals(before)


@fails("stock", "takes a broken upload for a short one", strict=False)
def test_an_upload_that_breaks_off_writes_nothing(home, connection):
    before = on_disk(home, "driver.parquet")
    die_in_upload(home, "do_put", WRITE, cast(drivers(5, hours=330), DRIVER))
    put(connection, WRITE, cast(drivers(6, hours=340), DRIVER))
    got = on_disk(home, "driver.parquet")
    assert got.num_rows - before.num_rows == 1, "the rows of the upload that ended, and only those"


@pytest.mark.parametrize("path", ["data/wanted.parquet", "data/wanted"])
def test_two_persists_want_one_place(client, connection, home, path):
    """The one that has come first is still sending when the other is done: what is there then is not overwritten."""
    client.apply([FileSource(name=path, path=home.path(path), timestamp_field="event_timestamp")])
    persist = {**READ, "api": "persist", "data_source_name": path, "allow_overwrite": False, "timeout": None,
               "retrieve_func": "get_historical_features"}
    slow, _ = connection.do_put(descriptor(persist), sent(ROWS).schema)
    time.sleep(0.5)  # it has looked, and found nothing
    put(connection, persist, sent(ROWS[1:]))
    slow.write_table(sent(ROWS))
    with pytest.raises(pa.ArrowException, match="SavedDatasetLocationAlreadyExists"):
        slow.close()
    same(pq.read_table(home.path(path)), historical(ROWS[1:], FEATURES), ordered=False)


# ---- TLS, many at once ----

def test_tls(repo, serve, tmp_path):
    authority, files = Authority("test authority"), [str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem", "other.pem")]
    for path, text in zip(files, (*authority.issue("server"), pem(authority.certificate), pem(Authority("a stranger").certificate))):
        with open(path, "wb") as f:
            f.write(text)
    port = serve(repo, tls=files[:2]).port
    client = repo.client(port, offline={"scheme": "https", "cert": files[2]})
    same(client.get_historical_features(ROWS, FEATURES).to_arrow(), historical(ROWS, FEATURES))
    for offline in ({"scheme": "https", "cert": files[3]}, {}):
        with pytest.raises(fl.FlightUnavailableError):
            repo.client(port, offline={**offline, "connection_retries": 0}).get_historical_features(ROWS, FEATURES).to_arrow()


def at_once(server, work, count, threads):
    """Runs work(0), work(1) ... and returns what they return; a server that answers no more is ended and told of."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(work, i) for i in range(count)]
        if concurrent.futures.wait(running, timeout=90).not_done:
            server.kill()
            pytest.fail("the server answers no more")
        return [r.result() for r in running]


@fails("stock", "dask waits for itself for ever (on Python 3.11)", strict=False)
def test_eight_clients_at_once(repo, serve):
    """Each is answered, with its own rows."""
    server = serve(repo)
    client = repo.client(server.port)

    def ask(i):
        rows = ROWS.assign(client=i, event_timestamp=ROWS["event_timestamp"] + datetime.timedelta(seconds=i))
        return rows, client.get_historical_features(rows, FEATURES).to_arrow()

    for rows, got in at_once(server, ask, count=64, threads=8):
        same(got, historical(rows, FEATURES))


@fails("stock", "two writers at once lose one, or break the file", strict=False)
def test_ten_writers_at_once(repo, serve):
    server = serve(repo)
    client = repo.client(server.port)
    before = on_disk(repo, "customer.parquet")["customer_id"].to_pylist()
    names = [f"w{i}" for i in range(50)]

    def write(i):
        client.write_to_offline_store("customer_profile", pd.DataFrame({
            "customer_id": [names[i]], "event_timestamp": [at(50)], "balance": [1.0 * i], "count": [i], "vip": [True]}))

    at_once(server, write, count=50, threads=10)
    assert sorted(on_disk(repo, "customer.parquet")["customer_id"].to_pylist()) == sorted(before + names)


# ---- a server that is killed ----

@fails("stock", "leaves files that cannot be read, and loses rows", strict=False)
@pytest.mark.parametrize("source, view, columns", [
    ("customer.parquet", "customer_profile", {"customer_id": str, "balance": float, "count": int}),
    ("spent", "my view.v1", {"user id": int, "total.spent": float})], ids=["a file", "a folder"])
def test_killed_while_it_writes(repo, serve, source, view, columns):
    """What was acknowledged is there, once; what was not is there or not, but whole; and everything can be read."""
    wide, rounds, server = 20_000, 12, serve(repo)
    key = next(iter(columns))
    before, acknowledged, tried = pq.read_table(repo.path("data", source)).num_rows, [], 0
    for round in range(rounds):
        client = repo.client(server.port, offline={"connection_retries": 0})
        with concurrent.futures.ThreadPoolExecutor(3) as pool:  # ends by itself: the server is killed
            pushes = [pool.submit(push, client, view, key, columns[key], 1000 + tried + i, wide) for i in range(3)]
            if round % 2:
                concurrent.futures.wait(pushes, return_when=concurrent.futures.FIRST_COMPLETED)
            else:
                time.sleep(0.01 * round)
            server.kill()
            acknowledged += [f.result() for f in pushes if f.exception() is None]
        tried += 3
        server = serve(repo, port=server.port)
        counts = pq.read_table(repo.path("data", source), columns=[key])[key].value_counts().to_pylist()
        written = {c["values"]: c["counts"] for c in counts if str(c["values"]).isdigit() and int(c["values"]) >= 1000}
        assert all(n == wide for n in written.values()), "half a write, or a doubled one"
        assert set(written) >= set(acknowledged), "a write that was acknowledged is lost"
    assert len(acknowledged) >= rounds // 2, "some were killed after they had been acknowledged"
    assert before + wide * len(written) == pq.read_table(repo.path("data", source)).num_rows
    if expect.exact:
        put_again = repo.client(server.port)
        push(put_again, view, key, columns[key], 999_999, 1)


def push(client, view, key, kind, value, rows):
    """One write whose rows all have one key."""
    frame = {"customer_profile": {"event_timestamp": at(50), "balance": 1.0, "count": 1, "vip": True},
             "my view.v1": {"event.time": at(50), "total.spent": 1.0, "last seen": 1}}[view]
    client.write_to_offline_store(view, pd.DataFrame({key: [kind(value)] * rows, **{c: [v] * rows for c, v in frame.items()}}))
    return kind(value)
