"""A document converges to the same content in whatever order its files are loaded."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.folding import get, put
from shared.firestore.bulk.encoding import decode_content, encode_content
from shared.firestore.bulk.operations import Leave, Put
from shared.firestore.bulk.transport import Stored
from shared.index.merge import EXISTS, NEWER, OWN, decide, fresh
from shared.index.records import UNKNOWN
from shared.index.source import Origin, kept_ages, source_content
from shared.parsing.blocks import Incoming
from tests.support.imports import at

CONSENT = frozenset({"subscribed"})


def origin(hour: int, *, generation: int = 1, replay: bool = False) -> Origin:
    """Return a file exported at an hour of the day."""
    return Origin(
        import_id=f"customers_20230501T{hour:02}0000Z",
        exported_at=exported(hour),
        generation=generation,
        replay=replay,
    )


def exported(hour: int) -> datetime:
    """Return the time of export of such a file."""
    return at("00:00") + timedelta(hours=hour)


def incoming(content: Mapping[str, Any], keep: frozenset[str] = frozenset()) -> Incoming:
    """Return what a file says of the one document."""
    return Incoming(key="1", wire=encode_content(content), keep=keep, lines=(2,))


def apply(
    stored: dict[str, Any] | None,
    said: Incoming,
    by: Origin,
    *,
    create_only: bool = False,
    content: int = UNKNOWN,
) -> dict[str, Any] | None:
    """Return what is stored once a file has had its say."""
    before = None if stored is None else Stored(stored, None)
    decision = decide(
        said, before, origin=by, consent=CONSENT, create_only=create_only, content=content
    )
    if isinstance(decision, Leave):
        return stored
    if decision.only is None:
        return {**decode_content(decision.wire), **decision.data}
    changed = dict(stored or {})
    for path in decision.only:
        put(changed, path, get(decision.data, path))
    return changed


def test_a_new_document() -> None:
    """What is not there is written with its source."""
    assert {
        "city": "Hobart",
        "source": {
            "import": "customers_20230501T080000Z",
            "row": 2,
            "exportedAt": exported(8),
            "generation": 1,
        },
    } == apply(None, incoming({"city": "Hobart"}), origin(8))


@pytest.mark.parametrize(
    ("stored", "arriving", "wins"),
    [
        (origin(8), origin(9), True),
        (origin(9), origin(8), False),
        (origin(8), origin(8), False),
        (origin(8, generation=1), origin(8, generation=2), True),
        (origin(8, generation=2), origin(8, generation=1), False),
        (origin(8), origin(8, replay=True), True),
        (origin(9), origin(8, replay=True), False),
    ],
)
def test_the_newer_file_wins(stored: Origin, arriving: Origin, wins: bool) -> None:
    """A later export wins, then a later upload; the same one writes again only in a replay."""
    before = apply(None, incoming({"city": "Hobart"}), stored)

    after = apply(before, incoming({"city": "Perth"}), arriving)

    assert after is not None
    assert ("Perth" if wins else "Hobart") == after["city"]


@pytest.mark.parametrize(
    ("arriving", "reason"), [(origin(8), OWN), (origin(7), NEWER), (origin(8, generation=0), NEWER)]
)
def test_the_reason(arriving: Origin, reason: str) -> None:
    """An import that finds its own write says so, so that the row counts as loaded."""
    before = apply(None, incoming({"city": "Hobart"}), origin(8))
    assert before is not None

    assert Leave(reason) == decide(
        incoming({"city": "Perth"}),
        Stored(before, None),
        origin=arriving,
        consent=CONSENT,
        create_only=False,
    )


@pytest.mark.parametrize("source", [None, "?", {}, {"exportedAt": "yesterday"}])
def test_a_document_of_unknown_origin(source: object) -> None:
    """What no import has written is taken to be older than any file; its consent is kept."""
    before = {"city": "Hobart", "subscribed": False, "source": source}

    after = apply(before, incoming({"city": "Perth"}, CONSENT), origin(8))

    assert after is not None
    assert (after["city"], after["subscribed"]) == ("Perth", False)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_consent_does_not_depend_on_the_order(order: tuple[int, ...]) -> None:
    """Withdrawn at 7, given at 8, left open at 9: whatever comes first, it ends as given."""
    said = [
        (incoming({"subscribed": False}), origin(7)),
        (incoming({"subscribed": True}), origin(8)),
        (incoming({"city": "Perth"}, CONSENT), origin(9)),
    ]
    stored: dict[str, Any] | None = None
    for place in order:
        stored = apply(stored, *said[place])

    assert stored is not None
    assert (True, "Perth", exported(9)) == (
        stored["subscribed"],
        stored["city"],
        stored["source"]["exportedAt"],
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_corrected_consent_does_not_depend_on_the_order(order: tuple[int, ...]) -> None:
    """Given at 8, withdrawn by the correction of that file, left open at 9: it ends withdrawn."""
    said = [
        (incoming({"subscribed": True}), origin(8, generation=1)),
        (incoming({"subscribed": False}), origin(8, generation=2)),
        (incoming({"city": "Perth"}, CONSENT), origin(9)),
    ]
    stored: dict[str, Any] | None = None
    for place in order:
        stored = apply(stored, *said[place])

    assert stored is not None
    assert (stored["subscribed"], stored["city"]) == (False, "Perth")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("whole", [(), (0,), (1,), (1, 3)])
def test_incomplete_orders_do_not_depend_on_the_order(
    whole: tuple[int, ...], order: tuple[int, ...]
) -> None:
    """The latest complete order counts; where there is none, the latest incomplete one."""
    stored: dict[str, Any] | None = None
    for hour in order:
        content: dict[str, Any] = {"quantity": hour}
        if hour not in whole:
            content["incomplete"] = True
        said = replace(incoming(content), incomplete=hour not in whole)
        stored = apply(stored, said, origin(hour))

    assert stored is not None
    assert max(whole, default=3) == stored["quantity"]
    assert bool(whole) is ("incomplete" not in stored)


def test_an_older_file_never_gives_consent_back() -> None:
    """Consent withdrawn by a newer file is not touched by an older one that gave it."""
    stored = apply(None, incoming({"subscribed": False}), origin(9))

    assert stored == apply(stored, incoming({"subscribed": True}), origin(8))


FIELDS = ("city", "mobile", "address.line1", "address.line2", "subscribed")
SAID = st.lists(
    st.tuples(st.booleans(), st.dictionaries(st.sampled_from(FIELDS), st.sampled_from("xyz?"))),
    min_size=1,
    max_size=5,
)
"""Files: whether blank cells keep what is stored; and cells, one that is "?" being unreadable."""


@settings(max_examples=500, deadline=None)
@given(said=SAID, data=st.data())
def test_any_order_ends_alike(said: list[tuple[bool, dict[str, str]]], data: st.DataObject) -> None:
    """Any order, with any repetition, ends as the files in the order of their export would."""
    files = []
    expected: dict[str, str] = {}
    for keeps, cells in said:
        content: dict[str, Any] = {}
        open_ = {path for path, cell in cells.items() if cell == "?"}
        open_ |= {path for path in FIELDS if path not in cells and (keeps or path in CONSENT)}
        for path, cell in cells.items():
            if cell != "?":
                put(content, path, cell)
        files.append(incoming(content, frozenset(open_)))
        kept = {path: value for path, value in expected.items() if path in open_}
        expected = {**kept, **_flat(content)}

    places = list(range(len(files)))
    order = data.draw(st.permutations(places)) + data.draw(st.lists(st.sampled_from(places)))
    stored: dict[str, Any] | None = None
    for place in order:
        stored = apply(stored, files[place], origin(place))

    assert stored is not None
    assert expected == _flat(stored)
    assert exported(len(said) - 1) == stored["source"]["exportedAt"]


def test_cleared_stays_cleared() -> None:
    """What a newer file has cleared no older one fills, also where blank cells now keep."""
    stored = apply(None, incoming({"mobile": "1"}), origin(9))

    stored = apply(stored, incoming({"mobile": "1"}, frozenset({"city"})), origin(10))

    assert stored == apply(stored, incoming({"mobile": "1", "city": "Perth"}), origin(8))


def test_unreadable_in_a_new_document() -> None:
    """What a new document lacks because its cell was unreadable an older file may still fill."""
    stored = apply(None, incoming({"mobile": "1"}, frozenset({"city"})), origin(9))
    assert stored is not None
    assert stored["source"]["open"] == ["city"]

    stored = apply(stored, incoming({"mobile": "2", "city": "Perth"}), origin(8))

    assert stored is not None
    assert (stored["mobile"], stored["city"]) == ("1", "Perth")
    assert {"city": exported(8)} == stored["source"]["kept"]
    assert "open" not in stored["source"]


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if name == "source":
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def test_a_first_load_only_creates() -> None:
    """In create-only mode an existing document stays, whatever its age, and one's own is known."""
    stored = apply(None, incoming({"city": "Hobart"}), origin(7))
    assert stored is not None

    def decision(by: Origin) -> Put | Leave:
        return decide(
            incoming({"city": "Perth"}),
            Stored(stored, None),
            origin=by,
            consent=CONSENT,
            create_only=True,
        )

    assert Leave(EXISTS) == decision(origin(8))
    assert Leave(OWN) == decision(origin(7))


