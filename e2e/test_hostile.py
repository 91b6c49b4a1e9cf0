"""Bytes that no decent client sends: the right status, no crash, no hang, no memory taken, and the server still answers.

The bytes are random but small in number; the fuzz targets of internal/ipcguard, internal/parquetio and tickets do the long
work. E2E_SEED repeats a run.
"""

import base64
import json
import os
import random
import threading
import time

import pyarrow as pa
import pytest

import sample
import server
import wire
from sample import ENTITIES, historical
from server import get, ipc_bytes

SEED = int(os.environ.get("E2E_SEED") or time.time_ns() % 10**6)
REFUSALS = {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"}


@pytest.fixture(autouse=True)
def still_well(world):
    """After each test the server answers, is the same process, and has not grown by much."""
    before = world.peak_memory()
    yield
    with world.client() as client:
        assert get(client, sample.joined()).column("conv_rate").to_pylist() == sample.CONV_RATE
    assert world.running()
    assert world.peak_memory() - before < 300 << 20
    assert not any("panic" in line and '"code"' not in line for line in world.logs)


def rich():
    """Entity rows of every shape an IPC reader has to take apart."""
    dictionary = pa.array(["a", "b", "a", None, "c", "b"]).dictionary_encode()
    columns = {
        "driver_id": ENTITIES.column("driver_id"), "event_timestamp": ENTITIES.column("event_timestamp"),
        "text": pa.array(["x", "", None, "yy", "z", "größer"]), "d": dictionary,
        "list": pa.array([[1, 2], None, [], [3], [4], [5]]), "struct": pa.array([{"a": 1, "b": "x"}] * 6),
        "bool": pa.array([True, None, False, True, True, False]), "dec": pa.array([None, 1, 2, 3, 4, 5], pa.decimal128(9, 2)),
    }
    return pa.table(columns)


def ask_inline(stream):
    return json.dumps(historical("driver_stats:conv_rate", entity_rows=base64.b64encode(stream).decode())).encode()


@pytest.fixture(scope="module")
def streams():
    """A valid stream, plain and compressed."""
    plain = ipc_bytes(rich())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rich().schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rich())
    return [plain, sink.getvalue().to_pybytes()]


@pytest.mark.parametrize("kind", ["plain", "zstd"])
def test_changed_bytes_inline(world, streams, kind):
    stream = streams[kind == "zstd"]
    assert wire.do_get(world.address, ask_inline(stream))[0].name == "OK"
    rng = random.Random(SEED)
    print("seed", SEED)
    with wire.channel(world.address) as channel:
        stub = channel.unary_stream(wire.SERVICE + "DoGet")
        for n in range(300):
            changed = bytearray(stream)
            for _ in range(rng.randrange(1, 5)):
                changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
            call = stub(wire.ticket(ask_inline(bytes(changed))), timeout=20)
            try:
                for _ in call:
                    pass
            except wire.grpc.RpcError:
                assert call.code().name in REFUSALS, (n, call.code(), call.details())
                assert "panic" not in call.details() and len(call.details()) < 5000


