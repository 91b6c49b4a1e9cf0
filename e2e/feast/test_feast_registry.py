"""The registry: what is applied is served by the next request, whatever state the file was in before."""

import base64
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest
import server as flightd
import yaml
from expect import fails, historical, same
from feastserver import FEAST
from world import US, VIEWS, Repo, at, columns, definitions, fields, write

from feast import FeatureStore, FeatureView, FileSource, errors
from feast.repo_config import RepoConfig
from feast.types import Int64

ROWS = pd.DataFrame({"driver_id": [1001, 1003], "event_timestamp": pd.DatetimeIndex([at(6), at(18)])})
FEATURES = ["driver_stats:trips", "driver_stats:note"]
ANSWER = historical(ROWS, FEATURES)


def ask(client):
    client.refresh_registry()
    return client.get_historical_features(ROWS, FEATURES).to_arrow()


def with_own_registry(repo, serve):
    """A client whose own copy of the registry stays whole whatever happens to the server's."""
    copy = repo.path("own_registry.db")
    shutil.copy(repo.registry, copy)
    return repo.client(serve(repo).port, registry=copy)


def test_apply_is_seen_by_the_next_request(repo, serve):
    client = repo.client(serve(repo).port)
    write(repo.path("data", "new.parquet"), columns(["driver_id", "event_timestamp", "x"], [pa.int64(), US, pa.int64()], [(1001, at(0), 5)]))
    view = FeatureView(name="new", entities=[client.get_entity("driver")], schema=fields(driver_id=Int64, x=Int64),
                       source=FileSource(name="new_source", path="data/new.parquet", timestamp_field="event_timestamp"))
    for ttl, want in ((timedelta(0), [5, None]), (timedelta(hours=6), [5, None]), (timedelta(hours=5), [None, None])):
        view.ttl = ttl
        repo.local().apply([view])
        client.refresh_registry()
        got = client.get_historical_features(ROWS, ["new:x"]).to_df()
        found = dict(zip(got["driver_id"], got["x"]))[1001]
        assert (None if pd.isna(found) else found) == want[0]
    deleted = repo.local()
    deleted.delete_feature_view("new")
    with pytest.raises(errors.FeatureViewNotFoundException):  # this client still has it
        client.get_historical_features(ROWS, ["new:x"]).to_arrow()


def test_server_before_registry(tmp_path, serve):
    repo = Repo(tmp_path / "repo")
    client = repo.client(serve(repo).port)
    repo.apply()
    same(ask(client), ANSWER)


@fails("stock", "says that there is no registry", strict=False)
def test_registry_made_again(repo, serve):
    client = with_own_registry(repo, serve)
    same(ask(client), ANSWER)
    os.remove(repo.registry)
    for _ in range(3):  # what was there may still be served, but nothing may break
        try:
            same(client.get_historical_features(ROWS, FEATURES).to_arrow(), ANSWER)
        except errors.FeatureViewNotFoundException:
            pass
        except pa.ArrowInvalid as e:
            assert "feast apply" in str(e)
    repo.apply()
    same(ask(client), ANSWER)


@fails("stock", "reads what is there", strict=False)
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_torn_registry(repo, serve, share):
    """Feast writes the file in place: a reader may see the beginning of it."""
    client = with_own_registry(repo, serve)
    same(ask(client), ANSWER)
    with open(repo.registry, "rb") as f:
        whole = f.read()
    with open(repo.registry, "wb") as f:
        f.write(whole[:int(share * len(whole))])
    same(client.get_historical_features(ROWS, FEATURES).to_arrow(), ANSWER)
    with open(repo.registry, "wb") as f:
        f.write(whole)
    same(ask(client), ANSWER)


def test_two_projects(repo, serve):
    """One registry, two projects: the client's own counts for retrieval, the server's for sources."""
    other = Repo(repo.folder + "_other", project="other", data=False)
    write(other.path("data", "driver.parquet"), VIEWS["driver_stats"].table.slice(0, 8))
    sources = {o.name: o for o in definitions(other.folder)}
    source = FileSource(name="driver_source", path=other.path("data", "driver.parquet"), timestamp_field="event_timestamp")
    view = FeatureView(name="driver_stats", entities=[sources["driver"]], source=source, ttl=timedelta(days=1),
                       schema=sources["driver_stats"].schema)
    other.registry = repo.registry
    other.configure(other.folder, {"registry": repo.registry, "offline_store": {"type": "file"}})
    other.local().apply([sources["driver"], view])
    port = serve(repo).port
    same(ask(repo.client(port)), ANSWER)
    # Its source has no rows of driver 1003.
    got = other.client(port).get_historical_features(ROWS, FEATURES).to_arrow()
    same(got, ANSWER.set_column(2, "trips", pa.array([ANSWER["trips"][0].as_py(), None])).set_column(
        3, "note", pa.array([ANSWER["note"][0].as_py(), None])))


