"""Documents without the values of an import that is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from shared.core import get, put
from shared.firestore.bulk import Leave, Put, Stored
from shared.index.merge import NEWER, older_version, patch
from shared.index.source import LONG_AGO, Origin, kept_ages, open_fields, source_age, version_of
from shared.ledger import Age
from shared.parsing import INCOMPLETE, Incoming

Word = Callable[[Age], bool]
"""Returns True for the ages of values that one certain import gave."""


def disowned(
    stored: Stored,
    *,
    is_word: Word,
    by: Age,
    withdrawn: Mapping[str, Age],
    incoming: Incoming | None,
    consent: frozenset[str],
) -> Stored:
    """Return a document without the values of the import that wrote it last, which is undone.

    The result is older than any file (its age is 1970), so that every file may write it. It keeps
    the fields that the undone import had left open. Consent that the import withdrew stays
    withdrawn.

    Args:
        stored: the document as it is stored.
        is_word: True for ages of the undone import, all its uploads included.
        by: the age that withdrawals of the undone import get.
        withdrawn: consent path -> age of withdrawals by imports that were undone before.
        incoming: the document as another file has it; every field that this file leaves open is
            open. None: the stored content stays, open for any file.
        consent: paths of the fields that hold consent.
    """
    version = version_of(stored.data, LONG_AGO, consent)
    kept = {path: age for path, age in version.open.items() if age is not None and not is_word(age)}
    stays = {
        path: age
        for path, age in _still_withdrawn(
            stored.data, consent - kept.keys(), by=dict.fromkeys(consent, by), withdrawn=withdrawn
        ).items()
        if path not in kept or kept[path] < age
    }
    kept |= stays
    if incoming is None:
        content = dict(stored.data)
        open_ = {path: age and LONG_AGO for path, age in version.open.items()}
    else:
        content, open_ = {}, dict.fromkeys(incoming.keep)
        if incoming.incomplete:
            content[INCOMPLETE] = True  # the complete document was the undone import's
        for path in kept:
            put(content, path, get(stored.data, path))
    for path in stays:
        put(content, path, False)
    source = {
        **{name: stored.data["source"].get(name) for name in ("import", "row")},
        "exportedAt": LONG_AGO[0],
        "generation": LONG_AGO[1],
        **open_fields({**open_, **kept}, consent),
    }
    return Stored({**content, "source": source}, stored.update_time)


def is_disowned(stored: Mapping[str, Any]) -> bool:
    """True if a document is what `disowned` left, and no other file has written it since."""
    source = stored.get("source")
    return isinstance(source, Mapping) and source.get("exportedAt") == LONG_AGO[0]


def without_word(
    incoming: Incoming | None,
    stored: Stored,
    is_word: Word,
    *,
    by: Age,
    now: datetime,
    withdrawn: Mapping[str, Age],
    origin: Origin,
    consent: frozenset[str],
) -> Put | Leave:
    """Return the write that replaces an undone import's values which newer files have left open.

    Consent that the import withdrew stays withdrawn. So does consent that imports withdrew which
    were undone before.

    Args:
        incoming: the document as an older file has it, whose values are taken; None removes the
            values that no file replaces.
        stored: the document as it is stored.
        is_word: True for ages of the undone import.
        by: the age that withdrawals of the undone import get at least.
        now: the latest age that they get.
        withdrawn: consent path -> age of withdrawals by imports that were undone before.
        origin: the older file.
        consent: paths of the fields that hold consent.
    """
    data = stored.data
    version = version_of(data, source_age(stored) or LONG_AGO, consent)
    words = {path: age for path, age in version.open.items() if age is not None and is_word(age)}
    before = {path: age for path, age in withdrawn.items() if path in words}
    # A value that counts as later than the import may have been confirmed by a later file.
    ages = {path: max(by, Age(min(words[path].exported_at, now), 0)) for path in words}
    stays = _still_withdrawn(data, consent & words.keys(), by=ages, withdrawn=before)
    version.open |= {**dict.fromkeys(words), **stays}
    for path in stays:
        put(version.content, path, False)
    if incoming is None:
        paths = [*words]
        for path in words.keys() - stays.keys():
            put(version.content, path, None)
    else:
        paths = version.take(older_version(incoming, origin, consent))
        if not paths:
            return Leave(NEWER)
        version.open |= {path: age for path, age in words.items() if path not in paths}
    return patch(data["source"], version, paths, consent)


def withdrawing(
    stored: Stored, withdrawn: Mapping[str, Age], consent: frozenset[str]
) -> tuple[Stored, frozenset[str]]:
    """Return a document with the consent withdrawn that undone imports withdrew.

    Consent that a newer file gave is unchanged. Also return the paths of the consent that has
    changed in the document, or got a later age in `source`.

    Args:
        stored: the document as it is stored, written by a file that counts.
        withdrawn: consent path -> age of withdrawals by undone imports.
        consent: paths of the fields that hold consent.
    """
    version = version_of(stored.data, source_age(stored) or LONG_AGO, consent)
    stays = {
        path: age
        for path, age in withdrawn.items()
        if (version.open.get(path, version.age) or LONG_AGO) < age
    }
    if not stays:
        return stored, frozenset()
    for path in stays:
        put(version.content, path, False)
    known = {name: value for name, value in stored.data["source"].items() if name != "content"}
    version.content["source"] = known | open_fields({**version.open, **stays}, consent)
    return Stored(version.content, stored.update_time), frozenset(stays)


def holds_word(stored: Mapping[str, Any], is_word: Word) -> bool:
    """True if a document holds a value of an import that newer files have left open."""
    source = stored.get("source")
    return isinstance(source, Mapping) and any(map(is_word, kept_ages(source).values()))


def _still_withdrawn(
    stored: Mapping[str, Any],
    paths: Iterable[str],
    *,
    by: Mapping[str, Age],
    withdrawn: Mapping[str, Age],
) -> dict[str, Age]:
    """Return the consent that stays withdrawn: path -> age of the withdrawal.

    Args:
        stored: the document.
        paths: consent that the undone import set; `false` there is a withdrawal.
        by: consent path -> age of such a withdrawal.
        withdrawn: withdrawals by imports that were undone before.
    """
    undone = {path: by[path] for path in paths if get(stored, path) is False}
    return {
        **withdrawn,
        **{path: max(age, withdrawn.get(path, age)) for path, age in undone.items()},
    }
