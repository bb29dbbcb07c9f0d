"""Parses, checks and applies writes to documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from local.emulators.firestore import fields, names, values
from local.emulators.firestore.fields import DocumentMessage, Path
from local.emulators.firestore.refusals import (
    already_exists,
    failed_precondition,
    invalid,
    not_found,
)

_MAX_INTEGER = 2**63 - 1
_MIN_INTEGER = -(2**63)

Verb = Literal["insert", "update", "upsert", "delete"]


@dataclass(frozen=True, slots=True)
class Content:
    """A document as it is stored. Times are microseconds since 1970."""

    created: int
    updated: int
    fields: bytes
    """The serialized `fields` of a `google.firestore.v1.Document`, keys in order."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One field transform of a write."""

    path: Path
    kind: str
    """The name of the oneof: `increment`, `append_missing_elements`, ..."""
    operand: Any


@dataclass(frozen=True, slots=True)
class Write:
    """A valid write, which only the stored document or an earlier write can refuse."""

    document: names.Document
    update: Any | None
    """The `Document` message to write; None for a delete. It belongs to this write."""
    mask: Sequence[Path] | None
    """The fields to set or to delete; None replaces the whole document."""
    transforms: Sequence[Transform]
    replacement: bytes | None
    """Resulting fields, if they do not depend on the stored ones; otherwise None."""
    exists: bool | None
    """Precondition: must, must not or may exist."""
    updated: int | None
    """Precondition: the update time that the stored document must have."""

    @property
    def verb(self) -> Verb:
        if self.update is None:
            return "delete"
        if self.exists is None and self.updated is None:
            return "upsert"
        return "insert" if self.exists is False else "update"

    def check(self, stored: Content | None) -> None:
        """Refuse the write if its precondition does not hold for the stored document."""
        if self.updated is not None:
            version = stored.updated if stored else 0
            if version != self.updated:
                raise failed_precondition(
                    f"the stored version ({version}) does not match the required base version "
                    f"({self.updated})"
                )
        elif self.exists is True and stored is None:
            raise not_found(f"No document to update: {self.document.name}")
        elif self.exists is False and stored is not None:
            raise already_exists(f"Document already exists: {self.document.name}")

    def check_after(self, earlier: Write) -> None:
        """Refuse the write if an earlier one of the same request contradicts it."""
        gone = earlier.verb == "delete"
        if self.verb == "insert":
            contradiction = not gone
        elif self.verb == "update":
            contradiction = gone
        elif self.verb == "delete":
            contradiction = (self.exists is True and gone) or (self.exists is False and not gone)
        else:
            contradiction = False
        if contradiction:
            raise invalid(f"Cannot {earlier.verb} then {self.verb} an entity in the same request.")
        if self.updated is not None and self.updated != earlier.updated:
            raise invalid("Cannot collapse mutations with different version preconditions")

    def apply(self, stored: bytes | None, *, micros: int) -> tuple[bytes | None, list[Any]]:
        """Return the fields after the write (None: deleted) and the transforms' results.

        `stored` is None if the document does not exist; `micros` is the commit time.
        """
        if self.update is None:
            return None, []
        if self.replacement is not None:
            return self.replacement, []
        if self.mask is None:
            document = self.update
        else:
            document = DocumentMessage.FromString(stored or b"")
            for path in self.mask:
                value = fields.get(self.update.fields, path)
                if value is None:
                    fields.drop(document.fields, path)
                else:
                    fields.put(document.fields, path, value)
        results = [_transform(document.fields, each, micros) for each in self.transforms]
        return _serialize(self.document, document), results


def parse(message: Any, *, database: str) -> Write:
    """Read a `google.firestore.v1.Write` sent to `database`, refusing what is malformed.

    The message is used up: parts of it become parts of the result.
    """
    operation = message.WhichOneof("operation")
    transforms = [_parse_transform(each) for each in message.update_transforms]
    mask: list[Path] | None = None
    update = None
    match operation:
        case "update":
            update = message.update
            name = update.name
            values.check_fields(update.fields)
            if message.HasField("update_mask"):
                mask = _parse_mask(message.update_mask.field_paths)
            for stray in ("name", "create_time", "update_time"):
                update.ClearField(stray)
        case "delete":
            name = message.delete
            if message.HasField("update_mask"):
                raise invalid("a delete must not specify a document mask.")
            if transforms:
                raise invalid("a delete must not specify a update transform.")
        case "transform":
            name = message.transform.document
            transforms = [_parse_transform(each) for each in message.transform.field_transforms]
            if not transforms:
                raise invalid("The list of FieldTransform must not be empty.")
            update, mask = DocumentMessage(), []
        case _:
            raise invalid("empty write operation")
    document = names.parse_document(name)
    if document.collection.database != database:
        raise invalid(f'Document name "{name}" is not in the database "{database}".')
    if update is not None:
        names.check_writable(document)
    _check_transforms(transforms)
    exists, updated = _precondition(message)
    replaces = update is not None and mask is None and not transforms
    return Write(
        document=document,
        update=update,
        mask=mask,
        transforms=transforms,
        replacement=_serialize(document, update) if replaces else None,
        exists=exists,
        updated=updated,
    )


