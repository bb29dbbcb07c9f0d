"""Routes of the status page: answers each request with a page or a report, and its headers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import google.cloud.storage as storage

from shared.core import SettingsError, TryAgain, log, log_failure
from shared.files.types import known_type
from shared.gcp.storage import ObjectReader, find_object
from shared.ledger import ENDED, Import
from shared.mail import message_bytes
from shared.reporting import report_names
from shared.services import Services
from shared.status.chart import files_chart, rows_chart
from shared.status.data import detail, find, overview
from shared.status.query import Asked, BadQuery, NotFound
from shared.status.rejected_rows import first_rows
from shared.status.rendering import POLICY, render
from shared.status.search import search

REFRESH_SECONDS = 10
"""Seconds between two refreshes while an import is under way."""
REST_SECONDS = 60
"""Seconds between two refreshes while no import is under way."""

PATIENCE_SECONDS = 15.0
"""Longest wait for the ledger: shorter than the function's timeout, so that a page can say so."""

_CHUNK_BYTES = 256 * 1024

_CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The parts of an HTTP request that the pages use."""

    method: str
    path: str
    query: Mapping[str, str]
    person: str = ""
    """Verified e-mail address of the caller; empty on one machine, where nobody signs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """The answer to a request."""

    status: int
    body: str | Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(request: Request, services: Callable[[], Services]) -> PageAnswer:
    """Return the answer to a request; every error gives a page with its message.

    `services` is called inside, so that errors in the settings give a page, too.
    """
    if request.method not in ("GET", "HEAD"):
        return _refused(405, "This page is only for reading.", Allow="GET, HEAD")
    if not _is_here(request.path):
        return _refused(404, "There is no such page here.")
    try:
        asked, connected = Asked.read(request.query), services()
        ledger = connected.ledger.within(PATIENCE_SECONDS)
        return _answer(asked, request, replace(connected, ledger=ledger))
    except BadQuery as error:
        return _refused(400, str(error))
    except NotFound as error:
        return _refused(404, str(error))
    except TryAgain as error:
        log("WARNING", f"The page could not be shown: {error}")
        service = "Cloud Storage" if "Cloud Storage" in str(error) else "Firestore"
        message = f"{service} is not responding."
        return _refused(503, message, **{"Retry-After": str(REFRESH_SECONDS)})
    except SettingsError as error:
        log("ERROR", f"The page cannot be shown: {error}")
        return _refused(500, f"A setting of the deployment has an error. {error}.")
    except Exception as error:
        log_failure("The page failed.", error)
        return _refused(500, "An unexpected error of this page. Read the function's log.")


def _answer(asked: Asked, request: Request, services: Services) -> PageAnswer:
    if asked.download:
        return _download(asked, request, services)
    if asked.mail:
        return _message(asked, request, services)
    if asked.import_id:
        return _page_of_import(asked, request, services)
    if asked.q:
        if asked.reveal:
            _log_search(request)
        hits = search(asked.q, services, reveal=asked.reveal)
        return _page("found.html", asked=asked, hits=hits, now=services.now())
    if asked.narrowed:
        return _page("search.html", asked=asked, found=find(asked, services), now=services.now())
    if not asked.connection:
        asked = replace(asked, reveal=False)  # only a connection's page has something to reveal
    if asked.reveal:
        _log_look(request, asked.connection, "addresses of mails")
    seen = overview(asked, services)
    busy = bool(seen.under_way)
    return _page(
        "overview.html",
        asked=asked,
        seen=seen,
        found=seen.found,
        rows_chart=rows_chart(seen.days),
        files_chart=files_chart(seen.days),
        sftp=services.deployment.sftp_address,
        now=services.now(),
        deadline=services.deployment.orders_deadline,
        refresh=None
        if asked.still or asked.reveal
        else (REFRESH_SECONDS if busy else REST_SECONDS),
    )


def _page_of_import(asked: Asked, request: Request, services: Services) -> PageAnswer:
    seen = detail(asked.connection, asked.import_id, services)
    if seen is None:
        raise NotFound(
            f"There is no import {asked.import_id} in the connection {asked.connection}."
        )
    import_ = seen.import_
    rows, rows_fault = None, ""
    if import_.reports.rejected:
        if asked.reveal:
            _log_look(request, import_.connection, "rejected rows", import_)
        try:
            type_ = known_type(import_.type)
            rows = first_rows(services.bucket, import_.reports.rejected, type_, reveal=asked.reveal)
        except TryAgain as error:
            rows_fault = str(error)
    return _page(
        "import.html",
        asked=asked,
        seen=seen,
        one=import_,
        zone=seen.zones.of(import_.connection),
        rows=rows,
        rows_fault=rows_fault,
        reports=report_names(import_),
        now=services.now(),
        deadline=services.deployment.orders_deadline,
        refresh=None if asked.still or import_.status in ENDED else REFRESH_SECONDS,
    )


