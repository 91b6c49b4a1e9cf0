"""/metrics, /healthz and /readyz of a running server."""

import datetime
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.flight as fl

import sample
import server
from server import get


def ask(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def metrics_address(s):
    deadline = time.time() + 10
    while time.time() < deadline:
        for line in s.logs:
            if line.startswith("{") and json.loads(line).get("message") == "metrics":
                return json.loads(line)["addr"]
        time.sleep(0.01)
    raise AssertionError(s.logs)


def value(text, line):
    return float(re.search(rf"^{re.escape(line)} (\S+)$", text, re.M).group(1))


def test_what_a_server_counts(tmp_path, serve):
    s = serve(tmp_path, {**sample.write(tmp_path), "metrics": "127.0.0.1:0"})
    address = metrics_address(s)
    assert ask(address, "/healthz") == (200, "ok\n")
    assert ask(address, "/readyz") == (200, "ready\n")
    assert ask(address, "/nothing")[0] == 404
    with s.client() as client:
        rows = get(client, {"all": {"view": "driver_stats"}}).num_rows
        get(client, {"all": {"view": "driver_stats"}})
        # A call is counted when it has ended, which may be a moment after its client has the answer.
        wait_for(lambda: 'flightd_calls_total{call="DoGet",code="OK",kind="all"} 2' in ask(address, "/metrics")[1])
    status, text = ask(address, "/metrics")
    assert status == 200
    assert value(text, 'flightd_calls_total{call="DoGet",code="OK",kind="all"}') == 2
    assert value(text, 'flightd_rows_total{direction="sent"}') == 2 * rows
    assert value(text, 'feast_offline_store_request_total{method="to_arrow",status="success"}') == 2
    assert value(text, "flightd_ready") == 1
    assert value(text, "process_resident_memory_bytes") > 1e6


def test_a_server_that_ends_is_alive_and_not_ready(tmp_path, serve):
    s = serve(tmp_path, {**sample.write(tmp_path), "metrics": "127.0.0.1:0", "shutdown_timeout": "20s"})
    address = metrics_address(s)
    entities = pa.table({"driver_id": [1], "event_timestamp": [datetime.datetime(2030, 1, 1)]})
    with s.client() as client:
        writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(json.dumps({"historical": {"features": ["driver_stats"]}})))
        writer.begin(entities.schema)
        writer.write_table(entities)  # a call that goes on, so that the drain does
        wait_for(lambda: value(ask(address, "/metrics")[1], 'flightd_running_calls{gate="uploads"}') == 1)
        s.process.send_signal(signal.SIGTERM)
        wait_for(lambda: ask(address, "/readyz")[0] == 503)
        assert ask(address, "/healthz") == (200, "ok\n")
        writer.done_writing()
        assert reader.read_all().num_rows == 1
        writer.close()
    assert s.process.wait(20) == 0


def wait_for(come, within=10):
    deadline = time.time() + within
    while not come():
        assert time.time() < deadline, come
        time.sleep(0.01)


def test_an_address_that_is_taken(tmp_path, serve):
    s = serve(tmp_path, {**sample.write(tmp_path), "metrics": "127.0.0.1:0"})
    done = subprocess.run([server.BINARY, "serve", "--config", s.config, "--listen", "127.0.0.1:0", "--metrics", metrics_address(s)],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "metrics: listen on" in done.stderr, done
