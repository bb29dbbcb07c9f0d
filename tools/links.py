"""Check that links between pages lead to a file and a heading that exist.

A finding is one line, such as `docs/mail.md:12: docs/status.md has no heading "sign-in"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)
_TARGET = re.compile(
    r"\]\(\s*<?([^)>\s]+)|^\[[^\]]+\]: *(\S+)|(?:src|href)=\"([^\"]+)", re.MULTILINE
)
_NAMED = re.compile(r"\bdocs/[\w./-]*\w\.(?:md|json|webp)(?:#[\w-]+)?")
"""A page, schema or picture that a message or comment names, with or without an anchor."""


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page.

    `## Start: the 1st` has the anchor `start-the-1st`; a second heading of the same name gets `-1`.
    """
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCE.sub("", page)):
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        again = found.get(name, -1) + 1
        found[name] = again
        if again:
            found[f"{name}-{again}"] = 0
    return {*found, *re.findall(r"<a (?:id|name)=\"([^\"]+)", page)}


def in_page(page: Path, *, root: Path) -> Iterator[tuple[int, str]]:
    """Yield the line (1 is the first) and the fault of each broken link of a Markdown page."""
    text = page.read_text(encoding="utf-8")
    readable = _blank(_CODE, _blank(_FENCE, text))
    for match in _TARGET.finditer(readable):
        target = next(filter(None, match.groups()))
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = unquote(target).partition("#")
            fault = _fault(page.parent / path if path else page, anchor, root)
            if fault:
                yield readable.count("\n", 0, match.start()) + 1, fault


def in_code(text: str, *, root: Path) -> Iterator[tuple[int, str]]:
    """Yield the line (1 is the first) and the fault of each page that code names wrongly."""
    for match in _NAMED.finditer(text):
        path, _, anchor = match[0].partition("#")
        if fault := _fault(root / path, anchor, root):
            yield text.count("\n", 0, match.start()) + 1, fault


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _fault(path: Path, anchor: str, root: Path) -> str | None:
    name = _relative(path, root)
    if not path.exists():
        return f"{name} does not exist"
    if anchor and path.suffix == ".md" and anchor not in _anchors_of(path.resolve()):
        return f'{name} has no heading "{anchor}"'
    return None


@cache
def _anchors_of(path: Path) -> set[str]:
    return anchors(path.read_text(encoding="utf-8"))


def _relative(path: Path, root: Path) -> Path:
    path = path.resolve()
    return path.relative_to(root) if path.is_relative_to(root) else path
