"""Admission: finds out who calls a function, and lets in only the callers it works for.

In the cloud, IAM lets nobody else through in the first place; this looks again, so that a function
that was opened by mistake still works for its own callers only. A caller proves who it is with an
OpenID Connect token. Identity-Aware Proxy, `gcloud run services proxy` and others that keep
`Authorization` free for the service send it in `X-Serverless-Authorization`. Cloud Run checks that
header first, so it is read first here, too.

Cloud Run takes the signature off a token that it has checked itself, and writes
`SIGNATURE_REMOVED_BY_GOOGLE` in its place. Such a token can only be believed behind Cloud Run,
which sets `K_SERVICE`; anywhere else it is refused like any other without a signature. What a
token says is checked in either case.

Behind Identity-Aware Proxy that token names the proxy. The person is named by the assertion in
`X-Goog-IAP-JWT-Assertion`, which the proxy signs. It is read where `IAP_AUDIENCE` says which one is
meant for this page. No header without a signature, such as `X-Goog-Authenticated-User-Email`, says
who somebody is.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import flask
import requests
from google.auth import crypt, exceptions, jwt

from shared.core import ENVIRONMENT, Deployment, NotAdmitted, SettingsError, TryAgain, log
from shared.wiring import services

TOKEN_HEADERS = ("X-Serverless-Authorization", "Authorization")
"""Headers that carry a caller's token, the one that counts first."""

ASSERTION_HEADER = "X-Goog-IAP-JWT-Assertion"
"""Header in which Identity-Aware Proxy names the person."""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Names by which a browser on the same machine may ask. Any other name may be a website's that
points here, so that its scripts could read the answer."""

REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
"""What Cloud Run leaves of a signature that it has checked."""

SKEW_SECONDS = 10
"""How far the clocks of two machines may be apart."""

LONGEST_TOKEN = 8_192
"""Characters of the longest token that is looked at; Google's have about 800."""

FETCH_SECONDS = 5.0
REFETCH_SECONDS = 60.0
"""How long no unknown key makes us ask for certificates again, so that nobody can have us ask
Google at every call."""

_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
_LONGEST_AGE = 86_400.0


@dataclass(frozen=True, slots=True)
class Issuer:
    """A service that signs tokens."""

    names: tuple[str, ...]
    """What it calls itself in `iss`."""
    algorithm: str
    verifier: type[Any]
    says_verified: bool
    """Whether `email_verified` says if the address is the account's own; else it always is."""


