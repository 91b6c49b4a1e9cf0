"""Kinds of columns for random catalogs: small pools of values, chosen so that things collide, and the types that may hold them."""

import datetime
import decimal

import pyarrow as pa

import oracle

D = decimal.Decimal
UNITS = ("s", "ms", "us", "ns")
HOUR = 3600 * 10**9
BASE = 1_704_067_200 * 10**9  # 2024-01-01
EXTREMES = (-2**63, -2**63 + 1, 2**63 - 1, 2**63 - 2, 0)
ZONES = (None, None, "UTC", "Europe/Berlin", "+05:30")

TEXT = (pa.string(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string()))
INTS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
STAMPS = tuple(pa.timestamp(u, z) for u in UNITS for z in (None, "UTC"))

# Kinds of join keys: (values, types that sources use, types that entity rows use). Every type holds every value.
KEYS = {
    "int": (range(5), INTS, INTS + (pa.float64(), pa.float32())),
    "negative": ((-1, -2, 0, 1), INTS[:4], INTS[:4] + (pa.float64(),)),
    "large": ((2**53, 2**53 + 1, 2**63 - 1, 1), (pa.int64(), pa.uint64()), (pa.int64(), pa.uint64())),
    "text": (("", "a", "A", "ä", "aa", "a\0"), TEXT, TEXT),
    "binary": ((b"", b"a", b"\0", b"\xff"), (pa.binary(), pa.large_binary()), (pa.binary(), pa.large_binary())),
    "bool": ((True, False), (pa.bool_(),), (pa.bool_(),)),
    "date": (tuple(datetime.date(2024, 1, d) for d in (1, 2, 3)), (pa.date32(), pa.date64()), (pa.date32(), pa.date64()) + STAMPS),
    "instant": (tuple(datetime.datetime(2024, 1, 1, h) for h in (0, 1, 2)), STAMPS, STAMPS),
    "decimal": ((D("1.00"), D("2.00"), D("1.50")), (pa.decimal128(5, 2), pa.decimal128(20, 4)), (pa.decimal128(9, 3), pa.decimal128(5, 2))),
    "whole_decimal": ((D(1), D(2), D(30)), (pa.decimal128(6, 2), pa.int32()), (pa.int16(), pa.decimal128(9, 0), pa.decimal128(12, 5))),
    "float": ((0.0, 0.5, 1.0, 2.0), (pa.float64(), pa.float32()), (pa.float64(), pa.float32())),
    "whole_float": ((0.0, 1.0, 2.0), (pa.float64(), pa.float32(), pa.int32()), (pa.int64(), pa.uint8(), pa.float32(), pa.float64())),
}

INF, NAN = float("inf"), float("nan")