def test_apply_through_the_server(tmp_path, serve):
    """A client that has no access to the data: columns and types come from the server, also for a push source's views."""
    repo = Repo(tmp_path / "repo")
    client = repo.client(serve(repo).port)
    known = {o.name: o for o in definitions(repo.folder)}
    view = FeatureView(name="driver_stats", entities=[known["driver"]], source=known["driver_push"], ttl=timedelta(days=1))
    client.apply([known["driver"], known["driver_push"], view])
    assert {f.name: str(f.dtype) for f in client.get_feature_view("driver_stats").features} == {
        "conv_rate": "Float32", "trips": "Int64", "note": "String", "seen": "UnixTimestamp", "scores": "Array(Float64)"}
    same(ask(client), ANSWER)


def test_command_line(tmp_path, serve):
    """feast apply and feast materialize in the client's folder."""
    repo = Repo(tmp_path / "repo")
    client = repo.client(serve(repo).port)
    with open(repo.path("client", "definitions.py"), "w") as f:
        f.write(f"import sys\nsys.path[:0] = {sys.path!r}\nimport world\n"
                f"for i, o in enumerate(world.definitions({repo.folder!r})):\n"
                "    if o.name != 'my view.v1':  # no name for a table of SQLite\n        globals()[f'o{i}'] = o\n")
    for command in (["apply"], ["materialize", "-v", "customer_profile", "2026-01-01T00:00:00", "2026-01-01T12:00:00"]):
        done = subprocess.run([FEAST, "-c", repo.path("client"), *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    same(ask(client), ANSWER)
    assert client.get_online_features(["customer_profile:count"], [{"customer_id": "c1"}]).to_dict()["count"] == [10]


# ---- feature_store.yaml ----

def test_dump_of_a_configuration(repo, serve):
    """As programs write it, Feast's own tests among them: every key, most of them null."""
    dump = RepoConfig(project=repo.project, provider="local", offline_store={"type": "dask"}, registry=repo.registry,
                      entity_key_serialization_version=3).model_dump(by_alias=True)
    with open(repo.path("feature_store.yaml"), "w") as f:
        yaml.dump(dump, f)
    same(ask(repo.client(serve(repo).port)), ANSWER)


@pytest.mark.parametrize("config", [
    {"offline_store": "file"}, {"offline_store": "dask"}, {"offline_store": "duckdb"}, {"offline_store": None},
    {"registry": {"path": "registry.db", "cache_ttl_seconds": 60}}, {"registry": {"registry_type": "file", "path": "${SHOP_REGISTRY}"}},
    {"registry": "$SHOP_REGISTRY", "online_store": None, "flags": None, "auth": {"type": "no_auth"}}], ids=str)
@fails("stock", "takes a store that is null for an error", strict=False)
def test_forms_of_the_configuration(repo, serve, config):
    repo.configure(repo.folder, {"registry": "registry.db", "offline_store": {"type": "file"}, **config})
    same(ask(repo.client(serve(repo, env={"SHOP_REGISTRY": repo.registry}).port)), ANSWER)


def test_configuration_in_the_environment(repo, serve, tmp_path):
    with open(repo.path("feature_store.yaml")) as f:
        text = f.read().replace("registry.db", repo.registry)
    (tmp_path / "empty").mkdir()
    env = {"FEATURE_STORE_YAML_BASE64": base64.b64encode(text.encode()).decode()}
    client = repo.client(serve(tmp_path / "empty", env=env).port)
    rows = pd.DataFrame({"customer_id": ["c1"], "event_timestamp": pd.DatetimeIndex([at(6)])})
    client.refresh_registry()
    same(client.get_historical_features(rows, ["customer_profile:count"]).to_arrow(), historical(rows, ["customer_profile:count"]))


def test_sql_registry(tmp_path, serve):
    repo = Repo(tmp_path / "repo")
    registry = {"registry_type": "sql", "path": f"sqlite:///{repo.path('registry.sqlite')}", "cache_ttl_seconds": 60}
    repo.configure(repo.folder, {"registry": registry, "offline_store": {"type": "file"}})
    client = repo.client(serve(repo).port, registry=registry)
    repo.apply()
    same(ask(client), ANSWER)
    changed = repo.local().get_feature_view("driver_stats")
    changed.ttl = timedelta(minutes=1)
    repo.local().apply([changed])
    rows = ROWS.assign(event_timestamp=ROWS["event_timestamp"] + timedelta(minutes=5))
    got = client.get_historical_features(rows, FEATURES).to_arrow()
    assert got["trips"].null_count == got.num_rows, "a changed ttl is seen by the next request"


UNSERVED = {
    "auth": ({"auth": {"type": "kubernetes"}}, "auth"),
    "an offline store that is not there yet": ({"offline_store": {"type": "bigquery"}}, "bigquery"),
    "an unknown offline store": ({"offline_store": {"type": "abacus"}}, "abacus"),
    "an unknown registry": ({"registry": {"registry_type": "stone", "path": "tablet"}}, "stone"),
    "no project": ({"project": None}, "project"),
}


@fails("stock", "ends with a traceback, or serves it", strict=False)
@pytest.mark.parametrize("config, named", UNSERVED.values(), ids=UNSERVED)
def test_what_is_not_served_stops_the_start(repo, serve, config, named):
    repo.configure(repo.folder, {"registry": "registry.db", "offline_store": {"type": "file"}, **config})
    with pytest.raises(AssertionError) as refusal:
        serve(repo)
    said = str(refusal.value).splitlines()[1:]
    assert len(said) == 1 and named in said[0], said


def test_sample(tmp_path, serve):
    """What `flightd init --feast` writes is what Feast itself makes of its definitions, and works as it stands."""
    folder = tmp_path / "sample"
    subprocess.run([flightd.BINARY, "init", str(folder), "--feast"], check=True, stdout=subprocess.DEVNULL)
    port = serve(str(folder)).port
    yaml_of_client = folder / "client" / "feature_store.yaml"
    yaml_of_client.write_text(yaml_of_client.read_text().replace("port: 8815", f"port: {port}"))
    orders = pd.read_parquet(folder / "data" / "orders.parquet")[["driver_id", "event_timestamp"]]
    orders = orders.dropna().astype({"driver_id": "int64"}).head(500).sort_values("event_timestamp", ignore_index=True)
    got = FeatureStore(str(folder / "client")).get_historical_features(orders, ["driver_stats:conv_rate"]).to_df()
    stats = pd.read_parquet(folder / "data" / "driver_stats.parquet").sort_values(["event_timestamp", "created"])
    want = pd.merge_asof(orders, stats, on="event_timestamp", by="driver_id", tolerance=pd.Timedelta(hours=24))
    assert want["conv_rate"].notna().sum() > 300
    pd.testing.assert_series_equal(got["conv_rate"], want["conv_rate"])
    applied = subprocess.run([FEAST, "-c", str(folder), "apply"], check=True, capture_output=True, text=True)
    assert "No changes to registry" in applied.stdout, applied.stdout


@fails("stock", "meets it at the first request")
def test_a_missing_source_is_a_warning(repo, serve):
    os.remove(repo.path("data", "driver.parquet"))
    s = serve(repo)
    flightd.wait_until(lambda: "the source of a feature view cannot be read" in s.said() and "driver_stats" in s.said(), what="the warning")


def test_settings_of_a_configuration(repo, tmp_path, kind):
    """The section feast of a flightd.yaml, whose paths are relative to the file, found in the folder that flightd starts in."""
    if kind == "stock":
        return  # it has no such file
    elsewhere = tmp_path / "elsewhere" / "new.parquet"
    write(str(elsewhere), columns(["driver_id", "event_timestamp", "x"], [pa.int64(), US, pa.int64()], [(1001, at(0), 5)]))
    python = os.path.relpath(sys.executable, repo.folder)
    with open(repo.path("flightd.yaml"), "w") as f:
        yaml.safe_dump({"listen": "127.0.0.1:0", "feast_repo": ".", "feast": {"python": python, "folders": ["../elsewhere"]}}, f)
    checked = subprocess.run([flightd.BINARY, "check"], cwd=repo.folder, capture_output=True, text=True)
    assert "feast python: ok" in checked.stdout, checked
    process = subprocess.Popen([flightd.BINARY, "serve"], cwd=repo.folder, stderr=subprocess.PIPE, text=True)
    try:
        port = next(line.split('"addr":"127.0.0.1:')[1].split('"')[0] for line in process.stderr if '"serving"' in line)
        client = repo.client(int(port))
        client.apply([FeatureView(name="new", entities=[client.get_entity("driver")],
                                  source=FileSource(name="new_source", path=str(elsewhere), timestamp_field="event_timestamp"))])
        assert [f.name for f in client.get_feature_view("new").features] == ["x"]
    finally:
        process.terminate()
        process.stderr.read()
        process.wait(20)
        process.stderr.close()


@fails("stock", "ends at the start")
def test_a_broken_registry_is_one_warning(repo, serve):
    with open(repo.registry, "wb") as f:
        f.write(b"no registry" * 100)
    os.utime(repo.registry, (1, 1))  # nobody is writing it
    s = serve(repo)
    flightd.wait_until(lambda: '"level":"warn"' in s.said(), what="the warning")
    time.sleep(0.5)
    assert s.said().count('"level":"warn"') == 1, s.said()