def _download(asked: Asked, request: Request, services: Services) -> PageAnswer:
    import_ = services.ledger.import_(asked.connection, asked.import_id)
    name = report_names(import_).get(asked.download) if import_ else None
    if import_ is None or name is None:
        raise NotFound(
            f"There is no {asked.download} file of {asked.import_id} in the connection "
            f"{asked.connection}."
        )
    blob = find_object(services.bucket, name)
    if blob is None:
        raise NotFound(f"{name} is no longer kept.")
    if asked.download == "rejected":
        _log_look(request, import_.connection, "rejected file", import_)
    file = name.rpartition("/")[2]
    kind = _CONTENT_TYPES.get(file[file.rfind(".") :], "application/octet-stream")
    return _attachment(request, file, kind, blob.size, _content(blob))


def _message(asked: Asked, request: Request, services: Services) -> PageAnswer:
    """Return a mail as the message that was sent, for a mail program."""
    document = services.ledger.mail(asked.mail)
    try:
        content = message_bytes(document) if document else None
    except (ValueError, KeyError, TypeError, AttributeError):
        content = None
    if content is None:
        raise NotFound(f"There is no mail {asked.mail}, or it is no longer kept.")
    _log_look(request, asked.connection, "mail")
    return _attachment(request, f"{asked.mail}.eml", "message/rfc822", len(content), (content,))


def _attachment(
    request: Request, file: str, content_type: str, size: int, content: Iterable[bytes]
) -> PageAnswer:
    """Return the answer that a browser saves as a file."""
    return PageAnswer(
        status=200,
        body=() if request.method == "HEAD" else content,
        headers={
            **_HEADERS,
            "Content-Type": content_type,
            "Content-Length": str(size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file, safe='')}",
        },
    )


def _content(blob: storage.Blob) -> Iterator[bytes]:
    """Yield an object's bytes in chunks.

    Raises:
        TryAgain: Cloud Storage could not be reached, or the object was replaced meanwhile. The
            answer then ends early, and the client sees that from the missing length.
    """
    file = ObjectReader(blob, chunk=_CHUNK_BYTES)
    try:
        while data := file.read(_CHUNK_BYTES):
            yield data
    except TryAgain as error:
        log("WARNING", f"A download broke off. {error}", object=blob.name)
        raise


# -- answers ----------------------------------------------------------------------------------

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_TITLES = {
    400: "Unknown filter",
    404: "Not found",
    405: "Not possible",
    500: "Out of order",
    503: "Not available now",
}


def _page(template: str, **values: Any) -> PageAnswer:
    return PageAnswer(
        status=200,
        body=render(template, **values),
        headers={**_HEADERS, "Content-Type": "text/html; charset=utf-8"},
    )


def _refused(status: int, message: str, **headers: str) -> PageAnswer:
    """Return a page with an error message; a page with status 503 refreshes automatically."""
    refresh = REFRESH_SECONDS if status == 503 else None
    title = _TITLES[status]
    page = _page("refusal.html", asked=Asked(), title=title, message=message, refresh=refresh)
    return PageAnswer(status=status, body=page.body, headers={**page.headers, **headers})


def _is_here(path: str) -> bool:
    """True if a path is that of the pages: `/`, or one that ends in the function's name."""
    name = os.environ.get("K_SERVICE", "status")
    return path.rstrip("/").rpartition("/")[2] in ("", name)


def _log_search(request: Request) -> None:
    log(
        "NOTICE",
        "Personal data has been looked at: documents that a search found.",
        who=request.person or "unknown",
    )


def _log_look(request: Request, connection: str, what: str, import_: Import | None = None) -> None:
    about = {"importId": import_.import_id, "generation": import_.generation} if import_ else {}
    log(
        "NOTICE",
        f"Personal data has been looked at: {what}.",
        who=request.person or "unknown",
        connection=connection,
        **about,
    )
