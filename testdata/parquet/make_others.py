"""Files of DuckDB, Polars, pandas and fastparquet."""

import datetime as dt
import decimal

import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl

from expected import expect, path
from tables import FLAT, N, NESTED, NOISE, RANDOM

SIMPLE = FLAT.select(["bool", "int32", "int64", "uint32", "double", "date", "ts_us_utc", "dec18", "text", "binary", "few"])


def duckdb_files():
    connection = duckdb.connect()
    connection.register("simple", SIMPLE)
    connection.register("noise", NOISE)

    def copy(name, query, options=""):
        connection.sql(f"copy ({query}) to '{path('duckdb_' + name)}' (format parquet{options})")
        expect("duckdb_" + name)

    for version in ["V1", "V2"]:
        copy(version.lower(), "from simple", f", parquet_version {version}")
    copy("nested", "select i as n, [i, null, i+1] as l, {'a': i, 'b': 'x' || i} as s, map {'k': i} as m, md5(i::varchar)::uuid as u from range(50) t(i)", ", codec zstd")
    for codec in ["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4_raw", "lz4"]:
        for version in ["V1", "V2"]:
            copy(f"noise_{codec}_{version.lower()}", "from noise", f", codec {codec}, parquet_version {version}")
    copy("types", """select unnest(x) from (select {
        'uuid': md5(i::varchar)::uuid, 'hugeint': i::hugeint * 10000000000000000000, 'uhugeint': i::uhugeint, 'interval': to_days(i) + to_seconds(i),
        'time': time '01:02:03' + to_seconds(i), 'timetz': '01:02:03+01'::timetz, 'ts_s': ('2020-01-01'::timestamp + to_hours(i))::timestamp_s,
        'ts_ms': ('2020-01-01'::timestamp + to_hours(i))::timestamp_ms, 'ts_us': '2020-01-01'::timestamp + to_hours(i),
        'ts_ns': ('2020-01-01'::timestamp + to_hours(i))::timestamp_ns, 'tz': '2020-01-01'::timestamptz + to_hours(i),
        'dec4': (i % 100)::decimal(4,1), 'dec9': i::decimal(9,1), 'dec18': i::decimal(18,1), 'dec38': i::decimal(38,1), 'json': '{"a": 1}'::json,
        'bit': '101'::bit, 'utinyint': (i % 256)::utinyint, 'smallint': i::smallint, 'float': i::float / 3, 'blob': ('x' || i)::blob
        } as x from range(300) t(i))""")
    connection.sql("create type color as enum ('red', 'green', 'blue')")
    copy("enum", "select if(i % 5 = 1, null, (['red', 'green', 'blue'])[1 + i % 3])::color as c, if(i % 3 = 0, null, i % 2 = 0) as b, null as n, "
         "[[i, null], null, []] as ll, map {i: [{'a': i}, null]} as m, [1, i]::int[2] as fixed, union_value(a := i) as u, "
         "time_ns '01:02:03' as t from range(200) t(i)")
    copy("row_groups", "select i as k, i % 10 as few, if(i % 2 = 0, null, 'text ' || i) as t from range(5000) t(i)", ", row_group_size 2048, parquet_version V2")
    copy("sorted_runs", "select (i // 700)::int as k, (i // 90) % 2 = 0 as b, '2020-01-01'::timestamp + to_seconds(i * i) as t from range(3000) t(i)", ", parquet_version V2")
    copy("zero_rows", "select 1 as a, 'x' as b, [1] as c where false")


