"""Runs the transformations of Feast's on-demand feature views for a server that asks over standard input.

Needs the standard library, and the pyarrow, pandas and feast of the Python that runs it. The other side, and the
protocol, are in the Go package around this file. Frames are read and written on descriptors that no other code in the
process knows: what it prints on standard output goes to standard error, and its standard input is empty.
"""

import sys

sys.path[:] = [p for p in sys.path if p]  # a random.py in the current folder must not hide Python's own

import faulthandler
import json
import linecache
import os
import platform
import struct
import traceback

MAGIC = b"FDOD"
PREFIX = struct.Struct("<4sIQ")
MAX_HEADER = 1 << 20
MOST_BODY = int(sys.argv[3])


class Channel:
    """Frames from and to the server."""

    def __init__(self):
        self.owner = os.getpid()
        self.source = os.fdopen(os.dup(0), "rb", buffering=0)
        self.sink = os.fdopen(os.dup(1), "wb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def receive(self):
        """The next header and body; ends the process when the server has closed its side."""
        magic, header, body = PREFIX.unpack(self.take(PREFIX.size))
        if magic != MAGIC or header > MAX_HEADER or body > MOST_BODY:
            sys.exit(f"not a frame: {magic!r}, a header of {header} bytes, a body of {body}")
        return json.loads(bytes(self.take(header))), self.take(body)

    def take(self, size):
        room = memoryview(bytearray(size))
        at = 0
        while at < size:
            got = self.source.readinto(room[at:])
            if not got:
                os._exit(0)  # whatever threads the user's code has left behind
            at += got
        return room

    def send(self, header, body=b""):
        if os.getpid() != self.owner:  # the user's code forked, and the child came back
            os._exit(1)
        text = json.dumps(header).encode()
        for part in (PREFIX.pack(MAGIC, len(text), len(body)), text, body):
            rest = memoryview(part)
            while rest:
                rest = rest[self.sink.write(rest):]


class Failure(Exception):
    """Why there is no answer, in words for the one who asked."""

    def __init__(self, view, text, kind="", more=()):
        super().__init__(text)
        self.header = {"view": view, "kind": kind, "text": text, "more": list(more)}


class Views:
    """Feast's objects, made of definitions and kept."""

    def __init__(self, pandas):
        from feast.on_demand_feature_view import OnDemandFeatureView
        from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView as Definition
        from feast.transformation.pandas_transformation import PandasTransformation

        self.view, self.definition, self.pandas, self.frames = OnDemandFeatureView, Definition, PandasTransformation, pandas
        self.ours = (os.path.dirname(sys.modules["feast"].__file__) + os.sep, "flightd-ondemand")
        self.kept = {}

    def load(self, header, definition):
        """A view and the text of its function. The definition is None if it came with an earlier request."""
        if definition is not None:
            self.kept[header["id"]] = self.make(header["name"], bytes(definition))
        return self.kept[header["id"]]

    def make(self, name, definition):
        text = ""
        try:
            definition = self.definition.FromString(definition)
            text = definition.spec.feature_transformation.user_defined_function.body_text
            show_source(text)
            view = self.view.from_proto(definition)
        except BaseException as e:
            raise self.blame(name, "it cannot be loaded", e) from None
        if view.feature_transformation is None:
            reason = "it has aggregations and no transformation, which Feast applies to online features only"
            raise Failure(name, reason, kind="refused")
        if view.singleton:
            view.feature_transformation.udf = by_row(view.feature_transformation.udf)
        elif isinstance(view.feature_transformation, self.pandas):
            view.feature_transformation.udf = in_place(view.feature_transformation.udf, self.frames)
        return view, text

    def run(self, header, loaded, table, full):
        view, text = loaded
        show_source(text)
        view.projection.name_alias = header["alias"] or None  # one definition may be asked for under several
        try:
            return view.transform_arrow(table, full)
        except OutOfOrder:
            text = "the transformation returned its rows in another order; sort its index again before it returns"
            raise Failure(header["name"], text) from None
        except BaseException as e:
            raise self.blame(header["name"], "its transformation failed", e) from None

    def blame(self, name, what, error):
        """The failure with the part of its traceback that is the user's."""
        frames = traceback.extract_tb(error.__traceback__)
        while len(frames) > 1 and frames[0].filename.startswith(self.ours):
            del frames[0]
        reason = "".join(traceback.format_exception_only(type(error), error)).strip()
        return Failure(name, f"{what}: {reason}", more="".join(traceback.format_list(frames[-8:])).splitlines())


def show_source(text):
    """Lets tracebacks show lines of a function that Feast made of its text, without the decorators above it."""
    lines = text.splitlines(keepends=True)
    first = next((i for i, line in enumerate(lines) if line.startswith(("def ", "async def "))), len(lines))
    linecache.cache["<string>"] = (len(text), None, lines[first:], "<string>")


def by_row(function):
    """A function of one row as a function of columns."""

    def columns(inputs):
        answers = [function(dict(zip(inputs, row))) for row in zip(*inputs.values())]
        names = dict.fromkeys(name for answer in answers for name in answer)
        return {name: [answer.get(name) for answer in answers] for name in names}

    return columns


def in_place(function, pandas):
    """A pandas function, checked: values that come in another order would end up beside the wrong rows."""

    def checked(frame):
        numbers = pandas.RangeIndex(len(frame))
        result = function(frame)
        if isinstance(result, pandas.DataFrame) and len(result) == len(numbers) and not result.index.equals(numbers):
            # an index with a name is a choice, not what sorting leaves
            if result.index.nlevels == 1 and result.index.name is None and set(result.index) == set(numbers):
                raise OutOfOrder
        return result

    return checked


class OutOfOrder(Exception):
    """The rows of an answer are those of the question, but not in their order."""


class Columns:
    """Brings what a transformation returned to the declared types."""

    def __init__(self, pyarrow):
        self.pa = pyarrow
        import pyarrow.compute

        self.compute = pyarrow.compute

    def kind(self, found):
        """Types of one kind are cast into each other, if the values fit."""
        is_ = self.pa.types
        if is_.is_integer(found) or is_.is_floating(found) or is_.is_decimal(found):
            return "number"
        if is_.is_string(found) or is_.is_large_string(found) or str(found) == "string_view":
            return "text"
        if is_.is_timestamp(found) or is_.is_date(found):
            return "time"
        if hasattr(found, "value_type") and not is_.is_map(found) and not is_.is_dictionary(found):
            return f"list of {self.kind(found.value_type)}"
        if is_.is_binary(found) or is_.is_large_binary(found) or is_.is_fixed_size_binary(found) or str(found) == "binary_view":
            return "bytes"
        return "map" if is_.is_map(found) else "struct" if is_.is_struct(found) else str(found)

    def fit(self, column, wanted):
        """The column as one array of the wanted type; TypeError or Arrow's error if that cannot be."""
        if self.pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        found = column.type
        if found != wanted:
            column = self.cast(column, found, wanted)
        whole = column.combine_chunks()
        if isinstance(whole, self.pa.ChunkedArray):
            whole = self.pa.concat_arrays(whole.chunks) if whole.num_chunks else self.pa.nulls(0, wanted)
        return whole

    def cast(self, column, found, wanted):
        is_ = self.pa.types
        if is_.is_null(found):
            return self.pa.chunked_array([self.pa.nulls(len(column), wanted)])
        has, wants = self.kind(found), self.kind(wanted)
        if has == "struct" and wants == "map":  # dicts; Arrow fills up keys that only other rows have
            rows = [None if row is None else [item for item in row.items() if item[1] is not None] for row in column.to_pylist()]
            return self.pa.chunked_array([self.pa.array(rows, wanted)])
        if has != wants and not has.endswith("list of null") and not (is_.is_decimal(found) and wants == "text"):
            raise TypeError(f"{wanted} is declared, {found} was returned")
        if is_.is_floating(found) and is_.is_integer(wanted):
            column = self.compute.if_else(self.compute.is_nan(column), None, column)
        if is_.is_date(found) and is_.is_timestamp(wanted):
            column = column.cast(self.pa.timestamp(wanted.unit))
        finer = self.finer(found, wanted)
        if finer and is_.is_timestamp(found):  # casting would round times before 1970 up
            column = self.compute.floor_temporal(column, unit={"s": "second", "ms": "millisecond", "us": "microsecond"}[wanted.unit])
        return column.cast(wanted, safe=not finer)

    def finer(self, found, wanted):
        """Whether only the end of times is cut off: nanoseconds where microseconds are declared."""
        while hasattr(found, "value_type") and hasattr(wanted, "value_type"):
            found, wanted = found.value_type, wanted.value_type
        units, is_ = ("s", "ms", "us", "ns"), self.pa.types
        return is_.is_timestamp(found) and is_.is_timestamp(wanted) and units.index(found.unit) > units.index(wanted.unit)


class Worker:
    """Answers requests."""

    def __init__(self):
        import pandas
        import pyarrow

        self.pa = pyarrow
        self.columns = Columns(pyarrow)
        self.views = Views(pandas)
        self.versions = {
            "python": platform.python_version(),
            "feast": getattr(sys.modules["feast"], "__version__", "") or installed("feast"),
            "pyarrow": pyarrow.__version__,
            "pandas": pandas.__version__,
        }

    def answer(self, header, body):
        """The IPC stream of the outputs."""
        if header["forget"]:
            self.views.kept.clear()
        at, views = 0, []
        for v in header["views"]:
            definition = body[at:at + v["definition"]] if v["definition"] else None
            at += v["definition"]
            views.append((v, definition))
        views = [(v, self.views.load(v, definition)) for v, definition in views]
        schema = self.pa.ipc.open_stream(self.pa.py_buffer(body[at:at + header["outputs"]])).schema
        table = self.pa.ipc.open_stream(self.pa.py_buffer(body[at + header["outputs"]:])).read_all()
        return self.pack(self.outputs(views, table, header["full"], schema), schema, header)

    def outputs(self, views, table, full, schema):
        """Every output of every view. A view sees what those before it have added."""
        arrays = []
        for v, loaded in views:
            result = self.views.run(v, loaded, table, full)
            for column in v["outputs"]:
                self.check(v["name"], result, column, table.num_rows)
            for column in v["outputs"]:
                try:
                    arrays.append(self.columns.fit(result[column], schema.field(column).type))
                except (TypeError, self.pa.ArrowException) as e:
                    raise Failure(v["name"], f"output {column!r} is not what the view declares: {e}") from None
                table = table.append_column(column, result[column])
        return arrays

    def check(self, name, result, column, rows):
        found = result.column_names.count(column)
        if found != 1:
            returned = ", ".join(result.column_names[:20]) or "nothing"
            raise Failure(name, f"the transformation returned {found or 'no'} columns {column!r}; it returned {returned}")
        if result.num_rows != rows:
            raise Failure(name, f"the transformation returned {result.num_rows} rows for {rows}; it must return one for each")

    def pack(self, arrays, schema, header):
        batch = self.pa.RecordBatch.from_arrays(arrays, schema=schema)
        if batch.nbytes > header["max"]:
            names = ", ".join(v["name"] for v in header["views"])
            raise Failure("", f"{batch.num_rows} rows of {names} are {batch.nbytes} bytes, at most {header['max']} are taken", kind="size")
        out = self.pa.BufferOutputStream()
        with self.pa.ipc.new_stream(out, schema) as writer:
            writer.write_batch(batch)
        return out.getvalue()


def installed(name):
    from importlib import metadata

    return metadata.version(name)


def main():
    channel = Channel()
    faulthandler.enable()
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")  # when memory runs out it is this process that goes, not the server
    except OSError:
        pass
    sys.argv = ["flightd-ondemand"]
    try:
        worker = Worker()
    except BaseException as e:
        reason = "".join(traceback.format_exception_only(type(e), e)).strip()
        channel.send({"failure": f"{sys.executable} (Python {platform.python_version()}) says {reason}"})
        return
    sys.path.append(os.getcwd())
    channel.send(worker.versions)
    while True:
        header, body = channel.receive()
        failure, answer = None, b""
        try:
            answer = worker.answer(header, body)
        except Failure as e:
            failure = e.header
        except BaseException as e:  # of our own making; the next request may go better
            traceback.print_exc()
            failure = {"view": "", "kind": "", "text": f"{type(e).__name__}: {e}", "more": []}
        channel.send({"failure": failure}, memoryview(answer))
        del header, body, answer


main()
