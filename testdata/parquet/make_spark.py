"""Makes the spark_*.parquet files of this folder and what pyarrow reads from them.

    pip install pyspark==4.0.1 pyarrow==26.0.1 && python make_spark.py      (Java 17)

Spark writes folders; the one part of each becomes the fixture.
"""

import datetime as dt
import decimal
import glob
import os
import shutil
import tempfile

from pyspark.sql import SparkSession
from pyspark.sql import types as t

from expected import expect, path

N = 60
DEFAULT = {
    "compression": "snappy", "spark.sql.parquet.outputTimestampType": "INT96", "spark.sql.parquet.writeLegacyFormat": "false",
    "parquet.writer.version": "v1", "parquet.page.size": "1048576", "parquet.enable.dictionary": "true", "parquet.page.write-checksum.enabled": "true",
}


def gap(i, value):
    return None if i % 7 == 3 else value


def flat(i):
    utc = dt.timezone.utc
    return (
        i, gap(i, i % 3 == 0), gap(i, i % 128 - 64), gap(i, i * 100 - 3000), gap(i, i * 10**7 - 10**8), gap(i, (i - 30) * 10**16), gap(i, i / 4), gap(i, i / 3),
        gap(i, dt.date(1960, 1, 1) + dt.timedelta(days=i * 400)), gap(i, dt.datetime(1970, 1, 1, tzinfo=utc) + dt.timedelta(hours=i * 5000 - 90000, microseconds=i)),
        gap(i, dt.datetime(1960, 1, 1) + dt.timedelta(hours=i * 5000, microseconds=i)),
        gap(i, decimal.Decimal(i - 30).scaleb(-2)), gap(i, decimal.Decimal((i - 30) * 10**10).scaleb(-4)), gap(i, decimal.Decimal((i - 30) * 10**30).scaleb(-10)),
        gap(i, decimal.Decimal(i - 30).scaleb(-1)), gap(i, f"tëxt {i}" * (i % 3)), gap(i, bytearray([i, 255])), gap(i, "abc"[i % 3]),
    )


FLAT = t.StructType([
    t.StructField("id", t.LongType(), False), t.StructField("bool", t.BooleanType()), t.StructField("byte", t.ByteType()), t.StructField("short", t.ShortType()),
    t.StructField("int", t.IntegerType()), t.StructField("long", t.LongType()), t.StructField("float", t.FloatType()), t.StructField("double", t.DoubleType()),
    t.StructField("date", t.DateType()), t.StructField("ts", t.TimestampType()), t.StructField("ntz", t.TimestampNTZType()),
    t.StructField("dec9", t.DecimalType(9, 2)), t.StructField("dec18", t.DecimalType(18, 4)), t.StructField("dec38", t.DecimalType(38, 10)),
    t.StructField("dec3", t.DecimalType(3, 1)), t.StructField("text", t.StringType()), t.StructField("binary", t.BinaryType()), t.StructField("few", t.StringType()),
])


def nested(i):
    return (
        i, gap(i, [gap(j, j * i) for j in range(i % 5)]), gap(i, {"a": i, "b": gap(i + 1, str(i)), "c": {"d": [i] * (i % 3)}}),
        gap(i, {f"k{j}": gap(j + i, j) for j in range(i % 4)}), gap(i, [{"x": [[j], [], None][: j + 1], "y": gap(j, j / 2)} for j in range(i % 4)]),
        gap(i, [gap(j, [gap(k, str(k)) for k in range(j)]) for j in range(i % 4)]),
        [i] * (i % 3), gap(i, {i: [{"z": gap(i + 2, i)}]}),
    )


POINT = t.StructType([t.StructField("x", t.ArrayType(t.ArrayType(t.IntegerType()))), t.StructField("y", t.DoubleType())])
NESTED = t.StructType([
    t.StructField("id", t.LongType(), False), t.StructField("list", t.ArrayType(t.LongType())),
    t.StructField("struct", t.StructType([t.StructField("a", t.IntegerType()), t.StructField("b", t.StringType()),
                                          t.StructField("c", t.StructType([t.StructField("d", t.ArrayType(t.ShortType()))]))])),
    t.StructField("map", t.MapType(t.StringType(), t.IntegerType())), t.StructField("points", t.ArrayType(POINT)),
    t.StructField("lists", t.ArrayType(t.ArrayType(t.StringType()))),
    t.StructField("required", t.ArrayType(t.LongType(), containsNull=False), False),
    t.StructField("map_of_lists", t.MapType(t.IntegerType(), t.ArrayType(t.StructType([t.StructField("z", t.LongType())])))),
])


def main():
    spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
             .config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "1g").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    frames = {
        "flat": spark.createDataFrame([flat(i) for i in range(N)], FLAT).coalesce(1),
        "nested": spark.createDataFrame([nested(i) for i in range(N)], NESTED).coalesce(1),
    }
    noise = spark.sql("select id, rand(7) as x, if(rand(8) < 0.3, null, rand(9)) as gaps, sha2(string(id), 256) as text, rand(10) < 0.5 as b from range(0, 150, 1, 1)")

    def write(name, frame, **options):
        options = DEFAULT | options
        for key, value in options.items():
            if key.startswith("spark."):
                spark.conf.set(key, value)
        folder = tempfile.mkdtemp()
        frame.write.mode("overwrite").options(**{k: v for k, v in options.items() if not k.startswith("spark.")}).parquet(folder)
        [part] = glob.glob(os.path.join(folder, "*.parquet"))
        shutil.copyfile(part, path("spark_" + name))
        shutil.rmtree(folder)
        expect("spark_" + name)

    for name, frame in frames.items():
        write(name, frame)
        write(name + "_legacy", frame, **{"spark.sql.parquet.writeLegacyFormat": "true"})
        write(name + "_v2", frame, **{"parquet.writer.version": "v2"})
        write(name + "_v2_pages", frame, **{"parquet.writer.version": "v2", "parquet.page.size": "200", "parquet.page.row.count.limit": "10", "parquet.page.size.row.check.min": "5"})
        write(name + "_pages", frame, **{"parquet.page.size": "200", "parquet.page.row.count.limit": "10", "parquet.page.size.row.check.min": "5"})
    for unit in ["MICROS", "MILLIS"]:
        write("timestamp_" + unit.lower(), frames["flat"].select("id", "ts", "ntz"), **{"spark.sql.parquet.outputTimestampType": "TIMESTAMP_" + unit})
    for codec in ["none", "snappy", "gzip", "zstd", "lz4", "lz4_raw"]:  # brotli needs a library that Spark does not ship
        for version in ["v1", "v2"]:
            write(f"noise_{codec}_{version}", noise, compression=codec, **{"parquet.writer.version": version})
    write("plain", frames["flat"], **{"parquet.enable.dictionary": "false", "parquet.writer.version": "v2"})
    write("split", frames["flat"], **{"parquet.enable.dictionary": "false", "parquet.enable.bytestreamsplit": "true"})
    write("bloom", frames["flat"].select("id", "text"), **{"parquet.bloom.filter.enabled#text": "true", "parquet.bloom.filter.expected.ndv#text": "60"})
    write("row_groups", spark.range(0, 5000, 1, 1).selectExpr("id", "id % 7 as few", "string(id * 7919 % 10007) as text"),
          **{"parquet.block.size": "20000", "parquet.page.size": "2000"})
    write("zero_rows", frames["nested"].where("id < 0"))
    write("intervals", spark.sql("select make_dt_interval(id, 1) as day, make_ym_interval(1, int(id)) as month, char(65 + id) as c from range(0, 20, 1, 1)"))
    spark.stop()


if __name__ == "__main__":
    main()
