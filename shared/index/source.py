"""The field `source` of a document: the file that wrote it, and the ages of its open fields.

Example: `{"import": "customers_20230424T201230Z", "row": 14, "exportedAt": 2023-04-24T10:12:30Z,
"generation": 1682367150, "open": ["mobile"]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.core import Version, get
from shared.files import ExportFile
from shared.firestore.bulk import Stored
from shared.firestore.bulk import wire as on_wire
from shared.index.records import UNKNOWN
from shared.ledger import Age, Import
from shared.parsing import Incoming

OPEN_FIELDS = ("open", "kept", "keptGenerations")
"""Fields of `source` about fields that the latest file has left open."""

LONG_AGO = Age(datetime(1970, 1, 1, tzinfo=UTC), 0)
"""Age that is older than any file's."""

_SOURCE = on_wire.Heads.map(on_wire.FIELD, b"source")


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
    rows = on_wire.padded_integers(on_wire.MAP_FIELD, b"row", np.array(lines), 5)
    hashes = on_wire.padded_integers(on_wire.MAP_FIELD, b"content", contents, 10)
    # Of one length each, so that they can be cut out of the bytes of all.
    own = np.hstack((rows, hashes)).tobytes()
    short, long = rows.shape[1], rows.shape[1] + hashes.shape[1]
    open_ = {paths: tuple(sorted(paths - consent)) for paths in {*keep}}
    before = {paths: _beginning(origin, fields, long) for paths, fields in open_.items()}
    sources = [
        before[paths] + own[start : start + long]
        for start, paths in zip(range(0, len(own), long), keep, strict=True)
    ]
    for place in np.flatnonzero(contents == UNKNOWN).tolist():
        row = own[place * long : place * long + short]
        sources[place] = _beginning(origin, open_[keep[place]], short) + row
    return sources


@lru_cache(4096)
def _beginning(origin: Origin, open_: tuple[str, ...], rest: int) -> bytes:
    """Return the beginning of the encoded `source`, which most documents of a file have in common.

    With `rest` bytes of row and content these are all fields of a document without kept values.
    """
    fields: dict[str, Any] = {
        "exportedAt": origin.exported_at,
        "generation": origin.generation,
        "import": origin.import_id,
    }
    if open_:
        fields["open"] = [*open_]
    same = on_wire.fields(fields, on_wire.MAP_FIELD)
    return _SOURCE[len(same) + rest] + same


def source_of(incoming: Incoming, origin: Origin, content: int) -> dict[str, Any]:
    """Return the field `source` of a document without open fields.

    `content` is the hash of the document's content; `UNKNOWN` is left out.
    """
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


def version_of(stored: Mapping[str, Any], age: Age, consent: frozenset[str]) -> Version[Age]:
    """Return the stored document as a version: `age`, and the ages of its open fields."""
    source = stored.get("source")
    source = source if isinstance(source, Mapping) else {}
    open_: dict[str, Age | None] = {path: None for path in consent if get(stored, path) is None}
    listed = source.get("open")
    if isinstance(listed, list):
        open_ |= {path: None for path in listed if isinstance(path, str)}
    open_.update(kept_ages(source))
    return Version(dict(stored), age, open_)


def open_fields(open_: Mapping[str, Age | None], consent: frozenset[str]) -> dict[str, Any]:
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


def kept_ages(source: Mapping[str, Any]) -> dict[str, Age]:
    """Return path -> age of the stored values of open fields, as `source` records them."""
    kept, generations = source.get("kept"), source.get("keptGenerations")
    if not isinstance(kept, Mapping):
        return {}
    known = generations if isinstance(generations, Mapping) else {}
    return {
        path: Age(exported_at, known[path] if isinstance(known.get(path), int) else 0)
        for path, exported_at in kept.items()
        if isinstance(exported_at, datetime)
    }
