"""Merges what a file says about a document with what is stored: the later export wins per field.

Example: a document was written by Tuesday's export, which left `mobile` open. Monday's export
arrives late. It fills `mobile` and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.core import Version, get, put
from shared.files import ExportFile
from shared.firestore.bulk import Leave, Put, Stored
from shared.firestore.bulk import wire as on_wire
from shared.index.records import UNKNOWN
from shared.ledger import Age, Import
from shared.parsing import INCOMPLETE, Incoming

OWN = "written by this import before"
NEWER = "a newer file has written this document"
EXISTS = "the document exists, and a first load only creates"
COMPLETE = "a complete document is stored, and a row of this one was rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The file that is being loaded, as the `source` of its documents names it."""

    import_id: str
    exported_at: datetime
    generation: int
    corrected: bool = False
    """True if the row is from an earlier export, and was corrected and sent again."""
    replay: bool = False
    """True if documents that this same import has written are written again."""

    @property
    def age(self) -> Age:
        """Age of the file's values."""
        return Age(self.exported_at, self.generation)


def origin_of(import_: Import, named: ExportFile) -> Origin:
    """Return the origin of the documents of an import; `named` is the import's parsed file name."""
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
    content: int = UNKNOWN,
) -> Put | Leave:
    """Decide on one document: write it whole, fill open fields, or leave it unchanged.

    The content of a document is that of the latest-exported file that holds it. A field that this
    file leaves open has the value of the latest file that sets or clears the field. `source`
    records the ages of such values (`kept`, `keptGenerations`). `source` also lists the fields that
    no file has set or cleared (`open`). So the result does not depend on the order in which files
    are loaded, and a cleared field stays cleared.

    An incomplete document (a row was rejected) never replaces a complete document. A complete
    document replaces an incomplete one of any age.

    Args:
        incoming: the document as the file has it.
        stored: the document as it is stored; None where there is none. Of its data, only the
            fields that `needs` returns, and `source`, are read.
        origin: the file.
        consent: paths of the fields that hold consent. No file clears consent: a document without
            consent has had none from any file.
        create_only: True if the file creates documents and never changes one (`bulk/`).
        confirmed: the age of the latest file that is known to have held the document. `source` may
            name an older file, if the latest one found nothing to change.
        content: hash of the document as the file has it, see `records.content_hashes`. `source`
            records the hash if the whole document is then as the file has it.
    """
    if stored is None:
        if confirmed is not None and confirmed > origin.age and not create_only:
            return Leave(NEWER)  # the document was removed by hand, and this file is outdated
        return fresh(incoming, origin, consent, content)
    age = source_age(stored)
    if create_only:
        return Leave(OWN if age == origin.age else EXISTS)
    if incoming.incomplete != (stored.data.get(INCOMPLETE) is True):
        if incoming.incomplete:
            return Leave(COMPLETE)
        return fresh(incoming, origin, consent, content)
    if confirmed is not None and (age is None or age < confirmed):
        age = confirmed
    if age is None or age < origin.age or (age == origin.age and origin.replay):
        return _take_over(incoming, stored.data, age, origin, consent, content)
    if age == origin.age:
        return Leave(OWN)
    return _fill_in(incoming, stored.data, age, origin, consent)


def needs(incoming: Incoming, consent: frozenset[str]) -> frozenset[str]:
    """Return the paths of the stored fields that `decide` reads, besides `source`."""
    return incoming.keep | consent | {INCOMPLETE}


def fresh(
    incoming: Incoming, origin: Origin, consent: frozenset[str], content: int = UNKNOWN
) -> Put:
    """Return the write of a document as the file has it, without any stored value."""
    contents = np.array((content,), np.uint64)
    (source,) = fresh_sources((incoming.line,), (incoming.keep,), contents, origin, consent)
    return Put(data={}, wire=incoming.wire + source)


