"""The record of one import: its fields, its statuses, and the allowed transitions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import add, sub
from typing import Any, Literal, get_args

from shared.core import CODES, Problem, camel, from_fields, to_fields
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

FINDINGS_LIMIT = 50
"""Warnings in the document, and rejections; the report has all."""


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
    def good(self) -> int:
        """Rows without an error. Those of a checked file are counted as unchanged."""
        return self.read - self.rejected

    @property
    def settled(self) -> int:
        """Rows that have an outcome."""
        return self.loaded + self.unchanged + self.outdated + self.rejected

    def __add__(self, other: RowCounts) -> RowCounts:
        return self._with(add, other)

    def __sub__(self, other: RowCounts) -> RowCounts:
        return self._with(sub, other)

    def _with(self, change: Callable[[int, int], int], other: RowCounts) -> RowCounts:
        names = [spec.name for spec in fields(self)]
        return RowCounts(
            **{name: change(getattr(self, name), getattr(other, name)) for name in names}
        )


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
    whole: bool = False
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
    """Result of reading the file while it waits; None: not read yet, or begun."""
    rows: RowCounts = field(default_factory=RowCounts)
    progress: Progress = field(default_factory=Progress)
    split: Split | None = None
    """The splitting of a file that is, or was, loaded in shards; None: in one piece."""
    warnings: tuple[dict[str, Any], ...] = ()
    """One entry a code and column.

    Example: `{"code": "header.changed", "severity": "warning", "count": 3, "line": 4, "lines":
    "lines 4–6", …}`.
    """
    rejections: tuple[dict[str, Any], ...] = ()
    """Reasons of the rejected rows, in the form of `warnings`."""
    error: Problem | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expire_at: datetime | None = None
    """Earliest deletion from the ledger; the field of the collection's TTL policy."""
    seconds: float | None = None
    """Seconds from the start of the last attempt to the end."""
    reports: Reports = field(default_factory=Reports)
    link: str | None = None
    """URL of the import's page on the status page; None where no `STATUS_URL` is set."""
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
    def log_fields(self) -> dict[str, Any]:
        """The fields by which a line of the log names the import."""
        return {
            "connection": self.connection,
            "importId": self.import_id,
            "generation": self.generation,
            "type": self.type,
            "status": self.status,
        }

    @property
    def findings(self) -> tuple[dict[str, Any], ...]:
        """Everything that was found: problems of the file, reasons of rejected rows, warnings."""
        of_file = [one for one in self.warnings if one["severity"] != "warning"]
        warnings = [one for one in self.warnings if one["severity"] == "warning"]
        return (*of_file, *self.rejections, *warnings)

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

    def finding(self, found: Iterable[Mapping[str, Any]]) -> Import:
        """Return the import with more warnings and rejections, each with its severity.

        `found` has an entry a code and column: the document of a `Problem`, and its `count`.
        """
        rated = [_rated(one) for one in found]
        warnings = (*self.warnings, *(one for one in rated if one["severity"] != "row"))
        rejections = (*self.rejections, *(one for one in rated if one["severity"] == "row"))
        return replace(
            self, warnings=warnings[:FINDINGS_LIMIT], rejections=rejections[:FINDINGS_LIMIT]
        )

    def next_task(self, *, at: datetime, task_id: str) -> Import:
        """Return the import with `task_id` as its task, which starts no earlier than `at`."""
        return replace(self, task=task_id, task_number=self.task_number + 1, scheduled_for=at)

    def to_document(self) -> dict[str, Any]:
        """Return the fields as stored in Firestore: camelCase, times as timestamps.

        What only the pipeline needs is in the map `run`. Nothing, None and False are absent.
        """
        stored: dict[str, Any] = _present(to_fields(self, without={"connection", "import_id"}))
        run = {key: stored.pop(was) for was, key in _RUN.items() if was in stored}
        return {"connection": self.connection, **stored, "run": run}

    @classmethod
    def from_document(cls, *, connection: str, import_id: str, data: Mapping[str, Any]) -> Import:
        """Return the import of a stored document.

        Documents of earlier versions have the fields of `run` beside the others, and the reasons
        of rejected rows among the warnings.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: the document cannot be used.
        """
        present = {key: value for key, value in flat(data).items() if value is not None}
        data = {"type": None, "exportedAt": None, **present}
        found = (*data.pop("warnings", ()), *data.pop("rejections", ()))
        import_ = from_fields(cls, data, connection=connection, import_id=import_id)
        import_ = import_.finding(one for one in found if isinstance(one, Mapping))
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

_RUN = {
    **{key: key for key in ("object", "bucket", "generation", "size", "crc32c")},
    **{key: key for key in ("task", "taskNumber", "attempt", "replay", "force", "released")},
    "lease": "lease",
    "split": "parts",
}
"""Field of an import -> its name in the map `run`."""


def flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a stored import with those of `run` beside the others."""
    run = data.get("run") or {}
    return {**data, **{was: run[key] for was, key in _RUN.items() if key in run}}


def _present(value: Any) -> Any:
    """Return a document's value without the fields that are None, False or empty."""
    if not isinstance(value, dict):
        return value
    present = {key: _present(part) for key, part in value.items()}
    return {
        key: part for key, part in present.items() if part is not False and part not in _NOTHING
    }


_NOTHING: tuple[Any, ...] = (None, (), [], {})


def _rated(found: Mapping[str, Any]) -> dict[str, Any]:
    code = CODES.get(found.get("code", ""))
    return {"severity": code.severity if code else "warning", **found}


def _make_sure(read: Any) -> None:
    """Check the types of a record's fields.

    Raises:
        ValueError: a field has another type; the message is its name in Firestore.
    """
    kind: Any = type(read)
    for name, kinds in _checked(kind):
        value = getattr(read, name)
        if kinds is not None and type(value) in _SIMPLE and type(value) in kinds:
            continue  # most values; the rest takes a little longer
        odd = isinstance(value, bool) and kinds != (bool,)
        if kinds is not None and (odd or not isinstance(value, kinds)):
            raise ValueError(camel(name))
        if isinstance(value, datetime) and name != "exported_at" and not _usable(value):
            raise ValueError(camel(name))
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                _make_sure(part)
    if isinstance(read, Import) and (read.status not in NEXT or read.mode not in get_args(Mode)):
        raise ValueError("status or mode")


@cache
def _checked(kind: Hashable) -> tuple[tuple[str, tuple[type, ...] | None], ...]:
    """Return the fields of a record: name, and the types of its values; None is not checked."""
    record: Any = kind
    return tuple((spec.name, _KINDS.get(str(spec.type))) for spec in fields(record))


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

_SIMPLE: frozenset[type] = frozenset({str, int, float, bool, type(None)})
