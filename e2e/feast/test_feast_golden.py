"""Recorded messages of Feast's clients, sent to the server under test over plain Flight. testdata/feast-golden has them."""

import glob
import importlib.metadata
import json
import os
import shutil
import uuid

import expect
import oracle
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest
from expect import fails, loose, same

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "testdata", "feast-golden")
FEAST = importlib.metadata.version("feast")
GENERATIONS = ["feast-0.66"] if FEAST.startswith("0.66") else ["feast-0.67", "mixed-0.66-client-0.67-server"]

# Where the answer is another than the recorded one: whether it succeeds, what the error says, and why.
DIFFERENT = {
    "historical_sql_entity_df": ("SQL", "no store of files reads SQL; Feast's says so in other words"),
    "historical_string_timestamps": (None, "times as text are read"),
    "historical_missing_join_key": ("FeastEntityDFMissingColumnsError", "Feast's server says only the name"),
    "historical_unknown_feature": ("SpecifiedFeaturesNotPresentError", "Feast's server fails in pandas"),
    "pull_all_no_dates": (None, "no date is no bound"),
    "pull_all_unknown_column": ("ghost", "Feast's server fails in pandas"),
    "persist_pull_latest": ("persist", "obeying it would destroy the source"),
    "offline_write_batch_field_mapping": (None, "a mapped source can be written"),
    "offline_write_batch_other_column_order": (None, "the order of columns has no meaning"),
    "offline_write_batch_wrong_columns": ("avg_daily_trips|conv_rate|acc_rate", "Feast's server prints two schemas"),
    "put_unknown_api": ("nonsense", "Feast's server keeps it for ever"),
    "exchange_missing_key": ("needed", "the same, in other words, and of another key first"),
    "exchange_unknown_api": ("nonsense", "the same, in other words"),
    "write_logged_features_unconfigured_service": ("logging|log", "the same, in other words"),
    "push_offline_wrong_columns_rejected_by_client": (None, "the client refuses afterwards"),
}
SNAPSHOT = ("historical_no_entity_df", "historical_no_entity_df_end_only", "historical_no_entity_df_naive_dates")


def cases():
    for generation in GENERATIONS:
        for path in sorted(glob.glob(os.path.join(GOLDEN, generation, "*.json"))):
            name = os.path.basename(path)[:-len(".json")]
            with open(path) as f:
                case = json.load(f)
            wrong = name in DIFFERENT or case["verdict"] == "WRONG" or name == "historical_named_index"
            yield pytest.param(case, name, os.path.dirname(path), id=f"{generation}-{name}",
                               marks=fails("stock", "this is not what was recorded", strict=False) if wrong else ())


@pytest.fixture(scope="module")
def golden(kind, servers, tmp_path_factory):
    """The recorded repository, and a server. Without entity rows dask answers as of the end, and these cases are dask's."""
    folder = str(tmp_path_factory.mktemp("golden") / "repo")
    shutil.copytree(os.path.join(GOLDEN, "repo"), folder)
    arguments = ["--feast-no-entities", "snapshot"] if kind == "flightd" else []
    return folder, servers(folder, arguments=arguments).port


@pytest.mark.parametrize("case, name, folder", list(cases()))
def test_recorded(golden, case, name, folder):
    repo, port = golden
    shutil.rmtree(os.path.join(repo, "data"))
    shutil.copytree(os.path.join(GOLDEN, "repo", "data"), os.path.join(repo, "data"))
    if name == "persist_location_exists":
        shutil.copy(os.path.join(repo, "data", "driver_stats.parquet"), os.path.join(repo, "data", "saved_training.parquet"))
    if name == "persist_pull_latest":
        case = {k: v for k, v in case.items() if k != "after"}

    wanted, _ = DIFFERENT.get(name, ((case.get("error") or {}).get("class"), ""))
    with fl.connect(f"grpc://127.0.0.1:{port}") as connection:
        if wanted:
            with pytest.raises((pa.ArrowException, KeyError, NotImplementedError)) as refusal:
                replay(connection, case, folder)
            assert any(w in str(refusal.value) for w in wanted.split("|")) or type(refusal.value).__name__ == wanted, refusal.value
            if name not in DIFFERENT and wanted not in ("ArrowInvalid", "ArrowNotImplementedError"):
                assert case["error"]["text"] in str(refusal.value)
        else:
            for got, want in replay(connection, case, folder):
                if want is not None:
                    compare(got, want, in_order="expected" in case)
    for file, table in case.get("after", {}).items():
        compare_file(repo, file, load(folder, table))


def load(folder, name):
    return pa.ipc.open_file(os.path.join(folder, name)).read_all().replace_schema_metadata(None)


def replay(connection, case, folder):
    """Sends every call of a case; yields the answers with what was recorded, or should have been."""
    found, descriptor = [], None
    for call in case["calls"]:
        want = case.get("expected") or call.get("answer")
        if call["rpc"] == "ListActions":
            assert {a["type"] for a in call["actions"]} <= {a.type for a in connection.list_actions()}
        elif call["rpc"] == "ListFlights":
            list(connection.list_flights())  # Feast's server lists what was put; ours the views, for other clients
        elif call["rpc"] == "GetFlightInfo":
            info = connection.get_flight_info(descriptor)
        elif call["rpc"] == "DoGet":
            found.append((connection.do_get(info.endpoints[0].ticket).read_all(), want and load(folder, want)))
        else:
            command = dict(call["command"], command_id=str(uuid.uuid4()))
            descriptor = fl.FlightDescriptor.for_command(json.dumps(command))
            upload = load(folder, call["upload"]) if "upload" in call else pa.table({"key": list("mock_key")})
            answer = (put if call["rpc"] == "DoPut" else exchange)(connection, descriptor, upload)
            if answer is not None:
                found.append((answer, want and load(folder, want)))
    return found


def put(connection, descriptor, upload):
    writer, _ = connection.do_put(descriptor, upload.schema)
    writer.write_table(upload)
    writer.close()


def exchange(connection, descriptor, upload):
    """The first message has the descriptor alone, as from Feast's client."""
    writer, reader = connection.do_exchange(descriptor)
    with writer:
        writer.begin(upload.schema)
        writer.write_table(upload)
        writer.done_writing()
        return reader.read_all()


def compare(got, want, in_order):
    """Only answers to entity rows have an order, of rows and of columns."""
    if not in_order:
        names = [n for n in want.column_names if not n.startswith("__index_level_")]
        assert sorted(n for n in got.column_names if not n.startswith("__index_level_")) == sorted(names)
        problem = oracle.difference(loose(got.select(names)), loose(want.select(names)), ordered=False)
        assert not problem, problem
    else:
        assert not (expect.exact and got.schema.metadata), "the schema of the upload does not describe the answer"
        same(got, want)


def compare_file(repo, name, want):
    """A file of the repository; PART is the one in the folder of logged features."""
    path = os.path.join(repo, "data", "driver_logs" if name == "PART" else f"{name}.parquet")
    got = pq.read_table(path).replace_schema_metadata(None)
    names = [n for n in want.column_names if not n.startswith("__index_level_")]
    problem = oracle.difference(loose(got.select(names)), loose(want.select(names)), ordered=False)
    assert not problem, problem
