"""Who wins: what is stored of a document, or what a row of a file says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from shared.core import Version, get, put
from shared.files import ExportFile
from shared.firestore.bulk import Leave, Put, Stored
from shared.firestore.bulk import wire as on_wire
from shared.ledger import Import
from shared.parsing import INCOMPLETE, Incoming

OWN = "written by this import before"
NEWER = "a newer file has written this document"
EXISTS = "the document exists, and a first load only creates"
COMPLETE = "a complete document is stored, and a row of this one was rejected"

Age = tuple[datetime, int]
"""Orders files: when the file was exported, then which upload it is (its generation)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The file that is being loaded, as its documents name it."""

    import_id: str
    exported_at: datetime
    generation: int
    corrected: bool = False
    """Whether it is a row of an earlier export that was corrected and sent again."""
    replay: bool = False
    """Whether rows that this very import has written are to be written again."""

    @property
    def age(self) -> Age:
        """How old what the file says is."""
        return self.exported_at, self.generation


def origin_of(import_: Import, named: ExportFile) -> Origin:
    """Return what the documents of an import say of where they come from."""
    return Origin(
        import_id=import_.import_id,
        exported_at=named.exported_at,
        generation=import_.generation,
        replay=import_.replay,
    )


def decide(
    incoming: Incoming,
    stored: Stored | None,
    *,
    origin: Origin,
    consent: frozenset[str],
    create_only: bool,
    confirmed: Age | None = None,
) -> Put | Leave:
    """Say what to do about one document.

    The content of a document is that of the latest-exported file that holds it. A field that this
    file leaves open has the value of the latest file that says something about it. `source`
    remembers how old such a value is (`kept`, `keptGenerations`), and which fields no file has said
    anything about (`open`), so that the outcome does not depend on the order in which the files are
    loaded, and what was cleared stays cleared.

    An incomplete document, one of whose rows was rejected, never replaces a complete one. A
    complete one replaces an incomplete one, however old it is.

    Args:
        incoming: what the file says.
        stored: what is stored now; None when there is no such document. Of its data, `needs` are
            looked at.
        origin: the file.
        consent: paths of the fields that hold consent. No file clears them: where there is none, no
            file has said anything.
        create_only: the file creates documents and never changes one.
        confirmed: the age of the latest file that is known to have held the document. It may have
            found nothing to change, so that `source` names an older one.
    """
    if stored is None:
        if confirmed is not None and confirmed > origin.age and not create_only:
            return Leave(NEWER)  # somebody has removed it; what an older file says is outdated
        return fresh(incoming, origin, consent)
    age = source_age(stored)
    if create_only:
        return Leave(OWN if age == origin.age else EXISTS)
    if incoming.incomplete != (stored.data.get(INCOMPLETE) is True):
        return Leave(COMPLETE) if incoming.incomplete else fresh(incoming, origin, consent)
    if confirmed is not None and (age is None or age < confirmed):
        age = confirmed
    if age is None or age < origin.age or (age == origin.age and origin.replay):
        return _take_over(incoming, stored.data, age, origin, consent)
    if age == origin.age:
        return Leave(OWN)
    return _fill_in(incoming, stored.data, age, origin, consent)


def needs(incoming: Incoming, consent: frozenset[str]) -> frozenset[str]:
    """Return the paths of the stored fields that `decide` looks at, besides `source`."""
    return incoming.keep | consent | {INCOMPLETE}


def fresh(incoming: Incoming, origin: Origin, consent: frozenset[str]) -> Put:
    """Return the document as the file has it, with nothing taken over of what may be stored."""
    (source,) = fresh_sources((incoming.line,), (incoming.keep,), origin, consent)
    return Put(data={}, wire=incoming.wire + source)


def fresh_sources(
    lines: Iterable[int],
    keep: Sequence[frozenset[str]],
    origin: Origin,
    consent: frozenset[str],
) -> list[bytes]:
    """Return what `fresh` puts behind the content of each of some documents: `source`, by the line
    of the row that counts and by what the document leaves open."""
    before = {paths: _sources(origin, tuple(sorted(paths - consent))) for paths in {*keep}}
    return [
        before[paths][len(number)] + number
        for number, paths in zip(map(on_wire.varint, lines), keep, strict=True)
    ]


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
    incoming: Incoming,
    stored: Mapping[str, Any],
    age: Age | None,
    origin: Origin,
    consent: frozenset[str],
) -> Put:
    """Replace the content but for what the file leaves open, remembering the age of that."""
    withdrawn: tuple[str, ...] = ()
    if origin.corrected and age is not None and age[0] == origin.exported_at:
        # The row and what is stored are of one export: which is newer is not known.
        withdrawn = tuple(path for path in consent if get(stored, path) is False)
    theirs = _version(stored, _LONG_AGO if age is None else age, consent)
    ahead = {
        path: at
        for path in consent
        if (at := theirs.open.get(path)) is not None and at > origin.age
    }
    if not incoming.keep and not withdrawn and not ahead:
        return fresh(incoming, origin, consent)
    mine = Version.of(incoming.content, origin.age, incoming.keep)
    mine.take(theirs)
    mine.open |= ahead
    for path in withdrawn:
        put(mine.content, path, False)
    for path in ahead:
        put(mine.content, path, get(theirs.content, path))
    if mine.keep == incoming.keep and not withdrawn and not ahead:
        return fresh(incoming, origin, consent)
    source = _source(incoming, origin) | _open_fields(mine.open, consent)
    return Put(data={**mine.content, "source": source})


def _fill_in(
    incoming: Incoming,
    stored: Mapping[str, Any],
    age: Age,
    origin: Origin,
    consent: frozenset[str],
) -> Put | Leave:
    """Let an older file fill what all newer ones have left open, and nothing else."""
    if not isinstance(stored.get("source"), Mapping):
        return Leave(NEWER)
    theirs = _version(stored, age, consent)
    if not theirs.open:
        return Leave(NEWER)
    content = incoming.content
    unsaid = {path for path in consent if get(content, path) is None}
    paths = theirs.take(Version.of(content, origin.age, incoming.keep | unsaid))
    if not paths:
        return Leave(NEWER)
    known = {name: value for name, value in stored["source"].items() if name not in _OPEN_FIELDS}
    patch: dict[str, Any] = {"source": known | _open_fields(theirs.open, consent)}
    for path in paths:
        put(patch, path, get(theirs.content, path))
    return Put(data=patch, only=(*sorted(paths), "source"))


Word = Callable[[Age], bool]
"""Whether a word in a document is of an age that only one import has."""


def disowned(
    stored: Stored,
    *,
    is_word: Word,
    by: Age,
    withdrawn: Mapping[str, Age],
    incoming: Incoming | None,
    consent: frozenset[str],
) -> Stored:
    """Return what remains of a document without the word of the import that has written it last:
    older than any file, with the fields that this had left open, and with the consent that it
    withdrew, as if that had been withdrawn at `by`. `is_word` also knows what earlier uploads of
    the import said. `withdrawn` is the consent that imports withdrew which were undone before.

    `incoming` is what another file says of it; all that it leaves open is open.
    """
    version = _version(stored.data, _LONG_AGO, consent)
    kept = {path: age for path, age in version.open.items() if age is not None and not is_word(age)}
    stays = {
        path: at
        for path, at in _still_withdrawn(
            stored.data, consent - kept.keys(), by=by, withdrawn=withdrawn
        ).items()
        if path not in kept or kept[path] < at
    }
    kept |= stays
    if incoming is None:
        content = dict(stored.data)
        open_ = {path: age and _LONG_AGO for path, age in version.open.items()}
    else:
        content, open_ = {}, dict.fromkeys(incoming.keep)
        if incoming.incomplete:
            content[INCOMPLETE] = True  # there is no complete one any more
        for path in kept:
            put(content, path, get(stored.data, path))
    for path in stays:
        put(content, path, False)
    source = {
        **{name: stored.data["source"].get(name) for name in ("import", "row")},
        "exportedAt": _LONG_AGO[0],
        "generation": _LONG_AGO[1],
        **_open_fields({**open_, **kept}, consent),
    }
    return Stored({**content, "source": source}, stored.update_time)


def _still_withdrawn(
    stored: Mapping[str, Any], own: Iterable[str], *, by: Age, withdrawn: Mapping[str, Age]
) -> dict[str, Age]:
    """Return the consent that stays withdrawn, and since when: what imports withdrew that were
    undone before, and of the import's `own` consent what is withdrawn in the document."""
    mine = {path: by for path in own if get(stored, path) is False}
    return {**withdrawn, **{path: max(at, withdrawn.get(path, at)) for path, at in mine.items()}}


