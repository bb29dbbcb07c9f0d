"""Where in the bucket a person stands, and how they are taken out of it.

Every object of the connection is looked into: uploads that wait or were refused, files that were
loaded, reports, unfinished uploads, and older generations where the bucket keeps them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import google.cloud.storage as storage

from shared.files import STATE, TYPES, ExportFile, Misnamed, read_name
from shared.files.types import FileType, Rules
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

_OWN = ("processed/", "rejected/")
_ANY_FILE = f"{TYPES[0]}_20000101T000000Z.csv"
_ORDERS_NAMED = re.compile(r"(?<=among them )[^\[\]\"]*")
"""Where a report, or the ledger, names orders: those whose customer was not there."""
_ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Trace:
    """One generation of an object that the person stands in."""

    blob: storage.Blob
    rows: int
    """Rows about the person; in a report, the places that name an order of theirs."""
    look: Look | None
    """None for a report in words."""

    @property
    def current(self) -> bool:
        """Whether it is the object itself, not an older generation of it."""
        return self.blob.time_deleted is None


@dataclass(slots=True)
class Objects:
    """What a look into all objects of a connection has found."""

    person: Person
    looked: int = 0
    """Generations of objects that were read."""
    rows: int = 0
    """Rows that were read."""
    traces: list[Trace] = field(default_factory=list)
    unreadable: list[tuple[storage.Blob, str]] = field(default_factory=list)
    """Objects in which no rows can be told, and why. The person may be in them."""
    moved: int = 0
    """Objects that were gone or put away during the search: they may not have been looked into."""


def search(
    bucket: storage.Bucket, connection: str, person: Person, types: Sequence[tuple[FileType, Rules]]
) -> Objects:
    """Look into every object of a connection.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    found = Objects(person)
    seen: set[tuple[str, int]] = set()
    for blob in list_objects(bucket, versions=True):
        if not blob.size or blob.name.startswith(f"{STATE}/"):
            continue
        if _connection_of(blob.name) == connection:
            seen.add((blob.name, blob.generation))
            try:
                _look_into(bucket, blob, found, types)
            except Gone:
                found.moved += 1
    # A file is put away when its import has ended: perhaps from a folder that was not listed
    # yet into this one, which was.
    for blob in list_objects(bucket, "processed/", versions=True):
        ours = _connection_of(blob.name) == connection
        found.moved += ours and (blob.name, blob.generation) not in seen
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

    It becomes a new object at once or not at all. One that was changed or removed meanwhile is
    left alone: the next search tells.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    blob = trace.blob
    with suppress(Gone, Changed):
        if trace.current:
            _rewrite(bucket, trace, person)
        # Where older generations are kept, what was rewritten has just become one of them.
        delete(bucket, blob)


def delete(bucket: storage.Bucket, blob: storage.Blob) -> None:
    """Delete one generation of an object, which may be gone.

    Raises:
        TryAgain: Cloud Storage could not be reached.
    """
    with suppress(Gone):
        delete_object(bucket, blob.name, blob.generation)


def rewritten(bucket: storage.Bucket, connection: str) -> Iterator[tuple[str, storage.Blob]]:
    """Give the processed files that were rewritten: the id of their import, and the object.

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
    """Return a text of a report without the numbers of the person's orders, and how many it had."""
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
        metadata={**metadata, ERASED: before},
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
    """Return the connection that an object belongs to, by the folder it lies in."""
    upload = _upload_of(name)
    named = read_name(upload)
    if not isinstance(named, ExportFile | Misnamed):
        named = read_name("/".join([*upload.split("/")[:-1], _ANY_FILE]))
    return named.connection if isinstance(named, ExportFile | Misnamed) else ""


def _upload_of(name: str) -> str:
    """Return what an object, or the file that a report is about, was called when it was uploaded.

    `processed/` and `rejected/` have the connection's folder before that of the mode.
    """
    for folder in _OWN:
        if name.startswith(folder):
            *folders, file = name.removeprefix(folder).split("/")
            return "/".join([*reversed(folders), file])
    return name


def _is_in_words(name: str) -> bool:
    return name.startswith("rejected/") and not name.endswith(".csv")


def _open(bucket: storage.Bucket, blob: storage.Blob) -> BinaryIO:
    """Return a stream of one generation, as far as `traces` needs one: it reads and seeks."""
    if blob.size <= CHUNK_BYTES:
        return io.BytesIO(read_object(bucket, blob.name, blob.generation))
    stored = bucket.blob(blob.name, generation=blob.generation)
    return cast("BinaryIO", ObjectReader(stored, chunk=CHUNK_BYTES))
