"""Writes what the tests compare with: on-demand feature views as Feast serializes them, and what Feast's own retrieval
makes of a table. Run by the Python of an environment with Feast; prints JSON.
"""

import base64
import io
import json
import sys
import warnings

warnings.simplefilter("ignore")

import dill
import pandas as pd
import pyarrow as pa
from feast import Entity, FeatureView, Field, FileSource, RequestSource
from feast.aggregation import Aggregation
from feast.feature_service import FeatureService  # noqa: F401  (what a repository imports)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.transformation.pandas_transformation import PandasTransformation
from feast.transformation.python_transformation import PythonTransformation
from feast.transformation.substrait_transformation import SubstraitTransformation
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

stats = FeatureView(
    name="stats", entities=[Entity(name="driver", join_keys=["driver_id"])], source=FileSource(name="stats", path="stats.parquet"),
    schema=[Field(name="conv", dtype=Float32), Field(name="acc", dtype=Float64), Field(name="trips", dtype=Int64),
            Field(name="city", dtype=String), Field(name="vec", dtype=Array(Float64))])
request = RequestSource(name="request", schema=[Field(name="add", dtype=Int64)])

VIEWS = {}


def view(mode="pandas", text=None, name=None, sources=(stats, request), **outputs):
    """Registers a function as a view; options of the view begin with an underscore."""
    options = {key[1:]: outputs.pop(key) for key in list(outputs) if key.startswith("_")}

    def register(function):
        function.__module__ = "__main__"
        source = text if text is not None else dill.source.getsource(function)
        made = {"pandas": PandasTransformation, "python": PythonTransformation}[mode](udf=function, udf_string=source)
        VIEWS[name or function.__name__] = OnDemandFeatureView(
            name=name or function.__name__, sources=list(sources), schema=[Field(name=n, dtype=t) for n, t in outputs.items()],
            mode=mode, feature_transformation=made, **options)
        return function

    return register


@view(plus=Float64, total=Int64, label=String, big=Bool)
def by_pandas(inputs: pd.DataFrame) -> pd.DataFrame:
    df = pd.DataFrame()
    df["plus"] = inputs["conv"] + inputs["acc"]
    df["total"] = inputs["trips"] + inputs["add"]
    df["label"] = inputs["city"] + "!"
    df["big"] = inputs["trips"] > 2
    return df


@view(mode="python", ratio=Float64, names=Array(String), at=UnixTimestamp)
def by_python(inputs):
    return {
        "ratio": [None if a is None or not b else a / b for a, b in zip(inputs["acc"], inputs["trips"])],
        "names": [[c, c] if c else None for c in inputs["city"]],
        "at": list(inputs["event_timestamp"]),
    }


@view(mode="python", text="not python", twice=Int64)
def by_pickle(inputs):
    return {"twice": [None if t is None else 2 * t for t in inputs["trips"]]}


@view(mode="pandas", scaled=Float32, rounded=Int32, scale=Array(Float32))
def narrow(inputs):
    df = pd.DataFrame()
    df["scaled"] = inputs["acc"] * 0.5
    df["rounded"] = inputs["acc"].round()
    df["scale"] = inputs["vec"]
    return df


@view(mode="pandas", chained=Float64, again=Float64)
def after(inputs):
    df = inputs.copy()  # returns everything it got, as many functions do
    plus = inputs["plus"] if "plus" in inputs else inputs["by_pandas__plus"]
    df["chained"] = plus * 10
    df["again"] = inputs["stats__acc"] + 1
    return df


@view(mode="python", _singleton=True, summed=Float64, larger=Float64, parts=Array(Float64), kept=String)
def one_row(inputs):
    return {
        "summed": None if inputs["conv"] is None else inputs["conv"] + inputs["acc"],
        "larger": max(inputs["acc"], 0.5) if inputs["acc"] is not None else None,
        "parts": [0.25, inputs["acc"] or 0.0],
        "kept": inputs["city"],
        "unasked": float("-inf"),
    }


