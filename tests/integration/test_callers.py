"""Who is let in by the functions, and what everybody else is told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient

from local.identity import CertsServer, Key, load_key, mint
from shared.core.errors import TryAgain
from shared.status import routes
from shared.web.tokens import LONGEST_TOKEN, REFETCH_SECONDS, REMOVED, Certificates
from shared.wiring import services
from tests.integration.conftest import Servers
from tests.support.pipeline import BUCKET

ROOT = Path(__file__).resolve().parents[2]
TASKS = "tasks@shop.iam.gserviceaccount.com"
SCHEDULER = "scheduler@shop.iam.gserviceaccount.com"
LOAD, SWEEP = "https://load.example/load", "https://sweep.example/sweep"
TASK = {"connection": "main", "import": "orders_x", "generation": 1, "number": 1}

Client = Callable[..., FlaskClient]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Key, Key]:
    """Google's key, as it were, and somebody else's."""
    return load_key(tmp_path_factory.mktemp("google")), load_key(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def certs_server(keys: tuple[Key, Key]) -> Iterator[CertsServer]:
    """Serve the certificate of the first key alone."""
    server = CertsServer(keys[0], host="127.0.0.1", port=0)
    yield server
    server.stop()


@pytest.fixture
def client(
    servers: Servers, certs_server: CertsServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """Make clients of a function under the functions framework, with variables of one's own."""

    def make(name: str, **variables: str) -> FlaskClient:
        environment = {
            "GOOGLE_CLOUD_PROJECT": "callers",
            "BUCKET": BUCKET,
            "FIRESTORE_EMULATOR_HOST": servers.firestore,
            "STORAGE_EMULATOR_HOST": servers.storage,
            "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:9",
            "LOAD_URL": LOAD,
            "TASKS_SERVICE_ACCOUNT": TASKS,
            "SWEEP_URL": SWEEP,
            "SCHEDULER_SERVICE_ACCOUNT": SCHEDULER,
            "OIDC_CERTS_URL": certs_server.url,
            **variables,
        }
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        services.cache_clear()
        source = str(ROOT / f"functions/{name}.py")
        app: Flask = functions_framework.create_app(name, source, "http")  # type: ignore[no-untyped-call]
        return app.test_client()

    yield make
    services.cache_clear()


def token(
    key: Key, *, audience: str = LOAD, email: str = TASKS, ago: timedelta = timedelta()
) -> str:
    """Sign a token as Cloud Tasks sends one."""
    return mint(key=key, audience=audience, email=email, now=datetime.now(UTC) - ago)


