"""Admission: finds out who calls a function, and lets in only the callers that are allowed.

In the cloud, IAM lets nobody else through. This check is a second one: if a function is opened by
mistake, it still works only for its own callers. A caller proves its identity with an OpenID
Connect token. Identity-Aware Proxy, `gcloud run services proxy` and others keep `Authorization`
free for the service, and send the token in `X-Serverless-Authorization`. Cloud Run checks that
header first, so it is read first here, too. Cloud Run sets `K_SERVICE`.

Behind Identity-Aware Proxy that token names the proxy. The assertion in `X-Goog-IAP-JWT-Assertion`
names the person; the proxy signs it. It is read if `IAP_AUDIENCE` gives the audience of assertions
for this page. Headers without a signature, such as `X-Goog-Authenticated-User-Email`, are not used.
"""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import flask

from shared import wiring
from shared.core import ENVIRONMENT, Deployment, NotAdmitted, SettingsError, log
from shared.web.tokens import IAP, AllowedCaller, Certificates, admit

TOKEN_HEADERS = ("X-Serverless-Authorization", "Authorization")
"""Headers that carry a caller's token. The first one that is set counts."""

ASSERTION_HEADER = "X-Goog-IAP-JWT-Assertion"
"""Header in which Identity-Aware Proxy names the person."""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Names by which a browser on the same machine may open the page. A website may point another name
at this machine, so that its scripts could read the answer."""


def tasks_only(deployment: Deployment) -> AllowedCaller:
    """Return the caller that `load` allows: Cloud Tasks, with the tasks' own service account."""
    return _only(deployment, "load_url", "tasks_service_account")


def scheduler_only(deployment: Deployment) -> AllowedCaller:
    """Return the caller that `sweep` allows: Cloud Scheduler, with the job's own account."""
    return _only(deployment, "sweep_url", "scheduler_service_account")


def people(deployment: Deployment) -> AllowedCaller:
    """Return the callers that `status` allows: everybody that IAM lets through.

    People's tokens have the audience of the tool that made them, such as gcloud. So no single
    audience can be expected. The list of people's accounts is in one place: in IAM.
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
"""Function that returns the callers that are allowed. Raises SettingsError if a setting for them is
missing."""

Handler = Callable[[flask.Request], Any]


def guarded(door: Door, *, open_here: bool = False) -> Callable[[Handler], Handler]:
    """Let a function work only for the callers that the door allows. `caller` returns the account.

    Anybody else is answered 401 or 403 with the reason in JSON. If a caller cannot be judged, an
    error is raised: SettingsError while a setting is missing, TryAgain while there are no
    certificates.

    Args:
        door: returns the callers that are allowed.
        open_here: True to require no token of a browser on the same machine, outside the cloud.
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
    """Return the e-mail that the present request's caller has proved; empty for this machine."""
    return flask.g.get("caller") or ""


def check(request: flask.Request, door: Door, *, in_cloud: bool) -> str:
    """Return the e-mail of a request's caller, if the door allows it.

    Raises:
        NotAdmitted: the caller is not allowed.
        SettingsError: a setting that names the allowed callers is missing.
        TryAgain: the certificates could not be fetched.
    """
    deployment = wiring.services().deployment
    expected = door(deployment)
    account = admit(
        _bearer(request),
        expected,
        _certificates(deployment.oidc_certs_url),
        now=wiring.services().now(),
        behind_cloud_run=in_cloud,
    )
    assertion = request.headers.get(ASSERTION_HEADER)
    if expected.assertions is None or assertion is None:
        return account
    return admit(
        assertion,
        AllowedCaller(audience=expected.assertions, accounts=None),
        _certificates(deployment.iap_keys_url),
        now=wiring.services().now(),
        issuer=IAP,
    )


def _bearer(request: flask.Request) -> str:
    """Return the token that a request carries; see `TOKEN_HEADERS`.

    Raises:
        NotAdmitted: the request carries no token.
    """
    found = filter(None, map(request.headers.get, TOKEN_HEADERS))
    kind, _, token = next(found, "").partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token:
        raise NotAdmitted("The request carries no token.", status=401)
    return token


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
    """True if a request comes from this machine.

    Raises:
        NotAdmitted: the request comes from this machine, but asks for another name.
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