@view(kind_text=String)
def categories(inputs):
    return pd.DataFrame({"kind_text": inputs["kind"].astype(object)})


@view(mode="python", whole=Int64, day=UnixTimestamp, naive=UnixTimestamp, none=String, empty=Array(Float64), number=String, pairs=String)
def kinds(inputs):
    import datetime
    import decimal

    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 10)
    return {
        "whole": [1.0, float("nan"), -3.0, 2.0**53],
        "day": [moment.date(), None, datetime.date(1969, 12, 31), moment.date()],
        "naive": [moment, None, moment, moment],
        "none": [None] * 4,
        "empty": [[], None, [None], []],
        "number": [decimal.Decimal("1.50"), None, decimal.Decimal("-2"), decimal.Decimal("0")],
        "pairs": [{"a": "1"}, {"b": "2", "c": "3"}, None, {}],
    }


@view(category=String, moment=UnixTimestamp, strings=Array(String))
def more_kinds(inputs):
    df = pd.DataFrame()
    df["category"] = pd.Categorical(["u", "v", None, "u"])
    df["moment"] = pd.to_datetime(inputs["event_timestamp"]).astype("datetime64[ns, UTC]") + pd.Timedelta(1500, "ns")
    df["strings"] = [["a", None], [], None, ["ö"]]
    return df


@view(y=Float64)
def raises(inputs):
    print("about to divide")
    factor = [1][0] / (len(inputs) - len(inputs))
    return inputs["acc"] * factor


@view(y=Float64)
def drops_rows(inputs):
    return inputs[["acc"]].rename(columns={"acc": "y"}).iloc[1:]


@view(y=Int64)
def sorts(inputs):
    return inputs[["add"]].rename(columns={"add": "y"}).sort_values("y", ascending=False)


@view(y=Int64)
def sorts_in_place(inputs):
    inputs.sort_values("add", inplace=True)
    return pd.DataFrame({"y": inputs["add"]})


@view(y=Int64)
def turns(inputs):
    return inputs[["add"]].rename(columns={"add": "y"}).iloc[::-1]


@view(y=Int64)
def restores(inputs):
    return inputs[["add"]].rename(columns={"add": "y"}).sort_values("y", ascending=False).sort_index()


@view(y=Float64)
def forgets(inputs):
    return inputs[["acc", "city"]]


@view(y=Int64)
def mistypes(inputs):
    return pd.DataFrame({"y": inputs["city"]})


@view(y32=Int32)
def overflows(inputs):
    return pd.DataFrame({"y32": [1 << 40] * len(inputs)})


@view(y=Int64)
def fractions(inputs):
    return pd.DataFrame({"y": [0.5] * len(inputs)})


@view(mode="python", y=Int64)
def prints(inputs):
    import os
    import subprocess

    print("FDOD on standard output")
    os.write(1, b"FDOD\x00\x00\x00\x00 from the descriptor\n")
    subprocess.run(["echo", "FDOD from a child"])
    return {"y": [len(os.read(0, 10)) for _ in inputs["add"]]}


@view(mode="python", y=Int64)
def faults(inputs):
    import ctypes

    ctypes.string_at(0)


@view(mode="python", y=Int64)
def leaves(inputs):
    raise SystemExit("it is enough")


@view(mode="python", y=Int64)
def sleeps(inputs):
    import time

    print("going to sleep", flush=True)
    time.sleep(1000)


@view(mode="python", y=Int64)
def forks(inputs):
    import os

    if os.fork() == 0:
        return {"y": [0 for _ in inputs["add"]]}
    return {"y": list(inputs["add"])}


@view(mode="python", long=String)
def bloats(inputs):
    return {"long": ["x" * 100_000 for _ in inputs["add"]]}


@view(mode="python", y=Int64)
def counts(inputs):
    return {"y": [len(inputs["add"]) for _ in inputs["add"]]}


@view(mode="python", y=Int64, name="unloadable", text="")
def unloadable(inputs):
    return {"y": list(inputs["add"])}