def _serialize(document: names.Document, message: Any) -> bytes:
    """Return the stored form of a document's fields; refuse a document that is too large."""
    serialized: bytes = message.SerializeToString(deterministic=True)
    values.check_size(document, message.fields, serialized)
    return serialized


def _parse_mask(paths: Sequence[str]) -> list[Path]:
    """Return the paths of an update mask, without those that another path covers."""
    parsed = {fields.parse(path) for path in paths}
    parsed.discard(fields.KEY)
    for path in parsed:
        for name in path:
            if fields.is_reserved(name):
                raise invalid(f"Invalid reserved name in field path {name}")
    return sorted(p for p in parsed if not any(p[:n] in parsed for n in range(1, len(p))))


def _precondition(message: Any) -> tuple[bool | None, int | None]:
    precondition = message.current_document
    match precondition.WhichOneof("condition_type"):
        case "exists":
            return precondition.exists, None
        case "update_time":
            return None, micros(precondition.update_time)
        case _:
            return None, None


def micros(stamp: Any) -> int:
    """Return a protobuf timestamp as microseconds since 1970; the API takes no finer ones."""
    if stamp.nanos % 1000:
        raise invalid("timestamp cannot have more than microseconds precision")
    return int(stamp.seconds) * 1_000_000 + int(stamp.nanos) // 1000


def _parse_transform(message: Any) -> Transform:
    path = fields.parse_writable(message.field_path)
    kind = message.WhichOneof("transform_type")
    match kind:
        case "set_to_server_value":
            if message.set_to_server_value != 1:
                raise invalid(
                    "ServerValue type must be specified for set_to_server_value transformation."
                )
            return Transform(path, kind, None)
        case "increment" | "maximum" | "minimum":
            operand = getattr(message, kind)
            if operand.WhichOneof("value_type") not in ("integer_value", "double_value"):
                raise invalid("Input must be int64 or double.")
            return Transform(path, kind, operand)
        case "append_missing_elements" | "remove_all_from_array":
            items = getattr(message, kind).values
            for item in items:
                if item.WhichOneof("value_type") == "array_value":
                    raise invalid("Cannot convert an array value in an array value.")
                values.check_value(item)
            return Transform(path, kind, items)
        case _:
            raise invalid("Operation type must be specified for field transformation.")


def _check_transforms(transforms: Sequence[Transform]) -> None:
    paths = {each.path for each in transforms}
    for path in paths:
        for length in range(1, len(path)):
            if path[:length] in paths:
                raise invalid(
                    f"Cannot transform property {'.'.join(path[:length])} and its nested "
                    "property at the same time."
                )


def _transform(document_fields: Any, transform: Transform, commit_micros: int) -> Any:
    """Apply one transform in place; return the value that the write result reports."""
    stored = fields.get(document_fields, transform.path)
    result = fields.Value()
    match transform.kind:
        case "set_to_server_value":
            new = result = values.timestamp_value(commit_micros - commit_micros % 1000)
        case "increment" | "maximum" | "minimum":
            new = result = _number(transform.kind, stored, transform.operand)
        case _:
            new = _array(transform.kind, stored, transform.operand)
            result.null_value = 0
    fields.put(document_fields, transform.path, new)
    return result


def _number(kind: str, stored: Any | None, operand: Any) -> Any:
    result = fields.Value()
    old = _as_number(stored)
    given = _as_number(operand)
    assert given is not None
    new: int | float
    if old is None:
        new = given
    elif kind == "increment":
        new = old + given
        if isinstance(new, int):
            new = max(_MIN_INTEGER, min(_MAX_INTEGER, new))
    elif math.isnan(old) or math.isnan(given):
        new = math.nan
    elif kind == "maximum":
        new = given if given > old else old
    else:
        new = given if given < old else old
    if isinstance(new, int):
        result.integer_value = new
    else:
        result.double_value = new
    return result


def _as_number(value: Any | None) -> int | float | None:
    match value.WhichOneof("value_type") if value is not None else None:
        case "integer_value":
            return int(value.integer_value)  # type: ignore[union-attr]
        case "double_value":
            return float(value.double_value)  # type: ignore[union-attr]
        case _:
            return None


def _array(kind: str, stored: Any | None, operand: Sequence[Any]) -> Any:
    result = fields.Value()
    result.array_value.SetInParent()
    is_array = stored is not None and stored.WhichOneof("value_type") == "array_value"
    old = stored.array_value.values if stored is not None and is_array else ()
    if kind == "append_missing_elements":
        result.array_value.values.extend(old)
        seen = {values.key(item) for item in old}
        for item in operand:
            item_key = values.key(item)
            if item_key not in seen:
                seen.add(item_key)
                result.array_value.values.append(item)
    else:
        unwanted = {values.key(item) for item in operand}
        result.array_value.values.extend(item for item in old if values.key(item) not in unwanted)
    return result
