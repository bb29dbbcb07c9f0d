"""Rules of objects: replacement, generations, preconditions and events."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Self

from local.emulators.storage.conditions import Conditions
from local.emulators.storage.contents import Content, Contents, pieces
from local.emulators.storage.listing import Page, Query, page
from local.emulators.storage.model import Bucket, Object
from local.emulators.storage.refusals import Refusal, invalid, no_bucket, no_object
from local.emulators.storage.resources import (
    CONTENT_TYPE,
    copied_settings,
    etag,
    object_resource,
    object_settings,
)
from local.emulators.storage.store import Store

MOST_COMPOSED = 32
"""Sources of one composition."""

_SCAN_ROWS = 256
_STEP_BYTES = 1024 * 1024
"""Bytes that a client may request per call of a rewrite, at least."""
_NAME_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An object that another one is made from."""

    bucket: str
    name: str
    generation: int | None
    conditions: Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """State of a rewrite that takes several calls."""

    source: tuple[str, str, int]
    """Bucket, name and generation."""
    target: tuple[str, str]
    """Bucket and name."""
    bytes: int
    size: int

    @classmethod
    def from_token(cls, token: str) -> Self:
        """Read a rewrite token. Raises Refusal."""
        try:
            source, target, done, size = json.loads(base64.urlsafe_b64decode(token))
            return cls(source=tuple(source), target=tuple(target), bytes=int(done), size=int(size))
        except (TypeError, ValueError):
            raise invalid("Invalid rewrite token.") from None

    def token(self) -> str:
        """Return the rewrite token that clients send back."""
        text = json.dumps([self.source, self.target, self.bytes, self.size])
        return base64.urlsafe_b64encode(text.encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An object to be made."""

    bucket: str
    name: str
    conditions: Conditions
    base: str
    """The server's address as the client knows it, for the links in the event."""


class Objects:
    """Operations on objects. Each is done completely, or raises Refusal and changes nothing."""

    def __init__(
        self,
        store: Store,
        contents: Contents,
        *,
        announce: Callable[[], None] | None,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Work on a store.

        Args:
            store: where objects are kept.
            contents: where their bytes are.
            announce: called after an event was put into the store; None where no events are
                wanted.
            now: gives the microseconds since 1970.
        """
        self._store = store
        self._contents = contents
        self._announce = announce
        self._now = now

    # -- looking ----------------------------------------------------------------------------

    def get(
        self, bucket: str, name: str, *, generation: int | None, conditions: Conditions
    ) -> Object:
        """Find an object for a reader; refuse with 304 if the reader's version is current."""
        with self._store.reading():
            item = self._find(bucket, name, generation)
        conditions.check_reading(item, etag=etag(item))
        return item

    def open(
        self, bucket: str, name: str, *, generation: int | None, conditions: Conditions
    ) -> tuple[Object, BinaryIO]:
        """Find an object as `get` does, and open its bytes."""
        # Both in one reading, so that the file of the object still exists.
        with self._store.reading():
            item = self.get(bucket, name, generation=generation, conditions=conditions)
            return item, self._contents.open(item.content)

    def list_page(self, bucket: str, query: Query, *, versions: bool) -> Page:
        """List the objects of a bucket."""

        def scan(name: str, generation: int) -> Iterator[Object]:
            while True:
                found = self._store.scan(
                    bucket,
                    name=name,
                    generation=generation,
                    versions=versions,
                    limit=_SCAN_ROWS,
                )
                yield from found
                if len(found) < _SCAN_ROWS:
                    return
                name, generation = found[-1].name, found[-1].generation + 1

        with self._store.reading():
            self._bucket(bucket)
            return page(scan, query)

    def expect(self, target: Target) -> None:
        """Refuse a target that cannot be written, before its bytes are sent."""
        check_name(target.name)
        with self._store.reading():
            self._bucket(target.bucket)
            self._check_target(target)

    # -- writing ----------------------------------------------------------------------------

    def insert(
        self,
        target: Target,
        content: Content,
        settings: Mapping[str, Any],
        *,
        within: Callable[[Object], None] = lambda item: None,
    ) -> Object:
        """Make an object from bytes that have arrived; `within` is called in the transaction."""
        with self._changing() as dropped:
            item = self._put(target, content, {"contentType": CONTENT_TYPE, **settings}, dropped)
            within(item)
        return item

    def update(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None,
        conditions: Conditions,
        change: Callable[[Mapping[str, Any]], dict[str, Any]],
    ) -> Object:
        """Change an object's settings, which makes a new metageneration."""
        with self._changing():
            item = self._find(bucket, name, generation)
            conditions.check(item, etag=etag(item))
            changed = replace(
                item,
                settings=change(item.settings),
                metageneration=item.metageneration + 1,
                updated=self._now(),
            )
            self._store.put(changed)
        return changed

    def delete(
        self, bucket: str, name: str, *, generation: int | None, conditions: Conditions
    ) -> None:
        """Delete an object; a versioned bucket keeps it unless a generation was named."""
        with self._changing() as dropped:
            item = self._find(bucket, name, generation)
            conditions.check(item, etag=etag(item))
            if generation is None:
                self._retire(item, dropped)
            else:
                self._drop(item, dropped)

    def copy(self, source: Source, target: Target, body: Mapping[str, Any]) -> Object:
        """Copy an object. Metadata in `body` replaces that of the source."""
        check_name(target.name)
        with self._changing() as dropped:
            item = self._source(source)
            return self._put_again(item, target, copied_settings(item.settings, body), dropped)

    def rewrite(
        self,
        source: Source,
        target: Target,
        body: Mapping[str, Any],
        *,
        limit: int | None,
        progress: Progress | None,
    ) -> Object | Progress:
        """Copy an object, in steps of `limit` bytes if given. Only the last makes the target."""
        if limit is not None and (limit < _STEP_BYTES or limit % _STEP_BYTES):
            raise invalid("maxBytesRewrittenPerCall must be a multiple of 1 MiB.")
        check_name(target.name)
        with self._store.reading():
            item = self._source(source)
            self._bucket(target.bucket)
            self._check_target(target)
        begun = Progress(
            source=(item.bucket, item.name, item.generation),
            target=(target.bucket, target.name),
            bytes=progress.bytes if progress is not None else 0,
            size=item.size,
        )
        if progress not in (None, begun):
            raise invalid("The rewrite token is of another rewrite.")
        if limit is not None and item.size - begun.bytes > limit:
            return replace(begun, bytes=begun.bytes + limit)
        return self.copy(replace(source, generation=item.generation), target, body)

    def move(self, source: Source, target: Target) -> Object:
        """Rename an object within its bucket. Readers always see exactly one of the names."""
        check_name(target.name)
        if source.name == target.name:
            raise invalid("The source and the destination must differ.")
        with self._changing() as dropped:
            item = self._source(source)
            moved = self._put_again(item, target, item.settings, dropped)
            self._retire(item, dropped)
            return moved

    def compose(
        self,
        sources: Sequence[Source],
        target: Target,
        body: Mapping[str, Any],
        *,
        delete_sources: bool = False,
    ) -> Object:
        """Make an object from others, one after another."""
        check_name(target.name)
        if not 1 <= len(sources) <= MOST_COMPOSED:
            raise invalid(
                f"The number of source components provided ({len(sources)}) must be from 1 to"
                f" {MOST_COMPOSED}."
            )
        with self._store.reading():
            self._bucket(target.bucket)
            self._check_target(target)
            items = [self._source(source) for source in sources]
            files = [self._contents.open(item.content) for item in items]
        draft = self._contents.new()
        try:
            for file in files:
                with file:
                    draft.append(pieces(file))
            content = draft.finish()
            settings = object_settings(body)
            if "contentType" not in settings and "contentType" in items[0].settings:
                settings["contentType"] = items[0].settings["contentType"]
            with self._changing() as dropped:
                composed = self._put(
                    target,
                    content,
                    settings,
                    dropped,
                    composed_of=sum(item.components or 1 for item in items),
                )
                for item in items if delete_sources else ():
                    left = self._store.version(item.bucket, item.name, item.generation)
                    if left is not None and left.live and left.name != target.name:
                        self._retire(left, dropped)
            return composed
        except BaseException:
            self._contents.remove([draft.id])
            raise

    # -- within a transaction ---------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self) -> Iterator[set[str]]:
        """Run a transaction; yield a set for the files that objects no longer use.

        After the commit, those files are removed unless something else uses them.
        """
        dropped: set[str] = set()
        with self._store.transaction():
            yield dropped
            unused = [id for id in dropped if not self._store.is_used(id)]
        self._contents.remove(unused)
        if self._announce is not None:
            self._announce()

    def _bucket(self, name: str) -> Bucket:
        bucket = self._store.bucket(name)
        if bucket is None:
            raise no_bucket()
        return bucket

    def _find(self, bucket: str, name: str, generation: int | None) -> Object:
        self._bucket(bucket)
        item = (
            self._store.live(bucket, name)
            if generation is None
            else self._store.version(bucket, name, generation)
        )
        if item is None:
            raise no_object(bucket, name)
        return item

    def _source(self, source: Source) -> Object:
        item = self._find(source.bucket, source.name, source.generation)
        source.conditions.check(item, etag=etag(item))
        return item

    def _check_target(self, target: Target) -> Object | None:
        before = self._store.live(target.bucket, target.name)
        target.conditions.check(before, etag=etag(before) if before else "")
        return before

    def _put_again(
        self, item: Object, target: Target, settings: Mapping[str, Any], dropped: set[str]
    ) -> Object:
        content = Content(item.content, item.size, item.crc32c, item.md5 or "")
        return self._put(target, content, settings, dropped, composed_of=item.components)

    def _put(
        self,
        target: Target,
        content: Content,
        settings: Mapping[str, Any],
        dropped: set[str],
        *,
        composed_of: int | None = None,
    ) -> Object:
        self._bucket(target.bucket)
        before = self._check_target(target)
        if before is not None:
            self._retire(before, dropped)
        generation = self._store.next_generation(self._now())
        item = Object(
            bucket=target.bucket,
            name=target.name,
            generation=generation,
            metageneration=1,
            live=True,
            content=content.id,
            size=content.size,
            crc32c=content.crc32c,
            md5=content.md5 if composed_of is None else None,
            components=composed_of,
            created=generation,
            updated=generation,
            deleted=None,
            settings=settings,
        )
        self._store.put(item)
        if self._announce is not None:
            self._store.put_event(
                bucket=item.bucket,
                name=item.name,
                created=item.created,
                body=json.dumps(object_resource(item, base=target.base)),
            )
        return item

    def _retire(self, item: Object, dropped: set[str]) -> None:
        """Make an object noncurrent, or drop it if its bucket is not versioned."""
        if self._bucket(item.bucket).versioned:
            self._store.put(replace(item, live=False, deleted=self._now()))
        else:
            self._drop(item, dropped)

    def _drop(self, item: Object, dropped: set[str]) -> None:
        self._store.drop(item)
        dropped.add(item.content)


def check_name(name: str) -> None:
    """Refuse what cannot be an object's name.

    https://cloud.google.com/storage/docs/objects#naming
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise invalid("The object name is not Unicode.") from None
    if not name:
        raise Refusal(400, "required", "Required")
    if size > _NAME_BYTES:
        raise invalid(
            f"The maximum object length is {_NAME_BYTES} characters, but got a name with"
            f" {size} characters."
        )
    if name in (".", "..") or any(sign in name for sign in "\r\n\0"):
        raise invalid("Disallowed unicode characters present in object name.")
    if name.startswith(".well-known/acme-challenge/"):
        raise invalid("The object name is reserved.")
