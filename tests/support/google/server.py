"""The proxy that stands in for Google's hosts, and the state behind them."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.google import iam

Json = dict[str, Any]

HOSTS = ("*.googleapis.com", "*.google.com", "*.firebaseio.com")
"""The hosts that are answered for."""

ALWAYS_ON = frozenset(
    {
        "serviceusage",
        "storage",
        "logging",
        "monitoring",
        "servicemanagement",
        "cloudapis",
        "www",
        "firebase-public",
    }
)
"""The APIs that a new project has."""


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, code: int, status: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.details = details


def not_found(what: str) -> Refused:
    """Refuse because something is not there."""
    return Refused(404, "NOT_FOUND", f"{what} was not found.")


def invalid(message: str) -> Refused:
    """Refuse because the request makes no sense."""
    return Refused(400, "INVALID_ARGUMENT", message)


@dataclass(frozen=True, slots=True)
class Bytes:
    """An answer that is not JSON."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, by whom, with which permissions, and the answer's status."""

    member: str
    method: str
    service: str
    path: str
    permissions: tuple[str, ...]
    body: Any
    status: int


@dataclass(slots=True)
class Call:
    """A request on its way to a method."""

    google: Google
    member: str
    method: str
    service: str
    path: str
    names: dict[str, str]
    query: dict[str, str]
    body: Any
    raw: bytes
    headers: dict[str, str]
    needed: list[str] = field(default_factory=list)

    def known(self, *members: str, body: Json | None = None) -> None:
        """Refuse a body with a member that is not among these."""
        for name in self.body if body is None else body:
            if name not in members:
                raise invalid(
                    f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
                )

    def need(self, permission: str, service: str, name: str, *, condition_on: str = "") -> None:
        """Refuse a caller who lacks a permission on a thing (or on the project: name "")."""
        self.needed.append(permission)
        if not self.google.may(self.member, permission, service, name, condition_on):
            raise Refused(
                403,
                "PERMISSION_DENIED",
                f"Permission '{permission}' denied on resource '{name or self.google.project}' "
                f"for {self.member} (or it may not exist).",
            )


