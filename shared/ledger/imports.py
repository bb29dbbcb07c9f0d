"""The record of one import: its fields, its statuses, and the allowed transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from shared.core import Problem, camel
from shared.files import Mode
from shared.files.types import known_type, waiting_for
from shared.ledger.feeds import Age
from shared.ledger.split import Split

Status = Literal[
    "received",
    "waiting",
    "scheduled",
    "blocked",
    "overdue",
    "loading",
    "loaded",
    "loaded_with_rejects",
    "checked",
    "rejected",
    "failed",
    "superseded",
]

PENDING: frozenset[Status] = frozenset({"received", "waiting", "scheduled", "blocked", "overdue"})
"""Statuses of imports that have not begun, or will be retried."""

LOADED: frozenset[Status] = frozenset({"loaded", "loaded_with_rejects"})
"""Statuses of imports whose good rows are all in Firestore."""

ENDED_WELL: frozenset[Status] = LOADED | {"checked"}
"""Statuses of imports whose file may move to `processed/`."""

ENDED: frozenset[Status] = ENDED_WELL | {"rejected", "failed", "superseded"}
"""Statuses of imports that have ended. Only a replay or a new upload continues them."""

NEXT: dict[Status, frozenset[Status]] = {
    "received": frozenset({"scheduled", "waiting", "blocked", "overdue", "loading", "rejected"}),
    "waiting": frozenset({"waiting", "scheduled", "blocked", "overdue", "loading", "rejected"}),
    "scheduled": frozenset(
        {"scheduled", "waiting", "blocked", "overdue", "loading", "failed", "rejected"}
    ),
    "blocked": frozenset({"blocked", "scheduled", "waiting", "overdue", "loading", "rejected"}),
    "overdue": frozenset({"overdue", "waiting", "scheduled", "blocked", "loading", "rejected"}),
    "loading": frozenset(
        {"loading", "loaded", "loaded_with_rejects", "checked", "rejected", "failed", "scheduled"}
    ),
    "loaded": frozenset({"scheduled"}),
    "loaded_with_rejects": frozenset({"scheduled"}),
    "checked": frozenset({"scheduled"}),
    "rejected": frozenset({"scheduled"}),
    "failed": frozenset({"scheduled"}),
    "superseded": frozenset(),
}
"""Status -> statuses that may follow. Any status except `superseded` may become `superseded`.

