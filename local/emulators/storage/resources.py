"""Writes buckets and objects as JSON resources, and reads the fields that clients set."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from local.emulators.storage.model import Bucket, Object
from local.emulators.storage.refusals import invalid

CONTENT_TYPE = "application/octet-stream"
"""Content type of objects uploaded without one."""

OBJECT_SETTINGS = frozenset(
    {
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "contexts",
        "customTime",
        "eventBasedHold",
        "metadata",
        "retention",
        "storageClass",
        "temporaryHold",
    }
)
"""Fields of an object that clients set: https://cloud.google.com/storage/docs/json_api/v1/objects"""

_OWN_METADATA = OBJECT_SETTINGS - {"storageClass"}

_BUCKET_FIXED = frozenset(
    {
        "etag",
        "id",
        "kind",
        "metageneration",
        "name",
        "projectNumber",
        "selfLink",
        "timeCreated",
        "updated",
    }
)


def bucket_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a bucket resource that a client sets, with the location in capitals."""
    settings = {key: value for key, value in body.items() if key not in _BUCKET_FIXED}
    if isinstance(settings.get("location"), str):
        settings["location"] = settings["location"].upper()
    return settings


def object_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an object resource that a client sets, without null fields."""
    _check_texts(body)
    return {
        key: value for key, value in body.items() if key in OBJECT_SETTINGS and value is not None
    }


def copied_settings(source: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy's settings: those of its source, unless the request has metadata."""
    own = object_settings(body)
    if _OWN_METADATA & own.keys():
        return own
    kept = {key: value for key, value in source.items() if key in _OWN_METADATA}
    return {**kept, **own}


def patched(settings: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Change settings; null removes one, and nested ones are changed one by one.

    https://cloud.google.com/storage/docs/json_api#patch
    """
    result = dict(settings)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            before = result.get(key)
            result[key] = patched(before if isinstance(before, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def patched_object(settings: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Change an object's settings. Raises Refusal."""
    _check_texts(patch)
    return patched(settings, {key: value for key, value in patch.items() if key in OBJECT_SETTINGS})


def _check_texts(body: Mapping[str, Any]) -> None:
    for key in OBJECT_SETTINGS:
        value = body.get(key)
        kind = _KINDS.get(key, str)
        if value is not None and not isinstance(value, kind):
            raise invalid(f"Invalid value for the field {key}.")
    for value in (body.get("metadata") or {}).values():
        if value is not None and not isinstance(value, str):
            raise invalid("Invalid value for the field metadata.")


_KINDS: Mapping[str, type] = {
    "contexts": dict,
    "eventBasedHold": bool,
    "metadata": dict,
    "retention": dict,
    "temporaryHold": bool,
}


def bucket_resource(bucket: Bucket, *, base: str) -> dict[str, Any]:
    """Return the JSON of a bucket; `base` is the server's address, for links."""
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base}/storage/v1/b/{bucket.name}",
        "projectNumber": "0",
        "metageneration": str(bucket.metageneration),
        "etag": etag(bucket),
        "timeCreated": timestamp(bucket.created),
        "updated": timestamp(bucket.updated),
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        **bucket.settings,
    }


def object_resource(item: Object, *, base: str) -> dict[str, Any]:
    """Return the JSON of an object; `base` is the server's address, for links."""
    place = f"storage/v1/b/{item.bucket}/o/{quote(item.name, safe='')}"
    resource = {
        "kind": "storage#object",
        "id": f"{item.bucket}/{item.name}/{item.generation}",
        "selfLink": f"{base}/{place}",
        "mediaLink": f"{base}/download/{place}?generation={item.generation}&alt=media",
        "name": item.name,
        "bucket": item.bucket,
        "generation": str(item.generation),
        "metageneration": str(item.metageneration),
        "storageClass": "STANDARD",
        "size": str(item.size),
        "crc32c": item.crc32c,
        "etag": etag(item),
        "timeCreated": timestamp(item.created),
        "updated": timestamp(item.updated),
        "timeStorageClassUpdated": timestamp(item.created),
        "timeFinalized": timestamp(item.created),
        **item.settings,
    }
    if item.md5 is not None:
        resource["md5Hash"] = item.md5
    if item.components is not None:
        resource["componentCount"] = item.components
    if item.deleted is not None:
        resource["timeDeleted"] = timestamp(item.deleted)
    return resource


def etag(item: Object | Bucket) -> str:
    """Return the ETag of one state of an object or bucket."""
    generation = item.generation if isinstance(item, Object) else 0
    numbers = generation.to_bytes(8, "big") + item.metageneration.to_bytes(4, "big")
    return base64.b64encode(numbers.lstrip(b"\0")).decode("ascii")


def timestamp(microseconds: int) -> str:
    """Write a time as the API does: RFC 3339 in UTC, to the millisecond."""
    return _moment(microseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(microseconds: int) -> str:
    """Write a time as HTTP headers have it."""
    return format_datetime(_moment(microseconds), usegmt=True)


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
