"""What an answer must be, computed from the tables in world.py, and a comparison that sees rows, order, types and nulls.

Feast's own server is asked for less, or hardly a test would say anything about it: the same rows with the same values. It
promises no order, and its types go through pandas.
"""

import dataclasses

import oracle
import pyarrow as pa
import pytest
from world import VIEWS


def uploaded(frame):
    """Entity rows as they come back: as the client sends them, without what only describes a pandas index."""
    table = pa.Table.from_pandas(frame)
    return table.select([n for n in table.column_names if not n.startswith("__index_level_")]).replace_schema_metadata(None)


def nanos(time):
    """A time as the oracle counts it."""
    return int(time.timestamp()) * 10**9 + time.microsecond * 1000


def aliased(view, name, keys):
    """A view under another name, joined on other columns of the entity rows."""
    renamed = [keys.get(c, c) for c in view.table.column_names]
    return dataclasses.replace(view, name=name, keys=[keys.get(k, k) for k in view.keys], table=view.table.rename_columns(renamed))


VIEWS["first"] = aliased(VIEWS["driver_stats"], "first", {"driver_id": "first_id"})
VIEWS["second"] = aliased(VIEWS["driver_stats"], "second", {"driver_id": "second_id"})


def historical(frame, features, full_names=False, time_column="event_timestamp"):
    """The answer for entity rows: every row once, in order, with the features in the order of the request."""
    names = [f.split(":") for f in features]
    views = {v: [f for n, f in names if n == v] for v, _ in names}
    joined, _ = oracle.historical([(VIEWS[v], fs) for v, fs in views.items()], uploaded(frame), time_column, full_names=True)
    wanted = [f"{v}__{f}" for v, f in names]
    answer = joined.select(frame_columns(joined, wanted) + wanted)
    return answer if full_names else answer.rename_columns(frame_columns(joined, wanted) + [f for _, f in names])


def frame_columns(joined, features):
    return [n for n in joined.column_names if n not in features]


def same(got, want, ordered=True):
    form = plain if exact else loose
    problem = oracle.difference(form(got), form(want), ordered and exact)
    assert not problem, problem


exact = True  # False while a test runs against Feast's own server


def plain(table):
    """Without what Feast's clients do not care about: metadata, the names of list items, whether nulls are allowed."""
    return converted(table, lambda c: c.cast(plain_type(c.type)))


def plain_type(t):
    return pa.list_(plain_type(t.value_type)) if pa.types.is_list(t) else t


def loose(table):
    """Numbers as doubles and NaN as null, times as instants, categories as their values."""
    def form(column):
        t = column.type
        if pa.types.is_dictionary(t):
            return form(column.cast(t.value_type))
        if pa.types.is_integer(t) or pa.types.is_floating(t):
            return pa.array(column.cast(pa.float64(), safe=False).to_numpy(), from_pandas=True)
        if pa.types.is_timestamp(t):
            return column.cast(pa.timestamp("ns", t.tz)).cast(pa.int64())
        return column.cast(pa.string()) if pa.types.is_null(t) else column.cast(plain_type(t))
    return converted(table, form)


def converted(table, form):
    return pa.table([form(c) for c in table.columns], names=table.column_names)


def fails(server, reason, **options):
    """The mark that says what Feast's own server is known to get wrong."""
    return pytest.mark.fails(server, reason, **options)
