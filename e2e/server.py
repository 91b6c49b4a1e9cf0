"""A flightd process for a test, and the ways to ask it something."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.flight as fl

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get("FLIGHTD_BINARY", os.path.join(ROOT, "bin", "flightd"))


class Server:
    """`flightd serve` over a configuration, from the line that says it serves until it is stopped.

    config is a dict, written as JSON, which is YAML too.
    """

    def __init__(self, folder, config, *arguments, wait=20):
        self.config = os.path.join(str(folder), "flightd.yaml")
        with open(self.config, "w") as f:
            json.dump(config, f)
        self.tls = "tls" in config
        self.logs = []
        self.address = None
        self.ends_with = 0  # the exit status that its test expects
        self._serving = threading.Event()
        self.process = subprocess.Popen(
            [BINARY, "serve", "--config", self.config, "--listen", "127.0.0.1:0", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read_logs, daemon=True)
        self._reader.start()
        if not self._serving.wait(wait) or not self.address:
            self.kill()
            raise AssertionError("flightd did not say that it serves:\n" + "\n".join(self.logs))

    def _read_logs(self):
        for line in self.process.stderr:
            self.logs.append(line.rstrip("\n"))
            if not self.address and '"serving"' in line:
                self.address = json.loads(line)["addr"]
                self._serving.set()
        self._serving.set()

    def client(self, **options):
        return fl.connect(("grpc+tls://" if self.tls else "grpc://") + self.address, **options)

    def log_entries(self):
        """The log as dicts; every line must be JSON."""
        return [json.loads(line) for line in self.logs]

    def peak_memory(self):
        """The greatest resident set so far, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024

    def running(self):
        return self.process.poll() is None

    def stop(self, wait=40):
        """SIGTERM, as in a deployment; returns the exit status."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(wait)
        finally:
            self.kill()

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


def command(request):
    """A request as the bytes of a ticket or a descriptor's command; bytes and text stay as they are."""
    if isinstance(request, bytes):
        return request
    return (request if isinstance(request, str) else json.dumps(request)).encode()


def descriptor(request):
    return fl.FlightDescriptor.for_command(command(request))


def ipc_bytes(table, batch_rows=None):
    """A table as an Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return sink.getvalue()


def inline(table, batch_rows=None):
    """Entity rows as they stand in a ticket."""
    return base64.b64encode(ipc_bytes(table, batch_rows)).decode()


def get(client, request):
    """DoGet, the whole answer as a table."""
    return client.do_get(fl.Ticket(command(request))).read_all()


def batches(client, request):
    """DoGet, the answer as a list of (record batch, metadata or None)."""
    return [(c.data, c.app_metadata and c.app_metadata.to_pybytes()) for c in client.do_get(fl.Ticket(command(request)))]


def exchange(client, request, table, batch_rows=None):
    """DoExchange: sends entity rows, returns the reader of the answer's batches as a list like batches()."""
    writer, reader = client.do_exchange(descriptor(request))
    with writer:
        writer.begin(table.schema)
        for batch in table.to_batches(max_chunksize=batch_rows):
            writer.write_batch(batch)
        writer.done_writing()
        chunks = [(c.data, c.app_metadata and c.app_metadata.to_pybytes()) for c in reader]
        return reader.schema, chunks


def exchange_table(client, request, table, batch_rows=None):
    schema, chunks = exchange(client, request, table, batch_rows)
    return pa.Table.from_batches([batch for batch, _ in chunks], schema)


def stage(client, table, batch_rows=None, request=None):
    """DoPut of entity rows; returns the server's answer as a dict."""
    writer, reader = client.do_put(descriptor(request or {"entity_rows": {}}), table.schema)
    with writer:
        for batch in table.to_batches(max_chunksize=batch_rows):
            writer.write_batch(batch)
        writer.done_writing()
        answer = reader.read()
    return json.loads(answer.to_pybytes())


def report_of(chunks):
    """The match report on the last batch. It must stand nowhere else."""
    assert chunks, "an answer with a report has at least one batch"
    assert all(metadata is None for _, metadata in chunks[:-1]), "metadata before the last batch"
    return json.loads(chunks[-1][1])


def wait_until(condition, seconds=10, what="the condition"):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)