Method = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of an API."""

    verb: str
    service: str
    pattern: re.Pattern[str]
    answer: Method


ROUTES: list[Route] = []


def method(
    verb: str, service: str, path: str, permission: str | None = None
) -> Callable[[Method], Method]:
    """Register a method of an API: `{name}` is one part of the path, `{name*}` any number.

    Args:
        verb: GET, POST, PATCH, PUT or DELETE.
        service: the first part of the host's name.
        path: where it is; `/v1/` also stands for `/v1beta1/`, `/v2/` and the like.
        permission: what it takes on the project. None: the method asks with `call.need`.
    """
    text = re.sub(r"^/v\d[^/]*/", r"/v__/", path)
    pattern = re.escape(text).replace("/v__/", r"/v\d\w*/")
    pattern = re.sub(r"\\\{(\w+)\\\*\\\}", r"(?P<\1>.+)", pattern)
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/:]+)", pattern)

    def register(answer: Method) -> Method:
        def checked(call: Call) -> Any:
            if permission:
                call.need(permission, call.service, "")
            return answer(call)

        ROUTES.append(Route(verb, service, re.compile(pattern), checked))
        return answer

    return register


class Google:
    """One project in the cloud: empty, owned by `OWNER`."""

    OWNER = "owner@example.com"

    def __init__(self, project: str = "shop", number: str = "123456789012") -> None:
        self.project = project
        self.number = number
        self.things: dict[tuple[str, str], Json] = {}
        self.policies: dict[tuple[str, str], Json] = {}
        self.objects: dict[tuple[str, str], bytes] = {}
        self.enabled: set[str] = set()
        self.agents: set[str] = set()
        self.requests: list[Request] = []
        self.unknown: list[str] = []
        self.outside: set[str] = set()
        self.lock = threading.RLock()
        self.counter = 0
        self.uploaded: Callable[[str, str], None] = lambda bucket, name: None
        """What an upload of an object starts."""
        sinks = f"projects/{project}/sinks"
        log = f"logging.googleapis.com/projects/{project}/locations/global/buckets/_Default"
        self.things["logging", f"{sinks}/_Default"] = {"name": "_Default", "destination": log}
        self.policies["", ""] = {
            "bindings": [{"role": "roles/owner", "members": [f"user:{self.OWNER}"]}],
            "etag": "BwAAAAAAAAA=",
            "version": 1,
        }

    # -- things ---------------------------------------------------------------------------------

    def next(self) -> int:
        """Return a number that was not there before."""
        self.counter += 1
        return self.counter

    def etag(self) -> str:
        """Return a mark that was not there before."""
        return base64.b64encode(b"%09d" % self.next()).decode()

    def now(self) -> str:
        """Return the time as Google writes it."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def get(self, service: str, name: str) -> Json:
        """Return a thing."""
        if (service, name) not in self.things:
            raise not_found(f"Resource '{name}'")
        return self.things[service, name]

    def put(self, service: str, name: str, thing: Json) -> Json:
        """Keep a new thing."""
        if (service, name) in self.things:
            raise Refused(409, "ALREADY_EXISTS", f"Resource '{name}' already exists.")
        self.things[service, name] = thing
        return thing

    def remove(self, service: str, name: str) -> Json:
        """Drop a thing, what is below it, and their policies."""
        thing = self.get(service, name)
        for kept in (self.things, self.policies):
            for key in [
                key
                for key in kept
                if key[0] == service and (key[1] == name or key[1].startswith(f"{name}/"))
            ]:
                del kept[key]
        return thing

    def below(self, service: str, collection: str) -> list[Json]:
        """Return the things of a collection."""
        depth = collection.count("/") + 1
        return [
            thing
            for (at, name), thing in self.things.items()
            if at == service and name.startswith(f"{collection}/") and name.count("/") == depth
        ]

    def names(self, service: str, kind: str) -> set[str]:
        """Return the short names of all things of a kind."""
        return {
            name.split("/")[-1]
            for at, name in self.things
            if at == service and name.split("/")[-2] == kind
        }

    # -- who may ----------------------------------------------------------------------------------

    def may(self, member: str, permission: str, service: str, name: str, on: str = "") -> bool:
        """Whether a member has a permission on a thing, by its policy or the project's.

        Args:
            member: who asks.
            permission: for what.
            service: the API that keeps the thing.
            name: the thing; "" is the project.
            on: `resource.name` for conditions, where it is not the name.
        """
        policies = [self.policies.get(("", ""), {}), self.policies.get((service, name), {})]
        if service == "storage" and "/objects/" in on:
            policies.append(self.policies.get(("storage", name), {}))
        custom = {
            name: set(thing.get("includedPermissions", ()))
            for (at, name), thing in self.things.items()
            if at == "iam" and "/roles/" in name
        }
        return any(
            member in binding.get("members", ())
            and iam.gives(binding["role"], permission, custom)
            and iam.holds(binding.get("condition"), on or name)
            for policy in policies
            for binding in policy.get("bindings", ())
        )

    def exists(self, member: str) -> bool:
        """Whether an account of the project, or an agent of Google's for it, is there."""
        kind, _, email = member.partition(":")
        if kind != "serviceAccount":
            return True
        if email.endswith(f"@{self.project}.iam.gserviceaccount.com"):
            return ("iam", f"projects/{self.project}/serviceAccounts/{email}") in self.things
        return email in self.agents

    # -- requests ---------------------------------------------------------------------------------

    def answer(
        self, verb: str, host: str, target: str, headers: dict[str, str], raw: bytes
    ) -> tuple[int, Any]:
        """Answer a request; gives status and JSON, or `Bytes`."""
        with self.lock:
            return self._answer(verb, host, target, headers, raw)

    def _answer(
        self, verb: str, host: str, target: str, headers: dict[str, str], raw: bytes
    ) -> tuple[int, Any]:
        split = urlsplit(target)
        label = host.split(".")[0]
        service = re.sub(r"^[a-z]+-[a-z]+\d+-", "", label)
        email = headers.get("authorization", "").removeprefix("Bearer ")
        kind = "serviceAccount" if email.endswith("gserviceaccount.com") else "user"
        call = Call(
            google=self,
            member=f"{kind}:{email}" if email else "allUsers",
            method=verb,
            service=service,
            path=unquote(split.path),
            names={},
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            body={},
            raw=raw,
            headers=headers,
        )
        status: int
        answer: Any
        try:
            if (
                raw
                and "json" in headers.get("content-type", "")
                and not re.match("/(resumable/)?upload/", split.path)
            ):
                call.body = json.loads(raw)
            route = self._route(call, split.path)
            if route is None:
                self.unknown.append(f"{verb} https://{host}{target}")
                raise invalid(f"The stub knows nothing of {verb} {host}{target}")
            if service not in self.enabled | ALWAYS_ON:
                raise Refused(
                    403,
                    "PERMISSION_DENIED",
                    f"{service}.googleapis.com has not been used in project {self.project} before "
                    "or it is disabled.",
                    reason="SERVICE_DISABLED",
                )
            status, answer = 200, route.answer(call)
        except Refused as refused:
            status = refused.code
            answer = {"error": {"code": status, "message": str(refused), "status": refused.status}}
        except Exception:
            status = 400
            self.unknown.append(f"{verb} https://{host}{target}: {traceback.format_exc()}")
            answer = {"error": {"code": 400, "message": traceback.format_exc()}}
        self.requests.append(
            Request(call.member, verb, service, call.path, tuple(call.needed), call.body, status)
        )
        return status, answer

    def _route(self, call: Call, path: str) -> Route | None:
        for route in ROUTES:
            if route.verb == call.method and route.service == call.service:
                match = route.pattern.fullmatch(path)
                if match:
                    call.names = {name: unquote(value) for name, value in match.groupdict().items()}
                    if call.names.get("project") not in (None, self.project, self.number, "-", "_"):
                        raise not_found(f"Project '{call.names['project']}'")
                    return route
        return None


