"""Folds versions of one document: each field has the value of the latest version that gives one.

A version says something of a field (a value, or that there is none), or leaves it open. Rows of a
file, and files, are versions alike. To fold is associative: the outcome does not depend on the
order in which versions arrive, only on their ages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...


A = TypeVar("A", bound=_Ordered)


@dataclass(slots=True)
class Version(Generic[A]):
    """What is said of a document so far."""

    content: dict[str, Any]
    age: A
    open: dict[str, A | None]
    """Path of a field that the version of this age leaves open -> the age of the version whose
    word stands there; None where nobody has said anything."""

    @classmethod
    def of(cls, content: dict[str, Any], age: A, keep: Iterable[str]) -> Version[A]:
        """Return a version that leaves these fields open."""
        return cls(content, age, dict.fromkeys(keep))

    @property
    def keep(self) -> frozenset[str]:
        """Paths of the fields that nobody has said anything of."""
        return frozenset(path for path, age in self.open.items() if age is None)

    def take(self, older: Version[A]) -> list[str]:
        """Take from an older version what stands in fields that this one leaves open.

        Returns the paths of the fields about which it had more to say.
        """
        taken = []
        for path, age in self.open.items():
            theirs = older.open.get(path, older.age)
            if theirs is not None and (age is None or age < theirs):
                put(self.content, path, get(older.content, path))
                self.open[path] = theirs
                taken.append(path)
        return taken


def get(data: Mapping[str, Any], path: str) -> Any:
    """Return the value of a field; None where there is none."""
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a field, or remove it where the value is None; no map is left empty."""
    name, _, rest = path.partition(".")
    if rest:
        inner = data.get(name)
        inner = dict(inner) if isinstance(inner, Mapping) else {}
        put(inner, rest, value)
        value = inner or None
    if value is None:
        data.pop(name, None)
    else:
        data[name] = value
