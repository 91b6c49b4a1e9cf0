"""Random catalogs: feature views over Parquet files of every layout, entity rows, and what the oracle has to know of them.

What a file holds is what pyarrow reads back from it: a writer may change types, and P34 speaks of the reader.
"""

import dataclasses
import os
import random
import urllib.parse

import pyarrow as pa
import pyarrow.parquet as pq

import kinds
import oracle

FEW, SOME, MANY = 0.0, 0.1, 0.35
TTLS = {"": 0, "0": 0, "1us": 10**3, "90m": 90 * 60 * 10**9, "2h": 2 * kinds.HOUR, "1h": kinds.HOUR, "400d": 400 * oracle.DAY,
        "3600000000001ns": kinds.HOUR + 1}
# As pyarrow writes a column when its dictionary encoding is off.
ENCODINGS = {
    "int": ("PLAIN", "DELTA_BINARY_PACKED"), "float": ("PLAIN", "BYTE_STREAM_SPLIT"),
    "text": ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"),
}


@dataclasses.dataclass
class Generated:
    """A view for the oracle, and how it stands in flightd.yaml."""

    view: oracle.View
    config: dict


class Case:
    """One random catalog, made from a seed and a number alone."""

    def __init__(self, seed, number, folder):
        self.rng = random.Random(f"{seed}/{number}")
        self.prefix = f"c{number}"
        self.folder = os.path.join(str(folder), self.prefix)
        os.makedirs(self.folder)
        self.key_kinds = {f"k{i}": self.rng.choice(list(kinds.KEYS)) for i in range(3)}
        self.own_names = self.rng.random() < 0.5  # features of different views have different names
        count = self.rng.choice((1, 1, 2, 2, 3))
        shared = self.key_names()
        self.views = [self.make_view(i, shared if self.rng.random() < 0.7 else self.key_names()) for i in range(count)]

    def key_names(self):
        names = [f"k{i}" for i in range(3)]
        self.rng.shuffle(names)
        return names[:self.rng.choice((0, 1, 1, 1, 2, 2, 3))]

    def config(self):
        """The parts of flightd.yaml: views and services."""
        services = {self.prefix + "_all": {"features": [g.view.name for g in self.views]}}
        return {g.view.name: g.config for g in self.views}, services

    # ---- views ----

    def make_view(self, i, keys):
        return ViewMaker(self, i, keys).make()

    # ---- entity rows ----

    def entities(self, requested):
        """A table of entity rows for these views, its time column, and whether the request has to name that column."""
        rng = self.rng
        rows = rng.choice((0, 1, 5, 20, 40, 60))
        nulls = rng.choice((FEW, SOME, MANY))
        columns = []
        for name in dict.fromkeys(k for view, _ in requested for k in view.keys):
            values, _, types = kinds.KEYS[self.key_kinds[name]]
            columns.append((name, kinds.array(rng, rng.choice(types), values, rows, nulls)))
        time, named = rng.choice((("event_timestamp", False), ("at", True), ("event_timestamp", True)))
        columns.append((time, self.entity_times(rows, nulls)))
        for i in range(rng.choice((0, 1, 3))):
            type, values = rng.choice(kinds.LABELS)
            columns.append((f"label{i}", kinds.array(rng, type, values, rows, nulls if values[0] is not None else 1.0)))
        rng.shuffle(columns)
        table = pa.table([c for _, c in columns], names=[n for n, _ in columns])
        if rows and rng.random() < 0.3:  # duplicates
            table = table.take(pa.array([rng.randrange(rows) for _ in range(rows)]))
        return table, time, named

    def entity_times(self, rows, nulls):
        rng = self.rng
        form = rng.choice(("timestamp",) * 6 + ("date", "text", "dictionary"))
        if form == "date":
            return kinds.times(rng, rng.choice((pa.date32(), pa.date64())), rows, nulls)
        if form in ("text", "dictionary"):
            texts = pa.array(kinds.text_times(rng, rows, nulls), rng.choice((pa.string(), pa.large_string())))
            return texts if form == "text" else texts.dictionary_encode()
        type = pa.timestamp(rng.choice(kinds.UNITS), rng.choice(kinds.ZONES))
        return kinds.times(rng, type, rows, nulls, rng.choice((0.0, 0.0, 0.1)))


