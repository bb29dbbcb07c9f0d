"""Pages of object lists: their content, and the start of the next page.

https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from local.emulators.storage.conditions import flag, whole
from local.emulators.storage.model import Object
from local.emulators.storage.refusals import invalid

Scan = Callable[[str, int], Iterator[Object]]
"""Function that yields the objects from a name and generation on, in the order of the list."""

_PAGE = 1000
"""Entries per page at most, prefixes included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Start of a page."""

    name: str
    generation: int
    folder: str | None
    """Prefix at which the previous page ended."""

    @classmethod
    def from_token(cls, token: str) -> Self:
        """Read a page token. Raises Refusal."""
        try:
            name, generation, folder = json.loads(base64.urlsafe_b64decode(token))
            return cls(name=str(name), generation=int(generation), folder=folder)
        except (TypeError, ValueError):
            raise invalid("Invalid page token.") from None

    def token(self) -> str:
        """Return the page token that clients send back."""
        text = json.dumps([self.name, self.generation, self.folder])
        return base64.urlsafe_b64encode(text.encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Part of a list that a client asks for."""

    prefix: str = ""
    delimiter: str = ""
    """Text after which names are cut, behind the prefix. The cut names become prefixes."""
    include_trailing_delimiter: bool = False
    """True if an object whose name ends at the cut is also listed itself."""
    start_offset: str = ""
    """Name from which objects are listed."""
    end_offset: str = ""
    """Name before which the list ends."""
    glob: str = ""
    """Pattern that objects and prefixes must match."""
    limit: int = _PAGE
    start: Place | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Read it from the query of a request. Raises Refusal."""
        limit = whole(query, "maxResults")
        token = query.get("pageToken")
        return cls(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            include_trailing_delimiter=flag(query, "includeTrailingDelimiter"),
            start_offset=query.get("startOffset", ""),
            end_offset=query.get("endOffset", ""),
            glob=query.get("matchGlob", ""),
            limit=min(limit or _PAGE, _PAGE),
            start=Place.from_token(token) if token else None,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list."""

    items: list[Object]
    prefixes: list[str]
    next: Place | None


def page(scan: Scan, query: Query) -> Page:
    """Return one page of the objects that `scan` gives."""
    pattern = _glob(query.glob) if query.glob else None

    def matches(entry: str) -> bool:
        return pattern is None or pattern.fullmatch(entry) is not None

    place = query.start or Place(
        name=max(query.prefix, query.start_offset), generation=0, folder=None
    )
    name, generation, seen = place.name, place.generation, place.folder
    items: list[Object] = []
    prefixes: list[str] = []
    while True:
        jump = None
        for item in scan(name, generation):
            here = Place(name=item.name, generation=item.generation, folder=seen)
            if not item.name.startswith(query.prefix) or (
                query.end_offset and item.name >= query.end_offset
            ):
                return Page(items, prefixes, None)
            folder = _folder(item.name, query)
            if folder is not None and folder != seen and matches(folder):
                if len(items) + len(prefixes) == query.limit:
                    return Page(items, prefixes, here)
                prefixes.append(folder)
            seen = folder
            here = replace(here, folder=seen)
            itself = folder is None or (query.include_trailing_delimiter and item.name == folder)
            if itself and matches(item.name):
                if len(items) + len(prefixes) == query.limit:
                    return Page(items, prefixes, here)
                items.append(item)
            if folder is not None and item.name != folder:
                jump = _after(folder)
                break
        if jump is None:
            return Page(items, prefixes, None)
        # Skip everything in the folder.
        name, generation = jump, 0


def _folder(name: str, query: Query) -> str | None:
    if not query.delimiter:
        return None
    found = name.find(query.delimiter, len(query.prefix))
    return name[: found + len(query.delimiter)] if found >= 0 else None


def _after(prefix: str) -> str | None:
    """Return the first name after all that begin with a prefix, by code point and so by UTF-8."""
    for length in range(len(prefix), 0, -1):
        sign = ord(prefix[length - 1]) + 1
        if 0xD800 <= sign <= 0xDFFF:
            sign = 0xE000
        if sign <= 0x10FFFF:
            return prefix[: length - 1] + chr(sign)
    return None


def _glob(pattern: str) -> re.Pattern[str]:
    """Translate a glob: `*` and `?` stop at slashes, `**` does not; `[...]` and `{a,b}`."""
    result, depth, at = "", 0, 0
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if sign == "*":
            if pattern.startswith("*", at):
                at += 1
                result += ".*"
            else:
                result += "[^/]*"
        elif sign == "?":
            result += "[^/]"
        elif sign == "[" and (end := pattern.find("]", at + 1)) > 0:
            inside = pattern[at:end]
            negated = inside[0] in "!^"
            result += f"[{'^' if negated else ''}{_set(inside[negated:])}]"
            at = end + 1
        elif sign == "{":
            result, depth = result + "(?:", depth + 1
        elif sign == "}" and depth:
            result, depth = result + ")", depth - 1
        elif sign == "," and depth:
            result += "|"
        elif sign == "\\" and at < len(pattern):
            result, at = result + re.escape(pattern[at]), at + 1
        else:
            result += re.escape(sign)
    try:
        return re.compile(result, re.DOTALL)
    except re.error:
        raise invalid("Invalid value for the parameter matchGlob.") from None


def _set(inside: str) -> str:
    """Escape what is within brackets, except for the dashes of ranges."""
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", inside)
