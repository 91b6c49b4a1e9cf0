"""The oracle itself: the examples of the semantics, worked out by hand, and pandas' as-of join where the two mean the same."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import oracle

HOUR = 3600 * 10**9


def view(rows, ttl=0, created=False, keys=("k",), name="v"):
    """rows: (key, hour[, created hour], value); the hours are of one day."""
    columns = {k: [row[i] for row in rows] for i, k in enumerate(keys)}
    at = len(keys)
    columns["ts"] = hours([row[at] for row in rows])
    if created:
        columns["created"] = hours([row[at + 1] for row in rows])
    columns["f"] = [row[-1] for row in rows]
    return oracle.View(name, list(keys), "ts", ["f"], pa.table(columns), "created" if created else None, ttl)


def hours(values, unit="us"):
    factor = HOUR // oracle.NANOS[unit]
    return pa.array([None if h is None else int(h * factor) for h in values], pa.timestamp(unit))


def join(v, rows, **options):
    entities = pa.table({**{k: [row[i] for row in rows] for i, k in enumerate(v.keys)}, "t": hours([row[-1] for row in rows], "ns")})
    answer, report = oracle.historical([(v, ["f"])], entities, "t", **options)
    return answer.column("f").to_pylist(), report["views"][v.name]


CASES = [
    ("P03", view([(1, 9, "a"), (1, 10, "b"), (1, 12, "c")]), [(1, 8), (1, 10), (1, 11), (1, 13)], {}, [None, "b", "b", "c"]),
    ("P04", view([(1, 10, "b")], ttl=2 * HOUR), [(1, 12), (1, 12 + 1 / 3600)], {}, ["b", None]),
    ("P11", view([(1, 10, 11, "a"), (1, 10, None, "z"), (1, 10, 12, "b"), (1, 10, 12, "c")], created=True), [(1, 12)], {}, ["c"]),
    ("P10", view([(1, 10, None, "z"), (1, 10, 11, "a"), (1, 10, None, "y")], created=True), [(1, 12)], {}, ["a"]),
    ("P13", view([(1, None, "a")]), [(1, 12)], {}, [None]),
    ("P14", view([(1, 1, "a")]), [(1, None)], {}, [None]),
    ("P16 plain", view([(1, 9, 9, "a"), (1, 9, 15, "b"), (1, 10, 20, "c"), (1, 8, None, "d")], created=True), [(1, 12)], {}, ["c"]),
    ("P16", view([(1, 9, 9, "a"), (1, 9, 15, "b"), (1, 10, 20, "c"), (1, 8, None, "d")], created=True), [(1, 12)], {"known_at": True}, ["a"]),
    ("P20", view([(1, 11, 9, "a"), (11, 1, 9, "b")], keys=("k1", "k2")), [(1, 11, 10), (11, 1, 10)], {}, ["a", "b"]),
    ("P21", view([(None, 9, "a"), (1, 9, "b")]), [(None, 10), (2, 10)], {}, [None, None]),
    ("P23", view([(float("nan"), 9, "n"), (-0.0, 9, "z"), (7.0, 9, "s"), (7.5, 9, "h")]), [(0, 10), (7, 10), (8, 10)], {}, ["z", "s", None]),
    ("P28", view([(9, "a"), (10, "b")], keys=()), [(8,), (9,), (11,)], {}, [None, "a", "b"]),
]


@pytest.mark.parametrize("rule, v, rows, options, want", CASES, ids=[c[0] for c in CASES])
def test_examples(rule, v, rows, options, want):
    assert join(v, rows, **options)[0] == want


def test_report():
    v = view([(1, 10, "a"), (2, 20, "b"), (3, 1, "c"), (5, None, "d")], ttl=2 * HOUR)
    _, report = join(v, [(1, 11), (2, 11), (3, 11), (4, 11), (5, 11), (None, 11), (1, None)])
    assert report == {"rows": 7, "matched": 1, "expired": 1, "not_yet": 1, "unknown_key": 2, "null_key": 2}


def test_timeline_and_snapshot():
    a = view([(1, 9, "p"), (1, 11, "q"), (2, 10, "r")], name="a")
    b = view([(1, 10, "u")], name="b")
    rows = oracle.entity_rows([(a, ["f"]), (b, ["f"])], 10 * HOUR, 12 * HOUR, "timeline")
    answer, _ = oracle.historical([(a, ["f"]), (b, ["f"])], rows, "event_timestamp", full_names=True)
    assert list(zip(*(answer.column(c).to_pylist() for c in ("k", "a__f", "b__f")))) == [(1, "p", "u"), (2, "r", None), (1, "q", "u")]
    rows = oracle.entity_rows([(a, ["f"])], 10 * HOUR, 12 * HOUR, "snapshot")
    answer, _ = oracle.historical([(a, ["f"])], rows, "event_timestamp")
    assert list(zip(answer.column("k").to_pylist(), answer.column("f").to_pylist())) == [(1, "q"), (2, "r")]


def test_latest_counts_null_as_a_key():
    v = view([(None, 1, "a"), (None, 2, "b"), (1, None, "c"), (1, 1, "d"), (2, None, "e")])
    assert sorted(oracle.latest(v, ["f"]).column("f").to_pylist()) == ["b", "d", "e"]
    assert sorted(oracle.latest(v, ["f"], end=5 * HOUR).column("f").to_pylist()) == ["b", "d"]


@pytest.mark.parametrize("text, nanos", [
    ("1970-01-01", 0), ("1970-01-01T00:00:01.000000001", 10**9 + 1), ("1970-01-01 01:00:00+01:00", 0),
    ("1969-12-31T23:59:59.5Z", -5 * 10**8), ("1970-01-02T00:00:00-00:30", 24 * HOUR + HOUR // 2)])
def test_text_times(text, nanos):
    assert oracle.parse_time(text) == nanos


def test_pandas_agrees():
    """Without ties and nulls merge_asof means the same."""
    rng = np.random.default_rng(1)
    source = pd.DataFrame({"k": rng.integers(0, 5, 300), "ts": rng.permutation(300) * 10**9, "f": rng.random(300)}).sort_values("ts")
    entities = pd.DataFrame({"k": rng.integers(0, 6, 200), "ts": rng.integers(0, 300, 200) * 10**9}).sort_values("ts")
    for frame in (source, entities):
        frame["ts"] = pd.to_datetime(frame["ts"]).astype("datetime64[ns]")
    want = pd.merge_asof(entities, source, on="ts", by="k", tolerance=pd.Timedelta("40s"))
    v = oracle.View("v", ["k"], "ts", ["f"], pa.Table.from_pandas(source, preserve_index=False), None, 40 * 10**9)
    answer, _ = oracle.historical([(v, ["f"])], pa.Table.from_pandas(entities, preserve_index=False), "ts")
    assert answer.column("f").to_numpy().tolist() == pytest.approx(want["f"].tolist(), nan_ok=True, abs=0)
    assert 10 < answer.column("f").null_count < 190


def test_differences_are_seen():
    t = pa.table({"a": pa.array([1.0, None, float("nan")]), "b": ["x", "y", None]})
    assert oracle.difference(t, t) == ""
    for other in (
        t.select(["b", "a"]), t.slice(1), t.set_column(0, "a", pa.array([1.0, None, None])),
        t.set_column(0, "a", pa.array([1, None, 2], pa.float32())), t.take([1, 0, 2]),
        pa.table({"a": pa.array([1.0, 0.0, float("nan")]), "b": ["x", "y", None]}),
    ):
        assert oracle.difference(other, t) != ""
    assert oracle.difference(t.take([1, 0, 2]), t, ordered=False) == ""
    zero = pa.table({"a": [0.0]})
    assert oracle.difference(pa.table({"a": [-0.0]}), zero) != ""
