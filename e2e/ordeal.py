"""An ordeal for a real server: writers and a server that is killed again and again, changed streams, a crowd of clients of
which some never read, sources that break, limits that are low.

    python e2e/ordeal.py [PHASE ...] [--seconds 60] [--seed 1]

After each phase a correct request has its correct answer, memory is within the budget, no call has ended with a status that
docs/flight.md does not name, and none as INTERNAL. test_ordeal.py runs a short one; this one runs as long as it is told.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import pyarrow as pa
import pyarrow.flight  # noqa: F401  pa.flight
import pyarrow.parquet as pq

import sample
import server
import wire
from sample import ENTITIES, historical

DOCUMENTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
              "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "DATA_LOSS"}
OVERHEAD = 256 << 20  # of a process beside limits.memory, as docs/configuration.md says
MEMORY = 128 << 20
ROWS = 3  # of a write


class Ordeal:
    """A server over the sample catalog, a large view and a folder that is written to."""

    def __init__(self, folder, seconds, seed):
        self.folder, self.seconds, self.random = str(folder), seconds, random.Random(seed)
        self.config = sample.write(folder)
        data = os.path.join(self.folder, "data")
        n = 400_000
        pq.write_table(pa.table({"key": pa.array([i % 1000 for i in range(n)]), "event_timestamp": pa.array(range(n), pa.timestamp("s")),
                                 **{f"f{i}": pa.array(range(n), pa.float64()) for i in range(8)}}), os.path.join(data, "large.parquet"))
        os.makedirs(os.path.join(data, "pushed"))
        pq.write_table(pushed(0), os.path.join(data, "pushed", "first.parquet"))
        for name in ("large.parquet", "pushed"):
            self.config["feature_views"][name.partition(".")[0]] = {"store": "main", "source": name, "keys": ["key"], "timestamp": "event_timestamp"}
        self.config["limits"] = {"memory": "128MiB", "concurrent": 4, "queue_for": "5s", "stalled": "10s"}
        self.codes = collections.Counter()
        self.lock = threading.Lock()
        self.server = None

    def start(self, port=0):
        self.server = server.Server(self.folder, self.config, "--listen", f"127.0.0.1:{port}")
        return self.server

    def count(self, code, text=""):
        with self.lock:
            self.codes[code] += 1
        assert code in DOCUMENTED, (code, text)

    def well(self):
        """A correct request is answered correctly, and the process is within its budget."""
        s = self.server
        deadline = time.monotonic() + 15
        while True:  # it may be busy with what was asked a moment ago
            code, text, _ = wire.do_get(s.address, server.command(sample.joined()))
            if code.name != "UNAVAILABLE" or time.monotonic() > deadline:
                break
        assert code.name == "OK", (code, text)
        with s.client() as client:
            assert server.get(client, sample.joined()).column("conv_rate").to_pylist() == sample.CONV_RATE
        assert s.running()
        bad = [line for line in s.logs if '"code":"Internal"' in line or '"stack"' in line or line.startswith(("panic", "fatal"))]
        assert not bad, bad[:3]
        peak = s.peak_memory()
        assert peak < MEMORY + OVERHEAD, f"{peak >> 20} MiB"
        return peak

    def stop(self):
        assert self.server.stop() == 0

    # The phases. Each begins with a server and ends with a server that is well.

    def kills(self):
        """SIGKILL while six writers push and parts are merged: what was acknowledged is there once, nothing in part."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.stop()
        self.start(port)
        over, acked, begun, kills = threading.Event(), set(), set(), 0

        def push(writer):
            with wire.channel(f"127.0.0.1:{port}") as channel:
                stub = channel.stream_stream(wire.SERVICE + "DoPut")
                n = 0
                while not over.is_set():
                    n += 1
                    number = 1 + writer + 6 * n
                    begun.add(number)
                    messages = put_messages(number)
                    while not over.is_set():
                        call = stub(iter(messages), timeout=10)
                        try:
                            list(call)
                            acked.add(number)
                            break
                        except grpc.RpcError:
                            self.count(call.code().name, call.details())
                            assert call.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"), (call.code(), call.details())
                            time.sleep(0.02)

        with concurrent.futures.ThreadPoolExecutor(7) as pool, ends(over):
            writers = [pool.submit(push, w) for w in range(6)]
            end = time.monotonic() + self.seconds
            while time.monotonic() < end and not any(w.done() for w in writers):
                time.sleep(self.random.uniform(0.05, 0.4))
                if kills % 3 == 1:
                    merge = subprocess.Popen([server.BINARY, "compact", "pushed", "--config", self.server.config, "--grace", "1m"],
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    time.sleep(self.random.uniform(0, 0.05))
                    merge.kill()
                    merge.wait()
                self.server.kill()
                self.start(port)
                kills += 1
            over.set()
            for w in writers:
                w.result()
        with self.server.client() as client:
            values = server.get(client, {"all": {"view": "pushed"}})["f"].to_pylist()
        seen = collections.Counter(int(v) // 10 for v in values)
        lost = [n for n in acked if seen[n] != ROWS]
        partly = [n for n, rows in seen.items() if rows != ROWS]
        assert not lost and not partly and set(seen) <= begun | {0}, (lost[:5], partly[:5])
        return f"{kills} kills, {len(acked)} acknowledged writes, 0 lost, 0 twice, 0 in part"

    def streams(self):
        """Changed bytes in every place where a client can send them."""
        dictionary = pa.array(["a", "b", "a", None, "c", "b"]).dictionary_encode()
        rich = pa.table({"driver_id": ENTITIES["driver_id"], "event_timestamp": ENTITIES["event_timestamp"], "d": dictionary,
                         "text": ["x", "", None, "yy", "z", "größer"], "list": [[1, 2], None, [], [3], [4], [5]], "struct": [{"a": 1}] * 6})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rich.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rich)
        sent = [wire.flight_messages(server.ipc_bytes(rich)), wire.flight_messages(sink.getvalue().to_pybytes())]
        commands = [(method, wire.command(server.command(command))) for method, command in (
            ("DoExchange", historical("driver_stats:conv_rate")), ("DoPut", {"entity_rows": {}}), ("DoPut", {"write": {"view": "driver_stats"}}))]
        tickets = [server.command(t) for t in (sample.joined(report=True), {"latest": {"view": "large", "end": "2024-01-01"}},
                                                historical("customer_stats", end="2024-01-02T00:00:00Z", mode="snapshot"))]
        end = time.monotonic() + self.seconds

        def attack(seed):
            rng, n = random.Random(seed), 0
            with wire.channel(self.server.address) as channel:
                stubs = {m: channel.stream_stream(wire.SERVICE + m) for m in ("DoExchange", "DoPut", "DoGet", "GetFlightInfo", "GetSchema", "DoAction")}
                while time.monotonic() < end:
                    if rng.random() < 0.7:
                        method, command = rng.choice(commands)
                        parts = [[bytearray(h), bytearray(b)] for h, b in rng.choice(sent)]
                        for _ in range(rng.randrange(1, 4)):
                            spoil(rng, rng.choice(rng.choice(parts)))
                        messages = [wire.flight_data(bytes(h), bytes(b), command if i == 0 else None) for i, (h, b) in enumerate(parts)]
                        if rng.random() < 0.1:
                            rng.shuffle(messages)
                    else:
                        method = rng.choice(("DoGet", "GetFlightInfo", "GetSchema", "DoAction"))
                        content = bytearray(rng.choice(tickets))
                        spoil(rng, content)
                        messages = [wire.ticket(bytes(content)) if method == "DoGet" else wire.command(bytes(content))]
                    if rng.random() < 0.05:
                        messages = [bytes(spoil(rng, bytearray(m))) for m in messages]
                    started = time.monotonic()
                    call = stubs[method](iter(messages), timeout=20)
                    try:
                        for _ in call:
                            pass
                    except grpc.RpcError:
                        pass
                    self.count(call.code().name, call.details())
                    assert time.monotonic() - started < 10, (method, call.code(), "took longer than 10 s")
                    n += 1
            return n

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            done = sum(pool.map(attack, [self.random.random() for _ in range(6)]))
        return f"{done} changed calls"

    def crowd(self):
        """200 connections: most never read their answer, or go away in the middle of it; a few ask and are answered."""
        end = time.monotonic() + self.seconds
        everything = wire.ticket(server.command({"all": {"view": "large"}}))
        took, wrong = [], []

        def lazy(i):
            rng = random.Random(i)
            while time.monotonic() < end:
                with wire.channel(self.server.address) as channel:
                    call = channel.stream_stream(wire.SERVICE + "DoGet")(iter([everything]), timeout=max(1, end - time.monotonic()))
                    try:
                        if i % 4 == 0:  # reads a little and goes away
                            next(call)
                            time.sleep(rng.uniform(0, 0.5))
                            call.cancel()
                        elif i % 4 == 1:  # begins an upload and says no more
                            half = channel.stream_stream(wire.SERVICE + "DoPut")(silence(end), timeout=max(1, end - time.monotonic()))
                            list(half)
                        else:  # never reads
                            time.sleep(max(0.1, min(rng.uniform(1, 5), end - time.monotonic())))
                    except (grpc.RpcError, StopIteration):
                        pass

        def good():
            with self.server.client() as client:
                while time.monotonic() < end:
                    started = time.monotonic()
                    try:
                        if server.get(client, sample.joined()).column("conv_rate").to_pylist() != sample.CONV_RATE:
                            wrong.append("a wrong answer")
                        took.append(time.monotonic() - started)
                        self.count("OK")
                    except pa.flight.FlightUnavailableError as e:
                        self.count("UNAVAILABLE")
                        if time.monotonic() - started > 8:
                            wrong.append(f"refused only after {time.monotonic() - started:.1f} s: {e}")

        with concurrent.futures.ThreadPoolExecutor(204) as pool:
            all_ = [pool.submit(lazy, i) for i in range(200)] + [pool.submit(good) for _ in range(4)]
            for f in all_:
                f.result()
        assert not wrong, wrong[:3]
        return f"{len(took)} good calls beside 200 others"

    def sources(self):
        """Files of sources are damaged, cut, replaced and removed while they are read."""
        source = os.path.join(self.folder, "data", "large.parquet")
        with open(source, "rb") as f:
            whole = f.read()
        end, over = time.monotonic() + self.seconds, threading.Event()
        asked = collections.Counter()

        def ask():
            with wire.channel(self.server.address) as channel:
                stub = channel.unary_stream(wire.SERVICE + "DoGet")
                while not over.is_set():
                    for request in ({"all": {"view": "large", "features": ["f1"]}}, {"latest": {"view": "large"}},
                                    {"historical": {"features": ["large"], "entity_rows": INLINE}}):
                        call = stub(wire.ticket(server.command(request)), timeout=30)
                        try:
                            for _ in call:
                                pass
                        except grpc.RpcError:
                            pass
                        self.count(call.code().name, call.details())
                        asked[call.code().name] += 1

        with concurrent.futures.ThreadPoolExecutor(4) as pool, ends(over):
            askers = [pool.submit(ask) for _ in range(4)]
            while time.monotonic() < end and not any(a.done() for a in askers):
                changed = bytearray(whole)
                for _ in range(self.random.randrange(1, 4)):
                    spoil(self.random, changed)
                kind = self.random.random()
                if kind < 0.6 or not os.path.exists(source):  # another file
                    with open(source + ".new", "wb") as f:
                        f.write(changed)
                    os.rename(source + ".new", source)
                elif kind < 0.9:  # in place, while somebody may be reading
                    with open(source, "r+b") as f:
                        f.write(changed)
                        f.truncate(len(changed))
                else:
                    os.remove(source)
                time.sleep(self.random.uniform(0, 0.1))
            over.set()
            for a in askers:
                a.result()
        with open(source + ".new", "wb") as f:
            f.write(whole)
        os.rename(source + ".new", source)
        with self.server.client() as client:
            assert server.get(client, {"all": {"view": "large", "features": ["f1"]}}).num_rows == 400_000
        return f"{sum(asked.values())} calls: {dict(asked)}"

    def overload(self):
        """Three times as many callers as there are places, with entity rows that fill the memory: a call is answered in full, or refused."""
        end = time.monotonic() + self.seconds
        n = 300_000
        rows = pa.table({"key": pa.array([i % 1000 for i in range(n)]), "event_timestamp": pa.array(range(n), pa.timestamp("s"))})
        messages = wire.flight_messages(server.ipc_bytes(rows, 65_536))
        command = wire.command(server.command({"historical": {"features": ["large"]}}))
        sent = [wire.flight_data(h, b, command if i == 0 else None) for i, (h, b) in enumerate(messages)]
        answered, slow = [], []

        def ask(_):
            with wire.channel(self.server.address) as channel:
                stub = channel.stream_stream(wire.SERVICE + "DoExchange")
                while time.monotonic() < end:
                    started = time.monotonic()
                    call, batches = stub(iter(sent), timeout=60), 0
                    try:
                        for _ in call:
                            batches += 1
                    except grpc.RpcError:
                        pass
                    code = call.code().name
                    self.count(code, call.details())
                    assert code in ("OK", "UNAVAILABLE", "RESOURCE_EXHAUSTED"), (code, call.details())
                    assert code == "OK" or batches <= 1, f"a call that was answered has failed after {batches} messages: {call.details()}"
                    (answered if code == "OK" else slow).append(time.monotonic() - started)

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(ask, range(12)))
        assert answered
        return f"{len(answered)} answered, {len(slow)} refused"


