"""Every kind of object that a Feast registry can hold, for the readers of registries. No data belongs to it."""

from datetime import timedelta

import pandas as pd
from feast import (
    Aggregation,
    BatchFeatureView,
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    KafkaSource,
    KinesisSource,
    PushSource,
    RequestSource,
    StreamFeatureView,
)
from feast.data_format import AvroFormat, DeltaFormat, JsonFormat, ParquetFormat
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.bigquery_source import BigQuerySource
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.labeling.label_view import LabelView
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import (
    Array, Bool, Bytes, Decimal, Float32, Float64, Int32, Int64, Json, Map, ScalarMap, Set, String, Struct, TimeUuid,
    UnixTimestamp, Uuid, ZonedTimestamp,
)
from feast.value_type import ValueType

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
customer = Entity(name="customer", join_keys=["customer_code"], value_type=ValueType.STRING)

TIMES = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created"}
DRIVER = Field(name="driver_id", dtype=Int64)
CUSTOMER = Field(name="customer_code", dtype=String)


def view(name, source, features, entities=(driver,), keys=(DRIVER,), **more):
    return FeatureView(name=name, entities=list(entities), schema=[*features, *keys], source=source, **more)


# ---- data sources of every kind ----

named = FileSource(name="stats", path="data/stats.parquet", **TIMES)
folder = FileSource(path="data/history/", timestamp_field="event_timestamp", file_format=ParquetFormat())
absolute = FileSource(name="absolute", path="/srv/feast/elsewhere.parquet", timestamp_field="event_timestamp")
uri = FileSource(name="uri", path="file:///srv/feast/by%20uri.parquet", timestamp_field="event_timestamp")
mapped = FileSource(
    name="mapped", path="data/mapped.parquet", timestamp_field="ts", created_timestamp_column="ins",
    field_mapping={"drv": "driver_id", "odo": "odometer", "ts": "event_timestamp"},
)
remote = FileSource(name="remote", path="s3://bucket/stats.parquet", timestamp_field="event_timestamp")
delta = FileSource(name="delta", path="data/delta", timestamp_field="event_timestamp", file_format=DeltaFormat())
warehouse = BigQuerySource(name="warehouse", table="project.dataset.stats", timestamp_field="event_timestamp")
custom = PostgreSQLSource(name="custom", query="SELECT * FROM stats", timestamp_field="event_timestamp")
push = PushSource(name="push", batch_source=named)
kafka = KafkaSource(
    name="kafka", kafka_bootstrap_servers="localhost:9092", topic="stats", timestamp_field="event_timestamp",
    message_format=JsonFormat("driver_id integer, event_timestamp timestamp, rate double"),
    batch_source=FileSource(name="kafka_batch", path="data/kafka.parquet", **TIMES), watermark_delay_threshold=timedelta(minutes=5),
)
kinesis = KinesisSource(
    name="kinesis", region="eu-central-1", stream_name="stats", timestamp_field="event_timestamp",
    record_format=AvroFormat('{"type": "record", "name": "r", "fields": []}'),
    batch_source=FileSource(name="kinesis_batch", path="data/kinesis.parquet", **TIMES),
)
request = RequestSource(name="request", schema=[Field(name="amount", dtype=Float64), Field(name="tries", dtype=Int32)])
saved = FileSource(name="saved_source", path="data/registered_dataset.parquet", timestamp_field="event_timestamp")

# ---- views ----

RATE = Field(name="rate", dtype=Float32)
TRIPS = Field(name="trips", dtype=Int64)

plain = view("plain", named, [RATE, TRIPS], ttl=timedelta(hours=36), tags={"team": "rides"})
pushed = view("pushed", push, [RATE], ttl=timedelta(milliseconds=1500))
two_keys = view("two_keys", folder, [TRIPS], entities=(customer, driver), keys=(CUSTOMER, DRIVER))
no_keys = view("no_keys", FileSource(path="data/city.parquet", timestamp_field="event_timestamp"), [RATE], entities=(), keys=())
other_names = view("other_names", mapped, [Field(name="odometer", dtype=Int64)])
far_away = view("far_away", absolute, [RATE])
by_uri = view("by_uri", uri, [RATE])
in_bucket = view("in_bucket", remote, [RATE])
in_delta = view("in_delta", delta, [RATE])
in_warehouse = view("in_warehouse", warehouse, [RATE])
in_custom = view("in_custom", custom, [RATE])
from_kafka = view("from_kafka", kafka, [RATE])
from_kinesis = view("from_kinesis", kinesis, [RATE])
switched_off = view("switched_off", named, [RATE], enabled=False)
derived = FeatureView(
    name="derived", source=plain, sink_source=FileSource(name="sink", path="data/derived.parquet", **TIMES),
    entities=[driver], schema=[RATE, DRIVER],
)


def double(df):
    return df


