"""Routes requests of the JSON API to operations, by address and method.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from local.emulators.storage import batch, fields
from local.emulators.storage.buckets import Buckets
from local.emulators.storage.conditions import Conditions, flag, whole
from local.emulators.storage.downloads import download
from local.emulators.storage.listing import Query
from local.emulators.storage.model import Bucket, Object
from local.emulators.storage.objects import Objects, Progress, Source, Target
from local.emulators.storage.refusals import Refusal, invalid, no_route, required
from local.emulators.storage.resources import (
    bucket_resource,
    bucket_settings,
    object_resource,
    object_settings,
    patched,
    patched_object,
)
from local.emulators.storage.uploads import Uploads
from local.emulators.storage.wire import Answer, Request

_Call = Callable[..., Answer]

_JSON = ("Content-Type", "application/json; charset=UTF-8")
_TEXT = ("Content-Type", "text/html; charset=UTF-8")


class Api:
    """Request handler for the HTTP server."""

    def __init__(self, buckets: Buckets, objects: Objects, uploads: Uploads) -> None:
        self._buckets = buckets
        self._objects = objects
        self._uploads = uploads
        # `*` matches a name, which is passed to the method.
        self._routes: dict[tuple[str, ...], Mapping[str, _Call]] = {
            ("b",): {"GET": self._list_buckets, "POST": self._insert_bucket},
            ("b", "*"): {
                "GET": self._get_bucket,
                "PATCH": self._patch_bucket,
                "PUT": self._update_bucket,
                "DELETE": self._delete_bucket,
            },
            ("b", "*", "storageLayout"): {"GET": self._layout},
            ("b", "*", "o"): {"GET": self._list},
            ("b", "*", "o", "*"): {
                "GET": self._get,
                "PATCH": self._patch,
                "PUT": self._update,
                "DELETE": self._delete,
            },
            ("b", "*", "o", "*", "compose"): {"POST": self._compose},
            ("b", "*", "o", "*", "copyTo", "b", "*", "o", "*"): {"POST": self._copy},
            ("b", "*", "o", "*", "rewriteTo", "b", "*", "o", "*"): {"POST": self._rewrite},
            ("b", "*", "o", "*", "moveTo", "o", "*"): {"POST": self._move},
        }
        self._upload_routes: dict[tuple[str, ...], Mapping[str, _Call]] = {
            ("b", "*", "o"): {
                "POST": self._upload,
                "PUT": self._upload,
                "DELETE": self._cancel,
            },
        }
        self._download_routes: dict[tuple[str, ...], Mapping[str, _Call]] = {
            ("b", "*", "o", "*"): {"GET": self._media},
        }

    def __call__(self, request: Request) -> Answer:
        """Answer one request. Raises Refusal."""
        call, names = self._route(request)
        return call(request, *names)

    def _route(self, request: Request) -> tuple[_Call, list[str]]:
        # Slashes in an object's name are percent-encoded, unlike those of the path.
        parts = request.target.strip("/").split("/")
        if parts in (["batch"], ["batch", "storage", "v1"]) and request.method == "POST":
            return self._batch, []
        routes = self._routes
        if parts[:2] == ["resumable", "upload"]:
            parts = parts[1:]
        if parts[0] == "upload":
            parts, routes = parts[1:], self._upload_routes
        elif parts[0] == "download":
            parts, routes = parts[1:], self._download_routes
        if parts[:2] != ["storage", "v1"]:
            raise no_route()
        parts = parts[2:]
        for pattern, methods in routes.items():
            if len(pattern) == len(parts) and all(
                wanted in ("*", part) for wanted, part in zip(pattern, parts, strict=True)
            ):
                if request.method not in methods:
                    raise Refusal(405, "methodNotAllowed", "Method Not Allowed")
                names = [part for wanted, part in zip(pattern, parts, strict=True) if wanted == "*"]
                return methods[request.method], [_decoded(name) for name in names]
        raise no_route()

    def _batch(self, request: Request) -> Answer:
        return batch.batch(request, self)

    # -- buckets ----------------------------------------------------------------------------

    def _list_buckets(self, request: Request) -> Answer:
        found, token = self._buckets.list_page(
            prefix=request.query.get("prefix", ""),
            limit=whole(request.query, "maxResults"),
            token=request.query.get("pageToken"),
        )
        content: dict[str, Any] = {"kind": "storage#buckets"}
        if token is not None:
            content["nextPageToken"] = token
        if found:
            content["items"] = [bucket_resource(item, base=request.base) for item in found]
        return _answer(content, request)

    def _insert_bucket(self, request: Request) -> Answer:
        body = request.json()
        name = body.get("name")
        if not isinstance(name, str):
            raise required("name")
        return self._bucket(self._buckets.insert(name, body), request)

    def _get_bucket(self, request: Request, name: str) -> Answer:
        return self._bucket(self._buckets.get(name, _conditions(request)), request)

    def _patch_bucket(self, request: Request, name: str) -> Answer:
        patch = bucket_settings(request.json())
        changed = self._buckets.update(
            name, _conditions(request), lambda settings: patched(settings, patch)
        )
        return self._bucket(changed, request)

    def _update_bucket(self, request: Request, name: str) -> Answer:
        settings = patched({}, bucket_settings(request.json()))
        return self._bucket(
            self._buckets.update(name, _conditions(request), lambda _: settings), request
        )

    def _delete_bucket(self, request: Request, name: str) -> Answer:
        self._buckets.delete(name, _conditions(request))
        return Answer(status=204)

    def _layout(self, request: Request, name: str) -> Answer:
        bucket = bucket_resource(self._buckets.get(name, Conditions()), base=request.base)
        content = {
            "kind": "storage#storageLayout",
            "bucket": name,
            "location": bucket["location"],
            "locationType": bucket["locationType"],
            "hierarchicalNamespace": {"enabled": False},
        }
        return _answer(content, request)

    def _bucket(self, bucket: Bucket, request: Request) -> Answer:
        return _answer(bucket_resource(bucket, base=request.base), request)

    # -- objects ----------------------------------------------------------------------------

    def _list(self, request: Request, bucket: str) -> Answer:
        versions = flag(request.query, "versions")
        found = self._objects.list_page(bucket, Query.from_query(request.query), versions=versions)
        content: dict[str, Any] = {"kind": "storage#objects"}
        if found.next is not None:
            content["nextPageToken"] = found.next.token()
        if found.prefixes:
            content["prefixes"] = found.prefixes
        if found.items:
            content["items"] = [object_resource(item, base=request.base) for item in found.items]
        return _answer(content, request)

    def _get(self, request: Request, bucket: str, name: str) -> Answer:
        if request.query.get("alt") == "media":
            return self._media(request, bucket, name)
        item = self._objects.get(
            bucket,
            name,
            generation=whole(request.query, "generation"),
            conditions=_conditions(request),
        )
        return self._object(item, request)

    def _media(self, request: Request, bucket: str, name: str) -> Answer:
        try:
            item, file = self._objects.open(
                bucket,
                name,
                generation=whole(request.query, "generation"),
                conditions=_conditions(request),
            )
            return download(item, file, request)
        except Refusal as refusal:
            # To a request for bytes, the service explains an error in plain text.
            text = refusal.message.encode() if refusal.body() else b""
            return Answer(status=refusal.status, headers=[_TEXT], body=text)

    def _patch(self, request: Request, bucket: str, name: str) -> Answer:
        body = request.json()
        return self._change(request, bucket, name, lambda settings: patched_object(settings, body))

    def _update(self, request: Request, bucket: str, name: str) -> Answer:
        body = request.json()

        def change(settings: Mapping[str, Any]) -> dict[str, Any]:
            # The storage class is not metadata; only a rewrite changes it.
            kept = {key: settings[key] for key in ("storageClass",) if key in settings}
            return {**object_settings(body), **kept}

        return self._change(request, bucket, name, change)

    def _change(
        self,
        request: Request,
        bucket: str,
        name: str,
        change: Callable[[Mapping[str, Any]], dict[str, Any]],
    ) -> Answer:
        item = self._objects.update(
            bucket,
            name,
            generation=whole(request.query, "generation"),
            conditions=_conditions(request),
            change=change,
        )
        return self._object(item, request)

    def _delete(self, request: Request, bucket: str, name: str) -> Answer:
        self._objects.delete(
            bucket,
            name,
            generation=whole(request.query, "generation"),
            conditions=_conditions(request),
        )
        return Answer(status=204)

    def _copy(
        self, request: Request, from_bucket: str, from_name: str, bucket: str, name: str
    ) -> Answer:
        item = self._objects.copy(
            _source(request, from_bucket, from_name),
            _target(request, bucket, name),
            request.json(),
        )
        return self._object(item, request)

    def _rewrite(
        self, request: Request, from_bucket: str, from_name: str, bucket: str, name: str
    ) -> Answer:
        source = _source(request, from_bucket, from_name)
        target = _target(request, bucket, name)
        body = request.json()
        token = request.query.get("rewriteToken")
        done = self._objects.rewrite(
            source,
            target,
            body,
            limit=whole(request.query, "maxBytesRewrittenPerCall"),
            progress=Progress.from_token(token) if token is not None else None,
        )
        content: dict[str, Any] = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(done.size if isinstance(done, Object) else done.bytes),
            "objectSize": str(done.size),
            "done": isinstance(done, Object),
        }
        if isinstance(done, Object):
            content["resource"] = object_resource(done, base=request.base)
        else:
            content["rewriteToken"] = done.token()
        return _answer(content, request)

    def _move(self, request: Request, bucket: str, from_name: str, name: str) -> Answer:
        item = self._objects.move(
            _source(request, bucket, from_name), _target(request, bucket, name)
        )
        return self._object(item, request)

    def _compose(self, request: Request, bucket: str, name: str) -> Answer:
        body = request.json()
        item = self._objects.compose(
            [_component(bucket, part) for part in body.get("sourceObjects") or ()],
            _target(request, bucket, name),
            body.get("destination") or {},
            delete_sources=body.get("deleteSourceObjects") is True,
        )
        return self._object(item, request)

    # -- uploads ----------------------------------------------------------------------------

    def _upload(self, request: Request, bucket: str) -> Answer:
        if "upload_id" in request.query:
            return self._uploads.resume(request.query["upload_id"], request)
        kind = request.query.get("uploadType")
        if kind == "resumable":
            return self._uploads.begin(bucket, request)
        if kind == "multipart":
            return self._object(self._uploads.multipart(bucket, request), request)
        if kind == "media":
            return self._object(self._uploads.media(bucket, request), request)
        raise required("uploadType") if kind is None else invalid("Invalid upload type.")

    def _cancel(self, request: Request, bucket: str) -> Answer:
        if "upload_id" not in request.query:
            raise required("upload_id")
        return self._uploads.cancel(request.query["upload_id"])

    def _object(self, item: Object, request: Request) -> Answer:
        return _answer(object_resource(item, base=request.base), request)


def _answer(content: dict[str, Any], request: Request) -> Answer:
    wanted = request.query.get("fields")
    if wanted:
        content = fields.select(content, fields.parse(wanted))
    headers = [_JSON]
    if "etag" in content:
        headers.append(("ETag", content["etag"]))
    return Answer(headers=headers, body=json.dumps(content).encode())


def _conditions(request: Request) -> Conditions:
    return Conditions.from_request(request.query, request.headers)


def _source(request: Request, bucket: str, name: str) -> Source:
    return Source(
        bucket=bucket,
        name=name,
        generation=whole(request.query, "sourceGeneration"),
        conditions=Conditions.from_query(request.query, prefix="ifSource"),
    )


def _target(request: Request, bucket: str, name: str) -> Target:
    return Target(bucket=bucket, name=name, conditions=_conditions(request), base=request.base)


def _component(bucket: str, part: Any) -> Source:
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise required("sourceObjects.name")
    given = {"generation": part.get("generation"), **(part.get("objectPreconditions") or {})}
    numbers = {name: str(value) for name, value in given.items() if value is not None}
    return Source(
        bucket=bucket,
        name=part["name"],
        generation=whole(numbers, "generation"),
        conditions=Conditions.from_query(numbers),
    )


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise invalid("The name is not UTF-8.") from None
