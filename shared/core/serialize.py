"""Firestore fields of records: `exported_at` of a dataclass is the field `exportedAt`."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


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
        name: _read(hint, data[key])
        for name, key, hint in _specs(kind)
        if name not in known and key in data
    }
    return kind(**known, **read)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_document"):
        return value.to_document()
    if is_dataclass(value):
        return to_fields(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _read(hint: Any, value: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_read(get_args(hint)[0], item) for item in value or ())
    if value is None:
        return None
    if hasattr(hint, "from_document"):
        return hint.from_document(value)
    return from_fields(hint, value) if isinstance(hint, type) and is_dataclass(hint) else value


@cache
def _specs(kind: Hashable) -> tuple[tuple[str, str, Any], ...]:
    """Return the fields of a dataclass: name, name in Firestore, and type without `| None`."""
    record: Any = kind
    hints = get_type_hints(record)
    return tuple(
        (spec.name, spec.metadata.get("key", camel(spec.name)), _present(hints[spec.name]))
        for spec in fields(record)
    )


def _present(hint: Any) -> Any:
    """Return the type of a value that is there: `Index` of `Index | None`."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    return parts[0] if len(parts) == 1 and type(None) in get_args(hint) else hint
