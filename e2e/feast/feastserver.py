"""Feast's own offline server and flightd over one Feast repository, with one way to start, watch and end them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import server as flightd  # the helper of the other end-to-end tests

FEAST = os.path.join(os.path.dirname(sys.executable), "feast")


def stock_command(folder, host, port, tls):
    command = [FEAST, "-c", folder, "serve_offline", "--host", host, "--port", str(port)]
    return command + (["--key", tls[1], "--cert", tls[0]] if tls else [])


def flightd_command(folder, host, port, tls):
    command = [flightd.BINARY, "serve", "--feast-repo", folder, "--listen", f"{host}:{port}", "--feast-python", sys.executable]
    return command + (["--tls-cert", tls[0], "--tls-key", tls[1]] if tls else [])


COMMANDS = {"stock": stock_command, "flightd": flightd_command}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_open(port):
    with socket.socket() as s:  # a port in the range of callers' ports may, where nobody listens, be connected to itself
        return s.connect_ex(("127.0.0.1", port)) == 0 and s.getsockname() != s.getpeername()


class OfflineServer:
    """A server process over a repository, from the open port until it is stopped."""

    def __init__(self, program, folder, port=None, tls=None, arguments=(), env=None, wait=180):
        self.program, self.port = program, port or free_port()
        self.log = os.path.join(str(folder), f"server-{self.port}.log")
        command = COMMANDS[program](str(folder), "127.0.0.1", self.port, tls) + list(arguments)
        started = time.monotonic()
        # Feast's duckdb store takes relative paths from the current folder, not from the repository.
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            cwd=str(folder) if program == "stock" else "/", env={**os.environ, **(env or {})})
        while not is_open(self.port):
            if self.process.poll() is not None or time.monotonic() > started + wait:
                self.kill()
                raise AssertionError(f"{' '.join(command)} did not open port {self.port}:\n{self.said()}")
            time.sleep(0.01)
        self.seconds_to_open = time.monotonic() - started

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def peak_memory(self):
        """The greatest resident set so far, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024

    def kill(self):
        """SIGKILL to the server alone, as Feast's own tests do; its port must be free afterwards."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends the server; returns what is wrong with its exit or its log. Stock servers only need to end."""
        if self.program == "stock":
            self.kill()
            return []
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            return ["flightd did not drain within 40 s"]
        bugs = [line for line in self.said().splitlines()
                if '"code":"Internal"' in line or line.startswith(("panic", "fatal error", "WARNING: DATA RACE"))]
        return bugs + ([f"exit status {status}"] if status != 0 else [])