def test_cut_streams(world, streams):
    for stream in streams:
        for end in range(0, len(stream), max(1, len(stream) // 60)):
            code, message, _ = wire.do_get(world.address, ask_inline(stream[:end]))
            assert code.name in REFUSALS | {"OK"}, (end, code, message)


def test_changed_messages_streamed(world, streams):
    rng = random.Random(SEED + 1)
    command = wire.command(server.command(historical("driver_stats:conv_rate")))
    messages = wire.flight_messages(streams[0])
    for _ in range(60):
        changed = [[bytearray(header), bytearray(body)] for header, body in messages]
        for _ in range(rng.randrange(1, 4)):
            part = rng.choice(rng.choice(changed))
            if part:
                part[rng.randrange(len(part))] = rng.randrange(256)
        flight = [wire.flight_data(bytes(h), bytes(b), command if i == 0 else None) for i, (h, b) in enumerate(changed)]
        for method in ("DoExchange", "DoPut"):
            if method == "DoPut":
                flight[0] = wire.flight_data(bytes(changed[0][0]), bytes(changed[0][1]), wire.command(b'{"entity_rows": {}}'))
            code, message, _ = wire.call(world.address, method, *flight)
            assert code.name in REFUSALS | {"OK"}, (method, code, message)


def test_strange_orders_of_messages(world, streams):
    command = wire.command(server.command(historical("driver_stats:conv_rate")))
    schema, *rest = wire.flight_messages(streams[0])
    first = wire.flight_data(*schema, descriptor=command)
    data = [wire.flight_data(*m) for m in rest]
    for messages in (
        [], [b""], [wire.flight_data()], [wire.flight_data(descriptor=command)] + data, data, [first, wire.flight_data(*schema)],
        [first, first], [first] + list(reversed(data)), [first, wire.flight_data(b"\0" * 64)], [first, wire.flight_data(b"", b"x" * 100)],
        [first, b"\xff\xff\xff"], [b"\xff\xff\xff"], [wire.flight_data(b"\xff" * 100, descriptor=command)], [first] + data[-1:],
    ):
        code, message, _ = wire.call(world.address, "DoExchange", *messages)
        assert code.name in REFUSALS, (len(messages), code, message)
    # A message without header in mid-stream is no rows; the others count.
    code, _, _ = wire.call(world.address, "DoExchange", first, wire.flight_data(metadata=b"x"), *data)
    assert code.name == "OK"


def test_random_tickets(world):
    rng = random.Random(SEED + 2)
    valid = server.command(sample.joined())[:3000]
    for n in range(200):
        if n % 2:
            content = rng.randbytes(rng.randrange(200))
        else:
            content = bytearray(valid)
            for _ in range(3):
                content[rng.randrange(len(content))] = rng.randrange(256)
            content = bytes(content)
        code, message, _ = wire.do_get(world.address, content)
        assert code.name in REFUSALS | {"NOT_FOUND", "OK"}, (content, code, message)
        for method in ("GetFlightInfo", "GetSchema"):
            assert wire.call(world.address, method, wire.command(content))[0].name in REFUSALS | {"NOT_FOUND", "OK"}


def test_large_tickets(world):
    big = b'{"all": {"view": "' + b"x" * (5 << 20) + b'"}}'
    assert wire.do_get(world.address, big)[0].name == "INVALID_ARGUMENT"
    assert wire.call(world.address, "GetFlightInfo", wire.command(big))[0].name == "INVALID_ARGUMENT"
    assert wire.call(world.address, "DoExchange", wire.flight_data(descriptor=wire.command(big)))[0].name == "INVALID_ARGUMENT"


def test_names_are_shortened_and_quoted(world):
    name = "\u202e\n\x1b[31m" + "x" * 100_000
    code, message, _ = wire.do_get(world.address, json.dumps({"all": {"view": name}}).encode())
    assert code.name in ("NOT_FOUND", "INVALID_ARGUMENT")
    assert len(message) < 4500 and "\n" not in message and "\x1b" not in message


def bomb(rows, codec="zstd"):
    """Entity rows that are small on the wire and large in memory."""
    table = pa.table({"driver_id": pa.array([1]).take(pa.array([0] * rows)), "event_timestamp": sample.instants(1).take(pa.array([0] * rows)),
                      "zeros": pa.array([0]).take(pa.array([0] * rows))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_uncompressed_sizes_that_lie(world):
    """The first eight bytes of a compressed buffer say how large it will be."""
    stream = bytearray(bomb(2000))
    real = (2000 * 8).to_bytes(8, "little")
    for claim in (1 << 46, 1 << 62, -5, 2**63 - 1, 1 << 32):
        changed = bytes(stream).replace(real, claim.to_bytes(8, "little", signed=True))
        assert changed != stream
        assert wire.do_get(world.address, ask_inline(changed))[0].name in REFUSALS


def test_compression_bomb(world):
    code, message, _ = wire.do_get(world.address, ask_inline(bomb(16_000_000)))
    assert code.name in REFUSALS, (code, message)


def test_half_open_calls(world):
    """Connections that send nothing, or a part and then nothing, do not keep others from being served."""
    channels = [wire.channel(world.address) for _ in range(20)]
    calls = []
    for c in channels:
        def silent():
            yield wire.flight_data(descriptor=wire.command(server.command(historical("driver_stats"))))
            time.sleep(2)
        calls.append(c.stream_stream(wire.SERVICE + "DoPut")(silent(), timeout=1))
    with world.client() as client:
        assert get(client, {"all": {"view": "weather"}}).num_rows == 2
    for call in calls:
        call.cancel()
    for c in channels:
        c.close()


def test_many_parts_of_many_rows(world):
    """65,536 tickets of 3 MiB each would be 200 GB."""
    table = pa.table({"driver_id": list(range(120_000)), "event_timestamp": pa.array([sample.at(12)] * 120_000, pa.timestamp("us"))})
    request = {**historical("driver_stats:conv_rate", entity_rows=server.inline(table)), "parts": 65_536}
    code, message, (answer,) = wire.call(world.address, "GetFlightInfo", wire.command(server.command(request)))
    assert code.name == "OK", message
    assert len(answer) < 32 << 20


def test_many_large_messages_at_once(serve, tmp_path):
    """What has not arrived completely counts too: memory is bounded by its limit, and not by the number of clients."""
    config = sample.write(tmp_path)
    config["limits"] = {"memory": "128MiB"}
    s = serve(tmp_path, config)
    message = wire.flight_data(body=bytes(60 << 20), descriptor=wire.command(b'{"entity_rows": {}}'))
    codes = []
    def upload(method):
        codes.append(wire.call(s.address, method, message, timeout=120)[0].name)
    threads = [threading.Thread(target=upload, args=(method,)) for method in ("DoPut", "DoExchange") * 10]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(codes) == 20 and set(codes) <= {"UNAVAILABLE", "INVALID_ARGUMENT"}, codes
    assert s.peak_memory() < 700 << 20, f"{s.peak_memory() >> 20} MiB for 20 messages of 60 MiB"
    with s.client() as client:
        assert get(client, sample.joined()).column("conv_rate").to_pylist() == sample.CONV_RATE
