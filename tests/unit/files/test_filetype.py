"""Types of file are registered, and a new one is a table and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.files import filetype, names
from shared.files.aggregation import Aggregation
from shared.files.cells.numbers import MONEY
from shared.files.cells.texts import DOCUMENT_ID
from shared.files.cells.times import DATE
from shared.files.column import Column
from shared.files.filetype import (
    FileType,
    Reference,
    all_types,
    file_type,
    going_after,
    register,
    waiting_for,
)
from tests.support.cells import SYDNEY, check, document, found
from tools.reference import formats

GIFT_CARDS = FileType(
    name="giftcards",
    collection="giftCards",
    about="Gift cards, one row per card.",
    source="API guide",
    columns=(
        Column(
            name="VOUCHER_NUMBER",
            field="number",
            kind=DOCUMENT_ID,
            key=True,
            meaning="Number of the card.",
            example="10001",
        ),
        Column(
            name="AVAILABLE_AMOUNT",
            field="amounts.availableCents",
            kind=MONEY,
            required=True,
            aliases=("AMOUNT",),
            meaning="What is left on the card.",
            example="50.00",
        ),
        Column(
            name="EXPIRY_DATE",
            field="expires",
            kind=DATE,
            meaning="When the card expires.",
            example="2026-01-01",
        ),
    ),
)


@pytest.fixture
def gift_cards() -> Iterator[FileType]:
    """A type that exists for one test."""
    known = dict(filetype._TYPES)
    filetype._TYPES.pop(GIFT_CARDS.name, None)
    yield register(GIFT_CARDS)
    filetype._TYPES.clear()
    filetype._TYPES.update(known)


def test_all_types() -> None:
    """The types are those that a file's name may carry, in the same order."""
    assert tuple(type_.name for type_ in all_types()) == names.TYPES
    assert [file_type(name) for name in names.TYPES] == list(all_types())


def test_a_type_that_is_not_there() -> None:
    """A type that nobody has registered is a KeyError."""
    with pytest.raises(KeyError, match="stocktake"):
        file_type("stocktake")


def test_a_new_type_is_a_table(gift_cards: FileType) -> None:
    """A table and a registration give layout, checks, documents and the page for people."""
    rows = [
        {"voucher_number": "10001", "Amount": "50.00", "EXPIRY_DATE": "", "PIN": "1"},
        {"voucher_number": "", "Amount": "1", "EXPIRY_DATE": "", "PIN": ""},
        {"voucher_number": "10002", "Amount": "1", "EXPIRY_DATE": "soon", "PIN": ""},
    ]

    content, _ = document("giftcards", rows[:1])
    checked = check("giftcards", rows)

    assert gift_cards is file_type("giftcards")
    assert gift_cards.layout(SYDNEY).required == (("VOUCHER_NUMBER",), ("AVAILABLE_AMOUNT",))
    assert (content) == {
        "number": "10001",
        "amounts": {"availableCents": 5000},
        "extra": {"PIN": "1"},
    }
    assert found(checked.rejected[0].problems) == [(3, "voucher_number", "row.missing_key")]
    assert found(checked.warnings) == [(4, "EXPIRY_DATE", "row.bad_date")]
    assert "## giftcards\n\nGift cards, one row per card." in formats.page()


def test_a_type_is_registered_once() -> None:
    """Two types cannot have one name."""
    with pytest.raises(ValueError, match="a type customers already"):
        register(file_type("customers"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ((GIFT_CARDS.columns[0], GIFT_CARDS.columns[0]), "share names"),
        (
            (GIFT_CARDS.columns[0], replace(GIFT_CARDS.columns[1], field="number")),
            "share fields",
        ),
        (
            (GIFT_CARDS.columns[0], replace(GIFT_CARDS.columns[1], aliases=("VOUCHER_NUMBER",))),
            "share names",
        ),
        (GIFT_CARDS.columns[1:], "needs one key column"),
    ],
)
def test_broken_tables(columns: tuple[Column, ...], words: str) -> None:
    """A table that contradicts itself is refused when it is made."""
    with pytest.raises(ValueError, match=words):
        replace(GIFT_CARDS, columns=columns)


@pytest.mark.parametrize(
    "aggregation",
    [
        Aggregation(shared=("PRIVACY",)),
        Aggregation(sorted_by="JOIN_DATE"),
        Aggregation(count="number"),
    ],
)
def test_aggregation_of_other_columns(aggregation: Aggregation) -> None:
    """The aggregation of a type uses the columns that it looks at, and makes its totals."""
    with pytest.raises(ValueError, match="aggregation of rewards"):
        replace(file_type("rewards"), aggregation=aggregation)


def test_what_a_type_depends_on_is_there(gift_cards: FileType) -> None:
    """A type cannot wait for, go after or refer to a type that is not there, or itself."""
    for fault in (
        replace(gift_cards, waits_for="stocktake"),
        replace(gift_cards, goes_after="giftcards"),
        replace(gift_cards, looks_at=("PERIDX",), refers_to=Reference(type="x", column="PERIDX")),
    ):
        filetype._TYPES["giftcards"] = fault
        with pytest.raises(ValueError, match="giftcards depends on"):
            filetype.check_types()


def test_who_waits_and_who_goes_after(gift_cards: FileType) -> None:
    """The types that wait for a type, and those that let it go first, are found by its name."""
    filetype._TYPES["giftcards"] = replace(gift_cards, waits_for="orders", goes_after="rewards")

    waiting = [type_.name for type_ in waiting_for("orders")]
    after = [type_.name for type_ in going_after("rewards")]

    assert (waiting, after) == (["giftcards"], ["giftcards"])
    assert (waiting_for(None), going_after(None)) == ((), ())


def test_a_column_is_personal_unless_it_says_otherwise() -> None:
    """Cells are shown only of columns that say so; those of unknown columns are not."""
    columns = (GIFT_CARDS.columns[0], replace(GIFT_CARDS.columns[1], personal=False))
    type_ = replace(GIFT_CARDS, columns=columns)

    shown = [
        name
        for name in ("VOUCHER_NUMBER", "available_amount ", "AMOUNT", "PIN")
        if type_.shows(name)
    ]

    assert shown == ["available_amount ", "AMOUNT"]


def test_every_person_can_be_found() -> None:
    """A column named as those with a person's key or address are says that it is one."""
    unsaid = [
        (type_.name, column.name)
        for type_ in all_types()
        for column in type_.columns
        if (column.name in ("PERIDX", "EMAIL")) != (column.person is not None)
        or (column.person is not None and not column.personal)
    ]

    assert unsaid == []
