"""Rewards: one row an account, or one row a reward."""

from __future__ import annotations

import pytest

from shared.files.filetype import file_type
from shared.files.types.rewards import COLUMNS
from tests.support.cells import check, document, found, read_header

ACCOUNT = {
    "personId": "65432",
    "email": "john.smith@example.com",
    "emailLower": "john.smith@example.com",
    "accountId": "00100000",
    "program": {"id": "11", "name": "The Wardrobe Club"},
    "tier": {"id": "2", "name": "Gold ⭐", "description": "$300 - $699"},
    "joined": "2022-09-16",
    "tierJoined": "2022-12-15",
    "tierLockedUntil": "2023-12-15",
    "availablePoints": 292,
    "availableRewardsCents": 2000,
    "pointsToNextReward": 8,
    "spendToNextRewardCents": 800,
    "nextTier": {"id": "3", "name": "Platinum 🥇"},
    "spendToNextTierCents": 27754,
}


def test_full_document() -> None:
    """A row with every column becomes an account with every field, by the names agreed."""
    content, problems = document("rewards", [{c.name: c.example for c in COLUMNS}])

    reward = {
        "rewardId": "70000",
        "description": "Birthday",
        "totalCents": 3000,
        "redeemedCents": 1000,
        "availableCents": 2000,
        "created": "2023-02-01",
        "expires": "2024-02-01",
    }
    assert {**ACCOUNT, "rewards": [reward]} == content
    assert problems == []


def test_account_without_rewards() -> None:
    """A file with one row an account makes accounts without a list."""
    row = {column.name: column.example for column in COLUMNS if column.part == "document"}

    content, _ = document("rewards", [row])

    assert content == ACCOUNT
    assert not file_type("rewards").grouped(read_header("rewards", list(row)))


@pytest.mark.parametrize("row", [{}, {"REWARD_ACCOUNT_ID": " "}])
def test_account_id_falls_back(row: dict[str, str]) -> None:
    """Without an account id, the person's is that of the account."""
    content, _ = document("rewards", [{"PERIDX": "007", **row}])

    assert content == {"personId": "007", "accountId": "007"}


def test_rewards_of_one_account() -> None:
    """Rewards stand as in the file; what belongs to the account is of the last row."""
    rows = [
        {"PERIDX": "1", "AVAILABLE_POINTS": "5", "REWARD_ID": "b", "REWARD_TOTAL": "1", "OWN": ""},
        {"PERIDX": "1", "AVAILABLE_POINTS": "6", "REWARD_ID": "a", "REWARD_TOTAL": "2", "OWN": "x"},
        {"PERIDX": "1", "AVAILABLE_POINTS": "", "REWARD_ID": "", "REWARD_TOTAL": "", "OWN": "y"},
    ]

    content, problems = document("rewards", rows)

    assert content == {
        "personId": "1",
        "accountId": "1",
        "rewards": [
            {"rewardId": "b", "totalCents": 100},
            {"rewardId": "a", "totalCents": 200, "extra": {"OWN": "x"}},
        ],
        "extra": {"OWN": "y"},
    }
    assert problems == []
    assert file_type("rewards").grouped(read_header("rewards", list(rows[0])))


def test_duplicate_reward() -> None:
    """Of two rows with one reward the later counts; rewards without an id are never the same."""
    rows = [
        {"PERIDX": "1", "REWARD_ID": id_, "REWARD_TOTAL": total}
        for id_, total in (("a", "1"), ("", "2"), ("a", "3"), ("", "2"))
    ]

    content, problems = document("rewards", rows)

    assert found(problems) == [(4, None, "reward.duplicate")]
    assert [reward["totalCents"] for reward in content["rewards"]] == [200, 300, 200]


def test_differing_accounts() -> None:
    """A person with two accounts keeps the one of the last row, with a warning."""
    rows = [{"PERIDX": "1", "REWARD_ACCOUNT_ID": id_, "REWARD_ID": id_} for id_ in "ab"]

    content, problems = document("rewards", rows)

    assert found(problems) == [(3, None, "reward.account_differs")]
    assert content["accountId"] == "b"
    assert len(content["rewards"]) == 2


def test_reward_columns_without_an_id() -> None:
    """Columns of rewards in a file with one row an account are kept like unknown ones."""
    content, _ = document("rewards", [{"PERIDX": "1", "REWARD_TOTAL": "1.00", "GIFT_ID": "9"}])

    assert content["extra"] == {"REWARD_TOTAL": "1.00", "GIFT_ID": "9"}
    assert "rewards" not in content


def test_blank_means_fields_of_the_account_only() -> None:
    """Fields of rewards are never left open: the list is replaced whole."""
    row = {"PERIDX": "1", "EMAIL": "", "TIER_NAME": "x", "REWARD_ID": "a", "REWARD_TOTAL": ""}

    checked = check("rewards", [row])

    assert frozenset({"email", "emailLower"}) == checked.rows[0].blank
