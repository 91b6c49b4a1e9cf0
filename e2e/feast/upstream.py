"""Runs Feast's own tests of its remote offline store, unmodified, against flightd or against Feast's own server.

    python upstream.py CHECKOUT/sdk/python [--server flightd|stock] [--stores file,folder,duckdb,tls] [PYTEST-ARGUMENT ...]

CHECKOUT is a checkout of Feast at the version of this environment (Feast's packages come without its tests). Python is that
of an environment with requirements-feast67.txt (or 66) and requirements-upstream.txt. Feast's tests start `feast
serve_offline`; the first `feast` on their PATH is then one that becomes flightd for this command and Feast for every other.
It becomes it, not starts it: these tests kill what they started, and then wait for its port to be free.
"""

import argparse
import os
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

SHIM = '''#!{python} -S
import argparse, os, sys
arguments = sys.argv[1:]
if "serve_offline" not in arguments:
    os.execv({feast!r}, [{feast!r}] + arguments)
at = arguments.index("serve_offline")
parser = argparse.ArgumentParser(add_help=False)
parser.add_argument("--chdir", "-c", default=".")
folder = parser.parse_known_args(arguments[:at])[0].chdir
parser = argparse.ArgumentParser(add_help=False)
for names in (("--host", "-h"), ("--port", "-p"), ("--key", "-k"), ("--cert", "-c")):
    parser.add_argument(*names, default={{"--host": "127.0.0.1", "--port": "8815"}}.get(names[0], ""))
asked = parser.parse_args(arguments[at + 1:])
tls = ["--tls-cert", asked.cert, "--tls-key", asked.key] if asked.cert else []
os.execv({flightd!r}, [{flightd!r}, "serve", "--feast-repo", folder, "--listen", asked.host + ":" + asked.port,
                       "--feast-python", {python!r}] + tls)
'''

# What Feast's tests run against: their own class that starts a server, with the store and the sources that the server is to
# have, and a client that really is remote (without TLS theirs is not).
STORES = """
import os, shutil, tempfile
from feast import FileSource
from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
from feast.infra.offline_stores.remote import RemoteOfflineStoreConfig
from tests.universal.feature_repos.universal.data_sources.file import (
    FileDataSourceCreator, RemoteOfflineStoreDataSourceCreator, RemoteOfflineTlsStoreDataSourceCreator)

class Remote(RemoteOfflineStoreDataSourceCreator):
    def create_offline_store_config(self):
        return RemoteOfflineStoreConfig(type="remote", host="0.0.0.0", port=self.server_port)

class InDuckDB(FileDataSourceCreator):
    def create_offline_store_config(self):
        return DuckDBOfflineStoreConfig()

class InFolder(FileDataSourceCreator):
    def create_data_source(self, *args, **kwargs):
        source = super().create_data_source(*args, **kwargs)
        self.dirs.append(tempfile.mkdtemp())
        shutil.move(source.path, self.dirs[-1])
        source.file_options.uri, source.name = self.dirs[-1], self.dirs[-1]
        return source

class RemoteFileDataSourceCreator(Remote): pass
class RemoteFolderDataSourceCreator(Remote, InFolder): pass
class RemoteDuckDBDataSourceCreator(Remote, InDuckDB): pass

KINDS = {"file": RemoteFileDataSourceCreator, "folder": RemoteFolderDataSourceCreator, "duckdb": RemoteDuckDBDataSourceCreator,
         "tls": RemoteOfflineTlsStoreDataSourceCreator}
AVAILABLE_OFFLINE_STORES = [("local", KINDS[name]) for name in os.environ["UPSTREAM_STORES"].split(",")]
AVAILABLE_ONLINE_STORES = {"sqlite": ({"type": "sqlite"}, None)}
"""
TESTS = ["tests/integration/offline_store", "tests/integration/offline_server"]
SELECTED = "Remote or remote_offline"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sdk", help="the folder sdk/python of a checkout of Feast")
    parser.add_argument("--server", choices=["flightd", "stock"], default="flightd")
    parser.add_argument("--flightd", default=os.path.join(ROOT, "bin", "flightd"))
    parser.add_argument("--stores", default="file,tls,folder,duckdb")
    args, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(args, [a for a in more if a != "--"], folder))


def run(args, more, folder):
    scripts = os.path.dirname(sys.executable)
    if args.server == "flightd":
        shim = os.path.join(folder, "feast")
        with open(shim, "w") as f:
            f.write(SHIM.format(python=sys.executable, feast=os.path.join(scripts, "feast"), flightd=os.path.abspath(args.flightd)))
        os.chmod(shim, os.stat(shim).st_mode | stat.S_IXUSR)
    with open(os.path.join(folder, "upstream_stores.py"), "w") as f:
        f.write(STORES)
    env = {**os.environ, "PATH": os.pathsep.join([folder, scripts, os.environ["PATH"]]), "FEAST_IS_LOCAL_TEST": "True",
           "UPSTREAM_STORES": args.stores, "FULL_REPO_CONFIGS_MODULE": "upstream_stores", "PYTHONPATH": os.pathsep.join([os.path.abspath(args.sdk), folder])}
    tests = [] if any(a.startswith("tests") for a in more) else TESTS
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--integration", "--continue-on-collection-errors",
               "-k", SELECTED, *tests, *more]
    return subprocess.run(command, cwd=args.sdk, env=env).returncode


if __name__ == "__main__":
    main()
