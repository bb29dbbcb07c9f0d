"""Answers batches: several calls in one request, each with an answer.

https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from http import HTTPStatus

from local.emulators.storage.refusals import Refusal, invalid
from local.emulators.storage.related import boundary
from local.emulators.storage.wire import Answer, Handler, Request, refuse, split_query

_MOST_CALLS = 1000
"""Calls per batch. The service asks for at most 100; the Python client sends up to 1000."""
_BYTES = 10 * 1024 * 1024


def batch(request: Request, handler: Handler) -> Answer:
    """Hand each call of a batch to `handler`, one after another. Raises Refusal."""
    mark = boundary(request.headers.get("content-type", ""))
    calls = list(_parts(request.read(limit=_BYTES), mark))
    if not 1 <= len(calls) <= _MOST_CALLS:
        raise invalid(f"A batch must have from 1 to {_MOST_CALLS} calls.")
    own = f"batch_{uuid.uuid4().hex}"
    body = b"".join(f"--{own}\r\n".encode() + _answered(part, request, handler) for part in calls)
    return Answer(
        headers=[("Content-Type", f"multipart/mixed; boundary={own}")],
        body=body + f"--{own}--\r\n".encode(),
    )


def _parts(body: bytes, mark: bytes) -> Iterator[bytes]:
    # Clients end lines of the envelope with LF or CRLF. Both have the same meaning in the JSON
    # inside.
    pieces = (b"\n" + body.replace(b"\r\n", b"\n")).split(b"\n--" + mark)
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return
        yield piece.partition(b"\n")[2]
    raise invalid("The batch has no end.")


def _answered(part: bytes, outer: Request, handler: Handler) -> bytes:
    envelope, call = _head(part)
    line, _, rest = call.lstrip(b"\n").partition(b"\n")
    headers, body = _head(rest)
    words = line.decode("utf-8", "replace").split()
    try:
        if len(words) != 3:
            raise invalid("A call of the batch has no request line.")
        # A client may write the whole address or the path alone.
        path, _, query = _path(words[1]).partition("?")
        if path.lstrip("/").startswith(("upload/", "download/", "batch")):
            raise invalid("This cannot be called in a batch.")
        answer = handler(
            Request(
                method=words[0],
                target=path,
                query=split_query(query),
                headers={**headers, "host": outer.headers.get("host", "localhost")},
                body=iter((body,)),
            )
        )
        if not isinstance(answer.body, bytes):
            answer.body.close()
            raise invalid("Downloads cannot be called in a batch.")
    except Refusal as refusal:
        answer = refuse(refusal)
    content = answer.body if isinstance(answer.body, bytes) else b""
    lines = ["Content-Type: application/http"]
    if "content-id" in envelope:
        id = envelope["content-id"].strip("<>")
        lines.append(f"Content-ID: <response-{id}>")
    lines += ["", f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines += [f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content + b"\r\n"


def _head(text: bytes) -> tuple[dict[str, str], bytes]:
    """Split off the headers, by lower-case names."""
    if text.startswith(b"\n"):
        return {}, text[1:]
    head, _, rest = text.partition(b"\n\n")
    pairs = (line.partition(":") for line in head.decode("utf-8", "replace").splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, rest


def _path(address: str) -> str:
    if "://" not in address:
        return address
    return "/" + address.partition("://")[2].partition("/")[2]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
