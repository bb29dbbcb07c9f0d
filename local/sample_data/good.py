"""Samples without errors: exports of two connections, and a large one."""

from __future__ import annotations

import random
from datetime import date

from local.sample_data.people import AUSTRALIA, NEW_ZEALAND, make_people
from local.sample_data.purchases import (
    ISSUED_COLUMNS,
    ORDER_COLUMNS,
    REWARD_COLUMNS,
    make_orders,
    reward_account,
    rewards_of,
)
from local.sample_data.sample import Sample, Truth, consents, customers_file, totals, write_csv

SEED = 20241118
"""Seed of the random numbers: every run makes the same samples."""

WITHDRAWN = "100000"
"""PERIDX of the customer in `good/` who is subscribed on the 18th and withdraws by the 19th."""


def good_samples(chance: random.Random) -> list[Sample]:
    """Make the samples without errors."""
    monday = date(2024, 11, 18)
    au = make_people(chance, AUSTRALIA, first=100_000, count=320, latest=monday)
    au[0] = au[0].but(PRIVACY="No")
    strangers = make_people(chance, AUSTRALIA, first=880_000, count=2, latest=monday)
    au_orders = make_orders(chance, AUSTRALIA, au, first=135, count=230, day=monday)
    au_orders += make_orders(chance, AUSTRALIA, strangers, first=900, count=3, day=monday)

    tuesday = list(au)
    for place in range(12):
        flipped = "No" if tuesday[place].cells["PRIVACY"] == "Yes" else "Yes"
        tuesday[place] = tuesday[place].but(PRIVACY=flipped, LAST_UPDATED="2024-11-19T10:15:00")
    for place in range(12, 16):
        tuesday[place] = tuesday[place].but(PRIVACY="", LAST_UPDATED="2024-11-19T11:00:00")
    for place in range(16, 20):
        tuesday[place] = tuesday[place].but(
            ADRS1=f"{place} NEW ST", ADRS2="", LAST_UPDATED="2024-11-19T12:30:00"
        )
    newcomers = make_people(chance, AUSTRALIA, first=110_000, count=6, latest=date(2024, 11, 19))
    tuesday += newcomers
    late = [person.but(PRIVACY="No", LAST_UPDATED="2024-11-16T09:00:00") for person in au[:12]]

    nz = make_people(chance, NEW_ZEALAND, first=500_000, count=60, latest=monday)
    nz_orders = make_orders(chance, NEW_ZEALAND, nz, first=42, count=45, day=monday)

    issued, counts = [], {}
    for number, person in enumerate(au[::3]):
        account = reward_account(chance, person, day=monday)
        given = rewards_of(chance, account, first=70_000 + 10 * number, day=monday)
        issued += given
        counts[person.key] = len(given)
    accounts = [reward_account(chance, person, day=monday) for person in nz[::2]]

    return [
        Sample(
            path="good/customers_20241118T190000Z.csv",
            about="A full customers export: quoted commas, quotes and line breaks, apostrophes, "
            "postcodes that begin with 0, blank consents, two columns of the retailer's own.",
            happens="Every row is loaded. A blank PRIVACY subscribes nobody and is a warning; "
            "the retailer's own columns are kept under `extra`.",
            status="loaded",
            codes=("row.consent_unknown",),
            content=customers_file(au),
            rows=len(au),
            truth=consents(au),
        ),
        Sample(
            path="good/orders_20241118T190500Z.csv",
            about="Its orders: returns with a negative quantity, exchanges, discounts, lines "
            "split because one piece was reduced, and three orders of two people whom the "
            "customers file does not hold.",
            happens="Starts 30 minutes after the customers file was uploaded and once that is "
            "loaded. The three orders are loaded too, and counted as orphaned.",
            status="loaded",
            codes=("order.customer_unknown",),
            content=write_csv(ORDER_COLUMNS, (row for order in au_orders for row in order.rows)),
            rows=sum(len(order.rows) for order in au_orders),
            truth=totals(au_orders),
        ),
        Sample(
            path="good/rewards_20241118T191000Z.csv",
            about="Reward accounts with one row per reward, and tier names with emoji.",
            happens="Started at once: one document per account, its rewards inside.",
            status="loaded",
            content=write_csv((*REWARD_COLUMNS, *ISSUED_COLUMNS), issued),
            rows=len(issued),
            truth=Truth(rewards=counts),
        ),
        Sample(
            path="good/customers_20241119T190000Z.csv",
            about="The next day's full export: twelve people changed their consent, four have "
            "a blank PRIVACY now, four moved, six are new.",
            happens="Every row is loaded; the four blanks leave the stored consent alone.",
            status="loaded",
            codes=("row.consent_unknown",),
            content=customers_file(tuesday),
            rows=len(tuesday),
            truth=consents(tuesday),
        ),
        Sample(
            path="good/customers_20241117T190000Z.csv",
            about="An older export that comes late; in it twelve people are subscribed still.",
            happens="It changes nothing: an older export never overwrites what a "
            "newer one has said, consent above all.",
            status="loaded",
            content=customers_file(late),
            rows=len(late),
            truth=consents(late),
        ),
        Sample(
            path="good/nz/customers_20241118T180000Z.csv",
            about="Another connection, `nz`: Māori names and towns with macrons.",
            happens="It goes into `connections/nz`, apart from everything above.",
            status="loaded",
            codes=("row.consent_unknown",),
            content=customers_file(nz),
            rows=len(nz),
            truth=consents(nz),
        ),
        Sample(
            path="good/nz/orders_20241118T180500Z.csv",
            about="Orders of `nz`. Upload them first, to see them wait.",
            happens="Waits until its customers file is loaded.",
            status="loaded",
            content=write_csv(ORDER_COLUMNS, (row for order in nz_orders for row in order.rows)),
            rows=sum(len(order.rows) for order in nz_orders),
            truth=totals(nz_orders),
        ),
        Sample(
            path="good/nz/rewards_20241118T181000Z.csv",
            about="Reward accounts with one row per account.",
            happens="One document per account, without rewards inside.",
            status="loaded",
            content=write_csv(REWARD_COLUMNS, accounts),
            rows=len(accounts),
            truth=Truth(rewards={account["PERIDX"]: 0 for account in accounts}),
        ),
    ]


def make_large(rows: int) -> Sample:
    """Make a large customers file of the separate connection `outlet`; it is not in `samples/`."""
    chance = random.Random(SEED)
    people = make_people(chance, AUSTRALIA, first=1_000_000, count=rows, latest=date(2024, 11, 18))
    return Sample(
        path="good/outlet/customers_20241118T200000Z.csv",
        about=f"{rows:,} customers.",
        happens="Every row is loaded.",
        status="loaded",
        codes=("row.consent_unknown",),
        content=customers_file(people),
        rows=rows,
        truth=consents(people),
    )