# Kinds of features and labels: (type, values).
VALUES = [
    (pa.int8(), (-128, 0, 127)), (pa.int16(), (-5, 7)), (pa.int32(), (1, -2**31)), (pa.int64(), (2**63 - 1, -2**63, 3)),
    (pa.uint8(), (0, 255)), (pa.uint16(), (1, 65535)), (pa.uint32(), (2**32 - 1, 4)), (pa.uint64(), (2**64 - 1, 5)),
    (pa.float32(), (0.5, -0.0, INF, NAN)), (pa.float64(), (0.1, -0.0, -INF, NAN, 1e300)), (pa.float64(), (1.5, 2.5)),
    (pa.bool_(), (True, False)),
    (pa.string(), ("", "x", "größer", "long " * 20)), (pa.string(), ("a", "b")), (pa.large_string(), ("l", "")),
    (pa.dictionary(pa.int32(), pa.string()), ("red", "green", "")),
    (pa.binary(), (b"", b"\0\xff", b"bytes")), (pa.binary(4), (b"abcd", b"\0\0\0\0")),
    (pa.date32(), (datetime.date(1969, 12, 31), datetime.date(2024, 2, 29))), (pa.date64(), (datetime.date(2024, 2, 29),)),
    (pa.timestamp("ms"), (datetime.datetime(2024, 1, 1, 1, 1, 1),)), (pa.timestamp("us", "UTC"), (datetime.datetime(1960, 1, 1),)),
    (pa.timestamp("ns"), (datetime.datetime(2024, 1, 1),)),
    (pa.time32("ms"), (datetime.time(1, 2, 3),)), (pa.time64("us"), (datetime.time(23, 59, 59, 999999),)),
    (pa.decimal128(5, 2), (D("-1.25"), D("999.99"))), (pa.decimal128(38, 10), (D("12345678901234567890.0000000001"),)),
    (pa.list_(pa.int64()), ([], [1, None, 3], [4])), (pa.list_(pa.string()), (["a", "", None], [])),
    (pa.list_(pa.list_(pa.float32())), ([[1.5], [], None], [])),
    (pa.struct([("a", pa.int32()), ("b", pa.string())]), ({"a": 1, "b": None}, {"a": None, "b": "s"})),
    (pa.map_(pa.string(), pa.int32()), ([("k", 1), ("l", None)], [])),
    (pa.list_(pa.struct([("x", pa.float64()), ("y", pa.list_(pa.int8()))])), ([{"x": 1.5, "y": [1, 2]}, None], [])),
    (pa.list_(pa.float32(), 2), ([1.0, 2.0], [3.5, -0.5])), (pa.large_list(pa.int16()), ([1, 2], [])),
]
LABELS = VALUES + [(pa.null(), (None,)), (pa.duration("us"), (datetime.timedelta(seconds=1),)), (pa.time64("ns"), (datetime.time(1),))]


def array(rng, type, values, rows, nulls):
    """rows random values, each null with the probability nulls."""
    if pa.types.is_timestamp(type):
        values = [datetime.datetime(v.year, v.month, v.day) if isinstance(v, datetime.date) and not isinstance(v, datetime.datetime)
                  else v for v in values]
    values = tuple(values)
    drawn = [None if rng.random() < nulls else rng.choice(values) for _ in range(rows)]
    if pa.types.is_dictionary(type):
        return pa.array(drawn, type.value_type).dictionary_encode().cast(type)
    return pa.array(drawn, type)


def instants(rng, unit, rows, nulls, extremes=0.0):
    """rows times in a unit as integers: few hours, many ties, now and then one tick beside, now and then the ends of int64."""
    per_hour = HOUR // oracle.NANOS[unit]
    base = BASE // oracle.NANOS[unit]
    out = []
    for _ in range(rows):
        if rng.random() < nulls:
            out.append(None)
        elif rng.random() < extremes:
            out.append(rng.choice(EXTREMES))
        else:
            out.append(base + rng.randrange(8) * per_hour + rng.choice((0, 0, 0, 1, -1)))
    return out


def times(rng, type, rows, nulls, extremes=0.0):
    """A time column: timestamps, dates."""
    if pa.types.is_date(type):
        return array(rng, type, (datetime.date(2023, 12, 31), datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)), rows, nulls)
    return pa.array(instants(rng, type.unit, rows, nulls, extremes), pa.int64()).cast(type)


def text_times(rng, rows, nulls):
    """Times as ISO 8601 in several spellings."""
    out = []
    for ns in instants(rng, "ns", rows, nulls):
        if ns is None:
            out.append(None)
            continue
        shift, zone = rng.choice(((0, ""), (0, "Z"), (3600, "+01:00"), (-1800, "-00:30")))
        moment = oracle.EPOCH + datetime.timedelta(seconds=ns // 10**9 + shift)
        fraction = f"{ns % 10**9:09d}"
        fraction = "." + fraction if ns % 10**9 else rng.choice(("", ".0", ".000000"))
        out.append(moment.strftime("%Y-%m-%d") + rng.choice("T ") + moment.strftime("%H:%M:%S") + fraction + zone)
    return out