GOOGLE = Issuer(
    ("https://accounts.google.com", "accounts.google.com"), "RS256", crypt.RSAVerifier, True
)
IAP = Issuer(("https://cloud.google.com/iap",), "ES256", crypt.EsVerifier, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCaller:
    """Whom a function works for."""

    audience: str | None
    """What its callers' tokens are meant for: its own URL. None: anything; IAM has judged it."""
    accounts: frozenset[str] | None
    """E-mails of the accounts that may call; None: every one that IAM lets through."""
    assertions: str | None = None
    """What the assertions of Identity-Aware Proxy are meant for; None: it is not in front."""


class Certificates:
    """The certificates of whoever signs the tokens, kept for as long as their server says."""

    def __init__(self, url: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._now = now
        self._lock = threading.Lock()
        self._known: Mapping[str, str] = {}
        self._fetched_at = self._good_until = float("-inf")

    def for_key(self, key_id: str) -> Mapping[str, str]:
        """Return key id -> certificate (PEM), fetched anew if these are old or lack that key.

        Raises:
            TryAgain: they are needed and cannot be had.
        """
        with self._lock:
            now = self._now()
            missing = key_id not in self._known and now >= self._fetched_at + REFETCH_SECONDS
            if now >= self._good_until or missing:
                self._known, age = _fetch(self.url)
                self._fetched_at, self._good_until = now, now + age
            return self._known


def _fetch(url: str) -> tuple[Mapping[str, str], float]:
    """Return key id -> certificate, and for how many seconds they are good."""
    try:
        answer = requests.get(url, timeout=FETCH_SECONDS)
        answer.raise_for_status()
        found = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise TryAgain(f"The certificates cannot be had: {type(error).__name__}.") from None
    if not isinstance(found, dict) or not all(isinstance(pem, str) for pem in found.values()):
        raise TryAgain("The certificates cannot be had: the answer is not a map of them.")
    age = _MAX_AGE.search(answer.headers.get("Cache-Control", ""))
    return found, min(float(age[1]) if age else 0.0, _LONGEST_AGE)


def admit(
    token: str,
    expected: AllowedCaller,
    certificates: Certificates,
    *,
    now: datetime,
    issuer: Issuer = GOOGLE,
    behind_cloud_run: bool = False,
) -> str:
    """Return the e-mail of the account that a token proves.

    Raises:
        NotAdmitted: it proves nothing (401), or somebody else (403). The text never quotes it.
        TryAgain: the certificates cannot be had.
    """
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise NotAdmitted("The token is not one that can be read.", status=401)
    try:
        head = jwt.decode_header(token)  # type: ignore[no-untyped-call]
        claims = jwt.decode(token, verify=False)  # type: ignore[no-untyped-call]
    except (ValueError, RecursionError, exceptions.GoogleAuthError):
        raise NotAdmitted("The token is not one that can be read.", status=401) from None
    if not (behind_cloud_run and token.endswith(f".{REMOVED}")):
        _check_signature(token, head, certificates, issuer)
    return _judge(claims, expected, issuer, now=now.timestamp())


class Headers(Protocol):
    """Headers of a request, by names in any case."""

    def get(self, key: str, /) -> str | None:
        """Return a header; None where it is missing."""


def bearer(headers: Headers) -> str:
    """Return the token that a request carries; see `TOKEN_HEADERS`.

    Raises:
        NotAdmitted: it carries none.
    """
    header = next((value for name in TOKEN_HEADERS if (value := headers.get(name))), "")
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token:
        raise NotAdmitted("The request carries no token.", status=401)
    return token


def _check_signature(
    token: str, head: Mapping[str, Any], certificates: Certificates, issuer: Issuer
) -> None:
    key_id = head.get("kid")
    if head.get("alg") != issuer.algorithm or not isinstance(key_id, str):
        raise NotAdmitted("The token is not signed as Google signs.", status=401)
    certificate = certificates.for_key(key_id).get(key_id)
    message, _, signature = token.rpartition(".")
    if certificate is None or not crypt.verify_signature(  # type: ignore[no-untyped-call]
        message.encode(),
        base64.urlsafe_b64decode(f"{signature}==="),
        certificate,
        issuer.verifier,
    ):
        raise NotAdmitted("The token's signature is not right.", status=401)


def _judge(
    claims: Mapping[str, Any], expected: AllowedCaller, issuer: Issuer, *, now: float
) -> str:
    """Return the e-mail that a token names, if what it says is right."""
    issued, expires = _time(claims.get("iat")), _time(claims.get("exp"))
    email = claims.get("email")
    if issued is None or expires is None:
        raise NotAdmitted("The token does not say when it is good.", status=401)
    if not issued - SKEW_SECONDS <= now <= expires + SKEW_SECONDS:
        raise NotAdmitted("The token has expired, or is not good yet.", status=401)
    if claims.get("iss") not in issuer.names:
        raise NotAdmitted("The token is not Google's.", status=401)
    if expected.audience is not None and claims.get("aud") != expected.audience:
        raise NotAdmitted("The token is meant for another service.", status=401)
    verified = not issuer.says_verified or claims.get("email_verified") is True
    if not isinstance(email, str) or not email or not verified:
        raise NotAdmitted("The token names no account that was verified.", status=403)
    if expected.accounts is not None and email not in expected.accounts:
        raise NotAdmitted("The account may not call this function.", status=403)
    return email


def _time(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


# -- the doors of the functions ---------------------------------------------------------------


def tasks_only(deployment: Deployment) -> AllowedCaller:
    """Whom `load` works for: Cloud Tasks, with the tasks' own service account."""
    return _only(deployment, "load_url", "tasks_service_account")


def scheduler_only(deployment: Deployment) -> AllowedCaller:
    """Whom `sweep` works for: Cloud Scheduler, with the job's own service account."""
    return _only(deployment, "sweep_url", "scheduler_service_account")


def people(deployment: Deployment) -> AllowedCaller:
    """Whom `status` works for: whoever IAM lets through.

    People's tokens are meant for the tool they were made with, such as gcloud, so there is no one
    audience to expect, and their accounts are listed in one place: in IAM.
    """
    return AllowedCaller(audience=None, accounts=None, assertions=deployment.iap_audience or None)


def _only(deployment: Deployment, audience: str, account: str) -> AllowedCaller:
    for name in (audience, account):
        if not getattr(deployment, name):
            raise SettingsError(ENVIRONMENT[name], "it is not set, so that nobody can be let in")
    return AllowedCaller(
        audience=getattr(deployment, audience), accounts=frozenset({getattr(deployment, account)})
    )


Door = Callable[[Deployment], AllowedCaller]
"""Says whom a function works for. Raises SettingsError where the settings do not tell."""

Handler = Callable[[flask.Request], Any]


def guarded(door: Door, *, open_here: bool = False) -> Callable[[Handler], Handler]:
    """Let a function work for those only whom the door expects; `caller` says who it is.

    Anybody else is answered 401 or 403 with the reason in JSON. What keeps a caller from being
    judged is raised: SettingsError while a setting is missing, TryAgain while the certificates
    cannot be had.

    Args:
        door: whom the function works for.
        open_here: whether a browser on the same machine needs no token outside the cloud.
    """

    def guard(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def guarded_handler(request: flask.Request) -> Any:
            in_cloud = bool(os.environ.get("K_SERVICE"))
            try:
                if open_here and not in_cloud and _from_this_machine(request):
                    flask.g.caller = ""
                else:
                    flask.g.caller = check(request, door, in_cloud=in_cloud)
            except NotAdmitted as error:
                return _refused(request, error)
            return handler(request)

        return guarded_handler

    return guard


def caller() -> str:
    """Return the e-mail that the present request's caller has proved; empty on this machine."""
    return flask.g.get("caller") or ""


def check(request: flask.Request, door: Door, *, in_cloud: bool) -> str:
    """Return the e-mail of a request's caller, who is somebody that a door expects.

    Raises:
        NotAdmitted: the caller is not.
        SettingsError: a setting that says who is expected is missing.
        TryAgain: the certificates cannot be had.
    """
    deployment = services().deployment
    expected = door(deployment)
    account = admit(
        bearer(request.headers),
        expected,
        _certificates(deployment.oidc_certs_url),
        now=services().now(),
        behind_cloud_run=in_cloud,
    )
    assertion = request.headers.get(ASSERTION_HEADER)
    if expected.assertions is None or assertion is None:
        return account
    return admit(
        assertion,
        AllowedCaller(audience=expected.assertions, accounts=None),
        _certificates(deployment.iap_keys_url),
        now=services().now(),
        issuer=IAP,
    )


def _refused(
    request: flask.Request, error: NotAdmitted
) -> tuple[dict[str, str], int, dict[str, str]]:
    log(
        "WARNING",
        f"A request was not let in: {error}",
        status=error.status,
        address=request.remote_addr,
        agent=request.headers.get("User-Agent", "")[:100],
    )
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return {"error": str(error)}, error.status, headers


def _from_this_machine(request: flask.Request) -> bool:
    """Whether a request comes from this machine.

    Raises:
        NotAdmitted: it does, but asks for a name that is not this machine's own.
    """
    try:
        if not ipaddress.ip_address(request.remote_addr or "").is_loopback:
            return False
        host = urlsplit(f"//{request.host}").hostname
    except ValueError:
        return False
    if host not in LOCAL_HOSTS:
        raise NotAdmitted(f"Open this page as {LOCAL_HOSTS[0]} or {LOCAL_HOSTS[1]}.", status=403)
    return True


@functools.cache
def _certificates(url: str) -> Certificates:
    return Certificates(url)
