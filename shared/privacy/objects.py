"""Search for a person in the objects of the bucket, and removal from them.

Every object of the connection is searched: uploads that wait or were refused, processed files,
reports, unfinished uploads, and older generations if the bucket keeps them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import google.cloud.storage as storage

from shared.files import KEPT_FOLDERS, OWN_FOLDERS, TYPES, ExportFile, Misnamed, read_name
from shared.files.types import FileType, Rules
from shared.gcp import UPLOADED
from shared.gcp.storage import (
    Changed,
    Gone,
    ObjectReader,
    ObjectWriter,
    delete_object,
    list_objects,
    read_object,
)
from shared.ledger.uploads import ERASED
from shared.privacy.traces import Look, Person, UnreadableFile, look, without

CHUNK_BYTES = 8 * 1024 * 1024

_OWN = tuple(f"{folder}/" for folder in KEPT_FOLDERS)
_ANY_FILE = f"{TYPES[0]}_20000101T000000Z.csv"
_ORDERS_NAMED = re.compile(r"(?<=among them )[^\[\]\"]*")
"""The part of a text that names orders without a known customer: `… among them D1, D2`."""
_ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Trace:
    """One generation of an object in which the person was found."""

    blob: storage.Blob
    rows: int
    """Number of rows about the person; in a report, of mentions of the person's orders."""
    look: Look | None
    """The search of a file; None for a report."""

    @property
    def current(self) -> bool:
        """True if this is the current generation, False if it is an older one."""
        return self.blob.time_deleted is None


@dataclass(slots=True)
class Objects:
    """The result of a search of all objects of a connection."""

    person: Person
    """The person, with e-mail addresses and orders found on the way."""
    looked: int = 0
    """Generations of objects that were read."""
    rows: int = 0
    """Rows that were read."""
    traces: list[Trace] = field(default_factory=list)
    unreadable: list[tuple[storage.Blob, str]] = field(default_factory=list)
    """Objects without readable rows, each with the reason. The person may be in them."""
    moved: int = 0
    """Objects that were moved or deleted during the search, perhaps before they were read."""


def search(
    bucket: storage.Bucket, connection: str, person: Person, types: Sequence[tuple[FileType, Rules]]
) -> Objects:
    """Search every object of a connection; return the findings.

    `types` are all types of files, each with the connection's rules.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    found = Objects(person)
    seen: set[tuple[str, int]] = set()
    for blob in list_objects(bucket, versions=True):
        if not blob.size or blob.name.partition("/")[0] in OWN_FOLDERS:
            continue
        if _connection_of(blob.name) == connection:
            seen.add((blob.name, blob.generation))
            try:
                _look_into(bucket, blob, found, types)
            except Gone:
                found.moved += 1
    # At an import's end its file moves to `processed/`, perhaps from a folder not listed yet.
    for blob in list_objects(bucket, "processed/", versions=True):
        belongs = _connection_of(blob.name) == connection
        found.moved += belongs and (blob.name, blob.generation) not in seen
    return found


def _look_into(
    bucket: storage.Bucket,
    blob: storage.Blob,
    found: Objects,
    types: Sequence[tuple[FileType, Rules]],
) -> None:
    found.looked += 1
    if _is_in_words(blob.name):
        data = read_object(bucket, blob.name, blob.generation)
        named = unnamed(data.decode(errors="surrogateescape"), found.person)[1]
        if named:
            found.traces.append(Trace(blob, named, None))
        return
    try:
        seen = look(_open(bucket, blob), found.person, types)
    except UnreadableFile as error:
        found.unreadable.append((blob, str(error)))
        return
    found.person = seen.person
    found.rows += seen.seen
    if seen.about:
        found.traces.append(Trace(blob, seen.about, seen))


def take_out(bucket: storage.Bucket, trace: Trace, person: Person) -> None:
    """Rewrite an object without the person; an older generation is deleted.

    The new object replaces the old one as a whole, or not at all. An object that was changed or
    removed meanwhile is not touched: the next search finds it.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    blob = trace.blob
    with suppress(Gone, Changed):
        if trace.current:
            _rewrite(bucket, trace, person)
        # If the bucket keeps older generations, the old content has just become one of them.
        delete_object(bucket, blob.name, blob.generation)


def rewritten(bucket: storage.Bucket, connection: str) -> Iterator[tuple[str, storage.Blob]]:
    """Yield the import id and object of each processed file that an erasure has rewritten.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    for blob in list_objects(bucket, "processed/"):
        named = read_name(_upload_of(blob.name))
        if (
            isinstance(named, ExportFile)
            and named.connection == connection
            and (blob.metadata or {}).get(ERASED)
        ):
            yield named.import_id, blob


def unnamed(text: str, person: Person) -> tuple[str, int]:
    """Return a report's text with `(erased)` for each order of the person, and their number."""
    if not person.orders:
        return text, 0
    numbers = "|".join(re.escape(number) for number in sorted(person.orders, key=len, reverse=True))
    word = re.compile(rf"(?<![\w-])(?:{numbers})(?![\w-])")
    total = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal total
        rest, count = word.subn(_ERASED, match[0])
        total += count
        return rest

    return _ORDERS_NAMED.sub(replaced, text), total


def _rewrite(bucket: storage.Bucket, trace: Trace, person: Person) -> None:
    blob = trace.blob
    metadata = blob.metadata or {}
    before = " ".join((*metadata.get(ERASED, "").split(), blob.crc32c))
    stream = _open(bucket, blob)
    if trace.look is None:
        text = stream.read().decode(errors="surrogateescape")
        pieces = iter([unnamed(text, person)[0].encode(errors="surrogateescape")])
    else:
        pieces = without(stream, trace.look)
    new = ObjectWriter(
        bucket,
        blob.name,
        chunk=CHUNK_BYTES,
        content_type=blob.content_type,
        metadata={UPLOADED: blob.time_created.isoformat(), **metadata, ERASED: before},
        replacing=blob.generation,
    )
    try:
        for piece in pieces:
            new.write(piece)
        new.close()
    except BaseException:
        new.abandon()
        raise


def _connection_of(name: str) -> str:
    """Return the connection of an object, from its folder; "" if it has none."""
    upload = _upload_of(name)
    named = read_name(upload)
    if not isinstance(named, ExportFile | Misnamed):
        named = read_name("/".join([*upload.split("/")[:-1], _ANY_FILE]))
    return named.connection if isinstance(named, ExportFile | Misnamed) else ""


def _upload_of(name: str) -> str:
    """Return the upload's name of an object in a folder that the pipeline fills; else the same.

    These folders have the connection before the mode: `processed/au/bulk/x.csv` was uploaded as
    `bulk/au/x.csv`.
    """
    for folder in _OWN:
        if name.startswith(folder):
            *folders, file = name.removeprefix(folder).split("/")
            return "/".join([*reversed(folders), file])
    return name


def _is_in_words(name: str) -> bool:
    """True for a report or a summary. Those of earlier versions are in `rejected/`."""
    return name.startswith(("rejected/", "reports/")) and not name.endswith(".csv")


def _open(bucket: storage.Bucket, blob: storage.Blob) -> BinaryIO:
    """Return a stream of one generation that can read and seek."""
    if blob.size <= CHUNK_BYTES:
        return io.BytesIO(read_object(bucket, blob.name, blob.generation))
    stored = bucket.blob(blob.name, generation=blob.generation)
    return cast("BinaryIO", ObjectReader(stored, chunk=CHUNK_BYTES))