An ended import becomes `scheduled` again only by a replay. An import that has not begun becomes
`rejected` if its file is judged before its time, see `Judged`.
"""

HISTORY_LIMIT = 100
"""Entries of history in the document. The first entry is kept, and the latest ones."""

WARNINGS_LIMIT = 50
"""Warnings in the document; the report has all."""


class IllegalTransition(Exception):
    """A change of status that `NEXT` does not allow: a mistake in the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one worker to work on an import until it expires."""

    owner: str
    expires_at: datetime

    def live(self, now: datetime) -> bool:
        """True if the lease has not expired, so that the worker may still be working."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Rows of a file by outcome.

    At the end of an import, `read = loaded + unchanged + outdated + rejected`.
    """

    read: int = 0
    loaded: int = 0
    """Rows whose document now has the values of this file."""
    unchanged: int = 0
    """Good rows that changed nothing: the document was up to date, or a later row of the same key
    counts."""
    outdated: int = 0
    """Good rows that are older than the stored document."""
    rejected: int = 0
    orphaned: int = 0
    """Loaded orders whose customer is not in Firestore. Counts orders, not rows."""

    @property
    def settled(self) -> int:
        """Rows that have an outcome."""
        return self.loaded + self.unchanged + self.outdated + self.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a running import."""

    bytes_read: int = 0
    percent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Object names of the reports; None for a report that was not needed."""

    rejected: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The result of reading a file that waits: it can be used. Nothing of it is loaded yet."""

    at: datetime
    read: int
    """Rows that were read."""
    rejected: int
    """Rows among them that will be rejected."""
    whole: bool
    """False for a large file, of which only the beginning was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change of status."""

    at: datetime
    status: Status
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """The handling of one export file: the document `connections/{connection}/imports/{id}`."""

    connection: str
    import_id: str
    file: str
    object: str
    bucket: str
    generation: int
    type: str | None
    mode: Mode
    exported_at: datetime | None
    uploaded_at: datetime
    size: int
    crc32c: str
    status: Status = "received"
    status_text: str = ""
    scheduled_for: datetime | None = None
    """Earliest start."""
    paired_with: str | None = None
    """Import id of the file that it waits for, once that has arrived; see `waits_for`."""
    blocked_by: str | None = None
    """Import id of the import that must end first."""
    released: bool = False
    """True if a person released the import: it loads without its missing customers file."""
    task: str | None = None
    """Id of the Cloud Task that will load the import."""
    task_number: int = 0
    """Tasks made for this import so far; part of a task's id, so that ids are never reused."""
    attempt: int = 0
    """Attempts since the import was received or replayed."""
    replay: bool = False
    """True if documents that this import wrote before are written again."""
    force: bool = False
    """True if a replay runs although newer files may have confirmed rows in a lost index."""
    undone: datetime | None = None
    """Time at which the import was undone; None: it was not."""
    lease: Lease | None = None
    judged: Judged | None = None
    """What reading the file has found while it waits; None: not read yet, or begun."""
    rows: RowCounts = field(default_factory=RowCounts)
    progress: Progress = field(default_factory=Progress)
    split: Split | None = None
    """The splitting of a file that is, or was, loaded in shards; None: in one piece."""
    warnings: tuple[dict[str, Any], ...] = ()
    error: Problem | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expire_at: datetime | None = None
    """Earliest deletion from the ledger; the field of the collection's TTL policy."""
    seconds: float | None = None
    """Seconds from the start of the last attempt to the end."""
    reports: Reports = field(default_factory=Reports)
    history: tuple[HistoryEntry, ...] = ()

    @property
    def waits_for(self) -> str | None:
        """The type of the file that it waits for, e.g. `customers`; None where it waits for none,
        as a dry run does."""
        type_ = known_type(self.type)
        return type_.waits_for if type_ is not None and self.mode != "test" else None

    @property
    def goes_after(self) -> str | None:
        """The type whose files go first, e.g. `customers` for rewards; see `waits_for`."""
        type_ = known_type(self.type)
        return type_.goes_after if type_ is not None and self.mode != "test" else None

    @property
    def awaited_by(self) -> tuple[str, ...]:
        """The types whose files may wait for it, e.g. `orders`; see `waits_for`."""
        waiting = waiting_for(self.type) if self.mode != "test" else ()
        return tuple(type_.name for type_ in waiting)

    @property
    def age(self) -> Age | None:
        """The age of its file; None where the name has no time of export."""
        return None if self.exported_at is None else Age.of(self.exported_at, self.generation)

    def to(self, status: Status, *, now: datetime, text: str, **changes: Any) -> Import:
        """Return the import with another status, and `text` as its status text and in its history.

        Raises:
            IllegalTransition: `status` may not follow the present status.
        """
        if status not in NEXT[self.status] and not (
            status == "superseded" and self.status != "superseded"
        ):
            raise IllegalTransition(f"{self.import_id}: {self.status} -> {status}")
        return replace(self, status=status, **changes).saying(text, now=now)

    def end(
        self, status: Status, *, now: datetime, text: str, keep: timedelta, **changes: Any
    ) -> Import:
        """Return the import ended: without lease and task, to be deleted after `keep`.

        Raises:
            IllegalTransition: `status` may not follow the present status.
        """
        seconds = None
        if self.started_at is not None:
            seconds = round((now - self.started_at).total_seconds(), 3)
        return self.to(
            status,
            now=now,
            text=text,
            lease=None,
            task=None,
            finished_at=now,
            expire_at=now + keep,
            seconds=seconds,
            **changes,
        )

    def saying(self, text: str, *, now: datetime) -> Import:
        """Return the import with the same status and a new status text."""
        entry = HistoryEntry(at=now, status=self.status, text=text)
        history = (*self.history, entry)
        if len(history) > HISTORY_LIMIT:
            history = (history[0], *history[-(HISTORY_LIMIT - 1) :])
        return replace(self, status_text=text, history=history)

    def next_task(self, *, at: datetime, task_id: str) -> Import:
        """Return the import with `task_id` as its task, which starts no earlier than `at`."""
        return replace(self, task=task_id, task_number=self.task_number + 1, scheduled_for=at)

    def to_document(self) -> dict[str, Any]:
        """Return the fields as stored in Firestore: camelCase, times as timestamps."""
        document: dict[str, Any] = {}
        for name, key in _KEYS[Import]:
            if name not in {"connection", "import_id"}:
                document[key] = _plain(getattr(self, name))
        return document

    @classmethod
    def from_document(cls, *, connection: str, import_id: str, data: Mapping[str, Any]) -> Import:
        """Return the import of a stored document.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: the document cannot be used.
        """
        values: dict[str, Any] = {"connection": connection, "import_id": import_id}
        for name, key in _KEYS[cls]:
            if key in data:
                values[name] = data[key]
        for name, kind in _PARTS.items():
            if values.get(name) is not None:
                values[name] = _part(kind, values[name])
            elif kind is not Lease:
                values.pop(name, None)
        if values.get("split") is not None:
            values["split"] = Split.from_document(values["split"])
        warnings = values.get("warnings") or ()
        values["warnings"] = tuple(one for one in warnings if isinstance(one, Mapping))
        values["history"] = tuple(
            _part(HistoryEntry, entry) for entry in values.get("history") or ()
        )
        error = values.get("error")
        if error is not None:
            values["error"] = Problem(
                code=error["code"],
                message=error["message"],
                line=error.get("line"),
                column=error.get("column"),
            )
        import_ = cls(**values)
        _make_sure(import_)
        return import_

    @classmethod
    def unusable(cls, *, connection: str, import_id: str, data: Mapping[str, Any]) -> Import:
        """Return an import to show in place of a document that cannot be used, as `failed`."""
        uploaded = data.get("uploadedAt")
        return cls(
            connection=connection,
            import_id=import_id,
            file=import_id,
            object=import_id,
            bucket="",
            generation=0,
            type=None,
            mode="load",
            exported_at=None,
            uploaded_at=uploaded if isinstance(uploaded, datetime) else _NEVER,
            size=0,
            crc32c="",
            status="failed",
            status_text="The document of this import in the ledger cannot be used.",
        )


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_PARTS: dict[str, type] = {
    "lease": Lease,
    "judged": Judged,
    "rows": RowCounts,
    "progress": Progress,
    "reports": Reports,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Problem):
        return value.to_document()
    if isinstance(value, Split):
        return value.to_document()
    if isinstance(value, Lease | Judged | RowCounts | Progress | Reports | HistoryEntry):
        return {key: _plain(getattr(value, name)) for name, key in _KEYS[type(value)]}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _part(kind: type, data: object) -> Any:
    if not isinstance(data, Mapping):
        raise TypeError(kind.__name__)
    part = kind(**{name: data[key] for name, key in _KEYS[kind] if key in data})
    _make_sure(part)
    return part


