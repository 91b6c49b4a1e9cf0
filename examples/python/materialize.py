"""Keeps an online store up to date: the newest row of every key, window after window. SQLite stands in for the store.

    python materialize.py [--view driver_stats] [--start 2024-04-01] [--end 2024-04-10] [--hours 24] [--store online.db]

The end of the last window is kept beside the rows, so that a later run goes on where this one stopped.
"""

import argparse
import datetime
import json
import os
import sqlite3

import pyarrow.flight as fl

TABLES = """
CREATE TABLE IF NOT EXISTS online (view TEXT, key TEXT, at TEXT, features TEXT, PRIMARY KEY (view, key));
CREATE TABLE IF NOT EXISTS progress (view TEXT PRIMARY KEY, until TEXT);
"""
# Both ends of a window count, so a row on the seam comes twice; a row older than the one that is there changes nothing.
UPSERT = """
INSERT INTO online VALUES (?, ?, ?, ?)
ON CONFLICT (view, key) DO UPDATE SET at = excluded.at, features = excluded.features WHERE excluded.at >= at
"""


def described(client, name):
    """What the server says of a view: its keys, features and time column."""
    for info in client.list_flights():
        about = json.loads(info.app_metadata)
        if about["kind"] == "feature_view" and about["name"] == name:
            return about
    raise SystemExit(f"the server has no feature view {name!r}")


def materialize(client, db, view, start, end):
    """Brings the newest rows of one window into the store. Rows and progress are committed together, or not at all."""
    ask = {"latest": {"view": view["name"], "start": start.isoformat(), "end": end.isoformat()}}
    rows = 0
    with db:
        for chunk in client.do_get(fl.Ticket(json.dumps(ask))):
            for row in chunk.data.to_pylist():
                key = json.dumps([row[k] for k in view.get("keys", [])], default=str)
                features = json.dumps({f: row[f] for f in view["features"]}, default=str)
                db.execute(UPSERT, (view["name"], key, row[view["timestamp"]].isoformat(timespec="microseconds"), features))
            rows += chunk.data.num_rows
        db.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (view["name"], end.isoformat()))
    print(f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}: {rows} keys")


def main():
    utc = lambda text: datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("FLIGHTD_SERVER", "grpc://127.0.0.1:8815"))
    parser.add_argument("--view", default="driver_stats")
    parser.add_argument("--start", type=utc, default="2024-04-01", help="of the first window, if there was none before")
    parser.add_argument("--end", type=utc, default="2024-04-10", help="of the last window; a service would take the present")
    parser.add_argument("--hours", type=float, default=24, help="length of a window")
    parser.add_argument("--store", default="online.db")
    args = parser.parse_args()

    with fl.connect(args.server) as client:
        db = sqlite3.connect(args.store)
        db.executescript(TABLES)
        view = described(client, args.view)
        last = db.execute("SELECT until FROM progress WHERE view = ?", (args.view,)).fetchone()
        start = datetime.datetime.fromisoformat(last[0]) if last else args.start
        while start < args.end:
            end = min(start + datetime.timedelta(hours=args.hours), args.end)
            materialize(client, db, view, start, end)
            start = end
        count, newest = db.execute("SELECT count(*), max(at) FROM online WHERE view = ?", (args.view,)).fetchone()
        print(f"{args.view}: {count} keys in {args.store}, the newest of {newest}, complete until {start:%Y-%m-%d %H:%M}")
        db.close()


if __name__ == "__main__":
    main()
