"""The examples run, and the real data of examples/flights is joined as pandas joins it.

A script in examples/python is started in a folder that holds the catalog of `flightd init demo`, with --server and its
address; it must end well and say something.
"""

import glob
import importlib.util
import json
import os
import subprocess
import sys

import pandas as pd
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

import server

EXAMPLES = os.path.join(server.ROOT, "examples")
FLIGHTS = os.path.join(EXAMPLES, "flights")
SCRIPTS = sorted(glob.glob(os.path.join(EXAMPLES, "python", "*.py")))


def python(script, *arguments, cwd=None):
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory, binary):
    """A server over what `flightd init demo` wrote: (folder, URI)."""
    folder = tmp_path_factory.mktemp("examples")
    subprocess.run([binary, "init", "demo"], cwd=folder, check=True, capture_output=True)
    process = subprocess.Popen([binary, "serve", "--config", "demo/flightd.yaml", "--listen", "127.0.0.1:0"], cwd=folder,
                               stderr=subprocess.PIPE, text=True)
    try:
        address = next(json.loads(line)["addr"] for line in process.stderr if '"serving"' in line)
        yield folder, "grpc://" + address
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


def test_there_are_python_examples():
    assert len(SCRIPTS) >= 4


@pytest.mark.parametrize("script", SCRIPTS, ids=os.path.basename)
def test_python(demo, script):
    folder, uri = demo
    assert python(script, "--server", uri, cwd=folder).strip()


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