def polars_files():
    frame = pl.from_arrow(SIMPLE.drop(["dec18"]))
    noise = pl.from_arrow(NOISE)

    def write(name, frame, **options):
        frame.write_parquet(path("polars" + name), **options)
        expect("polars" + name)

    write("", frame)
    write("_nested", pl.from_arrow(NESTED.select(["list", "struct"])))
    for codec in ["lz4", "snappy", "gzip", "brotli", "zstd", "uncompressed"]:
        write(f"_noise_{codec}", noise, compression=codec)
    gap = lambda f: [None if i % 7 == 3 else f(i) for i in range(N)]
    write("_types", pl.DataFrame({
        "categorical": pl.Series(gap(lambda i: "xyz"[i % 3]), dtype=pl.Categorical), "enum": pl.Series(gap(lambda i: "ab"[i % 2]), dtype=pl.Enum(["a", "b"])),
        "decimal": pl.Series(gap(lambda i: decimal.Decimal(i).scaleb(-2)), dtype=pl.Decimal(20, 2)), "time": gap(lambda i: dt.time(i % 24, 2, 3, i)),
        "duration": gap(lambda i: dt.timedelta(seconds=i)), "us": gap(lambda i: dt.datetime(2020, 1, 1) + dt.timedelta(hours=i)),
        "date": gap(lambda i: dt.date(2020, 1, 1) + dt.timedelta(days=i)), "text": gap(lambda i: "é" * (i % 40)), "binary": gap(lambda i: b"\xff" * (i % 40)),
        "null": [None] * N, "int8": pl.Series(gap(lambda i: i % 100), dtype=pl.Int8), "uint64": pl.Series(gap(lambda i: 2**63 + i), dtype=pl.UInt64),
        "array": pl.Series(gap(lambda i: [i, None]), dtype=pl.Array(pl.Int32, 2)), "list": gap(lambda i: ["x", None][: i % 3]),
        "struct": gap(lambda i: {"a": i, "b": [str(i)]}), "bool": gap(lambda i: (i // 20) % 2 == 0), "float": pl.Series(gap(lambda i: i / 3), dtype=pl.Float32),
        "list_of_categoricals": pl.Series(gap(lambda i: ["p", "q"][: i % 3]), dtype=pl.List(pl.Categorical)),
    }).with_columns(ms=pl.col("us").cast(pl.Datetime("ms")), ns=pl.col("us").cast(pl.Datetime("ns")), zone=pl.col("us").dt.replace_time_zone("Europe/Paris"),
                    half=pl.col("float").cast(pl.Float16)))
    write("_row_groups", pl.DataFrame({"k": range(2000), "few": [str(i % 9) for i in range(2000)], "b": [i % 9 < 4 for i in range(2000)]}),
          row_group_size=700, data_page_size=1000)
    write("_zero_rows", frame.clear())


def pandas_files():
    frame = pd.DataFrame({"k": range(N), "t": pd.date_range("2024-01-01", periods=N, freq="h", tz="UTC"), "x": np.linspace(0, 1, N),
                          "s": [f"s{i}" for i in range(N)], "c": pd.Categorical(list("abc") * (N // 3))})
    frame.to_parquet(path("pandas"), engine="pyarrow")
    expect("pandas")
    gap = lambda f: [None if i % 7 == 3 else f(i) for i in range(N)]
    nullable = pd.DataFrame({
        "Int8": pd.array(gap(lambda i: i % 100), "Int8"), "Int64": pd.array(gap(lambda i: i), "Int64"), "UInt32": pd.array(gap(lambda i: i), "UInt32"),
        "Float32": pd.array(gap(lambda i: i / 4), "Float32"), "boolean": pd.array(gap(lambda i: i % 2 == 0), "boolean"),
        "string": pd.array(gap(lambda i: f"s{i}"), "string"), "object": gap(lambda i: f"o{i}"),
        "ints": pd.Categorical(gap(lambda i: i % 4)), "delta": pd.to_timedelta(gap(lambda i: i), unit="s"),
        "naive": pd.to_datetime(gap(lambda i: f"2020-01-{1 + i % 28:02d}")), "zone": pd.date_range("2024-03-30", periods=N, freq="h", tz="Europe/Berlin"),
        "period": pd.period_range("2020-01", periods=N, freq="D"), "interval": pd.interval_range(0, N)})
    nullable.to_parquet(path("pandas_types"), engine="pyarrow")
    expect("pandas_types")
    indexed = frame.assign(g=frame.k % 3).set_index(["g", "t"])
    indexed.to_parquet(path("pandas_multi_index"), engine="pyarrow")
    expect("pandas_multi_index")


def fastparquet_files():
    frame = pd.DataFrame({"k": range(N), "t": pd.date_range("2024-01-01", periods=N, freq="h"), "x": np.linspace(0, 1, N), "s": [f"s{i}" for i in range(N)]})

    def write(name, frame, **options):
        fastparquet.write(path("fastparquet" + name), frame, **options)
        expect("fastparquet" + name)

    write("", frame)
    for codec in ["SNAPPY", "GZIP", "ZSTD", "BROTLI", "LZ4_RAW", "LZ4"]:
        write("_" + codec.lower(), frame.assign(noise=RANDOM.random(N)), compression=codec)
    write("_nulls", frame.assign(x=frame.x.where(frame.k % 3 > 0), s=frame.s.where(frame.k % 4 > 0), c=pd.Categorical(list("abc") * (N // 3)),
                                 b=frame.k % 5 == 0, n=pd.array([None if i % 7 == 3 else i for i in range(N)], "Int64")), row_group_offsets=[0, 110, 200])
    write("_int96", frame[["k", "t"]], times="int96")


def main():
    duckdb_files()
    polars_files()
    pandas_files()
    fastparquet_files()
