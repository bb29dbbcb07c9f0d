"""Merges versions of one document: each field has the value of the latest version that gives one.

A version sets a field, clears a field (None), or leaves a field open. A row is a version, and so
is a file. Merging is associative: the result depends on the ages of the versions, not on the order
in which they arrive.

Example: version 2 sets `city` and leaves `mobile` open; version 1 sets both. Merged, `city` is from
version 2 and `mobile` from version 1.
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
    """The content of one document as versions up to `age` give it."""

    content: dict[str, Any]
    age: A
    open: dict[str, A | None]
    """Path of a field that the version of this `age` leaves open -> the age of the older version
    that gives its value; None where no version has set or cleared the field.

    Example: `{"mobile": 1, "address.city": None}`.
    """

    @classmethod
    def of(cls, content: dict[str, Any], age: A, keep: Iterable[str]) -> Version[A]:
        """Return a version that leaves the fields at the paths `keep` open."""
        return cls(content, age, dict.fromkeys(keep))

    @property
    def keep(self) -> frozenset[str]:
        """Paths of the fields that no version has set or cleared."""
        return frozenset(path for path, age in self.open.items() if age is None)

    def take(self, older: Version[A]) -> list[str]:
        """Fill the open fields of this version from an older one; return the paths it filled.

        A field that is filled already is filled again if the older version's value is newer.
        """
        taken = []
        for path, age in self.open.items():
            older_age = older.open.get(path, older.age)
            if older_age is not None and (age is None or age < older_age):
                put(self.content, path, get(older.content, path))
                self.open[path] = older_age
                taken.append(path)
        return taken


def get(data: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as `address.city`; None where there is none."""
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set the field at a path such as `address.city`, in place; None removes the field.

    A map that becomes empty is removed, too.
    """
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
