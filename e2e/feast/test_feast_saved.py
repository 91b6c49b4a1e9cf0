"""Saved datasets: persist, create_saved_dataset, and reading them back."""

import os

import pandas as pd
import pyarrow.parquet as pq
import pytest
from expect import fails, historical, plain, same
from world import at

from feast import FileSource
from feast.errors import DataSourceObjectNotFoundException, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.remote import RemoteOfflineStore

ROWS = pd.DataFrame({"driver_id": [1001, 1002, 1003, 1001], "label": [0, 1, 0, 1],
                     "event_timestamp": pd.DatetimeIndex([at(h) for h in (13, 5, 48, 30)])})
FEATURES = ["driver_stats:trips", "driver_stats:note"]


def saved(home, path):
    full = home.path(path)
    return pq.read_table(full).replace_schema_metadata(None) if os.path.exists(full) else None


def without_index(table):
    return table.select([n for n in table.column_names if not n.startswith("__index_level_")])


@pytest.mark.parametrize("path", ["data/saved.parquet", "data/saved_folder"])
def test_saved_dataset(client, home, path):
    job = client.get_historical_features(ROWS, FEATURES)
    dataset = client.create_saved_dataset(job, f"saved as {path}", SavedDatasetFileStorage(path), allow_overwrite=True)
    want = historical(ROWS, FEATURES)
    same(without_index(saved(home, path)), want, ordered=False)
    for found in (dataset, client.get_saved_dataset(f"saved as {path}")):
        back = without_index(found.to_arrow())
        # The columns that are neither keys nor features are not asked for.
        columns = [c for c in want.column_names if c in back.column_names]
        assert set(columns) >= {"driver_id", "event_timestamp", "trips", "note"} and len(columns) == back.num_columns
        same(back.select(columns), want.select(columns), ordered=False)
        assert sorted(found.to_df()["driver_id"]) == sorted(ROWS["driver_id"])


def test_where_something_is(client, home):
    storage = SavedDatasetFileStorage(home.path("data", "taken.parquet"))
    client.apply([FileSource(name=storage.file_options.uri, path=storage.file_options.uri, timestamp_field="event_timestamp")])
    client.get_historical_features(ROWS, FEATURES).persist(storage)
    before = saved(home, "data/taken.parquet")
    with pytest.raises(SavedDatasetLocationAlreadyExists, match="taken.parquet"):
        client.get_historical_features(ROWS[:1], FEATURES).persist(storage)
    assert saved(home, "data/taken.parquet").equals(before)
    client.get_historical_features(ROWS[:1], FEATURES).persist(storage, allow_overwrite=True)
    same(without_index(saved(home, "data/taken.parquet")), historical(ROWS[:1], FEATURES), ordered=False)


def test_where_nothing_is_registered(client, home):
    with pytest.raises(DataSourceObjectNotFoundException, match="data/elsewhere.parquet does not exist in project shop"):
        client.get_historical_features(ROWS, FEATURES).persist(SavedDatasetFileStorage("data/elsewhere.parquet"))
    assert saved(home, "data/elsewhere.parquet") is None


@fails("stock", "replaces the user's source by the answer")
@pytest.mark.parametrize("method", ["latest", "all"])
def test_pulled_rows_are_not_persisted(client, home, method):
    """The client sends the name of the source in the place of the destination's: obeying it destroys the source."""
    before = saved(home, "data/route.parquet")
    pull = getattr(RemoteOfflineStore, f"pull_{method}_from_table_or_query")
    job = pull(client.config, client.get_data_source("route_source"), ["a", "b"], ["km"], "event_timestamp", None, start_date=at(0),
               end_date=at(3))
    with pytest.raises(ValueError):
        job.persist(SavedDatasetFileStorage("data/saved.parquet"), allow_overwrite=True)
    assert plain(saved(home, "data/route.parquet")).equals(plain(before))
