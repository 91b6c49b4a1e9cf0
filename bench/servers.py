"""The servers that are compared: processes, each with a client."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pyarrow.flight as fl

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server process and a client of it."""

    def __init__(self, name, command, find_port):
        self.name = name
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        port = next((found for line in self.process.stdout if said.append(line) or (found := find_port(line))), None)
        if port is None:
            sys.exit(f"{name} did not start:\n{''.join(said)}")
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()
        self.address = f"grpc://127.0.0.1:{port}"
        self.client = self.connect()

    def peak_memory(self):
        """Peak resident bytes so far."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024

    def cpu(self):
        """Seconds of processor time so far, the system's for it included, in steps of a tick (10 ms mostly)."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()  # those after the name, which may have spaces
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait()

    def rows(self, work):
        """The chunks of the answer to a work without entity rows."""
        ticket = json.dumps({work: {"view": "stats"}}) if self.name == "flightd" else work
        return self.client.do_get(fl.Ticket(ticket.encode()))

    def join(self, line, entities, client=None):
        """The chunks of the joined rows."""
        command = json.dumps({"historical": {"features": [f"stats:{f}" for f in line.source.feature_columns]}})
        writer, reader = (client or self.client).do_exchange(fl.FlightDescriptor.for_command(command.encode()))
        with writer:
            writer.begin(entities.schema)
            writer.write_table(entities, max_chunksize=65_536)
            writer.done_writing()
            yield from reader

    def connect(self):
        return fl.connect(self.address)


def flightd(binary, path, line):
    view = {"store": "main", "source": os.path.basename(path), "keys": line.source.key_columns, "timestamp": "event_timestamp"}
    if line.source.created:
        view["created"] = "created"
    if line.ttl:
        view["ttl"] = f"{line.ttl}s"
    config = {"stores": {"main": {"type": "file", "root": os.path.dirname(path)}}, "feature_views": {"stats": view}}
    if line.limits:
        config["limits"] = line.limits
    with open(path + ".yaml", "w") as f:
        json.dump(config, f)
    command = [binary, "serve", "--config", path + ".yaml", "--listen", "127.0.0.1:0"]
    return Server("flightd", command, lambda text: json.loads(text)["addr"].split(":")[1] if '"serving"' in text else None)


def settle(path):
    """Waits until a file is old enough for flightd to keep an index of it: one that was just written may be written to again."""
    time.sleep(max(0, os.stat(path).st_ctime + 4 - time.time()))


def peer(engine, path, line):
    spec = {"keys": line.source.key_columns, "features": line.source.feature_columns, "created": line.source.created, "ttl": line.ttl or None}
    return Server(engine, [sys.executable, os.path.join(HERE, "peers.py"), engine, path, json.dumps(spec)], lambda text: int(text))