class ViewMaker:
    """Makes one view of a case: its columns, its files, its configuration."""

    def __init__(self, case, i, keys):
        self.case, self.rng = case, case.rng
        self.name = f"{case.prefix}_{'abc'[i]}"
        self.keys = keys
        rng = self.rng
        self.layout = rng.choice(("file", "file", "folder", "glob", "hive"))
        self.nulls = rng.choice((FEW, SOME, MANY))
        self.extremes = rng.choice((0.0, 0.0, 0.05))
        prefix = "abc"[i] if case.own_names else "x"
        self.features = {f"{prefix}{n}": rng.choice(kinds.VALUES) for n in range(rng.choice((1, 2, 3, 5)))}
        self.key_types = {k: rng.choice(kinds.KEYS[case.key_kinds[k]][1]) for k in keys}
        self.time_type = rng.choice((pa.date32(), pa.date64()) + 3 * tuple(pa.timestamp(u, rng.choice(kinds.ZONES)) for u in kinds.UNITS))
        self.created_type = rng.choice((None, pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.timestamp("s"), pa.date32()))
        self.partitions = self.choose_partitions() if self.layout == "hive" else []
        self.mapping = {}
        self.store_schema = rng.random() < 0.85  # these two change types, so they are the same for all files of a view
        self.int96 = self.extremes == 0 and rng.random() < 0.15 and pa.types.is_timestamp(self.time_type)
        self.vary = self.layout in ("folder", "glob") and rng.random() < 0.5

    def choose_partitions(self):
        """Partition columns: one or two features of the kind that folder names make, or a key."""
        partitions = [("p_int", (1, 22, -3)), ("p_text", ("a b", "x/y", "ü", "1")), ("p_date", ("2024-01-01", "2024-01-02"))]
        self.rng.shuffle(partitions)
        chosen = partitions[:self.rng.choice((1, 1, 2))]
        for key in self.keys:
            if self.case.key_kinds[key] in ("int", "text") and self.rng.random() < 0.4:
                values = kinds.KEYS[self.case.key_kinds[key]][0]
                if self.case.key_kinds[key] == "text":
                    values = ("a", "A", "ä", "aa")
                return [(key, tuple(values))] + chosen[:1]
        return chosen

    def make(self):
        rng = self.rng
        names = [*self.keys, "ts"] + (["created"] if self.created_type else []) + list(self.features)
        order = [n for n in names if n not in dict(self.partitions)]
        rng.shuffle(order)
        if rng.random() < 0.3:
            self.mapping = {f"src {n}": n for n in order if rng.random() < 0.6}
        table, source = self.write(order)
        partition_features = [n for n, _ in self.partitions if n not in self.keys]
        others = [n for n in table.schema.names if n in self.features or n in partition_features]
        config = {"store": "main", "source": source, "keys": self.keys, "timestamp": "ts"}
        if self.created_type:
            config["created"] = "created"
        if self.vary or rng.random() < 0.4:
            rng.shuffle(others)
            others = others[:rng.randrange(1, len(others) + 1)]
            config["features"] = others
        ttl = rng.choice(list(TTLS))
        if ttl:
            config["ttl"] = ttl
        if self.mapping:
            config["field_mapping"] = self.mapping
        if not self.keys and rng.random() < 0.5:
            del config["keys"]
        view = oracle.View(self.name, self.keys, "ts", others, table, config.get("created"), TTLS[ttl])
        return Generated(view, config)

    # ---- files ----

    def write(self, order):
        """Writes the source. Returns its rows in position order under mapped names, and what flightd.yaml calls it."""
        rng = self.rng
        base = os.path.join(self.case.folder, self.name)
        relative = f"{self.case.prefix}/{self.name}"
        if self.layout == "file":
            table = self.write_file(base + ".parquet", order, self.rows())
            return self.mapped(table), relative + ".parquet"
        paths = self.paths()
        pieces = []
        for path, partition in sorted(paths.items(), key=lambda item: item[0].encode()):
            full = os.path.join(base, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            piece = self.mapped(self.write_file(full, order, self.rows(), vary=self.vary and pieces))
            for name, type in self.partition_types(paths).items():
                value = partition[name]
                piece = piece.append_column(name, pa.array([value] * len(piece), pa.string()).cast(type))
            pieces.append(piece)
        self.write_noise(base, order)
        table = unify(pieces)
        return table, relative + {"folder": rng.choice(("", "/")), "hive": "", "glob": "/part-*.parquet"}[self.layout]

    def rows(self):
        return self.rng.choice((0, 1, 10, 40, 80))

    def paths(self):
        """Paths of the files below the source, each with the text of its partition values."""
        rng = self.rng
        count = rng.choice((1, 2, 3, 4))
        if self.layout == "glob":
            return {f"part-{n}.parquet": {} for n in rng.sample(range(20), count)}
        if self.layout == "folder":
            names = ("a.parquet", "b.parq", "c.pq", "B.parquet", "sub/a.parquet", "sub-1/x.parquet", "10.parquet", "9.parquet", "ü.parquet")
            return {n: {} for n in rng.sample(names, count)}
        paths = {}
        for n in range(count + 1):
            values = {name: str(rng.choice(pool)) for name, pool in self.partitions}
            if n:  # the first has a value for each, so that the type is known
                values = {k: None if rng.random() < 0.15 else v for k, v in values.items()}
            folders = [f"{k}=" + ("__HIVE_DEFAULT_PARTITION__" if v is None else urllib.parse.quote(v, safe=" ")) for k, v in values.items()]
            paths["/".join(folders + [f"f{n}.parquet"])] = values
        return paths

    def partition_types(self, paths):
        types = {}
        for name, _ in self.partitions:
            values = [p[name] for p in paths.values() if p[name] is not None]
            if all(v.lstrip("-").isdigit() for v in values):
                types[name] = pa.int64()
            elif all(len(v) == 10 and v[4] == v[7] == "-" for v in values):
                types[name] = pa.date32()
            else:
                types[name] = pa.string()
        return types

    def write_noise(self, base, order):
        """Files that are not part of the source."""
        if self.rng.random() < 0.5:
            for name in ("_metadata.parquet", ".hidden.parquet", "notes.txt", "_tmp/x.parquet", "_SUCCESS"):
                path = os.path.join(base, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as f:
                    f.write("not Parquet")
        if self.layout == "glob":
            self.write_file(os.path.join(base, "other.parquet"), order, 3)

    def write_file(self, path, order, rows, vary=False):
        rng = self.rng
        order = list(order)
        if vary:
            rng.shuffle(order)
            optional = [n for n in order if n in self.features]
            if len(optional) > 1 and rng.random() < 0.5:
                order.remove(rng.choice(optional))
        back = {name: source for source, name in self.mapping.items()}
        columns = [self.column(name, rows, vary) for name in order]
        table = pa.table(columns, names=[back.get(n, n) for n in order])
        if rng.random() < 0.3:
            table = table.sort_by(back.get("ts", "ts"))
        pq.write_table(table, path, **self.writer_options(table))
        return decoded(pq.read_table(path, partitioning=None))

    def column(self, name, rows, vary):
        rng = self.rng
        if name == "ts":
            return kinds.times(rng, self.time_type, rows, self.nulls / 2, self.safe_extremes(self.time_type))
        if name == "created":
            return kinds.times(rng, self.created_type, rows, self.nulls, self.safe_extremes(self.created_type))
        if name in self.keys:
            type, values = self.key_types[name], kinds.KEYS[self.case.key_kinds[name]][0]
        else:
            type, values = self.features[name]
        narrower = {pa.int64(): pa.int32(), pa.float64(): pa.float32(), pa.large_string(): pa.string()}.get(type)
        if vary and narrower and rng.random() < 0.4 and fits(values, narrower):
            type = narrower
        return kinds.array(rng, type, values, rows, self.nulls)

    def safe_extremes(self, type):
        """Parquet has no seconds, and dates have no ends worth a test."""
        return self.extremes if pa.types.is_timestamp(type) and type.unit != "s" else 0.0

    def writer_options(self, table):
        rng = self.rng
        options = {
            "compression": rng.choice(("none", "snappy", "snappy", "gzip", "zstd", "brotli")),
            "data_page_version": rng.choice(("1.0", "2.0")),
            "version": "2.6" if any(has_nanos(t) for t in table.schema.types) else rng.choice(("2.6", "2.4")),
            "row_group_size": rng.choice((1, 7, 30, 1000)) if len(table) <= 40 else rng.choice((7, 30, 1000)),
            "data_page_size": rng.choice((1 << 20, 64)),
            "write_statistics": rng.choice((True, True, False)),
            "store_schema": self.store_schema,
            "use_deprecated_int96_timestamps": self.int96,
            "write_page_index": rng.random() < 0.3,
            "write_page_checksum": rng.random() < 0.3,
        }
        if rng.random() < 0.4:
            options["use_dictionary"] = False
            if rng.random() < 0.7:
                options["column_encoding"] = {f.name: rng.choice(encodings_of(f.type)) for f in table.schema if encodings_of(f.type) and not (self.int96 and pa.types.is_timestamp(f.type))}
        return options

    def mapped(self, table):
        return table.rename_columns([self.mapping.get(n, n) for n in table.schema.names])


def has_nanos(type):
    """Format 2.4 has no nanoseconds."""
    return pa.types.is_timestamp(type) and type.unit == "ns"


def encodings_of(type):
    if pa.types.is_integer(type) and type.bit_width >= 32 or pa.types.is_timestamp(type):
        return ENCODINGS["int"]
    if pa.types.is_floating(type):
        return ENCODINGS["float"]
    if pa.types.is_string(type) or pa.types.is_binary(type):
        return ENCODINGS["text"]
    return None


def fits(values, type):
    try:
        return pa.array(values, type).to_pylist() == list(values) or pa.types.is_string(type)
    except (pa.ArrowInvalid, OverflowError):
        return False


def decoded(table):
    """Without dictionaries and without metadata, as answers are."""
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    return pa.table(columns, names=table.schema.names)


WIDTH = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64(),
         pa.string(), pa.large_string()]


def unify(pieces):
    """Files of a folder as one table: a missing column is null, and the wider type wins (P87)."""
    types = {}
    for piece in pieces:
        for field in piece.schema:
            known = types.setdefault(field.name, field.type)
            if known != field.type:
                types[field.name] = max(known, field.type, key=WIDTH.index)
    schema = pa.schema(list(types.items()))
    parts = []
    for piece in pieces:
        columns = [piece.column(f.name).cast(f.type) if f.name in piece.schema.names else pa.nulls(len(piece), f.type) for f in schema]
        parts.append(pa.table(columns, schema=schema))
    return pa.concat_tables(parts)
