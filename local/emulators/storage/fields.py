"""Selects the fields of a resource that a client asks for.

https://cloud.google.com/storage/docs/json_api#fields
"""

from __future__ import annotations

import re
from typing import Any

from local.emulators.storage.refusals import invalid

Mask = dict[str, "Mask"]
"""Field -> mask of its content; an empty mask means all of it. `*` is any field."""

_TOKEN = re.compile(r"[A-Za-z0-9_*-]+|[,/()]")


def parse(text: str) -> Mask:
    """Read e.g. `items(name,size),nextPageToken`. Raises Refusal."""
    tokens = _TOKEN.findall(text.replace(" ", ""))
    if "".join(tokens) != text.replace(" ", ""):
        raise _wrong(text)
    mask = _selection(tokens, text)
    if tokens:
        raise _wrong(text)
    return mask


def select(value: Any, mask: Mask) -> Any:
    """Return the parts of a value that the mask names, also within lists."""
    if not mask:
        return value
    if isinstance(value, list):
        return [select(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {key: mask.get(key, mask.get("*")) for key in value}
    return {key: select(value[key], part) for key, part in inner.items() if part is not None}


def _selection(tokens: list[str], text: str) -> Mask:
    mask: Mask = {}
    while True:
        here = mask
        while True:
            name = tokens.pop(0) if tokens else ""
            if not name or name in ",/()":
                raise _wrong(text)
            here = here.setdefault(name, {})
            if not tokens or tokens[0] != "/":
                break
            tokens.pop(0)
        if tokens and tokens[0] == "(":
            tokens.pop(0)
            here.update(_selection(tokens, text))
            if not tokens or tokens.pop(0) != ")":
                raise _wrong(text)
        if not tokens or tokens[0] != ",":
            return mask
        tokens.pop(0)


def _wrong(text: str) -> Exception:
    return invalid(f"Invalid field selection {text}")
