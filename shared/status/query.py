"""The query part of the status page's address: read from a request, written into links.

Example: `?connection=au&type=orders&status=failed&since=2023-05-01`.

Every link begins with `?`. So links work wherever the function is mounted: at `/`, at `/status`, or
at the path of a load balancer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal
from urllib.parse import urlencode

from shared.core import IngestError, midnight
from shared.files import TYPES, is_connection
from shared.ledger import Status, Which
from shared.reporting import FACES, GROUPS

LONGEST_NAME = 200
"""Characters of the longest name that can be searched for."""
LONGEST_ID = 1_500
"""Bytes of the longest id that Firestore accepts."""

Download = Literal["rejected", "report", "summary"]


class BadQuery(IngestError):
    """A filter of the address has an invalid value; the message says which values are valid."""


class NotFound(IngestError):
    """The import or report does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The query of a request; an empty text filters nothing."""

    q: str = ""
    """Name to search for: an import id, a file name, or the key of a document."""
    connection: str = ""
    type: str = ""
    status: str = ""
    """A status, or one of `shared.reporting.statuses.GROUPS`."""
    since: date | None = None
    """First day of upload."""
    until: date | None = None
    """Last day of upload."""
    after: tuple[datetime, str, str] | None = None
    """Upload time, connection and id of the import after which the page begins."""
    import_id: str = ""
    """The import whose page is requested."""
    download: str = ""
    """The report of that import which is requested: `rejected`, `report` or `summary`."""
    mail: str = ""
    """Id of a mail that is downloaded as a message."""
    reveal: bool = False
    """True: personal data is shown."""
    still: bool = False
    """True: the page does not refresh."""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        """Return the query of an address; unknown parts are ignored.

        Raises:
            BadQuery: a part has an invalid value.
        """
        asked = cls(
            q=_read(query, "q", _is_name, f"at most {LONGEST_NAME} characters").strip(),
            connection=_read(query, "connection", is_connection, _CONNECTION),
            type=_read(query, "type", TYPES.__contains__, f"one of {', '.join(TYPES)}"),
            status=_read(query, "status", _STATUSES.__contains__, f"one of {', '.join(_STATUSES)}"),
            since=_day(query, "since"),
            until=_day(query, "until"),
            after=_after(query.get("after", "")),
            import_id=_read(query, "import", is_id, "the id of an import"),
            download=_read(query, "download", _is_word, "the name of a report"),
            mail=_read(query, "mail", is_id, "the id of a mail"),
            reveal=_switch(query, "reveal"),
            still=_switch(query, "still"),
        )
        if asked.since and asked.until and asked.since > asked.until:
            raise BadQuery("The first day, `since`, is after the last day, `until`.")
        if asked.import_id and not asked.connection:
            raise BadQuery("`import` needs `connection`, too: each connection has its own ids.")
        if asked.download and not asked.import_id:
            raise BadQuery("`download` needs `import`, too.")
        if asked.mail and asked.mail.partition("~")[0] != asked.connection:
            raise BadQuery("`mail` needs the `connection` of the mail, too.")
        return asked

    @property
    def narrowed(self) -> bool:
        """True if there is a filter besides the connection, so that the page is a search."""
        return bool(self.type or self.status or self.since or self.until or self.after)

    def which(self, zone: tzinfo) -> Which:
        """Return the filter of the ledger; days begin and end in `zone`."""
        return Which(
            connection=self.connection or None,
            type=self.type or None,
            statuses=_STATUSES.get(self.status, ()),
            since=midnight(self.since, zone) if self.since else None,
            before=midnight(self.until + timedelta(days=1), zone) if self.until else None,
            after=self.after,
        )

    def link(self, **changes: object) -> str:
        """Return the link to a page with this query, except for `changes`."""
        target = replace(self, **changes)  # type: ignore[arg-type]
        query = {}
        for spec in fields(target):
            value = getattr(target, spec.name)
            if value not in ("", None, False):
                query[_NAMES.get(spec.name, spec.name)] = _text(value)
        return f"?{urlencode(query)}"


_STATUSES: Mapping[str, tuple[Status, ...]] = {
    **{status: (status,) for status in FACES},
    **GROUPS,
}
_CONNECTION = "up to 39 of a-z, 0-9, _ and -, and none of the folders' names"
_NAMES = {"import_id": "import"}


def _read(query: Mapping[str, str], name: str, fits: Callable[[str], bool], expected: str) -> str:
    value = query.get(name, "")
    if value and not fits(value):
        raise BadQuery(f"`{name}` must be {expected}.")
    return value


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadQuery(f"`{name}` must be a day such as 2026-11-30.") from None
    if not 1970 <= day.year <= 2999:
        raise BadQuery(f"`{name}` must be a day between 1970 and 2999.")
    return day


def _switch(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "").strip()
    if text not in ("", "0", "1"):
        raise BadQuery(f"`{name}` must be 1, or left out.")
    return text == "1"


def _after(text: str) -> tuple[datetime, str, str] | None:
    if not text:
        return None
    time, _, rest = text.partition(" ")
    connection, _, import_id = rest.partition(" ")
    try:
        moment = datetime.fromisoformat(time)
        if moment.utcoffset() is None or not is_connection(connection) or not is_id(import_id):
            raise ValueError
        if not 1970 <= moment.year <= 2999:  # in other years a zone may overflow the calendar
            raise ValueError
    except ValueError:
        raise BadQuery("`after` is not a link of this page. Begin at the newest imports.") from None
    return moment, connection, import_id


def is_id(text: str) -> bool:
    """Return True if a text can be the id of a document in Firestore."""
    return (
        0 < len(text.encode("utf-8", "surrogatepass")) <= LONGEST_ID
        and text.isprintable()
        and "/" not in text
        and text not in (".", "..")
        and not (text.startswith("__") and text.endswith("__"))
    )


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and text.isprintable() and _encodes(text)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_word(text: str) -> bool:
    return text.isalpha() and len(text) <= 20


def _text(value: object) -> str:
    match value:
        case bool():
            return "1"
        case date():
            return value.isoformat()
        case (datetime() as time, connection, import_id):
            return f"{time.isoformat()} {connection} {import_id}"
        case _:
            return str(value)
