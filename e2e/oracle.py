"""The meaning of a retrieval once more, as slowly and as plainly as possible.

Two loops over Python values: no index, no sorting of candidates, no pruning. Times are exact integers of nanoseconds
(Python's have no limit), keys are Python values, which compare exactly across int, float and Decimal. Rule numbers are
those of docs/semantics.md. Source tables come in position order (P12), under the view's mapped names.
"""

import dataclasses
import datetime
import math
from typing import Optional

import pyarrow as pa

NANOS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
DAY = 86_400 * 10**9
THIRTY_DAYS = 30 * DAY
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@dataclasses.dataclass
class View:
    name: str
    keys: list
    timestamp: str
    features: list
    table: pa.Table
    created: Optional[str] = None
    ttl: int = 0  # ns, 0: never too old


# ---- values ----

def instants(column):
    """A time column as a list of ns since the epoch, None for null."""
    t = column.type
    if pa.types.is_dictionary(t):
        return instants(column.cast(t.value_type))
    if pa.types.is_timestamp(t):
        return scaled(column.cast(pa.int64()), NANOS[t.unit])
    if pa.types.is_date32(t):
        return scaled(column.cast(pa.int32()), DAY)
    if pa.types.is_date64(t):
        return scaled(column.cast(pa.int64()), NANOS["ms"])
    return [None if text is None else parse_time(text) for text in column.to_pylist()]


def scaled(column, factor):
    return [None if v is None else v * factor for v in column.to_pylist()]


def parse_time(text):
    """ISO 8601 with up to nine digits of fraction; naive is UTC (P52)."""
    date, time, zone = text[:10], text[11:], ""
    for i, c in enumerate(time):
        if c in "Z+-":
            time, zone = time[:i], time[i:]
            break
    whole, _, fraction = time.partition(".")
    moment = datetime.datetime.fromisoformat(f"{date}T{whole or '00:00:00'}+00:00") - EPOCH
    nanos = (moment.days * 86_400 + moment.seconds) * 10**9 + int((fraction + "0" * 9)[:9])
    if zone not in ("", "Z"):
        hours, minutes = zone[1:].split(":")
        offset = (int(hours) * 3600 + int(minutes) * 60) * 10**9
        nanos += -offset if zone[0] == "+" else offset
    return nanos


def key_values(column):
    """A key column as values that are equal exactly if the keys are (P23-P25); None matches nothing (P21)."""
    t = column.type
    if pa.types.is_dictionary(t):
        return key_values(column.cast(t.value_type))
    if pa.types.is_timestamp(t) or pa.types.is_date(t):
        return instants(column)
    values = column.to_pylist()
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values]


def key_tuples(table, keys):
    if not keys:
        return [()] * table.num_rows
    return list(zip(*(key_values(table.column(k)) for k in keys)))


# ---- historical ----

def winners(view, entity_keys, entity_times, known_at):
    """For each entity row the position of its winner or None, and what the match report calls it (P91)."""
    keys = key_tuples(view.table, view.keys)
    times = instants(view.table.column(view.timestamp))
    created = instants(view.table.column(view.created)) if view.created else [None] * len(keys)
    rows, outcomes = [], []
    for key, e in zip(entity_keys, entity_times):
        best, best_rank, seen, known = None, None, False, False
        if e is not None and None not in key:
            for i in range(len(keys)):
                if keys[i] != key or times[i] is None:  # P13, P20-P22
                    continue
                seen = True
                if times[i] > e:  # P01, P02
                    continue
                if known_at and view.created and (created[i] is None or created[i] > e):  # P16
                    continue
                known = True
                if view.ttl > 0 and times[i] < e - view.ttl:  # P04, P05
                    continue
                rank = (times[i], created[i] is not None, created[i] or 0, i)  # P03, P09-P11
                if best is None or rank > best_rank:
                    best, best_rank = i, rank
        rows.append(best)
        if e is None or None in key:
            outcomes.append("null_key")
        elif best is not None:
            outcomes.append("matched")
        elif not seen:
            outcomes.append("unknown_key")
        else:
            outcomes.append("expired" if known else "not_yet")
    return rows, outcomes


def historical(requested, entities, time_column, full_names=False, known_at=False):
    """requested: list of (View, features). Returns the answer and the match report."""
    fields, columns, report = [], [], {}
    for field in entities.schema:
        fields.append(field)
        columns.append(entities.column(field.name))
    times = instants(entities.column(time_column))
    for view, features in requested:
        found, outcomes = winners(view, key_tuples(entities, view.keys), times, known_at)
        counts = {"rows": len(outcomes)}
        for outcome in ("matched", "expired", "not_yet", "unknown_key", "null_key"):
            counts[outcome] = outcomes.count(outcome)
        report[view.name] = counts
        for feature in features:
            source = view.table.column(feature)
            fields.append(pa.field(f"{view.name}__{feature}" if full_names else feature, source.type))
            columns.append(source.combine_chunks().take(pa.array(found, pa.int64())))
    return pa.table(columns, schema=pa.schema(fields)), {"views": report}


# ---- without entity rows ----