PHASES = ["kills", "streams", "crowd", "sources", "overload"]
INLINE = server.inline(pa.table({"key": [1, 2, 3], "event_timestamp": pa.array([5000, 400_000, 7], pa.timestamp("s"))}))


def spoil(rng, data):
    """Changes, cuts or doubles some bytes in place."""
    if data:
        at = rng.randrange(len(data))
        kind = rng.random()
        if kind < 0.8:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind < 0.9:
            del data[at:at + rng.randrange(1, 64)]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 64)]
    return data


def pushed(number):
    """The rows of a write, which say whose they are."""
    return pa.table({"key": pa.array([number] * ROWS), "event_timestamp": pa.array([number] * ROWS, pa.timestamp("s")),
                     "f": pa.array([number * 10.0 + i for i in range(ROWS)])})


def put_messages(number):
    command = wire.command(server.command({"write": {"view": "pushed", "request_id": f"write {number}"}}))
    return [wire.flight_data(h, b, command if i == 0 else None)
            for i, (h, b) in enumerate(wire.flight_messages(server.ipc_bytes(pushed(number))))]


@contextlib.contextmanager
def ends(over):
    """Whatever happens in the block, those who wait for its end hear of it."""
    try:
        yield
    finally:
        over.set()


def silence(end):
    yield wire.flight_data(descriptor=wire.command(b'{"entity_rows": {}}'))
    time.sleep(max(0, min(5, end - time.monotonic())))


def run(folder, phases, seconds, seed, say=print):
    ordeal = Ordeal(folder, seconds, seed)
    ordeal.start()
    try:
        ordeal.well()
        for phase in phases:
            done = getattr(ordeal, phase)()
            peak = ordeal.well()
            say(f"{phase}: {done}; {peak >> 20} MiB at most", flush=True)
        say(f"codes: {dict(ordeal.codes)}", flush=True)
        ordeal.stop()
    finally:
        ordeal.server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phases", nargs="*", choices=PHASES + [[]], metavar="PHASE", help=", ".join(PHASES))
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print("seed", options.seed)
    where = tempfile.mkdtemp(prefix="flightd-ordeal-")
    try:
        run(where, options.phases or PHASES, options.seconds, options.seed)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    sys.exit(0)
