"""A delivery service, January to April 2024: what flightd.yaml describes, as Feast says it."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int32, String

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)

# Every six hours: how each driver did lately.
driver_stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(hours=24),
    schema=[
        Field(name="conv_rate", dtype=Float64),
        Field(name="acc_rate", dtype=Float64),
        Field(name="avg_daily_trips", dtype=Int32),
    ],
    source=FileSource(
        name="driver_stats_source",
        path="data/driver_stats.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    ),
)

# Every other day: what each customer did lately.
customer_stats = FeatureView(
    name="customer_stats",
    entities=[customer],
    ttl=timedelta(days=14),
    schema=[
        Field(name="balance", dtype=Float64),
        Field(name="orders_30d", dtype=Int32),
        Field(name="segment", dtype=String),
    ],
    source=FileSource(
        name="customer_stats_source",
        path="data/customer_stats.parquet",
        timestamp_field="event_timestamp",
    ),
)

# A name for the features of one model.
driver_activity = FeatureService(
    name="driver_activity",
    features=[driver_stats[["conv_rate", "acc_rate"]], customer_stats],
)