VIEWS["only_aggregations"] = OnDemandFeatureView(
    name="only_aggregations", sources=[stats], schema=[Field(name="sum_trips", dtype=Int64)],
    aggregations=[Aggregation(column="trips", function="sum")])
VIEWS["with_aggregations"] = OnDemandFeatureView(
    name="with_aggregations", sources=[stats, request], schema=[Field(name="total", dtype=Int64)],
    aggregations=[Aggregation(column="trips", function="sum")],
    feature_transformation=VIEWS["by_pandas"].feature_transformation)


def plan():
    """add + 1 and trips, as a Substrait plan."""
    from pyarrow import _substrait

    def field(i):
        return {"selection": {"directReference": {"structField": {"field": i}}, "rootReference": {}}}

    i64 = {"i64": {"nullability": "NULLABILITY_NULLABLE"}}
    one = {"literal": {"i64": "1"}}
    add = {"scalarFunction": {"functionReference": 0, "outputType": i64, "arguments": [{"value": field(0)}, {"value": one}]}}
    return bytes(_substrait._parse_json_plan(json.dumps({
        "version": {"minorNumber": 44, "producer": "test"},
        "extensionUris": [{"extensionUriAnchor": 1, "uri": "https://github.com/substrait-io/substrait/blob/main/extensions/functions_arithmetic.yaml"}],
        "extensions": [{"extensionFunction": {"extensionUriReference": 1, "functionAnchor": 0, "name": "add"}}],
        "relations": [{"root": {"names": ["one_more", "same"], "input": {"project": {
            "common": {"emit": {"outputMapping": [2, 3]}},
            "expressions": [add, field(1)],
            "input": {"read": {
                "baseSchema": {"names": ["add", "trips"], "struct": {"types": [i64, i64], "nullability": "NULLABILITY_REQUIRED"}},
                "namedTable": {"names": ["t"]}}},
        }}}}],
    }).encode()))


VIEWS["by_substrait"] = OnDemandFeatureView(
    name="by_substrait", sources=[stats, request], mode="substrait",
    schema=[Field(name="one_more", dtype=Int64), Field(name="same", dtype=Int64)],
    feature_transformation=SubstraitTransformation(substrait_plan=plan(), udf=lambda t: t))


class Job(RetrievalJob):
    """Feast's own way from joined rows to an answer."""

    def __init__(self, table, views, refs, full):
        self.table, self.views, self.full = table, views, full
        self._metadata = RetrievalMetadata(features=refs, keys=[])

    full_feature_names = property(lambda self: self.full)
    on_demand_feature_views = property(lambda self: self.views)
    metadata = property(lambda self: self._metadata)

    def _to_arrow_internal(self, timeout=None):
        return self.table

    def _to_df_internal(self, timeout=None):
        return self.table.to_pandas()


def proto(view):
    """What the registry holds of a view."""
    view = view.to_proto()
    if view.spec.name == "unloadable":
        view.spec.feature_transformation.user_defined_function.body = b"no pickle"
    return view


def serialized(name):
    """The view as it comes back out of the registry."""
    return OnDemandFeatureView.from_proto(proto(VIEWS[name]))


def stream(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def main():
    """Standard input: {"tables": [IPC stream in base64 under short names, under full], "cases": {name: {"refs", "full"}}}."""
    asked = json.load(sys.stdin)
    tables = [pa.ipc.open_stream(base64.b64decode(table)).read_all() for table in asked["tables"]]
    answers = {}
    for name, case in asked["cases"].items():
        names = list(dict.fromkeys(ref.split(":")[0] for ref in case["refs"]))
        job = Job(tables[case["full"]], [serialized(n) for n in names], case["refs"], case["full"])
        answers[name] = stream(job.to_arrow())
    views = {n: base64.b64encode(proto(v).SerializeToString()).decode() for n, v in VIEWS.items()}
    json.dump({"views": views, "answers": answers}, sys.stdout)


main()
