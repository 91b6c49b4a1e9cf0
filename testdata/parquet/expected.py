"""What pyarrow reads from a Parquet file, in the types that flightd has for it."""

import os

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(HERE, name + ".parquet")


def plain(t):
    """The type without dictionaries, extensions, views and narrow decimals."""
    field = lambda f: pa.field(f.name, plain(f.type), f.nullable)
    if pa.types.is_dictionary(t):
        return plain(t.value_type)
    if isinstance(t, pa.BaseExtensionType):
        return plain(t.storage_type)
    if t == pa.string_view():
        return pa.string()
    if t == pa.binary_view():
        return pa.binary()
    if pa.types.is_decimal32(t) or pa.types.is_decimal64(t):
        return pa.decimal128(t.precision, t.scale)
    if pa.types.is_list(t) or isinstance(t, pa.ListViewType):
        return pa.list_(field(t.value_field))
    if pa.types.is_large_list(t) or isinstance(t, pa.LargeListViewType):
        return pa.large_list(field(t.value_field))
    if pa.types.is_fixed_size_list(t):
        return pa.list_(field(t.value_field), t.list_size)
    if pa.types.is_struct(t):
        return pa.struct([field(t.field(i)) for i in range(t.num_fields)])
    if pa.types.is_map(t):
        return pa.map_(plain(t.key_type), field(t.item_field))
    return t


def cast(column):
    """A column in its plain type."""
    t = plain(column.type)
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([c.storage for c in column.chunks], column.type.storage_type)
    if column.type == t:
        return column
    try:
        if isinstance(column.type, (pa.ListViewType, pa.LargeListViewType)):  # pyarrow 26 casts their offsets wrong
            raise pa.ArrowNotImplementedError()
        return column.cast(t)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.chunked_array([pa.array(column.to_pylist(), t)])


def expect(name):
    """Writes NAME.arrows: what pyarrow reads from NAME.parquet."""
    table = pq.read_table(path(name), partitioning=None)
    columns = [cast(c) for c in table.columns]
    schema = pa.schema([pa.field(f.name, c.type) for f, c in zip(table.schema, columns)])
    table = pa.Table.from_arrays(columns, schema=schema)
    table.validate(full=True)
    with pa.ipc.new_stream(os.path.join(HERE, name + ".arrows"), schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as w:
        w.write_table(table.combine_chunks())
