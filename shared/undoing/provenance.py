"""Provenance of documents and values: tells which of them come from the undone import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.index import holds_word, is_disowned
from shared.ledger import Age, Import


@dataclass(frozen=True, slots=True)
class Author:
    """The undone import, as the author of documents and of values in them."""

    import_id: str
    age: Age

    @classmethod
    def of(cls, import_: Import) -> Author:
        """Return the author for an import that has loaded something."""
        assert import_.age is not None
        return cls(import_.import_id, import_.age)

    def wrote(self, data: Mapping[str, Any]) -> bool:
        """Return True if the content of a document comes from the import."""
        source = data.get("source") or {}
        generation = source.get("generation")
        return bool(
            source.get("import") == self.import_id
            and not is_disowned(data)
            and (not isinstance(generation, int) or generation <= self.age.generation)
        )

    def said(self, age: Age) -> bool:
        """Return True if a value of that age comes from the import or from an earlier upload."""
        return age.generation == self.age.generation or (
            age.exported_at == self.age.exported_at and 0 < age.generation < self.age.generation
        )

    def wrote_part(self, data: Mapping[str, Any]) -> bool:
        """Return True if a newer file wrote a document, but some values come from the import."""
        return not self.wrote(data) and holds_word(data, self.said)
