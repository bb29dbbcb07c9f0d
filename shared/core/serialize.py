"""Names of Firestore fields from Python names: `exported_at` becomes `exportedAt`."""

from __future__ import annotations


def camel(name: str) -> str:
    """Return a snake_case name in camelCase: `exported_at` becomes `exportedAt`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
