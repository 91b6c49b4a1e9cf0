"""The server's peak memory over large answers. The limits are generous, and far below what holding the data would take."""

import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import server
from server import descriptor

MIB = 1 << 20
HISTORY = 3_000_000
ENTITIES = 300_000
START = np.datetime64("2024-01-01", "us")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """3 million rows of 5 features: about 170 MB in memory."""
    folder = tmp_path_factory.mktemp("memory")
    rng = np.random.default_rng(5)
    columns = {"k": rng.integers(0, 200_000, HISTORY), "event_timestamp": START + rng.integers(0, 10**12, HISTORY).astype("timedelta64[us]")}
    for f in range(5):
        columns[f"f{f}"] = rng.random(HISTORY)
    pq.write_table(pa.table(columns), folder / "stats.parquet", row_group_size=250_000)
    return folder


@pytest.fixture
def fresh(history, serve):
    """A server of its own, so that its peak is that of one test."""
    view = {"store": "main", "source": "stats.parquet", "keys": ["k"], "timestamp": "event_timestamp"}
    return serve(history, {"stores": {"main": {"type": "file", "root": str(history)}}, "feature_views": {"stats": view}})


def spent(s, what, limit):
    peak = s.peak_memory()
    print(f"{what}: peak {peak // MIB} MiB")
    assert peak < limit, f"{what}: peak {peak // MIB} MiB"


def test_all(fresh):
    with fresh.client() as client:
        total = sum(len(c.data) for c in client.do_get(fl.Ticket(b'{"all": {"view": "stats"}}')))
    assert total == HISTORY
    spent(fresh, "all of 3 million rows", 250 * MIB)


def test_all_for_a_client_that_does_not_read(fresh):
    with fresh.client() as client:
        readers = [client.do_get(fl.Ticket(b'{"all": {"view": "stats"}}')) for _ in range(3)]
        for r in readers:
            r.read_chunk()

        time.sleep(1.5)
        for r in readers:
            r.cancel()
    # Each reads two row groups at a time, about 100 MiB of pages and batches. Held whole, the answers would be 510 MB more.
    spent(fresh, "three answers that nobody reads", 550 * MIB)


def test_get(fresh):
    rng = np.random.default_rng(6)
    entities = pa.table({"k": rng.integers(0, 200_000, ENTITIES),
                         "event_timestamp": START + rng.integers(0, 10**12, ENTITIES).astype("timedelta64[us]")})
    with fresh.client() as client:
        writer, reader = client.do_exchange(descriptor({"historical": {"features": ["stats"]}}))
        with writer:
            writer.begin(entities.schema)
            writer.write_table(entities, max_chunksize=65_536)
            writer.done_writing()
            answer = reader.read_all()
    assert answer.select(["k", "event_timestamp"]).equals(entities)
    assert answer.column("f0").null_count < ENTITIES / 4
    spent(fresh, "300,000 entity rows over 3 million", 400 * MIB)


def peak_of(command):
    """The greatest resident set of a command, in bytes. A process counts its parent's memory at the time of its birth as
    its own, so a small one stands between this process and the command."""
    between = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); " \
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", between, *command], stdout=subprocess.PIPE, timeout=120, check=True)
    return int(done.stdout) * 1024


def test_get_on_the_command_line(fresh, tmp_path):
    """The client's own memory is bounded as well: 1 million rows to Parquet."""
    rows = 1_000_000
    rng = np.random.default_rng(7)
    pq.write_table(pa.table({"k": rng.integers(0, 200_000, rows), "event_timestamp": START + rng.integers(0, 10**12, rows).astype("timedelta64[us]")}),
                   tmp_path / "in.parquet")
    peak = peak_of([server.BINARY, "get", "--features", "stats", "--entities", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet"),
                    "--server", "grpc://" + fresh.address])
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == rows
    print(f"flightd get of 1 million rows: peak {peak // MIB} MiB")
    assert peak < 250 * MIB
    spent(fresh, "1 million entity rows over 3 million", 800 * MIB)


def test_many_small_calls_do_not_add_up(fresh):
    """Memory after 1,000 calls is that after 200."""
    ticket = fl.Ticket(b'{"all": {"view": "stats", "end": "2023-01-01T00:00:00Z"}}')
    with fresh.client() as client:
        for _ in range(200):
            assert client.do_get(ticket).read_all().num_rows == 0
        before = fresh.peak_memory()
        for _ in range(800):
            client.do_get(ticket).read_all()
    assert fresh.peak_memory() - before < 50 * MIB
