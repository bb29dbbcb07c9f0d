"""Encodes the content of a document as bytes, which are equal for equal content.

The values are those of `shared.firestore.encoding`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from google.cloud.firestore_v1 import types

from shared.firestore.bulk import wire as on_wire
from shared.firestore.encoding import decode, decode_fields, faults
from shared.firestore.messages import Document

ENCODING = 2
"""Version of the bytes of `encode_content`; a change of the bytes needs a new version."""

on_wire.encodes(types.Value.pb(), lambda value: value.SerializeToString(deterministic=True))


def encode_content(data: Mapping[str, Any]) -> bytes:
    """Return the encoded fields of a document; equal data always gives equal bytes.

    The bytes are the map entries `fields` of a Firestore `Document`, sorted by name at every
    level. Bytes of a document's name, or of further entries, can be appended.

    Raises:
        TypeError, ValueError: as `encode_fields`.
    """
    try:
        return on_wire.fields(data)
    except (AttributeError, KeyError, TypeError, ValueError):
        for error in faults(data, ""):
            raise error from None
        raise


def decode_content(wire: bytes, only: Collection[str] | None = None) -> dict[str, Any]:
    """Return the data of bytes that `encode_content` made.

    With `only`, all other fields stay raw values, which can be written again.
    """
    fields = Document.FromString(wire).fields
    if only is None:
        return decode_fields(fields)
    return {name: decode(value) if name in only else value for name, value in fields.items()}
