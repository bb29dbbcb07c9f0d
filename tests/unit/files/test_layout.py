"""The names of columns: spellings, aliases, and columns that a retailer calls otherwise."""

from __future__ import annotations

import pytest

from shared.core.errors import SettingsError
from shared.files.filetype import file_type
from shared.files.layout import Header, Layout
from shared.files.rules import Rules
from shared.parsing.factory import make_document
from tests.support.cells import SYDNEY, check, document

LAYOUT = Layout(columns={"SKU": "SKU", "BARCODE": "SKU", "SIZE": "SIZE_CODE"})


@pytest.mark.parametrize(
    ("names", "canonical", "unknown"),
    [
        (["SKU", "SIZE"], ("SKU", "SIZE_CODE"), ()),
        ([" sku ", "Size", "Own"], ("SKU", "SIZE_CODE", "Own"), ("Own",)),
        (["Barcode"], ("SKU",), ()),
        (["Barcode", "sku"], ("Barcode", "SKU"), ("Barcode",)),
        (["SKU", "SKU"], ("SKU", "SKU"), ()),
        ([], (), ()),
    ],
)
def test_header(names: list[str], canonical: tuple[str, ...], unknown: tuple[str, ...]) -> None:
    """A column is known by any spelling, unless the published one is there as well."""
    expected = Header(
        names=tuple(name.strip() for name in names), canonical=canonical, unknown=unknown
    )

    assert expected == LAYOUT.header(names)


def test_required_and_expected() -> None:
    """A layout says which columns a file must and should have."""
    actual = {
        name: (file_type(name).layout(SYDNEY).required, file_type(name).layout(SYDNEY).expected)
        for name in ("customers", "orders", "rewards")
    }

    assert {
        "customers": ((("PERIDX",),), ("EMAIL", "PRIVACY")),
        "orders": (
            (
                *(("PERIDX",), ("ORDER_NUMBER",), ("ORDER_DATE",), ("QUANTITY",), ("PRICE",)),
                ("SKU", "PRODUCT_CODE"),
            ),
            (),
        ),
        "rewards": ((("PERIDX",),), ()),
    } == actual


def own(**settings: object) -> Rules:
    return Rules(time_zone=SYDNEY.time_zone, **settings)  # type: ignore[arg-type]


def test_own_aliases() -> None:
    """A retailer's own name stands for the published one it is mapped to, in any case."""
    rules = own(aliases={"Vorname": "firstname", "QTY_SOLD": "QUANTITY"})

    content, _ = document("customers", [{"PERIDX": "1", "PRIVACY": "No", "VORNAME": "Jo"}], rules)

    assert content["firstName"] == "Jo"


def test_alias_of_another_type_is_ignored() -> None:
    """The aliases of a connection hold for all types, so some concern other types only."""
    layout = file_type("customers").layout(own(aliases={"QTY_SOLD": "QUANTITY"}))

    assert "QTY_SOLD" not in layout.columns


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ({"Vorname": "FIRST_NAME"}, "VORNAME stands for FIRST_NAME, which is no column"),
        ({"EMAIL": "MOBILE"}, "EMAIL cannot stand for MOBILE"),
    ],
)
def test_unusable_aliases(aliases: dict[str, str], words: str) -> None:
    """An alias for nothing, or by the name of another column, is refused by name."""
    with pytest.raises(SettingsError, match=words) as caught:
        file_type("customers").layout(own(aliases=aliases))

    assert caught.value.name == "aliases"


def test_own_key_is_text() -> None:
    """The retailer's own key names the document, as text of any length up to Firestore's."""
    key = "MEMBER-0012345678901234567890"
    rules = own(key_column="Member_No")

    checked = check("customers", [{"member_no": key, "PRIVACY": "No"}], rules)

    assert ([key], []) == ([row.key for row in checked.rows], checked.warnings)
    assert key == make_document(file_type("customers"), checked.rows)[0]["personId"]


def test_own_key_beside_peridx() -> None:
    """Where both are there, the own key counts and PERIDX is kept like an unknown column."""
    rules = own(key_column="MEMBER_NO")

    content, _ = document(
        "customers", [{"PERIDX": "65432", "MEMBER_NO": "M1", "PRIVACY": "No"}], rules
    )

    assert content == {"personId": "M1", "subscribed": True, "extra": {"PERIDX": "65432"}}


def test_own_key_is_required() -> None:
    """PERIDX cannot stand in for the own key: its documents would be others."""
    layout = file_type("orders").layout(own(key_column="MEMBER_NO"))

    canonical = layout.header(["PERIDX", "PERSON_ID"]).canonical

    assert ("PERIDX",) in layout.required
    assert "PERIDX" not in canonical


def test_own_key_that_is_a_published_column() -> None:
    """A key that is a column of the table as well is both."""
    rules = own(key_column="PERSON_CODE")

    content, _ = document("customers", [{"PERSON_CODE": "SMITJ", "PRIVACY": "No"}], rules)

    assert content == {"personId": "SMITJ", "personCode": "SMITJ", "subscribed": True}


def test_own_email_column() -> None:
    """The own e-mail column is read in place of EMAIL, which is kept like an unknown column."""
    rules = own(email_column="MAIL_2")

    content, _ = document(
        "customers",
        [{"PERIDX": "1", "EMAIL": "old@example.com", "MAIL_2": "new@example.com", "PRIVACY": "No"}],
        rules,
    )

    assert content["email"] == "new@example.com"
    assert content["extra"] == {"EMAIL": "old@example.com"}


@pytest.mark.parametrize(
    ("rules", "column"),
    [
        (own(key_column="EMAIL"), "EMAIL"),
        (own(key_column="Mail", email_column="MAIL"), "MAIL"),
    ],
)
def test_email_as_key(rules: Rules, column: str) -> None:
    """One column may be key and e-mail address in one, and is not missed as either."""
    content, _ = document("customers", [{column: "jo@example.com", "PRIVACY": "No"}], rules)

    layout = file_type("customers").layout(rules)
    email = dict.fromkeys(("personId", "email", "emailLower"), "jo@example.com")
    assert content == {**email, "subscribed": True}
    assert layout.expected == ("PRIVACY",)
