"""A bucket that quacks like the few methods of google-cloud-storage's that the pipeline uses."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import google_crc32c
from google.api_core import exceptions

from tests.simulation.world import World

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Object:
    """One generation of an object."""

    name: str
    data: bytes
    generation: int
    crc32c: str
    time_created: datetime
    metadata: Mapping[str, str] | None = None
    content_type: str | None = None


class SimulatedBucket:
    """The objects by their names, the present generation of each."""

    def __init__(self, world: World, finalized: Callable[[Object], None]) -> None:
        self.world = world
        self.objects: dict[str, Object] = {}
        self.held_to = {"read", "write", "delete"}
        """What generation preconditions are held to for: everything, of course."""
        self._finalized = finalized
        self.latest = 1_000
        """The latest generation so far."""

    def put(
        self,
        name: str,
        data: bytes,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> Object:
        """Make an object, now."""
        self.latest += 1
        crc32c = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        made = Object(name, data, self.latest, crc32c, self.world.now(), metadata, content_type)
        self.objects[name] = made
        self._finalized(made)
        return made

    # -- what the pipeline calls ------------------------------------------------------------------

    def blob(
        self, name: str, *, generation: int | None = None, chunk_size: int | None = None
    ) -> SimulatedBlob:
        return SimulatedBlob(self, name, generation)

    def get_blob(self, name: str, *, generation: int | None = None) -> SimulatedBlob | None:
        found = self.call(f"looks for {name}", lambda: self.objects.get(name))
        if found is None or generation not in (None, found.generation):
            return None
        return SimulatedBlob(self, name, found.generation, found)

    def copy_blob(
        self,
        blob: SimulatedBlob,
        bucket: SimulatedBucket,
        name: str,
        *,
        source_generation: int,
        if_source_generation_match: int,
        if_generation_match: int | None = None,
    ) -> SimulatedBlob:
        def do() -> Object:
            bucket.require(name, if_generation_match, to="write")
            found = self.find(blob.name, source_generation if "read" in self.held_to else None)
            return bucket.put(name, found.data, found.metadata, found.content_type)

        made = self.call(f"copies {blob.name} to {name}", do, writes=True)
        return SimulatedBlob(bucket, name, made.generation, made)

    def move_blob(
        self,
        blob: SimulatedBlob,
        name: str,
        *,
        if_source_generation_match: int,
        if_generation_match: int | None,
    ) -> SimulatedBlob:
        def do() -> Object:
            self.find(blob.name, None)
            self.require(name, if_generation_match, to="write")
            self.require(blob.name, if_source_generation_match, to="delete")
            found = self.objects.pop(blob.name)
            return self.put(name, found.data, found.metadata, found.content_type)

        made = self.call(f"moves {blob.name} to {name}", do, writes=True)
        return SimulatedBlob(self, name, made.generation, made)

    def list_blobs(
        self, *, prefix: str = "", delimiter: str | None = None, versions: bool = False
    ) -> Listing:
        """List what there is; of no object are older generations kept."""
        return Listing(self, prefix, delimiter, versions and not prefix)

    # -- inside -----------------------------------------------------------------------------------

    def call(self, what: str, do: Callable[[], T], *, writes: bool = False) -> T:
        return self.world.call(lambda: what, do, error=_unavailable, writes=writes)

    def find(self, name: str, generation: int | None) -> Object:
        found = self.objects.get(name)
        if found is None or (generation is not None and found.generation != generation):
            raise exceptions.NotFound(f"no such object: {name}")  # type: ignore[no-untyped-call]
        return found

    def require(self, name: str, generation: int | None, *, to: str) -> None:
        """Fail unless the present generation is this one; 0 means none."""
        if generation is None or to not in self.held_to:
            return
        found = self.objects.get(name)
        if (found.generation if found else 0) != generation:
            raise exceptions.PreconditionFailed(name)  # type: ignore[no-untyped-call]


class SimulatedClient:
    """The client of a bucket, and the session in which it reads an object in one request."""

    api_endpoint = ""

    def __init__(self, bucket: SimulatedBucket) -> None:
        self._bucket = bucket
        self._http = self

    def get(
        self, address: str, *, params: Mapping[str, Any], headers: Mapping[str, str], **_: Any
    ) -> Answer:
        blob = self._bucket.blob(address.rpartition("/o/")[2], generation=params["generation"])
        first, last = map(int, headers["Range"].removeprefix("bytes=").split("-"))
        return Answer(blob, first, last + 1)


class SimulatedBlob:
    """What `google.cloud.storage.Blob` is to the pipeline."""

    def __init__(
        self,
        bucket: SimulatedBucket,
        name: str,
        generation: int | None,
        known: Object | None = None,
    ) -> None:
        self.bucket = bucket
        self.name = name
        self.generation = generation
        self._know(known)

    @property
    def path(self) -> str:
        return f"/b/uploads/o/{self.name}"

    @property
    def client(self) -> SimulatedClient:
        return SimulatedClient(self.bucket)

    def _know(self, known: Object | None) -> None:
        self.size = len(known.data) if known else None
        self.crc32c = known.crc32c if known else None
        self.time_created = known.time_created if known else None
        self.time_deleted = None
        self.metadata: Mapping[str, str] | None = known.metadata if known else None
        self.content_type: str | None = known.content_type if known else None
        if known is not None:
            self.generation = known.generation

    def reload(self) -> None:
        found = self.bucket.call(
            f"looks for {self.name}", lambda: self.bucket.find(self.name, self.generation)
        )
        self._know(found)

    def exists(self) -> bool:
        def do() -> bool:
            found = self.bucket.objects.get(self.name)
            return found is not None and self.generation in (None, found.generation)

        return self.bucket.call(f"looks for {self.name}#{self.generation}", do)

    def open(
        self,
        mode: str,
        *,
        if_generation_match: int | None = None,
        content_type: str | None = None,
        **_: Any,
    ) -> Any:
        if mode == "wb":
            return Writing(self, if_generation_match, content_type)
        assert mode == "rb"
        return Reading(self)

    def download_as_bytes(self, *, start: int = 0, end: int | None = None, **_: Any) -> bytes:
        """Return the bytes from `start` to `end`, both included."""
        stop = None if end is None else end + 1
        return self.bucket.call(
            f"reads {self.name}",
            lambda: self.bucket.find(self.name, self.generation).data[start:stop],
        )

    def upload_from_string(
        self,
        data: bytes,
        *,
        if_generation_match: int | None = None,
        content_type: str | None = None,
        **_: Any,
    ) -> None:
        def do() -> Object:
            self.bucket.require(self.name, if_generation_match, to="write")
            return self.bucket.put(
                self.name, data, self.metadata, content_type or self.content_type
            )

        self._know(self.bucket.call(f"writes {self.name}", do, writes=True))

    def delete(self, *, if_generation_match: int | None = None) -> None:
        def do() -> None:
            held = "delete" in self.bucket.held_to
            self.bucket.find(self.name, self.generation if held else None)
            self.bucket.require(self.name, if_generation_match, to="delete")
            del self.bucket.objects[self.name]

        self.bucket.call(f"deletes {self.name}", do, writes=True)


class Reading(io.RawIOBase):
    """The bytes of one generation, and their end in a call of its own."""

    def __init__(self, blob: SimulatedBlob, start: int = 0, end: int | None = None) -> None:
        self._blob = blob
        self._at = start
        self._end = end

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        blob = self._blob

        def do() -> bytes:
            data = blob.bucket.find(blob.name, blob.generation).data[: self._end]
            part = data[self._at :] if size < 0 else data[self._at : self._at + size]
            self._at += len(part)
            return part

        return blob.bucket.call(f"reads {blob.name} from {self._at}", do)


class Answer:
    """The answer to a request for an object, whose bytes are read one call at a time."""

    ok, status_code = True, 206

    def __init__(self, blob: SimulatedBlob, start: int, end: int) -> None:
        self.raw = Reading(blob, start, end)

    def close(self) -> None:
        pass


class Writing:
    """An object that comes into being when it is closed."""

    def __init__(
        self, blob: SimulatedBlob, if_generation_match: int | None, content_type: str | None
    ) -> None:
        self._blob = blob
        self._content_type = content_type
        self._match = if_generation_match
        self._data = io.BytesIO()
        self.closed = False

    def write(self, data: bytes) -> int:
        return self._data.write(data)

    def close(self) -> None:
        if not self.closed:
            # The client learns nothing of the object that has come into being.
            made = SimulatedBlob(self._blob.bucket, self._blob.name, None)
            made.metadata, made.content_type = self._blob.metadata, self._content_type
            made.upload_from_string(self._data.getvalue(), if_generation_match=self._match)
            self.closed = True

    def terminate(self) -> None:
        self.closed = True


class Listing:
    """The objects of a folder as they were when the listing began."""

    def __init__(
        self, bucket: SimulatedBucket, prefix: str, delimiter: str | None, whole: bool
    ) -> None:
        self._bucket = bucket
        self._whole = whole
        self._prefix = prefix
        self._delimiter = delimiter
        self.prefixes: set[str] = set()

    def __iter__(self) -> Iterator[SimulatedBlob]:
        def do() -> list[Object]:
            return [
                found
                for name, found in sorted(self._bucket.objects.items())
                if name.startswith(self._prefix)
            ]

        if self._whole and self._bucket.world.actor is not None:
            # Whoever erases somebody sees every object that is there by now.
            self._bucket.world.actor.about["listed"] = self._bucket.latest
        for found in self._bucket.call(f"lists {self._prefix or 'everything'}", do):
            rest = found.name[len(self._prefix) :]
            if self._delimiter and self._delimiter in rest:
                self.prefixes.add(rest.partition(self._delimiter)[0] + self._delimiter)
            else:
                yield SimulatedBlob(self._bucket, found.name, found.generation, found)


def _unavailable() -> Exception:
    error: Exception = exceptions.ServiceUnavailable("simulated")  # type: ignore[no-untyped-call]
    return error
