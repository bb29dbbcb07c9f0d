"""The usual ways of rows into Firestore: pandas, pydantic and the client library, as in tutorials.

| way | rows | documents |
|---|---|---|
| `usual` | `iterrows`, `Model(**row)` with `EmailStr` | `batch.set`, committed every 500 |
| `bulk_writer` | the same | python's `BulkWriter` |
| `tidy` | columns to dicts, a model without `EmailStr` | `batch.set`, committed every 500 |

They make the documents that the pipeline makes: fields of the same names in the same maps, unknown
columns under `extra`, the file under `source`, the lines of an order inside it. A row that the
model refuses is left out; nothing is reported, sorted out or compared with what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from google.cloud import firestore
from pydantic import BaseModel, ConfigDict, EmailStr, Field, ValidationError, create_model

from shared.files.types import FileType, Paths, file_type, nest, paths

_BATCH = 500
_CHUNK_ROWS = 10_000
_EXPORTED_AT = datetime(2024, 11, 18, 19, tzinfo=UTC)

_TYPES: Mapping[str, Any] = {
    "person id": (str, Field(pattern=r"^[0-9]{1,22}$")),
    "key": (str, Field(min_length=1, pattern=r"^[^/]+$")),
    "text": (str | None, None),
    "code": (str | None, None),
    "code or dash": (str | None, None),
    "size or dash": (str | None, None),
    "text or dash": (str | None, None),
    "currency": (str | None, None),
    "yes or no": (bool | None, None),
    "consent": (Literal["Yes", "No"] | None, None),
    "date": (date | None, None),
    "time": (datetime | None, None),
    "date of birth": (date | None, None),
    "date or time": (date | datetime | None, None),
    "money": (Decimal | None, None),
    "number": (Decimal | None, None),
    "percent": (Decimal | None, None),
    "whole number": (int | None, None),
}


def model(type_: FileType, *, email: Any) -> type[BaseModel]:
    """Return the model that one would write by hand for a type of file."""
    fields: dict[str, Any] = {
        column.name: (email | None, None)
        if column.kind.name == "e-mail"
        else _TYPES[column.kind.name]
        for column in type_.own_columns
    }
    made: type[BaseModel] = create_model(
        type_.name.capitalize(), __config__=ConfigDict(extra="allow"), **fields
    )
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value * 100)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value


def _document(row: BaseModel, to: Paths) -> dict[str, Any]:
    values = {name: _plain(value) for name, value in row.model_dump(exclude_none=True).items()}
    document = nest(values, to)
    if row.model_extra:
        document["extra"] = dict(row.model_extra)
    return document


Rows = Iterator[BaseModel]


def _by_iterrows(path: Path, made: type[BaseModel]) -> Rows:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines="skip")
    for _, row in frame.iterrows():
        try:
            yield made(**{str(name): cell for name, cell in row.items() if cell})
        except ValidationError:
            continue


def _by_columns(path: Path, made: type[BaseModel]) -> Rows:
    for frame in pd.read_csv(
        path, dtype=object, keep_default_na=False, on_bad_lines="skip", chunksize=_CHUNK_ROWS
    ):
        names = [str(name) for name in frame]
        columns = [frame[name].tolist() for name in names]
        for cells in zip(*columns, strict=True):
            try:
                yield made(**{name: cell for name, cell in zip(names, cells, strict=True) if cell})
            except ValidationError:
                continue


def _documents(rows: Rows, type_: FileType) -> Iterator[tuple[str, dict[str, Any]]]:
    own, items = paths(type_.own_columns, "document"), paths(type_.own_columns, "item")
    key = type_.key.name
    grouped: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        id_ = getattr(row, key)
        document = _document(row, own)
        document["source"] = {"import": "export", "row": number, "exportedAt": _EXPORTED_AT}
        if not type_.items:
            yield id_, document
            continue
        lines = grouped[id_][type_.items] if id_ in grouped else []
        grouped[id_] = document | {type_.items: [*lines, _document(row, items)]}
    yield from grouped.items()


def _by_batches(client: Any, documents: Iterator[tuple[Any, dict[str, Any]]]) -> None:
    batch, count = client.batch(), 0
    for reference, data in documents:
        batch.set(reference, data)
        count += 1
        if count == _BATCH:
            batch.commit()
            batch, count = client.batch(), 0
    if count:
        batch.commit()


def _by_bulk_writer(client: Any, documents: Iterator[tuple[Any, dict[str, Any]]]) -> None:
    from google.cloud.firestore_v1.bulk_writer import BulkWriterOptions

    # Unthrottled: its 500 operations a second would be measured otherwise.
    writer = client.bulk_writer(options=BulkWriterOptions(initial_ops_per_second=10**9))
    for reference, data in documents:
        writer.set(reference, data)
    writer.close()


Way = Callable[[Path, str, firestore.Client], None]


def _way(read: Any, write: Any, email: Any) -> Way:
    def load(path: Path, type_name: str, client: firestore.Client) -> None:
        type_ = file_type(type_name)
        collection = client.collection(f"connections/main/{type_.collection}")
        rows = read(path, model(type_, email=email))
        write(client, ((collection.document(key), one) for key, one in _documents(rows, type_)))

    return load


WAYS: Mapping[str, Way] = {
    "usual": _way(_by_iterrows, _by_batches, EmailStr),
    "bulk_writer": _way(_by_iterrows, _by_bulk_writer, EmailStr),
    "tidy": _way(_by_columns, _by_batches, str),
}
