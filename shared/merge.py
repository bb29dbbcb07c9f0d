"""Who wins: what is stored of a document, or what a row of a file says about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.schemas import Row
from shared.writer import Leave, Put, Stored

OWN = "written by this import before"
NEWER = "a newer file has written this document"
EXISTS = "the document exists, and a first load only creates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The file that is being loaded, as its documents name it."""

    import_id: str
    exported_at: datetime
    generation: int
    replay: bool = False
    """Whether rows that this very import has written are to be written again."""

    @property
    def age(self) -> tuple[datetime, int]:
        """Orders files: the later-exported is the newer, then the later upload."""
        return self.exported_at, self.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What a file says about one document."""

    key: str
    content: Mapping[str, Any]
    """The document without `source`."""
    keep: frozenset[str]
    """Field paths that the file leaves open: what is stored there stays."""
    line: int
    rows: tuple[Row, ...] = field(repr=False)
    """The rows that it was made of."""


def decide(
    incoming: Incoming,
    stored: Stored | None,
    *,
    origin: Origin,
    keepable: frozenset[str],
    create_only: bool,
) -> Put | Leave:
    """Say what to do about one document.

    The content of a document is that of its last row in the latest-exported file that holds it.
    A field that this row leaves open keeps the value of the latest file that gave one; `source`
    remembers when such a value was exported (`kept`), so that the outcome does not depend on the
    order in which the files are loaded.

    Args:
        incoming: what the file says.
        stored: what is stored now; None when there is no such document. Of its data, `source`
            and the `keepable` fields are looked at.
        origin: the file.
        keepable: field paths that a row may leave open.
        create_only: the file creates documents and never changes one.
    """
    if stored is None:
        return Put(data={**incoming.content, "source": _source(incoming, origin, kept={})})
    source = stored.data.get("source")
    age = _age(source)
    if create_only:
        return Leave(OWN if age == origin.age else EXISTS)
    if age is None or age < origin.age or (age == origin.age and origin.replay):
        content, kept = _take_over(incoming, stored.data, age)
        return Put(data={**content, "source": _source(incoming, origin, kept=kept)})
    if age == origin.age:
        return Leave(OWN)
    return _fill_in(incoming, stored.data, origin, keepable)


def _take_over(
    incoming: Incoming, stored: Mapping[str, Any], age: tuple[datetime, int] | None
) -> tuple[dict[str, Any], dict[str, datetime]]:
    """Return the new content with what stays of the old, and when that had been exported."""
    content = _copy(incoming.content)
    kept: dict[str, datetime] = {}
    known = _kept(stored)
    for path in sorted(incoming.keep):
        value = _get(stored, path)
        if value is not None and _get(content, path) is None:
            _set(content, path, value)
            if path in known:
                kept[path] = known[path]
            elif age is not None:
                kept[path] = age[0]
    return content, kept


def _fill_in(
    incoming: Incoming, stored: Mapping[str, Any], origin: Origin, keepable: frozenset[str]
) -> Put | Leave:
    """Let an older file fill what all newer ones have left open, and nothing else."""
    known = _kept(stored)
    patch: dict[str, Any] = {}
    paths: list[str] = []
    kept = dict(known)
    for path in sorted(keepable - incoming.keep):
        value = _get(incoming.content, path)
        if value is None:
            continue
        there = _get(stored, path)
        if there is None or (path in known and known[path] < origin.exported_at):
            _set(patch, path, value)
            paths.append(path)
            kept[path] = origin.exported_at
    if not paths:
        return Leave(NEWER)
    source = {**stored["source"], "kept": kept}
    return Put(data={**patch, "source": source}, only=(*paths, "source"))


def _source(incoming: Incoming, origin: Origin, *, kept: Mapping[str, datetime]) -> dict[str, Any]:
    source: dict[str, Any] = {
        "import": origin.import_id,
        "row": incoming.line,
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
    }
    if kept:
        source["kept"] = dict(kept)
    return source


def _age(source: object) -> tuple[datetime, int] | None:
    """Read the age of what is stored; None for a document that no import has written."""
    if not isinstance(source, Mapping):
        return None
    exported_at, generation = source.get("exportedAt"), source.get("generation")
    if not isinstance(exported_at, datetime):
        return None
    return exported_at, generation if isinstance(generation, int) else 0


def _kept(stored: Mapping[str, Any]) -> dict[str, datetime]:
    source = stored.get("source")
    kept = source.get("kept") if isinstance(source, Mapping) else None
    if not isinstance(kept, Mapping):
        return {}
    return {path: at for path, at in kept.items() if isinstance(at, datetime)}


def _get(data: Mapping[str, Any], path: str) -> Any:
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _set(data: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        data = data.setdefault(name, {})
    data[last] = value


def _copy(data: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_copied(data))


def _copied(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        yield name, _copy(value) if isinstance(value, Mapping) else value
