"""`flightd compact` beside a running server: rows, their order and the ids of writes stay what they are."""

import glob
import json
import subprocess
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sample
import server
from server import descriptor, get

ROWS = sample.TABLES["driver_stats"]
PARTS = 40


def put(client, command, table):
    writer, reader = client.do_put(descriptor(command), table.schema)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        return json.loads(reader.read().to_pybytes())


@pytest.fixture
def pushed(tmp_path, serve):
    """A server over a folder that many small writes have gone to, and a service with logged features."""
    config = sample.write(tmp_path)
    (tmp_path / "data" / "parts").mkdir()
    pq.write_table(ROWS, tmp_path / "data" / "parts" / "old.parquet")
    config["feature_views"]["parts"] = {**config["feature_views"]["driver_stats"], "source": "parts"}
    config["feature_services"]["driver_activity"] = {**config["feature_services"]["driver_activity"],
                                                     "log": {"store": "main", "destination": "logs/activity"}}
    s = serve(tmp_path, config)
    with s.client() as client:
        for i in range(PARTS):
            put(client, push(i), rows(i))
        yield client, tmp_path, s


def push(i):
    return {"write": {"view": "parts", "request_id": f"push {i}"}}


def rows(i):
    """Rows that tie in everything but where they stand: the last one written is the one that counts."""
    return ROWS.slice(0, 1).set_column(3, "conv_rate", pa.array([float(i)]))


def compact(s, name, *arguments):
    return subprocess.run([server.BINARY, "compact", name, "--config", s.config, *arguments], capture_output=True, text=True, timeout=60)


def files(folder):
    return sorted(glob.glob(str(folder / "*.parquet")))


def test_rows_and_ids_stay(pushed):
    client, path, s = pushed
    folder = path / "data" / "parts"
    before = get(client, {"all": {"view": "parts"}})
    newest = get(client, {"latest": {"view": "parts"}})
    assert len(files(folder)) == 1 + PARTS
    done = compact(s, "parts")
    assert done.returncode == 0 and f"{PARTS} parts with {PARTS} rows merged into 1" in done.stdout, done
    assert f"{PARTS} merged parts stay for readers" in done.stdout and "after 1h" in done.stdout
    assert len(files(folder)) == 1 + PARTS + 1, "readers may still have the old ones"
    assert get(client, {"all": {"view": "parts"}}).equals(before)
    assert get(client, {"latest": {"view": "parts"}}).equals(newest)
    for i in range(PARTS):
        assert put(client, push(i), rows(i)) == {"rows": 1, "duplicate": True}
    with pytest.raises(pa.ArrowException, match="other rows"):
        put(client, push(3), rows(4))
    again = compact(s, "parts")
    assert again.returncode == 0 and "no small parts" in again.stdout, again
    # A reader that does not know what the merged part says sees both, which is why this is a command.
    assert pq.read_table(folder).num_rows == before.num_rows + PARTS
    assert put(client, push(PARTS), rows(PARTS)) == {"rows": 1, "duplicate": False}
    assert get(client, {"all": {"view": "parts"}}).num_rows == before.num_rows + 1


def test_pushes_and_reads_go_on(pushed):
    client, path, s = pushed
    wrong, stop = [], threading.Event()

    def read():
        with s.client() as own:
            while not stop.is_set():
                table = get(own, {"all": {"view": "parts"}})
                seen = [v for v in table["conv_rate"].to_pylist()[ROWS.num_rows:]]
                if seen != [float(i) for i in range(len(seen))]:
                    wrong.append(seen)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(PARTS, 2 * PARTS):
            assert put(client, push(i), rows(i)) == {"rows": 1, "duplicate": False}
            if i % 8 == 0:
                assert compact(s, "parts").returncode == 0
    finally:
        stop.set()
        reader.join()
    assert not wrong
    assert get(client, {"all": {"view": "parts"}}).num_rows == ROWS.num_rows + 2 * PARTS


def test_logged_features(pushed):
    client, path, s = pushed
    logged = pa.table({"driver_id": pa.array([1, 2]), "conv_rate": pa.array([0.5, 0.6])})
    for i in range(5):
        put(client, {"log": {"feature_service": "driver_activity"}}, logged.append_column("n", pa.array([i, i])))
    done = compact(s, "driver_activity", "--log", "--grace", "1m")
    assert done.returncode == 0 and "5 parts with 10 rows merged into 1" in done.stdout, done
    assert put(client, {"log": {"feature_service": "driver_activity"}}, logged.append_column("n", pa.array([3, 3]))) == {"rows": 2, "duplicate": True}


@pytest.mark.parametrize("arguments, status, words", [
    (["nothing"], 1, "nothing"),
    (["parts", "--grace", "1s"], 2, "at least"),
    (["parts", "--log"], 1, "parts"),
    (["customer_stats"], 0, "no small parts"),
    ([], 2, "VIEW is missing"),
])
def test_messages(pushed, arguments, status, words):
    _, _, s = pushed
    done = subprocess.run([server.BINARY, "compact", *arguments, "--config", s.config], capture_output=True, text=True, timeout=60)
    assert done.returncode == status and words in done.stdout + done.stderr, done


def test_damage_is_found(pushed):
    _, path, s = pushed
    def check():
        return subprocess.run([server.BINARY, "check", "--deep", "--config", s.config], capture_output=True, text=True, timeout=60)

    assert "parts: ok" in check().stdout
    part = files(path / "data" / "parts")[-1]
    with open(part, "r+b") as f:
        f.seek(60)
        byte = f.read(1)[0]
        f.seek(60)
        f.write(bytes([byte ^ 4]))
    done = check()
    assert done.returncode == 1 and part.rpartition("/")[2] in done.stdout and "parts: ok" not in done.stdout, done
