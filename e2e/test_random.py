"""Random catalogs and requests against the oracle, over every way to ask.

E2E_CASES cases are made from E2E_SEED (the name of each test says seed and number); E2E_CASE=17 runs that one alone:

    E2E_SEED=123 E2E_CASE=17 make test STAGES=e2e PYTEST="-k random"
"""

import json
import os
import random
import time

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import catalogs
import oracle
from server import exchange, exchange_table, get, inline, report_of, stage

SEED = int(os.environ.get("E2E_SEED") or time.time_ns() % 10**6)
CASES = int(os.environ.get("E2E_CASES") or 500)
NUMBERS = [int(os.environ["E2E_CASE"])] if os.environ.get("E2E_CASE") else range(CASES)
WINDOWS = (None, "2023-12-31T00:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00+01:00", "2024-01-01T03:00:00.000000", "2024-01-01T04:00:00.000001Z",
           "2024-01-01T07:00:00.000000000Z", "2024-06-01T00:00:00Z")


@pytest.fixture(scope="module")
def world(tmp_path_factory, serve_module):
    """All cases behind one server."""
    folder = tmp_path_factory.mktemp("random")
    cases = {n: catalogs.Case(SEED, n, folder) for n in NUMBERS}
    views, services = {}, {}
    for case in cases.values():
        v, s = case.config()
        views.update(v)
        services.update(s)
    server = serve_module(folder, {"stores": {"main": {"type": "file", "root": str(folder)}},
                                   "feature_views": views, "feature_services": services})
    return server.client(), cases


@pytest.fixture(params=NUMBERS, ids=lambda n: f"{SEED}-{n}")
def asker(request, world):
    client, cases = world
    return Asker(client, cases[request.param], request.param)


class Asker:
    """Asks random questions about one case and compares the answers."""

    def __init__(self, client, case, number):
        self.client, self.case = client, case
        self.rng = random.Random(f"{SEED}/{number}/requests")

    # ---- what to ask ----

    def features(self):
        """Random views with random features, as the oracle wants them and as the ticket says it."""
        rng = self.rng
        views = [g.view for g in self.case.views]
        if rng.random() < 0.2:
            return [(v, v.features) for v in views], {"feature_service": self.case.prefix + "_all"}
        rng.shuffle(views)
        requested, refs = [], []
        for view in views[:rng.randrange(1, len(views) + 1)]:
            if rng.random() < 0.3:
                requested.append((view, view.features))
                refs.append([view.name])
            else:
                some = rng.sample(view.features, rng.randrange(1, len(view.features) + 1))
                requested.append((view, some))
                refs.append([f"{view.name}:{f}" for f in some])
        return requested, {"features": self.interleave(refs)}

    def interleave(self, refs):
        """The references of several views mixed, each view's in order; the first ones keep the order of the views (P32)."""
        mixed, rest = [r[0] for r in refs], [r[1:] for r in refs]
        while any(rest):
            mixed.append(self.rng.choice([r for r in rest if r]).pop(0))
        return mixed

    def ask(self):
        requested, request = self.features()
        names = [f for _, features in requested for f in features]
        full = len(set(names)) < len(names) or self.rng.random() < 0.3
        if full:
            request["full_feature_names"] = True
        elif self.rng.random() < 0.2:
            request["full_feature_names"] = False
        if self.rng.random() < 0.25:
            request["known_at"] = True
        return requested, request

    def window(self):
        """Two bounds in order, as ticket keys and as ns."""
        bounds = [self.rng.choice(WINDOWS) for _ in range(2)]
        if None not in bounds:
            bounds.sort(key=oracle.parse_time)
        keys = {k: b for k, b in zip(("start", "end"), bounds) if b is not None}
        return keys, [None if b is None else oracle.parse_time(b) for b in bounds]

    # ---- ways to ask ----

    def every_way(self, request, entities):
        """The same question by two of the ways entity rows can go, and in shares; yields (way, answer)."""
        rng = self.rng
        rows = rng.choice((1, 7, 1000))
        ask = lambda **more: {"historical": {**request, **more}}
        ways = {
            "exchange": lambda: exchange_table(self.client, ask(), entities, rows),
            "inline": lambda: get(self.client, ask(entity_rows=inline(entities, rows))),
            "staged": lambda: get(self.client, ask(entity_rows_id=stage(self.client, entities, rows)["entity_rows_id"])),
            "exchange, shares": lambda: self.shares(lambda part: exchange_table(self.client, ask(part=part), entities, rows)),
            "inline, shares": lambda: self.shares(lambda part: get(self.client, ask(entity_rows=inline(entities), part=part))),
            "staged, endpoints": lambda: self.endpoints(ask(entity_rows_id=stage(self.client, entities, rows)["entity_rows_id"]), len(entities)),
            "inline, endpoints": lambda: self.endpoints(ask(entity_rows=inline(entities)), len(entities)),
        }
        for way in rng.sample(list(ways), 2):
            yield way, ways[way]()

    def shares(self, ask):
        n = self.rng.choice((1, 2, 3, 7))
        return pa.concat_tables([ask([i, n]) for i in range(n)])

    def endpoints(self, request, rows=None):
        """GetFlightInfo, then each of its tickets."""
        parts = self.rng.choice((None, 1, 2, 5))
        info = self.client.get_flight_info(fl.FlightDescriptor.for_command(json.dumps({**request, **({"parts": parts} if parts else {})})))
        assert 1 <= len(info.endpoints) <= (parts or 1)
        assert all(not e.locations for e in info.endpoints)
        if rows is not None:
            assert info.total_records in (rows, -1)
        tables = [self.client.do_get(e.ticket).read_all() for e in info.endpoints]
        assert all(t.schema.equals(info.schema) for t in tables), "the schema of GetFlightInfo is not that of the answer"
        return pa.concat_tables(tables)


