"""Parses field paths, and reads, sets and removes the fields they name in a document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from google.cloud.firestore_v1.types import document as document_types

from local.emulators.firestore.refusals import invalid

Path = tuple[str, ...]
"""The names from the top of a document down to a field."""

KEY = ("__name__",)
"""Path that means the document's name in queries, masks and projections."""

Fields = Any
"""The protobuf map from names to values of a document or of a map value."""

Value = document_types.Value.pb()
DocumentMessage = document_types.Document.pb()

_SEGMENT = re.compile(r"([a-zA-Z_][a-zA-Z_0-9]*)|`((?:[^`\\]|\\.)+)`", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(maxsize=4096)
def parse(path: str) -> Path:
    """Split a field path: `a.b` is two names, `` a.`b.c` `` as well. Refuses what is not one."""
    if not path:
        raise invalid("Invalid empty property path string.")
    names: list[str] = []
    position = 0
    while True:
        match = _SEGMENT.match(path, position)
        if match is None:
            break
        plain, quoted = match.groups()
        names.append(plain if plain is not None else _ESCAPED.sub(r"\1", quoted))
        position = match.end()
        if position == len(path):
            return tuple(names)
        if path[position] != ".":
            break
        position += 1
    raise invalid(
        f'Invalid property path "{path}". Unquoted property paths must match regex '
        "([a-zA-Z_][a-zA-Z_0-9]*), and quoted property paths must match regex "
        r"(`(?:[^`\\]|(?:\\.))+`)"
    )


def parse_writable(path: str) -> Path:
    """Split a field path that will be written. Reserved names are refused."""
    names = parse(path)
    for name in names:
        if is_reserved(name):
            raise invalid(f"Invalid reserved name in field path {name}")
    return names


def is_reserved(name: str) -> bool:
    """Return True for a field name that the API reserves: `__name__`, `__key__` and similar."""
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def get(fields: Fields, path: Path) -> Any | None:
    """Return the value at a path; None if there is none."""
    last = len(path) - 1
    for position, name in enumerate(path):
        if name not in fields:
            return None
        value = fields[name]
        if position == last:
            return value
        if value.WhichOneof("value_type") != "map_value":
            return None
        fields = value.map_value.fields
    return None


def put(fields: Fields, path: Path, value: Any) -> None:
    """Set the value at a path. Anything on the way that is not a map becomes one."""
    for name in path[:-1]:
        inner = fields[name]
        inner.map_value.SetInParent()
        fields = inner.map_value.fields
    fields[path[-1]].CopyFrom(value)


def drop(fields: Fields, path: Path) -> None:
    """Remove the field at a path, if there is one. A map that becomes empty is kept."""
    for name in path[:-1]:
        if name not in fields or fields[name].WhichOneof("value_type") != "map_value":
            return
        fields = fields[name].map_value.fields
    fields.pop(path[-1], None)


class Mask:
    """Selected fields of a document."""

    def __init__(self, paths: Iterable[str]) -> None:
        parsed = {parse(path) for path in paths}
        for path in parsed:
            if len(path) > 1 and any(is_reserved(name) for name in path):
                raise invalid(f"Invalid reserved name in field path {'.'.join(path)}")
        parsed.discard(KEY)
        self.paths: Sequence[Path] = sorted(
            path for path in parsed if not any(path[:n] in parsed for n in range(1, len(path)))
        )

    def apply(self, fields: bytes) -> bytes:
        """Reduce a document's serialized fields to the ones of the mask."""
        if not self.paths:
            return b""
        whole = DocumentMessage.FromString(fields)
        part = DocumentMessage()
        for path in self.paths:
            value = get(whole.fields, path)
            if value is not None:
                put(part.fields, path, value)
        return bytes(part.SerializeToString(deterministic=True))
