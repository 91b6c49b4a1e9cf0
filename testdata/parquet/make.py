"""Makes the Parquet files of this folder, and beside each NAME.parquet a NAME.arrows: what pyarrow reads from it.

    pip install pyarrow==26.0.1 pandas fastparquet duckdb==2.0.1 polars && python make.py

Every file has few rows; together they cover what common writers do by default and with their usual options.
"""

import datetime as dt
import decimal
import os

import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
N = 300


def every(values, t):
    """N values, every seventh null."""
    return pa.array([None if i % 7 == 3 else values(i) for i in range(N)], t)


UTC = dt.timezone.utc
FLAT = pa.table({
    "bool": every(lambda i: i % 3 == 0, pa.bool_()),
    "int8": every(lambda i: i % 256 - 128, pa.int8()),
    "int16": every(lambda i: i * 100 - 15000, pa.int16()),
    "int32": every(lambda i: i * 10**7 - 10**9, pa.int32()),
    "int64": every(lambda i: (i - 150) * 10**16, pa.int64()),
    "uint8": every(lambda i: i % 256, pa.uint8()),
    "uint16": every(lambda i: i * 200, pa.uint16()),
    "uint32": every(lambda i: i * 14 * 10**6, pa.uint32()),
    "uint64": every(lambda i: 2**64 - 1 - i, pa.uint64()),
    "float": every(lambda i: i / 4, pa.float32()),
    "double": every(lambda i: i / 3, pa.float64()),
    "half": every(lambda i: np.float16(i / 8), pa.float16()),
    "date": every(lambda i: dt.date(1960, 1, 1) + dt.timedelta(days=i * 100), pa.date32()),
    "time_ms": every(lambda i: i * 1000, pa.time32("ms")),
    "time_us": every(lambda i: i * 10**6, pa.time64("us")),
    "ts_ms": every(lambda i: i * 10**9 - 10**11, pa.timestamp("ms")),
    "ts_us_utc": every(lambda i: i * 10**12 - 10**14, pa.timestamp("us", "UTC")),
    "ts_ns_paris": every(lambda i: i * 10**15 - 10**17, pa.timestamp("ns", "Europe/Paris")),
    "duration": every(lambda i: i * 10**3, pa.duration("us")),
    "dec9": every(lambda i: decimal.Decimal(i - 150).scaleb(-2), pa.decimal128(9, 2)),
    "dec18": every(lambda i: decimal.Decimal((i - 150) * 10**12).scaleb(-4), pa.decimal128(18, 4)),
    "dec38": every(lambda i: decimal.Decimal((i - 150) * 10**30).scaleb(-10), pa.decimal128(38, 10)),
    "dec60": every(lambda i: decimal.Decimal((i - 150) * 10**50).scaleb(-10), pa.decimal256(60, 10)),
    "text": every(lambda i: f"tëxt {i}" * (i % 3), pa.string()),
    "large_text": every(lambda i: f"large {i}", pa.large_string()),
    "few": every(lambda i: "abc"[i % 3], pa.string()),
    "binary": every(lambda i: bytes([i % 256, 255]), pa.binary()),
    "fixed": every(lambda i: i.to_bytes(5, "big"), pa.binary(5)),
    "dictionary": every(lambda i: "xyz"[i % 3], pa.string()).dictionary_encode(),
    "nothing": pa.nulls(N),
    "required": pa.array(range(N), pa.int64()),
})
FLAT = FLAT.cast(pa.schema([f.with_nullable(f.name != "required") for f in FLAT.schema]))

NESTED = pa.table({
    "list": every(lambda i: [None if j == 1 else j * i for j in range(i % 4)], pa.list_(pa.int64())),
    "large_list": every(lambda i: [str(j) for j in range(i % 3)], pa.large_list(pa.string())),
    "fixed_list": pa.array([[float(i), None, 2.0] for i in range(N)], pa.list_(pa.float64(), 3)),
    "struct": every(lambda i: {"a": i, "b": None if i % 5 == 0 else str(i)}, pa.struct([("a", pa.int32()), ("b", pa.string())])),
    "map": every(lambda i: [(f"k{j}", j if j % 2 else None) for j in range(i % 3)], pa.map_(pa.string(), pa.int64())),
    "deep": every(lambda i: [{"x": [[j], [], None], "y": {"z": [j] * (i % 3)}} for j in range(i % 3)],
                  pa.list_(pa.struct([("x", pa.list_(pa.list_(pa.int32()))), ("y", pa.struct([("z", pa.list_(pa.int8()))]))]))),
})


def path(name):
    return os.path.join(HERE, name + ".parquet")