def after(
    stored: dict[str, Any] | None, said: Incoming, by: Origin, *, confirmed: int
) -> Put | Leave:
    """Return what is decided on a document that a file of an hour is known to have confirmed."""
    return decide(
        said,
        None if stored is None else Stored(stored, None),
        origin=by,
        consent=CONSENT,
        create_only=False,
        confirmed=origin(confirmed).age,
    )


@pytest.mark.parametrize("line", [1, 127, 128, 16_384, 10**9])
def test_names_its_source(line: int) -> None:
    """A document that is written as the file has it names the file, the row and the upload."""
    said = Incoming(key="1", wire=b"", keep=frozenset(), lines=(1, line))

    put = fresh(said, origin(8, generation=2**62), CONSENT)

    source = {
        "exportedAt": exported(8),
        "generation": 2**62,
        "import": origin(8).import_id,
        "row": line,
    }
    assert decode_content(put.wire) == {"source": source}
    assert put.data == {}


@pytest.mark.parametrize("content", [1, 127, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_names_its_content(content: int) -> None:
    """`source` has the hash of the content, as an integer that Firestore can hold, and gives it
    back."""
    said = Incoming(key="1", wire=b"", keep=frozenset(), lines=(1, 2))

    put = fresh(said, origin(8), CONSENT, content)

    stored = Stored(decode_content(put.wire), None)
    assert [*stored.data] == ["source"]
    assert -(2**63) <= stored.data["source"]["content"] < 2**63
    assert content == source_content(stored)


def test_a_filled_document_has_no_hash() -> None:
    """Once an older file has filled an open field, `source` no longer has the hash."""
    stored = apply(None, incoming({}, frozenset({"city"})), origin(9), content=7)
    assert stored is not None
    assert stored["source"]["content"] == 7

    filled = apply(stored, incoming({"city": "Hobart"}), origin(8), content=8)

    assert filled is not None
    assert filled["city"] == "Hobart"
    assert "content" not in filled["source"]


def test_newer_consent_leaves_no_hash() -> None:
    """A document whose consent was withdrawn later than its file was exported has no hash."""
    kept = {"kept": {"subscribed": exported(9)}, "keptGenerations": {"subscribed": 0}}
    before = {
        "subscribed": False,
        "source": {"import": "?", "exportedAt": exported(0), "generation": 1, **kept},
    }

    after = apply(before, incoming({"subscribed": True}), origin(8), content=8)

    assert after is not None
    assert after["subscribed"] is False
    assert "content" not in after["source"]


@pytest.mark.parametrize(("confirmed", "wins"), [(7, True), (8, True), (9, False), (10, False)])
def test_what_was_confirmed_is_as_new_as_what_was_written(confirmed: int, wins: bool) -> None:
    """An older file does not win over a document that a newer one has left as it was."""
    stored = apply(None, incoming({"city": "Hobart"}), origin(8))

    decision = after(stored, incoming({"city": "Perth"}), origin(9), confirmed=confirmed)

    assert wins is isinstance(decision, Put)
    if not wins:
        assert Leave(OWN if confirmed == 9 else NEWER) == decision


def test_a_kept_value_is_as_new_as_its_confirmation() -> None:
    """A value that a row leaves open was given by the latest file that has confirmed it."""
    stored = apply(None, incoming({"subscribed": False}), origin(7))

    decision = after(stored, incoming({"city": "Perth"}, CONSENT), origin(9), confirmed=8)

    assert isinstance(decision, Put)
    assert {"subscribed": exported(8)} == decision.data["source"]["kept"]


def test_a_kept_value_that_may_have_been_confirmed() -> None:
    """It is newer than all files before the one that may have confirmed it, older than that one,
    and still the value of the upload that wrote it."""
    stored = apply(None, incoming({"subscribed": False}), origin(7, generation=5))
    assert stored is not None

    decision = decide(
        incoming({"city": "Perth"}, CONSENT),
        Stored(stored, None),
        origin=origin(12),
        consent=CONSENT,
        create_only=False,
        until=origin(9, generation=3).age,
    )

    assert isinstance(decision, Put)
    age = kept_ages(decision.data["source"])["subscribed"]
    assert origin(8, generation=9).age < age < origin(9, generation=3).age
    assert 5 == age.generation


@pytest.mark.parametrize("stored", [None, {"city": "Hobart"}])
def test_what_somebody_has_removed(stored: dict[str, Any] | None) -> None:
    """A document without source, or none at all, is not taken from an older file than the latest
    that held it.
    """
    assert Leave(NEWER) == after(stored, incoming({"city": "Perth"}), origin(8), confirmed=9)
    assert isinstance(after(stored, incoming({"city": "Perth"}), origin(9), confirmed=8), Put)
