"""The demo notices what is wrong in Firestore."""

from __future__ import annotations

import pytest

from local.demo import differences
from local.sample_data import Truth

EXPECTED = Truth(customers={"1": True, "2": None}, orders={"D1": 995}, rewards={"1": 2})


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (EXPECTED, []),
        (
            Truth(customers={"1": True}, orders={"D1": 995}, rewards={"1": 2}),
            ["connections/nz/customers: 1 missing, such as 2."],
        ),
        (
            Truth(customers={"1": True, "2": None}, orders={"D1": 995, "D2": 1}, rewards={"1": 2}),
            ["connections/nz/orders: 1 too many, such as D2."],
        ),
        (
            Truth(customers={"1": True, "2": False}, orders={"D1": 990}, rewards={"1": 2}),
            [
                "connections/nz/customers: 1 differ: 2 has False, must be None.",
                "connections/nz/orders: 1 differ: D1 has 990, must be 995.",
            ],
        ),
        (
            Truth(),
            [
                "connections/nz/customers: 2 missing, such as 1.",
                "connections/nz/orders: 1 missing, such as D1.",
                "connections/nz/rewards: 1 missing, such as 1.",
            ],
        ),
    ],
)
def test_differences(found: Truth, says: list[str]) -> None:
    """Documents that are missing, too many or different are named, with what they must hold."""
    assert list(differences("nz", EXPECTED, found)) == says
