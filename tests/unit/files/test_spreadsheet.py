"""What a spreadsheet would run is made text, and comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.spreadsheet import guard, guard_all, unguard


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        '=HYPERLINK("http://example.com","x")',
        "@SUM(A1)",
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        " =1+1",
        "\t=1+1",
        "\r=1+1",
        "＝1+1",
        "+61 491 570 006 ext=1",
    ],
)
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    """Whatever begins like a formula is text for a spreadsheet afterwards."""
    assert f"'{cell}" == guard(cell)
    assert cell == unguard(guard(cell))


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "Ana",
        "0412",
        "+61491570006",
        "+61 491 570 006",
        "-12.00",
        "-",
        "a=b",
        "O'NEIL",
        "'quoted'",
    ],
)
def test_everything_else_stays_as_it_is(cell: str) -> None:
    """Names, telephone numbers, negative amounts and leading zeros are not touched."""
    assert cell == guard(cell)
    assert cell == unguard(cell)


CELLS = st.text(alphabet="'=+-@ \t\r\n0a＝", max_size=8) | st.text(
    st.characters(exclude_characters="\0"), max_size=20
)


@given(st.lists(CELLS, max_size=4))
def test_a_row_is_guarded_cell_by_cell(cells: list[str]) -> None:
    """A row is guarded like each of its cells alone."""
    assert [guard(cell) for cell in cells] == [*guard_all(cells)]


@given(CELLS)
def test_every_cell_comes_back(cell: str) -> None:
    """Unguarding undoes guarding, whatever the cell began with."""
    assert cell == unguard(guard(cell))
