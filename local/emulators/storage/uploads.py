"""Receives the bytes of objects: in one request, or in the parts of a resumable upload.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from local.emulators.storage.conditions import Conditions
from local.emulators.storage.contents import Content, Contents, Draft
from local.emulators.storage.model import Object
from local.emulators.storage.objects import Objects, Target
from local.emulators.storage.refusals import Refusal, invalid, required
from local.emulators.storage.related import Related
from local.emulators.storage.resources import object_resource, object_settings
from local.emulators.storage.store import Store, Upload
from local.emulators.storage.wire import Answer, Interrupted, Request

QUANTUM = 256 * 1024
"""Bytes of which an unfinished upload keeps only multiples."""

KEPT_SECONDS = 7 * 24 * 3600
"""Seconds for which an upload can be resumed."""

_RANGE = re.compile(r"bytes (?:\*|(?P<first>\d+)-(?P<last>\d+|\*))/(?P<total>\d+|\*)")


@dataclass(frozen=True, slots=True)
class Span:
    """A `Content-Range`: the bytes of the object that a request carries, both ends included."""

    first: int | None
    """First byte; None if the request carries none."""
    last: int | None
    """Last byte; None if it is known only once the bytes have arrived."""
    total: int | None
    """Size of the whole object; None while that is not known."""

    @classmethod
    def parse(cls, header: str | None) -> Span:
        """Read a header; without one, the whole object is on its way. Raises Refusal."""
        if header is None:
            return cls(0, None, None)
        found = _RANGE.fullmatch(header.strip())
        if found is None:
            raise _wrong_range()
        first, last, total = (
            int(text) if text is not None and text != "*" else None
            for text in found.group("first", "last", "total")
        )
        ends = last is None or first is None or first <= last
        fits = last is None or total is None or last < total
        if not (ends and fits):
            raise _wrong_range()
        return cls(first, last, total)


class Uploads:
    """Uploads of every kind. Methods raise Refusal, and Interrupted if a client disconnects."""

    def __init__(
        self,
        store: Store,
        contents: Contents,
        objects: Objects,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._contents = contents
        self._objects = objects
        self._now = now
        self._lock = threading.Lock()
        self._hands: dict[str, _Hand] = {}

    # -- at once ----------------------------------------------------------------------------

    def media(self, bucket: str, request: Request) -> Object:
        """Receive a body that has only the object's bytes."""
        settings = {}
        if "content-type" in request.headers:
            settings["contentType"] = request.headers["content-type"]
        target = _target(bucket, request.query.get("name"), request)
        return self._take(target, request, settings, request.body, {})

    def multipart(self, bucket: str, request: Request) -> Object:
        """Receive a body that has the object's metadata and its bytes."""
        related = Related(request.headers.get("content-type", ""), request.body)
        first, headers = related.head()
        body = _json(first)
        settings = object_settings(body)
        if "content-type" in headers:
            settings.setdefault("contentType", headers["content-type"])
        target = _target(bucket, request.query.get("name") or body.get("name"), request)
        return self._take(target, request, settings, related.media(), body)

    def _take(
        self,
        target: Target,
        request: Request,
        settings: Mapping[str, Any],
        pieces: Iterator[bytes],
        body: Mapping[str, Any],
    ) -> Object:
        sums = (_sums(body), _header_sums(request.headers))
        self._objects.expect(target)
        draft = self._contents.new()
        try:
            draft.append(pieces)
            content = draft.finish()
            _check_sums(content, *sums)
            return self._objects.insert(target, content, _encoded(settings, request))
        except BaseException:
            self._contents.remove([draft.id])
            raise

    # -- bit by bit -------------------------------------------------------------------------

    def begin(self, bucket: str, request: Request) -> Answer:
        """Begin a resumable upload; the answer says where the bytes are to go."""
        body = request.json()
        settings = object_settings(body)
        if "x-upload-content-type" in request.headers:
            settings.setdefault("contentType", request.headers["x-upload-content-type"])
        target = _target(bucket, request.query.get("name") or body.get("name"), request)
        self._objects.expect(target)
        upload = Upload(
            id=uuid.uuid4().hex,
            created=self._now(),
            content=self._contents.new().id,
            state="open",
            plan={
                "bucket": bucket,
                "name": target.name,
                "conditions": target.conditions.plan(),
                "settings": _encoded(settings, request),
                "sums": [_sums(body), _header_sums(request.headers)],
                "size": _declared_size(request),
            },
            result=None,
        )
        with self._store.transaction():
            self._store.put_upload(upload)
        place = (
            f"{request.base}/upload/storage/v1/b/{bucket}/o?uploadType=resumable"
            f"&name={quote(target.name, safe='')}&upload_id={upload.id}"
        )
        return Answer(headers=[("Location", place), ("X-GUploader-UploadID", upload.id)])

    def resume(self, id: str, request: Request) -> Answer:
        """Receive the next bytes, or report how many have arrived."""
        with self._hand(id) as hand:
            with hand.lock:
                upload = self._upload(id)
                if upload.state == "done":
                    return _finished(upload)
                # The latest request owns the upload. A connection that still seems to send is
                # considered dead, and its further bytes are not kept.
                hand.turn += 1
                turn = hand.turn
                draft = self._contents.draft(upload.content)
                have = _settle(draft)
            span = Span.parse(request.headers.get("content-range"))
            if span.first is not None:
                self._receive(hand, turn, draft, span, have, request)
            with hand.lock:
                hand.check(turn)
                upload = self._upload(id)
                ends = span.first is not None and span.last is None
                total = draft.size if ends and span.total is None else span.total
                if total is not None and draft.size > total:
                    raise invalid("More bytes arrived than the object is to have.")
                if draft.size == total:
                    return self._finish(upload, draft, request)
                return _incomplete(_settle(draft), request)

    def cancel(self, id: str) -> Answer:
        """Drop an upload."""
        with self._hand(id) as hand, hand.lock:
            upload = self._upload(id)
            if upload.state == "done":
                raise _unknown()
            hand.turn += 1
            with self._store.transaction():
                self._store.put_upload(replace(upload, state="cancelled"))
            self._contents.remove([upload.content])
        return Answer(status=499)

    def _receive(
        self, hand: _Hand, turn: int, draft: Draft, span: Span, have: int, request: Request
    ) -> None:
        first = span.first or 0
        if first > have:
            raise Refusal(
                503,
                "backendError",
                "Invalid request. According to the Content-Range header, the upload offset is"
                f" {first} byte(s), which exceeds already uploaded size of {have} byte(s).",
            )
        skip = have - first
        room = None if span.last is None else span.last - first + 1

        def fresh() -> Iterator[bytes]:
            """Yield the bytes that have not arrived before; clients may send bytes again."""
            at = 0
            for piece in request.body:
                if room is not None and at + len(piece) > room:
                    raise invalid("The body is longer than its Content-Range.")
                new = piece[max(0, skip - at) :]
                at += len(piece)
                if new:
                    yield new

        try:
            for piece in fresh():
                with hand.lock:
                    hand.check(turn)
                    draft.append((piece,))
        except Interrupted:
            with hand.lock:
                if hand.turn == turn:
                    _settle(draft)
            raise

    def _finish(self, upload: Upload, draft: Draft, request: Request) -> Answer:
        plan = upload.plan
        done = upload

        def conclude(item: Object) -> None:
            nonlocal done
            resource = json.dumps(object_resource(item, base=request.base))
            done = replace(upload, state="done", result=resource)
            self._store.put_upload(done)

        try:
            content = draft.finish()
            if plan["size"] not in (None, content.size):
                raise invalid("The size differs from X-Upload-Content-Length.")
            _check_sums(content, *plan["sums"], _header_sums(request.headers))
            target = Target(
                bucket=plan["bucket"],
                name=plan["name"],
                conditions=Conditions.from_plan(plan["conditions"]),
                base=request.base,
            )
            self._objects.insert(target, content, plan["settings"], within=conclude)
        except Refusal:
            with self._store.transaction():
                self._store.drop_upload(upload.id)
            self._contents.remove([upload.content])
            raise
        return _finished(done)

    def _upload(self, id: str) -> Upload:
        with self._store.reading():
            upload = self._store.upload(id)
        if upload is None:
            raise _unknown()
        if upload.created < self._now() - KEPT_SECONDS * 1_000_000:
            raise Refusal(410, "uploadExpired", "The upload has expired.")
        if upload.state == "cancelled":
            raise Refusal(499, "clientClosedRequest", "The upload was cancelled.")
        return upload

    @contextlib.contextmanager
    def _hand(self, id: str) -> Iterator[_Hand]:
        with self._lock:
            hand = self._hands.setdefault(id, _Hand())
            hand.users += 1
        try:
            yield hand
        finally:
            with self._lock:
                hand.users -= 1
                if not hand.users:
                    del self._hands[id]


