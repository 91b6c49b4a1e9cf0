"""The tables that the fixtures are made of."""

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa

N = 120


def every(values, t):
    """N values, every seventh null."""
    return pa.array([None if i % 7 == 3 else values(i) for i in range(N)], t)


FLAT = pa.table({
    "bool": every(lambda i: i % 3 == 0, pa.bool_()),
    "int8": every(lambda i: i % 256 - 128, pa.int8()),
    "int16": every(lambda i: i * 100 - 15000, pa.int16()),
    "int32": every(lambda i: i * 10**7 - 10**9, pa.int32()),
    "int64": every(lambda i: (i - 60) * 10**16, pa.int64()),
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
    "dec9": every(lambda i: decimal.Decimal(i - 60).scaleb(-2), pa.decimal128(9, 2)),
    "dec18": every(lambda i: decimal.Decimal((i - 60) * 10**12).scaleb(-4), pa.decimal128(18, 4)),
    "dec38": every(lambda i: decimal.Decimal((i - 60) * 10**30).scaleb(-10), pa.decimal128(38, 10)),
    "dec60": every(lambda i: decimal.Decimal((i - 60) * 10**50).scaleb(-10), pa.decimal256(60, 10)),
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

# Columns that no codec makes smaller: writers leave their pages as they are, or larger.
RANDOM = np.random.default_rng(42)
NOISE = pa.table({
    "key": RANDOM.integers(-2**62, 2**62, N),
    "gaps": pa.array(RANDOM.integers(-2**62, 2**62, N), mask=RANDOM.random(N) < 0.3),
    "text": [RANDOM.bytes(16).hex()[: 3 + i % 29] for i in range(N)],
    "binary": [RANDOM.bytes(20) for _ in range(N)],
    "bool": RANDOM.random(N) < 0.5,
})

# Booleans in runs of many lengths, with and without nulls.
BOOLS = pa.table({f"runs_{n}": [(i // n) % 2 == 0 for i in range(N)] for n in (3, 9, 13, 64, 100)} | {
    "all": [True] * N, "none": [False] * N,
    "gaps": [None if i % 11 == 5 else (i // 13) % 2 == 0 for i in range(N)],
    "gaps_in_runs": [None if (i // 20) % 3 == 1 else i % 50 < 30 for i in range(N)],
    "random": RANDOM.random(N) < 0.3,
})


def times():
    columns = {}
    for unit in ("s", "ms", "us", "ns"):
        scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
        for name, zone in (("", None), ("_utc", "UTC"), ("_zone", "America/New_York"), ("_offset", "+05:30")):
            columns[f"ts_{unit}{name}"] = every(lambda i: (i * 10**7 - 10**9) * scale + (i if scale > 1 else 0), pa.timestamp(unit, zone))
        columns[f"duration_{unit}"] = every(lambda i: (i - 100) * 1001, pa.duration(unit))
    columns |= {
        "time_s": every(lambda i: i * 7, pa.time32("s")), "time_ms": every(lambda i: i * 7001, pa.time32("ms")),
        "time_us": every(lambda i: i * 7000001, pa.time64("us")), "time_ns": every(lambda i: i * 7000000001, pa.time64("ns")),
        "date32": every(lambda i: i * 100 - 9000, pa.date32()), "date64": every(lambda i: (i * 100 - 9000) * 86_400_000, pa.date64()),
    }
    return pa.table(columns)


def decimals(make, widths):
    number = lambda i, p: decimal.Decimal((i - 60) * (10 ** (p - 1) // 160) * 10 + (i * i) % 10)
    decimal.getcontext().prec = 90
    return pa.table({f"dec{p}_{s}": every(lambda i: number(i, p).scaleb(-s), make(p, s)) for p, s in widths})


def extremes():
    """The least and greatest values, infinities, NaN, zeros of both signs."""
    def ints(bits, signed):
        lo, hi = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return [lo, hi, 0, None, 1, lo, hi, lo + 1, hi - 1, None]
    floats = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, None, 1e-45, 3.4e38, 1.0, -1.0]
    return pa.table({
        **{f"int{b}": pa.array(ints(b, True), getattr(pa, f"int{b}")()) for b in (8, 16, 32, 64)},
        **{f"uint{b}": pa.array(ints(b, False), getattr(pa, f"uint{b}")()) for b in (8, 16, 32, 64)},
        "float": pa.array(floats, pa.float32()), "double": pa.array(floats, pa.float64()),
        "half": pa.array([None if f is None else np.float16(f) for f in floats[:6] + floats[8:] + [None, np.float16(65504)]], pa.float16()),
        "date": pa.array(ints(32, True), pa.date32()), "ts_us": pa.array(ints(64, True), pa.timestamp("us")),
        "ts_ns": pa.array(ints(64, True), pa.timestamp("ns", "UTC")),
        "text": ["", None, "\0", "é" * 300, "𝄞", "a" * 5000, "", None, " ", "\u007f"],
        "binary": pa.array([b"", None, b"\0", b"\xff" * 3000, b"\xc3", b"a", b"", None, b" ", b"\x80"], pa.binary()),
    })


def rich():
    """Nested columns with what is rare: required fields, empty everything, structs of lists of structs, maps of maps."""
    required = pa.field("element", pa.int32(), nullable=False)
    point = pa.struct([pa.field("x", pa.float64(), nullable=False), pa.field("tags", pa.list_(pa.string()))])
    return pa.table({
        "required_list": pa.array([[i, i + 1][: i % 3] for i in range(N)], pa.list_(required)),
        "points": every(lambda i: [{"x": float(j), "tags": None if j == 1 else ["t", None, ""][:j]} for j in range(i % 4)], pa.list_(point)),
        "struct_of_lists": every(lambda i: {"a": list(range(i % 3)), "b": None if i % 2 else [[i], None, []], "c": {"d": [str(i)] * (i % 2)}},
                                 pa.struct([("a", pa.list_(pa.int16())), ("b", pa.list_(pa.list_(pa.uint32()))),
                                            ("c", pa.struct([("d", pa.large_list(pa.large_string()))]))])),
        "map_of_maps": every(lambda i: [(j, [(f"{j}", i / 2), ("n", None)][: j + 1]) for j in range(i % 3)],
                             pa.map_(pa.int64(), pa.map_(pa.string(), pa.float64()))),
        "map_of_structs": every(lambda i: [(f"k{j}", {"v": j, "l": [True, None, False][: j % 4]}) for j in range(i % 5)],
                                pa.map_(pa.string(), pa.struct([("v", pa.int8()), ("l", pa.list_(pa.bool_()))]))),
        "fixed_with_nulls": every(lambda i: [i, None], pa.list_(pa.int64(), 2)),
        "fixed_of_text": every(lambda i: [str(i), None, "x"], pa.list_(pa.string(), 3)),
        "fixed_of_fixed": every(lambda i: [[i, 1], None if i % 2 else [2, None]], pa.list_(pa.list_(pa.int32(), 2), 2)),
        "list_of_fixed": every(lambda i: [[i, 1], None][: i % 3], pa.list_(pa.list_(pa.int32(), 2))),
        "all_null": pa.array([None] * N, pa.list_(pa.string())),
        "all_empty": pa.array([[]] * N, pa.list_(pa.int64())),
        "nulls_in_lists": pa.array([[None] * (i % 3) for i in range(N)], pa.list_(pa.float64())),
        "nothing_in_lists": pa.array([[None] * (i % 3) for i in range(N)], pa.list_(pa.null())),
        "null_struct": pa.array([None] * N, pa.struct([("a", pa.int32())])),
        "decimals": every(lambda i: [decimal.Decimal(i).scaleb(-2), None], pa.list_(pa.decimal128(20, 2))),
        "times": every(lambda i: {"t": i * 10**6, "z": i * 10**9, "d": i}, pa.struct(
            [("t", pa.timestamp("us", "Asia/Tokyo")), ("z", pa.timestamp("ns")), ("d", pa.duration("ms"))])),
        "wide_list": pa.array([list(range(1000)) if i == 70 else [] for i in range(N)], pa.list_(pa.int64())),
    })