def holds_word(stored: Mapping[str, Any], is_word: Word) -> bool:
    """Whether a document holds a value that an import gave and newer files have left open."""
    source = stored.get("source")
    return isinstance(source, Mapping) and any(map(is_word, _kept(source).values()))


def without_word(
    incoming: Incoming | None,
    stored: Stored,
    is_word: Word,
    *,
    by: Age,
    withdrawn: Mapping[str, Age],
    origin: Origin,
    consent: frozenset[str],
) -> Put | Leave:
    """Replace the values that an import gave, and newer files have left open, by what an older file
    says; with None as `incoming` take away those that no file replaces. Consent that the import
    withdrew stays withdrawn, as if that had been done at `by`; and so does the consent that imports
    withdrew which were undone before (`withdrawn`).
    """
    data = stored.data
    version = _version(data, source_age(stored) or _LONG_AGO, consent)
    words = {path: age for path, age in version.open.items() if age is not None and is_word(age)}
    before = {path: at for path, at in withdrawn.items() if path in words}
    stays = _still_withdrawn(data, consent & words.keys(), by=by, withdrawn=before)
    version.open |= {**dict.fromkeys(words), **stays}
    for path in stays:
        put(version.content, path, False)
    if incoming is None:
        paths = [*words]
        for path in words.keys() - stays.keys():
            put(version.content, path, None)
    else:
        unsaid = {path for path in consent if get(incoming.content, path) is None}
        older = Version.of(incoming.content, origin.age, incoming.keep | unsaid)
        paths = version.take(older)
        if not paths:
            return Leave(NEWER)
        version.open |= {path: age for path, age in words.items() if path not in paths}
    known = {name: value for name, value in data["source"].items() if name not in _OPEN_FIELDS}
    patch: dict[str, Any] = {"source": known | _open_fields(version.open, consent)}
    for path in paths:
        put(patch, path, get(version.content, path))
    return Put(data=patch, only=(*sorted(paths), "source"))


