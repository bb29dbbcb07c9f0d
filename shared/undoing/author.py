"""Tells which documents, and which values in them, come from the import that is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.index import age_of, holds_word, is_disowned, stamp_of
from shared.ledger import Import


@dataclass(frozen=True, slots=True)
class Author:
    """The import that is taken back, as the source of documents and values."""

    import_id: str
    exported_at: datetime
    generation: int

    @classmethod
    def of(cls, import_: Import) -> Author:
        """Return an import that has loaded something as an author."""
        assert import_.exported_at is not None
        # As a plain datetime: Firestore's own kind cannot be written again.
        exported_at, generation = age_of(stamp_of((import_.exported_at, import_.generation)))
        return cls(import_.import_id, exported_at, generation)

    @property
    def age(self) -> tuple[datetime, int]:
        """The age of the import: when it was exported, and which upload it is."""
        return self.exported_at, self.generation

    def wrote(self, data: Mapping[str, Any]) -> bool:
        """Whether the content of a document comes from the import."""
        source = data.get("source") or {}
        generation = source.get("generation")
        return bool(
            source.get("import") == self.import_id
            and not is_disowned(data)
            and (not isinstance(generation, int) or generation <= self.generation)
        )

    def said(self, age: tuple[datetime, int]) -> bool:
        """Whether a value of that age comes from the import, or from an earlier upload of it."""
        exported_at, generation = age
        return generation == self.generation or (
            exported_at == self.exported_at and 0 < generation < self.generation
        )

    def wrote_part(self, data: Mapping[str, Any]) -> bool:
        """Whether a newer file wrote a document, and some of its values come from the import."""
        return not self.wrote(data) and holds_word(data, self.said)
