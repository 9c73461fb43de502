"""Why there is no connection: certificates that nobody here trusts, and proxies that want something first."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync.elevenlabs import ElevenLabsClient
from sync.errors import NoConnectionError, ProviderDownError, StoreError, VoiceLedgerError
from sync.http import RetryPolicy
from sync.supabase_store import SupabaseStore
from sync.twilio import TwilioClient

DAY = datetime.timedelta(days=1)
ACCOUNT = "AC" + "0" * 32
PATIENT = RetryPolicy(budget=datetime.timedelta(seconds=60), first_pause=datetime.timedelta(seconds=20))
BRIEF = RetryPolicy(budget=datetime.timedelta(milliseconds=1))
NAMES = {"Twilio": "TWILIO_BASE_URL", "ElevenLabs": "ELEVENLABS_BASE_URL", "Supabase": "SUPABASE_URL"}

SIGNS = x509.KeyUsage(
    **dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False),
    **dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False),
    **dict.fromkeys(("key_cert_sign", "crl_sign"), True),
)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Signs certificates. `file` is what somebody would name in SSL_CERT_FILE."""

    file: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def signed(self, folder: Path, host: str, *, ends_in: datetime.timedelta = 30 * DAY) -> Path:
        """Return a file with a certificate for a host, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        certificate = (
            _begun(host, key, ends_in)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        file = folder / f"{host}.pem"
        file.write_bytes(_written(certificate) + _private(key))
        return file


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _begun("Company", key, 90 * DAY)
        .issuer_name(_name("Company"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(SIGNS, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("authority") / "company.pem"
    file.write_bytes(_written(certificate))
    return Authority(file=file, key=key, certificate=certificate)


def _begun(subject: str, key: ec.EllipticCurvePrivateKey, ends_in: datetime.timedelta) -> x509.CertificateBuilder:
    end = datetime.datetime.now(datetime.UTC) + ends_in
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 120 * DAY)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _written(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Handler(BaseHTTPRequestHandler):
    """Answers nothing of use; as a proxy it answers CONNECT with `refusal`."""

    protocol_version = "HTTP/1.1"
    refusal = 407

    def do_GET(self) -> None:
        self._say(404)

    def do_POST(self) -> None:
        self._say(404)

    def do_CONNECT(self) -> None:
        self._say(self.refusal)

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that trusts nobody breaks off."""


@contextmanager
def serving(certificate: Path | None = None, *, refusal: int = 407) -> Iterator[int]:
    server = Quiet(("127.0.0.1", 0), type("Proxy", (Handler,), {"refusal": refusal}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(name: str, url: str, retries: RetryPolicy) -> VoiceLedgerError:
    """Return what a client of the service says to this address."""
    with pytest.raises(VoiceLedgerError) as caught:
        _ask(name, url, retries)
    return caught.value


def _ask(name: str, url: str, retries: RetryPolicy) -> None:
    if name == "Twilio":
        with TwilioClient(ACCOUNT, (ACCOUNT, "token"), base_url=url, retries=retries) as twilio:
            twilio.server_time()
    elif name == "ElevenLabs":
        with ElevenLabsClient("key", base_url=url, retries=retries) as elevenlabs:
            elevenlabs.server_time()
    else:
        with closing(SupabaseStore(url, "sb_secret_x", retry_budget=retries.budget)) as store:
            store.claim_for("real")


def is_final(error: VoiceLedgerError) -> bool:
    return isinstance(error, NoConnectionError) or type(error) is StoreError


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("host", "ends_in", "is_trusted", "sentence"),
    [
        (
            "localhost",
            30 * DAY,
            False,
            "This machine does not trust the certificate that {name} shows; if your company's proxy or firewall reads "
            "the traffic, name a file with its root certificate in SSL_CERT_FILE.",
        ),
        (
            "other.example",
            30 * DAY,
            True,
            "The certificate that {name} shows is for another address; check {setting}, and whether a proxy answers "
            "in its place.",
        ),
        (
            "localhost",
            -1 * DAY,
            True,
            "The certificate that {name} shows is not valid today; check this machine's clock, and whether a proxy "
            "answers in its place.",
        ),
    ],
)
def test_a_certificate_is_named_at_once(
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    host: str,
    ends_in: datetime.timedelta,
    is_trusted: bool,
    sentence: str,
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    begin = perf_counter()

    with serving(authority.signed(tmp_path, host, ends_in=ends_in)) as port:
        error = ask(name, f"https://localhost:{port}", PATIENT)

    assert str(error) == sentence.format(name=name, setting=NAMES[name])
    assert is_final(error)
    assert perf_counter() - begin < 10, "a second try would have come 20 seconds later"


@pytest.mark.parametrize("name", NAMES)
def test_what_ssl_cert_file_names_is_trusted(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    with serving(authority.signed(tmp_path, "localhost")) as port:
        error = ask(name, f"https://localhost:{port}", BRIEF)

    assert "(404, no content type)" in str(error), "the server was asked"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_ssl_cert_file_without_certificates_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "company.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    error = ask("Supabase", "https://localhost:9", BRIEF)

    assert str(error) == "SSL_CERT_FILE names no file with certificates; correct its name, or remove the variable."
    assert isinstance(ask("Twilio", "https://localhost:9", BRIEF), ProviderDownError)


@pytest.mark.parametrize("name", NAMES)
def test_an_address_without_https_is_named_at_once(name: str) -> None:
    with serving() as port:
        error = ask(name, f"https://localhost:{port}", PATIENT)

    assert str(error) == (
        f"The server at the address in {NAMES[name]} does not speak HTTPS; correct the address of {name}, or its port."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_proxy_that_asks_for_a_login_is_named_at_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving(refusal=407) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = ask(name, "https://api.acme.example", PATIENT)

    assert str(error) == (
        f"A proxy between this machine and {name} asks for a login; put user and password into HTTPS_PROXY, such as "
        "http://USER:PASSWORD@proxy.example.com:8080."
    )
    assert is_final(error)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("refusal", [302, 403, 502])
def test_a_proxy_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch, name: str, refusal: int) -> None:
    with serving(refusal=refusal) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = ask(name, "https://api.acme.example", BRIEF)

    assert str(error) == (
        f"{name} cannot be reached through the proxy in HTTPS_PROXY; check the proxy, the network and {NAMES[name]}."
    )


def test_a_project_without_an_address_may_be_paused() -> None:
    error = ask("Supabase", "https://abc.acme.invalid", BRIEF)

    assert str(error) == (
        "Supabase cannot be reached; check the network and SUPABASE_URL, and that the project is neither paused nor "
        "deleted."
    )
    assert isinstance(ask("Twilio", "https://api.acme.invalid", BRIEF), ProviderDownError)