def is_disowned(stored: Mapping[str, Any]) -> bool:
    """Whether an import that was undone has written a document, and nothing else is known of it."""
    source = stored.get("source")
    return isinstance(source, Mapping) and source.get("exportedAt") == _LONG_AGO[0]


def _version(stored: Mapping[str, Any], age: Age, consent: frozenset[str]) -> Version[Age]:
    """Return what is stored, with the age of each field that is not as old as the document."""
    source = stored.get("source")
    source = source if isinstance(source, Mapping) else {}
    open_: dict[str, Age | None] = {path: None for path in consent if get(stored, path) is None}
    listed = source.get("open")
    if isinstance(listed, list):
        open_ |= {path: None for path in listed if isinstance(path, str)}
    open_.update(_kept(source))
    return Version(dict(stored), age, open_)


def _open_fields(open_: Mapping[str, Age | None], consent: frozenset[str]) -> dict[str, Any]:
    """Return the fields of `source` that say how old is what the latest file has left open."""
    kept = {path: age for path, age in open_.items() if age is not None}
    never = sorted(path for path, age in open_.items() if age is None and path not in consent)
    fields: dict[str, Any] = {"open": never} if never else {}
    if kept:
        fields["kept"] = {path: exported_at for path, (exported_at, _) in kept.items()}
        fields["keptGenerations"] = {path: generation for path, (_, generation) in kept.items()}
    return fields


@lru_cache(4096)
def _sources(origin: Origin, open_: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return what comes before the row's number in `source`, by the bytes that the number has.

    It is what `_source` makes of a row when nothing is kept, as an entry on the wire: nearly every
    document that is written has one, and most of a file differ in the row alone.
    """
    fields: dict[str, Any] = {
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
        "import": origin.import_id,
    }
    if open_:
        fields["open"] = [*open_]
    same = on_wire.fields(fields, on_wire.MAP_FIELD)
    heads = on_wire.Heads.map(on_wire.FIELD, b"source")
    rows = [same + _ROW[size] for size in range(_LONGEST + 1)]
    return tuple(heads[len(row) + size] + row for size, row in enumerate(rows))


_ROW = on_wire.Heads.integer(on_wire.MAP_FIELD, b"row")
_LONGEST = 10
"""Bytes of the longest number."""


def _source(incoming: Incoming, origin: Origin) -> dict[str, Any]:
    return {
        "import": origin.import_id,
        "row": incoming.line,
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
    }


def _kept(source: Mapping[str, Any]) -> dict[str, Age]:
    kept, generations = source.get("kept"), source.get("keptGenerations")
    if not isinstance(kept, Mapping):
        return {}
    known = generations if isinstance(generations, Mapping) else {}
    return {
        path: (at, known[path] if isinstance(known.get(path), int) else 0)
        for path, at in kept.items()
        if isinstance(at, datetime)
    }


_OPEN_FIELDS = ("open", "kept", "keptGenerations")
_LONG_AGO: Age = (datetime(1970, 1, 1, tzinfo=UTC), 0)
"""The age of what no import has written: older than any file."""
