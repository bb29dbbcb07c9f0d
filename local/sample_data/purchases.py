"""Purchases of the invented retailer's customers: products, orders and rewards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from local.sample_data.people import NEW_ZEALAND, Country, Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A style with one price, in cents."""

    code: str
    name: str
    cents: int
    colours: Sequence[tuple[str, str]]
    sizes: Sequence[str]
    category: str


NO_COLOUR = (("-", "-"),)

PRODUCTS = (
    Product(
        code="DR1040",
        name="Linen Wrap Dress",
        cents=18995,
        colours=(("NVY", "Navy"), ("ECR", "Écru")),
        sizes=("8", "10", "12", "14"),
        category="DRESSES",
    ),
    Product(
        code="SH2210",
        name="Oxford Shirt, Slim",
        cents=11995,
        colours=(("WHT", "White"), ("SKY", "Sky")),
        sizes=("S", "M", "L", "XL"),
        category="SHIRTS",
    ),
    Product(
        code="JN0312",
        name='Straight Jean 32"',
        cents=14900,
        colours=(("IND", "Indigo"),),
        sizes=("28", "30", "32", "34"),
        category="DENIM",
    ),
    Product(
        code="KN4401",
        name="Merino Crew Knit",
        cents=22950,
        colours=(("CHA", "Charcoal"), ("OAT", "Oatmeal")),
        sizes=("XS", "S", "M", "L"),
        category="KNITWEAR",
    ),
    Product(
        code="BT0099",
        name="Bootlaces",
        cents=95,
        colours=NO_COLOUR,
        sizes=("-",),
        category="ACCESSORIES",
    ),
    Product(
        code="GC0050",
        name="Gift Card $50",
        cents=5000,
        colours=NO_COLOUR,
        sizes=("-",),
        category="GIFT CARDS",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order: one row per line, and the amount paid in cents."""

    number: str
    rows: Sequence[Mapping[str, str]]
    cents: int


ORDER_COLUMNS = (
    *("PERIDX", "EMAIL", "ORDER_NUMBER", "TRANSACTION_ID", "WEB_ORDER_NUMBER"),
    *("TRANSACTION_TYPE", "ORDER_DATE", "STORE_ID", "STORE_CODE", "STORE_NUMBER", "STORE_NAME"),
    *("STAFF_CODE", "STAFF_NAME", "CURRENCY", "LINE_ID", "LINE_NUMBER", "SKU", "PRODUCT_CODE"),
    *("PRODUCT_NAME", "COLOUR_CODE", "COLOUR_NAME", "SIZE_CODE", "QUANTITY", "PRICE", "VALUE"),
    *("DISCOUNT", "DISCOUNT_REASON", "TAX_PERCENT", "PRODUCT_REF_GROUP", "PRODUCT_REF_ID"),
    *("PRODUCT_REF_CODE", "REGISTER"),
)

STAFF = (("SO", "Sam O'Reilly"), ("MT", "Māia Turei"), ("JL", "Jun Li"), ("", ""))


def make_orders(
    chance: random.Random,
    country: Country,
    buyers: Sequence[Person],
    *,
    first: int,
    count: int,
    day: date,
) -> list[Order]:
    return [
        _order(
            chance,
            country,
            chance.choice(buyers),
            number=first + place,
            day=day - timedelta(days=chance.randrange(3)),
        )
        for place in range(count)
    ]


def _order(
    chance: random.Random, country: Country, buyer: Person, *, number: int, day: date
) -> Order:
    store = chance.choice(country.stores)
    staff_code, staff_name = chance.choice(STAFF)
    web = chance.random() < 0.2
    order_number = f"{'W' if web else 'D'}{country.docket}{number:08}"
    head = {
        "PERIDX": buyer.key,
        "EMAIL": buyer.email,
        "ORDER_NUMBER": order_number,
        "TRANSACTION_ID": str(7_000_000 + number),
        "WEB_ORDER_NUMBER": f"#{number + 1000}" if web else "",
        "TRANSACTION_TYPE": chance.choices(("Sale", "Layby", "Special Order"), (94, 4, 2))[0],
        "ORDER_DATE": day.isoformat(),
        "STORE_ID": store.id,
        "STORE_CODE": store.code,
        "STORE_NUMBER": store.number,
        "STORE_NAME": store.name,
        "STAFF_CODE": staff_code,
        "STAFF_NAME": staff_name,
        "CURRENCY": country.currency,
        "REGISTER": f"R{chance.randint(1, 4)}",
    }
    rows: list[Mapping[str, str]] = []
    paid = 0
    for product, quantity, percent_off in _basket(chance):
        colour_code, colour_name = chance.choice(product.colours)
        size = chance.choice(product.sizes)
        discount = abs(quantity) * product.cents * percent_off // 100
        value = quantity * product.cents - (discount if quantity > 0 else -discount)
        paid += value
        rows.append(
            {
                **head,
                "LINE_ID": str(number * 100 + len(rows)),
                # Apparel21 counts a discount in the same sequence, so the numbers have gaps.
                "LINE_NUMBER": str(2 * len(rows)),
                "SKU": f"{product.code}-{colour_code}-{size}",
                "PRODUCT_CODE": product.code,
                "PRODUCT_NAME": product.name,
                "COLOUR_CODE": colour_code,
                "COLOUR_NAME": colour_name,
                "SIZE_CODE": size,
                "QUANTITY": str(quantity),
                "PRICE": _dollars(product.cents),
                "VALUE": _dollars(value),
                "DISCOUNT": _dollars(discount) if discount else "",
                "DISCOUNT_REASON": "Mid-season sale, 20% off" if discount else "",
                "TAX_PERCENT": "15" if country is NEW_ZEALAND else "10",
                "PRODUCT_REF_GROUP": "Category",
                "PRODUCT_REF_ID": str(300 + PRODUCTS.index(product)),
                "PRODUCT_REF_CODE": product.category,
            }
        )
    return Order(number=order_number, rows=rows, cents=paid)


def _basket(chance: random.Random) -> Iterable[tuple[Product, int, int]]:
    """Draw products with their quantities and the percentage taken off each."""
    product = chance.choice(PRODUCTS)
    match chance.randrange(10):
        case 0:  # a return
            yield product, -1, 0
        case 1:  # an exchange: the same style comes back and goes out, on two lines
            yield product, -1, 0
            yield product, 1, 0
        case 2 | 3:  # one line split, because only one of the two was reduced
            yield product, 1, 20
            yield product, 1, 0
        case _:
            for _ in range(chance.randint(1, 3)):
                yield chance.choice(PRODUCTS), chance.randint(1, 3), chance.choice((0, 0, 0, 20))


def _dollars(cents: int) -> str:
    """Write money as Oracle prints it: no zero before the point."""
    text = str(Decimal(cents).scaleb(-2))
    return text.replace("0.", ".", 1) if abs(cents) < 100 else text


# -- what they are given ----------------------------------------------------------------------

REWARD_COLUMNS = (
    *("PERIDX", "EMAIL", "REWARD_ACCOUNT_ID", "PROGRAM_ID", "PROGRAM_NAME", "TIER_ID"),
    *("TIER_NAME", "TIER_DESCRIPTION", "JOIN_DATE", "TIER_JOIN_DATE", "TIER_LOCKED_UNTIL_DATE"),
    *("AVAILABLE_POINTS", "AVAILABLE_REWARDS", "POINTS_TO_NEXT_REWARD", "SPEND_TO_NEXT_REWARD"),
    *("NEXT_TIER_ID", "NEXT_TIER_NAME", "SPEND_TO_NEXT_TIER"),
)
ISSUED_COLUMNS = (
    *("REWARD_ID", "REWARD_DESCRIPTION", "REWARD_TOTAL", "REWARD_REDEEMED", "REWARD_AVAILABLE"),
    *("REWARD_CREATED_DATE", "REWARD_EXPIRY_DATE"),
)

TIERS = (
    ("1", "Silver", "$0 - $299"),
    ("2", "Gold ⭐", "$300 - $699"),
    ("3", "Platinum 🥇", "$700 and more"),
)


def reward_account(chance: random.Random, person: Person, *, day: date) -> dict[str, str]:
    tier = chance.randrange(len(TIERS))
    tier_id, tier_name, description = TIERS[tier]
    following = TIERS[tier + 1] if tier + 1 < len(TIERS) else ("", "", "")
    joined = day - timedelta(days=chance.randint(100, 1500))
    return {
        "PERIDX": person.key,
        "EMAIL": person.email,
        "REWARD_ACCOUNT_ID": f"00{person.key}",
        "PROGRAM_ID": "11",
        "PROGRAM_NAME": "The Wardrobe Club",
        "TIER_ID": tier_id,
        "TIER_NAME": tier_name,
        "TIER_DESCRIPTION": description,
        "JOIN_DATE": joined.isoformat(),
        "TIER_JOIN_DATE": (joined + timedelta(days=90)).isoformat(),
        "TIER_LOCKED_UNTIL_DATE": (day + timedelta(days=200)).isoformat() if tier else "",
        "AVAILABLE_POINTS": str(chance.randrange(900)),
        "AVAILABLE_REWARDS": "0",
        "POINTS_TO_NEXT_REWARD": str(chance.randrange(1, 100)),
        "SPEND_TO_NEXT_REWARD": _dollars(chance.randrange(50, 10_000)),
        "NEXT_TIER_ID": following[0],
        "NEXT_TIER_NAME": following[1],
        "SPEND_TO_NEXT_TIER": _dollars(chance.randrange(100, 40_000)) if following[0] else "",
    }


def rewards_of(
    chance: random.Random, account: dict[str, str], *, first: int, day: date
) -> list[dict[str, str]]:
    """Give an account one to three rewards; return one row per reward."""
    rewards = []
    for number in range(chance.randint(1, 3)):
        total = chance.choice((1000, 2000, 5000))
        redeemed = chance.choice((0, 0, 500, total))
        created = day - timedelta(days=chance.randint(1, 200))
        rewards.append(
            {
                "REWARD_ID": str(first + number),
                "REWARD_DESCRIPTION": chance.choice(("Birthday", "Spend & Save", "Welcome")),
                "REWARD_TOTAL": _dollars(total),
                "REWARD_REDEEMED": _dollars(redeemed) if redeemed else "0",
                "REWARD_AVAILABLE": _dollars(total - redeemed) if total > redeemed else "0",
                "REWARD_CREATED_DATE": created.isoformat(),
                "REWARD_EXPIRY_DATE": (created + timedelta(days=365)).isoformat(),
            }
        )
    left = sum((Decimal(reward["REWARD_AVAILABLE"]) for reward in rewards), Decimal(0))
    return [{**account, "AVAILABLE_REWARDS": str(left), **reward} for reward in rewards]
