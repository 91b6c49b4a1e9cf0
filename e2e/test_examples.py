"""The examples run, and the real data of examples/flights is joined as pandas joins it.

A script in examples/python is started in a folder that holds the catalog of `flightd init demo`, with --server and its
address; it must end well and say something. The binary of examples/customstore is built and asked.
"""

import contextlib
import datetime
import glob
import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import server
import wire

EXAMPLES = os.path.join(server.ROOT, "examples")
FLIGHTS = os.path.join(EXAMPLES, "flights")
SCRIPTS = sorted(glob.glob(os.path.join(EXAMPLES, "python", "*.py")))


def python(script, *arguments, cwd=None):
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(binary, config, folder):
    """A server over a configuration in a folder; it must end well."""
    process = subprocess.Popen([binary, "serve", "--config", config, "--listen", "127.0.0.1:0"], cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        address = next(json.loads(line)["addr"] for line in process.stderr if '"serving"' in line)
        yield "grpc://" + address
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


# ---- README.md ----

def readme_blocks(language):
    with open(os.path.join(server.ROOT, "README.md")) as f:
        return re.findall(rf"(?s)\n```{language}\n(.*?)\n```", f.read())


def test_readme(binary, tmp_path):
    """The lines of "On the command line" work in their order, each of them, and so do the ten lines of Python."""
    first = next(i for i, block in enumerate(readme_blocks("sh")) if block.startswith("flightd init"))
    setup, use = readme_blocks("sh")[first:first + 2]
    *setup, serve = setup.splitlines()
    assert serve.startswith("flightd serve --config demo/flightd.yaml")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "flightd").symlink_to(os.path.abspath(binary))

    def run(line, **more):
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", **more}
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout and not done.stderr, line + "\n" + done.stderr

    for line in setup:
        run(line)
    with serving(binary, "demo/flightd.yaml", tmp_path) as uri:
        for line in use.splitlines():
            run(line, FLIGHTD_SERVER=uri)
        script = tmp_path / "readme.py"
        text = readme_blocks("python")[0]
        assert "grpc://127.0.0.1:8815" in text
        script.write_text(text.replace("grpc://127.0.0.1:8815", uri) + "\nprint(training.num_rows)\n")
        assert python(str(script), cwd=tmp_path) == "20000\n"


# ---- examples/python ----

@pytest.fixture(scope="module")
def demo(tmp_path_factory, binary):
    """A server over what `flightd init demo` wrote: (folder, URI)."""
    folder = tmp_path_factory.mktemp("examples")
    subprocess.run([binary, "init", "demo"], cwd=folder, check=True, capture_output=True)
    with serving(binary, "demo/flightd.yaml", folder) as uri:
        yield folder, uri


def test_there_are_python_examples():
    assert len(SCRIPTS) >= 4


@pytest.mark.parametrize("script", SCRIPTS, ids=os.path.basename)
def test_python(demo, script):
    folder, uri = demo
    assert python(script, "--server", uri, cwd=folder).strip()


def test_python_training_data(demo, tmp_path):
    """What the script writes is the orders in their order, with the features of the service behind them."""
    folder, uri = demo
    orders = pq.read_table(folder / "demo" / "data" / "orders.parquet")
    said = python(script("training_data.py"), "--server", uri, "-o", str(tmp_path / "out.parquet"), cwd=folder)
    assert f"{orders.num_rows} rows of" in said
    training = pq.read_table(tmp_path / "out.parquet")
    assert training.select(orders.schema.names).equals(orders.replace_schema_metadata())
    features = training.drop_columns(orders.schema.names)
    assert features.num_columns >= 2 and all(0 < column.null_count < training.num_rows for column in features.columns)


def test_python_staged(demo):
    """The sample has corrections, so some values are not what was known at the time."""
    folder, uri = demo
    differ = [int(line.split(": ")[1].split()[0]) for line in python(script("staged.py"), "--server", uri, cwd=folder).splitlines()
              if "not known yet" in line]
    assert max(differ) > 0