def fresh_sources(
    lines: Sequence[int],
    keep: Sequence[frozenset[str]],
    contents: NDArray[np.uint64],
    origin: Origin,
    consent: frozenset[str],
) -> list[bytes]:
    """Return the encoded field `source` of each document, which `fresh` appends to its content.

    Args:
        lines: per document, the line of the row that counts.
        keep: per document, the paths of the fields that it leaves open.
        contents: per document, the hash of its content; `UNKNOWN` for none.
        origin: the file.
        consent: paths of the fields that hold consent.
    """
    before = {paths: _same_fields(origin, tuple(sorted(paths - consent))) for paths in {*keep}}
    hashes = _integers(b"content", contents.view(np.int64), contents != UNKNOWN)
    rows = _integers(b"row", np.array(lines, np.int64))
    sources = [
        content + before[paths] + row
        for content, paths, row in zip(hashes, keep, rows, strict=True)
    ]
    return [_SOURCE[len(source)] + source for source in sources]


def _integers(
    name: bytes, numbers: NDArray[np.int64], there: NDArray[np.bool_] | bool = True
) -> list[bytes]:
    """Return the encoded field of each number in `source`; no bytes where there is none."""
    entries, lengths = on_wire.integers(on_wire.MAP_FIELD, name, numbers)
    octets, width = entries.tobytes(), entries.shape[1]
    starts = range(0, len(octets), width)
    ends = (lengths * there + np.array(starts)).tolist()
    return [octets[start:end] for start, end in zip(starts, ends, strict=True)]


def source_content(stored: Stored) -> int:
    """Return the hash of a document's content; `UNKNOWN` if it must be read to know its content."""
    source = stored.data.get("source")
    content = source.get("content") if isinstance(source, Mapping) else None
    return content % 2**64 if isinstance(content, int) else UNKNOWN


def source_age(stored: Stored) -> Age | None:
    """Return the age of the file that wrote a document last; None if no import wrote it."""
    source = stored.data.get("source")
    if not isinstance(source, Mapping):
        return None
    exported_at, generation = source.get("exportedAt"), source.get("generation")
    if not isinstance(exported_at, datetime):
        return None
    return Age(exported_at, generation if isinstance(generation, int) else 0)


def _take_over(
    incoming: Incoming,
    stored: Mapping[str, Any],
    age: Age | None,
    origin: Origin,
    consent: frozenset[str],
    content: int,
) -> Put:
    """Return the write of a newer file: the file's fields, and stored values for its open fields.

    `source` records the age of each stored value that is kept. It records no hash of the content
    if the stored consent is not what the file says: the next file must read the document, too.
    """
    withdrawn: tuple[str, ...] = ()
    if origin.corrected and age is not None and age[0] == origin.exported_at:
        # The row and the stored document are from one export, so neither is known to be newer.
        withdrawn = tuple(path for path in consent if get(stored, path) is False)
    earlier = _version(stored, _LONG_AGO if age is None else age, consent)
    ahead = {
        path: kept_age
        for path in consent
        if (kept_age := earlier.open.get(path)) is not None and kept_age > origin.age
    }
    if not incoming.keep and not withdrawn and not ahead:
        return fresh(incoming, origin, consent, content)
    version = Version.of(incoming.content, origin.age, incoming.keep)
    version.take(earlier)
    version.open |= ahead
    for path in withdrawn:
        put(version.content, path, False)
    for path in ahead:
        put(version.content, path, get(earlier.content, path))
    if withdrawn or ahead:
        content = UNKNOWN
    elif version.keep == incoming.keep:
        return fresh(incoming, origin, consent, content)
    source = _source(incoming, origin, content) | _open_fields(version.open, consent)
    return Put(data={**version.content, "source": source})


def _fill_in(
    incoming: Incoming,
    stored: Mapping[str, Any],
    age: Age,
    origin: Origin,
    consent: frozenset[str],
) -> Put | Leave:
    """Return the write of an older file: only the fields that all newer files have left open.

    Return Leave if the older file has no value for any of them.
    """
    if not isinstance(stored.get("source"), Mapping):
        return Leave(NEWER)
    newer = _version(stored, age, consent)
    if not newer.open:
        return Leave(NEWER)
    paths = newer.take(_said(incoming, origin, consent))
    if not paths:
        return Leave(NEWER)
    return _patch(stored["source"], newer, paths, consent)


