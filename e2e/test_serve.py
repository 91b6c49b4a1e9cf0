"""`flightd serve` as a process: start, addresses, logs, drain, exit status, health. Section 1 of the interface."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import sample
import server
import wire
from sample import ENTITIES, historical, joined
from server import descriptor, exchange_table, get

HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"


def run(*arguments, cwd=None, env=None, timeout=30):
    return subprocess.run([server.BINARY, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=timeout,
                          env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)


@pytest.fixture
def config(tmp_path):
    (tmp_path / "flightd.yaml").write_text(json.dumps(sample.write(tmp_path)))
    return tmp_path / "flightd.yaml"


def test_serving_line_and_log_form(world):
    entries = world.log_entries()
    serving = [e for e in entries if e.get("message") == "serving"]
    assert len(serving) == 1 and serving[0]["addr"] == world.address
    assert world.address.startswith("127.0.0.1:") and not world.address.endswith(":0")


def test_one_line_for_each_call(world, client):
    get(client, joined())
    wire.do_get(world.address, b'{"all": {"view": "nothing"}}')
    server.wait_until(lambda: any('"NotFound"' in line for line in world.logs), what="the log line of a failed call")
    calls = [e for e in world.log_entries() if e.get("message") == "call"]
    assert any(e["code"] == "OK" and e["rows"] == len(ENTITIES) and e["views"] == ["driver_stats"] for e in calls)


def test_health(world):
    for service in (b"", wire.field(1, b"arrow.flight.protocol.FlightService")):
        code, _, answers = wire.call(world.address, HEALTH, service)
        assert code.name == "OK" and answers == [SERVING]
    assert wire.call(world.address, HEALTH, wire.field(1, b"nothing"))[0].name == "NOT_FOUND"


# ---- the end ----

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_drain_of_an_idle_server(tmp_path, serve, how):
    s = serve(tmp_path, sample.write(tmp_path))
    with s.client() as client:
        get(client, joined())
    s.process.send_signal(how)
    assert s.process.wait(10) == 0


@pytest.fixture
def large(tmp_path, serve):
    """A server whose answers are larger than all buffers between it and a client that does not read."""
    def start(**more):
        rows = 1_500_000
        times = pa.array(range(rows), pa.int64()).cast(pa.timestamp("us"))
        table = pa.table({"event_timestamp": times, "a": pa.array(range(rows)), "b": pa.array(range(rows)), "c": pa.array(range(rows))})
        pq.write_table(table, tmp_path / "large.parquet", compression="none", use_dictionary=False, row_group_size=100_000)
        view = {"store": "main", "source": "large.parquet", "timestamp": "event_timestamp"}
        return serve(tmp_path, {"stores": {"main": {"type": "file", "root": str(tmp_path)}}, "feature_views": {"large": view}, **more}), rows
    return start


def refuses(s):
    """Whether a new call on a new connection is refused."""
    code = wire.call(s.address, "GetFlightInfo", wire.path("large"), timeout=2)[0].name
    return code == "UNAVAILABLE"


def test_a_running_call_finishes(large):
    s, rows = large()
    with s.client() as client:
        reader = client.do_get(fl.Ticket(b'{"all": {"view": "large"}}'))
        read = len(reader.read_chunk().data)
        s.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: refuses(s), what="the refusal of new calls")
        assert s.running()
        read += sum(len(c.data) for c in reader)
        assert read == rows
    assert s.process.wait(10) == 0


def test_an_upload_in_progress_finishes(large):
    s, _ = large()
    with s.client() as client:
        entities = pa.table({"event_timestamp": pa.array([5, 7], pa.int64()).cast(pa.timestamp("us"))})
        writer, reader = client.do_exchange(descriptor(historical("large")))
        writer.begin(entities.schema)
        writer.write_table(entities)
        time.sleep(0.2)
        s.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: refuses(s), what="the refusal of new calls")
        writer.write_table(entities)
        writer.done_writing()
        assert reader.read_all().column("a").to_pylist() == [5, 7, 5, 7]
        writer.close()
    assert s.process.wait(10) == 0


def test_a_call_over_the_shutdown_timeout_is_ended(large):
    s, _ = large(shutdown_timeout="1s")
    s.ends_with = 1  # calls were cut off
    with s.client() as client:
        reader = client.do_get(fl.Ticket(b'{"all": {"view": "large"}}'))
        reader.read_chunk()
        start = time.monotonic()
        s.process.send_signal(signal.SIGTERM)
        time.sleep(2.5)
        with pytest.raises(fl.FlightUnavailableError):
            while True:
                reader.read_chunk()
        assert s.process.wait(10) == s.ends_with
        assert 0.9 < time.monotonic() - start < 15


def test_a_second_signal_ends_at_once(large):
    s, _ = large()
    s.ends_with = 1  # calls were cut off
    with s.client() as client:
        reader = client.do_get(fl.Ticket(b'{"all": {"view": "large"}}'))
        reader.read_chunk()
        s.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: refuses(s), what="the refusal of new calls")
        assert s.running()
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(5) == s.ends_with
        with pytest.raises(pa.ArrowException):
            while True:
                reader.read_chunk()


def test_drains_under_load(tmp_path, serve):
    """Every call is answered in full or ends as UNAVAILABLE; the server is gone soon, with status 0."""
    for _ in range(3):
        s = serve(tmp_path, sample.write(tmp_path))
        wrong, answered = [], []
        def work():
            with s.client() as client:
                while True:
                    try:
                        answer = exchange_table(client, historical("driver_stats:conv_rate"), ENTITIES)
                    except fl.FlightUnavailableError:
                        return
                    except BaseException as e:
                        wrong.append(repr(e))
                        return
                    if answer.column("conv_rate").to_pylist() != sample.CONV_RATE:
                        wrong.append("a wrong answer")
                    answered.append(1)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads:
            t.start()
        server.wait_until(lambda: len(answered) > 20, what="answers")
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(20) == 0
        for t in threads:
            t.join(20)
        assert not wrong and not any(t.is_alive() for t in threads)


def test_health_is_told_of_the_drain(large):
    s, _ = large()
    with s.client() as client, wire.channel(s.address) as channel:
        reader = client.do_get(fl.Ticket(b'{"all": {"view": "large"}}'))
        reader.read_chunk()
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=20)
        assert next(watch) == SERVING
        s.process.send_signal(signal.SIGTERM)
        assert next(watch) == b"\x08\x02"  # NOT_SERVING, while a call still runs
        for _ in reader:
            pass
    assert s.process.wait(10) == 0


# ---- the start ----

def test_port_in_use(config, world):
    done = run("serve", "--config", config, "--listen", world.address)
    assert done.returncode == 1 and world.address in done.stderr


def test_nothing_to_serve(tmp_path):
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("flightd.yaml", "feature_store.yaml", "flightd init")), done.stderr


def test_the_configuration_of_the_folder(config, tmp_path):
    process = subprocess.Popen([server.BINARY, "serve", "--listen", "127.0.0.1:0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert any('"serving"' in line for line in process.stderr)
        process.terminate()
        process.stderr.read()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("arguments", [
    ("--config", "gone.yaml"), ("--no-such-flag",), ("extra",), ("--listen", "nowhere"), ("--config",),
    ("--tls-cert", "server.pem"), ("--feast-repo", "."), ("--feast-folder", "."), ("--feast-no-entities", "snapshot"), ("--config", "flightd.yaml", "--feast-repo", ".")])
def test_wrong_usage(config, arguments):
    done = run("serve", *arguments, cwd=config.parent)
    assert done.returncode == 2, done
    assert done.stderr.strip()


def edited(**changes):
    def change(c):
        for path, value in changes.items():
            at = c
            *steps, last = path.split("__")
            for step in steps:
                at = at[step]
            at[last] = value
        return c
    return change


BAD = [
    (edited(feature_views__driver_stats__sorce="x"), ["sorce", "source"]),
    (edited(feature_views__driver_stats__ttl="-1h"), ["ttl"]),
    (edited(feature_views__driver_stats__ttl="soon"), ["ttl"]),
    (edited(feature_views__driver_stats__store="mian"), ["mian", "main"]),
    (edited(stores__main__type="files"), ["files", "file", "memory"]),
    (edited(stores__main__type="postgres"), ["postgres", "file"]),
    (edited(stores__main__root="s3://bucket/prefix"), ["s3"]),
    (edited(feature_services__driver_activity__features=["driver_stat:conv_rate"]), ["driver_stat", "driver_stats"]),
    (edited(feature_services__driver_activity__features=[]), ["features"]),
    (edited(auth={"type": "oidc"}), ["oidc"]),
    (edited(metrics="9464"), ["metrics"]),
    (edited(feast_repo="./feature_repo"), ["feast_repo"]),
    (edited(limits={"memory": "lots"}), ["memory"]),
    (edited(limits={"memry": "1GiB"}), ["memry", "memory"]),
    (edited(limits={"concurrent": 0}), ["concurrent"]),
    (edited(shutdown_timeout="0s"), ["shutdown_timeout"]),
    (edited(listen="127.0.0.1"), ["listen"]),
]


@pytest.mark.parametrize("change, words", BAD, ids=[str(b[1][0]) for b in BAD])
def test_wrong_configuration(tmp_path, change, words):
    config = change(json.loads(json.dumps(sample.write(tmp_path))))
    path = tmp_path / "flightd.yaml"
    path.write_text(json.dumps(config, indent=2))
    for command in ("serve", "check"):
        done = run(command, "--config", path)
        assert done.returncode == 2, done
        assert all(word in done.stderr for word in words), done.stderr
        assert "flightd.yaml:" in done.stderr, "file, line and column"


def test_check_of_a_root_that_is_not_there(tmp_path):
    """For `serve` it is like any missing source: one warning for each view."""
    config = edited(stores__main__root="./nowhere")(json.loads(json.dumps(sample.write(tmp_path))))
    (tmp_path / "flightd.yaml").write_text(json.dumps(config))
    done = run("check", "--config", tmp_path / "flightd.yaml")
    assert done.returncode in (1, 2) and "nowhere" in done.stderr + done.stdout


def test_all_mistakes_at_once(tmp_path):
    config = json.loads(json.dumps(sample.write(tmp_path)))
    config["lisen"] = "x"
    config["feature_views"]["driver_stats"]["ttl"] = "-1h"
    config["feature_views"]["weather"]["stroe"] = "main"
    (tmp_path / "flightd.yaml").write_text(json.dumps(config, indent=2))
    done = run("check", "--config", tmp_path / "flightd.yaml")
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("lisen", "ttl", "stroe")), done.stderr


def test_environment_in_the_configuration(tmp_path, serve):
    config = sample.write(tmp_path)
    config["stores"] = {"main": {"type": "file", "root": "${FLIGHTD_TEST_ROOT}"}}
    os.environ["FLIGHTD_TEST_ROOT"] = str(tmp_path / "data")
    try:
        with serve(tmp_path, config).client() as client:
            assert get(client, {"all": {"view": "weather"}}).num_rows == 2
    finally:
        del os.environ["FLIGHTD_TEST_ROOT"]
    done = run("check", "--config", tmp_path / "flightd.yaml")
    assert done.returncode == 2 and "FLIGHTD_TEST_ROOT" in done.stderr


def test_open_to_the_network_is_a_warning(config):
    process = subprocess.Popen([server.BINARY, "serve", "--config", config, "--listen", "0.0.0.0:0"], stderr=subprocess.PIPE, text=True)
    try:
        seen = []
        for line in process.stderr:
            seen.append(json.loads(line))
            if seen[-1].get("message") == "serving":
                break
        assert any(e["level"] == "warn" and "auth" in json.dumps(e).lower() for e in seen), seen
        process.terminate()
        process.stderr.read()
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_many_clients_at_once(world):
    """16 threads, each with a client of its own; every answer is right."""
    wrong = []

    def work():
        with world.client() as client:
            for _ in range(15):
                if get(client, joined()).column("conv_rate").to_pylist() != sample.CONV_RATE:
                    wrong.append("different")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not wrong and not any(t.is_alive() for t in threads)


def test_ipv6_and_names(config):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return  # no IPv6 on this machine
    process = subprocess.Popen([server.BINARY, "serve", "--config", config, "--listen", "[::1]:0"], stderr=subprocess.PIPE, text=True)
    try:
        assert any('"addr":"[::1]:' in line for line in process.stderr)
        process.terminate()
        process.stderr.read()
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