class _Hand:
    """Access to an upload: the latest request may write to it, while it holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.turn = 0
        self.users = 0

    def check(self, turn: int) -> None:
        if self.turn != turn:
            raise Refusal(503, "backendError", "Another request has taken over this upload.")


def _target(bucket: str, name: Any, request: Request) -> Target:
    if not isinstance(name, str) or not name:
        raise required("name")
    return Target(
        bucket=bucket,
        name=name,
        conditions=Conditions.from_request(request.query, request.headers),
        base=request.base,
    )


def _json(data: bytes) -> dict[str, Any]:
    return Request(method="POST", target="", body=iter((data,))).json()


def _encoded(settings: Mapping[str, Any], request: Request) -> dict[str, Any]:
    encoding = request.query.get("contentEncoding")
    return {**settings, **({"contentEncoding": encoding} if encoding else {})}


def _declared_size(request: Request) -> int | None:
    text = request.headers.get("x-upload-content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


# -- checksums ------------------------------------------------------------------------------


def _sums(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the checksums in the metadata."""
    given = {"crc32c": body.get("crc32c"), "md5": body.get("md5Hash")}
    return {name: value for name, value in given.items() if isinstance(value, str) and value}


def _header_sums(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the checksums in the headers: `x-goog-hash: crc32c=...,md5=...`."""
    pairs = (part.strip().partition("=") for part in headers.get("x-goog-hash", "").split(","))
    found = {name: value for name, _, value in pairs if name in ("crc32c", "md5")}
    if "content-md5" in headers:
        found["md5"] = headers["content-md5"]
    return found


def _check_sums(content: Content, *given_sums: Mapping[str, str]) -> None:
    """Compare the bytes with every checksum that was given."""
    actual_sums = {"crc32c": content.crc32c, "md5": content.md5}
    for name, given in (pair for sums in given_sums for pair in sums.items()):
        actual = actual_sums[name]
        try:
            same = base64.b64decode(given, validate=True) == base64.b64decode(actual)
        except binascii.Error:
            raise invalid(f"Invalid {name.upper()} sum.") from None
        if not same:
            raise invalid(
                f"Provided {name.upper()} hash {given!r} doesn't match calculated"
                f" {name.upper()} hash {actual!r}."
            )


# -- resuming -------------------------------------------------------------------------------


def _settle(draft: Draft) -> int:
    """Cut the bytes that have arrived to the part that is kept; return its size."""
    size = draft.size
    kept = size - size % QUANTUM
    if kept < size:
        draft.cut(kept)
    return kept


def _incomplete(kept: int, request: Request) -> Answer:
    headers = [("Range", f"bytes=0-{kept - 1}")] if kept else []
    if request.headers.get("x-guploader-no-308") == "yes":
        return Answer(status=200, headers=[*headers, ("X-HTTP-Status-Code-Override", "308")])
    return Answer(status=308, headers=headers)


def _finished(upload: Upload) -> Answer:
    return Answer(
        headers=[("Content-Type", "application/json; charset=UTF-8")],
        body=(upload.result or "").encode(),
    )


def _wrong_range() -> Refusal:
    return invalid("Failed to parse Content-Range header.")


def _unknown() -> Refusal:
    return Refusal(404, "notFound", "There is no such upload.")
