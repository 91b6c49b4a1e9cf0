"""Sources that change while the server runs: each is noticed by the next request."""

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sample
import server
import wire
from server import exchange_table, get

VIEW = {"keys": ["k"], "timestamp": "event_timestamp", "store": "main"}


def rows(*values, unit="us"):
    return pa.table({"k": list(range(len(values))), "event_timestamp": sample.instants(*[1] * len(values), unit=unit), "v": list(values)})


@pytest.fixture
def world(tmp_path, serve):
    """A server over a file and a folder; returns (server, client, folder of the data)."""
    data = tmp_path / "data"
    (data / "folder").mkdir(parents=True)
    pq.write_table(rows(1, 2), data / "file.parquet")
    pq.write_table(rows(1, 2), data / "folder" / "a.parquet")
    s = serve(tmp_path, {"stores": {"main": {"type": "file", "root": "data"}}, "feature_views": {
        "file": {"source": "file.parquet", **VIEW}, "folder": {"source": "folder", **VIEW}, "globbed": {"source": "folder/b*.parquet", **VIEW}}})
    with s.client() as client:
        yield s, client, data


def values(client, view):
    return sorted(get(client, {"all": {"view": view}}).column("v").to_pylist())


def code(s, view):
    got, message, _ = wire.do_get(s.address, server.command({"all": {"view": view}}))
    return got.name, message


def replace(table, path):
    pq.write_table(table, str(path) + ".new")
    os.replace(str(path) + ".new", path)


def test_replaced(world):
    s, client, data = world
    assert values(client, "file") == [1, 2]
    replace(rows(3, 4, 5), data / "file.parquet")
    assert values(client, "file") == [3, 4, 5]
    replace(rows(6, 7, 8), data / "file.parquet")  # of the same size
    assert values(client, "file") == [6, 7, 8]
    answer = exchange_table(client, {"historical": {"features": ["file"]}}, pa.table({"k": [2], "event_timestamp": sample.instants(2)}))
    assert answer.column("v").to_pylist() == [8]


def test_schema_changes(world):
    s, client, data = world
    assert values(client, "file") == [1, 2]
    replace(rows("x", "y", "z"), data / "file.parquet")
    assert get(client, {"all": {"view": "file"}}).schema.field("v").type == pa.string()
    replace(rows(1).drop(["event_timestamp"]), data / "file.parquet")
    name, message = code(s, "file")
    assert name == "FAILED_PRECONDITION" and "event_timestamp" in message and "file.parquet" in message


def test_grows_and_shrinks(world):
    s, client, data = world
    assert code(s, "globbed")[0] in ("NOT_FOUND", "FAILED_PRECONDITION")
    pq.write_table(rows(8, 9), data / "folder" / "b.parquet")
    assert values(client, "folder") == [1, 2, 8, 9]
    assert values(client, "globbed") == [8, 9]
    os.remove(data / "folder" / "a.parquet")
    assert values(client, "folder") == [8, 9]


def test_disappears_and_comes_back(world):
    s, client, data = world
    os.remove(data / "file.parquet")
    name, message = code(s, "file")
    assert name == "NOT_FOUND" and "file.parquet" in message
    assert values(client, "folder") == [1, 2]
    pq.write_table(rows(5), data / "file.parquet")
    assert values(client, "file") == [5]
    shutil.rmtree(data / "folder")
    assert code(s, "folder")[0] == "NOT_FOUND"
    os.mkdir(data / "folder")
    name, message = code(s, "folder")
    assert name == "FAILED_PRECONDITION" and "folder" in message


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "footer", "middle"])
def test_breaks(world, damage):
    s, client, data = world
    path = data / "file.parquet"
    pq.write_table(rows(*range(1000)), path, use_dictionary=False, compression="none", write_page_checksum=True)
    assert values(client, "file") == list(range(1000))
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    broken = {"empty": b"", "text": b"k,v\n1,2\n" * 100, "cut": content[:-100], "footer": content[:-8 - footer] + b"\xff" * 100 + content[100 - 8 - footer:],
              "middle": content[:300] + b"\xff" * 3000 + content[3300:]}[damage]
    path.write_bytes(broken)
    name, message = code(s, "file")
    assert name == "DATA_LOSS" and "file.parquet" in message, (name, message)
    assert values(client, "folder") == [1, 2]
    pq.write_table(rows(7), path)
    assert values(client, "file") == [7]


def test_one_broken_file_of_a_folder(world):
    s, client, data = world
    (data / "folder" / "c.parquet").write_bytes(b"PAR1")
    name, message = code(s, "folder")
    assert name == "DATA_LOSS" and "c.parquet" in message
    os.remove(data / "folder" / "c.parquet")
    pq.write_table(rows("text"), data / "folder" / "c.parquet")
    name, message = code(s, "folder")
    assert name == "FAILED_PRECONDITION" and all(w in message for w in ("v", "a.parquet", "c.parquet")), message


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_single_bytes_of_damage(world, compression):
    """Any changed byte gives the right rows, or other values where nothing guards them, or DATA_LOSS: never a crash, never a wrong number of rows."""
    s, client, data = world
    path = data / "file.parquet"
    pq.write_table(rows(*range(200)), path, compression=compression)
    content = path.read_bytes()
    step = max(1, len(content) // 150)
    for at in range(0, len(content), step):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xff]) + content[at + 1:])
        name, message, chunks = wire.do_get(s.address, server.command({"all": {"view": "file"}}))
        assert name.name in ("OK", "DATA_LOSS", "FAILED_PRECONDITION", "UNIMPLEMENTED"), (at, name, message)
        if name.name == "OK":
            assert get(client, {"all": {"view": "file"}}).num_rows == 200
    assert s.running() and s.peak_memory() < 500 << 20


def test_a_link_out_of_the_root_is_not_followed(world, tmp_path):
    s, client, data = world
    pq.write_table(rows(666), tmp_path / "secret.parquet")
    os.remove(data / "file.parquet")
    os.symlink(tmp_path / "secret.parquet", data / "file.parquet")
    name, message = code(s, "file")
    assert name in ("PERMISSION_DENIED", "NOT_FOUND"), (name, message)


def test_missing_and_broken_sources_are_a_warning_at_the_start(tmp_path, serve):
    s = serve(tmp_path, sample.write(tmp_path))
    warnings = [e for e in s.log_entries() if e.get("level") == "warn"]
    assert sorted(w.get("view", "") for w in warnings) == ["broken", "lacks_column", "no_source"], s.logs
