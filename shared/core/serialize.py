"""How a Python name is written in Firestore: `exported_at` becomes `exportedAt`."""

from __future__ import annotations


def camel(name: str) -> str:
    """Return a name of several words in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
