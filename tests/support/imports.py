"""Imports as tests need them: a name and a time of upload are enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.files.names import parse_import_id
from shared.ledger.imports import Import


def at(text: str) -> datetime:
    """Read a time of day of the first of May 2023, or a full basic ISO time, as UTC."""
    if len(text) == 5:
        return datetime(2023, 5, 1, int(text[:2]), int(text[3:]), tzinfo=UTC)
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def make_import(import_id: str, *, uploaded: datetime | None = None, **fields: Any) -> Import:
    """Return an import of the main connection, uploaded a minute after its export."""
    mode, type, exported_at = parse_import_id(import_id)
    uploaded_at = uploaded or exported_at + timedelta(minutes=1)
    values: dict[str, Any] = {
        "connection": "main",
        "import_id": import_id,
        "file": f"{import_id}.csv",
        "object": f"{import_id}.csv",
        "bucket": "uploads",
        "generation": 1,
        "type": type,
        "mode": mode,
        "exported_at": exported_at,
        "uploaded_at": uploaded_at,
        "size": 100,
        "crc32c": "AAAAAA==",
    }
    return Import(**{**values, **fields})
