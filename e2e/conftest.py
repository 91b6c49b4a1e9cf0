"""Fixtures. The binary is built once for all tests; FLIGHTD_BINARY names another one that is there already."""

import os
import subprocess

import pytest

import sample
import server as flightd


@pytest.fixture(scope="session", autouse=True)
def binary():
    if "FLIGHTD_BINARY" not in os.environ:
        subprocess.run(["go", "build", "-o", flightd.BINARY, "./cmd/flightd"], cwd=flightd.ROOT, check=True)
    return flightd.BINARY


class Servers:
    """Starts servers; at the end each must stop as its test expects (cleanly unless it says else), without a trace of a bug in its log."""

    def __init__(self):
        self.started = []

    def __call__(self, folder, config, *arguments, **options):
        s = flightd.Server(folder, config, *arguments, **options)
        self.started.append(s)
        return s

    def finish(self):
        problems = []
        for s in self.started:
            if not s.process.stderr.closed:
                if (status := s.stop()) != s.ends_with:
                    problems.append(f"exit status {status}, not {s.ends_with}")
            problems += [line for line in s.logs if '"code":"Internal"' in line or line.startswith(("panic", "fatal error", "WARNING: DATA RACE"))]
        assert not problems, "\n".join(problems)


@pytest.fixture
def serve():
    """serve(folder, config, *arguments) for one test."""
    servers = Servers()
    yield servers
    servers.finish()


@pytest.fixture(scope="module")
def serve_module():
    """The same for all tests of a module."""
    servers = Servers()
    yield servers
    servers.finish()


@pytest.fixture(scope="module")
def world(tmp_path_factory, serve_module):
    """A server over the sample catalog, shared by the tests of a module, which must not change it."""
    folder = tmp_path_factory.mktemp("sample")
    return serve_module(folder, sample.write(folder))


@pytest.fixture(scope="module")
def client(world):
    with world.client() as c:
        yield c
