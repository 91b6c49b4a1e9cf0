"""Files of pyarrow with its usual options."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expected import expect, path
from tables import BOOLS, FLAT, N, NESTED, NOISE, RANDOM, decimals, every, extremes, rich, times

CODECS = ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]


def write(name, table, **options):
    pq.write_table(table, path("pyarrow_" + name), **options)
    expect("pyarrow_" + name)


def pages():
    write("default", FLAT)
    write("nested", NESTED)
    write("nested_v2_small_pages", NESTED, data_page_version="2.0", data_page_size=64, write_batch_size=16)
    for codec in CODECS:
        write(f"{codec}_v2", FLAT, compression=codec, data_page_version="2.0", data_page_size=512, write_batch_size=64)
    for codec, version in itertools.product(CODECS, ["1.0", "2.0"]):
        write(f"noise_{codec}_v{version[0]}", NOISE, compression=codec, data_page_version=version, use_dictionary=False,
              data_page_size=1000, write_batch_size=50)
    for version in ["1.0", "2.0"]:
        write(f"bools_v{version[0]}", BOOLS, data_page_version=version)
        write(f"tiny_pages_v{version[0]}", FLAT.slice(0, 40), data_page_version=version, data_page_size=1, write_batch_size=1)
        write(f"rich_v{version[0]}", rich(), data_page_version=version)
        write(f"checksums_v{version[0]}", NOISE, data_page_version=version, write_page_checksum=True, compression="zstd")
        write(f"extremes_v{version[0]}", extremes(), data_page_version=version)
    write("plain", FLAT, use_dictionary=False, compression="none", row_group_size=110)
    write("no_statistics", FLAT, write_statistics=False, store_schema=False, row_group_size=64)
    write("page_index", FLAT, write_page_index=True, data_page_size=256, write_batch_size=32, store_schema=False)
    write("page_index_nested_v2", NESTED, write_page_index=True, data_page_size=128, write_batch_size=16, data_page_version="2.0")
    write("page_index_nested_v1", NESTED, write_page_index=True, data_page_size=128, write_batch_size=16)
    write("rows_per_page", FLAT.select(["int32", "double", "text", "bool", "required"]), max_rows_per_page=7, write_page_index=True)
    write("chunked_by_content", pa.table({"text": [f"{i:050d}" for i in range(2000)]}), write_page_index=True, data_page_size=4000,
          use_content_defined_chunking={"min_chunk_size": 2000, "max_chunk_size": 8000, "norm_level": 0})
    write("version_1", FLAT.drop(["time_us"]), version="1.0")
    write("version_2_4", FLAT.drop(["half"]), version="2.4")
    write("many_row_groups", FLAT.select(["int8", "text", "ts_us_utc"]).slice(0, 60), row_group_size=1, write_statistics=False, store_schema=False)
    write("bloom_filters", FLAT.select(["int64", "text"]), bloom_filter_options={"int64": {"ndv": 100}, "text": {"ndv": 100}})
    write("zero_rows", FLAT.slice(0, 0))
    write("zero_rows_nested", NESTED.slice(0, 0))
    with pq.ParquetWriter(path("pyarrow_empty_row_groups"), FLAT.schema) as w:
        for lo, n in [(0, 0), (0, 5), (5, 0), (5, 3)]:
            w.write_table(FLAT.slice(lo, n))
    expect("pyarrow_empty_row_groups")
    write("all_null", pa.table({f.name: pa.nulls(20, f.type) for f in FLAT.schema if f.name not in ("required", "dictionary")}))
    write("names", pa.table([[1, 2], ["a", None], [[1], None], [{"x.y": 1, "": 2}, None], [True, False]],
                            names=["a.b", "", "ключ", "list.element", "a b\n\"c\""]))


def encodings():
    fallback = pa.table({"text": [f"{i:0100d}" for i in range(3000)], "n": [i % 1000 for i in range(3000)]})
    for version in ["1.0", "2.0"]:
        name = "dictionary_fallback" + ("" if version == "1.0" else "_v2")
        write(name, fallback, dictionary_pagesize_limit=20_000, data_page_size=10_000, write_batch_size=100, data_page_version=version)
    gaps = pa.table({"text": [None if i % 5 == 0 else f"{i % 700:050d}" for i in range(2000)],
                     "n": pa.array([None if (i // 50) % 3 == 0 else i % 400 for i in range(2000)], pa.int64())})
    write("dictionary_fallback_nulls", gaps, dictionary_pagesize_limit=5_000, data_page_size=2_000, write_batch_size=100)
    plain = FLAT.select(["int32", "int64", "float", "double", "text", "binary", "fixed", "ts_us_utc", "required"])
    for version in ["1.0", "2.0"]:
        write("delta" + ("" if version == "2.0" else "_v1"), plain, use_dictionary=False, data_page_version=version, column_encoding={
            "int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED", "ts_us_utc": "DELTA_BINARY_PACKED", "required": "DELTA_BINARY_PACKED",
            "text": "DELTA_BYTE_ARRAY", "binary": "DELTA_LENGTH_BYTE_ARRAY", "float": "BYTE_STREAM_SPLIT", "double": "BYTE_STREAM_SPLIT",
            "fixed": "DELTA_BYTE_ARRAY"})
    whole = extremes().select(["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "date", "ts_us", "ts_ns"])
    write("delta_extremes", whole, use_dictionary=False, column_encoding={n: "DELTA_BINARY_PACKED" for n in whole.column_names})
    shared = pa.table({"url": [f"https://example.com/{'abc' * (i % 9)}/{i // 10}" for i in range(N)],
                       "large": every(lambda i: "x" * (i % 40) + str(i), pa.large_string()),
                       "dec": every(lambda i: i * 1000, pa.decimal128(30, 4)), "half": FLAT["half"]})
    write("delta_byte_array", shared, use_dictionary=False, column_encoding={
        "url": "DELTA_BYTE_ARRAY", "large": "DELTA_BYTE_ARRAY", "dec": "DELTA_BYTE_ARRAY", "half": "DELTA_BYTE_ARRAY"})
    write("delta_length", shared.select(["url", "large"]), use_dictionary=False, column_encoding={
        "url": "DELTA_LENGTH_BYTE_ARRAY", "large": "DELTA_LENGTH_BYTE_ARRAY"})
    split = FLAT.select(["int8", "uint16", "int32", "int64", "uint64", "float", "double", "half", "date", "ts_us_utc", "dec9", "dec38", "fixed", "required"])
    write("byte_stream_split", split, use_dictionary=False, use_byte_stream_split=True, compression="zstd")
    noise = pa.table({"double": RANDOM.random(1500), "float": RANDOM.random(1500).astype("f4"), "int64": RANDOM.integers(0, 2**60, 1500),
                      "int32": RANDOM.integers(0, 2**30, 1500).astype("i4")})
    write("byte_stream_split_noise", noise, use_dictionary=False, use_byte_stream_split=True, data_page_version="2.0")
    no_nulls = pa.table({"k": list(range(N)), "b": [i % 5 == 0 for i in range(N)], "s": [f"s{i}" for i in range(N)]})
    write("bool_rle", no_nulls, data_page_version="2.0", column_encoding={"b": "RLE"}, use_dictionary=False)
    bits = pa.table({f"delta_{b}": RANDOM.integers(0, 2**b, 1000, dtype=np.uint64, endpoint=True).view("i8") for b in (1, 3, 8, 17, 31, 33, 47, 62)})
    write("delta_widths", bits, use_dictionary=False, column_encoding={n: "DELTA_BINARY_PACKED" for n in bits.column_names})
    indexes = pa.table({f"of_{n}": RANDOM.integers(0, n, 3000) for n in (1, 2, 3, 5, 17, 200, 300, 1500)} | {
        "sorted": np.sort(RANDOM.integers(0, 300, 3000)), "texts": [f"t{i}" for i in RANDOM.integers(0, 70, 3000)]})
    write("dictionary_widths", indexes, data_page_size=2000)


def types():
    write("times", times())
    write("times_no_schema", times(), store_schema=False)
    write("times_coerced", times().drop([f"ts_ns{s}" for s in ("", "_utc", "_zone", "_offset")]), coerce_timestamps="ms", allow_truncated_timestamps=True)
    write("int96", FLAT.select(["ts_ms", "ts_us_utc", "required"]), use_deprecated_int96_timestamps=True)
    write("int96_all", times().select([n for n in times().column_names if n.startswith("ts_")]), use_deprecated_int96_timestamps=True, use_dictionary=False)
    widths = [(1, 0), (4, 2), (9, 0), (9, 9), (10, 1), (18, 4), (19, 0), (28, 14), (38, 38)]
    write("decimals", decimals(pa.decimal128, widths))
    write("decimals_as_integers", decimals(pa.decimal128, widths), store_decimal_as_integer=True)
    write("decimals_256", decimals(pa.decimal256, [(5, 1), (20, 3), (39, 5), (76, 30)]))
    write("decimals_narrow", pa.table({"dec32": decimals(pa.decimal32, [(9, 2)]).column(0), "dec64": decimals(pa.decimal64, [(18, 2)]).column(0),
                                       "zone": times()["ts_ms_zone"]}))
    write("dictionaries", pa.table({
        "text": every(lambda i: "xyz"[i % 3], pa.string()).dictionary_encode(), "large": every(lambda i: "xyz"[i % 3], pa.large_string()).dictionary_encode(),
        "int": every(lambda i: i % 5, pa.int64()).dictionary_encode(), "small": every(lambda i: i % 5, pa.int8()).dictionary_encode(),
        "time": every(lambda i: i % 5, pa.timestamp("us", "UTC")).dictionary_encode(), "binary": every(lambda i: bytes([i % 5]), pa.binary()).dictionary_encode(),
        "decimal": every(lambda i: i % 5, pa.decimal128(9, 1)).dictionary_encode(), "fixed": every(lambda i: bytes([i % 5]), pa.binary(1)).dictionary_encode(),
        "ordered": pa.DictionaryArray.from_arrays(every(lambda i: i % 2, pa.int8()), ["a", "b"], ordered=True),
        "in_list": pa.ListArray.from_arrays(list(range(N + 1)), every(lambda i: "xyz"[i % 3], pa.string()).dictionary_encode()),
        "zone": times()["ts_us_zone"],
    }))
    write("views", pa.table({
        "text": every(lambda i: "x" * (i % 30), pa.string_view()), "binary": every(lambda i: b"x" * (i % 30), pa.binary_view()),
        "list": every(lambda i: ["a" * i] * (i % 3), pa.list_(pa.string_view())), "list_view": every(lambda i: [i] * (i % 3), pa.list_view(pa.int32())),
        "large_list_view": every(lambda i: [i] * (i % 3), pa.large_list_view(pa.int32())), "zone": times()["ts_us_zone"], "large": FLAT["large_text"],
    }))
    write("extensions", pa.table({
        "uuid": every(lambda i: i.to_bytes(16, "big"), pa.uuid()), "json": every(lambda i: '{"i": %d}' % i, pa.json_()), "bool8": every(lambda i: i % 2, pa.bool8()),
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(4.0 * N).reshape(N, 2, 2)), "zone": times()["ts_us_zone"],
    }))
    write("compliant_off", NESTED, use_compliant_nested_type=False)
    write("large_binary", pa.table({"b": every(lambda i: b"x" * i, pa.large_binary()), "l": every(lambda i: [b"y"] * (i % 3), pa.large_list(pa.large_binary()))}))
    required = pa.schema([pa.field("s", pa.struct([pa.field("a", pa.int64(), False), pa.field("b", pa.struct([pa.field("c", pa.string(), False)]), False)]), False),
                          pa.field("l", pa.list_(pa.field("element", pa.struct([pa.field("x", pa.int8(), False)]), False)), False)])
    write("required_nested", pa.table([[{"a": i, "b": {"c": str(i)}} for i in range(50)], [[{"x": j} for j in range(i % 4)] for i in range(50)]], schema=required))


def main():
    pages()
    encodings()
    types()