def test_python_materialize(demo, tmp_path):
    """Window after window, over two runs, brings the same rows into the store as one question about the whole time."""
    folder, uri = demo
    store = str(tmp_path / "online.db")
    for end in ("2024-02-03", "2024-02-05T12:00"):
        python(script("materialize.py"), "--server", uri, "--start", "2024-02-01", "--end", end, "--hours", "7", "--store", store, cwd=folder)
    with fl.connect(uri) as client:
        ask = {"latest": {"view": "driver_stats", "start": "2024-02-01T00:00:00Z", "end": "2024-02-05T12:00:00Z"}}
        want = client.do_get(fl.Ticket(json.dumps(ask))).read_all().to_pylist()
    with contextlib.closing(sqlite3.connect(store)) as db:
        have = {json.loads(key)[0]: (at, json.loads(features)) for key, at, features in db.execute("SELECT key, at, features FROM online")}
        until = db.execute("SELECT until FROM progress").fetchall()
    assert until == [("2024-02-05T12:00:00+00:00",)]
    assert len(want) > 100 and len(have) == len(want)
    for row in want:
        at, features = have[row["driver_id"]]
        assert datetime.datetime.fromisoformat(at) == row["event_timestamp"]
        assert features == {name: row[name] for name in features} and len(features) >= 2


def script(name):
    return os.path.join(EXAMPLES, "python", name)


# ---- examples/customstore ----

CUSTOMSTORE = os.path.join(EXAMPLES, "customstore")


@pytest.fixture(scope="module")
def csv_binary(tmp_path_factory):
    """flightd with the store of the example in it."""
    path = str(tmp_path_factory.mktemp("customstore") / "customstore")
    subprocess.run(["go", "build", "-o", path, "."], cwd=CUSTOMSTORE, check=True)
    return path


