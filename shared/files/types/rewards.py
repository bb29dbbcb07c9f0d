"""Columns of a rewards file, and the rules by which its rows become reward accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.core import Problem
from shared.files.aggregation import Aggregation
from shared.files.cells.numbers import MONEY, WHOLE
from shared.files.cells.texts import CODE, EMAIL, PERSON_ID, TEXT
from shared.files.cells.times import DATE
from shared.files.column import EMAIL_LOWER, Column
from shared.files.filetype import Assembled, FileType, R, register

COLUMNS = (
    Column(
        name="PERIDX",
        field="personId",
        kind=PERSON_ID,
        key=True,
        max_length=22,
        person="id",
        meaning="Person's PERIDX in the customers file.",
        example="65432",
    ),
    Column(
        name="EMAIL",
        field="email",
        kind=EMAIL,
        max_length=250,
        person="email",
        meaning="Person's e-mail address.",
        example="john.smith@example.com",
    ),
    EMAIL_LOWER,
    Column(
        name="REWARD_ACCOUNT_ID",
        field="accountId",
        kind=CODE,
        falls_back_to="PERIDX",
        max_length=22,
        meaning="Account's id.",
        example="00100000",
    ),
    Column(
        name="PROGRAM_ID",
        field="program.id",
        kind=CODE,
        max_length=22,
        personal=False,
        meaning="Program's id.",
        example="11",
    ),
    Column(
        name="PROGRAM_NAME",
        field="program.name",
        kind=TEXT,
        max_length=250,
        personal=False,
        meaning="Program's name.",
        example="The Wardrobe Club",
    ),
    Column(
        name="TIER_ID",
        field="tier.id",
        kind=CODE,
        max_length=22,
        personal=False,
        meaning="Id of the tier.",
        example="2",
    ),
    Column(
        name="TIER_NAME",
        field="tier.name",
        kind=TEXT,
        max_length=250,
        personal=False,
        meaning="Tier's name.",
        example="Gold ⭐",
    ),
    Column(
        name="TIER_DESCRIPTION",
        field="tier.description",
        kind=TEXT,
        meaning="Tier's description.",
        example="$300 - $699",
        source="vendor API",
    ),
    Column(
        name="JOIN_DATE",
        field="joined",
        kind=DATE,
        meaning="Day of joining.",
        example="2022-09-16",
    ),
    Column(
        name="TIER_JOIN_DATE",
        field="tierJoined",
        kind=DATE,
        meaning="Day of reaching the tier.",
        example="2022-12-15",
    ),
    Column(
        name="TIER_LOCKED_UNTIL_DATE",
        field="tierLockedUntil",
        kind=DATE,
        meaning="Day until which the tier is kept.",
        example="2023-12-15",
    ),
    Column(
        name="AVAILABLE_POINTS",
        field="availablePoints",
        kind=WHOLE,
        meaning="Points not expired.",
        example="292",
    ),
    Column(
        name="AVAILABLE_REWARDS",
        field="availableRewardsCents",
        kind=MONEY,
        meaning="Reward money not expired.",
        example="20.00",
    ),
    Column(
        name="POINTS_TO_NEXT_REWARD",
        field="pointsToNextReward",
        kind=WHOLE,
        meaning="Points missing for the next reward.",
        example="8",
    ),
    Column(
        name="SPEND_TO_NEXT_REWARD",
        field="spendToNextRewardCents",
        kind=MONEY,
        meaning="Spending missing for the next reward.",
        example="8.00",
    ),
    Column(
        name="NEXT_TIER_ID",
        field="nextTier.id",
        kind=CODE,
        max_length=22,
        meaning="Id of the next tier; blank on the last.",
        example="3",
    ),
    Column(
        name="NEXT_TIER_NAME",
        field="nextTier.name",
        kind=TEXT,
        max_length=250,
        meaning="Name of the next tier.",
        example="Platinum 🥇",
    ),
    Column(
        name="SPEND_TO_NEXT_TIER",
        field="spendToNextTierCents",
        kind=MONEY,
        meaning="Spending missing for the next tier.",
        example="277.54",
    ),
    Column(
        name="REWARD_ID",
        field="rewardId",
        part="item",
        kind=CODE,
        max_length=22,
        meaning="Id of an issued reward.",
        example="70000",
    ),
    Column(
        name="REWARD_DESCRIPTION",
        field="description",
        part="item",
        kind=TEXT,
        max_length=250,
        meaning="Reason of the reward.",
        example="Birthday",
    ),
    Column(
        name="REWARD_TOTAL",
        field="totalCents",
        part="item",
        kind=MONEY,
        meaning="Worth of the reward.",
        example="30.00",
    ),
    Column(
        name="REWARD_REDEEMED",
        field="redeemedCents",
        part="item",
        kind=MONEY,
        meaning="Used part of it.",
        example="10.00",
    ),
    Column(
        name="REWARD_AVAILABLE",
        field="availableCents",
        part="item",
        kind=MONEY,
        meaning="Remaining part of it.",
        example="20.00",
    ),
    Column(
        name="REWARD_CREATED_DATE",
        field="created",
        part="item",
        kind=DATE,
        meaning="Day of issue.",
        example="2023-02-01",
    ),
    Column(
        name="REWARD_EXPIRY_DATE",
        field="expires",
        part="item",
        kind=DATE,
        meaning="Day of expiry.",
        example="2024-02-01",
    ),
)


def assemble(rows: Sequence[R], items: Sequence[R]) -> Assembled[R]:
    """Combine the rows of one reward account, in file order.

    Columns of the account are taken from the last row. A row without a value about a reward adds no
    reward. Of two rows with one REWARD_ID the later counts.
    """
    last = rows[-1]
    problems: list[Problem] = []
    if len({row.values.get("REWARD_ACCOUNT_ID") for row in rows}) > 1:
        problems.append(
            Problem(
                code="reward.account_differs",
                message="The rows of one person name different accounts; the last row counts.",
                line=last.line,
            )
        )
    rewards: dict[tuple[str, Any], R] = {}
    for place, row in enumerate(items):
        id_ = row.values.get("REWARD_ID")
        reward = ("place", place) if id_ is None else ("REWARD_ID", id_)
        if rewards.pop(reward, None) is not None:
            problems.append(
                Problem(
                    code="reward.duplicate",
                    message="An earlier row holds the same reward; this one is taken.",
                    line=row.line,
                )
            )
        rewards[reward] = row
    return Assembled(list(rewards.values()), {}, problems)


REWARDS = register(
    FileType(
        name="rewards",
        collection="rewards",
        document="reward account",
        goes_after="customers",
        read_by="connection",
        columns=COLUMNS,
        source="API guide",
        about="Reward accounts: one row per issued reward, or per account in files without "
        "`REWARD_ID`. The vendor agrees the "
        "columns with each retailer.",
        grouped_where=lambda header: "REWARD_ID" in header.canonical,
        assemble=assemble,
        aggregation=Aggregation(shared=("REWARD_ACCOUNT_ID",), item_keys=("REWARD_ID",)),
        looks_at=("REWARD_ACCOUNT_ID", "REWARD_ID"),
        items="rewards",
        example_rows=(
            {},
            {
                "REWARD_ID": "70001",
                "REWARD_DESCRIPTION": "Welcome",
                "REWARD_TOTAL": "15.00",
                "REWARD_REDEEMED": "15.00",
                "REWARD_AVAILABLE": "0",
            },
        ),
    )
)
