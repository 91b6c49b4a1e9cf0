"""Fixtures of the tests with real Feast clients.

    pytest e2e/feast [--server flightd|stock|both]

A test that asks for `kind` runs once for each server under test; one that asks for `store` too, once for each type of
offline store that the repository may name. Where Feast's own server is known to fail, the test says so:

    @fails("stock-file", "dask sorts the rows by time")
"""

import importlib.metadata
import os

import pytest

try:
    FEAST = importlib.metadata.version("feast")
except importlib.metadata.PackageNotFoundError:
    FEAST = None
    collect_ignore_glob = ["test_*.py"]  # these tests have virtual environments of their own

os.environ.setdefault("IS_TEST", "True")  # Feast then does not warn that saved datasets are new


def pytest_addoption(parser):
    parser.addoption("--server", default="flightd", choices=["flightd", "stock", "both"])


def pytest_configure(config):
    config.addinivalue_line("markers", "fails(server, reason, strict=True, feast=None): expected to fail with this server")


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        server = metafunc.config.getoption("server")
        metafunc.parametrize("kind", ["stock", "flightd"] if server == "both" else [server], scope="session")
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", ["file", "duckdb"], scope="session")


def pytest_collection_modifyitems(items):
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        kind, store = params.get("kind"), params.get("store", "file")
        for mark in item.iter_markers("fails"):
            if mark.args[0] in (kind, f"{kind}-{store}") and FEAST.startswith(mark.kwargs.get("feast", "")):
                item.add_marker(pytest.mark.xfail(reason=mark.args[1], strict=mark.kwargs.get("strict", True)))


if FEAST:
    import expect
    import feastserver
    import world

    class Servers:
        """Starts servers; at the end each must stop cleanly, without a trace of a bug in its log."""

        def __init__(self, program):
            self.program, self.started = program, []

        def __call__(self, repo, **options):
            self.started.append(feastserver.OfflineServer(self.program, getattr(repo, "folder", repo), **options))
            return self.started[-1]

        def finish(self):
            problems = [p for s in self.started if s.process.poll() is None for p in s.stop()]
            assert not problems, "\n".join(problems)

    @pytest.fixture(autouse=True)
    def exactness(request):
        expect.exact = not hasattr(request.node, "callspec") or request.node.callspec.params.get("kind") != "stock"

    def starting(kind):
        servers = Servers(kind)
        yield servers
        servers.finish()

    @pytest.fixture
    def serve(kind):
        """serve(repo, **options) for one test."""
        yield from starting(kind)

    @pytest.fixture(scope="module")
    def servers(kind):
        """The same for all tests of a module."""
        yield from starting(kind)

    @pytest.fixture(scope="session")
    def shared(kind, store, tmp_path_factory):
        """A client of a server over the sample repository, for tests that change nothing."""
        repo = world.Repo(tmp_path_factory.mktemp(f"{kind}-{store}"), store=store)
        repo.apply()
        servers = Servers(kind)
        yield repo.client(servers(repo).port)
        servers.finish()

    @pytest.fixture(scope="module")
    def home(servers, tmp_path_factory):
        """A repository, and its server, that a module has for itself: its tests must not get in each other's way."""
        repo = world.Repo(tmp_path_factory.mktemp("repo"))
        repo.apply()
        repo.port = servers(repo).port
        return repo

    @pytest.fixture(scope="module")
    def client(home):
        """A client of that server."""
        return home.client(home.port)

    @pytest.fixture
    def repo(tmp_path):
        """A repository for one test, applied."""
        made = world.Repo(tmp_path / "repo")
        made.apply()
        return made