def test_customstore(csv_binary):
    """The CSV files of the example, joined: nulls, a correction, the ttl, a view without keys."""
    hour = lambda day, h: datetime.datetime(2024, 1, day, h, tzinfo=datetime.timezone.utc)
    entities = pa.table({
        "driver_id": pa.array([1001, 1001, 1002, 1001, 1003, 9], pa.int64()),
        "event_timestamp": pa.array([hour(1, 9), hour(1, 13), hour(1, 8), hour(2, 13), hour(2, 10), hour(1, 5)], pa.timestamp("us", "UTC")),
    })
    checked = subprocess.run([csv_binary, "check", "--config", os.path.join(CUSTOMSTORE, "flightd.yaml")], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with serving(csv_binary, "flightd.yaml", CUSTOMSTORE) as uri, fl.connect(uri) as client:
        joined = server.exchange_table(client, {"historical": {"feature_service": "driver_activity"}}, entities)
        known = server.exchange_table(client, {"historical": {"features": ["driver_stats:conv_rate"], "known_at": True}}, entities)
        latest = server.get(client, {"latest": {"view": "driver_stats"}})
        everything = server.get(client, {"all": {"view": "weather"}})
    assert joined.column("conv_rate").to_pylist() == [0.5, 0.625, None, None, None, None]
    assert joined.column("note").to_pylist() == ["rain, all day", "corrected", None, None, "new", None]
    assert joined.column("temp").to_pylist() == [3.5, 7, 3.5, -1.5, -1.5, None]
    assert known.column("conv_rate").to_pylist() == [0.5, 0.75, None, None, None, None]
    assert {row["driver_id"]: row["note"] for row in latest.to_pylist()} == {1001: "corrected", 1002: "", 1003: "new"}
    assert everything.num_rows == 3


def test_customstore_configuration(csv_binary, tmp_path):
    """The type is chosen by name, and the keys beside it are checked by the store itself."""
    for store, said in (
        ('{"type": "csvv", "folder": "x"}', "known: csv, file, memory"),
        ('{"type": "csv"}', "folder is missing"),
        ('{"type": "csv", "folder": "x", "seperator": ";"}', 'did you mean "separator"?'),
    ):
        config = tmp_path / "flightd.yaml"
        config.write_text('{"stores": {"tables": %s}, "feature_views": {"v": {"store": "tables", "source": "v.csv", "timestamp": "ts"}}}' % store)
        done = subprocess.run([csv_binary, "check", "--config", str(config)], capture_output=True, text=True)
        assert done.returncode == 2 and said in done.stderr, done.stderr


def test_customstore_errors(csv_binary, tmp_path):
    """Errors of a store in another module reach the client with their kind, and say where."""
    (tmp_path / "broken.csv").write_text("ts:timestamp,n:int64\n2024-01-01T00:00:00Z,1\nyesterday,2\n")
    (tmp_path / "typed.csv").write_text("ts:timestamp,n:number\n")
    views = {name: {"store": "tables", "source": name + ".csv", "timestamp": "ts"} for name in ("broken", "typed", "gone")}
    (tmp_path / "flightd.yaml").write_text(json.dumps({"stores": {"tables": {"type": "csv", "folder": "."}}, "feature_views": views}))
    with serving(csv_binary, "flightd.yaml", tmp_path) as uri:
        for view, code, said in (
            ("broken", "DATA_LOSS", 'broken.csv, line 3, column "ts"'), ("typed", "FAILED_PRECONDITION", "n:number"), ("gone", "NOT_FOUND", "gone.csv"),
        ):
            got, details, _ = wire.do_get(uri.removeprefix("grpc://"), json.dumps({"all": {"view": view}}).encode())
            assert got.name == code and said in details, (view, got, details)


# ---- examples/flights ----

@pytest.fixture(scope="module")
def flights():
    """The module run.py; the data is prepared if it is not there."""
    if not os.path.exists(os.path.join(FLIGHTS, "data", "aircraft.parquet")):
        python(os.path.join(FLIGHTS, "prepare.py"))
    spec = importlib.util.spec_from_file_location("flights_run", os.path.join(FLIGHTS, "run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_of(labels, features, time, by, tolerance=None):
    """pandas' as-of join of labels in their own order. Ties go to the last row, as in flightd; null keys match nothing."""
    labels = labels.assign(row=range(len(labels)))
    features = features.dropna(subset=[by, time]).sort_values(time, kind="stable")
    joined = pd.merge_asof(labels.sort_values("event_timestamp", kind="stable"), features, left_on="event_timestamp", right_on=time,
                           by=by, tolerance=tolerance)
    return joined.sort_values("row").reset_index(drop=True)


def test_flights_as_pandas(flights, binary):
    labels = pq.read_table(os.path.join(FLIGHTS, "data", "labels.parquet"))
    with flights.serving(binary) as address, fl.connect(address) as client:
        training, report = flights.training_data(client, labels)
    assert training.num_rows == 336_776
    assert training.select(labels.schema.names).equals(labels.replace_schema_metadata())
    got, frame = training.to_pandas(), labels.to_pandas()
    weather = as_of(frame, pd.read_parquet(os.path.join(FLIGHTS, "data", "weather.parquet")), "observed_at", "origin", pd.Timedelta("2h"))
    aircraft = as_of(frame, pd.read_parquet(os.path.join(FLIGHTS, "data", "aircraft.parquet")), "landed_at", "tailnum")
    features = {"weather": ["temp", "wind_speed", "wind_gust", "precip", "visib", "pressure"], "aircraft": ["last_dep_delay"]}
    for view, want in (("weather", weather), ("aircraft", aircraft)):
        for feature in features[view]:
            pd.testing.assert_series_equal(got[feature], want[feature], check_exact=True)
    assert report["weather"]["matched"] == weather["observed_at"].notna().sum()
    assert report["aircraft"]["matched"] == aircraft["landed_at"].notna().sum()
    assert report["aircraft"]["null_key"] == labels.column("tailnum").null_count
    assert got["last_dep_delay"].notna().sum() > 300_000


def test_flights_runs(flights, binary):
    """What the README shows is what run.py prints, apart from the time that it took."""
    said = python(os.path.join(FLIGHTS, "run.py"), "--flightd", binary)
    with open(os.path.join(FLIGHTS, "README.md")) as f:
        shown = f.read().split("## What it prints")[1].split("```")[1]
    assert without_time(said) == without_time(shown)


def without_time(text):
    return [line.split(" in ")[0] if " rows in " in line else line.rstrip() for line in text.strip().splitlines()]


def test_flights_claims(flights):
    """The figures in the text of the README."""
    labels = pd.read_parquet(os.path.join(FLIGHTS, "data", "labels.parquet"))
    delay = labels["dep_delay"].dropna()
    assert 0.58 < (delay <= 0).mean() < 0.62  # three in five
    left = labels.dropna(subset=["dep_delay", "tailnum"])
    alone = left.groupby(["tailnum", left["event_timestamp"].dt.floor("D")])["dep_delay"].transform("size") == 1
    assert 0.5 < alone.mean() < 0.6  # more than half
    assert labels.loc[labels["tailnum"].isna(), "dep_delay"].isna().all()  # cancelled