def _make_sure(read: Any) -> None:
    """Check the types of a record's fields.

    Raises:
        ValueError: a field has another type; the message is its name in Firestore.
    """
    for spec in fields(read):
        kinds = _KINDS.get(str(spec.type))
        value = getattr(read, spec.name)
        odd = isinstance(value, bool) and kinds != (bool,)
        if kinds is not None and (odd or not isinstance(value, kinds)):
            raise ValueError(camel(spec.name))
        if isinstance(value, datetime) and spec.name != "exported_at" and not _usable(value):
            raise ValueError(camel(spec.name))
    if isinstance(read, Import) and (read.status not in NEXT or read.mode not in get_args(Mode)):
        raise ValueError("status or mode")


def _usable(time: datetime) -> bool:
    """True if a time has a zone, and any setting can be added to it without an overflow."""
    return time.tzinfo is not None and time.year <= 9_000


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "bool": (bool,),
    "float | None": (float, int, type(None)),
    "datetime": (datetime,),
    "datetime | None": (datetime, type(None)),
}
"""Annotation -> types of the field's values."""


_KEYS: dict[Any, tuple[tuple[str, str], ...]] = {
    kind: tuple((spec.name, camel(spec.name)) for spec in fields(kind))
    for kind in (Import, HistoryEntry, *_PARTS.values())
}
"""Class -> its fields, each with its name in Firestore, e.g. `("exported_at", "exportedAt")`."""
