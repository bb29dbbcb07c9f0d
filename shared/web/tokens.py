"""Verification of callers' tokens: OpenID Connect tokens of Google, assertions of its proxy.

Cloud Run removes the signature of a token that it has checked, and writes
`SIGNATURE_REMOVED_BY_GOOGLE` in its place. Such a token can be trusted only behind Cloud Run.
Elsewhere it is refused, like any other token without a signature. Its claims are always checked.

google.auth checks the signature. The claims are checked here, because `google.oauth2.id_token`

* cannot check the claims of a token without its signature;
* fetches the certificates at every call, so that a stranger could make us ask Google that often;
* accepts a token without a key id, and lets the token choose the algorithm;
* quotes tokens in its errors, and reads the machine's clock instead of the time that it is given.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from google.auth import crypt, exceptions, jwt

from shared.core import NotAdmitted, TryAgain

REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
"""Text that Cloud Run puts in place of a signature that it has checked."""

SKEW_SECONDS = 10
"""Seconds by which the clocks of two machines may differ."""

LONGEST_TOKEN = 8_192
"""Characters of the longest token that is read. Google's tokens have about 800."""

FETCH_SECONDS = 5.0
REFETCH_SECONDS = 60.0
"""Seconds until an unknown key can cause the certificates to be fetched again. So strangers cannot
make us ask Google at every call."""

_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
_LONGEST_AGE = 86_400.0


@dataclass(frozen=True, slots=True)
class Issuer:
    """A service that signs tokens."""

    names: tuple[str, ...]
    """Names of the service in `iss`."""
    algorithm: str
    verifier: type[Any]
    says_verified: bool
    """True if the address is the account's own only where `email_verified` is true; else it always
    is."""


GOOGLE = Issuer(
    ("https://accounts.google.com", "accounts.google.com"), "RS256", crypt.RSAVerifier, True
)
IAP = Issuer(("https://cloud.google.com/iap",), "ES256", crypt.EsVerifier, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCaller:
    """Callers that a function works for."""

    audience: str | None
    """Audience of the callers' tokens: the function's own URL. None: any audience; IAM has checked
    it."""
    accounts: frozenset[str] | None
    """E-mails of the accounts that may call; None: every account that IAM lets through."""
    assertions: str | None = None
    """Audience of the assertions of Identity-Aware Proxy; None: the proxy is not used."""


class Certificates:
    """Certificates of a service that signs tokens, kept for as long as its server says."""

    def __init__(self, url: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._now = now
        self._lock = threading.Lock()
        self._known: Mapping[str, str] = {}
        self._fetched_at = self._good_until = float("-inf")

    def for_key(self, key_id: str) -> Mapping[str, str]:
        """Return key id -> certificate (PEM), fetched again if these are old or lack that key.

        Raises:
            TryAgain: the certificates are needed and could not be fetched.
        """
        with self._lock:
            now = self._now()
            missing = key_id not in self._known and now >= self._fetched_at + REFETCH_SECONDS
            if now >= self._good_until or missing:
                self._known, age = _fetch(self.url)
                self._fetched_at, self._good_until = now, now + age
            return self._known


def _fetch(url: str) -> tuple[Mapping[str, str], float]:
    """Return key id -> certificate, and for how many seconds the certificates are valid."""
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
        NotAdmitted: the token is not valid (401), or its account is not allowed (403). The text
            never quotes the token.
        TryAgain: the certificates could not be fetched.
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
    """Return the e-mail that a token names, if its claims are right."""
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