def forged(
    key: Key, *, head: dict[str, Any] | None = None, signed: bool = True, **claims: Any
) -> str:
    """Sign a token that says whatever one likes; a claim that is None is left out."""
    now = int(datetime.now(UTC).timestamp())
    usual: dict[str, Any] = {
        "iss": "https://accounts.google.com",
        "aud": LOAD,
        "email": TASKS,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    parts = [{"alg": "RS256", "kid": key.id, **(head or {})}, said]
    message = b".".join(segment(json.dumps(part).encode()) for part in parts)
    signature = key.private.sign(message, padding.PKCS1v15(), hashes.SHA256()) if signed else b""
    return b".".join((message, segment(signature))).decode()


def segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def post(client: FlaskClient, authorization: str | None, body: object = TASK) -> tuple[int, Any]:
    """Post with this header; gives the status and the JSON of the answer."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.post("/", json=body, headers=headers)
    return answer.status_code, answer.get_json()


def test_its_own_callers(client: Client, keys: tuple[Key, Key]) -> None:
    """load works for Cloud Tasks, sweep for Cloud Scheduler, each with its own account."""
    load, sweep = client("load"), client("sweep")

    assert post(load, f"Bearer {token(keys[0])}") == (200, {"result": "unknown import"})
    scheduled = token(keys[0], audience=SWEEP, email=SCHEDULER)
    assert post(sweep, f"bearer {scheduled}")[0] == 200
    assert post(sweep, f"Bearer {token(keys[0], audience=SWEEP)}") == (
        403,
        {"error": "The account may not call this function."},
    )


@pytest.mark.parametrize(
    ("header", "status", "reason"),
    [
        (lambda keys: None, 401, "carries no token"),
        (lambda keys: "Bearer", 401, "carries no token"),
        (lambda keys: f"Basic {token(keys[0])}", 401, "carries no token"),
        (lambda keys: "Bearer x.y.z", 401, "can be read"),
        (lambda keys: "Bearer a.b", 401, "can be read"),
        (lambda keys: f"Bearer {'a' * (LONGEST_TOKEN + 1)}", 401, "can be read"),
        (lambda keys: f"Bearer {segment(b'[]').decode()}.e30.", 401, "can be read"),
        (lambda keys: f"Bearer {token(keys[1])}", 401, "signature"),
        (lambda keys: f"Bearer {forged(keys[1], head={'kid': keys[0].id})}", 401, "signature"),
        (lambda keys: f"Bearer {forged(keys[0])[:-4]}AAAA", 401, "signature"),
        (
            lambda keys: f"Bearer {forged(keys[0], head={'alg': 'none'}, signed=False)}",
            401,
            "not signed as Google signs",
        ),
        (lambda keys: f"Bearer {forged(keys[0], signed=False)}", 401, "signature"),
        (lambda keys: f"Bearer {forged(keys[0], head={'alg': 'HS256'})}", 401, "not signed as"),
        (lambda keys: f"Bearer {forged(keys[0], head={'kid': None})}", 401, "not signed as"),
        (lambda keys: f"Bearer {token(keys[0], ago=timedelta(minutes=61))}", 401, "expired"),
        (lambda keys: f"Bearer {token(keys[0], ago=-timedelta(minutes=5))}", 401, "not good yet"),
        (lambda keys: f"Bearer {forged(keys[0], exp=None)}", 401, "when it is good"),
        (lambda keys: f"Bearer {forged(keys[0], exp='never')}", 401, "when it is good"),
        (lambda keys: f"Bearer {forged(keys[0], iss='https://evil.example')}", 401, "Google's"),
        (lambda keys: f"Bearer {forged(keys[0], iss=['accounts.google.com'])}", 401, "Google's"),
        (lambda keys: f"Bearer {forged(keys[0], iss={'a': 1})}", 401, "Google's"),
        (lambda keys: f"Bearer e30.{segment(b'[' * 5_000).decode()}.", 401, "can be read"),
        (lambda keys: f"Bearer {token(keys[0], audience=SWEEP)}", 401, "another service"),
        (lambda keys: f"Bearer {forged(keys[0], aud=[LOAD])}", 401, "another service"),
        (lambda keys: f"Bearer {forged(keys[0], email_verified=False)}", 403, "verified"),
        (lambda keys: f"Bearer {forged(keys[0], email_verified='true')}", 403, "verified"),
        (lambda keys: f"Bearer {forged(keys[0], email=None)}", 403, "verified"),
        (lambda keys: f"Bearer {token(keys[0], email=SCHEDULER)}", 403, "may not call"),
        (lambda keys: f"Bearer {'.'.join(forged(keys[0]).split('.')[:2])}.{REMOVED}", 401, "sign"),
    ],
)
def test_everybody_else(
    client: Client,
    keys: tuple[Key, Key],
    capsys: pytest.CaptureFixture[str],
    header: Callable[[tuple[Key, Key]], str | None],
    status: int,
    reason: str,
) -> None:
    """A missing, forged, expired or foreign token is refused with the reason, and never logged."""
    load = client("load")
    authorization = header(keys)
    capsys.readouterr()

    found, answer = post(load, authorization)

    assert status == found
    assert reason in answer["error"]
    line = json.loads(capsys.readouterr().out)
    assert ("WARNING", status) == (line["severity"], line["status"])
    assert "eyJ" not in json.dumps([line, answer]), "the beginning of every token"


def test_behind_cloud_run(client: Client, keys: tuple[Key, Key]) -> None:
    """A token that Cloud Run has checked comes without its signature: what it says still counts."""
    load = client("load", K_SERVICE="load")

    def removed(**claims: Any) -> str:
        return f"Bearer {'.'.join(forged(keys[1], **claims).split('.')[:2])}.{REMOVED}"

    assert post(load, removed())[0] == 200
    assert post(load, removed(email=SCHEDULER))[0] == 403
    assert post(load, removed(aud=SWEEP))[0] == 401
    assert post(load, removed(iss="https://evil.example"))[0] == 401
    assert post(load, removed(exp=1))[0] == 401
    assert post(load, f"Bearer {token(keys[1])}")[0] == 401
    assert post(load, f"Bearer {token(keys[0])}")[0] == 200


def test_the_header_that_cloud_run_reads_first(client: Client, keys: tuple[Key, Key]) -> None:
    """A token in X-Serverless-Authorization counts, and then nothing in Authorization does."""
    load = client("load")
    good, bad = f"Bearer {token(keys[0])}", f"Bearer {token(keys[1])}"

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return load.post("/", json=TASK, headers=named).status_code

    assert status(X_Serverless_Authorization=good) == 200
    assert status(X_Serverless_Authorization=good, Authorization=bad) == 200
    assert status(X_Serverless_Authorization=bad, Authorization=good) == 401
    assert status(X_Serverless_Authorization="", Authorization=good) == 200


def test_no_certificates(client: Client, keys: tuple[Key, Key]) -> None:
    """While the certificates cannot be had, nobody is let in and the queue tries again."""
    load = client("load", OIDC_CERTS_URL="http://127.0.0.1:9/certs")

    status, answer = post(load, f"Bearer {token(keys[0])}")

    assert status == 503
    assert "certificates cannot be had" in answer["error"]


@pytest.mark.parametrize("name", ["LOAD_URL", "TASKS_SERVICE_ACCOUNT"])
def test_a_missing_setting(client: Client, keys: tuple[Key, Key], name: str) -> None:
    """A function that does not know whom it works for works for nobody."""
    load = client("load", **{name: ""})

    status, answer = post(load, f"Bearer {token(keys[0])}")

    assert status == 500
    assert name in answer["error"]


def test_status_in_the_cloud(client: Client, keys: tuple[Key, Key]) -> None:
    """In the cloud the page is for whoever has a token of Google's, whatever it was made with."""
    status = client("status", K_SERVICE="status")
    person = token(keys[0], audience="32555940559.apps.googleusercontent.com", email="a@b.example")

    assert status.get("/").status_code == 401
    assert status.get("/", headers={"Authorization": f"Bearer {token(keys[1])}"}).status_code == 401
    assert status.get("/", headers={"Authorization": f"Bearer {person}"}).status_code == 200


AUDIENCE = "/projects/123456789012/locations/australia-southeast1/services/status"


class Proxy:
    """Identity-Aware Proxy, as far as its assertions go: it signs with a key of its own."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        public = self.private.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.keys = json.dumps({"proxy": pem}).encode()

    def assertion(self, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign an assertion that names a person."""
        now = int(datetime.now(UTC).timestamp())
        usual = {"iss": "https://cloud.google.com/iap", "aud": AUDIENCE, "iat": now, "exp": now + 9}
        said = {**usual, "email": "ann@example.com", **claims}
        parts = [{"alg": "ES256", "kid": "proxy", **(head or {})}, said]
        message = b".".join(segment(json.dumps(part).encode()) for part in parts)
        numbers = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in numbers)
        return b".".join((message, segment(signature))).decode()


