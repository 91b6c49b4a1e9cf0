"""Entity rows of every shape come back as they came (P33), however they are cut into batches, by every way in."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sample
import wire
from sample import ENTITIES, historical
from server import batches, command, descriptor, exchange, exchange_table, get, inline, ipc_bytes, stage

ROWS = 6


def dictionary(*values, index=pa.int8(), value=None):
    return pa.array(values, value).dictionary_encode().cast(pa.dictionary(index, value or pa.string()))


DECIMAL = pa.array([1, None, -3, 4, 5, 6], pa.decimal128(38, 4))
STRUCT = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])

COLUMNS = {
    "null": pa.nulls(ROWS),
    "bool": pa.array([True, None, False, True, False, True]),
    "uint64": pa.array([0, 2**64 - 1, None, 1, 2, 3], pa.uint64()),
    "float16": pa.array([1.5, None, -2, 0, 1, 2], pa.float64()).cast(pa.float16()),
    "nan": pa.array([float("nan"), -0.0, None, float("inf"), 1, 2]),
    "decimal128": DECIMAL,
    "decimal256": DECIMAL.cast(pa.decimal256(70, 4)),
    "date32": pa.array([0, 1, None, -1, 4, 5], pa.date32()),
    "date64": pa.array([0, 86_400_000, None, 0, 0, 0], pa.date64()),
    "time32": pa.array([1, None, 3, 4, 5, 6], pa.time32("ms")),
    "time64": pa.array([1, None, 3, 4, 5, 6], pa.time64("ns")),
    "seconds": pa.array([1, None, 3, 4, 5, 6], pa.timestamp("s", "Europe/Paris")),
    "duration": pa.array([1, None, 3, 4, 5, 6], pa.duration("us")),
    "interval": pa.array([(1, 2, 3), None, (4, 5, 6), (0, 0, 0), (7, 8, 9), (1, 1, 1)], pa.month_day_nano_interval()),
    "text": pa.array(["", "größer", None, "x" * 100, "d", "e"]),
    "large text": pa.array(["", "größer", None, "x", "d", "e"], pa.large_string()),
    "binary": pa.array([b"", b"\xff\x00", None, b"c", b"d", b"e"], pa.binary()),
    "fixed binary": pa.array([b"abc", None, b"def", b"\0\0\0", b"ghi", b"jkl"], pa.binary(3)),
    "list": pa.array([[1, None], None, [], [3], [4, 5, 6], [7]]),
    "large list": pa.array([["a"], None, [], [None], ["b", "c"], ["d"]], pa.large_list(pa.string())),
    "fixed list": pa.array([[1, 2], None, [3, None], [4, 5], [6, 7], [8, 9]], pa.list_(pa.int16(), 2)),
    "struct": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}, {"a": 2, "b": None}, {"a": 3, "b": ["y", None]}, {"a": 4, "b": ["z"]}], STRUCT),
    "map": pa.array([[("a", 1)], None, [], [("b", None), ("c", 3)], [("d", 4)], [("e", 5)]], pa.map_(pa.string(), pa.int64())),
    "dictionary": dictionary("a", None, "b", "a", "c", "b"),
    "wide dictionary": dictionary("a", None, "b", "a", "c", "b", index=pa.uint32()),
    "dictionary of numbers": dictionary(7, None, 8, 7, 9, 8, value=pa.int64()),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2, 0, 1], pa.int8()), ["low", "mid", "high"], ordered=True),
    "list of dictionary": pa.ListArray.from_arrays([0, 1, 3, 3, 4, 5, 6], dictionary("a", "b", "a", None, "c", "b")),
    "struct of dictionary": pa.StructArray.from_arrays([dictionary("a", None, "b", "a", "c", "b"), pa.array(range(ROWS))], ["d", "n"]),
    "dictionary of lists": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1, 0, 1], pa.int8()), pa.array([["x"], ["y", "z"]])),
    "sparse union": pa.UnionArray.from_sparse(pa.array([0, 1, 0, 1, 1, 0], pa.int8()), [pa.array(range(ROWS)), pa.array(list("abcdef"))]),
    "dense union": pa.UnionArray.from_dense(pa.array([0, 1, 0, 1, 1, 0], pa.int8()), pa.array([0, 0, 1, 1, 2, 2], pa.int32()),
                                            [pa.array([1, 2, 3]), pa.array(list("xyz"))]),
    "struct of union": pa.StructArray.from_arrays([pa.UnionArray.from_sparse(pa.array([0, 1, 0, 1, 1, 0], pa.int8()), [pa.array(range(ROWS)), pa.array(list("abcdef"))]),
                                                   pa.UnionArray.from_dense(pa.array([0, 1, 0, 1, 1, 0], pa.int8()), pa.array([0, 0, 1, 1, 2, 2], pa.int32()),
                                                                            [pa.array([1, 2, 3]), pa.array(list("xyz"))])], ["s", "d"]),
    "list of union": pa.ListArray.from_arrays([0, 1, 1, 3, 4, 5, 6], pa.UnionArray.from_dense(pa.array([0, 1, 0, 1, 1, 0], pa.int8()), pa.array([0, 0, 1, 1, 2, 2], pa.int32()),
                                                                                              [pa.array([1, 2, 3]), pa.array(list("xyz"))])),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes([i] * 16) for i in range(ROWS)], pa.binary(16))),
    "tensor": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[i, i] for i in range(ROWS)], pa.list_(pa.int32(), 2))),
}


def with_column(array, times=1):
    keys = {name: pa.concat_arrays([ENTITIES.column(name).combine_chunks()] * times) for name in ENTITIES.schema.names}
    return pa.table({**keys, "shape": array if times == 1 else pa.concat_arrays([array] * times)})


def returned(answer, entities):
    """The answer's entity columns; the feature column is what it has to be."""
    assert answer.schema.names == entities.schema.names + ["conv_rate"]
    assert answer.column("conv_rate").to_pylist() == (sample.CONV_RATE * (len(entities) // ROWS + 1))[:len(entities)]
    return answer.select(entities.schema.names)


def same(got, want):
    assert got.schema.equals(want.schema), (got.schema, want.schema)
    for name in want.schema.names:  # NaN equals nothing, not even itself
        assert got.column(name).equals(want.column(name)) or repr(got.column(name).to_pylist()) == repr(want.column(name).to_pylist()), name
    got.validate(full=True)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type(client, name):
    entities = with_column(COLUMNS[name])
    ask = lambda **more: historical("driver_stats:conv_rate", **more)
    for rows in (None, 1, 4):
        same(returned(exchange_table(client, ask(), entities, rows), entities), entities)
        same(returned(get(client, ask(entity_rows=inline(entities, rows))), entities), entities)
        staged = stage(client, entities, rows)["entity_rows_id"]
        same(returned(get(client, ask(entity_rows_id=staged)), entities), entities)
        shares = [get(client, ask(entity_rows_id=staged, part=[i, 4])) for i in range(4)]
        same(returned(pa.concat_tables(shares), entities), entities)


@pytest.mark.parametrize("name", [n for n in COLUMNS if n != "null"])
def test_every_type_in_many_rows(client, name):
    """More rows than a batch holds: the columns are cut."""
    entities = with_column(COLUMNS[name], 12_000)
    schema, chunks = exchange(client, historical("driver_stats:conv_rate"), entities, 70_001)
    assert len(chunks) > 1 and all(len(b) <= 65_536 for b, _ in chunks)
    same(returned(pa.Table.from_batches([b for b, _ in chunks], schema), entities), entities)


@pytest.mark.parametrize("array, cast", [
    (pa.array(["a"] * ROWS, pa.string_view()), "string"), (pa.array([b"a"] * ROWS, pa.binary_view()), "binary"),
    (pa.array([[1]] * ROWS, pa.list_view(pa.int64())), "list"),
    (pa.RunEndEncodedArray.from_arrays(pa.array([ROWS], pa.int32()), pa.array([1])), "decode")])
def test_types_that_cannot_be_read(world, array, cast):
    """UNIMPLEMENTED, with the column's name and what to do."""
    messages = wire.flight_messages(ipc_bytes(with_column(array)))
    first = wire.flight_data(*messages[0], descriptor=wire.command(command(historical("driver_stats:conv_rate"))))
    code, message, _ = wire.call(world.address, "DoExchange", first, *(wire.flight_data(*m) for m in messages[1:]))
    assert code.name == "UNIMPLEMENTED" and "shape" in message and cast in message, (code, message)


# ---- dictionaries that change from batch to batch ----

def dictionary_batches(parts):
    """A batch for each list of values, each with a dictionary of its own."""
    out = []
    for values in parts:
        array = pa.array(values).dictionary_encode()
        entities = ENTITIES.slice(0, len(values)).combine_chunks().to_batches()[0]
        out.append(pa.RecordBatch.from_arrays([*entities.columns, array], names=ENTITIES.schema.names + ["shape"]))
    return out


def exchanged(client, parts, options):
    writer, reader = client.do_exchange(descriptor(historical("driver_stats:conv_rate")))
    with writer:
        writer.begin(parts[0].schema, options=options)
        for batch in parts:
            writer.write_batch(batch)
        writer.done_writing()
        return reader.read_all()


@pytest.mark.parametrize("deltas", [False, True])
def test_dictionaries_that_change(client, deltas):
    parts = dictionary_batches([["a", "b", "a"], ["a", "b", "c", "c"], ["a", "b", "c", "d", None, "d"], ["a", "b"]])
    if not deltas:
        parts += dictionary_batches([["x", "y", "x"], ["b", "a"]])
    answer = exchanged(client, parts, pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas))
    assert answer.column("shape").to_pylist() == [v for p in parts for v in p.column("shape").to_pylist()]
    assert answer.schema.field("shape").type == parts[0].schema.field("shape").type
    answer.validate(full=True)


def test_a_dictionary_in_many_small_batches_and_a_large_dictionary(client):
    """The dictionary is sent once: it neither cuts the batches nor keeps them apart."""
    rows = 100_000
    cities = pa.array([f"{i:>60}" for i in range(rows)]).dictionary_encode()  # 6 MB
    entities = pa.table({"driver_id": pa.array([1] * rows), "event_timestamp": pa.array([sample.at(12)] * rows, pa.timestamp("us")), "city": cities})
    for batch_rows in (100, 50_000):
        schema, chunks = exchange(client, historical("driver_stats:conv_rate"), entities, batch_rows)
        assert len(chunks) <= 4, f"{len(chunks)} batches for {rows} narrow rows that came {batch_rows} at a time"
        answer = pa.Table.from_batches([b for b, _ in chunks], schema)
        assert answer.column("city").cast(pa.string()).equals(entities.column("city").cast(pa.string()))


# ---- batch sizes ----

@pytest.mark.parametrize("kind", ["text", "list", "struct", "sparse union", "dense union", "dictionary of text"])
def test_wide_rows_are_cut(client, kind):
    """Never above 4 MiB unless one row is."""
    n, wide = 60, ["x" * 300_000] * 60  # 18 MB
    array = {
        "text": pa.array(wide), "list": pa.array([[w, None] for w in wide]), "struct": pa.array([{"a": w} for w in wide]),
        "sparse union": pa.UnionArray.from_sparse(pa.array([0, 1] * 30, pa.int8()), [pa.array(wide), pa.array(range(n))]),
        "dense union": pa.UnionArray.from_dense(pa.array([0, 1] * 30, pa.int8()), pa.array([i // 2 for i in range(n)], pa.int32()),
                                                [pa.array(wide[:30]), pa.array(range(30))]),
        "dictionary of text": pa.array([w[i:] for i, w in enumerate(wide)]).dictionary_encode(),
    }[kind]
    entities = pa.table({"driver_id": pa.array([1] * n), "event_timestamp": pa.array([sample.at(12)] * n, pa.timestamp("us")), "shape": array})
    schema, chunks = exchange(client, historical("driver_stats:conv_rate"), entities)
    if kind.startswith("dictionary"):
        assert len(chunks) == 1
    else:
        assert len(chunks) >= 3, f"{len(chunks)} batches for {entities.nbytes} bytes"
    answer = pa.Table.from_batches([b for b, _ in chunks], schema)
    same(answer.select(entities.schema.names), entities)


def test_batches_on_the_wire(world):
    """What is sent is measured where nobody has put it together again."""
    rows = 200_000
    entities = pa.table({"driver_id": pa.array([1] * rows), "event_timestamp": pa.array([sample.at(12)] * rows, pa.timestamp("us")),
                         "text": [f"{i:>40}" for i in range(rows)]})
    for batch_rows in (1000, 65_536, rows):
        messages = wire.flight_messages(ipc_bytes(entities, batch_rows))
        first = wire.flight_data(*messages[0], descriptor=wire.command(command(historical("driver_stats:conv_rate"))))
        code, _, answer = wire.call(world.address, "DoExchange", first, *(wire.flight_data(*m) for m in messages[1:]))
        sizes = [len(m) for m in answer[1:]]
        assert code.name == "OK" and max(sizes) < 4 << 20
        assert min(sizes[:-1]) > 1 << 20, f"batches of {sizes} bytes for entity rows that came {batch_rows} at a time"


def test_small_row_groups_make_no_small_batches(serve, tmp_path):
    rows = 100_000
    table = pa.table({"k": range(rows), "event_timestamp": pa.array(range(rows), pa.int64()).cast(pa.timestamp("us")), "v": [float(i) for i in range(rows)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=500)
    s = serve(tmp_path, {"stores": {"main": {"type": "file", "root": str(tmp_path)}},
                         "feature_views": {"t": {"store": "main", "source": "t.parquet", "keys": ["k"], "timestamp": "event_timestamp"}}})
    with s.client() as client:
        chunks = [b for b, _ in batches(client, {"all": {"view": "t"}})]
        assert len(chunks) <= 5, f"{len(chunks)} batches for {rows} narrow rows"
        assert pa.Table.from_batches(chunks).select(["k", "v"]).equals(table.select(["k", "v"]))


# ---- pandas ----

@pytest.mark.parametrize("index, kept", [
    (None, []), (pd.Index([5, 4, 3, 2, 1, 0]), []), (pd.Index(list("abcdef"), name="row"), ["row"]),
    (pd.MultiIndex.from_arrays([range(ROWS), list("abcdef")]), []), (pd.MultiIndex.from_arrays([[3, 1, 4, 1, 5, 9], list("abcdef")], names=["i", "j"]), ["i", "j"])])
def test_pandas_indexes(client, index, kept):
    """A named index comes back as an ordinary column, an unnamed one does not; pandas' metadata never."""
    frame = ENTITIES.to_pandas()
    if index is not None:
        frame.index = index
    table = pa.Table.from_pandas(frame)
    answer = exchange_table(client, historical("driver_stats:conv_rate"), table)
    assert answer.schema.names == ENTITIES.schema.names + kept + ["conv_rate"]
    assert answer.schema.metadata is None
    for name in kept:
        assert answer.column(name).equals(table.column(name))


# ---- messages that are not data ----

def test_messages_without_data(world):
    """Metadata alone, empty messages, the descriptor once more: all are passed over, wherever they stand."""
    say = wire.command(command(historical("driver_stats:conv_rate")))
    schema, *data = [wire.flight_data(*m) for m in wire.flight_messages(ipc_bytes(ENTITIES, 2))]
    first = wire.flight_data(descriptor=say)
    meta, empty, again = wire.flight_data(metadata=b"x" * 1000), b"", wire.flight_data(descriptor=say)
    plain = wire.call(world.address, "DoExchange", first, schema, *data)
    assert plain[0].name == "OK"
    for messages in ([first, meta, schema, *data], [first, schema, meta, empty, *data, again], [first, again, schema, *data[:2], empty, *data[2:], meta],
                     [wire.flight_data(metadata=b"x", descriptor=say), schema, *data]):
        assert wire.call(world.address, "DoExchange", *messages) == plain
        put = [wire.flight_data(descriptor=wire.command(b'{"entity_rows":{}}')), *[m for m in messages[1:] if m != again]]
        assert wire.call(world.address, "DoPut", *put)[0].name == "OK"


def test_messages_that_contradict(world):
    say = wire.command(command(historical("driver_stats:conv_rate")))
    schema, *data = [wire.flight_data(*m) for m in wire.flight_messages(ipc_bytes(ENTITIES))]
    first = wire.flight_data(descriptor=say)
    other = wire.flight_data(descriptor=wire.command(command(historical("driver_stats:acc_rate"))))
    for messages, word in (([first, schema, other, *data], "descriptor"), ([first, schema, wire.flight_data(body=b"x" * 64), *data], "header"),
                           ([first, schema, schema, *data], "schema"), ([schema, *data], "descriptor"), ([first], "schema"), ([first, *data], "schema")):
        code, message, received = wire.call(world.address, "DoExchange", *messages)
        assert code.name == "INVALID_ARGUMENT" and word in message and not received, (code, message)
