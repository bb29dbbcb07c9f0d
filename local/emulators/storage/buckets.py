"""The rules of buckets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from local.emulators.storage.conditions import Conditions
from local.emulators.storage.model import Bucket
from local.emulators.storage.refusals import Refusal, invalid, no_bucket
from local.emulators.storage.resources import bucket_settings, etag, patched
from local.emulators.storage.store import Store

_PAGE = 1000
"""Buckets per page at most."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class Buckets:
    """Operations on buckets. Each raises Refusal if it fails."""

    def __init__(
        self, store: Store, *, now: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        """Work on a store; `now` gives the microseconds since 1970."""
        self._store = store
        self._now = now

    def get(self, name: str, conditions: Conditions) -> Bucket:
        """Find a bucket for a reader; refuse with 304 if the reader's version is current."""
        with self._store.reading():
            bucket = self._find(name)
        conditions.check_reading(bucket, etag=etag(bucket))
        return bucket

    def list_page(
        self, *, prefix: str, limit: int | None, token: str | None
    ) -> tuple[list[Bucket], str | None]:
        """Return buckets whose names begin with `prefix`, by name, and the next page's token."""
        limit = min(limit or _PAGE, _PAGE)
        with self._store.reading():
            found = [
                item
                for item in self._store.buckets()
                if item.name.startswith(prefix) and item.name >= (token or "")
            ]
        # A page begins with the bucket that its token names.
        return found[:limit], found[limit].name if len(found) > limit else None

    def insert(self, name: str, body: Mapping[str, Any]) -> Bucket:
        """Make a bucket."""
        if not _NAME.fullmatch(name):
            raise invalid("Invalid bucket name.")
        with self._store.transaction():
            if self._store.bucket(name) is not None:
                raise Refusal(
                    409, "conflict", "The bucket exists already; it is yours, so all may be well."
                )
            now = self._now()
            bucket = Bucket(
                name=name,
                created=now,
                updated=now,
                metageneration=1,
                settings=patched({}, bucket_settings(body)),
            )
            self._store.put_bucket(bucket)
        return bucket

    def ensure(self, name: str) -> None:
        """Make a bucket unless it is there already."""
        with self._store.reading():
            found = self._store.bucket(name)
        if found is None:
            self.insert(name, {})

    def update(
        self, name: str, conditions: Conditions, change: Callable[[Mapping[str, Any]], Any]
    ) -> Bucket:
        """Change a bucket's settings, which makes a new metageneration."""
        with self._store.transaction():
            bucket = self._find(name)
            conditions.check(bucket, etag=etag(bucket))
            changed = replace(
                bucket,
                settings=change(bucket.settings),
                metageneration=bucket.metageneration + 1,
                updated=self._now(),
            )
            self._store.put_bucket(changed)
        return changed

    def delete(self, name: str, conditions: Conditions) -> None:
        """Delete a bucket, which must hold nothing, noncurrent objects included."""
        with self._store.transaction():
            bucket = self._find(name)
            conditions.check(bucket, etag=etag(bucket))
            if self._store.scan(name, name="", generation=0, versions=True, limit=1):
                raise Refusal(409, "conflict", "The bucket you tried to delete is not empty.")
            self._store.drop_bucket(name)

    def _find(self, name: str) -> Bucket:
        bucket = self._store.bucket(name)
        if bucket is None:
            raise no_bucket()
        return bucket
