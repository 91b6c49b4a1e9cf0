"""TLS, client certificates, and who may use staged rows."""

import datetime
import ipaddress
import json
import socket
import ssl
import subprocess
import threading

import pyarrow as pa
import pyarrow.flight as fl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import sample
import server
from sample import ENTITIES, historical, joined
from server import get, stage

NOW = datetime.datetime.now(datetime.timezone.utc)


class Authority:
    """A certificate authority for a test."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self.sign(self.name, self.key.public_key(), True)

    def sign(self, subject, public_key, authority=False):
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(NOW - datetime.timedelta(days=1))
                   .not_valid_after(NOW + datetime.timedelta(days=2))
                   .add_extension(x509.BasicConstraints(authority, None), True))
        if not authority:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name):
        """A certificate and its key as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
        return pem(certificate), key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority():
    return Authority("test authority")


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = authority.issue("flightd")
    (folder / "server.pem").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    (folder / "ca.pem").write_bytes(pem(authority.certificate))
    return folder


def test_tls(serve, tmp_path, files, authority):
    config = sample.write(tmp_path)
    config["tls"] = {"cert": str(files / "server.pem"), "key": str(files / "server.key")}
    s = serve(tmp_path, config)
    with s.client(tls_root_certs=pem(authority.certificate)) as client:
        assert get(client, joined()).column("conv_rate").to_pylist() == sample.CONV_RATE
    with pytest.raises(pa.ArrowException):
        next(iter(s.client(tls_root_certs=pem(Authority("another").certificate)).list_flights()))
    with pytest.raises(pa.ArrowException):
        next(iter(fl.connect("grpc://" + s.address).list_flights()))


def test_tls_by_flags(serve, tmp_path, files, authority):
    s = serve(tmp_path, sample.write(tmp_path), "--tls-cert", str(files / "server.pem"), "--tls-key", str(files / "server.key"))
    s.tls = True
    with s.client(tls_root_certs=pem(authority.certificate)) as client:
        assert len(list(client.list_flights())) == 8


@pytest.fixture
def mutual(serve, tmp_path, files):
    config = sample.write(tmp_path)
    config["tls"] = {"cert": str(files / "server.pem"), "key": str(files / "server.key"), "client_ca": str(files / "ca.pem")}
    config["limits"] = {"staged": "1MiB"}
    return serve(tmp_path, config)


def connect(s, authority, name, issuer=None):
    certificate, key = (issuer or authority).issue(name)
    return s.client(tls_root_certs=pem(authority.certificate), cert_chain=certificate, private_key=key)


def test_client_certificates(mutual, authority):
    with connect(mutual, authority, "ann") as client:
        assert get(client, joined()).column("conv_rate").to_pylist() == sample.CONV_RATE
    for stranger in (lambda: mutual.client(tls_root_certs=pem(authority.certificate)),
                     lambda: connect(mutual, authority, "ann", Authority("test authority"))):
        with pytest.raises(pa.ArrowException):
            next(iter(stranger().list_flights()))
    assert any(e.get("caller") and "ann" in e["caller"] for e in mutual.log_entries())


def test_staged_rows_belong_to_their_caller(mutual, authority):
    with connect(mutual, authority, "ann") as ann, connect(mutual, authority, "bob") as bob, connect(mutual, authority, "ann") as ann_again:
        request = historical("driver_stats:conv_rate", entity_rows_id=stage(ann, ENTITIES)["entity_rows_id"])
        assert get(ann, request).num_rows == 6
        assert get(ann_again, request).num_rows == 6
        with pytest.raises(KeyError):
            get(bob, request)
        with pytest.raises(KeyError):
            get(bob, historical("driver_stats:conv_rate", entity_rows_id="x"))


def test_rotation_under_load(serve, tmp_path, authority):
    """Certificates are replaced while clients come and go: the new ones are shown, and no call fails."""
    paths = {"cert": tmp_path / "server.pem", "key": tmp_path / "server.key"}
    def replace(name):
        for path, content in zip(paths.values(), authority.issue(name)):
            path.write_bytes(content)
    replace("first")
    config = sample.write(tmp_path)
    config["tls"] = {k: str(v) for k, v in paths.items()}
    s = serve(tmp_path, config)
    host, port = s.address.rsplit(":", 1)
    def shown():
        context = ssl.create_default_context(cadata=pem(authority.certificate).decode())
        with socket.create_connection((host, int(port))) as raw, context.wrap_socket(raw, server_hostname="localhost") as conn:
            return dict(part[0] for part in conn.getpeercert()["subject"])["commonName"]
    failed, stop = [], threading.Event()
    def work():
        while not stop.is_set():
            try:
                with s.client(tls_root_certs=pem(authority.certificate)) as client:
                    assert get(client, {"all": {"view": "weather"}}).num_rows == 2
            except BaseException as e:
                failed.append(repr(e))
    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        assert shown() == "first"
        for name in ("second", "third"):
            replace(name)
            server.wait_until(lambda: shown() == name, what=f"the {name} certificate")
    finally:
        stop.set()
        for t in threads:
            t.join(20)
    assert not failed, failed


@pytest.mark.parametrize("tls, word", [
    ({"cert": "gone.pem", "key": "gone.key"}, "gone.pem"), ({"cert": "ca.pem", "key": "server.key"}, None), ({"cert": "server.pem"}, "key"),
    ({"cert": "server.pem", "key": "server.key", "client_ca": "server.key"}, "client_ca")])
def test_unusable_files(tmp_path, files, tls, word):
    config = sample.write(tmp_path)
    config["tls"] = {k: str(files / v) for k, v in tls.items()}
    (tmp_path / "flightd.yaml").write_text(json.dumps(config))
    done = subprocess.run([server.BINARY, "serve", "--config", tmp_path / "flightd.yaml", "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode in (1, 2), done
    assert word is None or word in done.stderr or "client CA" in done.stderr
