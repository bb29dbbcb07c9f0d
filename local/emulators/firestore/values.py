"""Compares, measures and checks values as Firestore does."""

from __future__ import annotations

from typing import Any

from local.emulators.firestore.fields import Fields, Value, is_reserved
from local.emulators.firestore.names import Document, parse_document
from local.emulators.firestore.refusals import invalid

Key = tuple[Any, ...]
"""Sort key of a value. The first element is the rank of its type. Two values that the API calls
equal (1 and 1.0) have equal keys."""

NULL, BOOLEAN, NAN, NUMBER, TIMESTAMP, STRING, BYTES, REFERENCE, GEO, ARRAY, VECTOR, MAP = range(12)

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_VALUE_BYTES = MAX_DOCUMENT_BYTES - 89
MAX_NAME_BYTES = 1500
MAX_DEPTH = 20

_MIN_SECONDS = -62135596800
_MAX_SECONDS = 253402300799
_SMALL = 300_000
"""Bytes of serialized fields below which no document can exceed the size limit. A value counts at
most three times its serialized size."""


def key(value: Any) -> Key:
    """Return the sort key of a value, by the API's documented order of types and values."""
    kind = value.WhichOneof("value_type")
    match kind:
        case "string_value":
            return (STRING, value.string_value)
        case "integer_value":
            return (NUMBER, value.integer_value)
        case "double_value":
            number = value.double_value
            return (NUMBER, number) if number == number else (NAN,)
        case "boolean_value":
            return (BOOLEAN, value.boolean_value)
        case "timestamp_value":
            return (TIMESTAMP, value.timestamp_value.seconds, value.timestamp_value.nanos)
        case "null_value":
            return (NULL,)
        case "map_value":
            return _map_key(value.map_value.fields)
        case "array_value":
            return (ARRAY, tuple(key(item) for item in value.array_value.values))
        case "reference_value":
            return reference_key(value.reference_value)
        case "bytes_value":
            return (BYTES, value.bytes_value)
        case "geo_point_value":
            return (GEO, value.geo_point_value.latitude, value.geo_point_value.longitude)
        case _:
            raise invalid("Cannot convert firestore.v1.Value with type unset.")


def reference_key(name: str) -> Key:
    """Return the sort key of a reference, which is also that of the document it names."""
    return (REFERENCE, *name.split("/"))


def _map_key(fields: Fields) -> Key:
    if "__type__" in fields and fields["__type__"].string_value == "__vector__":
        items = fields["value"].array_value.values if "value" in fields else ()
        return (VECTOR, len(items), tuple(key(item) for item in items))
    return (MAP, tuple((name, key(fields[name])) for name in sorted(fields)))


def check_fields(fields: Fields) -> None:
    """Refuse names and values that cannot be stored; round times down to microseconds."""
    for name, value in fields.items():
        if not name:
            raise invalid("The property.name is the empty string.")
        if name[0] == "_" and is_reserved(name):
            raise invalid(f"field name {name} is reserved")
        length = len(name)
        if length > MAX_NAME_BYTES // 4:
            length = len(name.encode())
            if length > MAX_NAME_BYTES:
                raise invalid(f"The property.name is longer than {MAX_NAME_BYTES} bytes.")
        _check(value, name, length, 0)


def check_value(value: Any) -> None:
    """Refuse a single value that cannot be stored, such as the operand of a transform."""
    _check(value, "value", 0, 0)


def _check(value: Any, top: str, path_bytes: int, depth: int) -> None:
    match value.WhichOneof("value_type"):
        case "string_value" | "integer_value" | "boolean_value" | "double_value" | "null_value":
            return
        case "timestamp_value":
            _check_timestamp(value.timestamp_value)
        case "map_value":
            _check_map(value.map_value.fields, top, path_bytes, depth + 1)
        case "array_value":
            if depth >= MAX_DEPTH:
                raise _nested(top)
            for item in value.array_value.values:
                if item.WhichOneof("value_type") == "array_value":
                    raise invalid("Cannot convert an array value in an array value.")
                _check(item, top, path_bytes, depth + 1)
        case "reference_value":
            parse_document(value.reference_value, what="Resource name")
        case "geo_point_value":
            point = value.geo_point_value
            for name, number, limit in (
                ("latitude", point.latitude, 90.0),
                ("longitude", point.longitude, 180.0),
            ):
                if not -limit <= number <= limit:
                    shown = "NaN" if number != number else repr(number)
                    raise invalid(
                        f"Geo point {name} '{shown}' outside permitted range -{limit} to {limit}."
                    )
        case None:
            raise invalid("Cannot convert firestore.v1.Value with type unset.")
        case _:
            return


def _check_map(fields: Fields, top: str, path_bytes: int, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _nested(top)
    for name, value in fields.items():
        if not name:
            raise _nested(top)
        if name[0] == "_" and is_reserved(name):
            if name != "__type__":
                raise invalid(f"field name '{name}' is reserved.")
            if value.WhichOneof("value_type") != "string_value":
                raise invalid("Field __type__ is not a string.")
        inner = path_bytes + 1 + len(name)
        if inner > MAX_NAME_BYTES // 4:
            inner = path_bytes + 1 + len(name.encode())
            if inner > MAX_NAME_BYTES:
                raise _nested(top)
        _check(value, top, inner, depth)


def _check_timestamp(stamp: Any) -> None:
    if not _MIN_SECONDS <= stamp.seconds <= _MAX_SECONDS:
        raise invalid("Timestamp seconds exceeds limit for field.")
    if not 0 <= stamp.nanos < 1_000_000_000:
        raise invalid("Timestamp nanos exceeds limit for field.")
    stamp.nanos -= stamp.nanos % 1000


def _nested(top: str) -> Exception:
    return invalid(f"Property {top} contains an invalid nested entity.")


def check_size(document: Document, fields: Fields, serialized: bytes) -> None:
    """Refuse a document over 1 MiB, measured by the rules of the API's documentation."""
    if len(serialized) < _SMALL:
        return
    name = 16 + sum(len(part.encode()) + 1 for part in document.path.split("/"))
    size = 32 + name
    for field, value in fields.items():
        own = _size(value)
        if own > MAX_VALUE_BYTES + 1 and value.WhichOneof("value_type") in (
            "string_value",
            "bytes_value",
        ):
            raise invalid(
                f'The value of property "{field}" is longer than {MAX_VALUE_BYTES} bytes.'
            )
        size += len(field.encode()) + 1 + own
    if size > MAX_DOCUMENT_BYTES:
        raise invalid(f"maximum entity size is {MAX_DOCUMENT_BYTES} bytes")


def _size(value: Any) -> int:
    match value.WhichOneof("value_type"):
        case "string_value":
            return len(value.string_value.encode()) + 1
        case "bytes_value":
            return len(value.bytes_value) + 1
        case "reference_value":
            path = value.reference_value.split("/")[5:]
            return 16 + sum(len(part.encode()) + 1 for part in path)
        case "array_value":
            return sum(_size(item) for item in value.array_value.values)
        case "map_value":
            return sum(
                len(name.encode()) + 1 + _size(item)
                for name, item in value.map_value.fields.items()
            )
        case "null_value" | "boolean_value":
            return 1
        case "geo_point_value":
            return 16
        case _:
            return 8


def timestamp_value(micros: int) -> Any:
    """Return a timestamp value for microseconds since 1970."""
    value = Value()
    value.timestamp_value.FromMicroseconds(micros)
    return value
