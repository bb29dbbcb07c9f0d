"""Converts Python values to raw Firestore protobuf messages, and back.

Raw means the message classes underneath `google.cloud.firestore_v1.types`. The client library wraps
these classes in proto-plus, which costs several times more than the rest of a write.

| Python | Firestore |
|---|---|
| str, bool, float, None | string, boolean, double, null |
| int | integer, 64 bits |
| datetime with a time zone, also as the client library reads it | timestamp, microseconds |
| dict with str keys | map |
| list, not directly inside a list | array |

A stored value of any other type (bytes, a reference, a geographical point) is returned as its raw
`Value`, which can be written again unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud.firestore_v1 import types
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RAW_VALUE: Any = types.Value.pb()


def encode_fields(data: Mapping[str, Any], into: Any) -> None:
    """Add the fields of `data` to `into`, the `fields` of a raw Document or MapValue.

    Subclasses are refused: a numpy number or a pandas Timestamp would not be stored as the table
    above says. After an error `into` is partly filled.

    Raises:
        TypeError: a value has a type that is not in the table.
        ValueError: Firestore cannot hold a value: an integer beyond 64 bits, invalid Unicode.
            Both errors name the field path, and never the value.
    """
    try:
        _fill(data, into)
    except (KeyError, TypeError, ValueError):
        for error in faults(data, ""):
            raise error from None
        raise


def timestamp(nanos: int) -> Any:
    """Return the raw Timestamp of a time in nanoseconds since 1970."""
    return Timestamp(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def nanoseconds(stamp: Any) -> int:
    """Return a raw Timestamp in nanoseconds since 1970; a datetime would lose the last digits."""
    return int(stamp.seconds) * 1_000_000_000 + int(stamp.nanos)


def decode_fields(fields: Any) -> dict[str, Any]:
    """Return the `fields` of a raw Document or MapValue as a dict; timestamps are in UTC."""
    return {name: decode(value) for name, value in fields.items()}


def _fill(data: Mapping[str, Any], into: Any) -> None:
    for name, value in data.items():
        _SETTERS[type(value)](into[name], value)


def _set_string(target: Any, value: str) -> None:
    target.string_value = value


def _set_boolean(target: Any, value: bool) -> None:
    target.boolean_value = value


def _set_integer(target: Any, value: int) -> None:
    target.integer_value = value


def _set_double(target: Any, value: float) -> None:
    target.double_value = value


def _set_null(target: Any, value: None) -> None:
    target.null_value = 0


def _set_timestamp(target: Any, value: datetime) -> None:
    since = value - _EPOCH  # TypeError for a naive datetime
    stamp = target.timestamp_value
    stamp.seconds = since.days * 86_400 + since.seconds
    stamp.nanos = since.microseconds * 1_000


def _set_map(target: Any, value: dict[str, Any]) -> None:
    target.map_value.SetInParent()  # an empty map is a map, not nothing
    _fill(value, target.map_value.fields)


def _set_array(target: Any, value: list[Any]) -> None:
    target.array_value.SetInParent()
    values = target.array_value.values
    for item in value:
        if type(item) is list:
            raise TypeError
        _SETTERS[type(item)](values.add(), item)


def _set_raw(target: Any, value: Any) -> None:
    target.CopyFrom(value)


_SETTERS: dict[type, Callable[[Any, Any], None]] = {
    str: _set_string,
    bool: _set_boolean,
    int: _set_integer,
    float: _set_double,
    type(None): _set_null,
    datetime: _set_timestamp,
    DatetimeWithNanoseconds: _set_timestamp,
    dict: _set_map,
    list: _set_array,
    _RAW_VALUE: _set_raw,
}


def faults(value: Any, path: str) -> Iterator[Exception]:
    """Yield an error for each value that cannot be encoded, with its path.

    Paths are computed here only, off the fast path.
    """
    kind = type(value)
    if isinstance(value, Mapping) and (kind is dict or not path):
        for name, inner in value.items():
            if type(name) is not str:
                where = path or "the document"
                yield TypeError(f"{where}: a field name of type {type(name).__name__}, not str")
            elif not _is_unicode(name):
                yield ValueError(f"{path or 'the document'}: a field name is not valid Unicode")
            else:
                yield from faults(inner, f"{path}.{name}" if path else name)
    elif kind is list:
        for index, inner in enumerate(value):
            if type(inner) is list:
                yield TypeError(f"{path}[{index}]: an array directly inside an array")
            else:
                yield from faults(inner, f"{path}[{index}]")
    elif kind not in _SETTERS:
        yield TypeError(f"{path}: a value of type {kind.__name__} cannot be stored")
    elif kind is datetime and value.utcoffset() is None:
        yield TypeError(f"{path}: a datetime without a time zone cannot be stored")
    elif kind is int and not -(2**63) <= value < 2**63:
        yield ValueError(f"{path}: an integer beyond 64 bits cannot be stored")
    elif kind is str and not _is_unicode(value):
        yield ValueError(f"{path}: text that is not valid Unicode cannot be stored")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode(value: Any) -> Any:
    """Return a raw value as a Python value."""
    reader = _READERS.get(value.WhichOneof("value_type"))
    return value if reader is None else reader(value)


def _read_timestamp(value: Any) -> datetime:
    stamp = value.timestamp_value
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1_000)


_READERS: dict[str | None, Callable[[Any], Any]] = {
    "string_value": lambda value: value.string_value,
    "boolean_value": lambda value: value.boolean_value,
    "integer_value": lambda value: value.integer_value,
    "double_value": lambda value: value.double_value,
    "null_value": lambda value: None,
    "timestamp_value": _read_timestamp,
    "map_value": lambda value: decode_fields(value.map_value.fields),
    "array_value": lambda value: [decode(item) for item in value.array_value.values],
}
