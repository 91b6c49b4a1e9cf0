"""Makes the Arrow IPC streams of this folder, as clients of pyarrow and pandas send them.

    pip install pyarrow==26.0.1 pandas==3.1.1 && python make.py

want.txt lists what the test expects of each: rows, and the nulls of every column; or "refused".
"""

import datetime
import decimal
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc as ipc

HERE = pathlib.Path(__file__).parent
want = []


def keep(name, batches, schema=None, refused=False, file=False, **options):
    schema = schema or batches[0].schema
    options = ipc.IpcWriteOptions(**options)
    path = HERE / name
    with (ipc.new_file if file else ipc.new_stream)(str(path), schema, options=options) as out:
        for batch in batches:
            out.write(batch)
    expect(name, batches, schema, refused)


def expect(name, batches, schema, refused=False):
    if refused:
        want.append(f"{name} refused")
        return
    rows = sum(b.num_rows for b in batches)
    nulls = [sum(b.column(i).null_count for b in batches) for i in range(len(schema))]
    want.append(" ".join([name, str(rows), *map(str, nulls)]))


def batches(table, size=None):
    return table.to_batches(max_chunksize=size)


# What pandas sends: categories with missing values, named and unnamed index, zones, mixed missing values.
times = pd.to_datetime(["2026-01-01", "2026-01-02", None, "2026-01-04", "2026-01-05"])
frame = pd.DataFrame(
    {
        "driver_id": np.arange(5, dtype="int64"),
        "event_timestamp": times.tz_localize("Europe/Paris"),
        "naive": times,
        "city": pd.Categorical(["Paris", None, "Köln", "Paris", None]),
        "grade": pd.Categorical([3, 1, 2, 3, None], categories=[1, 2, 3], ordered=True),
        "name": ["a", None, "", "grün", "z" * 50],
        "score": [1.5, np.nan, np.inf, -0.0, 4.0],
        "small": pd.array([1, None, 3, 4, 5], dtype="Int16"),
        "flag": pd.array([True, None, False, True, True], dtype="boolean"),
        "nothing": [None] * 5,
    }
)
indexed = frame.set_index("driver_id")
keep("pandas.arrows", batches(pa.Table.from_pandas(frame)))
keep("pandas_named_index.arrows", batches(pa.Table.from_pandas(indexed)))
keep("pandas_unnamed_index.arrows", batches(pa.Table.from_pandas(frame.iloc[[4, 0, 2]])))
keep("pandas_zero_rows.arrows", batches(pa.Table.from_pandas(frame.iloc[:0])) or [], pa.Table.from_pandas(frame.iloc[:0]).schema)
keep("pandas_no_columns.arrows", [pa.RecordBatch.from_pandas(frame[[]])])
keep("pandas_batches.arrows", batches(pa.Table.from_pandas(frame), 2))
keep("placeholder.arrows", [pa.record_batch({"key": list("mock_key")})])

