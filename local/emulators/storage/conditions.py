"""Preconditions of operations on objects and buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from local.emulators.storage.model import Bucket, Object
from local.emulators.storage.refusals import condition_not_met, invalid, not_modified


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Conditions on an object or bucket; None means no condition. Generation 0: no object.

    https://cloud.google.com/storage/docs/request-preconditions
    """

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None
    etags_match: tuple[str, ...] = ()
    """ETags from `If-Match`; `*` means any."""
    etags_not_match: tuple[str, ...] = ()
    """ETags from `If-None-Match`; `*` means any."""

    @classmethod
    def from_query(cls, query: Mapping[str, str], *, prefix: str = "if") -> Self:
        """Read them from a query; those of a copy's source begin with `ifSource`."""
        return cls(
            generation_match=whole(query, f"{prefix}GenerationMatch"),
            generation_not_match=whole(query, f"{prefix}GenerationNotMatch"),
            metageneration_match=whole(query, f"{prefix}MetagenerationMatch"),
            metageneration_not_match=whole(query, f"{prefix}MetagenerationNotMatch"),
        )

    @classmethod
    def from_request(cls, query: Mapping[str, str], headers: Mapping[str, str]) -> Self:
        """Read them from a query and from the headers about entity tags."""
        own = cls.from_query(query)
        return cls(
            **{
                **own.plan(),
                "etags_match": _tags(headers.get("if-match", "")),
                "etags_not_match": _tags(headers.get("if-none-match", "")),
            }
        )

    @classmethod
    def from_plan(cls, plan: Mapping[str, Any]) -> Self:
        """Read the values that `plan` returns."""
        return cls(**{name: _tuple(value) for name, value in plan.items()})

    def plan(self) -> dict[str, Any]:
        """Return plain values that can be stored."""
        return asdict(self)

    def check(self, found: Object | Bucket | None, *, etag: str = "") -> None:
        """Raise Refusal (412) unless all conditions hold for what was found."""
        if not self._generation_matches(found):
            raise condition_not_met()
        if self.etags_match and not {"*", etag} & {*self.etags_match}:
            raise condition_not_met()
        if not self._differs(found, etag):
            raise condition_not_met("If-None-Match")

    def check_reading(self, found: Object | Bucket, *, etag: str) -> None:
        """Check for a reader; refuse first with 304 if the reader's version is current."""
        if not self._differs(found, etag):
            raise not_modified()
        self.check(found, etag=etag)

    def _generation_matches(self, found: Object | Bucket | None) -> bool:
        generation = found.generation if isinstance(found, Object) else 0
        metageneration = found.metageneration if found is not None else 0
        return self.generation_match in (None, generation) and self.metageneration_match in (
            None,
            metageneration,
        )

    def _differs(self, found: Object | Bucket | None, etag: str) -> bool:
        generation = found.generation if isinstance(found, Object) else 0
        metageneration = found.metageneration if found is not None else 0
        if self.generation_not_match == generation:
            return False
        if self.metageneration_not_match == metageneration:
            return False
        return not {"*", etag} & {*self.etags_not_match}


def whole(query: Mapping[str, str], name: str) -> int | None:
    """Read a whole number from a query; None if it is missing. Raises Refusal."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise invalid(f"Invalid value for the parameter {name}.")
    return int(text)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Read true or false from a query. Clients write it in the way of their language."""
    return query.get(name, "").lower() == "true"


def _tags(header: str) -> tuple[str, ...]:
    return tuple(
        tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