def _said(incoming: Incoming, origin: Origin, consent: frozenset[str]) -> Version[Age]:
    """Return an older file's version of a document; a blank consent is open."""
    unsaid = {path for path in consent if get(incoming.content, path) is None}
    return Version.of(incoming.content, origin.age, incoming.keep | unsaid)


def _patch(
    source: Mapping[str, Any], version: Version[Age], paths: Iterable[str], consent: frozenset[str]
) -> Put:
    """Return the write of some fields of a version, and of what it leaves open in `source`.

    The hash of the content no longer holds, so `source` loses it.
    """
    changed = (*_OPEN_FIELDS, "content")
    known = {name: value for name, value in source.items() if name not in changed}
    patch: dict[str, Any] = {"source": known | _open_fields(version.open, consent)}
    for path in paths:
        put(patch, path, get(version.content, path))
    return Put(data=patch, only=(*sorted(paths), "source"))


Word = Callable[[Age], bool]
"""Returns True for the ages of values that one certain import gave."""


def disowned(
    stored: Stored,
    *,
    is_word: Word,
    by: Age,
    withdrawn: Mapping[str, Age],
    incoming: Incoming | None,
    consent: frozenset[str],
) -> Stored:
    """Return a document without the values of the import that wrote it last, which is undone.

    The result is older than any file (its age is 1970), so that every file may write it. It keeps
    the fields that the undone import had left open. Consent that the import withdrew stays
    withdrawn.

    Args:
        stored: the document as it is stored.
        is_word: True for ages of the undone import, all its uploads included.
        by: the age that withdrawals of the undone import get.
        withdrawn: consent path -> age of withdrawals by imports that were undone before.
        incoming: the document as another file has it; every field that this file leaves open is
            open. None: the stored content stays, open for any file.
        consent: paths of the fields that hold consent.
    """
    version = _version(stored.data, _LONG_AGO, consent)
    kept = {path: age for path, age in version.open.items() if age is not None and not is_word(age)}
    stays = {
        path: age
        for path, age in _still_withdrawn(
            stored.data, consent - kept.keys(), by=by, withdrawn=withdrawn
        ).items()
        if path not in kept or kept[path] < age
    }
    kept |= stays
    if incoming is None:
        content = dict(stored.data)
        open_ = {path: age and _LONG_AGO for path, age in version.open.items()}
    else:
        content, open_ = {}, dict.fromkeys(incoming.keep)
        if incoming.incomplete:
            content[INCOMPLETE] = True  # the complete document was the undone import's
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
    stored: Mapping[str, Any], paths: Iterable[str], *, by: Age, withdrawn: Mapping[str, Age]
) -> dict[str, Age]:
    """Return the consent that stays withdrawn: path -> age of the withdrawal.

    Args:
        stored: the document.
        paths: consent that the undone import set; `false` there is a withdrawal, of the age `by`.
        by: the age of these withdrawals.
        withdrawn: withdrawals by imports that were undone before.
    """
    undone = {path: by for path in paths if get(stored, path) is False}
    return {
        **withdrawn,
        **{path: max(age, withdrawn.get(path, age)) for path, age in undone.items()},
    }