# Every type, sliced so that offsets do not begin at zero in memory.
struct = pa.struct([("a", pa.int8()), ("b", pa.string())])
types = pa.record_batch(
    {
        "i8": pa.array([1, None, 3, 4, 5], pa.int8()),
        "u64": pa.array([1, None, 2**64 - 1, 4, 5], pa.uint64()),
        "f16": pa.array(np.array([1, 2, 3, 4, 5], "float16")),
        "d128": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-99999.99"), decimal.Decimal(0), None], pa.decimal128(7, 2)),
        "d256": pa.array([decimal.Decimal(10) ** 50, None, None, decimal.Decimal(-1), None], pa.decimal256(60, 0)),
        "bool": pa.array([True, None, False, True, True]),
        "bin": pa.array([b"\0\1", None, b"", b"x", b"yy"]),
        "lbin": pa.array([b"\0\1", None, b"", b"x", b"yy"], pa.large_binary()),
        "lstr": pa.array(["a", None, "", "ü", "yy"], pa.large_string()),
        "fsb": pa.array([b"abc", None, b"def", b"ghi", b"jkl"], pa.binary(3)),
        "fsb0": pa.array([b"", None, b"", b"", b""], pa.binary(0)),
        "date32": pa.array([datetime.date(2026, 1, 1)] * 4 + [None]),
        "date64": pa.array([datetime.date(2026, 1, 1)] * 4 + [None], pa.date64()),
        "t32": pa.array([datetime.time(1, 2, 3)] * 4 + [None], pa.time32("s")),
        "t64": pa.array([datetime.time(1, 2, 3, 4)] * 4 + [None], pa.time64("ns")),
        "ts": pa.array([1, 2, None, 4, 5], pa.timestamp("ms")),
        "dur": pa.array([1, 2, None, 4, 5], pa.duration("us")),
        "mdn": pa.array([pa.MonthDayNano([1, 2, 3])] * 5),
        "null": pa.nulls(5),
        "list": pa.array([[1], None, [], [2, None], [3, 4, 5]], pa.list_(pa.int32())),
        "llist": pa.array([["a"], None, [], ["b", None], ["c"]], pa.large_list(pa.string())),
        "fsl": pa.array([[1, 2], None, [3, None], [4, 5], [6, 7]], pa.list_(pa.float32(), 2)),
        "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 2, "b": None}, {}], struct),
        "map": pa.array([[("a", [1])], None, [], [("b", None), ("c", [2, 3])], []], pa.map_(pa.string(), pa.list_(pa.int8()))),
        "deep": pa.array([[[{"a": 1, "b": "x"}], None], None, [], [[]], [[None]]], pa.list_(pa.list_(struct))),
        "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(range(16)), None] * 2 + [None], pa.binary(16))),
        "sparse": pa.UnionArray.from_sparse(pa.array([0, 1, 0, 1, 0], pa.int8()), [pa.array([1, 2, 3, 4, None]), pa.array(list("abcde"))]),
        "dense": pa.UnionArray.from_dense(
            pa.array([0, 1, 0, 1, 0], pa.int8()), pa.array([0, 0, 1, 1, 2], pa.int32()), [pa.array([1, 2, None]), pa.array(["a", "b"])]
        ),
    }
)
keep("types.arrows", [types, types.slice(1, 3), types.slice(4), types.slice(2, 0)])
keep("types_zstd.arrows", [types, types.slice(1)], compression="zstd")
keep("types_lz4.arrows", [types, types.slice(1)], compression="lz4")
plain = types.drop_columns(["sparse", "dense"])
keep("types_v4.arrows", [plain, plain.slice(1)], metadata_version=ipc.MetadataVersion.V4, use_legacy_format=True)
unions = types.select(["sparse", "dense"])
keep("unions_v4.arrows", [unions], metadata_version=ipc.MetadataVersion.V4)
keep("types.arrow", [types, types.slice(1, 3)], file=True)
keep("constant_zstd.arrows", [pa.record_batch({"x": pa.array(np.zeros(1_000_000, "int64"))})], compression="zstd")


# Dictionaries: growing with deltas, replaced, within lists and structs, of structs with dictionaries.
def coded(values, indices, index=pa.int8()):
    return pa.DictionaryArray.from_arrays(pa.array(indices, index), pa.array(values))


growing = [pa.record_batch({"d": coded(list("abcdef")[:n], [0, None, n - 1])}) for n in (2, 3, 6, 6)]
keep("deltas.arrows", growing, emit_dictionary_deltas=True)
keep("replaced.arrows", growing[::-1])
inner = coded(["x", "y", None], [2, 1, 0, None])
outer = pa.DictionaryArray.from_arrays(pa.array([3, 0, None, 1], pa.int16()), pa.StructArray.from_arrays([inner, pa.array([1, 2, 3, 4])], ["inner", "n"]))
lists = pa.ListArray.from_arrays(pa.array([0, 2, 2, 3, 4]), inner)
keep("nested_dictionaries.arrows", [pa.record_batch({"outer": outer, "lists": lists, "plain": inner})])
masked = pa.DictionaryArray.from_arrays(np.array([0, -1, 1], "int8"), ["a", "b"], mask=np.array([False, True, False]))
keep("masked.arrows", [pa.record_batch({"d": masked})])

# What is refused, with an advice.
keep("string_view.arrows", [pa.record_batch({"s": pa.array(["a"], pa.string_view())})], refused=True)
keep("list_view.arrows", [pa.record_batch({"s": pa.array([[1]], pa.list_view(pa.int8()))})], refused=True)
keep("run_end.arrows", [pa.record_batch({"s": pa.RunEndEncodedArray.from_arrays([2], [1])})], refused=True)
keep("decimal32.arrows", [pa.record_batch({"s": pa.array([None], pa.decimal32(5, 2))})], refused=True)
with pa.OSFile(str(HERE / "tensor.arrows"), "wb") as out:
    ipc.write_tensor(pa.Tensor.from_numpy(np.zeros((2, 2))), out)
want.append("tensor.arrows refused")

(HERE / "want.txt").write_text("\n".join(want) + "\n")