batch = BatchFeatureView(
    name="batch", entities=[driver], schema=[RATE, DRIVER], source=named, mode="python", udf=double,
    udf_string="def double(df):\n    return df\n", ttl=timedelta(days=2),
)
streamed = StreamFeatureView(
    name="streamed", entities=[driver], schema=[RATE, DRIVER], source=kafka, ttl=timedelta(days=3), timestamp_field="event_timestamp",
    aggregations=[Aggregation(column="rate", function="mean", time_window=timedelta(hours=1), slide_interval=timedelta(hours=1))],
    mode="python", udf=double, udf_string="def double(df):\n    return df\n",
)
labels = LabelView(
    name="labels", entities=[driver], schema=[Field(name="is_fraud", dtype=Bool), Field(name="labeler", dtype=String), DRIVER],
    source=PushSource(name="label_push", batch_source=FileSource(name="label_batch", path="data/labels.parquet", **TIMES)),
)

TYPES = {
    "bytes": Bytes, "string": String, "int32": Int32, "int64": Int64, "float32": Float32, "float64": Float64, "bool": Bool,
    "unix_timestamp": UnixTimestamp, "zoned_timestamp": ZonedTimestamp, "uuid": Uuid, "time_uuid": TimeUuid, "decimal": Decimal,
    "json": Json, "map": Map, "scalar_map": ScalarMap,
    "bytes_list": Array(Bytes), "string_list": Array(String), "int32_list": Array(Int32), "int64_list": Array(Int64),
    "float32_list": Array(Float32), "float64_list": Array(Float64), "bool_list": Array(Bool), "unix_timestamp_list": Array(UnixTimestamp),
    "uuid_list": Array(Uuid), "time_uuid_list": Array(TimeUuid), "decimal_list": Array(Decimal), "json_list": Array(Json), "map_list": Array(Map),
    "bytes_set": Set(Bytes), "string_set": Set(String), "int32_set": Set(Int32), "int64_set": Set(Int64), "float32_set": Set(Float32),
    "float64_set": Set(Float64), "bool_set": Set(Bool), "unix_timestamp_set": Set(UnixTimestamp), "uuid_set": Set(Uuid),
    "time_uuid_set": Set(TimeUuid), "decimal_set": Set(Decimal),
    "struct": Struct({"a": Int32, "b": Array(String), "c": Struct({"d": Float64})}),
    "struct_list": Array(Struct({"a": Int32})),
    "list_list": Array(Array(Int64)), "set_list": Array(Set(String)), "list_set": Set(Array(Float32)), "deep": Array(Array(Array(Bool))),
}
types = view(
    "types", FileSource(path="data/types.parquet", timestamp_field="event_timestamp"),
    [Field(name=name, dtype=dtype) for name, dtype in TYPES.items()],
)


def versioned(features):
    """The same view as it is applied first and as it is applied later."""
    return view("versioned", named, features, ttl=timedelta(days=len(features)))


# ---- on-demand views ----


@on_demand_feature_view(
    sources=[plain[["rate"]], request],
    schema=[Field(name="rate_amount", dtype=Float64), Field(name="rate_tries", dtype=Float64)],
)
def by_pandas(inputs: pd.DataFrame) -> pd.DataFrame:
    out = pd.DataFrame()
    out["rate_amount"] = inputs["rate"] * inputs["amount"]
    out["rate_tries"] = inputs["rate"] * inputs["tries"]
    return out


@on_demand_feature_view(
    sources=[plain, two_keys[["trips"]].with_name("pair")], schema=[Field(name="trips_text", dtype=String)], mode="python", singleton=True,
)
def by_python(inputs):
    return {"trips_text": str(inputs["trips"])}


# ---- services ----

service = FeatureService(name="service", features=[plain, no_keys[["rate"]]])
chosen = FeatureService(
    name="chosen", features=[plain[["trips"]]],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path="data/logs/chosen", partition_by=["__log_date"]), sample_rate=0.5),
)
aliased = FeatureService(
    name="aliased",
    features=[
        plain[["rate"]].with_name("origin").with_join_key_map({"driver_id": "origin_id"}),
        plain[["rate"]].with_name("dest").with_join_key_map({"driver_id": "dest_id"}),
        two_keys[["trips"]].with_join_key_map({"driver_id": "other_driver"}),
    ],
)
agrees = FeatureService(name="agrees", features=[plain[["trips"]].with_name("origin").with_join_key_map({"driver_id": "origin_id"})])
quarrel = FeatureService(name="quarrel", features=[plain[["rate"]].with_name("dest").with_join_key_map({"driver_id": "destination"})])
same_alias = FeatureService(name="same_alias", features=[pushed[["rate"]].with_name("origin").with_join_key_map({"driver_id": "pusher"})])
on_demand = FeatureService(
    name="on_demand", features=[by_pandas[["rate_amount"]], plain[["trips"]]],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path="/srv/feast/logs")),
)

OBJECTS = [
    driver, customer,
    named, folder, absolute, uri, mapped, remote, delta, warehouse, custom, push, kafka, kinesis, request, saved,
    plain, pushed, two_keys, no_keys, other_names, far_away, by_uri, in_bucket, in_delta, in_warehouse, in_custom, from_kafka, from_kinesis,
    switched_off, derived, batch, streamed, labels, types, by_pandas, by_python,
    service, chosen, aliased, agrees, quarrel, same_alias, on_demand,
]
