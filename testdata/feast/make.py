"""Writes registries with the Feast that is installed: kinds-<version>.db, .sqlite and (where initdb is found) .sql.

    python -m venv v && v/bin/pip install 'feast[postgres]==0.67.0' && v/bin/python make.py
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

import feast
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.saved_dataset import SavedDataset
from feast.types import Int64

HERE = pathlib.Path(__file__).resolve().parent

VERSION = ".".join(feast.__version__.split(".")[:2])


def load():
    """The definitions as a module that does not know where it lies: functions are stored with the name of their file."""
    os.chdir(HERE / "kinds")
    module = types.ModuleType("definitions")
    module.__file__ = "definitions.py"
    sys.modules["definitions"] = module
    exec(compile(pathlib.Path("definitions.py").read_text(), "definitions.py", "exec"), module.__dict__)
    return module


definitions = load()


def store(registry, project="kinds"):
    folder = pathlib.Path(tempfile.mkdtemp())
    return FeatureStore(config=RepoConfig(
        project=project, provider="local", registry=registry, repo_path=folder, entity_key_serialization_version=3,
        online_store={"type": "sqlite", "path": str(folder / "online.db")}, offline_store={"type": "dask"},
    ))


def fill(registry):
    """Two projects; in the first everything that there is, with a view of three versions and a saved dataset."""
    other = store(registry, "other")
    key = Entity(name="driver", join_keys=["other_id"])
    source = FileSource(name="stats", path="other/stats.parquet", timestamp_field="ts")
    other.apply([key, source, FeatureView(
        name="plain", entities=[key], schema=[Field(name="trips", dtype=Int64), Field(name="other_id", dtype=Int64)], source=source,
    )])
    main = store(registry)
    main.apply(definitions.OBJECTS)
    for features in ([definitions.RATE], [definitions.RATE, definitions.TRIPS], [definitions.TRIPS]):
        main.apply([definitions.versioned(features)])
    dataset = SavedDataset(
        name="training", features=["plain:rate"], join_keys=["driver_id"], full_feature_names=False,
        storage=SavedDatasetFileStorage(path="data/saved/training.parquet"),
    )
    main.registry.apply_saved_dataset(dataset, "kinds", commit=True)


def anonymous(path):
    """The infra section holds the path of a temporary online store."""
    registry = Registry.FromString(path.read_bytes())
    registry.ClearField("infra")
    path.write_bytes(registry.SerializeToString())


def postgres(out):
    binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        print("no PostgreSQL here; left alone:", out)
        return
    base = pathlib.Path(tempfile.mkdtemp())
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(base, "postgres", "postgres")
    run = lambda *args: subprocess.run([*user, str(binaries[-1] / args[0]), *args[1:]], check=True, stdout=subprocess.DEVNULL)  # noqa: E731
    run("initdb", "-D", str(base / "data"), "-U", "feast", "-A", "trust")
    run("pg_ctl", "-D", str(base / "data"), "-w", "-o", f"-k {base} -h ''", "-l", str(base / "log"), "start")
    try:
        fill({"registry_type": "sql", "path": f"postgresql+psycopg://feast@/postgres?host={base}"})
        dump = subprocess.run(
            [*user, str(binaries[-1] / "pg_dump"), "-h", str(base), "-U", "feast", "--no-owner", "--inserts", "postgres"],
            check=True, stdout=subprocess.PIPE,
        )
        keep = (line for line in dump.stdout.splitlines(keepends=True) if line.strip() and not line.startswith((b"\\", b"--")))
        out.write_bytes(b"".join(line for line in keep if not line.startswith(b"INSERT INTO public.managed_infra")))
    finally:
        run("pg_ctl", "-D", str(base / "data"), "-w", "-m", "fast", "stop")


def main():
    name = f"kinds-{VERSION}"
    for suffix in (".db", ".sqlite"):
        (HERE / (name + suffix)).unlink(missing_ok=True)
    fill(str(HERE / (name + ".db")))
    anonymous(HERE / (name + ".db"))
    fill({"registry_type": "sql", "path": f"sqlite:///{HERE / (name + '.sqlite')}"})
    subprocess.run([sys.executable, "-c",
                    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM managed_infra'); c.commit(); c.execute('PRAGMA page_size=1024'); c.execute('VACUUM')",
                    str(HERE / (name + ".sqlite"))], check=True)
    if VERSION == "0.67":
        postgres(HERE / (name + ".sql"))


main()