# -- the proxy ------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, google: Google, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.google = google
        self.context = context

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    host = ""
    timeout = 120

    def do_CONNECT(self) -> None:
        """Open a tunnel that ends here, if it is to one of Google's hosts."""
        host = self.path.partition(":")[0]
        if not any(host.endswith(known[1:]) for known in HOSTS):
            self.server.google.outside.add(host)
            self.send_error(403, "Not one of Google's hosts")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.close_connection = False  # "Connection: close" of undici is about the proxy
        self.host = host
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)

    def _do(self) -> None:
        if not self.host:
            self.server.google.outside.add(self.path)
            self.send_error(403, "Not through TLS")
            return
        raw = self._body()
        status, answer = self.server.google.answer(
            self.command,
            self.host,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            raw,
        )
        content = answer.content if isinstance(answer, Bytes) else json.dumps(answer).encode()
        headers = answer.headers if isinstance(answer, Bytes) else {}
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def log_message(self, format: str, *args: object) -> None:
        """Keep silent: `google.requests` has it all."""


@contextmanager
def serving(google: Google, folder: Path) -> Iterator[dict[str, str]]:
    """Serve a project; gives the environment in which tools use it.

    Args:
        google: the project.
        folder: where the authority's certificate is kept, and what gcloud keeps.
    """
    context, authority = _certificates(folder)
    server = _Server(google, context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield {
            "HTTPS_PROXY": proxy,
            "HTTP_PROXY": proxy,
            "https_proxy": proxy,
            "http_proxy": proxy,
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(authority),
            "NODE_EXTRA_CA_CERTS": str(authority),
            "REQUESTS_CA_BUNDLE": str(authority),
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificates(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make an authority, and a certificate of it for Google's hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("Tests", "*.googleapis.com")
    ]
    files = []
    for number, name in enumerate(names):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
        )
        if number:
            hosts = [x509.DNSName(host) for host in HOSTS]
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        made = builder.sign(keys[0], hashes.SHA256())
        file = folder / f"certificate-{number}.pem"
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files.append(file)
    key = folder / "key.pem"
    key.write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], key)
    return context, files[0]