PROXY = Proxy()
AGENT = "service-123456789012@gcp-sa-iap.iam.gserviceaccount.com"

Shown = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def shown(
    client: Client,
    keys: tuple[Key, Key],
    counting: Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> Shown:
    """Open the page in the cloud; gives the status and to whom it was shown."""
    counting.body = PROXY.keys

    def ask(headers: dict[str, str], *, account: str = AGENT, audience: str = AUDIENCE) -> Any:
        people: list[str] = []

        def answer(request: routes.Request, services: object) -> routes.PageAnswer:
            people.append(request.person)
            return routes.PageAnswer(status=200, body="")

        monkeypatch.setattr(routes, "answer", answer)
        status = client(
            "status", K_SERVICE="status", IAP_AUDIENCE=audience, IAP_KEYS_URL=counting.url
        )
        bearer = {"X-Serverless-Authorization": f"Bearer {token(keys[0], email=account)}"}
        return status.get("/", headers={**bearer, **headers}).status_code, people

    return ask


def test_who_looks_through_iam(shown: Shown) -> None:
    """The page is shown to whom the verified token names, whatever other headers say."""
    made_up = {"X-Goog-Authenticated-User-Email": "accounts.google.com:eve@example.com"}

    assert shown(made_up, account="kim@example.com") == (200, ["kim@example.com"])
    claims = segment(b'{"email": "eve@example.com"}').decode()
    assert shown({"Authorization": f"Bearer x.{claims}.y"}) == (200, [AGENT])


def test_who_looks_through_the_proxy(shown: Shown) -> None:
    """The signed assertion of Identity-Aware Proxy names the person, where its audience is set."""
    header = {"X-Goog-IAP-JWT-Assertion": PROXY.assertion()}

    assert shown(header) == (200, ["ann@example.com"])
    assert shown(header, audience="") == (200, [AGENT]), "nothing says that it is for this page"


@pytest.mark.parametrize(
    "assertion",
    [
        "",
        "x.y.z",
        Proxy().assertion(),
        PROXY.assertion({"kid": "other"}),
        PROXY.assertion({"alg": "RS256"}),
        PROXY.assertion(aud="/projects/123456789012/locations/australia-southeast1/services/other"),
        PROXY.assertion(aud=[AUDIENCE]),
        PROXY.assertion(iss="https://accounts.google.com"),
        PROXY.assertion(iss=["https://cloud.google.com/iap"]),
        PROXY.assertion(exp=1),
        f"{PROXY.assertion().rpartition('.')[0]}.{REMOVED}",
    ],
)
def test_an_assertion_that_proves_nothing(shown: Shown, assertion: str) -> None:
    """An assertion that is not the proxy's for this page is refused; nobody is shown anything."""
    assert shown({"X-Goog-IAP-JWT-Assertion": assertion}) == (401, [])


def test_status_on_one_machine(client: Client) -> None:
    """Outside the cloud a browser on the same machine needs no token, and any other one does."""
    status = client("status")

    for host in ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"):
        assert status.get("/", headers={"Host": host}).status_code == 200, host
    elsewhere = status.get("/", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert (elsewhere.status_code, elsewhere.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example"])
def test_a_website_that_points_to_this_machine(client: Client, host: str) -> None:
    """The page on one machine answers under the machine's own names only, against rebinding."""
    answer = client("status").get("/", headers={"Host": host})

    assert (
        answer.status_code,
        answer.get_json()["error"],
    ) == (403, "Open this page as localhost or 127.0.0.1.")


class Counting:
    """A server of certificates that counts, and says and does what it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.status, self.body, self.header = 200, b'{"k1": "PEM"}', "public, max-age=300"
        counting = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                counting.asked += 1
                self.send_response(counting.status)
                self.send_header("Cache-Control", counting.header)
                self.end_headers()
                self.wfile.write(counting.body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def counting() -> Iterator[Counting]:
    server = Counting()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_certificates_are_kept(counting: Counting) -> None:
    """Certificates are asked for when they are old, or lack a key, and not at every call."""
    now = [1000.0]
    certificates = Certificates(counting.url, now=lambda: now[0])

    for _ in range(3):
        assert certificates.for_key("k1") == {"k1": "PEM"}
    assert counting.asked == 1
    certificates.for_key("k2")
    assert counting.asked == 1, "an unknown key right after a fetch"
    now[0] += REFETCH_SECONDS
    counting.body = b'{"k2": "PEM2"}'
    assert certificates.for_key("k2") == {"k2": "PEM2"}
    assert counting.asked == 2
    now[0] += 300
    certificates.for_key("k2")
    assert counting.asked == 3


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"<html>"), (200, b'{"k": 1}')])
def test_what_are_no_certificates(counting: Counting, status: int, body: bytes) -> None:
    """Certificates that have grown old are not used when there are no new ones."""
    now = [0.0]
    certificates = Certificates(counting.url, now=lambda: now[0])
    certificates.for_key("k1")
    counting.status, counting.body = status, body

    assert "k1" in certificates.for_key("k1")
    now[0] += 301
    with pytest.raises(TryAgain):
        certificates.for_key("k1")