def holds_word(stored: Mapping[str, Any], is_word: Word) -> bool:
    """True if a document holds a value of an import that newer files have left open."""
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
    """Return the write that replaces an undone import's values which newer files have left open.

    Consent that the import withdrew stays withdrawn. So does consent that imports withdrew which
    were undone before.

    Args:
        incoming: the document as an older file has it, whose values are taken; None removes the
            values that no file replaces.
        stored: the document as it is stored.
        is_word: True for ages of the undone import.
        by: the age that withdrawals of the undone import get.
        withdrawn: consent path -> age of withdrawals by imports that were undone before.
        origin: the older file.
        consent: paths of the fields that hold consent.
    """
    data = stored.data
    version = _version(data, source_age(stored) or _LONG_AGO, consent)
    words = {path: age for path, age in version.open.items() if age is not None and is_word(age)}
    before = {path: age for path, age in withdrawn.items() if path in words}
    stays = _still_withdrawn(data, consent & words.keys(), by=by, withdrawn=before)
    version.open |= {**dict.fromkeys(words), **stays}
    for path in stays:
        put(version.content, path, False)
    if incoming is None:
        paths = [*words]
        for path in words.keys() - stays.keys():
            put(version.content, path, None)
    else:
        paths = version.take(_said(incoming, origin, consent))
        if not paths:
            return Leave(NEWER)
        version.open |= {path: age for path, age in words.items() if path not in paths}
    return _patch(data["source"], version, paths, consent)


def is_disowned(stored: Mapping[str, Any]) -> bool:
    """True if a document is what `disowned` left, and no other file has written it since."""
    source = stored.get("source")
    return isinstance(source, Mapping) and source.get("exportedAt") == _LONG_AGO[0]


def _version(stored: Mapping[str, Any], age: Age, consent: frozenset[str]) -> Version[Age]:
    """Return the stored document as a version: `age`, and the ages of its open fields."""
    source = stored.get("source")
    source = source if isinstance(source, Mapping) else {}
    open_: dict[str, Age | None] = {path: None for path in consent if get(stored, path) is None}
    listed = source.get("open")
    if isinstance(listed, list):
        open_ |= {path: None for path in listed if isinstance(path, str)}
    open_.update(_kept(source))
    return Version(dict(stored), age, open_)


def _open_fields(open_: Mapping[str, Age | None], consent: frozenset[str]) -> dict[str, Any]:
    """Return the fields of `source` about fields that the latest file has left open.

    Example: `{"open": ["mobile"], "kept": {"email": 2023-04-24T…}, "keptGenerations": {"email":
    1682367150}}`.
    """
    kept = {path: age for path, age in open_.items() if age is not None}
    never = sorted(path for path, age in open_.items() if age is None and path not in consent)
    fields: dict[str, Any] = {"open": never} if never else {}
    if kept:
        fields["kept"] = {path: exported_at for path, (exported_at, _) in kept.items()}
        fields["keptGenerations"] = {path: generation for path, (_, generation) in kept.items()}
    return fields


@lru_cache(4096)
def _same_fields(origin: Origin, open_: tuple[str, ...]) -> bytes:
    """Return the encoded fields of `source` that most documents of a file have in common.

    With the row and the content these are all fields of a document without kept values.
    """
    fields: dict[str, Any] = {
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
        "import": origin.import_id,
    }
    if open_:
        fields["open"] = [*open_]
    return on_wire.fields(fields, on_wire.MAP_FIELD)


_SOURCE = on_wire.Heads.map(on_wire.FIELD, b"source")


def _source(incoming: Incoming, origin: Origin, content: int) -> dict[str, Any]:
    source: dict[str, Any] = {
        "import": origin.import_id,
        "row": incoming.line,
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
    }
    if content != UNKNOWN:
        # Firestore has integers with a sign.
        source["content"] = content - 2**64 if content >= 2**63 else content
    return source


def _kept(source: Mapping[str, Any]) -> dict[str, Age]:
    kept, generations = source.get("kept"), source.get("keptGenerations")
    if not isinstance(kept, Mapping):
        return {}
    known = generations if isinstance(generations, Mapping) else {}
    return {
        path: Age(exported_at, known[path] if isinstance(known.get(path), int) else 0)
        for path, exported_at in kept.items()
        if isinstance(exported_at, datetime)
    }


_OPEN_FIELDS = ("open", "kept", "keptGenerations")
_LONG_AGO = Age(datetime(1970, 1, 1, tzinfo=UTC), 0)
"""The age of a document that no import has written: older than any file."""