def same(what, got, want, ordered=True):
    difference = oracle.difference(got, want, ordered)
    assert not difference, f"{what}: {difference}"


def test_historical(asker):
    for _ in range(3):
        requested, request = asker.ask()
        entities, time_column, named = asker.case.entities(requested)
        if named:
            request["timestamp"] = time_column
        want, report = oracle.historical(requested, entities, time_column,
                                         request.get("full_feature_names", False), request.get("known_at", False))
        for way, got in asker.every_way(request, entities):
            same(f"{way}: {request}\nentity rows {entities.schema}", got, want)
            assert all(got.schema.field(f.name).equals(f, check_metadata=True) for f in entities.schema)
            assert got.schema.metadata is None
            assert all(f.nullable for f in got.schema)
        _, chunks = exchange(asker.client, {"historical": {**request, "report": True}}, entities)
        assert report_of(chunks) == report, request
        same("with a report", pa.Table.from_batches([b for b, _ in chunks]), want)


def test_without_entity_rows(asker):
    requested, request = asker.ask()
    keyed = [view for view, _ in requested if view.keys]
    if any(set(view.keys) != set(keyed[0].keys) for view in keyed):
        requested = [(view, features) for view, features in requested if not view.keys or view is keyed[0]]
        request.pop("feature_service", None)
        request["features"] = [f"{view.name}:{f}" for view, features in requested for f in features]
    for mode in ("timeline", "snapshot"):
        keys, (start, end) = asker.window()
        if end is None:
            keys, start, end = {"end": WINDOWS[-1]}, None, oracle.parse_time(WINDOWS[-1])
        ask = {"historical": {**request, **keys, "mode": mode}}
        entities = oracle.entity_rows(requested, start, end, mode)
        want, report = oracle.historical(requested, entities, "event_timestamp",
                                         request.get("full_feature_names", False), request.get("known_at", False))
        same(f"{ask}", get(asker.client, ask), want)
        same(f"{ask} in endpoints", asker.endpoints(ask, len(want)), want)


def test_latest_and_all(asker):
    for generated in asker.case.views:
        view = generated.view
        for call in ("latest", "all"):
            keys, (start, end) = asker.window()
            features = view.features
            if asker.rng.random() < 0.5:
                features = asker.rng.sample(features, asker.rng.randrange(1, len(features) + 1))
                keys["features"] = features
            ask = {call: {"view": view.name, **keys}}
            want = (oracle.latest if call == "latest" else oracle.all_rows)(view, features, start, end)
            same(f"{ask}", get(asker.client, ask), want, ordered=False)
            if call == "all":
                shares = lambda part: get(asker.client, {"all": {**ask["all"], "part": part}})
                same(f"{ask} in shares", asker.shares(shares), want, ordered=False)
                same(f"{ask} in endpoints", asker.endpoints(ask), want, ordered=False)