def entity_rows(requested, start, end, mode):
    """The entity rows of a timeline (P60) or a snapshot (P61): distinct keys of the keyed views, in the order of P64."""
    views = [v for v, _ in requested]
    if mode == "timeline" and start is None:  # P65
        start = end - (max(v.ttl for v in views) or THIRTY_DAYS)
    keyed = [v for v in views if v.keys] or views
    names = keyed[0].keys
    rows = set()
    for view in keyed:
        for key, ts in zip(key_tuples(view.table, names if view.keys else []), instants(view.table.column(view.timestamp))):
            if ts is None or ts > end or (start is not None and ts < start) or None in key:
                continue
            rows.add((ts if mode == "timeline" else end, key))
    ordered = sorted(rows, key=lambda row: (row[0], tuple(map(sortable, row[1]))))
    fine = any(pa.types.is_timestamp(v.table.schema.field(v.timestamp).type)
               and v.table.schema.field(v.timestamp).type.unit == "ns" for v in views)
    unit = "ns" if fine else "us"  # P63
    columns, fields = [], []
    for i, name in enumerate(names):
        field = keyed[0].table.schema.field(name)
        fields.append(pa.field(name, field.type))
        columns.append(key_array([key[i] for _, key in ordered], field.type))
    fields.append(pa.field("event_timestamp", pa.timestamp(unit, "UTC")))
    columns.append(pa.array([ts // NANOS[unit] for ts, _ in ordered], pa.int64()).cast(fields[-1].type))
    return pa.table(columns, schema=pa.schema(fields))


def sortable(value):
    return value.encode() if isinstance(value, str) else value


def key_array(values, type):
    if pa.types.is_timestamp(type):
        return pa.array([v // NANOS[type.unit] for v in values], pa.int64()).cast(type)
    if pa.types.is_date32(type):
        return pa.array([v // DAY for v in values], pa.int32()).cast(type)
    if pa.types.is_date64(type):
        return pa.array([v // NANOS["ms"] for v in values], pa.int64()).cast(type)
    if pa.types.is_integer(type):
        values = [int(v) for v in values]  # 7 and 7.0 are one key, and sets keep either
    return pa.array(values, type)


# ---- latest and all ----

def pull_columns(view, features):
    """Keys, features, timestamp, created, each once (P72)."""
    names = view.keys + features + [view.timestamp] + ([view.created] if view.created else [])
    return list(dict.fromkeys(names))


def in_window(ts, start, end):
    if start is None and end is None:
        return True
    return ts is not None and (start is None or ts >= start) and (end is None or ts <= end)


def all_rows(view, features, start=None, end=None):
    keep = [i for i, ts in enumerate(instants(view.table.column(view.timestamp))) if in_window(ts, start, end)]
    return view.table.select(pull_columns(view, features)).take(pa.array(keep, pa.int64()))


def latest(view, features, start=None, end=None):
    times = instants(view.table.column(view.timestamp))
    created = instants(view.table.column(view.created)) if view.created else [None] * len(times)
    best = {}
    for i, key in enumerate(key_tuples(view.table, view.keys)):
        if not in_window(times[i], start, end):
            continue
        rank = (times[i] is not None, times[i] or 0, created[i] is not None, created[i] or 0, i)
        if key not in best or rank > best[key]:
            best[key] = rank
    keep = sorted(rank[-1] for rank in best.values())
    return view.table.select(pull_columns(view, features)).take(pa.array(keep, pa.int64()))


# ---- comparing ----

def difference(got, want, ordered=True):
    """"" if the tables are the same: names, types, rows, values to the last bit, nulls. Else what differs."""
    if got.schema.names != want.schema.names:
        return f"columns: got {got.schema.names}, want {want.schema.names}"
    for g, w in zip(got.schema, want.schema):
        if g.type != w.type:
            return f"column {g.name}: got type {g.type}, want {w.type}"
    if got.num_rows != want.num_rows:
        return f"got {got.num_rows} rows, want {want.num_rows}"
    got_rows, want_rows = exact_rows(got), exact_rows(want)
    if not ordered:
        got_rows, want_rows = sorted(got_rows, key=repr), sorted(want_rows, key=repr)
    for i, (g, w) in enumerate(zip(got_rows, want_rows)):
        if g != w:
            columns = [f"{name}: got {a!r}, want {b!r}" for name, a, b in zip(got.schema.names, g, w) if a != b]
            return f"row {i}: " + "; ".join(columns)
    return ""


def exact_rows(table):
    return list(zip(*(exact_values(c) for c in table.columns))) if table.num_columns else []


def exact_values(column):
    """Values that are equal exactly if the bits are: floats as text (NaN, -0), times as integers."""
    t = column.type
    if isinstance(column, pa.ChunkedArray):
        return [v for chunk in column.chunks for v in exact_values(chunk)]
    if pa.types.is_dictionary(t):
        return exact_values(column.dictionary_decode())
    if pa.types.is_floating(t):
        return [None if v is None else repr(v) for v in column.to_pylist()]
    if pa.types.is_temporal(t) and not pa.types.is_interval(t):
        integer = pa.int32() if t.bit_width == 32 else pa.int64()
        return column.cast(integer).to_pylist()
    if isinstance(column, pa.ExtensionArray):
        return exact_values(column.storage)
    return [exact(v) for v in column.to_pylist()] if not has_times(t) else [repr(v) for v in column]


def has_times(t):
    return pa.types.is_temporal(t) or any(has_times(t.field(i).type) for i in range(t.num_fields))


def exact(value):
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [exact(v) for v in value]
    if isinstance(value, dict):
        return [(k, exact(v)) for k, v in value.items()]
    return value