def expect(name):
    """Writes what pyarrow reads, dictionaries decoded."""
    table = pq.read_table(path(name), partitioning=None)
    schema = pa.schema([pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in table.schema])
    table = pa.table([c.cast(f.type) for c, f in zip(table.columns, schema)], schema=schema)
    with pa.ipc.new_stream(os.path.join(HERE, name + ".arrows"), schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as w:
        w.write_table(table.combine_chunks())


def arrow(name, table, **options):
    pq.write_table(table, path(name), **options)
    expect(name)


def pyarrow_files():
    arrow("pyarrow_default", FLAT)
    arrow("pyarrow_nested", NESTED)
    arrow("pyarrow_nested_v2_small_pages", NESTED, data_page_version="2.0", data_page_size=64, write_batch_size=16)
    for codec in ["none", "snappy", "gzip", "zstd", "brotli"]:
        arrow(f"pyarrow_{codec}_v2", FLAT, compression=codec, data_page_version="2.0", data_page_size=512, write_batch_size=64)
    arrow("pyarrow_plain", FLAT, use_dictionary=False, compression="none", row_group_size=110)
    arrow("pyarrow_no_statistics", FLAT, write_statistics=False, store_schema=False, row_group_size=64)
    arrow("pyarrow_page_index", FLAT, write_page_index=True, data_page_size=256, write_batch_size=32, store_schema=False)
    arrow("pyarrow_version_1", FLAT.drop(["time_us"]), version="1.0")
    plain = FLAT.select(["int32", "int64", "float", "double", "text", "binary", "fixed", "ts_us_utc", "required"])
    arrow("pyarrow_delta", plain, use_dictionary=False, data_page_version="2.0", column_encoding={
        "int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED", "ts_us_utc": "DELTA_BINARY_PACKED", "required": "DELTA_BINARY_PACKED",
        "text": "DELTA_BYTE_ARRAY", "binary": "DELTA_LENGTH_BYTE_ARRAY", "float": "BYTE_STREAM_SPLIT", "double": "BYTE_STREAM_SPLIT",
        "fixed": "DELTA_BYTE_ARRAY"})
    arrow("pyarrow_int96", FLAT.select(["ts_ms", "ts_us_utc", "required"]), use_deprecated_int96_timestamps=True)
    arrow("pyarrow_zero_rows", FLAT.slice(0, 0))
    arrow("pyarrow_zero_rows_nested", NESTED.slice(0, 0))
    fallback = pa.table({"text": [f"{i:0100d}" for i in range(3000)], "n": [i % 1000 for i in range(3000)]})
    arrow("pyarrow_dictionary_fallback", fallback, dictionary_pagesize_limit=20_000, data_page_size=10_000, write_batch_size=100)
    no_nulls = pa.table({"k": list(range(N)), "b": [i % 5 == 0 for i in range(N)], "s": [f"s{i}" for i in range(N)]})
    arrow("pyarrow_bool_rle", no_nulls, data_page_version="2.0", column_encoding={"b": "RLE"}, use_dictionary=False)
    arrow("pyarrow_compliant_off", NESTED, use_compliant_nested_type=False)


def other_writers():
    simple = FLAT.select(["bool", "int32", "int64", "uint32", "double", "date", "ts_us_utc", "dec18", "text", "binary", "few"])
    connection = duckdb.connect()
    for version in ["V1", "V2"]:
        connection.sql(f"copy simple to '{path('duckdb_' + version.lower())}' (parquet_version {version})")
        expect("duckdb_" + version.lower())
    connection.sql("copy (select i as n, [i, null, i+1] as l, {'a': i, 'b': 'x' || i} as s, map {'k': i} as m, uuid() as u "
                   f"from range(50) t(i)) to '{path('duckdb_nested')}' (codec zstd)")
    expect("duckdb_nested")
    frame = pl.from_arrow(simple.drop(["dec18"]))
    frame.write_parquet(path("polars"))
    expect("polars")
    pl.from_arrow(NESTED.select(["list", "struct"])).write_parquet(path("polars_nested"), use_pyarrow=False)
    expect("polars_nested")
    pandas = pd.DataFrame({"k": range(N), "t": pd.date_range("2024-01-01", periods=N, freq="h", tz="UTC"), "x": np.linspace(0, 1, N),
                           "s": [f"s{i}" for i in range(N)], "c": pd.Categorical(list("abc") * (N // 3))})
    pandas.to_parquet(path("pandas"), engine="pyarrow")
    expect("pandas")
    plain = pandas.drop(columns=["c"]).assign(t=pandas.t.dt.tz_localize(None))
    fastparquet.write(path("fastparquet"), plain)
    expect("fastparquet")


if __name__ == "__main__":
    pyarrow_files()
    other_writers()
