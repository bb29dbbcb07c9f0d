"""Firestore fields of records: `exported_at` of a dataclass is the field `exportedAt`."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")
_Reader = Callable[[Any], Any]


def camel(name: str) -> str:
    """Return a snake_case name in camelCase: `exported_at` becomes `exportedAt`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def to_fields(record: Any, *, without: Container[str] = ()) -> dict[str, Any]:
    """Return the Firestore fields of a dataclass, `without` those that its path names.

    A field of another name has it as metadata: `field(metadata={"key": "import"})`.
    """
    kind: Any = type(record)
    return {
        key: _plain(getattr(record, name)) for name, key, _ in _specs(kind) if name not in without
    }


def from_fields(kind: Callable[..., _T], data: Mapping[str, Any], **known: Any) -> _T:
    """Return a dataclass from its Firestore fields and what is `known` of it besides.

    Raises:
        TypeError: a field without a default is missing, or `data` is no map.
    """
    if not isinstance(data, Mapping):
        raise TypeError(kind.__name__)
    read = {
        name: data[key] if reader is None else reader(data[key])
        for name, key, reader in _specs(kind)
        if name not in known and key in data
    }
    return kind(**known, **read)


def _plain(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return value
    if hasattr(value, "to_document"):
        return value.to_document()
    if is_dataclass(value):
        return to_fields(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_SIMPLE: frozenset[type] = frozenset({str, int, float, bool, type(None), datetime})
"""Types that Firestore stores as they are; asked first, because most values are of these."""


@cache
def _specs(kind: Hashable) -> tuple[tuple[str, str, _Reader | None], ...]:
    """Return the fields of a dataclass: name, name in Firestore, and what reads its values."""
    record: Any = kind
    hints = get_type_hints(record)
    return tuple(
        (spec.name, spec.metadata.get("key", camel(spec.name)), _reader(hints[spec.name]))
        for spec in fields(record)
    )


def _reader(hint: Any) -> _Reader | None:
    """Return what makes a field's value of the stored one; None if it is the stored one."""
    arguments = get_args(hint)
    parts = [part for part in arguments if part is not type(None)]
    if len(parts) == 1 and len(arguments) == 2 and type(None) in arguments:
        return _reader(parts[0])
    if get_origin(hint) is tuple:
        item = _reader(arguments[0])
        return lambda values: tuple(values or () if item is None else map(item, values or ()))
    if hasattr(hint, "from_document"):
        return lambda value: None if value is None else hint.from_document(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: None if value is None else from_fields(hint, value)
    return None
