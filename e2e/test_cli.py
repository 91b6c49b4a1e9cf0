"""The commands for people: init, check, list, describe, get, latest, all, explain, version. Section 1 of the interface."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import sample
import server
import test_tls as test_tls_module
from sample import ENTITIES
from server import ipc_bytes

FEATURES = "driver_stats:conv_rate,customer_stats:balance"
BALANCE = [300, 200, None, 300, 200, None]


def run(*arguments, input=None, cwd=None, server_uri=None):
    """Runs flightd; outputs are bytes."""
    env = {k: v for k, v in os.environ.items() if k != "FLIGHTD_SERVER"}
    if server_uri:
        env["FLIGHTD_SERVER"] = server_uri
    return subprocess.run([server.BINARY, *map(str, arguments)], capture_output=True, input=input if input is not None else b"",
                          cwd=cwd, env=env, timeout=60)


def ok(done):
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def flightd(world):
    """flightd("get", ...) against the server of this module."""
    return lambda *arguments, **options: run(*arguments, server_uri="grpc://" + world.address, **options)


@pytest.fixture
def entities(tmp_path):
    pq.write_table(ENTITIES, tmp_path / "entities.parquet")
    return tmp_path / "entities.parquet"


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".csv":
        return pa.csv.read_csv(path)
    with pa.OSFile(str(path)) as f:
        return pa.ipc.open_file(f).read_all() if f.read(6) == b"ARROW1" else pa.ipc.open_stream(str(path)).read_all()


# ---- version, help, wrong usage ----

def test_version():
    assert re.search(rb"flightd .*\d|flightd .*devel", ok(run("version")))


def test_help():
    for arguments in (["--help"], ["get", "--help"], ["help"]):
        assert b"flightd" in ok(run(*arguments))


@pytest.mark.parametrize("arguments", [["gte"], [], ["get"], ["describe"], ["latest"], ["all", "a", "b"], ["list", "--sevrer", "x"], ["version", "x"],
                                       ["get", "--features", "a:b", "--service", "c", "--entities", "x.parquet"], ["init"], ["explain"]])
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 2, done
    assert done.stderr or done.stdout


def test_nearest_command():
    assert b"get" in run("gte").stderr


@pytest.mark.parametrize("arguments, words", [
    (["list", "--sevrer", "x"], ["--server"]), (["describe"], ["NAME", "usage:"]), (["latest", "a", "b"], ["VIEW", '"b"']), (["init", "--config"], ["--config"]),
    (["all", "a", "--start"], ["--start", "value"]), (["--server", "x", "list"], ["command"]), (["help", "gte"], ["get"]), (["get", "--entities", "x.parquet"], ["--features", "--service"]),
    (["get", "--features", ":x", "--entities", "x.csv"], ["--features", "view"]), (["get", "--features", "a,a:", "--entities", "x.csv"], ["colon"]),
    (["all", "v", "--start", "2024-01-02T00:00:00", "--end", "2024-01-01T00:00:00"], ["start", "end"]), (["latest", "v", "-o", "x.xls"], [".xls", ".parquet"]),
    (["list", "--tls-ca", "ca.pem"], ["grpc+tls://"]), (["list", "--server", "grpc+tls://localhost:1", "--tls-cert", "x.pem"], ["--tls-key"]),
    (["list", "--server", "grpc+tls://localhost:1", "--tls-ca", "gone.pem"], ["gone.pem"])])
def test_wrong_usage_says_what_is_wanted(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2 and all(word in done.stderr.decode() for word in words), done.stderr
    assert done.stdout == b""


def test_help_of_every_command():
    listed = ok(run("help")).decode()
    for command in ("serve", "check", "init", "list", "describe", "get", "latest", "all", "put", "explain", "compact", "version"):
        assert f" {command} " in listed
        for arguments in (["help", command], [command, "--help"], [command, "-h"]):
            assert f"flightd {command}".encode() in ok(run(*arguments))


# ---- init, check ----

def test_init_check_serve(tmp_path):
    ok(run("init", tmp_path / "demo"))
    assert (tmp_path / "demo" / "flightd.yaml").exists()
    ok(run("check", "--config", tmp_path / "demo" / "flightd.yaml"))
    ok(run("check", cwd=tmp_path / "demo"))
    again = run("init", tmp_path / "demo")
    assert again.returncode == 1 and b"flightd.yaml" in again.stderr, "an existing catalog is not overwritten"


def test_output_that_cannot_be_written_is_a_failure(world):
    for command in (["version"], ["list"], ["describe", "driver_stats"], ["all", "weather"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([server.BINARY, *command], stdout=full, stderr=subprocess.PIPE, timeout=60,
                                  env={**os.environ, "FLIGHTD_SERVER": "grpc://" + world.address})
        assert done.returncode == 1 and b"no space left" in done.stderr, (command, done)


def test_init_gives_something_to_join(tmp_path):
    ok(run("init", "demo", cwd=tmp_path))
    process = subprocess.Popen([server.BINARY, "serve", "--config", "demo/flightd.yaml", "--listen", "127.0.0.1:0"], cwd=tmp_path,
                               stderr=subprocess.PIPE, text=True)
    try:
        address = next(json.loads(line)["addr"] for line in process.stderr if '"serving"' in line)
        listed = ok(run("list", server_uri="grpc://" + address)).decode()
        assert "driver_stats" in listed and "customer_stats" in listed
        labels = next((tmp_path / "demo" / "data").glob("orders*"))
        out = tmp_path / "out.parquet"
        ok(run("get", "--features", "driver_stats,customer_stats", "--full-names", "--entities", labels, "-o", out, server_uri="grpc://" + address))
        table = pq.read_table(out)
        assert table.num_rows == pq.read_metadata(labels).num_rows > 1000
        assert any(0 < table.column(n).null_count < table.num_rows for n in table.schema.names if "__" in n)
    finally:
        process.terminate()
        process.stderr.read()
        assert process.wait(20) == 0
        process.stderr.close()


def test_check_fails_on_missing_and_broken_sources(tmp_path):
    (tmp_path / "flightd.yaml").write_text(json.dumps(sample.write(tmp_path)))
    done = run("check", cwd=tmp_path)
    assert done.returncode == 1, done
    said = (done.stdout + done.stderr).decode()
    assert all(word in said for word in ("no_source", "gone.parquet", "broken.parquet", "lacks_column", "wind")), said


def test_check_fails_on_what_is_not_there_to_be_renamed(tmp_path):
    ok(run("init", tmp_path / "demo"))
    config = tmp_path / "demo" / "flightd.yaml"
    config.write_text(config.read_text().replace("    ttl: 24h", "    field_mapping: {conv_rat: rate}\n    ttl: 24h"))
    done = run("check", "--config", config)
    assert done.returncode == 1 and b'"conv_rat" (field_mapping of the view); did you mean "conv_rate"?' in done.stdout, done


@pytest.mark.parametrize("wrong", [("source: driver_stats.parquet", "source: ../x.parquet"),
                                   ("customer_stats]", "customer_stats]\n    log: {store: main, destination: ../logs}")])
def test_a_source_out_of_the_root_is_a_mistake_in_the_configuration(tmp_path, wrong):
    ok(run("init", tmp_path / "demo"))
    config = tmp_path / "demo" / "flightd.yaml"
    config.write_text(config.read_text().replace(*wrong))
    for command in (["check"], ["serve", "--listen", "127.0.0.1:0"]):
        done = run(*command, "--config", config)
        assert done.returncode == 2 and re.search(rb"flightd.yaml:\d+:\d+: .*leads out", done.stderr), done


def test_an_empty_request_id_is_none(flightd):
    done = flightd("put", "driver_stats", "x.parquet", "--request-id", "")
    assert done.returncode == 2 and b"--request-id" in done.stderr


def test_init_feast(tmp_path):
    folder = tmp_path / "demo"
    ok(run("init", folder, "--feast"))
    for which in (["--config", folder / "flightd.yaml"], ["--feast-repo", folder]):
        said = ok(run("check", *which)).decode()
        assert all(f"{name}: ok" in said for name in ("driver_stats", "customer_stats", "feature service driver_activity")), said
    again = run("init", folder, "--feast")
    assert again.returncode == 1 and b"already" in again.stderr or b"exists" in again.stderr


def test_check_says_what_is_wrong_with_a_registry(tmp_path):
    ok(run("init", tmp_path / "demo", "--feast"))
    registry = tmp_path / "demo" / "data" / "registry.db"
    registry.write_bytes(registry.read_bytes()[:-50])
    done = run("check", "--feast-repo", tmp_path / "demo")
    assert done.returncode == 1 and b"registry.db cannot be read" in done.stderr, done
    registry.unlink()
    done = run("check", "--feast-repo", tmp_path / "demo")
    assert done.returncode == 1 and b"feast apply" in done.stderr, done


# ---- list, describe ----

def test_list(flightd):
    out = ok(flightd("list")).decode()
    for word in ("driver_stats", "driver_id", "conv_rate", "6h", "driver_stats.parquet", "weather", "driver_activity"):
        assert word in out, out


def test_describe(flightd):
    out = ok(flightd("describe", "driver_stats")).decode()
    assert all(word in out for word in ("driver_id", "int64", "acc_rate", "float", "event_timestamp", "timestamp")), out
    out = ok(flightd("describe", "driver_activity")).decode()
    assert "balance" in out and "conv_rate" in out
    wrong = flightd("describe", "driver_stat")
    assert wrong.returncode == 1 and b"driver_stats" in wrong.stderr


def test_what_cannot_be_read_is_shown_with_its_error(flightd):
    out = ok(flightd("list")).decode()
    assert "broken" in out and "lacks_column" in out and '"wind"' in out
    out = ok(flightd("describe", "lacks_column")).decode()
    assert '"wind"' in out


def test_flags_stand_anywhere(world, tmp_path):
    uri, out = "grpc://" + world.address, tmp_path / "out.csv"
    forms = [["describe", "driver_stats", "--server", uri], ["describe", "--server", uri, "driver_stats"], ["describe", "-server=" + uri, "--", "driver_stats"]]
    assert len({ok(run(*form)) for form in forms}) == 1
    ok(run("latest", "driver_stats", "-o", out, "--end", "2024-01-01T09:30:00", "--server", uri, "--features", "conv_rate"))
    assert sorted(read(out).column("conv_rate").to_pylist()) == [0.1, 0.3, 0.5]
    assert "acc_rate" not in read(out).schema.names


# ---- get ----

@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_get_files(flightd, entities, tmp_path, form):
    out = tmp_path / f"out.{form}"
    ok(flightd("get", "--features", FEATURES, "--entities", entities, "-o", out))
    table = read(out)
    assert table.schema.names == ENTITIES.schema.names + ["conv_rate", "balance"]
    assert table.column("conv_rate").to_pylist() == sample.CONV_RATE
    assert table.column("balance").to_pylist() == BALANCE
    if form != "csv":
        assert table.select(ENTITIES.schema.names).equals(ENTITIES)


@pytest.mark.parametrize("form", ["csv", "arrow", "-"])
def test_get_entities(flightd, tmp_path, form):
    source, data = tmp_path / f"in.{form}", b""
    if form == "csv":
        source.write_text("driver_id,customer_id,event_timestamp,label\n1,ann,2024-01-01T12:00:00Z,a\n9,bob,2024-01-01 09:00:00,\n,,2024-01-01T00:00:00Z,c\n")
    elif form == "arrow":
        with pa.OSFile(str(source), "wb") as f, pa.ipc.new_file(f, ENTITIES.schema) as w:
            w.write_table(ENTITIES)
    else:
        source, data = "-", ipc_bytes(ENTITIES)
    answer = ok(flightd("get", "--features", FEATURES, "--entities", source, "-o", "-", input=data))
    table = pa.ipc.open_stream(answer).read_all()
    if form == "csv":
        assert table.column("conv_rate").to_pylist() == [0.2, None, None]
        assert table.column("balance").to_pylist() == [300, 200, None]
    else:
        assert table.column("conv_rate").to_pylist() == sample.CONV_RATE


def test_csv_keys_have_the_types_of_the_view(flightd, tmp_path):
    """Text keys that look like numbers stay text."""
    (tmp_path / "in.csv").write_text("customer_id,event_timestamp\nann,2024-01-01T12:00:00Z\n007,2024-01-01T12:00:00Z\n")
    table = pa.ipc.open_stream(ok(flightd("get", "--features", "customer_stats:balance", "--entities", tmp_path / "in.csv", "-o", "-"))).read_all()
    assert table.column("customer_id").to_pylist() == ["ann", "007"]
    (tmp_path / "in.csv").write_text("customer_id,event_timestamp\n7,2024-01-01T12:00:00Z\n8,2024-01-01T12:00:00Z\n")
    table = pa.ipc.open_stream(ok(flightd("get", "--features", "customer_stats:balance", "--entities", tmp_path / "in.csv", "-o", "-"))).read_all()
    assert table.column("customer_id").to_pylist() == ["7", "8"]


def test_get_prints_a_table_and_a_report(flightd, entities):
    done = flightd("get", "--service", "driver_activity", "--full-names", "--entities", entities, "--report")
    out = ok(done).decode()
    assert all(word in out for word in ("driver_stats__conv_rate", "0.2", "ann", "double", "int8") if word != "double") or "float64" in out
    said = out + done.stderr.decode()
    assert all(word in said for word in ("matched", "expired", "not_yet", "unknown_key", "null_key")) or "not yet" in said


def test_the_report_stands_beside_the_rows(flightd, entities):
    done = flightd("get", "--features", FEATURES, "--entities", entities, "--report", "-o", "-")
    assert pa.ipc.open_stream(ok(done)).read_all().num_rows == len(ENTITIES)
    assert all(word in done.stderr.decode() for word in ("driver_stats", "matched", "6 rows")), done.stderr
    silent = flightd("get", "--features", FEATURES, "--entities", entities, "-o", "-")
    assert silent.stderr == b""


def test_a_table_fits_120_columns(flightd, entities):
    out = ok(flightd("get", "--features", "driver_stats,customer_stats", "--full-names", "--entities", entities)).decode()
    assert max(map(len, out.splitlines())) <= 120 and "6 rows, 9 columns" in out
    assert "customer_stats__" in out and "2024-01-01T12:00:00" in out


def test_get_by_another_time(flightd, tmp_path):
    (tmp_path / "in.csv").write_text("driver_id,ordered,delivered\n1,2024-01-01 08:30:00,2024-01-01 11:00:00\n")
    for column, rate in (("ordered", 0.1), ("delivered", 0.2)):
        answer = ok(flightd("get", "--features", "driver_stats:conv_rate", "--entities", tmp_path / "in.csv", "--timestamp", column, "-o", "-"))
        assert pa.ipc.open_stream(answer).read_all().column("conv_rate").to_pylist() == [rate]
    done = flightd("get", "--features", "driver_stats:conv_rate", "--entities", tmp_path / "in.csv")
    assert done.returncode == 1 and b"ordered" in done.stderr and b"delivered" in done.stderr


def test_a_bad_value_names_its_place(flightd, tmp_path):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    out.write_text("what was there before")
    for line, words in (("x,2024-01-01T12:00:00", ["driver_id", '"x"', "int64", "driver_stats"]), ("1,yesterday", ["event_timestamp", "yesterday"])):
        source.write_text("driver_id,event_timestamp\n" + "1,2024-01-01T12:00:00\n" * 70_000 + line + "\n")
        done = flightd("get", "--features", "driver_stats", "--entities", source, "-o", out)
        assert done.returncode == 1 and all(word in done.stderr.decode() for word in ["in.csv: line 70002", *words]), done.stderr
        assert out.read_text() == "what was there before" and sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_entity_columns_of_many_types_come_back(flightd, tmp_path):
    """Zones, decimals, lists, binary: what the join does not need is carried along, in Arrow and in Parquet."""
    day = sample.DAY
    entities = pa.table({
        "driver_id": pa.array([1, 2], pa.int32()), "event_timestamp": pa.array([sample.at(12)] * 2, pa.timestamp("us", "Europe/Paris")),
        "naive": pa.array([day, None], pa.timestamp("ns")), "price": pa.array(["1.10", None], pa.string()).cast(pa.decimal128(9, 2)),
        "tags": pa.array([["a", None], None]), "raw": [b"\xff", b""], "day": pa.array([day.date(), None]), "long": pa.array(["x", None], pa.large_string())})
    with pa.OSFile(str(tmp_path / "in.arrow"), "wb") as f, pa.ipc.new_file(f, entities.schema) as w:
        w.write_table(entities)
    for form in ("arrow", "parquet", "arrows"):
        out = tmp_path / f"out.{form}"
        ok(flightd("get", "--features", "driver_stats:conv_rate", "--entities", tmp_path / "in.arrow", "-o", out))
        assert read(out).select(entities.schema.names).cast(entities.schema).equals(entities), form
        assert read(out).column("event_timestamp").type == entities.column("event_timestamp").type, form
    ok(flightd("get", "--features", "driver_stats:conv_rate", "--entities", tmp_path / "in.arrow", "-o", tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == '1,2024-01-01T13:00:00+01:00,2024-01-01T00:00:00,1.10,"[""a"",null]",/w==,2024-01-01,x,0.2'


def test_what_parquet_cannot_hold(flightd, tmp_path):
    entities = ENTITIES.append_column("day", pa.array([86_400_000] * len(ENTITIES), pa.date64()))
    (tmp_path / "in.arrows").write_bytes(ipc_bytes(entities))
    done = flightd("get", "--features", FEATURES, "--entities", tmp_path / "in.arrows", "-o", tmp_path / "out.parquet")
    assert done.returncode == 1 and b'"day"' in done.stderr and b".arrow" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in.arrows"]
    ok(flightd("get", "--features", FEATURES, "--entities", tmp_path / "in.arrows", "-o", tmp_path / "out.arrow"))
    assert read(tmp_path / "out.arrow").column("day").equals(entities.column("day"))


def test_dictionaries_come_back(flightd, tmp_path):
    entities = ENTITIES.set_column(1, "customer_id", ENTITIES.column("customer_id").dictionary_encode())
    (tmp_path / "in.arrows").write_bytes(ipc_bytes(entities, batch_rows=2))
    ok(flightd("get", "--features", FEATURES, "--entities", tmp_path / "in.arrows", "-o", tmp_path / "out.arrow"))
    table = read(tmp_path / "out.arrow")
    assert table.column("balance").to_pylist() == BALANCE and table.column("customer_id").type == entities.column("customer_id").type
    assert table.column("customer_id").to_pylist() == ENTITIES.column("customer_id").to_pylist()


def test_get_known_at(flightd, tmp_path):
    (tmp_path / "in.csv").write_text("driver_id,event_timestamp\n1,2024-01-01T10:00:00Z\n")
    answer = ok(flightd("get", "--features", "driver_stats:conv_rate", "--entities", tmp_path / "in.csv", "--known-at", "-o", "-"))
    assert pa.ipc.open_stream(answer).read_all().column("conv_rate").to_pylist() == [0.1]


@pytest.mark.parametrize("arguments, words", [
    (["--features", "driver_stat:conv_rate"], ["driver_stats"]), (["--features", "driver_stats:conv"], ["conv_rate"]),
    (["--service", "driver_activiti"], ["driver_activity"]), (["--features", "broken"], ["broken.parquet"]),
])
def test_get_says_what_is_wrong(flightd, entities, tmp_path, arguments, words):
    out = tmp_path / "out.parquet"
    done = flightd("get", *arguments, "--entities", entities, "-o", out)
    assert done.returncode == 1 and all(w in done.stderr.decode() for w in words), done.stderr
    assert not out.exists(), "no file is left behind by a failure"
    assert b"rpc error" not in done.stderr


@pytest.mark.parametrize("name", ["gone.parquet", "in.xlsx", "noextension"])
def test_get_of_unusable_entities(flightd, tmp_path, name):
    if name != "gone.parquet":
        (tmp_path / name).write_text("x")
    done = flightd("get", "--features", FEATURES, "--entities", tmp_path / name)
    assert done.returncode in (1, 2) and name.split(".")[-1] in done.stderr.decode()


def test_get_of_a_broken_file(flightd, tmp_path):
    (tmp_path / "in.parquet").write_bytes(b"PAR1" * 100)
    (tmp_path / "in.arrow").write_bytes(b"ARROW1\0\0" + b"\xff" * 1000)
    (tmp_path / "in.csv").write_bytes(b"driver_id,event_timestamp\n1\n")
    for form in ("parquet", "arrow", "csv"):
        done = flightd("get", "--features", FEATURES, "--entities", tmp_path / f"in.{form}")
        assert done.returncode == 1 and b"in." in done.stderr and b"goroutine" not in done.stderr


# ---- latest, all, explain ----

def test_latest_and_all(flightd, tmp_path):
    out = tmp_path / "out.parquet"
    ok(flightd("latest", "driver_stats", "-o", out))
    assert sorted(read(out).column("conv_rate").to_pylist()) == [0.2, 0.4, 0.5]
    ok(flightd("all", "driver_stats", "--start", "2024-01-01T09:00:00Z", "--end", "2024-01-01T10:00:00", "-o", out))
    assert sorted(read(out).column("conv_rate").to_pylist()) == [0.2, 0.3]
    assert b"conv_rate" in ok(flightd("all", "driver_stats"))
    table = pa.ipc.open_stream(ok(flightd("all", "weather", "-o", "-"))).read_all()
    assert table.equals(sample.TABLES["weather"].select(["temp", "event_timestamp"]))
    wrong = flightd("latest", "wether")
    assert wrong.returncode == 1 and b"weather" in wrong.stderr
    wrong = flightd("all", "weather", "--start", "yesterday")
    assert wrong.returncode == 2 and b"start" in wrong.stderr


def test_explain(flightd):
    out = ok(flightd("explain", json.dumps(sample.joined()))).decode()
    assert "driver_stats" in out and len(out.splitlines()) > 2
    wrong = flightd("explain", '{"all": {"veiw": "x"}}')
    assert wrong.returncode in (1, 2) and b"view" in wrong.stderr


def test_explain_counts_what_the_call_would_take(world, client):
    def explained(ticket):
        (result,) = client.do_action(("flightd.explain", json.dumps(ticket).encode()))
        return json.loads(result.body.to_pybytes())
    for ticket in ({"latest": {"view": "driver_stats"}}, {"all": {"view": "driver_stats"}}, sample.joined()):
        rows = server.get(client, ticket).num_rows
        got = explained(ticket)
        logged = [e for e in world.log_entries() if e.get("call") == "DoGet"][-1]
        assert got["rows"] == rows and got["rows_read"] > 0 and got["bytes_read"] > 0
        assert 0.5 < got["memory_reserved_bytes"] / logged["memory"] < 2
        assert got["feature_rows_fetched"] == {"latest": rows, "all": 0}.get(*ticket, got["feature_rows_fetched"] or -1)


# ---- the server's address ----

def test_server_flag_and_environment(world, flightd):
    uri = "grpc://" + world.address
    assert ok(run("list", "--server", uri)) == ok(flightd("list"))
    assert ok(flightd("list", "--server", uri)) == ok(flightd("list"))
    refused = run("list", "--server", "grpc://127.0.0.1:1")
    assert refused.returncode == 1 and b"127.0.0.1:1" in refused.stderr
    for uri in ("http://x", "nonsense", "grpc://"):
        assert run("list", "--server", uri).returncode == 2


def test_tls(tmp_path, serve):
    authority, stranger = test_tls_module.Authority("ours"), test_tls_module.Authority("another")
    for name in ("server", "client"):
        certificate, key = authority.issue(name)
        (tmp_path / f"{name}.pem").write_bytes(certificate)
        (tmp_path / f"{name}.key").write_bytes(key)
    for name, certificate in (("ca", authority), ("other", stranger)):
        (tmp_path / f"{name}.pem").write_bytes(test_tls_module.pem(certificate.certificate))
    s = serve(tmp_path, {**sample.write(tmp_path), "tls": {"cert": "server.pem", "key": "server.key", "client_ca": "ca.pem"}})
    uri = "grpc+tls://" + s.address
    own = ["--tls-cert", "client.pem", "--tls-key", "client.key"]
    assert b"driver_stats" in ok(run("list", "--server", uri, "--tls-ca", "ca.pem", *own, cwd=tmp_path))
    for wrong, words in ((["--server", "grpc://" + s.address], [b"grpc+tls://"]), (["--server", uri, "--tls-ca", "other.pem", *own], [b"certificate"]),
                         (["--server", uri, "--tls-ca", "ca.pem"], [b"certificate"])):
        done = run("list", *wrong, cwd=tmp_path)
        assert done.returncode == 1 and all(word in done.stderr for word in words) and b"rpc error" not in done.stderr, done.stderr


def test_a_server_without_tls_is_told_from_none(world):
    done = run("list", "--server", "grpc+tls://" + world.address)
    assert done.returncode == 1 and b"does not speak TLS" in done.stderr


def test_a_reader_that_goes_away(flightd, world):
    """flightd all -o - | head -c 10: no trace, no hang."""
    shell = shutil.which("sh")
    done = subprocess.run([shell, "-c", f"{server.BINARY} all driver_stats --server grpc://{world.address} -o - | head -c 10 >/dev/null"],
                          capture_output=True, timeout=20)
    assert b"goroutine" not in done.stderr


def test_an_interrupt_leaves_nothing_behind(flightd, world, tmp_path):
    """Ctrl-C while entity rows are still coming from a pipe."""
    out = tmp_path / "out.parquet"
    process = subprocess.Popen([server.BINARY, "get", "--features", FEATURES, "--entities", "-", "-o", out, "--server", "grpc://" + world.address],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(ipc_bytes(ENTITIES)[:-8])  # all but the end
    process.stdin.flush()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said, problem = process.communicate(timeout=20)
    assert process.returncode == 1 and b"interrupted" in problem and said == b"", problem
    assert list(tmp_path.iterdir()) == []


def test_an_error_does_not_wait_for_rows(world):
    """The server has refused the question; the rows that would come through the pipe do not matter any more."""
    process = subprocess.Popen([server.BINARY, "get", "--features", "driver_stat", "--entities", "-", "--server", "grpc://" + world.address],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(ipc_bytes(ENTITIES)[:-8])
    process.stdin.flush()
    assert process.wait(20) == 1
    assert b"driver_stats" in process.stderr.read()
    process.stdin.close()
    process.stderr.close()
