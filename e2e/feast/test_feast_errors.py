"""Errors as a user of Feast sees them: Feast's own exceptions. Most need a client whose registry is ahead of the server's,
or a client that leaves out its own checks; both are Feast's classes still."""

import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from expect import fails
from world import at, fields

from feast import FeatureService, FeatureView, FileSource, RequestSource, errors
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.infra.offline_stores.remote import RemoteOfflineStore, RemoteRetrievalJob, build_arrow_flight_client
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

ROWS = pd.DataFrame({"driver_id": [1001], "event_timestamp": pd.DatetimeIndex([at(13)])})


@pytest.fixture(scope="module")
def ahead(home):
    """A client whose registry has what the server's has not."""
    shutil.copy(home.registry, home.path("ahead.db"))
    store = home.client(home.port, name="ahead", registry=home.path("ahead.db"))
    source = FileSource(name="ghost_source", path=home.path("data", "driver.parquet"), timestamp_field="event_timestamp",
                        created_timestamp_column="created")
    ghost = FeatureView(name="ghost_view", entities=[store.get_entity("driver")], source=source,
                        schema=fields(driver_id=Int64, trips=Int64))
    more = store.get_feature_view("driver_stats")
    more.features += fields(ghost_feature=Int64)
    service = FeatureService(name="ghost_service", features=[ghost],
                             logging_config=LoggingConfig(destination=FileLoggingDestination(path="data/ghost")))
    store.apply([ghost, more, service])
    return store


def ask(client, frame, names, refs, **changes):
    """A retrieval by Feast's own job, without the checks that the client makes before it."""
    offline = client.config.offline_store
    connection = build_arrow_flight_client(offline.scheme, offline.host, offline.port, client.config.auth_config)
    parameters = {"feature_view_names": names, "feature_refs": refs, "project": client.project, "full_feature_names": False,
                  "name_aliases": [None] * len(names), **changes}
    return RemoteRetrievalJob(connection, "get_historical_features", parameters, entity_df=frame).to_arrow()


def test_view_unknown(ahead):
    with pytest.raises(errors.FeatureViewNotFoundException, match="^Feature view ghost_view does not exist in project shop$"):
        ahead.get_historical_features(ROWS, ["ghost_view:trips"]).to_arrow()


@fails("stock", "fails later, and by accident")
def test_feature_unknown(ahead):
    with pytest.raises(errors.SpecifiedFeaturesNotPresentError, match="ghost_feature"):
        ahead.get_historical_features(ROWS, ["driver_stats:ghost_feature"]).to_arrow()


@fails("stock", "fails later, and by accident")
def test_on_demand_view_unknown(client):
    with pytest.raises((errors.OnDemandFeatureViewNotFoundException, errors.FeatureViewNotFoundException), match="ghost_demand"):
        ask(client, ROWS, ["driver_stats"], ["ghost_demand:twice", "driver_stats:trips"])


def test_service_unknown(ahead):
    service = ahead.get_feature_service("ghost_service")
    logs = FeatureServiceLoggingSource(service, ahead.project).get_schema(ahead.registry).empty_table()
    with pytest.raises(errors.FeatureServiceNotFoundException, match="^Feature service ghost_service does not exist in project shop$"):
        ahead.write_logged_features(logs, service)


def test_source_unknown(ahead):
    with pytest.raises(errors.DataSourceObjectNotFoundException, match="^Data source ghost_source does not exist in project shop$"):
        ahead.materialize(at(0), at(10), feature_views=["ghost_view"])


def test_view_unknown_to_a_write(ahead):
    with pytest.raises(errors.FeatureViewNotFoundException, match="^Feature view ghost_view does not exist in project shop$"):
        RemoteOfflineStore.offline_write_batch(ahead.config, ahead.get_feature_view("ghost_view"), pa.table({"driver_id": [1]}), None)


def test_project_unknown(client):
    with pytest.raises(errors.FeatureViewNotFoundException, match="^Feature view driver_stats does not exist in project nowhere$"):
        ask(client, ROWS, ["driver_stats"], ["driver_stats:trips"], project="nowhere")


@fails("stock", "says only the name of the key")
def test_join_key_missing(client):
    with pytest.raises(errors.FeastEntityDFMissingColumnsError, match="must contain columns .*driver_id.* were missing"):
        client.get_historical_features(ROWS.drop(columns="driver_id"), ["driver_stats:trips"]).to_arrow()


@fails("stock", "says so as a ValueError")
def test_no_event_time(client):
    rows = pd.DataFrame({"driver_id": [1], "a time": pd.DatetimeIndex([at(1)]), "another": pd.DatetimeIndex([at(1)])})
    with pytest.raises(errors.EntityTimestampInferenceException, match="Please provide an entity_df with a column named event_timestamp"):
        ask(client, rows, ["driver_stats"], ["driver_stats:trips"])


@fails("stock", "fails by accident", strict=False)
@pytest.mark.parametrize("value", [7, "yesterday", 0.5, True], ids=repr)
def test_event_time_is_not_a_time(client, value):
    with pytest.raises((errors.EntityDFNotDateTime, ValueError), match="event_timestamp"):
        ask(client, pd.DataFrame({"driver_id": [1], "event_timestamp": [value]}), ["driver_stats"], ["driver_stats:trips"])


@fails("stock", "answers with one of the two")
def test_two_features_with_one_name(client):
    rows = ROWS.assign(first_id=1001, second_id=1002)
    with pytest.raises(errors.FeatureNameCollisionError, match="trips"):
        ask(client, rows, ["driver_stats", "driver_stats"], ["first:trips", "second:trips"], name_aliases=["first", "second"])


@fails("stock", "fails by accident")
def test_file_missing(client, home):
    client.apply([FeatureView(
        name="lost", entities=[client.get_entity("driver")], schema=fields(driver_id=Int64, x=Int64),
        source=FileSource(name="lost_source", path=home.path("data", "lost.parquet"), timestamp_field="event_timestamp"))])
    with pytest.raises(errors.DataSourceNotFoundException, match="^Unable to find table at '.*lost.parquet'. Please check that table exists.$"):
        client.get_historical_features(ROWS, ["lost:x"]).to_arrow()


@fails("stock", "fails by accident")
def test_request_data_missing(client):
    """The client looks for it too; here it does not."""
    @on_demand_feature_view(sources=[RequestSource(name="asked", schema=fields(extra=Float64))], schema=fields(out=Float64))
    def needs_more(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"out": inputs["extra"]})

    client.apply([needs_more])
    with pytest.raises(errors.RequestDataNotFoundInEntityDfException, match="Feature extra not found in the entity dataframe"):
        ask(client, ROWS, ["driver_stats"], ["needs_more:out", "driver_stats:trips"])


def test_the_server_is_gone(repo, serve):
    server = serve(repo)
    client = repo.client(server.port, offline={"connection_retries": 0})
    server.kill()
    with pytest.raises(fl.FlightUnavailableError):
        client.get_historical_features(ROWS, ["driver_stats:trips"]).to_arrow()
