"""Who wins: what is stored of a document, or what a row of a file says about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from shared import wire as on_wire
from shared.incoming import Incoming
from shared.writer import Leave, Put, Stored

OWN = "written by this import before"
NEWER = "a newer file has written this document"
EXISTS = "the document exists, and a first load only creates"

Age = tuple[datetime, int]
"""Orders files: when the file was exported, then which upload it is (its generation)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The file that is being loaded, as its documents name it."""

    import_id: str
    exported_at: datetime
    generation: int
    replay: bool = False
    """Whether rows that this very import has written are to be written again."""

    @property
    def age(self) -> Age:
        """How old what the file says is."""
        return self.exported_at, self.generation


def decide(
    incoming: Incoming,
    stored: Stored | None,
    *,
    origin: Origin,
    keepable: frozenset[str],
    create_only: bool,
    confirmed: Age | None = None,
) -> Put | Leave:
    """Say what to do about one document.

    The content of a document is that of its last row in the latest-exported file that holds it.
    A field that this row leaves open keeps the value of the latest file that gave one; `source`
    remembers when such a value was exported (`kept`) and of which upload it is
    (`keptGenerations`), so that the outcome does not depend on the order in which the files are
    loaded.

    Args:
        incoming: what the file says.
        stored: what is stored now; None when there is no such document. Of its data, `source`
            and the `keepable` fields are looked at.
        origin: the file.
        keepable: field paths that a row may leave open.
        create_only: the file creates documents and never changes one.
        confirmed: the age of the latest file that is known to have held the document. It may have
            found nothing to change, so that `source` names an older one.
    """
    if stored is None:
        if confirmed is not None and confirmed > origin.age and not create_only:
            return Leave(NEWER)  # somebody has removed it; what an older file says is outdated
        return fresh(incoming, origin)
    age = source_age(stored)
    if create_only:
        return Leave(OWN if age == origin.age else EXISTS)
    if confirmed is not None and (age is None or age < confirmed):
        age = confirmed
    if age is None or age < origin.age or (age == origin.age and origin.replay):
        return _take_over(incoming, stored.data, age, origin)
    if age == origin.age:
        return Leave(OWN)
    return _fill_in(incoming, stored.data, origin, keepable)


def fresh(incoming: Incoming, origin: Origin) -> Put:
    """Return the document as the file has it, with nothing taken over of what may be stored."""
    return Put(data={}, wire=incoming.wire + fresh_sources((incoming.line,), origin)[0])


def fresh_sources(lines: Iterable[int], origin: Origin) -> list[bytes]:
    """Return what `fresh` puts behind the content of each of some documents: `source`, by the line
    of the row that counts."""
    before = _sources(origin)
    return [before[len(number)] + number for number in map(on_wire.varint, lines)]


def source_age(stored: Stored) -> Age | None:
    """Return the age of the file that wrote a document last; None where no import has."""
    source = stored.data.get("source")
    if not isinstance(source, Mapping):
        return None
    exported_at, generation = source.get("exportedAt"), source.get("generation")
    if not isinstance(exported_at, datetime):
        return None
    return exported_at, generation if isinstance(generation, int) else 0


def _take_over(
    incoming: Incoming, stored: Mapping[str, Any], age: Age | None, origin: Origin
) -> Put:
    """Replace the content but for what the row leaves open, remembering the age of that."""
    kept: dict[str, Age] = {}
    known = _kept(stored)
    content: dict[str, Any] | None = None
    for path in sorted(incoming.keep):
        value = _get(stored, path)
        if value is None:
            continue
        content = incoming.content if content is None else content
        if _get(content, path) is None:
            _set(content, path, value)
            if path in known:
                kept[path] = known[path]
            elif age is not None:
                kept[path] = age
    if content is None:
        return fresh(incoming, origin)
    return Put(data={**content, "source": _source(incoming, origin, kept=kept)})


def _fill_in(
    incoming: Incoming, stored: Mapping[str, Any], origin: Origin, keepable: frozenset[str]
) -> Put | Leave:
    """Let an older file fill what all newer ones have left open, and nothing else."""
    if not isinstance(stored.get("source"), Mapping):
        return Leave(NEWER)
    known = _kept(stored)
    content = incoming.content
    patch: dict[str, Any] = {}
    paths: list[str] = []
    kept = dict(known)
    for path in sorted(keepable - incoming.keep):
        value = _get(content, path)
        if value is None:
            continue
        there = _get(stored, path)
        if there is None or (path in known and known[path] < origin.age):
            _set(patch, path, value)
            paths.append(path)
            kept[path] = origin.age
    if not paths:
        return Leave(NEWER)
    source = {**stored["source"], **_kept_fields(kept)}
    return Put(data={**patch, "source": source}, only=(*paths, "source"))


@lru_cache(8)
def _sources(origin: Origin) -> tuple[bytes, ...]:
    """Return what comes before the row's number in `source`, by the bytes that the number has.

    It is what `_source` makes of a row when nothing is kept, as an entry on the wire: nearly every
    document that is written has one, and all of a file differ in the row alone.
    """
    same = on_wire.fields(
        {
            "exportedAt": origin.exported_at,
            "generation": origin.generation,
            "import": origin.import_id,
        },
        on_wire.MAP_FIELD,
    )
    heads = on_wire.Heads.map(on_wire.FIELD, b"source")
    rows = [same + _ROW[size] for size in range(_LONGEST + 1)]
    return tuple(heads[len(row) + size] + row for size, row in enumerate(rows))


_ROW = on_wire.Heads.integer(on_wire.MAP_FIELD, b"row")
_LONGEST = 10
"""Bytes of the longest number."""


def _source(incoming: Incoming, origin: Origin, *, kept: Mapping[str, Age]) -> dict[str, Any]:
    source: dict[str, Any] = {
        "import": origin.import_id,
        "row": incoming.line,
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
    }
    if kept:
        source |= _kept_fields(kept)
    return source


def _kept_fields(kept: Mapping[str, Age]) -> dict[str, Any]:
    return {
        "kept": {path: exported_at for path, (exported_at, _) in kept.items()},
        "keptGenerations": {path: generation for path, (_, generation) in kept.items()},
    }


def _kept(stored: Mapping[str, Any]) -> dict[str, Age]:
    source = stored.get("source")
    if not isinstance(source, Mapping):
        return {}
    kept, generations = source.get("kept"), source.get("keptGenerations")
    if not isinstance(kept, Mapping):
        return {}
    known = generations if isinstance(generations, Mapping) else {}
    return {
        path: (at, known[path] if isinstance(known.get(path), int) else 0)
        for path, at in kept.items()
        if isinstance(at, datetime)
    }


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
